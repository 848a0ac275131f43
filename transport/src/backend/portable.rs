//! The `std` backend: one datagram a system call, scatter and gather, on every Unix.

use std::io;
use std::io::IoSlice;
use std::mem::MaybeUninit;

use socket2::MaybeUninitSlice;

use super::batch::{ReceiveBatch, SendBatch};
use super::{Backend, BackendKind, ConnectedSocket};

/// One system call a datagram.
pub struct StdBackend {
    socket: ConnectedSocket,
}

impl StdBackend {
    /// Works on any socket.
    pub fn new(socket: ConnectedSocket) -> Self {
        Self { socket }
    }
}

impl Backend for StdBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Std
    }

    fn socket(&self) -> &ConnectedSocket {
        &self.socket
    }

    fn send(&mut self, batch: &mut SendBatch) -> io::Result<usize> {
        let unsent = batch.unsent();
        let mut sent = 0;
        for index in unsent {
            // Head and payload, or both in one.
            let pieces = batch.iovecs(index..index + 1);
            let pieces = [pieces.first(), pieces.get(1)].map(|piece| match piece.filter(|piece| piece.iov_len > 0) {
                None => IoSlice::new(&[]),
                Some(piece) => {
                    // SAFETY: the batch holds a lease on the frame that this points into (or owns the head, or all of it), for as
                    // long as it is borrowed here, and nobody writes to either.
                    IoSlice::new(unsafe { std::slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len) })
                }
            });
            match self.socket.socket().send_vectored(&pieces) {
                Ok(_) => {
                    batch.note_sent(index..index + 1);
                    sent += 1;
                }
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    fn receive(&mut self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        let mut received = 0;
        for index in batch.free() {
            let [head, payload] = batch.iovecs(index..index + 1) else { unreachable!("a landing has two pieces") };
            let mut pieces = [head, payload].map(|piece| match piece.iov_len {
                0 => MaybeUninitSlice::new(&mut []),
                // SAFETY: the batch holds a lease on the slot that this points into (or owns the head) for as long as it
                // is borrowed here; a slot that is landed in has no Rust reference to it.
                len => MaybeUninitSlice::new(unsafe {
                    std::slice::from_raw_parts_mut(piece.iov_base.cast::<MaybeUninit<u8>>(), len)
                }),
            });
            match self.socket.socket().recv_vectored(&mut pieces) {
                Ok((len, flags)) => {
                    batch.note_received(index, len + usize::from(flags.is_truncated()));
                    received += 1;
                }
                Err(error) if received == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(received)
    }
}
