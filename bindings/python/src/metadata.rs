//! What belongs to a frame beside its pixels: Python's values, and the bytes that travel.

use framewire_transport::MetadataKind;
use pyo3::PyErr;
use pyo3::exceptions::{PyRecursionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyMapping, PyMemoryView, PyString, PyTuple};

use crate::errors::argument;

/// Bytes, and what they are.
pub(crate) struct Encoded {
    pub(crate) kind: MetadataKind,
    pub(crate) bytes: Vec<u8>,
}

/// What is sent of a value: bytes as they are, everything else as JSON.
///
/// # Errors
/// JSON cannot say it.
pub(crate) fn encoded(value: &Bound<'_, PyAny>) -> PyResult<Option<Encoded>> {
    if value.is_none() {
        return Ok(None);
    }
    if value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PyMemoryView>()
    {
        let bytes = value.py().get_type::<PyBytes>().call1((value,))?;
        return Ok(Some(Encoded { kind: MetadataKind::Bytes, bytes: bytes.extract()? }));
    }
    let py = value.py();
    let is_said = value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyTuple>()
        || value.cast::<PyMapping>().is_ok();
    if !is_said {
        let text =
            format!("a value of type {} is no metadata; use a dict, a list, a str or bytes", value.get_type().name()?);
        return Err(argument(py, "no-metadata", text));
    }
    let text = json(py)?.dumps.bind(py).call1((value,)).map_err(|error| {
        let is_told = error.is_instance_of::<PyTypeError>(py)
            || error.is_instance_of::<PyValueError>(py)
            || error.is_instance_of::<PyRecursionError>(py);
        if is_told { no_json(py, error) } else { error }
    })?;
    // Half of a pair of surrogates is in no UTF-8.
    let bytes = text.extract::<&str>().map_err(|error| no_json(py, error))?.as_bytes().to_vec();
    Ok(Some(Encoded { kind: MetadataKind::Json, bytes }))
}

fn no_json(py: Python<'_>, error: PyErr) -> PyErr {
    let text = format!("metadata is no JSON ({}); use what JSON has, or bytes", error.value(py));
    let told = argument(py, "metadata-no-json", text);
    told.set_cause(py, Some(error));
    told
}

/// What came, as Python has it.
pub(crate) fn decoded<'py>(py: Python<'py>, kind: MetadataKind, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let as_they_are = PyBytes::new(py, bytes);
    if kind != MetadataKind::Json {
        return Ok(as_they_are.into_any());
    }
    match json(py)?.loads.bind(py).call1((&as_they_are,)) {
        Ok(value) => Ok(value),
        // No JSON, or deeper than the interpreter goes.
        Err(error) if error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyRecursionError>(py) => {
            as_they_are.call_method1("decode", ("utf-8", "replace"))
        }
        Err(error) => Err(error),
    }
}

struct Json {
    dumps: Py<PyAny>,
    loads: Py<PyAny>,
}

fn json(py: Python<'_>) -> PyResult<&'static Json> {
    static JSON: PyOnceLock<Json> = PyOnceLock::new();
    JSON.get_or_try_init(py, || {
        let module = py.import("json")?;
        let options = PyDict::new(py);
        options.set_item("ensure_ascii", false)?;
        // What others cannot read is none.
        options.set_item("allow_nan", false)?;
        options.set_item("separators", (",", ":"))?;
        options.set_item("default", pyo3::wrap_pyfunction!(plain, py)?)?;
        let encoder = module.getattr("JSONEncoder")?.call((), Some(&options))?;
        Ok(Json { dumps: encoder.getattr("encode")?.unbind(), loads: module.getattr("loads")?.unbind() })
    })
}

/// NumPy's numbers and arrays, and mappings that are no dict, as JSON can say them.
#[pyfunction]
fn plain<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(mapping) = value.cast::<PyMapping>() {
        let plain = PyDict::new(value.py());
        plain.update(mapping)?;
        return Ok(plain.into_any());
    }
    match value.getattr_opt("tolist")? {
        Some(tolist) => tolist.call0(),
        None => Err(PyTypeError::new_err(format!("a {} is not", value.get_type().name()?))),
    }
}
