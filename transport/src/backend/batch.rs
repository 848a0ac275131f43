//! What is to be sent, and where what is received shall land: arrays that are built once and refilled for every batch.

use std::ops::Range;

use libc::iovec;
use thiserror::Error;

use crate::frame::{Arrival, Frame, LandingLease, SLOTS_MAX};
use crate::wire::DATAGRAM_MAX;

/// Room for the bytes in front of a payload, and for every datagram that has none.
pub const HEAD_MAX: usize = 1024;
/// The most datagrams that a batch is made for: more than the longest frame has pieces.
pub const BATCH_MAX: usize = 1 << 17;

/// Why something is not added to a batch, which stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// There is no room for so many datagrams.
    #[error("{datagrams} datagrams do not fit a batch that has room for {room}; send or clear it first")]
    Full {
        /// How many should be added.
        datagrams: usize,
        /// How many more fit.
        room: usize,
    },
    /// The bytes are not in the frame or slot.
    #[error("bytes {range:?} are not inside a frame or slot of {bytes}")]
    Outside {
        /// Which bytes were meant.
        range: Range<usize>,
        /// How many there are.
        bytes: usize,
    },
    /// Slices of no bytes.
    #[error("slices of no bytes never end; use at least 1 byte a slice")]
    EmptySlices,
    /// Another batch lands in the slot.
    #[error("another batch lands in the slot; release that one first")]
    Taken,
    /// The batch was made for datagrams of the other kind.
    #[error("a batch with a scratch takes sealed slices alone, and one without takes none; make one of the other kind")]
    OtherKind,
}

/// What of a datagram is in memory of the batch's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    /// Its head; the payload lies in a frame or slot.
    Head,
    /// All of it.
    Whole,
}

impl Own {
    /// Pieces of each datagram.
    const fn pieces(self) -> usize {
        match self {
            Self::Head => 2,
            Self::Whole => 1,
        }
    }
}

/// Heads and payloads of a batch as one array `[head][payload][head][payload]…`, or `[datagram][datagram]…` where all of each is the
/// batch's own: the shape that the kernel reads.
struct Pieces {
    /// Owned through a raw pointer: the iovecs point into it, and the kernel writes there.
    heads: *mut u8,
    own: Own,
    stride: usize,
    datagrams_max: usize,
    iovecs: Vec<iovec>,
}

// SAFETY: `heads` is memory that this value alone owns, and the payload pointers are covered by the leases that the batch
// around it holds; neither is tied to a thread.
unsafe impl Send for Pieces {}

impl Pieces {
    /// For 1 to [`BATCH_MAX`] datagrams and heads of at most [`HEAD_MAX`] bytes.
    fn new(datagrams_max: usize, head_bytes: usize) -> Self {
        // Whole cache lines, so that no two heads share one.
        Self::with_stride(datagrams_max, head_bytes, head_bytes.next_multiple_of(64), Own::Head)
    }

    /// The same with room for a payload of `cell_bytes` behind each head. One datagram begins where the one before it may end: a train
    /// of them is one piece.
    fn whole(datagrams_max: usize, head_bytes: usize, cell_bytes: usize) -> Self {
        Self::with_stride(datagrams_max, head_bytes, head_bytes + cell_bytes, Own::Whole)
    }

    fn with_stride(datagrams_max: usize, head_bytes: usize, stride: usize, own: Own) -> Self {
        let heads = Box::into_raw(vec![0_u8; stride * datagrams_max].into_boxed_slice()).cast::<u8>();
        let mut iovecs = Vec::with_capacity(own.pieces() * datagrams_max);
        for _ in 0..datagrams_max {
            iovecs.push(iovec { iov_base: std::ptr::null_mut(), iov_len: head_bytes });
            if own == Own::Head {
                iovecs.push(iovec { iov_base: std::ptr::null_mut(), iov_len: 0 });
            }
        }
        let mut pieces = Self { heads, own, stride, datagrams_max, iovecs };
        pieces.order_heads();
        pieces
    }

    /// Points each datagram's first piece to the head of its number.
    fn order_heads(&mut self) {
        for index in 0..self.datagrams_max {
            // SAFETY: `index` is below `datagrams_max`, so the head lies inside the allocation.
            let head = unsafe { self.heads.add(index * self.stride) };
            self.iovecs[self.own.pieces() * index].iov_base = head.cast();
        }
    }

    fn head(&self, index: usize, len: usize) -> &[u8] {
        assert!(index < self.datagrams_max && len <= self.stride);
        // SAFETY: inside the allocation, checked above.
        let head = unsafe { self.heads.add(index * self.stride) };
        // SAFETY: `len` bytes from there are inside too, initialised as zeroes, and the kernel writes to them only during a
        // call that borrows the batch mutably.
        unsafe { std::slice::from_raw_parts(head, len) }
    }

    fn head_mut(&mut self, index: usize, len: usize) -> &mut [u8] {
        assert!(index < self.datagrams_max && len <= self.stride);
        // SAFETY: inside the allocation, checked above.
        let head = unsafe { self.heads.add(index * self.stride) };
        // SAFETY: as in `head`, and `&mut self` makes the borrow exclusive.
        unsafe { std::slice::from_raw_parts_mut(head, len) }
    }

    fn set_payload(&mut self, index: usize, base: *mut u8, len: usize) {
        debug_assert!(self.own == Own::Head);
        self.iovecs[2 * index + 1] = iovec { iov_base: base.cast(), iov_len: len };
    }

    /// Bytes of a datagram that is the batch's own.
    fn set_len(&mut self, index: usize, len: usize) {
        assert!(self.own == Own::Whole && len <= self.stride);
        self.iovecs[index].iov_len = len;
    }

    /// The pieces of consecutive datagrams.
    fn range(&self, datagrams: Range<usize>) -> Range<usize> {
        self.own.pieces() * datagrams.start..self.own.pieces() * datagrams.end
    }

    fn of_datagram(&self, index: usize) -> &[iovec] {
        &self.iovecs[self.range(index..index + 1)]
    }

    /// Bytes of head and payload.
    fn len(&self, index: usize) -> usize {
        self.of_datagram(index).iter().map(|piece| piece.iov_len).sum()
    }

    /// Whether a payload begins where the one before it ends, or a datagram does that is the batch's own.
    fn continues(&self, index: usize) -> bool {
        let last = |index: usize| self.iovecs[self.own.pieces() * (index + 1) - 1];
        let (before, this) = (last(index - 1), last(index));
        before.iov_base.addr() + before.iov_len == this.iov_base.addr()
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        let heads = std::ptr::slice_from_raw_parts_mut(self.heads, self.stride * self.datagrams_max);
        // SAFETY: made by `Box::into_raw` with this length in `new`, and given back only here.
        drop(unsafe { Box::from_raw(heads) });
    }
}

/// Datagrams to send, each a head and a range of a frame; or, in a batch with a scratch, a head and a payload that were sealed into it.
///
/// What is in the scratch stays as it was sealed until [`SendBatch::clear`]: whatever is sent again, after a full socket, one by one
/// where trains are refused, by another backend, are the same bytes. Nothing is sealed twice.
pub struct SendBatch {
    pieces: Pieces,
    head_bytes: usize,
    /// Keeps every frame that a payload pointer points into.
    leases: Vec<Frame>,
    len: usize,
    sent: usize,
    /// Datagrams went out before ones that were pushed earlier, so the pieces are not in the order of their heads.
    reordered: bool,
}

impl SendBatch {
    /// For at most `datagrams_max` datagrams, 1 to [`BATCH_MAX`], with `head_bytes` in front of each payload, at most
    /// [`HEAD_MAX`]; what is outside is taken as the nearest.
    pub fn new(datagrams_max: usize, head_bytes: usize) -> Self {
        let (datagrams_max, head_bytes) = (datagrams_max.clamp(1, BATCH_MAX), head_bytes.min(HEAD_MAX));
        let pieces = Pieces::new(datagrams_max, head_bytes);
        Self { pieces, head_bytes, leases: Vec::with_capacity(SLOTS_MAX), len: 0, sent: 0, reordered: false }
    }

    /// For sealed slices alone: the same, with a scratch of `cell_bytes` for the payload of each datagram, at most 65,507. It is to
    /// be so small that what was sealed is still in cache when the system reads it.
    pub fn with_scratch(datagrams_max: usize, head_bytes: usize, cell_bytes: usize) -> Self {
        let (datagrams_max, head_bytes) = (datagrams_max.clamp(1, BATCH_MAX), head_bytes.min(HEAD_MAX));
        let pieces = Pieces::whole(datagrams_max, head_bytes, cell_bytes.min(DATAGRAM_MAX));
        Self { pieces, head_bytes, leases: Vec::new(), len: 0, sent: 0, reordered: false }
    }

    /// Whether the batch is for sealed slices.
    pub fn has_scratch(&self) -> bool {
        self.pieces.own == Own::Whole
    }

    /// Adds datagrams whose payloads are sealed into the scratch: together of `payload_bytes`, with `cell` bytes in each but the last,
    /// which has the rest. `seal` is called once for each, in order, with its number, from 0, its head and its payload, to be
    /// written.
    ///
    /// # Errors
    /// The batch has not enough room, or no scratch for cells of `cell` bytes, or `cell` is 0. Nothing was sealed then.
    pub fn push_sealed(
        &mut self,
        payload_bytes: usize,
        cell: usize,
        mut seal: impl FnMut(u32, &mut [u8], &mut [u8]),
    ) -> Result<(), BatchError> {
        if cell == 0 {
            return Err(BatchError::EmptySlices);
        }
        if !self.has_scratch() {
            return Err(BatchError::OtherKind);
        }
        let datagrams = payload_bytes.div_ceil(cell);
        if datagrams > self.room() {
            return Err(BatchError::Full { datagrams, room: self.room() });
        }
        let room = self.pieces.stride - self.head_bytes;
        let longest = cell.min(payload_bytes);
        if longest > room {
            return Err(BatchError::Outside { range: 0..longest, bytes: room });
        }
        for (nth, at) in (0..).zip((0..payload_bytes).step_by(cell)) {
            let len = self.head_bytes + cell.min(payload_bytes - at);
            let (head, payload) = self.pieces.head_mut(self.len, len).split_at_mut(self.head_bytes);
            seal(nth, head, payload);
            self.pieces.set_len(self.len, len);
            self.len += 1;
        }
        Ok(())
    }

    /// Adds a datagram: the head, which `write_head` fills, and bytes `payload` of `frame`.
    ///
    /// # Errors
    /// The batch is full, or the range is not inside the frame.
    pub fn push(
        &mut self,
        frame: &Frame,
        payload: Range<usize>,
        write_head: impl FnOnce(&mut [u8]),
    ) -> Result<(), BatchError> {
        let bytes = self.check(frame, payload, 1)?;
        self.hold(frame);
        self.push_payload(bytes, write_head);
        Ok(())
    }

    /// The bytes of a frame, if so many datagrams can be added.
    fn check<'a>(&self, frame: &'a Frame, payload: Range<usize>, datagrams: usize) -> Result<&'a [u8], BatchError> {
        if self.has_scratch() {
            return Err(BatchError::OtherKind);
        }
        if datagrams > self.room() {
            return Err(BatchError::Full { datagrams, room: self.room() });
        }
        let whole = frame.whole();
        whole.get(payload.clone()).ok_or(BatchError::Outside { range: payload, bytes: whole.len() })
    }

    /// Adds datagrams that follow each other: bytes `payload` of `frame` and what follows its pixels, `cell` bytes in each but the last, which has the
    /// rest. `write_head` gets the number of each, from 0, and its head to be written.
    ///
    /// # Errors
    /// The batch has not enough room, the range is not inside the frame, or `cell` is 0.
    pub fn push_slices(
        &mut self,
        frame: &Frame,
        payload: Range<usize>,
        cell: usize,
        mut write_head: impl FnMut(u32, &mut [u8]),
    ) -> Result<(), BatchError> {
        if cell == 0 {
            return Err(BatchError::EmptySlices);
        }
        let datagrams = payload.len().div_ceil(cell);
        let bytes = self.check(frame, payload, datagrams)?;
        self.hold(frame);
        for (nth, bytes) in (0..).zip(bytes.chunks(cell)) {
            self.push_payload(bytes, |head| write_head(nth, head));
        }
        Ok(())
    }

    fn hold(&mut self, frame: &Frame) {
        if !self.leases.iter().any(|lease| std::ptr::eq(lease.as_ptr(), frame.as_ptr())) {
            self.leases.push(frame.clone());
        }
    }

    /// The payload must be of a frame that is held, and there must be room for it.
    fn push_payload(&mut self, payload: &[u8], write_head: impl FnOnce(&mut [u8])) {
        write_head(self.pieces.head_mut(self.len, self.head_bytes));
        // The kernel only reads what is sent.
        self.pieces.set_payload(self.len, payload.as_ptr().cast_mut(), payload.len());
        self.len += 1;
    }

    /// How many more datagrams fit.
    pub fn room(&self) -> usize {
        self.pieces.datagrams_max - self.len
    }

    /// Whether everything has been sent.
    pub fn is_sent(&self) -> bool {
        self.sent == self.len
    }

    /// Forgets the datagrams, sent or not, and gives the frames back.
    pub fn clear(&mut self) {
        self.leases.clear();
        self.len = 0;
        self.sent = 0;
        if std::mem::take(&mut self.reordered) {
            self.pieces.order_heads();
        }
    }

    /// The datagrams that are still to be sent.
    pub(super) fn unsent(&self) -> Range<usize> {
        self.sent..self.len
    }

    /// Notes that these of [`SendBatch::unsent`] went out. Any in front of them are still to be sent, and the numbers of
    /// those behind them stay.
    pub(super) fn note_sent(&mut self, datagrams: Range<usize>) {
        if datagrams.start > self.sent {
            let pieces = self.pieces.own.pieces();
            self.pieces.iovecs[pieces * self.sent..pieces * datagrams.end].rotate_right(pieces * datagrams.len());
            self.reordered = true;
        }
        self.sent += datagrams.len();
    }

    /// The pieces of consecutive datagrams: two each, or one each where the batch has a scratch.
    pub(super) fn iovecs(&self, datagrams: Range<usize>) -> &[iovec] {
        &self.pieces.iovecs[self.pieces.range(datagrams)]
    }

    /// Consecutive datagrams of which each [continues](Self::continues) the one before it, as one piece; `None` where they are more.
    #[cfg(target_os = "linux")]
    pub(super) fn in_one_piece(&self, datagrams: Range<usize>) -> Option<iovec> {
        let pieces = self.iovecs(datagrams);
        let first = pieces.first().filter(|_| self.has_scratch())?;
        Some(iovec { iov_base: first.iov_base, iov_len: pieces.iter().map(|piece| piece.iov_len).sum() })
    }

    /// Bytes of a datagram.
    pub(super) fn datagram_len(&self, index: usize) -> usize {
        self.pieces.len(index)
    }

    /// Whether a datagram carries on in its frame, or in the scratch, where the one before it ended.
    pub(super) fn continues(&self, index: usize) -> bool {
        self.pieces.continues(index)
    }
}

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
    pub(super) fn free(&self) -> Range<usize> {
        self.taken..self.posted
    }

    /// Bytes that a landing has room for, its head included.
    pub(super) fn landing_len(&self, index: usize) -> usize {
        self.pieces.len(index)
    }

    /// Whether a landing begins where the one before it ends, in the same slot.
    pub(super) fn continues(&self, index: usize) -> bool {
        self.pieces.continues(index)
    }

    /// A datagram of `len` bytes is in a landing: landings up to it are used up.
    pub(super) fn note_received(&mut self, landing: usize, len: usize) {
        // Both are far below 2^32: a batch has a thousand landings, a datagram 65,507 bytes.
        self.received.push(Received { landing: landing as u32, len: len as u32 });
        self.taken = self.taken.max(landing + 1);
    }

    /// Landings below this are not to be used any more.
    pub(super) fn note_taken(&mut self, landings: usize) {
        self.taken = self.taken.max(landings);
    }

    /// The pieces of consecutive landings, two each.
    pub(super) fn iovecs(&mut self, landings: Range<usize>) -> &mut [iovec] {
        &mut self.pieces.iovecs[2 * landings.start..2 * landings.end]
    }

    pub(super) fn received(&self) -> usize {
        self.received.len()
    }

    /// Copies out what is in a landing, head and payload, as far as there is room; returns how much.
    pub(super) fn read_landing(&self, index: usize, into: &mut [u8]) -> usize {
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
    pub(super) fn land(&mut self, datagram: &[u8]) {
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

    /// Every datagram that is still to be sent, in order.
    fn sealed_unsent(batch: &SendBatch) -> Vec<Vec<u8>> {
        let datagrams = batch.iovecs(batch.unsent()).iter();
        // SAFETY: the pieces of a batch with a scratch lie in it, initialised, and nobody writes to it while it is borrowed.
        datagrams
            .map(|piece| unsafe { std::slice::from_raw_parts(piece.iov_base.cast(), piece.iov_len) }.to_vec())
            .collect()
    }

    /// First bytes of the heads and payloads that are still to be sent.
    fn unsent(batch: &SendBatch) -> Vec<(u8, u8)> {
        let pairs = batch.iovecs(batch.unsent()).chunks(2);
        // SAFETY: every piece of these batches has a byte, in the heads or in a frame that the batch holds.
        let first = |piece: &iovec| unsafe { *piece.iov_base.cast::<u8>() };
        pairs.map(|pair| (first(&pair[0]), first(&pair[1]))).collect()
    }

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

    #[test]
    fn what_does_not_fit_a_batch_is_refused_with_the_numbers_and_changes_nothing() {
        let pool = FramePool::new(1, 64).unwrap();
        let frame = pool.try_acquire().unwrap().freeze();
        let mut batch = SendBatch::new(0, usize::MAX);
        assert_eq!(batch.room(), 1);
        batch.push(&frame, 0..1, |head| assert_eq!(head.len(), HEAD_MAX)).unwrap();
        let mut batch = SendBatch::new(2, 0);
        for range in [0..65, usize::MAX - 1..usize::MAX, 65..66] {
            let refused = batch.push(&frame, range.clone(), |_| {});
            assert_eq!(refused, Err(BatchError::Outside { range, bytes: 64 }));
        }
        let mut slices = |cell| batch.push_slices(&frame, 0..64, cell, |_, _| {});
        assert_eq!(slices(0), Err(BatchError::EmptySlices));
        assert_eq!(slices(1), Err(BatchError::Full { datagrams: 64, room: 2 }));
        assert_eq!(slices(usize::MAX), Ok(()));
        assert_eq!(batch.room(), 1);
        let backwards = Range { start: 9, end: 8 };
        let refused = batch.push_slices(&frame, backwards.clone(), 4, |_, _| {});
        assert_eq!(refused, Err(BatchError::Outside { range: backwards, bytes: 64 }));
        assert_eq!((batch.room(), batch.unsent()), (1, 0..1));
    }

    #[test]
    fn what_went_out_early_is_not_sent_again_and_the_rest_keeps_its_order_and_its_heads() {
        let pool = FramePool::new(1, 6).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        frame.set_len(6).unwrap();
        frame.copy_from_slice(&[10, 11, 12, 13, 14, 15]);
        let frame = frame.freeze();
        let mut batch = SendBatch::new(6, 1);
        for _ in 0..2 {
            for nth in 0..6 {
                batch.push(&frame, nth..nth + 1, |head| head[0] = nth as u8).unwrap();
            }
            batch.note_sent(0..1);
            batch.note_sent(2..3);
            assert_eq!(unsent(&batch), [(1, 11), (3, 13), (4, 14), (5, 15)]);
            batch.note_sent(4..6);
            assert_eq!(unsent(&batch), [(1, 11), (3, 13)]);
            batch.note_sent(batch.unsent());
            assert!(batch.is_sent());
            batch.clear();
        }
    }

    #[test]
    fn what_was_sealed_stays_as_it_is_however_it_leaves_and_each_datagram_is_sealed_once() {
        let mut batch = SendBatch::with_scratch(6, 2, 4);
        for _ in 0..2 {
            let mut sealed = Vec::new();
            let mut seal = |nth: u32, head: &mut [u8], payload: &mut [u8]| {
                sealed.push((nth, payload.len()));
                head.fill(nth as u8);
                payload.fill(10 + nth as u8);
            };
            batch.push_sealed(9, 4, &mut seal).unwrap();
            batch.push_sealed(12, 4, &mut seal).unwrap();
            assert_eq!(sealed, [(0, 4), (1, 4), (2, 1), (0, 4), (1, 4), (2, 4)]);
            assert!(batch.room() == 0 && batch.continues(1) && batch.continues(2) && !batch.continues(3));
            let all = sealed_unsent(&batch);
            assert_eq!(all[..3], [vec![0, 0, 10, 10, 10, 10], vec![1, 1, 11, 11, 11, 11], vec![2, 2, 12]]);
            // Some go early, others are tried again, and all are as they were.
            batch.note_sent(1..2);
            assert_eq!(sealed_unsent(&batch), [&all[..1], &all[2..]].concat());
            batch.note_sent(3..5);
            assert_eq!(sealed_unsent(&batch), [&all[..1], &all[2..3], &all[5..]].concat());
            batch.note_sent(batch.unsent());
            assert!(batch.is_sent());
            batch.clear();
        }
    }

    #[test]
    fn a_train_of_sealed_slices_is_one_piece_and_any_other_is_not() {
        let mut batch = SendBatch::with_scratch(4, 2, 4);
        batch
            .push_sealed(15, 4, |nth, head, payload| {
                head.fill(nth as u8);
                payload.fill(nth as u8);
            })
            .unwrap();
        let first = batch.iovecs(0..1)[0].iov_base;
        let train = batch.in_one_piece(0..4).unwrap();
        assert_eq!((train.iov_base, train.iov_len), (first, 4 * 2 + 15));
        let pool = FramePool::new(1, 64).unwrap();
        let frame = pool.try_acquire().unwrap().freeze();
        let mut plain = SendBatch::new(2, 2);
        plain.push_slices(&frame, 0..64, 32, |_, _| {}).unwrap();
        assert!(plain.in_one_piece(0..2).is_none());
        assert_eq!(plain.push_sealed(1, 1, |_, _, _| panic!("sealed")), Err(BatchError::OtherKind));
        assert_eq!(batch.push(&frame, 0..1, |_| {}), Err(BatchError::OtherKind));
    }

    #[test]
    fn what_does_not_fit_the_scratch_is_refused_before_anything_is_sealed() {
        let mut batch = SendBatch::with_scratch(2, 2, 4);
        let never = |_: u32, _: &mut [u8], _: &mut [u8]| panic!("sealed");
        assert_eq!(batch.push_sealed(4, 0, never), Err(BatchError::EmptySlices));
        assert_eq!(batch.push_sealed(9, 4, never), Err(BatchError::Full { datagrams: 3, room: 2 }));
        assert_eq!(batch.push_sealed(9, 5, never), Err(BatchError::Outside { range: 0..5, bytes: 4 }));
        batch.push_sealed(3, usize::MAX, |_, _, payload| assert_eq!(payload.len(), 3)).unwrap();
        assert_eq!((batch.room(), batch.unsent()), (1, 0..1));
        assert_eq!(SendBatch::with_scratch(0, usize::MAX, usize::MAX).room(), 1);
    }
}
