//! What is raised: a class for each thing that a program does about it, with the transport's code and text.

use framewire_ends::{Class, Error};
use pyo3::exceptions::{
    PyConnectionError, PyException, PyLookupError, PyOSError, PyRuntimeError, PyTimeoutError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

/// Where each class is in the table: its base comes first.
const CLASSES: [(Option<Class>, &str, &str); 12] = [
    (
        None,
        "Error",
        "What everything that Framewire raises is. `code` is that of the transport, the same in every version.",
    ),
    (Some(Class::Argument), "ArgumentError", "A value that cannot be: an address, a number, a name."),
    (
        Some(Class::Format),
        "FormatError",
        "An array, or a format, that is not what the stream carries: says what was expected.",
    ),
    (Some(Class::Timeout), "Timeout", "Nothing came, or nobody answered, in the time given."),
    (Some(Class::Ended), "Ended", "The stream has ended. Iteration ends instead."),
    (Some(Class::Closed), "Closed", "It was closed by this program; a frame: it was released."),
    (
        Some(Class::SlotsHeld),
        "SlotsHeld",
        "This program has a frame in every slot: drop some, `copy()` what is kept, or ask for more `slots=`.",
    ),
    (Some(Class::UnknownStream), "UnknownStream", "No stream has this name, or several have; says which there are."),
    (
        Some(Class::Interrupted),
        "Interrupted",
        "The process that shares the stream is gone (only with `reconnect=False`).",
    ),
    (Some(Class::Refused), "Refused", "The other end refuses, or cannot be reached."),
    (Some(Class::System), "SystemLack", "The system has no more of something: memory, descriptors, threads."),
    (Some(Class::Forked), "Forked", "This process was forked from the one that made it: make one here."),
];

/// What Rust's items are in Python.
const WORDS: &[(&str, &str)] = &[
    ("ReceiverConfig::keys, SenderConfig::key", "key="),
    ("ReceiverConfig::keys, or Announcement::key", "key= or keys="),
    ("Announcement::key, SenderConfig::key", "key="),
    ("ReceiverConfig::keys", "key= or keys="),
    ("SenderConfig::key", "key="),
    ("Protection::Off (--insecure)", "protection=\"off\""),
    ("Protection::Off", "protection=\"off\""),
    ("Protection::On", "protection=\"on\""),
    ("Protection::Auto", "protection=\"auto\""),
    ("Key::to_text said", "Key.text says"),
];

static TYPES: PyOnceLock<Vec<Py<PyType>>> = PyOnceLock::new();

/// Every class under its name.
pub(crate) fn classes(py: Python<'_>) -> PyResult<Vec<(&'static str, Py<PyType>)>> {
    let types = types(py)?;
    Ok(CLASSES.iter().zip(types).map(|((_, name, _), class)| (*name, class.clone_ref(py))).collect())
}

/// What is raised for an error.
pub(crate) fn raised(py: Python<'_>, error: Error) -> PyErr {
    raise(py, error).unwrap_or_else(|trouble| trouble)
}

/// An error of the binding's own.
pub(crate) fn error(py: Python<'_>, class: Class, code: &'static str, text: impl Into<String>) -> PyErr {
    raised(py, Error::new(class, code, text))
}

/// A value that cannot be.
pub(crate) fn argument(py: Python<'_>, code: &'static str, text: impl Into<String>) -> PyErr {
    error(py, Class::Argument, code, text)
}

/// Whether an error is of this class.
pub(crate) fn is(py: Python<'_>, error: &PyErr, class: Class) -> bool {
    types(py).is_ok_and(|types| error.is_instance(py, types[place(class)].bind(py)))
}

/// Whether it is an error, which something else can be done about, rather than Ctrl-C or the program's end.
pub(crate) fn is_exception(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyException>(py)
}

/// Every class of errors is in the table.
fn place(class: Class) -> usize {
    CLASSES.iter().position(|(other, ..)| *other == Some(class)).unwrap_or(0)
}

fn raise(py: Python<'_>, error: Error) -> PyResult<PyErr> {
    let Error { class, code, .. } = error;
    let text = match class {
        // By the names that Python has for it.
        Class::SlotsHeld => error
            .text
            .replace("copy what is to be kept", "copy() what is to be kept")
            .replace("ask for more slots", "ask for more (slots=)"),
        _ => error.in_words(WORDS),
    };
    let raised = types(py)?[place(class)].bind(py).call1((text,))?;
    raised.setattr("code", code)?;
    Ok(PyErr::from_value(raised))
}

fn types(py: Python<'_>) -> PyResult<&Vec<Py<PyType>>> {
    TYPES.get_or_try_init(py, || {
        let mut types: Vec<Py<PyType>> = Vec::with_capacity(CLASSES.len());
        for (class, name, text) in CLASSES {
            let bases = match (types.first(), class) {
                (Some(error), Some(class)) => match builtin(py, class) {
                    Some(builtin) => PyTuple::new(py, [error.bind(py).clone(), builtin])?,
                    None => PyTuple::new(py, [error.bind(py)])?,
                },
                _ => PyTuple::new(py, [py.get_type::<PyException>()])?,
            };
            let members = PyDict::new(py);
            members.set_item("__module__", "framewire")?;
            members.set_item("__doc__", text)?;
            members.set_item("code", "")?;
            let made = py.get_type::<PyType>().call1((name, bases, members))?;
            types.push(made.cast_into::<PyType>()?.unbind());
        }
        Ok(types)
    })
}

/// The exception of Python's own that means the same, so that programs that know nothing of ours are told too.
fn builtin(py: Python<'_>, class: Class) -> Option<Bound<'_, PyType>> {
    match class {
        Class::Argument | Class::Format | Class::Closed => Some(py.get_type::<PyValueError>()),
        Class::Timeout => Some(py.get_type::<PyTimeoutError>()),
        Class::UnknownStream => Some(py.get_type::<PyLookupError>()),
        Class::Interrupted | Class::Refused => Some(py.get_type::<PyConnectionError>()),
        Class::System => Some(py.get_type::<PyOSError>()),
        Class::Forked => Some(py.get_type::<PyRuntimeError>()),
        Class::Ended | Class::SlotsHeld => None,
    }
}
