//! What is still open when the interpreter ends: its threads are ended while there is an interpreter to wait for them.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;

use pyo3::prelude::*;

/// Something that is closed at the end of the program, unless it was before.
pub(crate) trait Close: Send + Sync {
    /// Ends it within this time.
    fn close_within(&self, timeout: Duration);

    /// Whether it sends: it is closed first then, while there still is whom it may send to.
    fn sends(&self) -> bool;
}

/// How long what was sent last may take to arrive.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// How long a thread that has waited stays away from an interpreter that ends: the process is gone by then, unless something joins it.
const STAYS_AWAY: Duration = Duration::from_secs(2);

/// The thread that ends the interpreter, once it does.
static LEAVES: OnceLock<ThreadId> = OnceLock::new();

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
fn close_all(py: Python<'_>) {
    let _ = LEAVES.set(thread::current().id());
    let all = std::mem::take(&mut *opened());
    py.detach(|| {
        let all: Vec<_> = all.iter().filter_map(Weak::upgrade).collect();
        let (outputs, sources): (Vec<_>, Vec<_>) = all.into_iter().partition(|open| open.sends());
        outputs.iter().chain(&sources).for_each(|open| open.close_within(PATIENCE));
    });
}

fn opened() -> MutexGuard<'static, Vec<Weak<dyn Close>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
