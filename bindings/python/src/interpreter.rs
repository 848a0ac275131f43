//! Which interpreter of the process this is loaded into: one alone, since what it keeps of Python's, its classes for one, is that one's.

use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::prelude::*;

/// The first that came; none has a number below zero.
static INTERPRETER: AtomicI64 = AtomicI64::new(-1);

/// Notes whose it is.
///
/// # Errors
/// `ImportError` in every interpreter but the first.
pub(crate) fn check(_py: Python<'_>) -> PyResult<()> {
    // SAFETY: this thread is attached to one.
    let current = unsafe { ffi::PyInterpreterState_Get() };
    // SAFETY: it is there as long as this thread is attached to it.
    let current = unsafe { ffi::PyInterpreterState_GetID(current) };
    match INTERPRETER.compare_exchange(-1, current, Ordering::AcqRel, Ordering::Acquire) {
        Err(first) if first != current => Err(PyImportError::new_err(
            "framewire is loaded in another interpreter of this process, and does not go into a second (a subinterpreter); use threads, or processes",
        )),
        _ => Ok(()),
    }
}
