//! Several streams as one: each has its turn, and all are waited for together.

use std::os::fd::AsFd;
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

/// The next frame within a time, by looking whenever the descriptor tells of something.
pub(super) fn take(
    watched: &Watched,
    timeout: Duration,
    mut look: impl FnMut() -> Result<Look, Error>,
) -> Result<Option<Taken>, Error> {
    let deadline = Instant::now().checked_add(timeout);
    let mut held_since = None;
    loop {
        let look = look()?;
        let now = Instant::now();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
        let wait = match look {
            Look::Taken(taken) => return Ok(Some(taken)),
            Look::Nothing => left,
            Look::Held(error) => {
                let since = *held_since.get_or_insert(now);
                if now - since >= HELD_PATIENCE || left.is_some_and(|left| left.is_zero()) {
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
