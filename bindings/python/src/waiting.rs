//! Waiting without the interpreter's lock, in steps short enough for Ctrl-C.

use std::time::{Duration, Instant};

use framewire_ends::{Error, STEP};
use pyo3::prelude::*;

use crate::errors::{argument, raised};
use crate::leaving::stay_away;

/// Seconds as a program says them; `None` is without end. More than any clock has is without end too.
pub(crate) fn seconds(py: Python<'_>, name: &str, seconds: Option<f64>) -> PyResult<Option<Duration>> {
    match seconds {
        None => Ok(None),
        Some(seconds) if seconds >= 0.0 => Ok(Duration::try_from_secs_f64(seconds).ok()),
        Some(seconds) => {
            let text = format!("{name}={seconds} is no time; use seconds from 0 on, or None to wait without end");
            Err(argument(py, "no-time", text))
        }
    }
}

/// Calls `step` with at most [`STEP`] again and again until it gives something; `None` where it has not within `timeout`, or ever.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    timeout: Option<Duration>,
    mut step: impl FnMut(Duration) -> Result<Option<T>, Error> + Send,
) -> PyResult<Option<T>> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut left = timeout.unwrap_or(Duration::MAX);
    loop {
        let found = py.detach(|| {
            let found = step(left.min(STEP));
            stay_away();
            found
        });
        let found = found.map_err(|error| raised(py, error))?;
        if found.is_some() {
            return Ok(found);
        }
        py.check_signals()?;
        // By the clock: a step may end before its time.
        left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(None);
        }
    }
}

/// Does what asks whether to go on, at least as often as every [`STEP`], without the interpreter's lock. What a signal raises is raised once it is done.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    act: impl FnOnce(&mut dyn FnMut() -> bool) -> T + Send,
) -> PyResult<T> {
    let (done, raised) = py.detach(|| {
        let mut raised = None;
        let done = act(&mut || {
            stay_away();
            raised = Python::attach(|py| py.check_signals()).err();
            raised.is_none()
        });
        stay_away();
        (done, raised)
    });
    raised.map_or(Ok(done), Err)
}
