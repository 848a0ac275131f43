//! What a stream is, as Python sees it.

use std::sync::Arc;

use pyo3::prelude::*;

/// What a stream is.
#[pyclass(frozen, module = "framewire", eq)]
#[derive(PartialEq)]
pub(crate) struct Stream(pub(crate) Arc<framewire_ends::Stream>);

#[pymethods]
impl Stream {
    /// What it is called; of one that comes over the network, its number.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// The format of its frames.
    #[getter]
    fn format(&self) -> &'static str {
        self.0.format.pixel().name()
    }

    /// Pixels.
    #[getter]
    fn width(&self) -> u32 {
        self.0.format.width()
    }

    /// Pixels.
    #[getter]
    fn height(&self) -> u32 {
        self.0.format.height()
    }

    /// Frames a second, where its source said.
    #[getter]
    fn fps(&self) -> Option<f64> {
        self.0.presentation.rate.map(|rate| rate.as_f64())
    }

    /// Whether its source loses nothing (`every`), or has the newest frame win (`latest`).
    #[getter]
    fn delivery(&self) -> &'static str {
        self.0.delivery.name()
    }

    /// Bytes of metadata that a frame may have.
    #[getter]
    fn metadata_max(&self) -> usize {
        self.0.metadata_max
    }

    /// HOST:PORT of its sender; None by shared memory.
    #[getter]
    fn peer(&self) -> Option<String> {
        self.0.peer.map(|peer| peer.to_string())
    }

    /// How its frames come to whoever hands them out.
    #[getter]
    fn path(&self) -> Option<&'static str> {
        self.0.path.map(|path| path.name())
    }

    /// The cipher that its datagrams are protected by, such as AES-128-GCM; None where they are plain, and by shared memory.
    #[getter]
    fn protection(&self) -> Option<&'static str> {
        self.0.protection
    }

    fn __repr__(&self) -> String {
        let stream = &self.0;
        format!("<framewire.Stream '{}': {}, {}>", stream.name.escape_debug(), stream.format, stream.delivery.name())
    }
}
