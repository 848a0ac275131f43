//! Which frames a sink is given of a stream, and how many it should have been given and was not.

use std::num::NonZeroU64;

use framewire_transport::frame::ConsumerPolicy;

/// Frames that wait while a sink is busy; more are dropped, and counted.
const QUEUE: ConsumerPolicy = ConsumerPolicy::Queue(3);

/// How frames wait for a sink that is given one of `every` so many, and that the stream does not wait for. Any frame of its window
/// will do, so the newest alone waits: what overflows is for the most part not wanted.
pub(crate) fn waiting(every: NonZeroU64) -> ConsumerPolicy {
    if every == NonZeroU64::MIN { QUEUE } else { ConsumerPolicy::Latest }
}

/// Gives one frame of each window of so many: the first of them that comes.
#[derive(Debug)]
pub(crate) struct Thinning {
    every: u64,
    /// The last window of which there was a frame.
    last: Option<u64>,
    /// Frames that had been dropped when that came.
    dropped: u64,
    missed: u64,
}

impl Thinning {
    pub(crate) fn new(every: NonZeroU64) -> Self {
        Self { every: every.get(), last: None, dropped: 0, missed: 0 }
    }

    /// Whether frame `number`, the next one that came, is given to the sink, for which `dropped` frames came too fast so far. Frames
    /// may come out of order.
    pub(crate) fn gives(&mut self, number: u64, dropped: u64) -> bool {
        let lost = dropped.saturating_sub(self.dropped);
        self.dropped = dropped;
        if self.every == 1 {
            self.missed = dropped;
            return true;
        }
        let window = number / self.every;
        // Those that begin a stream are right before its first.
        let next = self.last.map_or(number.saturating_sub(lost) / self.every, |last| last + 1);
        if self.last.is_some_and(|last| window <= last) {
            return false;
        }
        // Windows that did not come at all are no fault of the sink.
        self.missed += (window - next).min(lost);
        self.last = Some(window);
        true
    }

    /// Frames that the sink should have been given, and was too slow for.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these are given, each with what had been dropped by then; and how many the sink was too slow for.
    fn given(every: u64, frames: &[(u64, u64)]) -> (Vec<u64>, u64) {
        let mut thinning = Thinning::new(NonZeroU64::new(every).unwrap());
        let given = frames.iter().filter(|(number, dropped)| thinning.gives(*number, *dropped)).map(|frame| frame.0);
        (given.collect(), thinning.missed())
    }

    #[test]
    fn frames_that_nobody_wanted_are_no_loss_and_a_window_without_a_picture_is_one() {
        assert_eq!(given(10, &[(0, 0), (9, 8), (10, 8), (28, 25), (30, 25)]), (vec![0, 10, 28, 30], 0));
        assert_eq!(given(10, &[(0, 0), (35, 34), (40, 38)]), (vec![0, 35, 40], 2));
        assert_eq!(given(10, &[(25, 25), (30, 29)]), (vec![25, 30], 2), "before the first that it took");
        assert_eq!(given(1, &[(0, 0), (5, 4), (6, 4)]), (vec![0, 5, 6], 4));
    }

    #[test]
    fn windows_that_never_came_are_no_fault_of_the_sink() {
        assert_eq!(given(10, &[(0, 0), (500, 0), (700, 1)]), (vec![0, 500, 700], 1));
        assert_eq!(given(10, &[(500, 0), (501, 0)]), (vec![500], 0));
    }

    #[test]
    fn frames_out_of_order_across_a_boundary_give_one_picture_a_window() {
        assert_eq!(given(10, &[(9, 0), (10, 0), (8, 0), (11, 0), (20, 0), (19, 0)]), (vec![9, 10, 20], 0));
    }
}
