//! What is known of the way between the two ends: how long it takes, measured over the last seconds. One model for all that
//! follows from it: when a frame is begun, whether parity pays, how much may be on its way, when something counts as lost, and
//! what the far clock shows.

use std::time::Duration;

use crate::clock::ClockEstimator;
use crate::time::Time;

/// What to assume before the first echo: a LAN.
const INITIAL_ROUND_TRIP: Duration = Duration::from_millis(1);
/// How old the shortest round trip may become before one is measured on an empty way: so often that two fall into its window.
const CONFIRM_AFTER: Duration = Duration::from_secs(4);
/// A round trip that is longer than the shortest by at most an eighth and this confirms it: the scheduler alone does that.
const JITTER: Duration = Duration::from_micros(50);

/// One end's model.
#[derive(Debug, Clone)]
pub(crate) struct PathModel {
    clock: ClockEstimator,
    /// When the shortest round trip was last seen to hold, or tried.
    confirmed: Time,
}

impl PathModel {
    /// `clock_is_shared` says that both ends read the same clock.
    pub(crate) fn new(clock_is_shared: bool) -> Self {
        Self { clock: ClockEstimator::new(clock_is_shared), confirmed: Time::ZERO }
    }

    /// Another path: as it was before the first echo.
    pub(crate) fn anew(&self) -> Self {
        Self { clock: self.clock.anew(), confirmed: Time::ZERO }
    }

    /// Takes in an echo; see [`ClockEstimator::handle_echo`].
    pub(crate) fn handle_echo(&mut self, echo_ns: u64, held_ns: u64, far_ns: u64, now: Time) {
        let before = self.measured();
        let Some(round_trip) = self.clock.handle_echo(echo_ns, held_ns, far_ns, now) else { return };
        if before.is_none_or(|shortest| round_trip <= shortest + shortest / 8 + JITTER) {
            self.confirmed = now;
        }
    }

    /// The shortest round trip of the last ten seconds: what the way takes when nothing is queued on it. `None` before the
    /// first echo.
    pub(crate) fn measured(&self) -> Option<Duration> {
        self.clock.round_trip()
    }

    /// The same, and a LAN's before the first echo.
    pub(crate) fn round_trip(&self) -> Duration {
        self.measured().unwrap_or(INITIAL_ROUND_TRIP)
    }

    /// Whether the shortest round trip has not been seen for so long that it should be measured with nothing queued: on a link that
    /// is never idle, each sample has a queue in it, and in time so would the shortest.
    pub(crate) fn is_unconfirmed(&self, now: Time) -> bool {
        self.measured().is_some() && now.since(self.confirmed) >= CONFIRM_AFTER
    }

    /// It is measured now, or that was tried in vain.
    pub(crate) fn handle_confirming(&mut self, now: Time) {
        self.confirmed = now;
    }

    /// What the far clock shows.
    pub(crate) fn clock(&self) -> &ClockEstimator {
        &self.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(path: &mut PathModel, round_trip: Duration, now: Time) {
        path.handle_echo((now - round_trip).as_nanos(), 0, 0, now);
    }

    #[test]
    fn a_route_that_becomes_longer_is_believed_after_ten_seconds_and_a_shorter_one_at_once() {
        let mut path = PathModel::new(false);
        assert_eq!((path.measured(), path.round_trip()), (None, INITIAL_ROUND_TRIP));
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let (short, long) = (Duration::from_micros(200), Duration::from_millis(50));
        (1..10).for_each(|second| echo(&mut path, short, at(second)));
        (10..19).for_each(|second| echo(&mut path, long, at(second)));
        assert_eq!(path.measured(), Some(short));
        (19..21).for_each(|second| echo(&mut path, long, at(second)));
        assert_eq!(path.measured(), Some(long));
        echo(&mut path, short, at(21));
        assert_eq!(path.measured(), Some(short));
        assert_eq!(path.anew().measured(), None);
    }

    #[test]
    fn a_round_trip_that_only_longer_ones_follow_is_to_be_confirmed_and_one_that_comes_again_is() {
        let mut path = PathModel::new(false);
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        assert!(!path.is_unconfirmed(at(100)), "nothing is known that could be wrong");
        echo(&mut path, Duration::from_millis(1), at(100));
        echo(&mut path, Duration::from_millis(30), at(103));
        assert!(!path.is_unconfirmed(at(103)) && path.is_unconfirmed(at(104)));
        path.handle_confirming(at(104));
        assert!(!path.is_unconfirmed(at(104)));
        echo(&mut path, Duration::from_micros(1_100), at(107));
        assert!(!path.is_unconfirmed(at(110)));
    }
}
