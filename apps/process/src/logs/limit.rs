//! How much one place in the program may write, so that a peer that does the same thing a thousand times costs neither
//! the disk nor the reader.
//!
//! It sits where logs are written rather than where they are made: what the other crates and their dependencies say is
//! limited too, and a library's user who wants all of it has it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::lock::lock;

/// More lines a second than this from one place are read by nobody.
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// The part of the logs that leaves lines out.
pub(super) struct Limit {
    limiter: Arc<Limiter>,
}

impl Limit {
    pub(super) fn new(limiter: Arc<Limiter>) -> Self {
        Self { limiter }
    }
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        // Whoever asks for debug wants to see all of it.
        *event.metadata().level() > Level::INFO || self.limiter.admit(event.metadata(), Instant::now())
    }
}

/// Counts what every place writes. There are as many places as the program has, whatever peers do.
pub(super) struct Limiter {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    places: HashMap<Identifier, Place>,
    stopped: bool,
}

struct Place {
    metadata: &'static Metadata<'static>,
    /// When the first line of this second was written.
    began: Instant,
    written: u32,
    left_out: u64,
    /// When the first of the lines was left out that nobody has been told of.
    silent_since: Instant,
}

/// So many lines of one place that were not written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) level: Level,
    pub(super) target: &'static str,
    /// Unknown of what comes by way of the crate `log`, which is one place for each level.
    line: Option<u32>,
    count: u64,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} more lines like those from {}", self.count, self.target)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, " were left out; at most {LINES_MAX} a second are written")
    }
}

impl Limiter {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), changed: Condvar::new() }
    }

    /// Whether a line of this place is to be written; one that is not is counted.
    fn admit(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        let mut state = self.lock();
        let place = state.places.entry(metadata.callsite()).or_insert_with(|| Place::new(metadata, now));
        if now.saturating_duration_since(place.began) >= WINDOW {
            (place.began, place.written) = (now, 0);
        }
        if place.written < LINES_MAX {
            place.written += 1;
            return true;
        }
        place.left_out += 1;
        if place.left_out == 1 {
            place.silent_since = now;
            self.changed.notify_all();
        }
        false
    }

    /// Tells what was left out, a second after the first of it and at the end, until stopped.
    pub(super) fn run(&self, mut tell: impl FnMut(LeftOut)) {
        let mut state = self.lock();
        loop {
            let stopped = state.stopped;
            let (due, next) = state.take_due(Instant::now(), stopped);
            if !due.is_empty() {
                // Written without the lock, which every thread takes that has something to say.
                drop(state);
                due.into_iter().for_each(&mut tell);
                state = self.lock();
                continue;
            }
            if stopped {
                return;
            }
            state = match next {
                Some(wait) => self
                    .changed
                    .wait_timeout(state, wait)
                    .map_or_else(|poisoned| poisoned.into_inner().0, |woken| woken.0),
                None => self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()),
            };
        }
    }

    /// Has [`Limiter::run`] tell the rest, and return.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// What is to be told now (of everything, where `all`), and how long until the next.
    fn take_due(&mut self, now: Instant, all: bool) -> (Vec<LeftOut>, Option<Duration>) {
        let (mut due, mut next) = (Vec::new(), None::<Duration>);
        for place in self.places.values_mut().filter(|place| place.left_out > 0) {
            let wait = (place.silent_since + WINDOW).saturating_duration_since(now);
            if all || wait.is_zero() {
                due.push(place.take());
            } else {
                next = Some(next.map_or(wait, |next| next.min(wait)));
            }
        }
        (due, next)
    }
}

impl Place {
    fn new(metadata: &'static Metadata<'static>, now: Instant) -> Self {
        Self { metadata, began: now, written: 0, left_out: 0, silent_since: now }
    }

    fn take(&mut self) -> LeftOut {
        LeftOut {
            level: *self.metadata.level(),
            target: self.metadata.target(),
            line: self.metadata.line(),
            count: std::mem::take(&mut self.left_out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        fn lines(&self) -> Vec<String> {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
        }
    }

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written, and what is told to have been left out, by the end of `work`.
    fn logged(work: impl FnOnce()) -> (Vec<String>, Vec<LeftOut>) {
        let (written, limiter) = (Written::default(), Arc::new(Limiter::new()));
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let logs = tracing_subscriber::registry().with(lines).with(Limit::new(limiter.clone()));
        tracing::subscriber::with_default(logs, work);
        let mut told = Vec::new();
        limiter.stop();
        limiter.run(|left_out| told.push(left_out));
        (written.lines(), told)
    }

    #[test]
    fn a_flood_of_a_thousand_events_is_a_few_lines_and_a_count() {
        let (lines, told) = logged(|| (0..1000).for_each(|number| tracing::warn!(number, "a peer does it again")));
        let left_out: u64 = told.iter().map(|left_out| left_out.count).sum();
        assert_eq!(lines.len() as u64 + left_out, 1000);
        assert!(lines[0].contains("number=0") && lines.len() < 500, "{} lines", lines.len());
        assert!(told[0].to_string().contains("logs::limit::tests:"), "{}", told[0]);
    }

    #[test]
    fn a_flood_from_one_place_leaves_the_others_their_lines() {
        let (lines, _) = logged(|| {
            (0..1000).for_each(|_| tracing::info!("flood"));
            tracing::error!("something else");
        });
        assert!(lines.iter().any(|line| line.contains("something else")));
    }

    #[test]
    fn what_debug_says_is_written_whole() {
        let (lines, told) = logged(|| (0..100).for_each(|_| tracing::debug!("detail")));
        assert_eq!((lines.len(), told.len()), (100, 0));
    }

    /// What `tracing` knows of a place that writes.
    fn of_some_place() -> &'static Metadata<'static> {
        struct Take(Arc<Mutex<Option<&'static Metadata<'static>>>>);
        impl<S: Subscriber> Layer<S> for Take {
            fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                *self.0.lock().unwrap() = Some(event.metadata());
            }
        }
        let taken = Arc::new(Mutex::new(None));
        let logs = tracing_subscriber::registry().with(Take(taken.clone()));
        tracing::subscriber::with_default(logs, || tracing::warn!("once"));
        taken.lock().unwrap().expect("an event has just been written")
    }

    #[test]
    fn every_second_has_its_lines_and_its_count() {
        let metadata = of_some_place();
        let (limiter, start) = (Limiter::new(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let admitted = |times: u32, millis| (0..times).filter(|_| limiter.admit(metadata, at(millis))).count();
        assert_eq!((admitted(100, 0), admitted(100, 999), admitted(5, 1000)), (10, 0, 5));
        let counts = |millis, all| {
            let (due, next) = limiter.lock().take_due(at(millis), all);
            (due.iter().map(|left_out| left_out.count).collect::<Vec<_>>(), next)
        };
        assert_eq!(counts(900, false), (vec![], Some(Duration::from_millis(100))));
        assert_eq!(counts(1000, false), (vec![190], None));
        assert_eq!((admitted(6, 1500), counts(1500, false)), (5, (vec![], Some(Duration::from_secs(1)))));
        assert_eq!(counts(1500, true), (vec![1], None));
    }
}
