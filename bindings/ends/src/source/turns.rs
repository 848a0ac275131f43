//! Several streams as one: each has its turn, and all are waited for together. And how long a program that holds every slot is waited for.

use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::watched::{self, Watched};
use crate::error::Error;
use crate::stream::Taken;

/// How long a program that holds every slot is waited for before it is told: another of its threads may give one back.
const HELD_PATIENCE: Duration = Duration::from_millis(80);

/// How often it is looked whether one was given back: no descriptor tells of that.
const HELD_LOOK: Duration = Duration::from_millis(5);

/// What came of looking for a frame.
pub(super) enum Look {
    Taken(Taken),
    /// None is there; the descriptor tells of the next.
    Nothing,
    /// None can come before one is dropped.
    Held(Error),
}

/// Since when the program holds every slot of a source: of all its calls and threads, since each may wait for a short time only.
///
/// No slot is given back and full again without a frame being taken; so each frame that is taken says that one was given back.
#[derive(Default)]
pub(super) struct Held(Mutex<Since>);

#[derive(Default)]
struct Since {
    held: Option<Instant>,
    taken: Option<Instant>,
}

impl Held {
    /// A frame was taken.
    pub(super) fn taken(&self) {
        *self.lock() = Since { held: None, taken: Some(Instant::now()) };
    }

    /// None was there, and one may come.
    pub(super) fn is_not(&self) {
        self.lock().held = None;
    }

    /// For how long it is to be waited still, every slot having been held when it was looked at `since` and after; `None` where that was long enough. Then
    /// the program is told, and waited for anew.
    pub(super) fn patience(&self, since: Instant) -> Option<Duration> {
        let mut state = self.lock();
        let taken = state.taken;
        let since = *state.held.get_or_insert(taken.map_or(since, |taken| taken.max(since)));
        let left = HELD_PATIENCE.saturating_sub(since.elapsed());
        if left.is_zero() {
            state.held = None;
            return None;
        }
        Some(left)
    }

    /// The next frame within a time, by looking whenever the descriptor tells of something. Whoever has no time is told at once that all slots are held.
    pub(super) fn take(
        &self,
        watched: &Watched,
        timeout: Duration,
        mut look: impl FnMut() -> Result<Look, Error>,
    ) -> Result<Option<Taken>, Error> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let look = look()?;
            let now = Instant::now();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
            let wait = match look {
                Look::Taken(taken) => {
                    self.taken();
                    return Ok(Some(taken));
                }
                Look::Nothing => {
                    self.is_not();
                    left
                }
                Look::Held(error) => {
                    if self.patience(now).is_none() || timeout.is_zero() {
                        return Err(error);
                    }
                    Some(left.map_or(HELD_LOOK, |left| left.min(HELD_LOOK)))
                }
            };
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            watched::wait(watched.as_fd(), wait)?;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Since> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
