//! How long a gap may be a slice that was overtaken, before it counts as a loss.

use std::time::Duration;

use crate::time::Time;

/// On most networks slices of a stream do not overtake each other, and each moment's wait makes a repaired frame later.
const GUARD_MIN: Duration = Duration::from_micros(200);
/// What is later than this is not worth waiting for: to ask costs a slice.
const GUARD_MAX: Duration = Duration::from_millis(5);
/// How long a network counts as one that reorders after it has: routes change.
const REORDERS_FOR: Duration = Duration::from_secs(10);

/// Learns from slices that were late.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ReorderGuard {
    learnt: Option<(Duration, Time)>,
}

impl ReorderGuard {
    /// How long a gap is looked at before it is asked about.
    pub(super) fn duration(&self, now: Time) -> Duration {
        match self.learnt {
            Some((guard, at)) if now.since(at) < REORDERS_FOR => guard,
            _ => GUARD_MIN,
        }
    }

    /// A slice comes so long after it was first missed: it had been overtaken, not lost.
    pub(super) fn handle_late(&mut self, late: Duration, now: Time) {
        if (GUARD_MIN..=GUARD_MAX).contains(&late) {
            // A quarter more, as no two are equally late.
            let guard = (late + late / 4).min(GUARD_MAX).max(self.duration(now));
            self.learnt = Some((guard, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_us(micros: u64) -> Time {
        Time::from_nanos(micros * 1_000)
    }

    #[test]
    fn a_network_that_reorders_is_waited_for_as_long_as_it_does() {
        let mut guard = ReorderGuard::default();
        assert_eq!(guard.duration(at_us(0)), GUARD_MIN);
        // Of a train, all of it late.
        for _ in 0..44 {
            guard.handle_late(Duration::from_micros(800), at_us(1_000));
        }
        assert_eq!(guard.duration(at_us(2_000)), Duration::from_micros(1_000));
        guard.handle_late(Duration::from_micros(300), at_us(5_000_000));
        let renewed = at_us(5_000_000) + REORDERS_FOR;
        assert_eq!(guard.duration(at_us(1_000) + REORDERS_FOR), Duration::from_micros(1_000));
        assert_eq!(guard.duration(renewed), GUARD_MIN);
    }

    #[test]
    fn what_comes_very_late_is_not_waited_for() {
        let mut guard = ReorderGuard::default();
        guard.handle_late(Duration::from_millis(30), at_us(30_000));
        assert_eq!(guard.duration(at_us(30_000)), GUARD_MIN);
        guard.handle_late(Duration::from_millis(5), at_us(30_000));
        assert_eq!(guard.duration(at_us(30_000)), GUARD_MAX);
    }
}
