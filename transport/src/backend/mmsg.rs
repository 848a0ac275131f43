//! The `mmsg` backend: a batch a system call, by `sendmmsg(2)` and `recvmmsg(2)`, in trains where the socket takes them.

use std::io;
use std::os::fd::AsRawFd;

use libc::{MSG_DONTWAIT, c_uint};

use super::batch::{ReceiveBatch, SendBatch};
use super::messages::{ReceiveMessages, SendMessages};
use super::segmentation::Segmentation;
use super::{Backend, BackendConfig, BackendKind, ConnectedSocket};

/// One system call a batch.
pub struct MmsgBackend {
    socket: ConnectedSocket,
    segmentation: Segmentation,
    sending: SendMessages,
    receiving: ReceiveMessages,
}

impl MmsgBackend {
    /// Whether the system has the calls and lets the process make them.
    pub(super) fn check(socket: &ConnectedSocket) -> io::Result<()> {
        let socket = socket.socket().as_raw_fd();
        // SAFETY: sendmmsg(sockfd: an open socket, msgvec: none, vlen: 0, flags: none) names no memory.
        let sent = unsafe { libc::sendmmsg(socket, std::ptr::null_mut(), 0, 0) };
        // SAFETY: recvmmsg(sockfd: an open socket, msgvec: none, vlen: 0, flags, timeout: none) names no memory.
        let received = unsafe { libc::recvmmsg(socket, std::ptr::null_mut(), 0, MSG_DONTWAIT, std::ptr::null_mut()) };
        if sent < 0 || received < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Larger batches than those of the configuration take several calls.
    pub fn new(socket: ConnectedSocket, config: &BackendConfig) -> Self {
        Self {
            segmentation: Segmentation::new(&socket, config.send_trains && config.has_trains()),
            sending: SendMessages::new(config.datagrams_max),
            receiving: ReceiveMessages::new(&socket, config),
            socket,
        }
    }
}

impl Backend for MmsgBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Mmsg
    }

    fn socket(&self) -> &ConnectedSocket {
        &self.socket
    }

    fn send(&mut self, batch: &mut SendBatch) -> io::Result<usize> {
        let mut total = 0;
        while !batch.is_sent() {
            let segment = self.segmentation.prepare(&self.socket, batch);
            let messages = self.sending.fill(batch, segment);
            // SAFETY: sendmmsg(sockfd: an open socket, msgvec: messages set just now, vlen: their number, flags). Each
            // message's iovecs lie in `batch` or in `sending`, and point into what `batch` owns or holds leases on; both are borrowed
            // for the whole call, and the kernel only reads.
            let sent = unsafe {
                libc::sendmmsg(
                    self.socket.socket().as_raw_fd(),
                    messages.as_mut_ptr(),
                    messages.len() as c_uint,
                    MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            match usize::try_from(sent) {
                Ok(sent) => {
                    total += (0..sent).map(|nth| self.sending.note_sent(batch, nth)).sum::<usize>();
                }
                // The kernel says what went wrong with the first message of a call only; earlier ones are out.
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if segment.is_some() && self.segmentation.give_up(&self.socket, &error) {
                        continue;
                    }
                    return if total == 0 { Err(error) } else { Ok(total) };
                }
            }
        }
        Ok(total)
    }

    fn landings(&self) -> usize {
        self.receiving.landings()
    }

    fn receive(&mut self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        let waiting = self.receiving.take_waiting(batch);
        if waiting > 0 {
            return Ok(waiting);
        }
        let messages = self.receiving.fill(batch);
        // SAFETY: recvmmsg(sockfd: an open socket, msgvec: messages set just now, vlen: their number, flags, timeout: none,
        // as the flags say not to wait). Each message's iovecs point to the heads of `batch`, to slots that it holds leases
        // on, and to memory of `receiving`; both are borrowed mutably for the whole call.
        let received = unsafe {
            libc::recvmmsg(
                self.socket.socket().as_raw_fd(),
                messages.as_mut_ptr(),
                messages.len() as c_uint,
                MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        match self.receiving.note_received(batch, received, |_| true) {
            // All of it must be laid out again: it fits the landings that were posted for it.
            0 => Ok(self.receiving.take_waiting(batch)),
            landed => Ok(landed),
        }
    }

    fn send_one(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.segmentation.send_one(&self.socket, bytes)
    }
}
