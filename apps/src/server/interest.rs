//! Whether anybody wants a stream: what a client that sends on demand is told.

use std::time::{Duration, Instant};

/// Nobody has wanted it for so long: a page that is loaded anew, or a program that is started again, need not wake a camera.
pub(super) const IDLE_AFTER: Duration = Duration::from_secs(2);

/// How many want a stream now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Sinks that write it.
    pub(super) sinks: usize,
    /// Programs of this machine that read it in place.
    pub(super) readers: usize,
    /// Those whom it is sent on to.
    pub(super) watchers: usize,
    /// Pages that show it.
    pub(super) lookers: usize,
}

impl Wanted {
    fn is_wanted(self) -> bool {
        self.sinks + self.readers + self.watchers + self.lookers > 0
    }
}

/// Whether a stream is idle, and since when nobody wants it. One that is not sent on demand never is.
#[derive(Debug, Clone)]
pub(super) struct Interest {
    is_on_demand: bool,
    is_idle: bool,
    nobody_since: Option<Instant>,
}

impl Interest {
    /// Of a stream that has just begun: its client takes it for wanted.
    pub(super) fn new(is_on_demand: bool) -> Self {
        Self { is_on_demand, is_idle: false, nobody_since: None }
    }

    /// Takes over who wants it. Says what its client is to be told, where that has changed: `Some(true)` that nobody does.
    pub(super) fn look(&mut self, wanted: Wanted, now: Instant) -> Option<bool> {
        if wanted.is_wanted() {
            return self.come();
        }
        let since = *self.nobody_since.get_or_insert(now);
        let is_due = self.is_on_demand && !self.is_idle && now.saturating_duration_since(since) >= IDLE_AFTER;
        if is_due {
            self.is_idle = true;
        }
        is_due.then_some(true)
    }

    /// Somebody wants it from now on: at once, as they wait for its frames. Says the same.
    pub(super) fn come(&mut self) -> Option<bool> {
        self.nobody_since = None;
        std::mem::take(&mut self.is_idle).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Wanted = Wanted { sinks: 0, readers: 0, watchers: 0, lookers: 0 };

    #[test]
    fn a_stream_is_idle_once_nobody_has_wanted_it_for_a_while_and_wanted_again_at_once() {
        let (mut interest, begun) = (Interest::new(true), Instant::now());
        let mut look = |wanted, millis| interest.look(wanted, begun + Duration::from_millis(millis));
        assert_eq!(look(NOBODY, 0), None);
        assert_eq!(look(NOBODY, 1_999), None);
        assert_eq!(look(NOBODY, 2_000), Some(true));
        assert_eq!(look(NOBODY, 60_000), None, "said once");
        assert_eq!(look(Wanted { readers: 1, ..NOBODY }, 60_001), Some(false));
        assert_eq!(look(Wanted { readers: 1, ..NOBODY }, 60_002), None);
        assert_eq!(look(NOBODY, 60_003), None, "counted anew");
        assert_eq!(look(NOBODY, 62_002), None);
        assert_eq!(look(NOBODY, 62_003), Some(true));
    }

    #[test]
    fn each_who_may_want_it_counts_and_who_looks_in_between_begins_the_wait_anew() {
        for wanted in [
            Wanted { sinks: 1, ..NOBODY },
            Wanted { readers: 2, ..NOBODY },
            Wanted { watchers: 1, ..NOBODY },
            Wanted { lookers: 1, ..NOBODY },
        ] {
            let (mut interest, begun) = (Interest::new(true), Instant::now());
            for second in 0..60 {
                let at = begun + Duration::from_secs(second);
                let wanted = if second % 2 == 1 { wanted } else { NOBODY };
                assert_eq!(interest.look(wanted, at), None, "{wanted:?}");
            }
        }
    }

    #[test]
    fn a_watcher_who_comes_wakes_it_without_being_looked_for() {
        let (mut interest, begun) = (Interest::new(true), Instant::now());
        interest.look(NOBODY, begun);
        assert_eq!(interest.look(NOBODY, begun + IDLE_AFTER), Some(true));
        assert!(interest.is_idle);
        assert_eq!((interest.come(), interest.come(), interest.is_idle), (Some(false), None, false));
    }

    #[test]
    fn a_stream_that_is_not_sent_on_demand_is_never_told() {
        let (mut interest, begun) = (Interest::new(false), Instant::now());
        let told = (0..60).find_map(|second| interest.look(NOBODY, begun + Duration::from_secs(second)));
        assert_eq!((told, interest.come()), (None, None));
    }
}
