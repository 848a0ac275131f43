//! The arrays that the kernel reads and writes by, of either kind of batch.

use std::ops::Range;

use libc::iovec;

/// What of a datagram is in memory of the batch's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// Its head; the payload lies in a frame or slot.
    Head,
    /// All of it.
    Whole,
}

impl Own {
    /// Pieces of each datagram.
    pub(super) const fn pieces(self) -> usize {
        match self {
            Self::Head => 2,
            Self::Whole => 1,
        }
    }
}

/// Heads and payloads of a batch as one array `[head][payload][head][payload]…`, or `[datagram][datagram]…` where all of each is the
/// batch's own: the shape that the kernel reads.
pub(super) struct Pieces {
    /// Owned through a raw pointer: the iovecs point into it, and the kernel writes there.
    heads: *mut u8,
    pub(super) own: Own,
    pub(super) stride: usize,
    pub(super) datagrams_max: usize,
    pub(super) iovecs: Vec<iovec>,
}

// SAFETY: `heads` is memory that this value alone owns, and the payload pointers are covered by the leases that the batch
// around it holds; neither is tied to a thread.
unsafe impl Send for Pieces {}

impl Pieces {
    /// For 1 to [`BATCH_MAX`] datagrams and heads of at most [`HEAD_MAX`] bytes.
    pub(super) fn new(datagrams_max: usize, head_bytes: usize) -> Self {
        // Whole cache lines, so that no two heads share one.
        Self::with_stride(datagrams_max, head_bytes, head_bytes.next_multiple_of(64), Own::Head)
    }

    /// The same with room for a payload of `cell_bytes` behind each head. One datagram begins where the one before it may end: a train
    /// of them is one piece.
    pub(super) fn whole(datagrams_max: usize, head_bytes: usize, cell_bytes: usize) -> Self {
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
    pub(super) fn order_heads(&mut self) {
        for index in 0..self.datagrams_max {
            // SAFETY: `index` is below `datagrams_max`, so the head lies inside the allocation.
            let head = unsafe { self.heads.add(index * self.stride) };
            self.iovecs[self.own.pieces() * index].iov_base = head.cast();
        }
    }

    pub(super) fn head(&self, index: usize, len: usize) -> &[u8] {
        assert!(index < self.datagrams_max && len <= self.stride);
        // SAFETY: inside the allocation, checked above.
        let head = unsafe { self.heads.add(index * self.stride) };
        // SAFETY: `len` bytes from there are inside too, initialised as zeroes, and the kernel writes to them only during a
        // call that borrows the batch mutably.
        unsafe { std::slice::from_raw_parts(head, len) }
    }

    pub(super) fn head_mut(&mut self, index: usize, len: usize) -> &mut [u8] {
        assert!(index < self.datagrams_max && len <= self.stride);
        // SAFETY: inside the allocation, checked above.
        let head = unsafe { self.heads.add(index * self.stride) };
        // SAFETY: as in `head`, and `&mut self` makes the borrow exclusive.
        unsafe { std::slice::from_raw_parts_mut(head, len) }
    }

    pub(super) fn set_payload(&mut self, index: usize, base: *mut u8, len: usize) {
        debug_assert!(self.own == Own::Head);
        self.iovecs[2 * index + 1] = iovec { iov_base: base.cast(), iov_len: len };
    }

    /// Bytes of a datagram that is the batch's own.
    pub(super) fn set_len(&mut self, index: usize, len: usize) {
        assert!(self.own == Own::Whole && len <= self.stride);
        self.iovecs[index].iov_len = len;
    }

    /// The pieces of consecutive datagrams.
    pub(super) fn range(&self, datagrams: Range<usize>) -> Range<usize> {
        self.own.pieces() * datagrams.start..self.own.pieces() * datagrams.end
    }

    pub(super) fn of_datagram(&self, index: usize) -> &[iovec] {
        &self.iovecs[self.range(index..index + 1)]
    }

    /// Bytes of head and payload.
    pub(super) fn len(&self, index: usize) -> usize {
        self.of_datagram(index).iter().map(|piece| piece.iov_len).sum()
    }

    /// Whether a payload begins where the one before it ends, or a datagram does that is the batch's own.
    pub(super) fn continues(&self, index: usize) -> bool {
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
