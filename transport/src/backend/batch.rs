//! What is to be sent, and where what is received shall land: arrays that are built once and refilled for every batch.

use std::ops::Range;

use libc::iovec;

use crate::frame::{Arrival, Frame, LandingLease, SLOTS_MAX};

/// Room for the bytes in front of a payload, and for every datagram that has none.
pub const HEAD_MAX: usize = 1024;

/// Heads and payloads of a batch as one array `[head][payload][head][payload]…`, the shape that the kernel reads.
struct Pieces {
    /// Owned through a raw pointer: the iovecs point into it, and the kernel writes there.
    heads: *mut u8,
    stride: usize,
    datagrams_max: usize,
    iovecs: Vec<iovec>,
}

// SAFETY: `heads` is memory that this value alone owns, and the payload pointers are covered by the leases that the batch
// around it holds; neither is tied to a thread.
unsafe impl Send for Pieces {}

impl Pieces {
    fn new(datagrams_max: usize, head_bytes: usize) -> Self {
        assert!(head_bytes <= HEAD_MAX && datagrams_max > 0);
        // Whole cache lines, so that no two heads share one.
        let stride = head_bytes.next_multiple_of(64);
        let heads = Box::into_raw(vec![0_u8; stride * datagrams_max].into_boxed_slice()).cast::<u8>();
        let mut iovecs = Vec::with_capacity(2 * datagrams_max);
        for index in 0..datagrams_max {
            // SAFETY: `index` is below `datagrams_max`, so the head lies inside the allocation made above.
            let head = unsafe { heads.add(index * stride) };
            iovecs.push(iovec { iov_base: head.cast(), iov_len: head_bytes });
            iovecs.push(iovec { iov_base: std::ptr::null_mut(), iov_len: 0 });
        }
        Self { heads, stride, datagrams_max, iovecs }
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
        self.iovecs[2 * index + 1] = iovec { iov_base: base.cast(), iov_len: len };
    }

    fn of_datagram(&self, index: usize) -> &[iovec] {
        &self.iovecs[2 * index..2 * index + 2]
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        let heads = std::ptr::slice_from_raw_parts_mut(self.heads, self.stride * self.datagrams_max);
        // SAFETY: made by `Box::into_raw` with this length in `new`, and given back only here.
        drop(unsafe { Box::from_raw(heads) });
    }
}

/// Datagrams to send, each a head and a range of a frame.
pub struct SendBatch {
    pieces: Pieces,
    head_bytes: usize,
    /// Keeps every frame that a payload pointer points into.
    leases: Vec<Frame>,
    len: usize,
    sent: usize,
}

impl SendBatch {
    /// For at most `datagrams_max` datagrams with `head_bytes` in front of each payload.
    ///
    /// # Panics
    /// Where `head_bytes` is more than [`HEAD_MAX`] or `datagrams_max` is 0.
    pub fn new(datagrams_max: usize, head_bytes: usize) -> Self {
        let pieces = Pieces::new(datagrams_max, head_bytes);
        Self { pieces, head_bytes, leases: Vec::with_capacity(SLOTS_MAX), len: 0, sent: 0 }
    }

    /// Adds a datagram: the head, which `write_head` fills, and bytes `payload` of `frame`.
    ///
    /// # Panics
    /// Where the batch is full or the range is not inside the frame.
    pub fn push<const HEAD: usize>(
        &mut self,
        frame: &Frame,
        payload: Range<usize>,
        write_head: impl FnOnce(&mut [u8; HEAD]),
    ) {
        assert!(HEAD == self.head_bytes, "heads of this batch have {} bytes, not {HEAD}", self.head_bytes);
        let bytes = &frame[payload];
        if let Ok(head) = self.pieces.head_mut(self.len, HEAD).try_into() {
            write_head(head);
        }
        // The kernel only reads what is sent.
        self.pieces.set_payload(self.len, bytes.as_ptr().cast_mut(), bytes.len());
        let held = self.leases.iter().any(|lease| std::ptr::eq(lease.as_ptr(), frame.as_ptr()));
        if !held {
            self.leases.push(frame.clone());
        }
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
    }

    /// The datagrams that are still to be sent.
    pub(super) fn unsent(&self) -> Range<usize> {
        self.sent..self.len
    }

    pub(super) fn note_sent(&mut self, datagrams: usize) {
        self.sent += datagrams;
    }

    /// The two pieces of a datagram.
    pub(super) fn iovecs(&self, index: usize) -> &[iovec] {
        self.pieces.of_datagram(index)
    }
}

/// One datagram that was received.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Its place in the batch: the number of the landing that was posted for it.
    pub index: usize,
    /// Its first bytes, as many as the batch has room for in front of a payload.
    pub head: &'a [u8],
    /// Bytes of the whole datagram, as far as there was room.
    pub len: usize,
}

/// Where the next datagrams land, and what came of it.
pub struct ReceiveBatch {
    pieces: Pieces,
    head_bytes: usize,
    /// Keeps every slot that the kernel may write to.
    leases: Vec<LandingLease>,
    posted: usize,
    lens: Vec<usize>,
}

impl ReceiveBatch {
    /// For at most `datagrams_max` datagrams, of which the first `head_bytes` each are kept apart.
    ///
    /// # Panics
    /// Where `head_bytes` is more than [`HEAD_MAX`] or `datagrams_max` is 0.
    pub fn new(datagrams_max: usize, head_bytes: usize) -> Self {
        Self {
            pieces: Pieces::new(datagrams_max, head_bytes),
            head_bytes,
            leases: Vec::with_capacity(SLOTS_MAX),
            posted: 0,
            lens: Vec::with_capacity(datagrams_max),
        }
    }

    /// Forgets the last batch.
    pub fn clear(&mut self) {
        self.release();
        self.lens.clear();
    }

    /// Posts a landing: what follows the head of the next datagram goes to `range` of the slot.
    ///
    /// # Panics
    /// Where the batch is full or the range is not inside the slot.
    pub fn post(&mut self, arrival: &Arrival, range: Range<usize>) {
        assert!(self.posted < self.pieces.datagrams_max, "a batch has {} datagrams", self.pieces.datagrams_max);
        let base = arrival.landing_ptr(&range);
        if !self.leases.iter().any(|lease| lease.is_on(arrival)) {
            self.leases.push(arrival.landing_lease());
        }
        self.pieces.set_payload(self.posted, base, range.len());
        self.posted += 1;
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
        self.lens.iter().enumerate().map(|(index, len)| {
            let head = self.pieces.head(index, (*len).min(self.head_bytes));
            Datagram { index, head, len: *len }
        })
    }

    pub(super) fn posted(&self) -> usize {
        self.posted
    }

    pub(super) fn note_received(&mut self, len: usize) {
        self.lens.push(len);
    }

    pub(super) fn received(&self) -> usize {
        self.lens.len()
    }

    /// The two pieces of a landing.
    pub(super) fn iovecs(&mut self, index: usize) -> &mut [iovec] {
        &mut self.pieces.iovecs[2 * index..2 * index + 2]
    }
}
