//! What is to be sent.

use std::ops::Range;

use libc::iovec;

use super::pieces::{Own, Pieces};
use super::{BATCH_MAX, BatchError, HEAD_MAX};
use crate::frame::{Frame, SLOTS_MAX};
use crate::wire::DATAGRAM_MAX;

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
    pub(in crate::backend) fn unsent(&self) -> Range<usize> {
        self.sent..self.len
    }

    /// Notes that these of [`SendBatch::unsent`] went out. Any in front of them are still to be sent, and the numbers of
    /// those behind them stay.
    pub(in crate::backend) fn note_sent(&mut self, datagrams: Range<usize>) {
        if datagrams.start > self.sent {
            let pieces = self.pieces.own.pieces();
            self.pieces.iovecs[pieces * self.sent..pieces * datagrams.end].rotate_right(pieces * datagrams.len());
            self.reordered = true;
        }
        self.sent += datagrams.len();
    }

    /// The pieces of consecutive datagrams: two each, or one each where the batch has a scratch.
    pub(in crate::backend) fn iovecs(&self, datagrams: Range<usize>) -> &[iovec] {
        &self.pieces.iovecs[self.pieces.range(datagrams)]
    }

    /// Consecutive datagrams of which each [continues](Self::continues) the one before it, as one piece; `None` where they are more.
    #[cfg(target_os = "linux")]
    pub(in crate::backend) fn in_one_piece(&self, datagrams: Range<usize>) -> Option<iovec> {
        let pieces = self.iovecs(datagrams);
        let first = pieces.first().filter(|_| self.has_scratch())?;
        Some(iovec { iov_base: first.iov_base, iov_len: pieces.iter().map(|piece| piece.iov_len).sum() })
    }

    /// Bytes of a datagram.
    pub(in crate::backend) fn datagram_len(&self, index: usize) -> usize {
        self.pieces.len(index)
    }

    /// Whether a datagram carries on in its frame, or in the scratch, where the one before it ended.
    pub(in crate::backend) fn continues(&self, index: usize) -> bool {
        self.pieces.continues(index)
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
