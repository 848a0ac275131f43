//! Slices that the receiver asked for again.

use std::collections::VecDeque;
use std::ops::Range;

/// Runs that may wait at once; a request beyond that is dropped, and asked again.
const RUNS_MAX: usize = 1024;

/// Consecutive slices of a frame to send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RepairRun {
    pub(super) frame: u64,
    pub(super) first: u32,
    pub(super) count: u32,
}

/// What is to be repaired, oldest request first.
#[derive(Debug)]
pub(super) struct RepairQueue {
    runs: VecDeque<RepairRun>,
}

impl RepairQueue {
    pub(super) fn new() -> Self {
        Self { runs: VecDeque::with_capacity(RUNS_MAX) }
    }

    pub(super) fn clear(&mut self) {
        self.runs.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether some of these slices of the frame are waiting already: a request that crossed its answer adds nothing.
    pub(super) fn overlaps(&self, frame: u64, slices: &Range<u32>) -> bool {
        self.runs.iter().any(|run| run.frame == frame && run.first < slices.end && slices.start < run.first + run.count)
    }

    /// Adds slices; drops them where the queue is full.
    pub(super) fn push(&mut self, run: RepairRun) {
        if self.runs.len() < RUNS_MAX && run.count > 0 {
            self.runs.push_back(run);
        }
    }

    /// Adds the slices whose bit is set; bit 0 (most significant first) is slice `first`. Bits at or beyond `count` are
    /// ignored.
    pub(super) fn push_bitmap(&mut self, frame: u64, first: u32, count: u32, bitmap: &[u8]) {
        let mut run = RepairRun { frame, first: 0, count: 0 };
        for (index, byte) in bitmap.iter().enumerate() {
            for bit in 0..8 {
                // At most 8 × 512 bits, and a slice beyond `count` is left out.
                let Some(slice) = first.checked_add(index as u32 * 8 + bit).filter(|slice| *slice < count) else {
                    break;
                };
                if byte & (0x80 >> bit) == 0 {
                    continue;
                }
                if run.count > 0 && run.first + run.count == slice {
                    run.count += 1;
                } else {
                    self.push(run);
                    run = RepairRun { frame, first: slice, count: 1 };
                }
            }
        }
        self.push(run);
    }

    /// Takes at most `max` slices off the front.
    pub(super) fn take(&mut self, max: u32) -> Option<RepairRun> {
        let front = self.runs.front_mut()?;
        let taken = RepairRun { count: front.count.min(max), ..*front };
        front.first += taken.count;
        front.count -= taken.count;
        if front.count == 0 {
            self.runs.pop_front();
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitmap_becomes_runs_and_bits_beyond_the_frame_are_ignored() {
        let mut queue = RepairQueue::new();
        queue.push_bitmap(9, 3, 18, &[0b1100_0001, 0b1000_0000, 0xff]);
        let runs: Vec<_> = std::iter::from_fn(|| queue.take(10)).map(|run| (run.first, run.count)).collect();
        assert_eq!(runs, [(3, 2), (10, 2)]);
        queue.push_bitmap(9, u32::MAX - 2, u32::MAX, &[0xff; 4]);
        assert_eq!(queue.take(10), Some(RepairRun { frame: 9, first: u32::MAX - 2, count: 2 }));
    }

    #[test]
    fn a_flood_of_requests_does_not_grow_the_queue() {
        let mut queue = RepairQueue::new();
        for frame in 0..100 {
            queue.push_bitmap(frame, 0, 4096, &[0b1010_1010; 512]);
        }
        assert_eq!(queue.runs.len(), RUNS_MAX);
    }
}
