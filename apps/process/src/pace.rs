//! Frames at a steady rate.

use std::time::{Duration, Instant};

/// A gap for a recording that starts over, where nothing says how long its frames last.
const GAP_UNKNOWN: Duration = Duration::from_millis(33);

/// When each frame is due. A pacer that has fallen behind by more than a frame starts over from now: it never bursts to
/// catch up.
#[derive(Debug)]
pub struct Pacer {
    interval: Option<Duration>,
    due: Option<Instant>,
    /// When the frame last asked for was taken, where frames have times of their own.
    time: Option<Duration>,
    /// How long after the one before it that was.
    step: Duration,
}

impl Pacer {
    /// A frame every `interval`; with none, each at once.
    pub fn new(interval: Option<Duration>) -> Self {
        Self { interval, due: None, time: None, step: Duration::ZERO }
    }

    /// When the next frame is due, asked at `now`; `None` where it is due at once.
    pub fn next(&mut self, now: Instant) -> Option<Instant> {
        let interval = self.interval?;
        let due = match self.due {
            Some(last) if now.saturating_duration_since(last + interval) <= interval => last + interval,
            _ => now,
        };
        self.due = Some(due);
        (due > now).then_some(due)
    }

    /// When the frame that was taken at `time`, counted from the first, is due, asked at `now`; `None` where it is due at once.
    /// Frames keep the distances that they were taken at. Asking again for the same frame changes nothing.
    pub fn next_at(&mut self, time: Duration, now: Instant) -> Option<Instant> {
        if let Some(last) = self.time.filter(|last| *last != time) {
            self.step = time.saturating_sub(last);
        }
        // A damaged recording may have a frame in a thousand years: that one never comes.
        let planned = match (self.due, self.time) {
            (Some(due), Some(last)) => due.checked_add(time.saturating_sub(last)).unwrap_or(due + FAR),
            _ => now,
        };
        let due = if now.saturating_duration_since(planned) <= self.step { planned } else { now };
        (self.due, self.time) = (Some(due), Some(time));
        (due > now).then_some(due)
    }

    /// Nobody knows when the frame after the last of a recording is due, which is the first again: as long after the last as that
    /// was after the one before it.
    pub fn next_after_last(&mut self, now: Instant) -> Option<Instant> {
        let gap = if self.step.is_zero() { self.interval.unwrap_or(GAP_UNKNOWN) } else { self.step };
        let last = self.time?;
        self.next_at(last.saturating_add(gap), now)
    }

    /// The frame last asked for is the first of a recording that has started over.
    pub fn start_over(&mut self) {
        self.time = self.time.map(|_| Duration::ZERO);
    }
}

/// As good as never, and yet within what every clock can be asked to add.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_keep_their_distance_without_drifting_and_without_bursts() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pacer = Pacer::new(Some(Duration::from_millis(10)));
        assert_eq!(pacer.next(at(0)), None);
        assert_eq!(pacer.next(at(3)), Some(at(10)));
        // Three late: the next is due when it would have been.
        assert_eq!(pacer.next(at(23)), None);
        assert_eq!(pacer.next(at(24)), Some(at(30)));
        // A pause of many frames is not made up for.
        assert_eq!(pacer.next(at(500)), None);
        assert_eq!(pacer.next(at(501)), Some(at(510)));
        assert_eq!(Pacer::new(None).next(at(0)), None);
    }

    #[test]
    fn frames_with_times_of_their_own_keep_their_distances_and_their_pauses() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pacer = Pacer::new(None);
        let mut next = |time, now| pacer.next_at(Duration::from_millis(time), at(now));
        assert_eq!(next(0, 100), None);
        assert_eq!(next(33, 101), Some(at(133)));
        assert_eq!(next(33, 102), Some(at(133)), "asking again changes nothing");
        assert_eq!(next(34, 133), Some(at(134)));
        // Three late: the next is due when it would have been.
        assert_eq!(next(44, 147), None);
        assert_eq!(next(54, 148), Some(at(154)));
        assert_eq!(next(9_054, 155), Some(at(9_154)), "a pause of nine seconds");
        // Later than a frame: it goes on from there, at the same distances.
        assert_eq!(next(9_064, 20_000), None);
        assert_eq!(next(9_074, 20_001), Some(at(20_010)));
    }

    #[test]
    fn a_recording_that_starts_over_does_so_after_the_distance_of_its_last_frames() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pacer = Pacer::new(None);
        for (time, now) in [(0, 0), (10, 10), (30, 30)] {
            pacer.next_at(Duration::from_millis(time), at(now));
        }
        assert_eq!(pacer.next_after_last(at(31)), Some(at(50)));
        pacer.start_over();
        assert_eq!(pacer.next_at(Duration::from_millis(10), at(50)), Some(at(60)));
        // One of a single frame has no distance: its rate says it, or else there is some pause.
        let mut single = Pacer::new(None);
        single.next_at(Duration::ZERO, at(0));
        assert_eq!(single.next_after_last(at(0)), Some(at(0) + GAP_UNKNOWN));
    }

    #[test]
    fn a_time_that_cannot_be_never_comes_and_never_panics() {
        let mut pacer = Pacer::new(None);
        let now = Instant::now();
        assert_eq!(pacer.next_at(Duration::ZERO, now), None);
        assert!(pacer.next_at(Duration::from_micros(u64::MAX), now) > Some(now + Duration::from_secs(86_400)));
        assert!(pacer.next_after_last(now) > Some(now));
    }
}
