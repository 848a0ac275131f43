//! NumPy, where it is: nothing but arrays needs it.

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

static ASARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// An array over an object's buffer, in place.
///
/// # Errors
/// There is no NumPy.
pub(crate) fn array<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = object.py();
    let asarray = ASARRAY.get_or_try_init(py, || match py.import("numpy") {
        Ok(numpy) => numpy.getattr("asarray").map(Bound::unbind),
        Err(error) if error.is_instance_of::<PyImportError>(py) => {
            let text = "arrays need NumPy, which is not here: pip install numpy, or use memoryview(frame)";
            let told = PyImportError::new_err(text);
            told.set_cause(py, Some(error));
            Err(told)
        }
        Err(error) => Err(error),
    })?;
    asarray.bind(py).call1((object,))
}
