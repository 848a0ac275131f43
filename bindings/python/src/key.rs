//! The secret that both ends of a stream have, as Python has it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use framewire_transport::Protection;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::errors::{argument, raised};

const BYTES: usize = 32;

/// The secret that both ends of a stream have.
#[pyclass(frozen, module = "framewire", eq)]
#[derive(PartialEq)]
pub(crate) struct Key(pub(crate) framewire_transport::Key);

#[pymethods]
impl Key {
    /// Of its text, 43 characters, or of its 32 bytes, which must be random: a password is none.
    #[new]
    fn new(py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(text) = key.cast::<PyString>() {
            // What a file has behind it is no part of it. A text that is not UTF-8 is no key either.
            let text = text.to_string_lossy();
            return text
                .trim()
                .parse()
                .map(Self)
                .map_err(|error: framewire_transport::KeyError| raised(py, error.into()));
        }
        let Ok(bytes) = key.extract::<&[u8]>() else {
            let text = format!("a key is made of its text or of its {BYTES} bytes, not of {}", key.get_type().name()?);
            return Err(argument(py, "no-key", text));
        };
        let bytes = <[u8; BYTES]>::try_from(bytes).map_err(|_| {
            let text = format!("a key has {BYTES} bytes, these are {}; give all of them and nothing else", bytes.len());
            argument(py, "key-length", text)
        })?;
        Ok(Self(framewire_transport::Key::from_bytes(bytes)))
    }

    /// One that nobody else has.
    #[staticmethod]
    fn random(py: Python<'_>) -> PyResult<Self> {
        framewire_transport::Key::random().map(Self).map_err(|error| {
            let lack = framewire_ends::Error::new(framewire_ends::Class::System, "no-random", error.to_string());
            raised(py, lack)
        })
    }

    /// The key as 43 characters: as much of a secret as the key.
    #[getter]
    fn text(&self) -> String {
        self.0.to_text()
    }

    /// What it is called where it is not to be told: 16 hexadecimal digits, no secret.
    #[getter]
    fn id(&self) -> String {
        self.0.id().to_string()
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.bytes())
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.id().hash(&mut hasher);
        hasher.finish()
    }

    /// The id alone.
    fn __repr__(&self) -> String {
        format!("<framewire.Key {}>", self.0.id())
    }
}

/// Whether frames are protected, as programs say it.
pub(crate) fn protection(py: Python<'_>, said: &str) -> PyResult<Protection> {
    let found = Protection::ALL.into_iter().find(|protection| protection.name() == said);
    found.ok_or_else(|| {
        let text = format!("'{}' is no protection; use auto, on or off", said.escape_debug());
        argument(py, "unknown-protection", text)
    })
}

/// A key as programs give it.
pub(crate) fn key_of(py: Python<'_>, key: Option<&Bound<'_, PyAny>>) -> PyResult<Option<framewire_transport::Key>> {
    let Some(key) = key else { return Ok(None) };
    match key.cast::<Key>() {
        Ok(key) => Ok(Some(key.get().0.clone())),
        // What was given may be one, and is not shown.
        Err(_) => {
            let text = format!(
                "a key is a framewire.Key, not of {}; make one with framewire.Key(text) or Key.random()",
                key.get_type().name()?
            );
            Err(argument(py, "no-key", text))
        }
    }
}

/// All keys of a receiver: one, several, or both.
pub(crate) fn keys_of(
    py: Python<'_>,
    one: Option<&Bound<'_, PyAny>>,
    several: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<framewire_transport::Key>> {
    let mut keys: Vec<_> = key_of(py, one)?.into_iter().collect();
    if let Some(several) = several {
        for key in several.try_iter()? {
            keys.extend(key_of(py, Some(&key?))?);
        }
    }
    Ok(keys)
}
