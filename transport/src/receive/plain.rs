//! Frames out of the original system's headerless pieces.

use std::ops::Range;

use crate::frame::{Arrival, Frame, FrameInfo, FramePool, PoolError, Tail};
use crate::time::Time;
use crate::wire::plain::{PIECE_BYTES, ends_frame};

/// Counters of a plain stream, from its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlainStats {
    /// Datagrams received.
    pub datagrams: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Frames of the agreed length, handed on.
    pub frames_delivered: u64,
    /// Frames of another length: pieces were lost, or the far end sends another format.
    pub frames_wrong_length: u64,
    /// Frames for which no slot was free.
    pub frames_no_slot: u64,
    /// Pieces that were moved, because the frame before ended early.
    pub pieces_moved: u64,
}

/// Puts pieces in order of arrival one behind the other, until a short one ends the frame.
#[derive(Debug)]
pub struct PlainReassembler {
    pool: FramePool,
    frame_bytes: usize,
    arrival: Option<Arrival>,
    /// Takes the pieces that no slot is free for.
    spill: Option<Arrival>,
    filled: usize,
    number: u64,
    stats: PlainStats,
}

impl PlainReassembler {
    /// For frames of `frame_bytes`; slots come from `pool`, which must have [`PlainReassembler::slot_bytes`] in each.
    ///
    /// # Errors
    /// No memory for the spill.
    pub fn new(frame_bytes: usize, pool: FramePool) -> Result<Self, PoolError> {
        let spill = FramePool::new(1, Self::slot_bytes(frame_bytes))?.try_arrival();
        Ok(Self { pool, frame_bytes, arrival: None, spill, filled: 0, number: 0, stats: PlainStats::default() })
    }

    /// Bytes a slot needs so that every piece has room to land.
    pub const fn slot_bytes(frame_bytes: usize) -> usize {
        frame_bytes + PIECE_BYTES
    }

    /// Where the next pieces of this frame land, at least one.
    pub fn landings(&mut self) -> impl Iterator<Item = (&Arrival, Range<usize>)> {
        if self.arrival.is_none() && self.filled == 0 {
            self.arrival = self.pool.try_arrival();
        }
        // A frame that is too long already is thrown away: where it lands does not matter.
        let first = if self.filled > self.frame_bytes { 0 } else { self.filled };
        // Never beyond the end of the frame: what follows it belongs into another slot.
        let pieces = (self.frame_bytes - first).div_ceil(PIECE_BYTES).max(1);
        let slot = self.arrival.as_ref().or(self.spill.as_ref());
        (0..pieces).filter_map(move |piece| {
            let start = first + piece * PIECE_BYTES;
            slot.map(|slot| (slot, start..(start + PIECE_BYTES).min(slot.capacity())))
        })
    }

    /// Takes in the piece of `len` bytes that landed at `offset`; returns the frame that it completes. The caller must
    /// hold no landing lease any more.
    pub fn handle_piece(&mut self, offset: usize, len: usize, now: Time) -> Option<Frame> {
        self.stats.datagrams += 1;
        self.stats.bytes += len as u64;
        if len == 0 && self.filled == 0 {
            // Ends a frame of whole pieces, which was complete without it.
            return None;
        }
        if let Some(arrival) = &mut self.arrival
            && offset != self.filled
            && self.filled + len <= arrival.capacity()
        {
            arrival.move_within(offset, self.filled, len);
            self.stats.pieces_moved += 1;
        }
        self.filled += len;
        let complete = self.filled == self.frame_bytes;
        if !complete && !ends_frame(len) {
            return None;
        }
        self.filled = 0;
        if !complete {
            self.stats.frames_wrong_length += 1;
            return None;
        }
        let Some(arrival) = self.arrival.take() else {
            self.stats.frames_no_slot += 1;
            return None;
        };
        // This wire says nothing of when the picture was taken.
        let info = FrameInfo {
            number: self.number,
            captured: now,
            captured_there: now,
            completed: now,
            ..FrameInfo::default()
        };
        self.number += 1;
        match arrival.complete(self.frame_bytes, Tail::NONE, info) {
            Ok(frame) => {
                self.stats.frames_delivered += 1;
                Some(frame)
            }
            Err(_) => {
                // Only a caller that breaks the contract gets here.
                self.stats.frames_no_slot += 1;
                None
            }
        }
    }

    /// Forgets the frame that is half there: its sender is gone.
    pub fn reset(&mut self) {
        if std::mem::take(&mut self.filled) > 0 {
            self.stats.frames_wrong_length += 1;
        }
    }

    /// What has happened so far.
    pub fn stats(&self) -> &PlainStats {
        &self.stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Far {
        reassembler: PlainReassembler,
        pool: FramePool,
    }

    impl Far {
        fn new(frame_bytes: usize, slots: usize) -> Self {
            let pool = FramePool::new(slots, PlainReassembler::slot_bytes(frame_bytes)).unwrap();
            Self { reassembler: PlainReassembler::new(frame_bytes, pool.clone()).unwrap(), pool }
        }

        /// Has datagrams land as a batch, each filled with its byte.
        fn batch(&mut self, datagrams: &[(usize, u8)]) -> Vec<Frame> {
            let spots: Vec<_> = self.reassembler.landings().map(|(_, range)| range).collect();
            for ((len, byte), spot) in datagrams.iter().zip(&spots) {
                let slot = self.reassembler.arrival.as_mut().or(self.reassembler.spill.as_mut()).unwrap();
                slot.write(spot.start, &vec![*byte; *len]);
            }
            let taken = datagrams.iter().zip(&spots);
            taken.filter_map(|((len, _), spot)| self.reassembler.handle_piece(spot.start, *len, Time::ZERO)).collect()
        }
    }

    #[test]
    fn pieces_become_a_frame_when_the_short_one_comes() {
        let mut far = Far::new(PIECE_BYTES + 10, 2);
        assert!(far.batch(&[(PIECE_BYTES, 1)]).is_empty());
        let frames = far.batch(&[(10, 2)]);
        assert_eq!((frames[0][0], frames[0][PIECE_BYTES], frames[0].len()), (1, 2, PIECE_BYTES + 10));
    }

    #[test]
    fn a_frame_of_whole_pieces_is_complete_without_the_empty_datagram_and_with_it() {
        let mut far = Far::new(PIECE_BYTES, 2);
        assert_eq!(far.batch(&[(PIECE_BYTES, 1)]).len(), 1);
        assert_eq!(far.batch(&[(0, 0)]).len(), 0);
        assert_eq!(far.batch(&[(PIECE_BYTES, 2)]).len(), 1);
        assert_eq!(far.reassembler.stats().frames_wrong_length, 0);
    }

    #[test]
    fn a_lost_piece_spoils_its_frame_and_the_next_one_is_whole() {
        let mut far = Far::new(2 * PIECE_BYTES + 10, 2);
        // The second piece of the first frame is lost; the batch runs on into the next frame.
        let frames = far.batch(&[(PIECE_BYTES, 1), (10, 1), (PIECE_BYTES, 2)]);
        assert!(frames.is_empty());
        let frames = far.batch(&[(PIECE_BYTES, 3), (10, 4)]);
        let shades = (frames[0][0], frames[0][PIECE_BYTES], frames[0][2 * PIECE_BYTES]);
        assert_eq!(shades, (2, 3, 4));
        let stats = far.reassembler.stats();
        assert_eq!((stats.frames_wrong_length, stats.frames_delivered, stats.pieces_moved), (1, 1, 1));
    }

    #[test]
    fn frames_that_are_too_long_or_have_no_slot_are_counted() {
        let mut far = Far::new(10, 1);
        assert!(far.batch(&[(11, 1)]).is_empty());
        assert!(far.batch(&[(PIECE_BYTES, 1)]).is_empty());
        assert!(far.batch(&[(PIECE_BYTES, 1)]).is_empty());
        assert!(far.batch(&[(9, 1)]).is_empty());
        let held = far.batch(&[(10, 5)]);
        assert_eq!(held.len(), 1);
        assert!(far.batch(&[(10, 6)]).is_empty());
        let stats = far.reassembler.stats();
        assert_eq!((stats.frames_wrong_length, stats.frames_no_slot, far.pool.free_count()), (2, 1, 0));
    }
}
