//! The native half of the Python package `framewire`: what it says of itself, and how it is used, is in `python/framewire/__init__.pyi`.
//!
//! Everything that waits does so in short steps without the interpreter's lock, and looks for signals between them. No lock of this crate is held while that
//! lock is waited for.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "views of memory for the interpreter; each block names its invariant")]
mod buffer;
#[allow(unsafe_code, reason = "arrays of the interpreter are read; each block names its invariant")]
mod copying;
mod errors;
mod frame;
#[allow(unsafe_code, reason = "the interpreter is asked for its number")]
mod interpreter;
mod key;
mod leaving;
mod metadata;
mod numpy;
mod output;
#[allow(unsafe_code, reason = "memory that Python writes into; each block names its invariant")]
mod owned;
mod plane;
mod slot;
mod source;
mod stats;
mod stream;
mod waiting;

use pyo3::prelude::*;

/// `framewire._native`.
#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    interpreter::check(py)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    for (name, class) in errors::classes(py)? {
        module.add(name, class)?;
    }
    module.add_class::<key::Key>()?;
    module.add_class::<stream::Stream>()?;
    module.add_class::<frame::Frame>()?;
    module.add_class::<stats::SourceStats>()?;
    module.add_class::<stats::OutputStats>()?;
    module.add_class::<source::Source>()?;
    module.add_class::<source::Receiver>()?;
    module.add_class::<source::Reader>()?;
    module.add_class::<slot::Slot>()?;
    module.add_class::<output::Output>()?;
    module.add_class::<output::Sender>()?;
    module.add_class::<output::Publisher>()?;
    module.add_function(wrap_pyfunction!(source::open, module)?)?;
    module.add_function(wrap_pyfunction!(source::streams, module)?)?;
    leaving::close_all_at_exit(module)
}
