//! When a sink that has failed is tried again: soon, then less and less often, so that a disk which stays full costs nothing.

use std::time::{Duration, Instant};

/// The first pause after a failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest: so long may pass before space that is back is used.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// How often it is looked whether a pipe has a reader, or a turn has come.
const TURN: Duration = Duration::from_millis(250);

/// The pace of attempts. Time is an argument.
#[derive(Debug)]
pub(crate) struct Retry {
    pause: Duration,
    due: Option<Instant>,
    /// Since when it has gone well again.
    well: Option<Instant>,
}

impl Retry {
    pub(crate) const fn new() -> Self {
        Self { pause: PAUSE_MIN, due: None, well: None }
    }

    /// Another failure; returns the pause that follows. What went well for longer than the last pause is forgiven.
    pub(crate) fn fail(&mut self, now: Instant) -> Duration {
        let pause = match (self.well.take(), self.due) {
            (_, None) => PAUSE_MIN,
            (Some(well), _) if now.saturating_duration_since(well) > self.pause => PAUSE_MIN,
            _ => (self.pause * 2).min(PAUSE_MAX),
        };
        (self.pause, self.due) = (pause, Some(now + pause));
        pause
    }

    /// It is somebody else's turn.
    pub(crate) fn wait(&mut self, now: Instant) {
        self.due = Some(now + TURN);
    }

    /// It goes well.
    pub(crate) fn succeed(&mut self, now: Instant) {
        self.well.get_or_insert(now);
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| now >= due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_are_short_again_after_it_went_well_for_longer() {
        let mut retry = Retry::new();
        let mut now = Instant::now();
        assert!(retry.is_due(now));
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let pause = retry.fail(now);
            assert!(!retry.is_due(now + pause - Duration::from_millis(1)));
            now += pause;
            assert!(retry.is_due(now));
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 15, 15, 15]);
        retry.succeed(now);
        assert_eq!(retry.fail(now + Duration::from_secs(1)), PAUSE_MAX, "a single frame is no recovery");
        now += Duration::from_secs(20);
        retry.succeed(now);
        retry.succeed(now + Duration::from_secs(10));
        assert_eq!(retry.fail(now + Duration::from_secs(16)), PAUSE_MIN);
    }

    #[test]
    fn a_turn_is_looked_for_often() {
        let (mut retry, now) = (Retry::new(), Instant::now());
        retry.wait(now);
        assert!(!retry.is_due(now) && retry.is_due(now + TURN));
    }
}
