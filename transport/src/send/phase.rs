//! When a camera's frame is begun, where that was granted: of several cameras on one port of a switch, each at another moment of a cycle that all have in
//! common, so that what they send at once does not meet in its buffer. The cycle is as short as that buffer is small: what waits for its moment is late by no
//! more.

use std::time::Duration;

use crate::time::Time;

/// A frame that comes no later than this share (one in so many) of the cycle behind its moment is begun at once, rather than a cycle later: cameras and threads are
/// not more even than that.
const LATE_SHARE: u32 = 8;

/// Decides for one stream.
#[derive(Debug)]
pub(super) struct FramePhase {
    /// From the beginning of each cycle on the receiver's clock, whose first begins at that clock's zero.
    phase: Duration,
    /// None where it is the interval of the frames; it is never longer than that.
    cycle: Option<Duration>,
    /// A frame that was made to wait.
    held: Option<u64>,
    /// How long it does; `None` once it has.
    until: Option<Time>,
}

impl FramePhase {
    pub(super) fn new(phase: Duration, cycle: Option<Duration>) -> Self {
        Self { phase, cycle, held: None, until: None }
    }

    /// Whether a frame may be begun, where the receiver's clock shows `far_ns` now; at once where nothing is known of that, or frames have no interval.
    pub(super) fn lets(&mut self, number: u64, interval: Duration, far_ns: Option<u64>, now: Time) -> bool {
        if self.held == Some(number) {
            return self.until.is_none();
        }
        // An interval fits 64 bits: it is at most 2^32 s. Nothing waits where frames have none.
        let cycle_ns = self.cycle.unwrap_or(interval).min(interval).as_nanos() as u64;
        let Some(far_ns) = far_ns.filter(|_| cycle_ns > 0) else { return true };
        let phase_ns = (self.phase.as_nanos() % u128::from(cycle_ns)) as u64;
        let behind = (far_ns % cycle_ns + cycle_ns - phase_ns) % cycle_ns;
        if behind <= cycle_ns / u64::from(LATE_SHARE) {
            return true;
        }
        (self.held, self.until) = (Some(number), Some(now + Duration::from_nanos(cycle_ns - behind)));
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
        let mut phase = FramePhase::new(Duration::from_millis(4), None);
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
    fn no_frame_waits_longer_than_the_cycle_nor_than_the_interval_where_that_is_shorter() {
        for (cycle, period) in [(2, 2), (5, 5), (25, 10)] {
            let cycle = Some(Duration::from_millis(cycle));
            let mut phase = FramePhase::new(Duration::from_millis(1), cycle);
            let now = Time::from_nanos(777);
            for at in 1_000..1_100 {
                let waits = match phase.lets(at, INTERVAL, far(at), now) {
                    true => 0,
                    false => phase.poll_timeout().since(now).as_nanos() as u64 / 1_000_000,
                };
                assert!(waits < period, "{cycle:?}: {at} waits {waits} ms");
                let late = (at + waits + period - 1) % period;
                assert!(late <= period / 8, "{cycle:?}: {at} is begun {late} ms after its moment");
            }
        }
    }

    #[test]
    fn nothing_waits_where_there_is_no_interval_or_nothing_is_known_of_the_receivers_clock() {
        let mut phase = FramePhase::new(Duration::from_secs(3_600), None);
        assert!(phase.lets(0, Duration::ZERO, far(3), Time::ZERO));
        assert!(phase.lets(1, INTERVAL, None, Time::ZERO));
        assert_eq!(phase.poll_timeout(), Time::MAX);
    }
}
