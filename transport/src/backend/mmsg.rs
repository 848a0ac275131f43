//! The `mmsg` backend: a batch a system call, by `sendmmsg(2)` and `recvmmsg(2)`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use libc::{MSG_DONTWAIT, c_uint, mmsghdr};

use super::batch::{ReceiveBatch, SendBatch};
use super::{Backend, BackendKind, ConnectedSocket};

/// One system call a batch.
pub struct MmsgBackend {
    socket: ConnectedSocket,
    messages: Vec<mmsghdr>,
}

// SAFETY: the pointers in `messages` are set anew for every call and are not looked at between calls.
unsafe impl Send for MmsgBackend {}

impl MmsgBackend {
    /// For batches of at most `datagrams_max`; larger ones take several calls.
    pub fn new(socket: ConnectedSocket, datagrams_max: usize) -> Self {
        // SAFETY: mmsghdr is a C struct of integers and pointers, for which all zeroes is a value.
        let empty = unsafe { std::mem::zeroed::<mmsghdr>() };
        Self { socket, messages: vec![empty; datagrams_max.max(1)] }
    }

    fn set_message(&mut self, at: usize, iovecs: *mut libc::iovec, count: usize) {
        let message = &mut self.messages[at];
        message.msg_hdr.msg_iov = iovecs;
        // Two pieces a datagram; the field's type differs between C libraries.
        message.msg_hdr.msg_iovlen = count as _;
        message.msg_hdr.msg_flags = 0;
        message.msg_len = 0;
    }
}

impl Backend for MmsgBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Mmsg
    }

    fn socket(&self) -> &ConnectedSocket {
        &self.socket
    }

    fn redirect(&mut self, peer: SocketAddr) -> io::Result<()> {
        self.socket.redirect(peer)
    }

    fn send(&mut self, batch: &mut SendBatch) -> io::Result<usize> {
        let mut total = 0;
        while !batch.is_sent() {
            let mut count = 0;
            for index in batch.unsent().take(self.messages.len()) {
                let iovecs = batch.iovecs(index);
                self.set_message(count, iovecs.as_ptr().cast_mut(), iovecs.len());
                count += 1;
            }
            // SAFETY: sendmmsg(sockfd: an open socket, msgvec: `count` messages set just now, vlen: their number,
            // flags). Each message's iovecs lie in `batch`, which owns the heads and holds leases on the frames, and is
            // borrowed for the whole call; the kernel only reads them.
            let sent = unsafe {
                libc::sendmmsg(
                    self.socket.socket().as_raw_fd(),
                    self.messages.as_mut_ptr(),
                    count as c_uint,
                    MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            match usize::try_from(sent) {
                Ok(sent) => {
                    batch.note_sent(sent);
                    total += sent;
                }
                // The kernel says what went wrong with the first message of a call only; earlier ones are out.
                Err(_) if total == 0 => return Err(io::Error::last_os_error()),
                Err(_) => return Ok(total),
            }
        }
        Ok(total)
    }

    fn receive(&mut self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        let mut count = 0;
        for index in (batch.received()..batch.posted()).take(self.messages.len()) {
            let iovecs = batch.iovecs(index);
            let (first, len) = (iovecs.as_mut_ptr(), iovecs.len());
            self.set_message(count, first, len);
            count += 1;
        }
        // SAFETY: recvmmsg(sockfd: an open socket, msgvec: `count` messages set just now, vlen: their number, flags,
        // timeout: none, as the flags say not to wait). Each message's iovecs lie in `batch`, which owns the heads and
        // holds leases on the slots, and is borrowed mutably for the whole call.
        let received = unsafe {
            libc::recvmmsg(
                self.socket.socket().as_raw_fd(),
                self.messages.as_mut_ptr(),
                count as c_uint,
                MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for message in &self.messages[..received] {
            batch.note_received(message.msg_len as usize);
        }
        Ok(received)
    }
}
