//! The `uring` backend: a batch a submission to an io_uring, over the same messages as the `mmsg` backend.
//!
//! tokio-uring hosts the ring. It has no operation that takes messages which are kept and refilled, but runs any
//! operation with a single completion: here `SENDMSG` and `RECVMSG`, told not to wait, so that the kernel completes them
//! while it takes them in, in order.

#[cfg(test)]
pub(crate) mod failing;
mod ring;

use std::io;
use std::os::fd::AsRawFd;

use io_uring::{opcode, types};
use libc::MSG_DONTWAIT;

pub use ring::RingError;
use ring::{Ring, RingConfig};

use super::batch::{ReceiveBatch, SendBatch};
use super::messages::{MESSAGES_MAX, ReceiveMessages, SendMessages};
use super::segmentation::Segmentation;
use super::{Backend, BackendConfig, BackendKind, ConnectedSocket};

/// One submission a batch. Stays on the thread that made it.
pub struct UringBackend {
    // First, so that it is gone before anything that an operation could name.
    ring: Ring,
    /// Send operations form a chain: after one that fails, none goes out.
    chained: bool,
    /// They may: where a thread of the kernel polls, it takes them one by one and sees no whole chain.
    chainable: bool,
    socket: ConnectedSocket,
    segmentation: Segmentation,
    sending: SendMessages,
    receiving: ReceiveMessages,
    /// What went wrong after some messages of the last call had come.
    deferred: Option<io::Error>,
    #[cfg(test)]
    ordeal: Option<std::sync::Arc<failing::Ordeal>>,
}

impl UringBackend {
    /// Sets up a ring for the calling thread. Larger batches than those of the configuration take several submissions.
    ///
    /// # Errors
    /// Why the system refuses a ring, and the socket back.
    ///
    /// # Panics
    /// Inside an asynchronous runtime, as do all calls: use a thread of its own.
    pub fn new(socket: ConnectedSocket, config: &BackendConfig) -> Result<Self, (ConnectedSocket, RingError)> {
        #[cfg(test)]
        let ordeal = match failing::set_up(socket.peer()) {
            Ok(ordeal) => ordeal,
            Err(error) => return Err((socket, error)),
        };
        let entries = config.datagrams_max.clamp(1, MESSAGES_MAX);
        let ring = match Ring::new(RingConfig { entries, polled_by_kernel: config.sqpoll }) {
            Ok(ring) => ring,
            Err(error) => return Err((socket, error)),
        };
        Ok(Self {
            ring,
            chained: false,
            chainable: !config.sqpoll,
            segmentation: Segmentation::new(&socket, config.send_trains && config.has_trains()),
            sending: SendMessages::new(config.datagrams_max),
            receiving: ReceiveMessages::sparing(&socket, config),
            socket,
            deferred: None,
            #[cfg(test)]
            ordeal,
        })
    }
}

impl Backend for UringBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Uring
    }

    fn socket(&self) -> &ConnectedSocket {
        &self.socket
    }

    fn send(&mut self, batch: &mut SendBatch) -> io::Result<usize> {
        let socket = types::Fd(self.socket.socket().as_raw_fd());
        let mut total = 0;
        while !batch.is_sent() {
            let segment = self.segmentation.prepare(&self.socket, batch);
            let messages = self.sending.fill(batch, segment);
            let operations = messages.iter().map(|message| {
                opcode::SendMsg::new(socket, &raw const message.msg_hdr)
                    .flags((MSG_DONTWAIT | libc::MSG_NOSIGNAL) as u32)
                    .build()
            });
            #[cfg(test)]
            let befallen = self.ordeal.as_ref().and_then(|ordeal| ordeal.next(messages.len()));
            #[cfg(test)]
            let operations = failing::befall(befallen, operations);
            // SAFETY: each message was set just now; its iovecs lie in `batch`, which owns the heads and holds leases on the
            // frames, or in `sending`. All are borrowed over the call, and nobody writes to what the kernel reads.
            let results = unsafe { self.ring.run(operations, self.chained) }?;
            #[cfg(test)]
            let results = &failing::told(befallen, results)?[..];
            let mut failure = None;
            for (nth, result) in results.iter().enumerate() {
                match result {
                    0.. => total += self.sending.note_sent(batch, nth),
                    // Later ones are cancelled for this one's sake, or have their own go.
                    _ => _ = failure.get_or_insert_with(|| io::Error::from_raw_os_error(-result)),
                }
            }
            let Some(error) = failure else { continue };
            // Later ones may have overtaken it, which a receiver takes for a loss at first. Where sends fail, as they do on a
            // socket that is faster than its network, it is not to happen again; elsewhere a chain costs some percent.
            self.chained = self.chainable;
            if segment.is_some() && self.segmentation.give_up(&self.socket, &error) {
                continue;
            }
            return if total == 0 { Err(error) } else { Ok(total) };
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
        if let Some(error) = self.deferred.take() {
            return Err(error);
        }
        let socket = types::Fd(self.socket.socket().as_raw_fd());
        let messages = self.receiving.fill(batch);
        let operations = messages
            .iter_mut()
            .map(|message| opcode::RecvMsg::new(socket, &raw mut message.msg_hdr).flags(MSG_DONTWAIT as u32).build());
        // SAFETY: each message was set just now; its iovecs point to the heads of `batch`, to slots that it holds leases on,
        // and to memory of `receiving`. All are borrowed mutably over the call.
        let results = unsafe { self.ring.run(operations, false) }?;
        let came = |nth: usize| results[nth] >= 0;
        let last = (0..results.len()).rfind(|nth| came(*nth));
        for (message, result) in messages.iter_mut().zip(results) {
            message.msg_len = u32::try_from(*result).unwrap_or(0);
        }
        let error = results.iter().find(|result| **result < 0).map(|result| io::Error::from_raw_os_error(-result));
        let landed = self.receiving.note_received(batch, last.map_or(0, |last| last + 1), came);
        match (last, error) {
            (None, Some(error)) => Err(error),
            (_, error) => {
                self.deferred = error.filter(|error| error.kind() != io::ErrorKind::WouldBlock);
                // Where nothing landed, all of it must be laid out again: it fits the landings that were posted for it.
                Ok(if landed == 0 { self.receiving.take_waiting(batch) } else { landed })
            }
        }
    }

    fn send_one(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.segmentation.send_one(&self.socket, bytes)
    }
}
