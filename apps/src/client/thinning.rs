//! Which frames of a stream are sent where not all are wanted: as many a second as its server grants, and next to none while nobody looks.

use std::time::{Duration, Instant};

/// While nobody wants a stream, a picture is sent at most so often: whoever opens the page sees what there was a moment ago.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);
/// And at most one picture of so many, so that a stream that nobody wants costs less than a hundredth of one that somebody
/// does, headers included.
const IDLE_SHARE: u32 = 120;

/// Says of each frame whether it is sent; in time, not by counting, so that it holds whatever the source gives.
#[derive(Debug, Default)]
pub(super) struct Thinning {
    /// From one frame to the next, as the server grants it; none where it grants all.
    granted: Option<Duration>,
    /// The same, while nobody wants the stream; none where somebody does.
    idle: Option<Duration>,
    /// When the next is due; none where it is at once.
    next: Option<Instant>,
    /// How often the stream had begun anew when a frame was there last.
    restarts: u64,
}

impl Thinning {
    /// The server grants so many frames a second; none, all.
    pub(super) fn grant(&mut self, frames_per_second: Option<f64>) {
        let interval = frames_per_second.filter(|rate| rate.is_finite() && *rate > 0.0);
        let interval = interval.and_then(|rate| Duration::try_from_secs_f64(rate.recip()).ok());
        if self.granted != interval {
            (self.granted, self.next) = (interval, None);
        }
    }

    /// Nobody wants the stream, whose frames come at this distance where it is known; or somebody does, who has the next frame at once.
    pub(super) fn set_idle(&mut self, is_idle: bool, interval: Option<Duration>) {
        let idle = is_idle.then(|| interval.map_or(IDLE_INTERVAL, |one| IDLE_INTERVAL.max(one * IDLE_SHARE)));
        if idle != self.idle {
            self.idle = idle;
            // The one that falls asleep has just shown a picture.
            self.next = idle.and_then(|idle| Instant::now().checked_add(idle));
        }
    }

    /// Whether the frame of `now` is sent to a server that may not be there. While it is not, all pass, of which the newest waits for it; and where the
    /// stream has begun anew, as often as `restarts` says, it has the next one at once: nobody knows what it has of those before.
    pub(super) fn passes_to(&mut self, is_there: bool, restarts: u64, now: Instant) -> bool {
        if !is_there || self.restarts != restarts {
            (self.next, self.restarts) = (None, restarts);
        }
        !is_there || self.passes(now)
    }

    fn passes(&mut self, now: Instant) -> bool {
        let Some(interval) = self.idle.into_iter().chain(self.granted).max() else { return true };
        let due = self.next.unwrap_or(now);
        // A frame that comes a little early is the one that is meant: the next would be a whole interval of the source late.
        if now + interval / 8 < due {
            return false;
        }
        // By the schedule, so that what comes late once takes nothing from the rate; one that was left far behind begins anew.
        let late = now.saturating_duration_since(due);
        self.next = (if late > interval { now } else { due }).checked_add(interval);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the frames pass that come at these distances, in milliseconds.
    fn passed(thinning: &mut Thinning, start: Instant, every_ms: u64, frames: u64) -> usize {
        (0..frames).filter(|frame| thinning.passes(start + Duration::from_millis(frame * every_ms))).count()
    }

    #[test]
    fn as_many_pass_as_are_granted_and_all_without_a_grant() {
        let start = Instant::now();
        for (granted, expected) in [(None, 3_000), (Some(10.0), 1_000), (Some(25.0), 2_500), (Some(60.0), 3_000)] {
            let mut thinning = Thinning::default();
            thinning.grant(granted);
            let passed = passed(&mut thinning, start, 33, 3_000) as f64;
            // 3,000 frames take 99 s.
            assert!((passed - f64::from(expected)).abs() <= 0.02 * f64::from(expected), "{granted:?}: {passed}");
        }
    }

    #[test]
    fn a_rate_that_cannot_be_thins_nothing() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300] {
            let mut thinning = Thinning::default();
            thinning.grant(Some(rate));
            assert_eq!(passed(&mut thinning, Instant::now(), 33, 10), 10, "{rate}");
        }
    }

    #[test]
    fn a_stream_that_nobody_wants_has_a_picture_a_second_or_one_of_120_and_wakes_with_its_next_frame() {
        for (interval, expected) in [(2, 98..=101), (33, 24..=26)] {
            let mut thinning = Thinning::default();
            thinning.set_idle(true, Some(Duration::from_millis(interval)));
            let later = Instant::now() + Duration::from_secs(1);
            let passed = passed(&mut thinning, later, interval, 100_000 / interval);
            assert!(expected.contains(&passed), "{interval}: {passed}");
            thinning.set_idle(false, None);
            assert!(thinning.passes(later), "it is awake");
        }
    }

    #[test]
    fn a_server_that_is_back_has_a_picture_at_once_though_nobody_wants_the_stream() {
        let mut thinning = Thinning::default();
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        thinning.set_idle(true, Some(Duration::from_millis(10)));
        assert!(!thinning.passes_to(true, 0, at(10)), "it has just had one");
        assert!((0..5).all(|frame| thinning.passes_to(false, 1, at(20 + frame))), "the newest waits for it");
        // It says again that nobody wants it, before it has anything.
        thinning.set_idle(false, Some(Duration::from_millis(10)));
        thinning.set_idle(true, Some(Duration::from_millis(10)));
        assert!(thinning.passes_to(false, 1, at(40)));
        assert_eq!([50, 60, 900].map(|millis| thinning.passes_to(true, 1, at(millis))), [true, false, false]);
        // It was away for less than a frame takes.
        assert_eq!([910, 920].map(|millis| thinning.passes_to(true, 2, at(millis))), [true, false]);
    }

    #[test]
    fn of_two_wishes_the_one_for_less_holds() {
        let mut thinning = Thinning::default();
        thinning.grant(Some(10.0));
        thinning.set_idle(true, Some(Duration::from_millis(1)));
        let later = Instant::now() + Duration::from_secs(1);
        let passed = passed(&mut thinning, later, 10, 1_000);
        assert!((9..=11).contains(&passed), "{passed}");
    }
}
