//! Asking a program's threads to end: by Ctrl-C, by a limit, or because another one failed.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::exit::Failure;

/// A request to stop that every thread sees. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    failure: Option<Failure>,
}

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops at the first Ctrl-C (or SIGTERM, SIGHUP), in order; at the second one the process ends at once.
    ///
    /// # Errors
    /// Where the system refuses the handler.
    pub fn on_interrupt(&self) -> Result<(), Failure> {
        let stop = self.clone();
        let mut interrupts = 0;
        ctrlc::set_handler(move || {
            interrupts += 1;
            if interrupts > 1 {
                std::process::exit(130);
            }
            stop.stop();
        })
        .map_err(|error| {
            Failure::runtime(format!("Ctrl-C cannot be caught: {error}; stop other handlers of this process"))
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Asks every thread to stop.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.shared.changed.notify_all();
    }

    /// Asks every thread to stop because of a failure; the first one is kept.
    pub fn fail(&self, failure: Failure) {
        let mut state = self.lock();
        state.failure.get_or_insert(failure);
        state.stopped = true;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Whether somebody has asked.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Sleeps until `deadline` or until somebody asks; true where somebody has.
    pub fn sleep_until(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while !state.stopped {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        true
    }

    /// As [`Stop::sleep_until`], for a time from now.
    pub fn sleep(&self, time: Duration) -> bool {
        self.sleep_until(Instant::now() + time)
    }

    /// The failure because of which the program stops, if that is why.
    ///
    /// # Errors
    /// That failure.
    pub fn outcome(&self) -> Result<(), Failure> {
        self.lock().failure.clone().map_or(Ok(()), Err)
    }
}
