//! Where frames come from, as Python has it.

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use framewire_ends::{
    Class, Error, Hub, OpenOptions, ReceiveOptions, ServerPlace, Taken, WatchOptions, shared_streams,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyClassInitializer, PyErr};

use crate::errors::{argument, error, is, raised};
use crate::frame::Frame;
use crate::key::keys_of;
use crate::leaving::{self, Close};
use crate::output::{JoinPlace, delivery_of};
use crate::stats::SourceStats;
use crate::stream::Stream;
use crate::waiting::{interruptible, seconds, wait};

/// What `Receiver` and `Reader` have in common.
#[pyclass(frozen, subclass, module = "framewire", weakref)]
pub(crate) struct Source {
    /// `None` only while it is dropped.
    source: Option<Arc<framewire_ends::Source>>,
    /// What it was made with.
    place: String,
    /// The `framewire.server.Server` that takes the frames in, where there is one.
    server: Option<Py<PyAny>>,
}

impl Source {
    fn new(source: framewire_ends::Source, place: String) -> Self {
        let source = Arc::new(source);
        let open: Weak<framewire_ends::Source> = Arc::downgrade(&source);
        leaving::note(open);
        Self { source: Some(source), place, server: None }
    }

    fn source(&self) -> &framewire_ends::Source {
        self.source.as_ref().expect("there until it is dropped")
    }

    /// A frame, in one of these ways.
    fn take(&self, py: Python<'_>, timeout: Option<f64>, by: By) -> PyResult<Option<Frame>> {
        let timeout = seconds(py, "timeout", timeout)?;
        let source = self.source();
        // One that waits already is had without giving up the interpreter's lock, for which others may let this thread wait. Everything else may have to ask a
        // hub, which may be stopped.
        let waits = match by.waiting(source) {
            // Another thread may give a slot back.
            Err(error) if error.class == Class::SlotsHeld && timeout != Some(Duration::ZERO) => None,
            found => found.map_err(|error| raised(py, error))?,
        };
        let taken = match waits {
            None => wait(py, timeout, |step| by.within(source, step))?,
            waits => waits,
        };
        Ok(taken.map(Frame::new))
    }

    /// The same, and where the server has ended, how.
    fn take_served(&self, py: Python<'_>, timeout: Option<f64>, by: By) -> PyResult<Option<Frame>> {
        let taken = self.take(py, timeout, by);
        let (Err(error), Some(server)) = (&taken, &self.server) else { return taken };
        if is(py, error, Class::Interrupted) {
            let failure = server.bind(py).call_method0("failure")?;
            if !failure.is_none() {
                return Err(PyErr::from_value(failure));
            }
        }
        taken
    }

    fn took(&self, py: Python<'_>, timeout: Option<f64>, taken: Option<Frame>) -> PyResult<Frame> {
        taken.ok_or_else(|| {
            let text = match timeout {
                Some(seconds) if seconds > 0.0 => {
                    let why = self.source().trouble().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
                    format!("no frame came from {} within {seconds} s{why}", self.place)
                }
                _ => format!("no frame of {} waits", self.place),
            };
            error(py, Class::Timeout, "timeout", text)
        })
    }
}

/// Which of the frames that wait is taken.
#[derive(Clone, Copy)]
enum By {
    /// The next.
    Turn,
    /// The newest.
    Age,
}

impl By {
    fn waiting(self, source: &framewire_ends::Source) -> Result<Option<Taken>, Error> {
        match self {
            Self::Turn => source.waiting(),
            Self::Age => source.latest_waiting(),
        }
    }

    fn within(self, source: &framewire_ends::Source, timeout: Duration) -> Result<Option<Taken>, Error> {
        match self {
            Self::Turn => source.recv(timeout),
            Self::Age => source.latest(timeout),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // Threads are waited for.
        let source = self.source.take();
        Python::try_attach(|py| py.detach(move || drop(source)));
    }
}

impl Close for framewire_ends::Source {
    fn close_while(&self, _timeout: Duration, _go_on: &mut dyn FnMut() -> bool) {
        self.close();
    }

    fn sends(&self) -> bool {
        false
    }
}

#[pymethods]
impl Source {
    /// The next frame; waits `timeout` seconds, without end by default. Timeout, Ended, SlotsHeld, Closed.
    #[pyo3(signature = (timeout = None))]
    fn recv(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Frame> {
        let taken = self.take_served(py, timeout, By::Turn)?;
        self.took(py, timeout, taken)
    }

    /// The newest frame of those that wait, the others dropped.
    #[pyo3(signature = (timeout = None))]
    fn latest(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Frame> {
        let taken = self.take_served(py, timeout, By::Age)?;
        self.took(py, timeout, taken)
    }

    /// The streams that are open at this moment.
    fn streams(&self, py: Python<'_>) -> Vec<Stream> {
        let streams = py.detach(|| self.source().streams());
        streams.into_iter().map(|stream| Stream(Arc::new(stream))).collect()
    }

    /// What became of the frames so far.
    fn stats(&self, py: Python<'_>) -> SourceStats {
        py.detach(|| self.source().stats()).into()
    }

    /// A descriptor for select, poll and asyncio: readable while there may be a frame. Then call `recv(timeout=0)` until Timeout.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        let descriptor = self.source().descriptor().map_err(|error| raised(py, error))?;
        Ok(descriptor.as_raw_fd())
    }

    /// Ends it; whoever waits is told. Frames that were taken stay. Twice is once.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.source().close());
        match &self.server {
            Some(server) => server.bind(py).call_method0("close").map(drop),
            None => Ok(()),
        }
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.source().is_closed()
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        match self.take_served(py, None, By::Turn) {
            Err(error) if is(py, &error, Class::Ended) => Ok(None),
            taken => taken,
        }
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: &Bound<'_, PyAny>,
        _error: &Bound<'_, PyAny>,
        _trace: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let source = slf.get();
        let closed = if source.source().is_closed() { ", closed" } else { "" };
        Ok(format!("<framewire.{} {}{closed}>", slf.get_type().name()?, source.place))
    }
}

/// Frames that senders bring to a UDP address of this machine.
#[pyclass(frozen, subclass, extends = Source, module = "framewire")]
pub(crate) struct Receiver;

#[pymethods]
impl Receiver {
    #[new]
    #[pyo3(signature = (
        address, *, slots = 8, queue = None, reconnect = true, partial = false, key = None, keys = None, protection = "auto",
        memory = None, http = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is a keyword of Python's")]
    fn new(
        py: Python<'_>,
        address: &str,
        slots: i64,
        queue: Option<i64>,
        reconnect: bool,
        partial: bool,
        key: Option<&Bound<'_, PyAny>>,
        keys: Option<&Bound<'_, PyAny>>,
        protection: &str,
        memory: Option<i64>,
        http: Option<&str>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let options = options_of(py, slots, queue, reconnect, partial, memory)?
            .keys(keys_of(py, key, keys)?)
            .protection(crate::key::protection(py, protection)?);
        if let Some(http) = http {
            let source = served(py, (address, http), &options)?;
            return Ok(PyClassInitializer::from(source).add_subclass(Self));
        }
        let source =
            py.detach(|| framewire_ends::Source::bind(address, &options)).map_err(|error| raised(py, error))?;
        let place = source.local_addr().map_or_else(|| address.to_owned(), |address| address.to_string());
        Ok(PyClassInitializer::from(Source::new(source, place)).add_subclass(Self))
    }

    /// A stream of a server, on this machine or another, by its name. `server`: its address; `join`: the line that a protected one prints, or its file.
    #[staticmethod]
    #[pyo3(
        signature = (
            name, *, server = None, join = None, udp = None, delivery = "latest", max_fps = None, slots = 8, queue = None,
            reconnect = true, partial = false, protection = "auto", memory = None
        ),
        text_signature = "(name, *, server=None, join=None, udp=None, delivery='latest', max_fps=None, slots=8, queue=None, reconnect=True, partial=False, protection='auto', memory=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "each is a keyword of Python's")]
    fn watch<'py>(
        py: Python<'py>,
        name: &str,
        server: Option<String>,
        join: Option<JoinPlace>,
        udp: Option<String>,
        delivery: &str,
        max_fps: Option<f64>,
        slots: i64,
        queue: Option<i64>,
        reconnect: bool,
        partial: bool,
        protection: &str,
        memory: Option<i64>,
    ) -> PyResult<Bound<'py, Self>> {
        let receive = options_of(py, slots, queue, reconnect, partial, memory)?;
        let receive = receive.protection(crate::key::protection(py, protection)?);
        let delivery = delivery_of(py, delivery)?;
        let options = WatchOptions::new().receive(receive).delivery(delivery).frames_per_second_max(max_fps).udp(udp);
        let server = match (server, join) {
            (Some(url), None) => ServerPlace::Url(url),
            (None, Some(join)) => ServerPlace::Join(join.text()),
            _ => {
                let text =
                    "a stream is watched at a server: say server='http://HOST:PORT', or join= for a protected one";
                return Err(argument(py, "invalid-address", text));
            }
        };
        let source = py.detach(|| framewire_ends::Source::watch(name, &server, &options));
        let source = source.map_err(|error| raised(py, error))?;
        let source = Source::new(source, format!("'{}'", name.escape_debug()));
        Bound::new(py, PyClassInitializer::from(source).add_subclass(Self))
    }

    /// HOST:PORT listened on, with the real port.
    #[getter]
    fn address(slf: &Bound<'_, Self>) -> String {
        let source = slf.as_super().get();
        source.source().local_addr().map_or_else(|| source.place.clone(), |address| address.to_string())
    }

    /// The URL of the page and of Socket.IO, with the real port; None without `http=`.
    #[getter]
    fn http<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let server = slf.as_super().get().server.as_ref();
        server.map(|server| server.bind(slf.py()).getattr("http")).transpose()
    }
}

/// What `Receiver` and `Receiver.watch` have in common.
fn options_of(
    py: Python<'_>,
    slots: i64,
    queue: Option<i64>,
    reconnect: bool,
    partial: bool,
    memory: Option<i64>,
) -> PyResult<ReceiveOptions> {
    Ok(ReceiveOptions::new()
        .slots(count(py, "slots", slots)?)
        .queue(queue.map(|queue| count(py, "queue", queue)).transpose()?)
        .reconnect(reconnect)
        .partial(partial)
        .memory_bytes_max(memory.map(|memory| count(py, "memory", memory)).transpose()?))
}

/// The streams of a server that is started for them.
fn served(py: Python<'_>, (address, http): (&str, &str), options: &ReceiveOptions) -> PyResult<Source> {
    let asked = PyDict::new(py);
    asked.set_item("partial", options.partial)?;
    if !options.keys.is_empty() {
        let text = "with http= the server makes a key for each stream itself: leave key= and keys= out";
        return Err(argument(py, "keys-of-server", text));
    }
    asked.set_item("protection", options.protection.name())?;
    asked.set_item("memory", options.memory_bytes_max)?;
    let server = py.import("framewire.server")?.getattr("Server")?.call((address, http), Some(&asked))?;
    let hub = HubPlace::Port(server.getattr("port")?.extract()?).hub(py)?;
    let opened = py.detach(|| framewire_ends::Source::open_served(&hub, options));
    match opened {
        Ok(source) => {
            let place = server.getattr("udp")?.extract()?;
            let mut source = Source::new(source, place);
            source.server = Some(server.unbind());
            Ok(source)
        }
        Err(error) => {
            // What went wrong first is what is told.
            let _ = server.call_method0("close");
            Err(raised(py, error))
        }
    }
}

/// A stream of another process of this machine, read in place. From `open`.
#[pyclass(frozen, subclass, extends = Source, module = "framewire")]
pub(crate) struct Reader;

#[pymethods]
impl Reader {
    /// What the stream is called.
    #[getter]
    fn name(slf: &Bound<'_, Self>) -> String {
        let source = slf.as_super().get();
        source.source().streams().pop().map_or_else(|| source.place.clone(), |stream| stream.name)
    }
}

/// Where a hub is, as programs say it.
#[derive(FromPyObject)]
pub(crate) enum HubPlace {
    Port(u16),
    Name(String),
    Path(PathBuf),
}

impl HubPlace {
    pub(crate) fn hub(self, py: Python<'_>) -> PyResult<Hub> {
        let text = match self {
            Self::Port(port) => port.to_string(),
            Self::Name(name) => name,
            Self::Path(path) => {
                let text = path.to_string_lossy().into_owned();
                // Without a slash it would be a name.
                if text.contains('/') { text } else { format!("./{text}") }
            }
        };
        text.parse().map_err(|error| raised(py, error))
    }
}

/// Reads a stream that another process of this machine shares. Without a name, the only one there is. `wait`: seconds to wait for it, None without end.
#[pyfunction]
#[pyo3(
    signature = (
        stream = None, *, hub = None, slots = 2, queue = None, reconnect = true, wait = Some(0.0), busy_poll = 0.0, name = None
    ),
    text_signature = "(stream=None, *, hub=None, slots=2, queue=None, reconnect=True, wait=0.0, busy_poll=0.0, name=None)"
)]
#[expect(clippy::too_many_arguments, reason = "each is a keyword of Python's")]
pub(crate) fn open<'py>(
    py: Python<'py>,
    stream: Option<&str>,
    hub: Option<HubPlace>,
    slots: i64,
    queue: Option<i64>,
    reconnect: bool,
    wait: Option<f64>,
    busy_poll: f64,
    name: Option<String>,
) -> PyResult<Bound<'py, Reader>> {
    let options = OpenOptions::new()
        .hub(hub.map(|hub| hub.hub(py)).transpose()?)
        .slots(count(py, "slots", slots)?)
        .queue(queue.map(|queue| count(py, "queue", queue)).transpose()?)
        .reconnect(reconnect)
        .wait(seconds(py, "wait", wait)?.unwrap_or(Duration::MAX))
        .busy_poll(seconds(py, "busy_poll", Some(busy_poll))?.unwrap_or(Duration::MAX))
        .name(name);
    let opened = interruptible(py, |go_on| framewire_ends::Source::open(stream, &options, go_on))?;
    // It was told to stop by a signal that nobody raised.
    let Some(source) = opened.map_err(|error| raised(py, error))? else {
        return Err(error(py, Class::Timeout, "timeout", "it was not waited for the stream"));
    };
    let place = source.streams().pop().map(|stream| stream.name).or(stream.map(str::to_owned)).unwrap_or_default();
    Bound::new(py, PyClassInitializer::from(Source::new(source, place)).add_subclass(Reader))
}

/// The streams that processes of this machine share.
#[pyfunction]
#[pyo3(signature = (hub = None))]
pub(crate) fn streams(py: Python<'_>, hub: Option<HubPlace>) -> PyResult<Vec<Stream>> {
    let hub = hub.map(|hub| hub.hub(py)).transpose()?;
    let answers = interruptible(py, |go_on| shared_streams(hub.as_ref(), go_on))?;
    let streams = answers.unwrap_or_default().all().map_err(|error| raised(py, error))?;
    Ok(streams.into_iter().map(|(info, _)| Stream(Arc::new(info.into()))).collect())
}

/// A number of things.
pub(crate) fn count(py: Python<'_>, name: &str, number: i64) -> PyResult<usize> {
    usize::try_from(number)
        .map_err(|_| argument(py, "out-of-range", format!("{name}={number} cannot be; use 1 or more")))
}
