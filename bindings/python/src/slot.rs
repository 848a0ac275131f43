//! A slot to write the next frame into, as Python has it.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use framewire_ends::Class;
use framewire_ends::SlotHold;
use framewire_ends::array::{ArrayLayout, of_length};
use framewire_transport::FrameFormat;
use pyo3::exceptions::PyBufferError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyWeakrefMethods, PyWeakrefReference};
use pyo3::{PyErr, ffi};

use crate::buffer::{self, Memory, Viewed};
use crate::errors::{argument, error, is_exception, raised};
use crate::metadata::encoded;
use crate::numpy;
use crate::output::{Sending, captured_at};
use crate::plane::{self, Owner};

/// A slot to write the next frame into. Sent at the end of the `with` block; given back unsent where that raises, or after `discard()`.
///
/// `array` and `planes` are read-only once it is sent. Those that live on keep the slot from being used again until they are gone. What was made of them
/// before, slices for one, is still writable then, and what is written through it may show in the frame that was sent, whole or by halves: whoever writes
/// so races with the readers, in this process and in others. That is the program's to leave alone.
#[pyclass(frozen, module = "framewire", weakref)]
pub(crate) struct Slot {
    sending: Arc<Sending>,
    format: FrameFormat,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// Views that were not given back.
    views: usize,
    /// Keeps the slot for views that outlive its sending.
    hold: Option<SlotHold>,
    /// Arrays that were handed out: weak references.
    arrays: Vec<Py<PyWeakrefReference>>,
    metadata: Option<Py<PyAny>>,
    captured: Option<f64>,
}

enum Stage {
    Open(framewire_ends::Slot),
    /// Sent, or on the way to that: its number.
    Sent(Option<u64>),
    GivenBack,
}

impl State {
    /// Ends writing: what is kept of the slot is kept for the views alone.
    fn end(&mut self, next: Stage) -> Option<framewire_ends::Slot> {
        if !matches!(self.stage, Stage::Open(_)) {
            return None;
        }
        let Stage::Open(frame) = std::mem::replace(&mut self.stage, next) else { return None };
        self.hold = (self.views > 0).then(|| frame.hold());
        Some(frame)
    }
}

impl Slot {
    pub(crate) fn new(sending: Arc<Sending>, format: FrameFormat, frame: framewire_ends::Slot) -> Self {
        let stage = Stage::Open(frame);
        let state = State { stage, views: 0, hold: None, arrays: Vec::new(), metadata: None, captured: None };
        Self { sending, format, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with what is written. Nothing of Python's is made meanwhile: that may have it drop arrays of this very slot.
    fn open<T>(&self, py: Python<'_>, act: impl FnOnce(&mut framewire_ends::Slot) -> T) -> PyResult<T> {
        let done = match &mut self.lock().stage {
            Stage::Open(frame) => Some(act(frame)),
            _ => None,
        };
        done.ok_or_else(|| over(py))
    }

    /// Bytes of the frame that is written.
    fn bytes(&self, py: Python<'_>) -> PyResult<usize> {
        self.open(py, |frame| frame.len())
    }

    fn layout(&self, py: Python<'_>) -> PyResult<Option<ArrayLayout>> {
        Ok(ArrayLayout::of_frame(&self.format, self.bytes(py)?))
    }

    fn no_one_array(&self) -> String {
        format!("the planes of a frame of {} make no one array: use the slot's planes", self.format)
    }

    /// Notes an array that was handed out.
    fn note(&self, array: &Bound<'_, PyAny>) -> PyResult<()> {
        let noted = PyWeakrefReference::new(array)?.unbind();
        let mut state = self.lock();
        let is_open = matches!(state.stage, Stage::Open(_));
        state.arrays.push(noted);
        drop(state);
        // Another thread has sent it since the array was made.
        if is_open { Ok(()) } else { self.seal(array.py()) }
    }

    /// Makes the arrays that were handed out read-only: the picture is others' from now on. What else was made of them, slices for one, cannot be found.
    ///
    /// # Errors
    /// What is none: Ctrl-C meanwhile.
    fn seal(&self, py: Python<'_>) -> PyResult<()> {
        let arrays = std::mem::take(&mut self.lock().arrays);
        for array in arrays.iter().filter_map(|array| array.bind(py).upgrade()) {
            match array.call_method1("setflags", (false,)) {
                Err(error) if !is_exception(py, &error) => return Err(error),
                // An array of the program's own kind may have another mind.
                _ => {}
            }
        }
        Ok(())
    }

    fn give_back(&self) {
        let frame = self.lock().end(Stage::GivenBack);
        drop(frame);
    }
}

fn over(py: Python<'_>) -> PyErr {
    let text = "this slot was sent, or given back; ask the output for another frame()";
    error(py, Class::Closed, "slot-closed", text)
}

impl Viewed for Slot {
    fn add_view(&self, py: Python<'_>, layout: ArrayLayout) -> PyResult<Memory> {
        let memory = {
            let mut state = self.lock();
            let Stage::Open(frame) = &mut state.stage else {
                drop(state);
                return Err(over(py));
            };
            let is_inside = layout.offset + layout.span_bytes() <= frame.len();
            let first = frame.as_mut_ptr().wrapping_add(layout.offset);
            state.views += usize::from(is_inside);
            is_inside.then_some(Memory { first, layout, read_only: None })
        };
        memory.ok_or_else(|| PyBufferError::new_err("the slot has become shorter than that plane"))
    }

    fn remove_view(&self) {
        let mut state = self.lock();
        state.views -= 1;
        let is_kept = state.views > 0 || matches!(state.stage, Stage::Open(_));
        let rest = if is_kept { None } else { state.hold.take() };
        drop(state);
        drop(rest);
    }
}

#[pymethods]
impl Slot {
    /// Writable, in place: as `Frame.array`.
    #[getter]
    fn array<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let (py, slot) = (slf.py(), slf.get());
        if slot.layout(py)?.is_none() {
            return Err(error(py, Class::Format, "no-one-array", slot.no_one_array()));
        }
        let array = numpy::array(slf.as_any())?;
        slot.note(&array)?;
        Ok(array)
    }

    /// The planes, writable, in place.
    #[getter]
    fn planes<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let (py, slot) = (slf.py(), slf.get());
        let bytes = slot.bytes(py)?;
        let arrays = plane::arrays(py, &Owner::Slot(slf.clone().unbind()), &slot.format, bytes)?;
        arrays.iter().try_for_each(|array| slot.note(&array))?;
        Ok(arrays)
    }

    /// What belongs to the frame beside its pixels: bytes, or what JSON has.
    #[getter]
    fn metadata(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.lock().metadata.as_ref().map(|metadata| metadata.clone_ref(py))
    }

    #[setter]
    fn set_metadata(&self, py: Python<'_>, metadata: Option<Py<PyAny>>) -> PyResult<()> {
        self.open(py, |_| ())?;
        let before = std::mem::replace(&mut self.lock().metadata, metadata);
        drop(before);
        Ok(())
    }

    /// When the picture was taken, seconds of `time.monotonic()`; None: when it is sent.
    #[getter]
    fn captured(&self) -> Option<f64> {
        self.lock().captured
    }

    #[setter]
    fn set_captured(&self, py: Python<'_>, captured: Option<f64>) -> PyResult<()> {
        captured_at(py, captured)?;
        self.open(py, |_| ())?;
        self.lock().captured = captured;
        Ok(())
    }

    /// Once it is sent.
    #[getter]
    fn number(&self) -> Option<u64> {
        match self.lock().stage {
            Stage::Sent(number) => number,
            _ => None,
        }
    }

    /// What its pixels are: a name such as bgr24.
    #[getter]
    fn format(&self) -> &'static str {
        self.format.pixel().name()
    }

    /// Pixels; of `bytes`, how many there are.
    #[getter]
    fn width(&self) -> u32 {
        match &self.lock().stage {
            Stage::Open(frame) => of_length(self.format, frame.len()).width(),
            _ => self.format.width(),
        }
    }

    /// Pixels.
    #[getter]
    fn height(&self) -> u32 {
        self.format.height()
    }

    /// Of `bytes` frames alone, which differ in length.
    fn set_length(&self, py: Python<'_>, nbytes: i64) -> PyResult<()> {
        if !self.format.is_variable() {
            let text =
                format!("every frame of {} has {} bytes; only those of bytes differ", self.format, self.bytes(py)?);
            return Err(error(py, Class::Format, "fixed-length", text));
        }
        let room = self.format.frame_bytes();
        let bytes = usize::try_from(nbytes).ok().filter(|bytes| (1..=room).contains(bytes));
        let has_fit = self.open(py, |frame| bytes.is_some_and(|bytes| frame.set_len(bytes).is_ok()))?;
        if has_fit {
            return Ok(());
        }
        Err(argument(py, "out-of-range", format!("a frame of {nbytes} bytes cannot be; use 1 to {room}")))
    }

    /// Gives the slot back unsent. Twice is once.
    fn discard(&self) {
        self.give_back();
    }

    /// Sends it now; its number. Twice is Closed.
    fn send(&self, py: Python<'_>) -> PyResult<u64> {
        let (metadata, captured) = {
            let state = self.lock();
            (state.metadata.as_ref().map(|metadata| metadata.clone_ref(py)), state.captured)
        };
        let metadata = metadata.map(|metadata| encoded(metadata.bind(py))).transpose()?.flatten();
        let captured = captured_at(py, captured)?;
        let noted = self.open(py, |frame| {
            if let Some(captured) = captured {
                frame.info.captured = captured;
            }
            metadata.map_or(Ok(()), |metadata| frame.set_metadata(metadata.kind, &metadata.bytes))
        })?;
        noted.map_err(|error| raised(py, error.into()))?;
        // Ended first: no array is made from now on that is not sealed.
        let frame = self.lock().end(Stage::Sent(None));
        let Some(frame) = frame else { return Err(over(py)) };
        if let Err(error) = self.seal(py) {
            self.lock().stage = Stage::GivenBack;
            return Err(error);
        }
        let sent = py.detach(|| self.sending.output().send(frame));
        match sent {
            Ok(number) => {
                self.lock().stage = Stage::Sent(Some(number));
                Ok(number)
            }
            Err(error) => {
                self.lock().stage = Stage::GivenBack;
                Err(raised(py, error))
            }
        }
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if !kind.is_none() {
            self.give_back();
            return Ok(());
        }
        let is_open = matches!(self.lock().stage, Stage::Open(_));
        if is_open {
            let sent = self.send(py);
            // What could not be sent is not kept for another try that nobody makes.
            self.give_back();
            sent?;
        }
        Ok(())
    }

    fn __repr__(&self) -> String {
        let how = match &self.lock().stage {
            Stage::Open(frame) => format!("slot {}", frame.slot()),
            Stage::Sent(Some(number)) => format!("sent as {number}"),
            Stage::Sent(None) => "sent".to_owned(),
            Stage::GivenBack => "given back".to_owned(),
        };
        format!("<framewire.Slot {}, {how}>", self.format)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.state.try_lock() {
            Ok(state) => state.metadata.as_ref().map_or(Ok(()), |metadata| visit.call(metadata)),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        let metadata = self.lock().metadata.take();
        drop(metadata);
    }

    #[allow(unsafe_code, reason = "the interpreter's protocol")]
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let slot = slf.get();
        let Some(layout) = slot.layout(slf.py())? else { return Err(PyBufferError::new_err(slot.no_one_array())) };
        // SAFETY: the interpreter's view; the layout is that of the slot's frame.
        unsafe { buffer::give(slot, layout, slf.clone().into_any(), view, flags) }
    }

    #[allow(unsafe_code, reason = "the interpreter's protocol")]
    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: the interpreter gives back what it was given, once.
        unsafe { buffer::take_back(self, view) };
    }
}
