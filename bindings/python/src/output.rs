//! Where a program's frames go, as Python has it.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use framewire_ends::array::{ArrayLayout, ArrayShape, Item, format_of, not_of_length};
use framewire_ends::{Class, Error, OutputOptions};
use framewire_transport::frame::{FrameRate, METADATA_MAX};
use framewire_transport::{Delivery, FrameFormat, PixelFormat, Time};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3::{PyClassInitializer, PyErr};

use crate::copying::Source;
use crate::errors::{argument, error, raised};
use crate::frame::Frame;
use crate::key::key_of;
use crate::leaving::{self, Close};
use crate::metadata::{Encoded, encoded};
use crate::slot::Slot;
use crate::source::{HubPlace, count};
use crate::stats::OutputStats;
use crate::waiting::{interruptible, seconds, wait};

/// The time of one frame where nobody has said how many there are a second.
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// Arrays up to this are copied without giving up the interpreter's lock: others may let this thread wait for it for longer than the copy takes.
const COPIED_AT_ONCE: usize = 32 << 10;

/// How long what was sent may take to arrive after a block that raised.
const PATIENCE_AFTER_ERROR: Duration = Duration::from_millis(250);

/// An output, and how it is used: what its slots share with it.
pub(crate) struct Sending {
    /// `None` only while it is dropped.
    output: Option<framewire_ends::Output>,
    is_latest: bool,
    interval: Duration,
    /// What arrays are, where that was said.
    pixel: Option<PixelFormat>,
    width: Option<u32>,
}

impl Sending {
    pub(crate) fn output(&self) -> &framewire_ends::Output {
        self.output.as_ref().expect("there until it is dropped")
    }

    /// A slot, or `None` where none comes free in time; `frame` is asked for it.
    fn slot(
        &self,
        py: Python<'_>,
        timeout: Option<Duration>,
        frame: fn(&framewire_ends::Output, Duration) -> Result<Option<framewire_ends::Slot>, Error>,
    ) -> PyResult<Option<framewire_ends::Slot>> {
        let output = self.output();
        let slot = frame(output, Duration::ZERO).map_err(|error| raised(py, error))?;
        if slot.is_some() || timeout == Some(Duration::ZERO) {
            return Ok(slot);
        }
        wait(py, timeout, |step| frame(output, step))
    }

    /// The format of an array, and the stream begun with it where it has not begun.
    fn begin(&self, py: Python<'_>, shape: &[usize], item: Item, name: Option<PixelFormat>) -> PyResult<FrameFormat> {
        let output = self.output();
        let current = output.format();
        if let Some(current) = current
            && name.is_none_or(|name| name == current.pixel())
            && item == Item::of(current.pixel())
            && ArrayLayout::of_frame(&current, current.frame_bytes()).is_some_and(|layout| layout.shape() == shape)
        {
            return Ok(current);
        }
        let name = name.or(current.map(|current| current.pixel())).or(self.pixel);
        let width = current.map(|current| current.width()).or(self.width);
        let format = format_of(ArrayShape { shape, item }, name, width);
        let format = format.map_err(|error| raised(py, error))?;
        py.detach(|| output.begin(format)).map_err(|error| raised(py, error))?;
        Ok(output.format().unwrap_or(format))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        // Threads are waited for, and what was sent last.
        let output = self.output.take();
        Python::try_attach(|py| py.detach(move || drop(output)));
    }
}

impl Close for Sending {
    fn close_while(&self, timeout: Duration, go_on: &mut dyn FnMut() -> bool) {
        self.output().close_while(timeout, go_on);
    }

    fn sends(&self) -> bool {
        true
    }
}

/// When a picture was taken, as programs say it.
pub(crate) fn captured_at(py: Python<'_>, captured: Option<f64>) -> PyResult<Option<Time>> {
    captured
        .map(|captured| {
            let since = Duration::try_from_secs_f64(captured).ok();
            since.and_then(|since| u64::try_from(since.as_nanos()).ok()).map(Time::from_nanos).ok_or_else(|| {
                argument(
                    py,
                    "no-time",
                    format!("captured={captured} is no time; use seconds as time.monotonic() has them"),
                )
            })
        })
        .transpose()
}

/// What `Sender` and `Publisher` have in common.
#[pyclass(frozen, subclass, module = "framewire", weakref)]
pub(crate) struct Output {
    sending: Arc<Sending>,
}

/// What both are made with.
struct Making<'a> {
    format: Option<&'a str>,
    fps: Option<f64>,
    delivery: &'a str,
    slots: Option<i64>,
    width: Option<i64>,
    metadata_max: i64,
}

impl Output {
    fn new(
        py: Python<'_>,
        making: &Making<'_>,
        make: impl FnOnce(OutputOptions) -> Result<framewire_ends::Output, Error> + Send,
    ) -> PyResult<Self> {
        let delivery = delivery_of(py, making.delivery)?;
        if making.metadata_max > METADATA_MAX as i64 {
            let text = format!(
                "metadata_max={} cannot be: a frame has room for {METADATA_MAX} bytes at most; send more as frames of bytes",
                making.metadata_max
            );
            return Err(argument(py, "out-of-range", text));
        }
        let rate = making.fps.map(FrameRate::from_decimal).transpose();
        let rate = rate.map_err(|error| argument(py, "no-rate", error.to_string()))?;
        let options = OutputOptions::new()
            .delivery(delivery)
            .slots(making.slots.map(|slots| count(py, "slots", slots)).transpose()?)
            .metadata_max(count(py, "metadata_max", making.metadata_max)?)
            .rate(rate);
        let pixel = making.format.map(|name| pixel_format(py, name)).transpose()?;
        let width = match making.width.map(u32::try_from).transpose() {
            Ok(width) if width != Some(0) => width,
            _ => return Err(argument(py, "out-of-range", "width= is to be pixels, from 1 on")),
        };
        let output = py.detach(|| make(options)).map_err(|error| raised(py, error))?;
        let sending = Arc::new(Sending {
            output: Some(output),
            is_latest: delivery == Delivery::Latest,
            interval: rate.map_or(INTERVAL, FrameRate::interval),
            pixel,
            width,
        });
        let open: Weak<Sending> = Arc::downgrade(&sending);
        leaving::note(open);
        Ok(Self { sending })
    }

    fn output(&self) -> &framewire_ends::Output {
        self.sending.output()
    }

    fn close_within(&self, py: Python<'_>, timeout: Duration) -> PyResult<bool> {
        interruptible(py, |go_on| self.output().close_while(timeout, go_on))
    }

    /// Nothing came free, or nobody answered, in time.
    fn timed_out(&self, py: Python<'_>, what: &str, timeout: Option<Duration>) -> PyErr {
        let (waited, target) = (timeout.unwrap_or_default().as_secs_f64(), self.output().target());
        let why = self.output().trouble().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
        let text = format!("{what} {target} within {waited} s{why}; wait longer, or look whether it is there");
        error(py, Class::Timeout, "timeout", text)
    }
}

#[pymethods]
impl Output {
    /// Copies an array (or anything with a buffer) into a slot and sends it; its number. The first array begins the stream. `latest`: None where no slot
    /// came free in one frame's time (or `timeout`), and it is counted as skipped; `every`: waits, Timeout after `timeout`.
    #[pyo3(signature = (array, *, metadata = None, captured = None, format = None, timeout = None))]
    fn send(
        &self,
        py: Python<'_>,
        array: &Bound<'_, PyAny>,
        metadata: Option<&Bound<'_, PyAny>>,
        captured: Option<f64>,
        format: Option<&str>,
        timeout: Option<f64>,
    ) -> PyResult<Option<u64>> {
        let sending = &self.sending;
        let captured = captured_at(py, captured)?;
        let metadata = metadata.map(encoded).transpose()?.flatten();
        let mut timeout = seconds(py, "timeout", timeout)?;
        if sending.is_latest {
            timeout = timeout.or(Some(sending.interval));
        }
        let name = match format {
            Some(name) => Some(pixel_format(py, name)?),
            // A frame that is sent on says itself what it is.
            None => array.cast::<Frame>().ok().map(|frame| frame.get().frame_format().pixel()),
        };
        let source = Source::of(array)?;
        let format = sending.begin(py, source.shape(), source.item(), name)?;
        let Some(mut frame) = sending.slot(py, timeout, framewire_ends::Output::frame_to_fill)? else {
            if sending.is_latest {
                self.output().skip();
                return Ok(None);
            }
            return Err(self.timed_out(py, "no slot came free on the way to", timeout));
        };
        if format.is_variable() {
            frame.set_len(source.bytes()).map_err(|_| wrong_length(py, &source, &format))?;
        }
        if source.bytes() != frame.len() {
            return Err(wrong_length(py, &source, &format));
        }
        if let Some(Encoded { kind, bytes }) = metadata {
            frame.set_metadata(kind, &bytes).map_err(|error| raised(py, error.into()))?;
        }
        if let Some(captured) = captured {
            frame.info.captured = captured;
        }
        if source.is_reordered() {
            self.output().count_reordered();
        }
        let sent = if source.bytes() <= COPIED_AT_ONCE {
            source.copy_into(&mut frame);
            py.detach(|| self.output().send(frame))
        } else {
            py.detach(|| {
                source.copy_into(&mut frame);
                self.output().send(frame)
            })
        };
        sent.map(Some).map_err(|error| raised(py, error))
    }

    /// A slot to write into, no copy. The shape (as NumPy has it) is needed where no frame has been sent yet. Timeout where none came free.
    #[pyo3(signature = (shape = None, *, dtype = None, format = None, timeout = None))]
    fn frame(
        &self,
        py: Python<'_>,
        shape: Option<Vec<usize>>,
        dtype: Option<&Bound<'_, PyAny>>,
        format: Option<&str>,
        timeout: Option<f64>,
    ) -> PyResult<Slot> {
        let sending = &self.sending;
        let timeout = seconds(py, "timeout", timeout)?;
        let name = format.map(|name| pixel_format(py, name)).transpose()?;
        let format = match &shape {
            Some(shape) => {
                let known = name.or(sending.output().format().map(|format| format.pixel())).or(sending.pixel);
                let item = match dtype {
                    Some(dtype) => item_of(py, dtype)?,
                    None => known.map_or(Item::U8, Item::of),
                };
                sending.begin(py, shape, item, name)?
            }
            None => match self.output().format() {
                Some(format) if name.is_none_or(|name| name == format.pixel()) => format,
                Some(format) => {
                    let text = format!("this stream carries {format}; leave the format out, or make another output");
                    return Err(error(py, Class::Format, "another-format", text));
                }
                None => {
                    // That it was closed, or is a parent's, comes first.
                    let why = self.output().frame(Duration::ZERO).err().filter(|error| error.class != Class::Argument);
                    if let Some(error) = why {
                        return Err(raised(py, error));
                    }
                    let text = "the stream has no format yet: say the frame's shape, as frame((1080, 1920, 3))";
                    return Err(argument(py, "no-format", text));
                }
            },
        };
        let Some(mut frame) = sending.slot(py, timeout, framewire_ends::Output::frame)? else {
            return Err(self.timed_out(py, "no slot came free on the way to", timeout));
        };
        if let (true, Some([bytes])) = (format.is_variable(), shape.as_deref()) {
            frame.set_len(*bytes).map_err(|error| argument(py, "out-of-range", error.to_string()))?;
        }
        Ok(Slot::new(sending.clone(), format, frame))
    }

    /// Counts a picture that was not sent, so that a gap in the numbers has a cause.
    fn skip(&self, py: Python<'_>) {
        py.detach(|| self.output().skip());
    }

    /// Until the receiver has opened the stream. Timeout, Refused. Needs a format.
    #[pyo3(signature = (timeout = None))]
    fn wait_open(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let timeout = seconds(py, "timeout", timeout)?;
        let open = wait(py, timeout, |step| Ok(self.output().wait_until_open(step)?.then_some(())))?;
        open.ok_or_else(|| self.timed_out(py, "the stream was not opened by", timeout))
    }

    /// Until every frame sent so far has arrived, or is known not to. Timeout, Refused.
    #[pyo3(signature = (timeout = None))]
    fn wait_settled(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let timeout = seconds(py, "timeout", timeout)?;
        let settled = wait(py, timeout, |step| Ok(self.output().wait_until_settled(step)?.then_some(())))?;
        settled.ok_or_else(|| self.timed_out(py, "not every frame was taken by", timeout))
    }

    /// What became of the frames so far.
    fn stats(&self, py: Python<'_>) -> OutputStats {
        py.detach(|| self.output().stats()).into()
    }

    /// Waits so long for what was sent to arrive; whether it did. Twice is once.
    #[pyo3(signature = (timeout = Some(2.0)), text_signature = "($self, timeout=2.0)")]
    fn close(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = seconds(py, "timeout", timeout)?;
        self.close_within(py, timeout.unwrap_or(Duration::MAX))
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.output().is_closed()
    }

    /// What its frames are: a name such as bgr24; None before the first, where it was not said.
    #[getter]
    fn format(&self) -> Option<&'static str> {
        let format = self.output().format().map(|format| format.pixel());
        format.or(self.sending.pixel).map(PixelFormat::name)
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
        let timeout = if kind.is_none() { leaving::PATIENCE } else { PATIENCE_AFTER_ERROR };
        self.close_within(py, timeout).map(drop)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let output = slf.get().output();
        let format = output.format().map_or_else(String::new, |format| format!(", {format}"));
        let closed = if output.is_closed() { ", closed" } else { "" };
        Ok(format!("<framewire.{} to {}{format}{closed}>", slf.get_type().name()?, output.target()))
    }
}

/// Frames to whoever listens on a UDP address.
#[pyclass(frozen, subclass, extends = Output, module = "framewire")]
pub(crate) struct Sender;

#[pymethods]
impl Sender {
    #[new]
    #[pyo3(signature = (
        address = None, *, format = None, fps = None, delivery = "latest", slots = None, width = None, metadata_max = 4096,
        key = None, protection = "auto", join = None, name = ""
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is a keyword of Python's")]
    fn new(
        py: Python<'_>,
        address: Option<&str>,
        format: Option<&str>,
        fps: Option<f64>,
        delivery: &str,
        slots: Option<i64>,
        width: Option<i64>,
        metadata_max: i64,
        key: Option<&Bound<'_, PyAny>>,
        protection: &str,
        join: Option<JoinPlace>,
        name: &str,
    ) -> PyResult<PyClassInitializer<Self>> {
        let making = Making { format, fps, delivery, slots, width, metadata_max };
        let (key, protection) = (key_of(py, key)?, crate::key::protection(py, protection)?);
        let output = Output::new(py, &making, |options| {
            let options = options.key(key).protection(protection);
            match (address, join) {
                (Some(address), None) => framewire_ends::Output::connect(address, options),
                (None, Some(join)) => framewire_ends::Output::join(&join.text(), name, options),
                (address, _) => Err(nowhere(address.is_some())),
            }
        })?;
        Ok(PyClassInitializer::from(output).add_subclass(Self))
    }

    /// HOST:PORT that frames are sent to; of a server that is joined, its own.
    #[getter]
    fn address(slf: &Bound<'_, Self>) -> String {
        slf.as_super().get().output().target()
    }
}

/// Frames for other processes of this machine, which read them in place. No network.
#[pyclass(frozen, subclass, extends = Output, module = "framewire")]
pub(crate) struct Publisher {
    name: String,
}

#[pymethods]
impl Publisher {
    #[new]
    #[pyo3(signature = (
        name, *, hub = None, format = None, fps = None, delivery = "latest", slots = None, width = None, metadata_max = 4096
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is a keyword of Python's")]
    fn new(
        py: Python<'_>,
        name: String,
        hub: Option<HubPlace>,
        format: Option<&str>,
        fps: Option<f64>,
        delivery: &str,
        slots: Option<i64>,
        width: Option<i64>,
        metadata_max: i64,
    ) -> PyResult<PyClassInitializer<Self>> {
        let making = Making { format, fps, delivery, slots, width, metadata_max };
        let hub = hub.map(|hub| hub.hub(py)).transpose()?;
        let output = Output::new(py, &making, |options| framewire_ends::Output::publish(&name, hub, options))?;
        Ok(PyClassInitializer::from(output).add_subclass(Self { name }))
    }

    /// What the stream is called.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Who reads it in other processes, and each one's account.
    #[getter]
    fn readers<'py>(slf: &Bound<'py, Self>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let py = slf.py();
        let output = slf.as_super().get().output();
        let readers = py.detach(|| output.readers());
        readers
            .into_iter()
            .map(|reader| {
                let account = PyDict::new(py);
                account.set_item("seat", reader.seat)?;
                account.set_item("name", &reader.name)?;
                account.set_item("pid", reader.pid)?;
                account.set_item("uid", reader.uid)?;
                account.set_item("offered", reader.offered)?;
                account.set_item("taken", reader.taken)?;
                account.set_item("dropped", reader.dropped)?;
                account.set_item("held", reader.held)?;
                account.set_item("waiting", reader.waiting)?;
                account.set_item("quarantined", reader.quarantined)?;
                Ok(account)
            })
            .collect()
    }
}

/// The line by which a server is joined, or the file that it is in.
#[derive(FromPyObject)]
pub(crate) enum JoinPlace {
    Text(String),
    Path(PathBuf),
}

impl JoinPlace {
    pub(crate) fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Path(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// Neither an address nor a server, or both.
fn nowhere(has_both: bool) -> Error {
    let text = if has_both {
        "a server that is joined says where frames go: leave the address or join= out"
    } else {
        "frames go to an address, HOST:PORT, or to a server, join=: say one"
    };
    Error::new(Class::Argument, "invalid-address", text)
}

/// A delivery by its name.
pub(crate) fn delivery_of(py: Python<'_>, name: &str) -> PyResult<Delivery> {
    let found = [Delivery::Latest, Delivery::Every].into_iter().find(|delivery| delivery.name() == name);
    found.ok_or_else(|| {
        let text = format!("'{}' is no delivery; use latest or every", name.escape_debug());
        argument(py, "unknown-delivery", text)
    })
}

/// A format by any of its names.
fn pixel_format(py: Python<'_>, name: &str) -> PyResult<PixelFormat> {
    name.parse().map_err(|error: framewire_transport::frame::FormatError| raised(py, error.into()))
}

/// Items by what NumPy calls them: a dtype, a type, or a name.
fn item_of(py: Python<'_>, dtype: &Bound<'_, PyAny>) -> PyResult<Item> {
    let name = if dtype.is_instance_of::<PyString>() {
        dtype.extract::<String>()?
    } else if let Some(name) = dtype.getattr_opt("__name__")? {
        name.str()?.to_string()
    } else {
        dtype.str()?.to_string()
    };
    match name.as_str() {
        "uint8" | "u1" | "B" => Ok(Item::U8),
        "uint16" | "u2" | "<u2" | "H" => Ok(Item::U16),
        "float32" | "f4" | "<f4" | "f" => Ok(Item::F32),
        _ => {
            let text = format!("no frame has items of '{}'; use uint8, uint16 or float32", name.escape_debug());
            Err(error(py, Class::Format, "array-items", text))
        }
    }
}

fn wrong_length(py: Python<'_>, source: &Source, format: &FrameFormat) -> PyErr {
    raised(py, not_of_length(format, source.bytes()))
}
