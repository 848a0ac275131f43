//! Slices that the receiver asked for again, and how much of that is granted.

use std::collections::VecDeque;
use std::ops::Range;

use crate::wire::OPEN_FRAMES_MAX;

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

    /// Adds the slices whose bit is set; bit 0 (most significant first) is slice `first`. Bits at or beyond `count` are ignored.
    pub(super) fn push_bitmap(&mut self, frame: u64, first: u32, count: u32, bitmap: &[u8]) {
        let mut run = RepairRun { frame, first: 0, count: 0 };
        for (index, byte) in bitmap.iter().enumerate() {
            for bit in 0..8 {
                // At most 8 × 512 bits, and a slice beyond `count` is left out.
                let Some(slice) = first.checked_add(index as u32 * 8 + bit).filter(|slice| *slice < count) else {
                    break;
                };
                if self.runs.len() + 1 >= RUNS_MAX || byte & (0x80 >> bit) == 0 {
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

    /// How many slices the first run has; runs of frames that are not `wanted` any more are dropped.
    pub(super) fn front_of(&mut self, wanted: impl Fn(u64) -> bool) -> Option<u32> {
        while self.runs.front().is_some_and(|run| !wanted(run.frame)) {
            self.runs.pop_front();
        }
        self.runs.front().map(|run| run.count)
    }

    /// Takes consecutive slices off the first run, at most `max`, as far as `grant` lets them; what it does not let is dropped.
    /// Only here is a slice looked at: a request for a whole frame costs as much as it has sent. `None` where that is nothing.
    pub(super) fn take(&mut self, max: u32, mut grant: impl FnMut(u64, u32) -> bool) -> Option<RepairRun> {
        let front = self.runs.front_mut().filter(|_| max > 0)?;
        let mut taken = RepairRun { count: 0, ..*front };
        while front.count > 0 && taken.count < max {
            let is_granted = grant(front.frame, front.first);
            front.first += 1;
            front.count -= 1;
            match (is_granted, taken.count) {
                (true, _) => taken.count += 1,
                (false, 0) => taken.first = front.first,
                (false, _) => break,
            }
        }
        if front.count == 0 {
            self.runs.pop_front();
        }
        (taken.count > 0).then_some(taken)
    }
}

/// Times that a slice is sent again, in `latest`. Where losses come in bursts, repairs that follow each other closely are lost
/// together: with a tenth lost in bursts of 8, three leave 2.4 % of the frames incomplete, six 0.1 %.
const REPAIRS_MAX: u8 = 6;
/// Repairs are at most one slice for so many new ones, in `latest`: more would make the loss worse that they mend.
const NEW_FOR_EACH_REPAIR: u32 = 4;

/// Repairs that may be made at once: those of a frame that was lost whole, and more where frames have few slices.
const RESERVE_MIN: u32 = 16;

/// What may be repaired of a `latest` stream, where a newer frame is worth more than much repair of an old one. All memory
/// is taken when it is made.
#[derive(Debug)]
pub(super) struct RepairBudget {
    /// The frames that were asked for of late.
    granted: [Granted; OPEN_FRAMES_MAX],
    /// Quarters of a slice that may be repaired now.
    allowance: u32,
    allowance_max: u32,
}

/// What was granted of a frame.
#[derive(Debug)]
struct Granted {
    number: Option<u64>,
    /// How often each of its slices was.
    times: Box<[u8]>,
    /// Slices that may not be sent again any more.
    spent: usize,
}

impl RepairBudget {
    /// For frames of at most `slices_max` slices.
    pub(super) fn new(slices_max: u32) -> Self {
        let allowance_max = slices_max.max(RESERVE_MIN).saturating_mul(NEW_FOR_EACH_REPAIR);
        let times = vec![0; slices_max as usize].into_boxed_slice();
        let granted = std::array::from_fn(|_| Granted { number: None, times: times.clone(), spent: 0 });
        Self { granted, allowance: allowance_max, allowance_max }
    }

    /// New slices leave.
    pub(super) fn handle_new(&mut self, slices: u32) {
        self.allowance = self.allowance.saturating_add(slices).min(self.allowance_max);
    }

    /// Whether anything may be sent again now.
    pub(super) fn is_exhausted(&self) -> bool {
        self.allowance < NEW_FOR_EACH_REPAIR
    }

    /// Whether anything of a frame may be sent again, now or later.
    pub(super) fn has_left(&self, frame: u64) -> bool {
        let known = self.granted.iter().find(|granted| granted.number == Some(frame));
        known.is_none_or(|granted| granted.spent < granted.times.len())
    }

    /// A new epoch begins, in which nothing has been sent again.
    pub(super) fn start_epoch(&mut self) {
        self.granted.iter_mut().for_each(|granted| granted.number = None);
    }

    /// Whether a slice may be sent again; if so, it counts as sent.
    pub(super) fn grant(&mut self, frame: u64, slice: u32) -> bool {
        if self.is_exhausted() {
            return false;
        }
        let known = self.granted.iter().position(|granted| granted.number == Some(frame));
        let place = known.unwrap_or_else(|| {
            // The oldest frame's, or one that is not used: `None` is the lowest.
            let oldest = (0..OPEN_FRAMES_MAX).min_by_key(|place| self.granted[*place].number).unwrap_or(0);
            let granted = &mut self.granted[oldest];
            (granted.number, granted.spent) = (Some(frame), 0);
            granted.times.fill(0);
            oldest
        });
        let granted = &mut self.granted[place];
        match granted.times.get_mut(slice as usize) {
            Some(times) if *times < REPAIRS_MAX => {
                *times += 1;
                granted.spent += usize::from(*times == REPAIRS_MAX);
                self.allowance -= NEW_FOR_EACH_REPAIR;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_granted_some_times_and_a_quarter_of_what_is_new() {
        let mut budget = RepairBudget::new(RESERVE_MIN);
        let granted = |budget: &mut RepairBudget, frame, slice| (0..20).filter(|_| budget.grant(frame, slice)).count();
        assert_eq!((granted(&mut budget, 7, 0), granted(&mut budget, 7, 15), granted(&mut budget, 8, 0)), (6, 6, 4));
        assert_eq!(granted(&mut budget, 8, 1), 0);
        budget.handle_new(8);
        assert_eq!((granted(&mut budget, 7, 0), granted(&mut budget, 8, 4)), (0, 2));
        budget.handle_new(u32::MAX);
        assert!(!budget.grant(8, 16) && !budget.grant(8, u32::MAX));
        for frame in 9..100 {
            assert!(budget.grant(frame, 0));
            budget.handle_new(4);
        }
    }

    #[test]
    fn a_bitmap_becomes_runs_and_bits_beyond_the_frame_are_ignored() {
        let mut queue = RepairQueue::new();
        queue.push_bitmap(9, 3, 18, &[0b1100_0001, 0b1000_0000, 0xff]);
        let runs: Vec<_> =
            std::iter::from_fn(|| queue.take(10, |_, _| true)).map(|run| (run.first, run.count)).collect();
        assert_eq!(runs, [(3, 2), (10, 2)]);
        queue.push_bitmap(9, u32::MAX - 2, u32::MAX, &[0xff; 4]);
        assert_eq!(queue.take(10, |_, _| true), Some(RepairRun { frame: 9, first: u32::MAX - 2, count: 2 }));
    }

    #[test]
    fn a_flood_of_requests_does_not_grow_the_queue() {
        let mut queue = RepairQueue::new();
        for frame in 0..100 {
            queue.push_bitmap(frame, 0, 4096, &[0b1010_1010; 512]);
        }
        assert!(queue.runs.len() <= RUNS_MAX);
    }

    #[test]
    fn a_request_for_a_whole_frame_costs_what_is_sent_of_it() {
        const SLICES: u32 = 1_000_000;
        let mut queue = RepairQueue::new();
        queue.push(RepairRun { frame: 7, first: 0, count: SLICES });
        assert_eq!(queue.runs.len(), 1, "it is one run, however many slices that are");
        let mut looked_at = 0;
        let run = queue.take(44, |_, _| {
            looked_at += 1;
            true
        });
        assert_eq!((run, looked_at), (Some(RepairRun { frame: 7, first: 0, count: 44 }), 44));
        // What may not be sent again splits it.
        let run = queue.take(44, |_, slice| slice >= 50 && slice != 60);
        assert_eq!(run, Some(RepairRun { frame: 7, first: 50, count: 10 }));
        let run = queue.take(2, |_, _| true);
        assert_eq!(run, Some(RepairRun { frame: 7, first: 61, count: 2 }));
        assert_eq!(queue.take(0, |_, _| true), None);
        assert!(!queue.is_empty());
    }

    #[test]
    fn a_frame_whose_every_slice_was_sent_again_as_often_as_may_be_is_refused_without_a_look_at_them() {
        let mut budget = RepairBudget::new(RESERVE_MIN);
        for nth in 0..RESERVE_MIN * u32::from(REPAIRS_MAX) {
            assert!(budget.has_left(3), "{nth}");
            budget.handle_new(NEW_FOR_EACH_REPAIR);
            assert!(budget.grant(3, nth % RESERVE_MIN));
        }
        assert!(!budget.has_left(3) && budget.has_left(4));
        budget.start_epoch();
        assert!(budget.has_left(3));
    }
}
