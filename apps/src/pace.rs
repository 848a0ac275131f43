//! Frames at a steady rate.

use std::time::{Duration, Instant};

/// When each frame is due. A pacer that has fallen behind by more than a frame starts over from now: it never bursts to
/// catch up.
#[derive(Debug)]
pub(crate) struct Pacer {
    interval: Option<Duration>,
    due: Option<Instant>,
}

impl Pacer {
    /// A frame every `interval`; with none, each at once.
    pub(crate) fn new(interval: Option<Duration>) -> Self {
        Self { interval, due: None }
    }

    /// When the next frame is due, asked at `now`; `None` where it is due at once.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Instant> {
        let interval = self.interval?;
        let due = match self.due {
            Some(last) if now.saturating_duration_since(last + interval) <= interval => last + interval,
            _ => now,
        };
        self.due = Some(due);
        (due > now).then_some(due)
    }
}

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
}
