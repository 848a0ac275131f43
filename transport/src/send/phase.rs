//! When within its interval a camera's frame is begun, where that was granted: of several cameras on one port of a switch, each at another moment, so
//! that what they send does not meet in its buffer.

use std::time::Duration;

use crate::time::Time;

/// A frame that comes no later than this share (one in so many) of the interval behind its moment is begun at once, rather than an interval later: cameras and threads are
/// not more even than that.
const LATE_SHARE: u32 = 8;

/// Decides for one stream.
#[derive(Debug)]
pub(super) struct FramePhase {
    /// From the beginning of each interval on the receiver's clock, whose first begins at that clock's zero.
    phase: Duration,
    /// A frame that was made to wait.
    held: Option<u64>,
    /// How long it does; `None` once it has.
    until: Option<Time>,
}

impl FramePhase {
    pub(super) fn new(phase: Duration) -> Self {
        Self { phase, held: None, until: None }
    }

    /// Whether a frame may be begun, where the receiver's clock shows `far_ns` now; at once where nothing is known of that, or frames have no interval.
    pub(super) fn lets(&mut self, number: u64, interval: Duration, far_ns: Option<u64>, now: Time) -> bool {
        if self.held == Some(number) {
            return self.until.is_none();
        }
        // An interval fits 64 bits: it is at most 2^32 s.
        let (interval_ns, phase_ns) = (interval.as_nanos() as u64, self.phase.as_nanos());
        let Some(far_ns) = far_ns.filter(|_| interval_ns > 0) else { return true };
        let phase_ns = (phase_ns % u128::from(interval_ns)) as u64;
        let behind = (far_ns % interval_ns + interval_ns - phase_ns) % interval_ns;
        if behind <= interval_ns / u64::from(LATE_SHARE) {
            return true;
        }
        (self.held, self.until) = (Some(number), Some(now + Duration::from_nanos(interval_ns - behind)));
        false
    }

    /// Does what is due by now.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        self.until = self.until.filter(|until| now < *until);
    }

    /// When a frame that is held may be begun.
    pub(super) fn poll_timeout(&self) -> Time {
        self.until.unwrap_or(Time::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);

    fn far(millis: u64) -> Option<u64> {
        Some(millis * 1_000_000)
    }

    #[test]
    fn a_frame_waits_for_its_moment_on_the_receivers_clock_and_one_that_is_a_little_late_does_not_wait_for_the_next() {
        let mut phase = FramePhase::new(Duration::from_millis(4));
        let now = Time::from_nanos(777);
        for (number, at) in [(0, 1_004), (1, 1_005), (2, 2_004)] {
            assert!(phase.lets(number, INTERVAL, far(at), now), "{at}");
        }
        for (number, at, waits) in [(3, 1_000, 4), (4, 1_003, 1), (5, 1_006, 8), (6, 1_009, 5)] {
            assert!(!phase.lets(number, INTERVAL, far(at), now), "{at}");
            assert_eq!(phase.poll_timeout(), now + Duration::from_millis(waits));
            // A thread that wakes up late begins it all the same.
            phase.handle_timeout(now + Duration::from_millis(waits + 5));
            assert_eq!(phase.poll_timeout(), Time::MAX);
            assert!(phase.lets(number, INTERVAL, far(at + waits + 5), now), "{at}");
        }
    }

    #[test]
    fn nothing_waits_where_there_is_no_interval_or_nothing_is_known_of_the_receivers_clock() {
        let mut phase = FramePhase::new(Duration::from_secs(3_600));
        assert!(phase.lets(0, Duration::ZERO, far(3), Time::ZERO));
        assert!(phase.lets(1, INTERVAL, None, Time::ZERO));
        assert_eq!(phase.poll_timeout(), Time::MAX);
    }
}
