//! Where what is received shall land.

use std::ops::Range;

use libc::iovec;

use super::pieces::Pieces;
use super::{BATCH_MAX, BatchError, HEAD_MAX};
use crate::frame::{Arrival, LandingLease, SLOTS_MAX};

/// One datagram that was received.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Its place in the batch: the number of the landing that was posted for it.
    pub index: usize,
    /// Its first bytes, as many as the batch has room for in front of a payload.
    pub head: &'a [u8],
    /// Bytes of the whole datagram; where it was longer than its landing, one more than there was room for.
    pub len: usize,
}

/// A datagram's landing, and its length.
#[derive(Debug, Clone, Copy)]
struct Received {
    landing: u32,
    len: u32,
}

/// Where the next datagrams land, and what came of it.
pub struct ReceiveBatch {
    pieces: Pieces,
    head_bytes: usize,
    /// Keeps every slot that the kernel may write to.
    leases: Vec<LandingLease>,
    posted: usize,
    /// Landings that are used up, or were passed by.
    taken: usize,
    received: Vec<Received>,
}

impl ReceiveBatch {
    /// For at most `datagrams_max` datagrams, 1 to [`BATCH_MAX`], of which the first `head_bytes` each, at most [`HEAD_MAX`], are
    /// kept apart; what is outside is taken as the nearest.
    pub fn new(datagrams_max: usize, head_bytes: usize) -> Self {
        let (datagrams_max, head_bytes) = (datagrams_max.clamp(1, BATCH_MAX), head_bytes.min(HEAD_MAX));
        Self {
            pieces: Pieces::new(datagrams_max, head_bytes),
            head_bytes,
            leases: Vec::with_capacity(SLOTS_MAX),
            posted: 0,
            taken: 0,
            received: Vec::with_capacity(datagrams_max),
        }
    }

    /// Forgets the last batch.
    pub fn clear(&mut self) {
        self.release();
        self.taken = 0;
        self.received.clear();
    }

    /// Posts a landing: what follows the head of the next datagram goes to `range` of the slot.
    ///
    /// # Errors
    /// As [`ReceiveBatch::post_cells`].
    pub fn post(&mut self, arrival: &Arrival, range: Range<usize>) -> Result<(), BatchError> {
        self.post_cells(arrival, range.start, range.len(), 1)
    }

    /// Posts landings that follow each other: `cells` of them, `cell` bytes each, from `offset` of the slot on.
    ///
    /// # Errors
    /// The batch is full, a landing is not inside the slot, or another batch lands in it.
    pub fn post_cells(
        &mut self,
        arrival: &Arrival,
        offset: usize,
        cell: usize,
        cells: usize,
    ) -> Result<(), BatchError> {
        let room = self.pieces.datagrams_max - self.posted;
        if cells > room {
            return Err(BatchError::Full { datagrams: cells, room });
        }
        // Lengths that only a wrapped sum would make fit are longer than any slot.
        let end = cells.checked_mul(cell).and_then(|bytes| bytes.checked_add(offset)).unwrap_or(usize::MAX);
        if end > arrival.capacity() {
            return Err(BatchError::Outside { range: offset..end, bytes: arrival.capacity() });
        }
        let mut base = arrival.landing_ptr(&(offset..end));
        if !self.leases.iter().any(|lease| lease.is_on(arrival)) {
            self.leases.push(arrival.landing_lease().ok_or(BatchError::Taken)?);
        }
        let posted = self.posted + cells;
        for landing in self.posted..posted {
            self.pieces.set_payload(landing, base, cell);
            // Stays within the range that was checked above, or one past its end.
            base = base.wrapping_add(cell);
        }
        self.posted = posted;
        Ok(())
    }

    /// Posts landings for datagrams that are all head, as many as the batch takes.
    pub fn post_heads(&mut self) {
        while self.posted < self.pieces.datagrams_max {
            self.pieces.set_payload(self.posted, std::ptr::null_mut(), 0);
            self.posted += 1;
        }
    }

    /// Gives the slots back: nothing lands any more. What was received can still be read.
    pub fn release(&mut self) {
        self.posted = 0;
        self.leases.clear();
    }

    /// What was received, in order.
    pub fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        self.received.iter().map(|received| {
            let (index, len) = (received.landing as usize, received.len as usize);
            Datagram { index, head: self.pieces.head(index, len.min(self.head_bytes)), len }
        })
    }

    /// The landings that can still be used.
    pub(in crate::backend) fn free(&self) -> Range<usize> {
        self.taken..self.posted
    }

    /// Bytes that a landing has room for, its head included.
    pub(in crate::backend) fn landing_len(&self, index: usize) -> usize {
        self.pieces.len(index)
    }

    /// Whether a landing begins where the one before it ends, in the same slot.
    pub(in crate::backend) fn continues(&self, index: usize) -> bool {
        self.pieces.continues(index)
    }

    /// A datagram of `len` bytes is in a landing: landings up to it are used up.
    pub(in crate::backend) fn note_received(&mut self, landing: usize, len: usize) {
        // Both are far below 2^32: a batch has a thousand landings, a datagram 65,507 bytes.
        self.received.push(Received { landing: landing as u32, len: len as u32 });
        self.taken = self.taken.max(landing + 1);
    }

    /// Landings below this are not to be used any more.
    pub(in crate::backend) fn note_taken(&mut self, landings: usize) {
        self.taken = self.taken.max(landings);
    }

    /// The pieces of consecutive landings, two each.
    pub(in crate::backend) fn iovecs(&mut self, landings: Range<usize>) -> &mut [iovec] {
        &mut self.pieces.iovecs[2 * landings.start..2 * landings.end]
    }

    pub(in crate::backend) fn received(&self) -> usize {
        self.received.len()
    }

    /// Copies out what is in a landing, head and payload, as far as there is room; returns how much.
    pub(in crate::backend) fn read_landing(&self, index: usize, into: &mut [u8]) -> usize {
        let mut at = 0;
        for piece in self.pieces.of_datagram(index) {
            let len = piece.iov_len.min(into.len() - at);
            if len > 0 {
                let into = &mut into[at..at + len];
                // SAFETY: the piece is `iov_len` initialised bytes of the heads or of a slot that this batch holds a lease
                // for, to which nobody writes now; `into` lies elsewhere, in memory of the backend.
                unsafe { std::ptr::copy_nonoverlapping(piece.iov_base.cast::<u8>(), into.as_mut_ptr(), len) };
            }
            at += len;
        }
        at
    }

    /// Copies a datagram into the next free landing, as the kernel would have.
    pub(in crate::backend) fn land(&mut self, datagram: &[u8]) {
        let landing = self.taken;
        assert!(landing < self.posted, "no landing is free");
        let (head, payload) = datagram.split_at(datagram.len().min(self.head_bytes));
        self.pieces.head_mut(landing, head.len()).copy_from_slice(head);
        let iovec { iov_base, iov_len } = self.pieces.iovecs[2 * landing + 1];
        let fitting = payload.len().min(iov_len);
        if fitting > 0 {
            // SAFETY: the landing has room for `iov_len` bytes in a slot that this batch holds a lease for, to which no
            // Rust reference exists; `payload` lies elsewhere, in memory of the backend.
            unsafe { std::ptr::copy_nonoverlapping(payload.as_ptr(), iov_base.cast::<u8>(), fitting) };
        }
        let cut = usize::from(payload.len() > iov_len);
        self.note_received(landing, head.len() + fitting + cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FramePool;

    #[test]
    fn lengths_that_wrap_around_and_slots_of_another_batch_are_not_landed_in() {
        let pool = FramePool::new(1, 64).unwrap();
        let arrival = pool.try_arrival().unwrap();
        let mut batch = ReceiveBatch::new(4, 1);
        let wrapping = [(0, usize::MAX / 2 + 1, 2), (usize::MAX, 1, 1), (8, usize::MAX - 7, 1), (0, usize::MAX, 3)];
        for (offset, cell, cells) in wrapping {
            let refused = batch.post_cells(&arrival, offset, cell, cells);
            assert!(matches!(refused, Err(BatchError::Outside { bytes: 64, .. })), "{offset} {cell} {cells}");
        }
        let refused = batch.post_cells(&arrival, 0, 1, usize::MAX);
        assert_eq!(refused, Err(BatchError::Full { datagrams: usize::MAX, room: 4 }));
        batch.post_cells(&arrival, 0, 16, 4).unwrap();
        let mut other = ReceiveBatch::new(4, 1);
        assert_eq!(other.post(&arrival, 0..16), Err(BatchError::Taken));
        batch.release();
        other.post(&arrival, 0..16).unwrap();
    }
}
