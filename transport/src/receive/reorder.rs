//! How long a gap may be a slice that was overtaken, before it counts as a loss.

use std::time::Duration;

use crate::time::Time;

/// On most networks slices of a stream do not overtake each other, and each moment's wait makes a repaired frame later.
const GUARD_MIN: Duration = Duration::from_micros(200);
/// What is later than this is not worth waiting for: to ask costs a slice.
const GUARD_MAX: Duration = Duration::from_millis(5);
/// How long a network counts as one that reorders after it has: routes change.
const REORDERS_FOR: Duration = Duration::from_secs(10);

/// Learns from slices that were asked for in vain.
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

    /// A slice that was asked for, at `asked` or before, had only been overtaken, and comes now.
    pub(super) fn handle_asked_in_vain(&mut self, asked: Time, now: Time) {
        let guard = self.duration(now);
        let late = guard + now.since(asked);
        if late <= GUARD_MAX {
            // A quarter more, as no two are equally late.
            self.learnt = Some(((late + late / 4).min(GUARD_MAX), now));
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
    fn a_network_that_reorders_is_waited_for_and_one_that_stops_is_not() {
        let mut guard = ReorderGuard::default();
        assert_eq!(guard.duration(at_us(0)), GUARD_MIN);
        guard.handle_asked_in_vain(at_us(1_000), at_us(1_600));
        assert_eq!(guard.duration(at_us(2_000)), Duration::from_micros(1_000));
        assert_eq!(guard.duration(at_us(1_600) + REORDERS_FOR), GUARD_MIN);
    }

    #[test]
    fn what_comes_very_late_is_not_waited_for() {
        let mut guard = ReorderGuard::default();
        guard.handle_asked_in_vain(at_us(0), at_us(30_000));
        assert_eq!(guard.duration(at_us(30_000)), GUARD_MIN);
        for _ in 0..100 {
            guard.handle_asked_in_vain(at_us(0), at_us(4_000));
        }
        assert!(guard.duration(at_us(4_000)) <= GUARD_MAX);
    }
}
