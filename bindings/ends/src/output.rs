//! Where a program's own frames go: to a receiver, or to other processes of this machine. One interface for both.

mod open;
mod options;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use framewire_transport::frame::Presentation;
use framewire_transport::share::{ReaderFigures, ShareConfig};
use framewire_transport::{Delivery, FrameFormat, Protection, Publisher, Sender, ShareError};

use self::open::{Counts, Open};
pub use self::options::{OutputOptions, OutputStats};
use crate::STEP;
use crate::address::resolve;
use crate::error::{Class, Error};
use crate::joined::{self, Joined, Server};
use crate::process::Process;
use crate::slot::{Slot, SlotsHeld};
use crate::source::Hub;
use crate::watching::ServerPlace;

/// Frames of this program on their way out: one stream, which is begun by its first frame, or by [`Output::begin`]. It can be used by several threads.
pub struct Output {
    target: Target,
    options: OutputOptions,
    state: Mutex<State>,
    closed: AtomicBool,
    counts: Counts,
    held: SlotsHeld,
    process: Process,
}

#[derive(Default)]
struct State {
    /// Whose hub it is, of a stream that is published, until it is closed.
    publisher: Option<Publisher>,
    open: Option<Arc<Open>>,
    /// What was left of the stream when it was closed.
    last: Option<Last>,
}

/// What is left of a stream that has ended.
#[derive(Clone)]
struct Last {
    stats: OutputStats,
    format: FrameFormat,
    slots: usize,
    has_arrived: bool,
}

/// Where they go.
enum Target {
    Peer(SocketAddr),
    Server { server: Box<Server>, name: String },
    Readers { name: String, hub: Hub },
}

impl Output {
    /// Sends to whoever listens on a UDP address, HOST:PORT.
    ///
    /// # Errors
    /// The address is none.
    pub fn connect(address: &str, options: OutputOptions) -> Result<Self, Error> {
        Ok(Self::new(Target::Peer(resolve(address)?), None, options))
    }

    /// Sends to a server that is joined by the line that it prints at its start, `framewire://HOST:PORT#TOKEN.PIN`, or by a file that has it. Both prove who
    /// they are, and frames are encrypted. Where the server is away or starts anew it is waited for. The stream is called `name` there, which may be empty.
    ///
    /// # Errors
    /// It is no such line, or no file that nobody else may read; a key is given, which the server gives, or [`Protection::Off`].
    pub fn join(join: &str, name: &str, options: OutputOptions) -> Result<Self, Error> {
        if options.key.is_some() || options.protection == Protection::Off {
            let text =
                "a server that is joined protects the stream, and gives the key itself; leave key and protection out";
            return Err(Error::new(Class::Argument, "joined-key", text));
        }
        let server = Box::new(Server::Joined(joined::read(join)?));
        Ok(Self::new(Target::Server { server, name: name.to_owned() }, None, options))
    }

    /// Sends to a server: to one that is [joined](Output::join), or to one by its address, `http://HOST:PORT` where nothing protects it, `https://HOST:PORT` where
    /// this machine trusts its certificate. Where the server is away or starts anew it is waited for. The stream is called `name` there, which may be empty.
    ///
    /// # Errors
    /// As [`Output::join`]. What is no address is told once the stream begins.
    pub fn serve(server: &ServerPlace, name: &str, options: OutputOptions) -> Result<Self, Error> {
        let url = match server {
            ServerPlace::Join(join) => return Self::join(join, name, options),
            ServerPlace::Url(url) => url.clone(),
        };
        if options.key.is_some() {
            let text = "a server gives the key of each stream itself; leave key out";
            return Err(Error::new(Class::Argument, "joined-key", text));
        }
        let server = Box::new(Server::At(url));
        Ok(Self::new(Target::Server { server, name: name.to_owned() }, None, options))
    }

    /// Shares a stream of this name with other processes of this machine, at a hub of its own: by default one of the stream's name. Where its delivery is `every`,
    /// readers may ask that every frame waits for them ([`OpenOptions::every`](crate::OpenOptions::every)), and [`Output::frame`] with it.
    ///
    /// # Errors
    /// The name is none, or another program has the hub's socket.
    pub fn publish(name: &str, hub: Option<Hub>, options: OutputOptions) -> Result<Self, Error> {
        let has_its_own = hub.is_none();
        let hub = hub.map_or_else(|| Hub::of_name(name), Ok)?;
        // Where nothing is to be lost, readers may ask that nothing is.
        let share = ShareConfig::new(hub.endpoint().clone()).block(options.delivery == Delivery::Every);
        let publisher = Publisher::bind(share).map_err(|error| match error {
            ShareError::HubThere { .. } if has_its_own => {
                let text = format!(
                    "another program, or another output of this one, publishes '{name}' already, at {}; end it, or use another name",
                    hub.endpoint()
                );
                Error::new(Class::Refused, error.code(), text)
            }
            error => error.into(),
        })?;
        Ok(Self::new(Target::Readers { name: name.to_owned(), hub }, Some(publisher), options))
    }

    fn new(target: Target, publisher: Option<Publisher>, options: OutputOptions) -> Self {
        let state = Mutex::new(State { publisher, ..State::default() });
        let (closed, counts) = (AtomicBool::new(false), Counts::default());
        let held = SlotsHeld::default();
        Self { target, options, state, closed, counts, held, process: Process::this() }
    }

    /// Begins the stream, where it has not begun: its frames have this format.
    ///
    /// # Errors
    /// [`Class::Format`] where it has another one; no memory; [`Class::Closed`].
    pub fn begin(&self, format: FrameFormat) -> Result<(), Error> {
        self.begin_as(format, self.options.rate.into())
    }

    /// The same, with all that the source says of its pictures; the rate of the options is not looked at.
    ///
    /// # Errors
    /// As [`Output::begin`].
    pub fn begin_as(&self, format: FrameFormat, presentation: Presentation) -> Result<(), Error> {
        let mut state = self.opened()?;
        if let Some(open) = &state.open {
            let is = open.format();
            // A shorter frame of bytes is one too.
            if *is == format || (is.is_variable() && format.is_variable() && is.holds(format.frame_bytes())) {
                return Ok(());
            }
            let text = format!(
                "this stream carries {is}, and the frame is {format}; send frames of one format, or make another output"
            );
            return Err(Error::new(Class::Format, "another-format", text));
        }
        let options = &self.options;
        state.open = Some(Arc::new(match &self.target {
            Target::Peer(peer) => Open::Sent(Sender::connect(*peer, options.sender(format, presentation))?),
            Target::Server { server, name } => {
                Open::Joined(Joined::begin(server, name, options.sender(format, presentation))?)
            }
            Target::Readers { name, .. } => {
                let publisher = state.publisher.as_ref().ok_or_else(|| Error::closed(self.what()))?;
                Open::Published(publisher.stream(name, options.publish(format, presentation))?)
            }
        }));
        Ok(())
    }

    /// A slot to write the next frame into, of the stream's format; `None` where none came free within `timeout`. It is the program's until it is sent or
    /// dropped, and so is what is [held](Slot::hold) of it.
    ///
    /// # Errors
    /// [`Class::SlotsHeld`] where the program has them all; [`Class::Closed`], also while it waits; the stream has not begun, or cannot go on.
    pub fn frame(&self, timeout: Duration) -> Result<Option<Slot>, Error> {
        let mut slot = self.frame_to_fill(timeout)?;
        if let Some(slot) = &mut slot {
            slot.count_in(&self.held);
        }
        Ok(slot)
    }

    /// The same for who copies a frame into it and sends it at once: it does not count as one that the program has.
    ///
    /// # Errors
    /// As [`Output::frame`].
    pub fn frame_to_fill(&self, timeout: Duration) -> Result<Option<Slot>, Error> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            // Not kept from one step to the next: what is closed meanwhile is to end.
            let stream = self.stream()?;
            let frame = stream.frame(left.min(STEP))?;
            if let Some(frame) = frame {
                return Ok(Some(frame.into()));
            }
            // A server that has not taken the stream yet has given none.
            if stream.slots_max() > 0 {
                self.held.check(stream.slots_max())?;
            }
            if left <= STEP {
                return Ok(None);
            }
        }
    }

    /// Sends a frame that [`Output::frame`] gave; returns its number. It waits for nobody.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub fn send(&self, slot: Slot) -> Result<u64, Error> {
        let sent = self.stream()?.send(slot.into_frame(), &self.counts)?;
        sent.ok_or_else(|| Error::closed(self.what()))
    }

    /// Counts a picture that there was no slot for, so that a gap in the numbers has a cause.
    pub fn skip(&self) {
        if let Ok(stream) = self.stream() {
            stream.skip(&self.counts);
        }
    }

    /// Counts an array whose items had to be put in order.
    pub fn count_reordered(&self) {
        self.counts.reordered.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until the receiver has opened the stream; whether it has. One that is published is open.
    ///
    /// # Errors
    /// The receiver refuses; the stream has not begun, or cannot go on.
    pub fn wait_until_open(&self, timeout: Duration) -> Result<bool, Error> {
        self.stream()?.is_open_within(timeout)
    }

    /// Waits until every frame sent so far is settled at the receiver; whether all are. What is published has arrived.
    ///
    /// # Errors
    /// The receiver refuses; the stream has not begun, or cannot go on.
    pub fn wait_until_settled(&self, timeout: Duration) -> Result<bool, Error> {
        self.stream()?.is_settled_within(timeout)
    }

    /// The format of its frames, once it has begun.
    pub fn format(&self) -> Option<FrameFormat> {
        self.told(|open| *open.format(), |last| last.format)
    }

    /// Why a server has not taken the stream yet, or not again, or why a receiver refuses it, which may change its mind.
    pub fn trouble(&self) -> Option<String> {
        self.current()?.trouble()
    }

    /// Where frames go: the receiver's or the server's address, or the path of the hub's socket.
    pub fn target(&self) -> String {
        match &self.target {
            Target::Peer(peer) => peer.to_string(),
            Target::Server { server, .. } => server.authority(),
            Target::Readers { hub, .. } => hub.to_string(),
        }
    }

    /// What it was made with.
    pub fn options(&self) -> &OutputOptions {
        &self.options
    }

    /// Readers in other processes, and each one's account; none of a stream that is sent.
    pub fn readers(&self) -> Vec<ReaderFigures> {
        match self.current().as_deref() {
            Some(Open::Published(stream)) => stream.readers(),
            _ => Vec::new(),
        }
    }

    /// What became of the frames so far.
    pub fn stats(&self) -> OutputStats {
        if !self.process.is_this() {
            return OutputStats::default();
        }
        let stats = self.told(|open| open.stats(&self.counts), |last| last.stats.clone()).unwrap_or_default();
        OutputStats { reordered: self.counts.reordered.load(Ordering::Relaxed), ..stats }
    }

    /// Ends the stream: waits at most so long for what was sent to arrive; whether it did. From then on no frame is taken. Closing twice is closing once, and
    /// says the same.
    pub fn close(&self, timeout: Duration) -> bool {
        self.close_while(timeout, &mut || true)
    }

    /// The same; `go_on` is asked at least every 50 ms whether to wait on.
    pub fn close_while(&self, timeout: Duration, go_on: &mut dyn FnMut() -> bool) -> bool {
        if !self.process.is_this() {
            return true;
        }
        let mut state = self.lock();
        // With the lock: a stream that is begun is seen here, and none is begun from now on.
        let is_first = !self.closed.swap(true, Ordering::AcqRel);
        if !is_first {
            drop(state);
            return self.has_arrived_within(timeout, go_on);
        }
        let publisher = state.publisher.take();
        let open = state.open.clone();
        drop(state);
        let Some(open) = open else { return true };
        let has_arrived = open.closes_within(timeout, go_on);
        let last = Last {
            stats: OutputStats { is_open: false, ..open.stats(&self.counts) },
            format: *open.format(),
            slots: open.slots_max(),
            has_arrived,
        };
        let mut state = self.lock();
        state.last = Some(last);
        let ended = state.open.take();
        drop(state);
        // Its name is another's to take from now on.
        drop((ended, open, publisher));
        has_arrived
    }

    /// What another's closing says, once it does.
    fn has_arrived_within(&self, timeout: Duration, go_on: &mut dyn FnMut() -> bool) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let state = self.lock();
            match (&state.last, &state.open) {
                (Some(last), _) => return last.has_arrived,
                (None, None) => return true,
                (None, Some(_)) => drop(state),
            }
            let left = deadline.map_or(STEP, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() || !go_on() {
                return false;
            }
            std::thread::sleep(left.min(STEP));
        }
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Slots that the program may have in its hands or on their way at present, all together; 0 before the stream has begun. Of one that is published, those
    /// are among them that are there for its readers and that no reader holds.
    pub fn slots(&self) -> usize {
        self.told(Open::slots_max, |last| last.slots).unwrap_or_default()
    }

    fn stream(&self) -> Result<Arc<Open>, Error> {
        self.opened()?.open.clone().ok_or_else(|| {
            Error::new(
                Class::Argument,
                "no-format",
                "the stream has no format yet: send an array, or say width, height and format",
            )
        })
    }

    fn opened(&self) -> Result<MutexGuard<'_, State>, Error> {
        self.process.check(self.what())?;
        // With the lock, which whoever closes it has then too.
        let state = self.lock();
        if self.is_closed() {
            return Err(Error::closed(self.what()));
        }
        Ok(state)
    }

    /// What it is called in errors.
    fn what(&self) -> &'static str {
        match self.target {
            Target::Peer(_) | Target::Server { .. } => "sender",
            Target::Readers { .. } => "publisher",
        }
    }

    /// Something of the stream, or of what is left of it.
    fn told<T>(&self, of_open: impl FnOnce(&Open) -> T, of_last: impl FnOnce(&Last) -> T) -> Option<T> {
        if !self.process.is_this() {
            return None;
        }
        let state = self.lock();
        match (state.open.clone(), &state.last) {
            (Some(open), _) => {
                drop(state);
                Some(of_open(&open))
            }
            (None, last) => last.as_ref().map(of_last),
        }
    }

    fn current(&self) -> Option<Arc<Open>> {
        if self.process.is_this() { self.lock().open.clone() } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.process.is_this() {
            return;
        }
        // The threads that would be waited for are the parent's; a lock that one of them had is never given back.
        if let Ok(mut state) = self.state.try_lock() {
            std::mem::forget((state.open.take(), state.publisher.take()));
        }
    }
}
