//! UTC beside the monotonic clock: what a machine's wall clock shows, as a distance from the clock that frames are timed by.

use std::time::{Duration, SystemTime};

use crate::frame::{utc_from_nanos, utc_nanos};
use crate::time::Time;

/// A wall clock that moves by more than this against the monotonic one has been set. Both are disciplined alike; only steps part them.
const STEP_MIN: Duration = Duration::from_millis(1);

/// What to add to a machine's monotonic time for UTC, as its wall clock has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UtcOffset {
    /// UTC when the monotonic clock was at zero, nanoseconds since the beginning of 1970; wraps around before that.
    ns: u64,
    /// By how much the wall clock may be wrong, as its machine estimates it; `None` where it knows of no estimate.
    pub error: Option<Duration>,
}

impl UtcOffset {
    /// The clocks showed these at the same moment. `None` for a wall clock before 1970, or after the year 2554.
    pub fn new(monotonic: Time, utc: SystemTime, error: Option<Duration>) -> Option<Self> {
        Some(Self::from_nanos(monotonic.as_nanos(), utc_nanos(utc)?, error))
    }

    pub(crate) const fn from_nanos(monotonic: u64, utc: u64, error: Option<Duration>) -> Self {
        Self { ns: utc.wrapping_sub(monotonic), error }
    }

    /// UTC at this moment of the monotonic clock, nanoseconds since the beginning of 1970.
    pub(crate) const fn nanos_at(self, monotonic_ns: u64) -> u64 {
        self.ns.wrapping_add(monotonic_ns)
    }

    /// UTC at this moment of the monotonic clock.
    pub fn at(self, monotonic_ns: u64) -> Option<SystemTime> {
        utc_from_nanos(self.nanos_at(monotonic_ns))
    }

    /// What holds from now on, where the clocks were compared again: the same, for the distances between times are then exact,
    /// unless the wall clock has been set.
    pub(crate) fn compared_again(self, newer: Self) -> Self {
        // As signed, a difference is right across the wrap.
        let moved = self.ns.wrapping_sub(newer.ns).cast_signed().unsigned_abs();
        if u128::from(moved) > STEP_MIN.as_nanos() { newer } else { Self { error: newer.error, ..self } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(monotonic_ns: u64, utc_s: u64) -> UtcOffset {
        UtcOffset::from_nanos(monotonic_ns, utc_s * 1_000_000_000, None)
    }

    #[test]
    fn a_clock_that_is_set_is_followed_and_one_that_was_only_read_again_is_not() {
        let known = at(5, 1_000);
        let jitter = UtcOffset::from_nanos(1_000_000_005, 1_001_000_000_900, Some(Duration::from_millis(3)));
        let same = known.compared_again(jitter);
        assert_eq!((same.at(5), same.error), (known.at(5), Some(Duration::from_millis(3))));
        for set in [at(5, 4_600), at(5, 1), at(2_000_005, 1_000)] {
            assert_eq!(known.compared_again(set), set);
        }
    }
}
