//! Whether anybody wants a stream: what a client that sends on demand is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use framewire_process::lock::lock;

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
///
/// Those who look and those who come do so on threads of their own. What a client is told is told under the lock that it was decided under, so that what it hears
/// last holds.
#[derive(Debug)]
pub(super) struct Interest(Mutex<State>);

#[derive(Debug)]
struct State {
    is_on_demand: bool,
    is_idle: bool,
    nobody_since: Option<Instant>,
    /// Another run of the stream has begun: what is told of it is that one's to say.
    is_over: bool,
}

impl Interest {
    /// Of a stream that has just begun: its client takes it for wanted.
    pub(super) fn new(is_on_demand: bool) -> Self {
        Self(Mutex::new(State { is_on_demand, is_idle: false, nobody_since: None, is_over: false }))
    }

    /// Takes over who wants it. `tell` is what has its client told, where that has changed: `true` that nobody does.
    pub(super) fn look(&self, wanted: Wanted, now: Instant, tell: impl FnOnce(bool)) {
        let mut state = lock(&self.0);
        if wanted.is_wanted() {
            return state.come(tell);
        }
        let since = *state.nobody_since.get_or_insert(now);
        let is_due = state.is_on_demand && !state.is_idle && now.saturating_duration_since(since) >= IDLE_AFTER;
        if is_due && !state.is_over {
            state.is_idle = true;
            tell(true);
        }
    }

    /// Somebody wants it from now on: at once, as they wait for its frames. `tell` is the same.
    pub(super) fn come(&self, tell: impl FnOnce(bool)) {
        lock(&self.0).come(tell);
    }

    fn end(&self) {
        lock(&self.0).is_over = true;
    }
}

impl State {
    fn come(&mut self, tell: impl FnOnce(bool)) {
        self.nobody_since = None;
        if std::mem::take(&mut self.is_idle) && !self.is_over {
            tell(false);
        }
    }
}

/// The streams that flow. One that is taken over by its next run has two for a moment, whose client is the same.
#[derive(Debug, Default)]
pub(super) struct Interests(Mutex<HashMap<u32, Arc<Interest>>>);

impl Interests {
    /// A run of a stream begins. Its client may have been told otherwise of the last: `tell` has it told that it is wanted, after whatever was said of that.
    pub(super) fn begin(&self, stream: u32, is_on_demand: bool, tell: impl FnOnce(bool)) -> Arc<Interest> {
        let interest = Arc::new(Interest::new(is_on_demand));
        let last = lock(&self.0).insert(stream, interest.clone());
        if let Some(last) = last {
            last.end();
        }
        // Nobody else has the new one yet.
        if is_on_demand {
            tell(false);
        }
        interest
    }

    /// That run is over.
    pub(super) fn end(&self, stream: u32, interest: &Arc<Interest>) {
        let mut all = lock(&self.0);
        if all.get(&stream).is_some_and(|newest| Arc::ptr_eq(newest, interest)) {
            all.remove(&stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Wanted = Wanted { sinks: 0, readers: 0, watchers: 0, lookers: 0 };

    fn look(interest: &Interest, wanted: Wanted, now: Instant) -> Option<bool> {
        let mut told = None;
        interest.look(wanted, now, |idle| told = Some(idle));
        told
    }

    fn come(interest: &Interest) -> Option<bool> {
        let mut told = None;
        interest.come(|idle| told = Some(idle));
        told
    }

    #[test]
    fn a_stream_is_idle_once_nobody_has_wanted_it_for_a_while_and_wanted_again_at_once() {
        let (interest, begun) = (Interest::new(true), Instant::now());
        let look = |wanted, millis| look(&interest, wanted, begun + Duration::from_millis(millis));
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
            let (interest, begun) = (Interest::new(true), Instant::now());
            for second in 0..60 {
                let at = begun + Duration::from_secs(second);
                let wanted = if second % 2 == 1 { wanted } else { NOBODY };
                assert_eq!(look(&interest, wanted, at), None, "{wanted:?}");
            }
        }
    }

    #[test]
    fn a_watcher_who_comes_wakes_it_without_being_looked_for() {
        let (interest, begun) = (Interest::new(true), Instant::now());
        look(&interest, NOBODY, begun);
        assert_eq!(look(&interest, NOBODY, begun + IDLE_AFTER), Some(true));
        assert_eq!((come(&interest), come(&interest)), (Some(false), None));
    }

    #[test]
    fn a_stream_that_is_not_sent_on_demand_is_never_told() {
        let (interest, begun) = (Interest::new(false), Instant::now());
        let told = (0..60).find_map(|second| look(&interest, NOBODY, begun + Duration::from_secs(second)));
        assert_eq!((told, come(&interest)), (None, None));
    }

    #[test]
    fn what_is_told_last_was_decided_last_however_many_look_and_come_at_once() {
        const ROUNDS: u32 = 5_000;
        let (interest, begun, told) = (Interest::new(true), Instant::now(), Mutex::new(Vec::new()));
        let tell = |idle| {
            // Whoever else has something to tell has the chance to.
            std::thread::yield_now();
            lock(&told).push(idle);
        };
        // Each round both at once.
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    let at = begun + 2 * round * IDLE_AFTER;
                    barrier.wait();
                    interest.look(NOBODY, at, tell);
                    interest.look(NOBODY, at + IDLE_AFTER, tell);
                }
            });
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    barrier.wait();
                    interest.come(tell);
                }
            });
        });
        let told = told.into_inner().unwrap();
        assert!(told.contains(&true) && told.contains(&false), "both had something to tell");
        assert_ne!(told.first(), Some(&false));
        assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "a word was passed by the one after it");
        let is_idle = lock(&interest.0).is_idle;
        assert_eq!(told.last().copied().unwrap_or(false), is_idle);
    }

    #[test]
    fn a_run_that_another_has_taken_the_place_of_says_nothing_more() {
        let (interests, begun, told) = (Interests::default(), Instant::now(), Mutex::new(Vec::new()));
        let tell = |idle| lock(&told).push(idle);
        let first = interests.begin(7, true, tell);
        look(&first, NOBODY, begun);
        first.look(NOBODY, begun + IDLE_AFTER, tell);
        let second = interests.begin(7, true, tell);
        first.come(tell);
        first.look(NOBODY, begun + 2 * IDLE_AFTER, tell);
        first.look(NOBODY, begun + 4 * IDLE_AFTER, tell);
        interests.end(7, &first);
        second.look(NOBODY, begun, tell);
        second.look(NOBODY, begun + IDLE_AFTER, tell);
        assert_eq!(*lock(&told), [false, true, false, true]);
        interests.end(7, &second);
        assert!(lock(&interests.0).is_empty());
    }
}
