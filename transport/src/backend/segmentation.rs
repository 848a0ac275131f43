//! Trains on the way out: the segment size that the socket is set to, and whether it works there.

use std::io;

use super::ConnectedSocket;
use super::batch::SendBatch;
use crate::wire::train_slices;

/// What a socket does with messages that are longer than one datagram.
#[derive(Debug)]
pub(super) struct Segmentation {
    usable: bool,
    /// What UDP_SEGMENT is set to; 0 where it is off.
    segment: usize,
}

impl Segmentation {
    pub(super) fn new(socket: &ConnectedSocket, usable: bool) -> Self {
        // The socket may have been another backend's. That a system cannot do this at all is told when trains are sent.
        let _ = socket.set_segment(0);
        Self { usable, segment: 0 }
    }

    /// Sets the socket up for what the batch sends next. The size of the segments, where it may go in trains.
    pub(super) fn prepare(&mut self, socket: &ConnectedSocket, batch: &SendBatch) -> Option<usize> {
        let next = batch.unsent().start;
        let len = batch.datagram_len(next);
        let worth_it = self.usable && len > 0 && train_slices(len) > 1;
        if worth_it && (len > self.segment || self.starts_a_train(batch, next, len)) {
            self.set(socket, len);
        } else {
            self.allow(socket, len);
        }
        (self.segment > 0).then_some(self.segment)
    }

    fn starts_a_train(&self, batch: &SendBatch, next: usize, len: usize) -> bool {
        len != self.segment && next + 1 < batch.unsent().end && batch.datagram_len(next + 1) == len
    }

    /// Sends one datagram in one piece.
    pub(super) fn send_one(&mut self, socket: &ConnectedSocket, bytes: &[u8]) -> io::Result<()> {
        self.allow(socket, bytes.len());
        match socket.socket().send(bytes) {
            // Some kernels refuse even a short one while the size of the segments is above what the path carries.
            Err(error) if self.segment > 0 && error.raw_os_error() == Some(libc::EINVAL) => {
                self.set(socket, 0);
                socket.socket().send(bytes)
            }
            sent => sent,
        }
        .map(|_| ())
    }

    /// Lets a datagram of this length leave in one piece.
    fn allow(&mut self, socket: &ConnectedSocket, len: usize) {
        if self.segment > 0 && len > self.segment {
            self.set(socket, 0);
        }
    }

    fn set(&mut self, socket: &ConnectedSocket, segment: usize) {
        match socket.set_segment(segment) {
            Ok(()) => self.segment = segment,
            Err(error) => {
                tracing::info!(%error, "this system does not send trains; slices go out one by one");
                self.usable = false;
                self.segment = 0;
            }
        }
    }

    /// Whether the error says that trains do not work here (a network card without checksums, an old kernel). They are
    /// not tried again on this socket.
    pub(super) fn give_up(&mut self, socket: &ConnectedSocket, error: &io::Error) -> bool {
        let refused = matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL));
        if refused {
            tracing::info!(%error, "trains are refused on the way to {}; slices go out one by one", socket.peer());
            self.usable = false;
            self.set(socket, 0);
        }
        refused
    }
}
