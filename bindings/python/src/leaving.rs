//! What is still open when the interpreter ends: its threads are ended while there is an interpreter to wait for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;

use pyo3::prelude::*;

use crate::waiting::interruptible;

/// Something that is closed at the end of the program, unless it was before.
pub(crate) trait Close: Send + Sync {
    /// Ends it within this time, and waits for no longer than `go_on` says so.
    fn close_while(&self, timeout: Duration, go_on: &mut dyn FnMut() -> bool);

    /// Whether it sends: it is closed first then, while there still is whom it may send to.
    fn sends(&self) -> bool;
}

/// How long what was sent last may take to arrive.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// How long a thread that has waited stays away from an interpreter that ends: the process is gone by then, unless something joins it.
const STAYS_AWAY: Duration = Duration::from_secs(2);

/// The thread that ends the interpreter, once it does.
static LEAVES: OnceLock<ThreadId> = OnceLock::new();

/// How often it is looked whether all are closed.
const LOOKED_AFTER: Duration = Duration::from_millis(5);

static OPEN: Mutex<Vec<Weak<dyn Close>>> = Mutex::new(Vec::new());

/// Has it closed at the end of the program.
pub(crate) fn note(open: Weak<dyn Close>) {
    let mut all = opened();
    all.retain(|other| other.strong_count() > 0);
    all.push(open);
}

/// Has the interpreter call [`close_all`].
pub(crate) fn close_all_at_exit(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let close_all = wrap_pyfunction!(close_all, module)?;
    module.py().import("atexit")?.call_method1("register", (close_all,))?;
    Ok(())
}

/// To be called before a thread that has waited asks for the interpreter's lock again. Up to Python 3.13 whoever asks an interpreter that has ended for it is
/// ended by unwinding its stack, which frames of Rust are not made for: the process would die of it.
pub(crate) fn stay_away() {
    if LEAVES.get().is_some_and(|leaves| *leaves != thread::current().id()) {
        thread::sleep(STAYS_AWAY);
    }
}

#[pyfunction]
fn close_all(py: Python<'_>) -> PyResult<()> {
    let _ = LEAVES.set(thread::current().id());
    let all = std::mem::take(&mut *opened());
    interruptible(py, |go_on| {
        let all: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
        let (outputs, sources): (Vec<_>, Vec<_>) = all.into_iter().partition(|open| open.sends());
        close_at_once(&outputs, go_on);
        sources.iter().for_each(|open| open.close_while(PATIENCE, go_on));
    })
}

/// Closes all in the time of one: a receiver that does not answer takes no other's.
fn close_at_once(outputs: &[Arc<dyn Close>], go_on: &mut dyn FnMut() -> bool) {
    let is_given_up = AtomicBool::new(false);
    let close = |output: &Arc<dyn Close>| {
        output.close_while(PATIENCE, &mut || !is_given_up.load(Ordering::Relaxed));
    };
    thread::scope(|scope| {
        let threads: Vec<_> = outputs
            .iter()
            // Without a thread, it ends with the process.
            .filter_map(|output| thread::Builder::new().spawn_scoped(scope, || close(output)).ok())
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            if !is_given_up.load(Ordering::Relaxed) && !go_on() {
                is_given_up.store(true, Ordering::Relaxed);
            }
            thread::sleep(LOOKED_AFTER);
        }
    });
}

fn opened() -> MutexGuard<'static, Vec<Weak<dyn Close>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
