//! Time as an argument: the protocol never reads a clock, it is told what time it is.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Nanoseconds on a monotonic clock whose zero is arbitrary (on Linux: system boot).
///
/// Two processes on one machine share the clock, so a difference between their times is a latency. Between machines the
/// offset is estimated from echoes on the data path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The clock's zero.
    pub const ZERO: Self = Self(0);
    /// Later than any time a clock shows: "never".
    pub const MAX: Self = Self(u64::MAX);

    /// A time from nanoseconds since the clock's zero.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// What the system's monotonic clock (`CLOCK_MONOTONIC`) shows: what [`FrameInfo::captured`](crate::FrameInfo::captured) of a picture that
    /// was taken just now is.
    #[cfg(unix)]
    pub fn now() -> Self {
        let spec = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        // Neither field of a monotonic clock is negative.
        Self(spec.tv_sec.cast_unsigned() * 1_000_000_000 + spec.tv_nsec.cast_unsigned())
    }

    /// The time since `earlier`; zero where `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends_of_the_clock() {
        assert_eq!(Time::ZERO - Duration::from_secs(1), Time::ZERO);
        assert_eq!(Time::MAX + Duration::from_secs(1), Time::MAX);
        assert_eq!(Time::ZERO.since(Time::from_nanos(5)), Duration::ZERO);
        assert_eq!((Time::ZERO + Duration::from_micros(3)).as_nanos(), 3_000);
    }
}
