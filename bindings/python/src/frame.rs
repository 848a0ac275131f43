//! A received frame, as Python has it.

use std::ffi::c_int;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use framewire_ends::array::{ArrayLayout, of_length};
use framewire_ends::{Class, Taken};
use framewire_transport::{FrameFormat, FrameInfo, MetadataKind};
use pyo3::exceptions::{PyBufferError, PyMemoryError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use pyo3::{PyErr, ffi};

use crate::buffer::{self, Memory, Viewed};
use crate::errors::{error, is_exception};
use crate::metadata::decoded;
use crate::numpy;
use crate::owned::OwnedBytes;
use crate::plane::{self, Owner};
use crate::stream::Stream;

/// One picture, in the memory that it arrived in, read-only (a copy is writable). It holds a slot until it, and every array made of it, are gone.
/// It has the buffer protocol.
#[pyclass(frozen, module = "framewire", weakref)]
pub(crate) struct Frame {
    state: Mutex<State>,
    stream: Arc<framewire_ends::Stream>,
    format: FrameFormat,
    info: FrameInfo,
    bytes: usize,
    /// `None` for a copy.
    slot: Option<usize>,
    missing: Vec<Range<usize>>,
    is_complete: bool,
}

struct State {
    /// `None` once it was released.
    pixels: Option<Pixels>,
    /// Views that were not given back.
    views: usize,
}

#[derive(Clone)]
enum Pixels {
    Leased(framewire_transport::Frame),
    Owned(Arc<Owned>),
}

struct Owned {
    bytes: OwnedBytes,
    metadata: Option<(MetadataKind, Vec<u8>)>,
}

impl Pixels {
    fn first(&self) -> *mut u8 {
        match self {
            // Nobody writes through it: its views are read-only.
            Self::Leased(frame) => frame.as_ptr().cast_mut(),
            Self::Owned(owned) => owned.bytes.first(),
        }
    }

    fn metadata(&self) -> Option<(MetadataKind, &[u8])> {
        match self {
            Self::Leased(frame) => frame.metadata().map(|metadata| (metadata.kind, metadata.bytes)),
            Self::Owned(owned) => owned.metadata.as_ref().map(|(kind, bytes)| (*kind, bytes.as_slice())),
        }
    }

    fn read_only(&self) -> Option<&'static str> {
        let why = "a received frame is read-only: others may read it at the same time; write into its copy()";
        matches!(self, Self::Leased(_)).then_some(why)
    }
}

impl Frame {
    pub(crate) fn new(taken: Taken) -> Self {
        let Taken { frame, stream } = taken;
        Self {
            format: of_length(*frame.format().unwrap_or(&stream.format), frame.len()),
            stream,
            info: *frame.info(),
            bytes: frame.len(),
            slot: Some(frame.slot()),
            missing: if frame.is_complete() { Vec::new() } else { frame.missing().collect() },
            is_complete: frame.is_complete(),
            state: Mutex::new(State { pixels: Some(Pixels::Leased(frame)), views: 0 }),
        }
    }

    /// Its format, for who sends it on.
    pub(crate) fn frame_format(&self) -> &FrameFormat {
        &self.format
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the pixels. Nothing of Python's is made meanwhile: that may have it drop arrays of this very frame.
    fn pixels<T>(&self, py: Python<'_>, look: impl FnOnce(&Pixels) -> T) -> PyResult<T> {
        let found = self.lock().pixels.as_ref().map(look);
        found.ok_or_else(|| released(py))
    }

    fn layout(&self) -> Option<ArrayLayout> {
        ArrayLayout::of_frame(&self.format, self.bytes)
    }

    fn one_array(&self, py: Python<'_>) -> PyResult<ArrayLayout> {
        self.layout().ok_or_else(|| error(py, Class::Format, "no-one-array", self.no_one_array()))
    }

    fn no_one_array(&self) -> String {
        format!("the planes of a frame of {} make no one array: use its planes", self.format)
    }
}

impl Viewed for Frame {
    fn add_view(&self, py: Python<'_>, layout: ArrayLayout) -> PyResult<Memory> {
        let mut state = self.lock();
        let memory = state.pixels.as_ref().map(|pixels| {
            let first = pixels.first().wrapping_add(layout.offset);
            Memory { first, layout, read_only: pixels.read_only() }
        });
        state.views += usize::from(memory.is_some());
        drop(state);
        memory.ok_or_else(|| released(py))
    }

    fn remove_view(&self) {
        self.lock().views -= 1;
    }
}

fn released(py: Python<'_>) -> PyErr {
    error(py, Class::Closed, "released", "this frame was released; use it before that, or its copy()")
}

#[pymethods]
impl Frame {
    /// The pixels in place: H x W, H x W x C, OpenCV's shapes for planar formats; uint8, uint16 or float32. FormatError where the planes make no one
    /// array: use `planes`.
    #[getter]
    fn array<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().pixels(py, |_| ())?;
        slf.get().one_array(py)?;
        numpy::array(slf.as_any())
    }

    /// The planes in place.
    #[getter]
    fn planes<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let (py, frame) = (slf.py(), slf.get());
        frame.pixels(py, |_| ())?;
        plane::arrays(py, &Owner::Frame(slf.clone().unbind()), &frame.format, frame.bytes)
    }

    /// That of `array`.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.one_array(py)?.shape())
    }

    /// What its pixels are: a name such as bgr24.
    #[getter]
    fn format(&self) -> &'static str {
        self.format.pixel().name()
    }

    /// Pixels.
    #[getter]
    fn width(&self) -> u32 {
        self.format.width()
    }

    /// Pixels.
    #[getter]
    fn height(&self) -> u32 {
        self.format.height()
    }

    /// Bytes from row to row of the first plane.
    #[getter]
    fn stride(&self) -> u32 {
        self.format.stride()
    }

    /// Bytes of all its planes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.bytes
    }

    /// From 0 on, without gaps at its source.
    #[getter]
    fn number(&self) -> u64 {
        self.info.number
    }

    /// When the picture was taken: seconds of this machine's monotonic clock, as `time.monotonic()`; 0 while its machine's clock is not known.
    #[getter]
    fn captured(&self) -> f64 {
        self.info.captured.as_nanos() as f64 / 1e9
    }

    /// The same in nanoseconds, as `time.monotonic_ns()`.
    #[getter]
    fn captured_ns(&self) -> u64 {
        self.info.captured.as_nanos()
    }

    /// The same as UTC, to the microsecond; None where its source did not say.
    #[getter]
    fn captured_utc(&self) -> Option<std::time::SystemTime> {
        self.info.captured_utc
    }

    /// Seconds from its capture until it was whole here; None where the clocks are not compared yet.
    #[getter]
    fn latency(&self) -> Option<f64> {
        self.info.latency.map(|latency| latency.as_secs_f64())
    }

    /// Whether every byte of it has come.
    #[getter]
    fn complete(&self) -> bool {
        self.is_complete
    }

    /// Ranges of bytes that did not arrive, [start, stop); empty unless `partial=True` was asked for.
    #[getter]
    fn missing(&self) -> Vec<(usize, usize)> {
        self.missing.iter().map(|range| (range.start, range.end)).collect()
    }

    /// bytes as bytes; JSON as what it says (a str where it is no JSON after all); CBOR as bytes; None without any.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = self.pixels(py, |pixels| pixels.metadata().map(|(kind, bytes)| (kind, bytes.to_vec())))?;
        found.map(|(kind, bytes)| decoded(py, kind, &bytes)).transpose()
    }

    /// What its metadata is, as its source said: bytes, json or cbor.
    #[getter]
    fn metadata_kind(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        self.pixels(py, |pixels| pixels.metadata().map(|(kind, _)| kind.name()))
    }

    /// Its metadata as it came.
    #[getter]
    fn metadata_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.pixels(py, |pixels| pixels.metadata().map_or_else(Vec::new, |(_, bytes)| bytes.to_vec()))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// What it is a frame of.
    #[getter]
    fn stream(&self) -> Stream {
        Stream(self.stream.clone())
    }

    /// Which slot it is in, for diagnosis; -1 for a copy.
    #[getter]
    fn slot(&self) -> i64 {
        self.slot.map_or(-1, |slot| slot as i64)
    }

    /// Whether it is in memory of its own.
    #[getter]
    fn is_copy(&self) -> bool {
        self.slot.is_none()
    }

    /// Whether its slot was given back.
    #[getter]
    fn released(&self) -> bool {
        self.lock().pixels.is_none()
    }

    /// The same frame in memory of its own, writable; it holds no slot.
    fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        let pixels = self.pixels(py, Pixels::clone)?;
        let copied = py.detach(|| {
            let metadata = pixels.metadata().map(|(kind, bytes)| (kind, bytes.to_vec()));
            let bytes = match &pixels {
                Pixels::Leased(frame) => OwnedBytes::copy_of(frame)?,
                Pixels::Owned(owned) => owned.bytes.twin()?,
            };
            Some(Pixels::Owned(Arc::new(Owned { bytes, metadata })))
        });
        let Some(pixels) = copied else {
            return Err(PyMemoryError::new_err(format!("there is no memory for a copy of {} bytes", self.bytes)));
        };
        Ok(Self {
            state: Mutex::new(State { pixels: Some(pixels), views: 0 }),
            stream: self.stream.clone(),
            format: self.format,
            info: self.info,
            bytes: self.bytes,
            slot: None,
            missing: self.missing.clone(),
            is_complete: self.is_complete,
        })
    }

    /// Gives the slot back now. BufferError while arrays of it live. Twice is once.
    fn release(&self) -> PyResult<()> {
        let (pixels, views) = {
            let mut state = self.lock();
            (if state.views == 0 { state.pixels.take() } else { None }, state.views)
        };
        drop(pixels);
        if views == 0 {
            return Ok(());
        }
        let text = format!("{views} arrays or views of this frame are still there; drop them first");
        Err(PyBufferError::new_err(text))
    }

    /// A tensor of the pixels on this device, always of its own memory: torch has no read-only tensors.
    #[pyo3(signature = (device = None))]
    fn torch<'py>(slf: &Bound<'py, Self>, device: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let array = Self::array(slf)?;
        let torch = py.import("torch")?;
        let device = match device {
            Some(device) => torch.getattr("device")?.call1((device,))?,
            None => torch.getattr("device")?.call1(("cpu",))?,
        };
        let is_here = device.getattr("type")?.extract::<String>()? == "cpu";
        // Another device has memory of its own anyway: what is only read on the way there need not be copied here.
        let in_place = if is_here { None } else { Some(torch.getattr("from_dlpack")?.call1((slf,))) };
        let tensor = match in_place {
            Some(Ok(tensor)) => tensor,
            Some(Err(error)) if !is_exception(py, &error) => return Err(error),
            _ => torch.getattr("from_numpy")?.call1((array.call_method0("copy")?,))?,
        };
        if is_here { Ok(tensor) } else { tensor.call_method1("to", (device,)) }
    }

    /// As the array has it: read-only, where whoever takes it asks for version 1 or later.
    #[pyo3(signature = (*, stream = None, max_version = None, dl_device = None, copy = None))]
    fn __dlpack__<'py>(
        slf: &Bound<'py, Self>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<Bound<'py, PyAny>>,
        dl_device: Option<Bound<'py, PyAny>>,
        copy: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let asked = PyDict::new(slf.py());
        // NumPy before 2.1 knows none but the first.
        for (name, value) in
            [("stream", stream), ("max_version", max_version), ("dl_device", dl_device), ("copy", copy)]
        {
            if let Some(value) = value {
                asked.set_item(name, value)?;
            }
        }
        Self::array(slf)?.call_method("__dlpack__", (), Some(&asked))
    }

    /// The memory of this machine.
    fn __dlpack_device__(&self) -> (i32, i32) {
        (1, 0)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Gives the slot back, where nothing of it is kept; else that does once it is gone.
    fn __exit__(&self, _kind: &Bound<'_, PyAny>, _error: &Bound<'_, PyAny>, _trace: &Bound<'_, PyAny>) {
        let mut state = self.lock();
        let pixels = if state.views == 0 { state.pixels.take() } else { None };
        drop(state);
        drop(pixels);
    }

    /// Of the first dimension of `shape`.
    fn __len__(&self) -> usize {
        self.layout().map_or(self.format.height() as usize, |layout| layout.shape()[0])
    }

    fn __repr__(&self) -> String {
        let of = format!("{} of '{}': {}", self.info.number, self.stream.name.escape_debug(), self.format);
        let state = self.lock();
        let how = match (&state.pixels, self.slot) {
            (None, _) => "released".to_owned(),
            (_, None) => "copy".to_owned(),
            (_, Some(slot)) => format!("slot {slot}"),
        };
        format!("<framewire.Frame {of}, {how}>")
    }

    #[allow(unsafe_code, reason = "the interpreter's protocol")]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let frame = slf.get();
        let Some(layout) = frame.layout() else { return Err(PyBufferError::new_err(frame.no_one_array())) };
        // SAFETY: the interpreter's view; the layout is that of the frame.
        unsafe { buffer::give(frame, layout, slf.clone().into_any(), view, flags) }
    }

    #[allow(unsafe_code, reason = "the interpreter's protocol")]
    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: the interpreter gives back what it was given, once.
        unsafe { buffer::take_back(self, view) };
    }
}
