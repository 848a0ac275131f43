//! Where a program's own frames go: to a receiver, or to other processes of this machine. One interface for both.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use framewire_signal::Join;
use framewire_transport::crypto::Suite;
use framewire_transport::frame::{FrameRate, METADATA_MAX, Presentation};
use framewire_transport::setters;
use framewire_transport::share::{ReaderFigures, ShareConfig};
use framewire_transport::{
    Delivery, FrameFormat, Key, Protection, PublishConfig, PublishedStream, Publisher, RefuseReason, SendError,
    SendState, SendStats, Sender, SenderConfig, ShareError,
};

use crate::STEP;
use crate::address::resolve;
use crate::error::{Class, Error};
use crate::joined::{self, Joined};
use crate::process::Process;
use crate::slot::{Slot, SlotsHeld};
use crate::source::Hub;

/// What the frames of an output are like, whichever way they go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OutputOptions {
    /// `latest` (the default): what cannot leave in time gives way to the next. `every`: nothing is lost, [`Output::frame`] waits.
    pub delivery: Delivery,
    /// Slots for frames that are written and on their way; by default what the transport says.
    pub slots: Option<usize>,
    /// Bytes of metadata that a frame may have, at most and by default 4,096.
    pub metadata_max: usize,
    /// How many pictures are shown a second, where that is known.
    pub rate: Option<FrameRate>,
    /// The key that the receiver has, too: with it frames are encrypted, and both ends prove that they have it. None by default. Of a stream that is published it
    /// says nothing.
    pub key: Option<Key>,
    /// Whether frames are protected: by default where there is a key, and without one they do not leave this machine.
    pub protection: Protection,
}

impl OutputOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        delivery: Delivery,
        slots: impl Into<Option<usize>>,
        metadata_max: usize,
        rate: impl Into<Option<FrameRate>>,
        key: impl Into<Option<Key>>,
        protection: Protection,
    }
}

impl Default for OutputOptions {
    fn default() -> Self {
        Self {
            delivery: Delivery::Latest,
            slots: None,
            metadata_max: METADATA_MAX,
            rate: None,
            key: None,
            protection: Protection::Auto,
        }
    }
}

impl OutputOptions {
    fn presentation(&self) -> Presentation {
        Presentation::UNKNOWN.rate(self.rate)
    }
}

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

/// What no sender counts.
#[derive(Default)]
struct Counts {
    published: AtomicU64,
    published_bytes: AtomicU64,
    skipped: AtomicU64,
    reordered: AtomicU64,
}

/// Where they go.
enum Target {
    Peer(SocketAddr),
    Server { join: Box<Join>, name: String },
    Readers { name: String, hub: Hub },
}

/// The stream once it has begun.
enum Open {
    Sent(Sender),
    Joined(Joined),
    Published(PublishedStream),
}

/// What became of the frames of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputStats {
    /// Frames that were handed over.
    pub sent: u64,
    /// Frames that the receiver says it has whole; of those that are published, all.
    pub delivered: u64,
    /// Frames that gave way to newer ones, or that there was no slot for.
    pub skipped: u64,
    /// Bytes handed over: of a stream that is sent as its datagrams have them, of a published one those of its pixels.
    pub bytes: u64,
    /// Arrays whose items had to be put in order before they were copied.
    pub reordered: u64,
    /// Readers in other processes, of published frames.
    pub readers: usize,
    /// Whether the receiver has opened the stream; true once a published one has begun.
    pub is_open: bool,
    /// The cipher that its datagrams are protected by, such as AES-128-GCM; `None` where they are plain, by shared memory, and while it is not open.
    pub protection: Option<&'static str>,
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
        let target = Target::Server { join: Box::new(joined::read(join)?), name: name.to_owned() };
        Ok(Self::new(target, None, options))
    }

    /// Shares a stream of this name with other processes of this machine, at a hub of its own: by default one of the stream's name.
    ///
    /// # Errors
    /// The name is none, or another program has the hub's socket.
    pub fn publish(name: &str, hub: Option<Hub>, options: OutputOptions) -> Result<Self, Error> {
        let has_its_own = hub.is_none();
        let hub = hub.map_or_else(|| Hub::of_name(name), Ok)?;
        let publisher = Publisher::bind(ShareConfig::new(hub.endpoint().clone())).map_err(|error| match error {
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
        let OutputOptions { delivery, slots, metadata_max, .. } = self.options;
        state.open = Some(Arc::new(match &self.target {
            Target::Peer(peer) => Open::Sent(Sender::connect(*peer, self.sender_config(format))?),
            Target::Server { join, name } => Open::Joined(Joined::begin(join, name, self.sender_config(format))?),
            Target::Readers { name, .. } => {
                let mut config = PublishConfig::new(format)
                    .delivery(delivery)
                    .metadata_max(metadata_max)
                    .presentation(self.options.presentation());
                if let Some(slots) = slots {
                    config = config.slots(slots);
                }
                let publisher = state.publisher.as_ref().ok_or_else(|| Error::closed(self.what()))?;
                Open::Published(publisher.stream(name, config)?)
            }
        }));
        Ok(())
    }

    fn sender_config(&self, format: FrameFormat) -> SenderConfig {
        let options = &self.options;
        let config = SenderConfig::new(format)
            .delivery(options.delivery)
            .metadata_max(options.metadata_max)
            .presentation(options.presentation())
            .key(options.key.clone())
            .protection(options.protection);
        options.slots.map_or(config.clone(), |slots| config.slots(slots))
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
            let frame = match &*stream {
                Open::Sent(sender) => sender.frame_timeout(left.min(STEP))?,
                // One step for both would be another's frame late.
                Open::Joined(joined) => match joined.sender(left.min(STEP))? {
                    Some(sender) => sender.frame_timeout(left.min(STEP))?,
                    None => None,
                },
                Open::Published(stream) => stream.frame_timeout(left.min(STEP))?,
            };
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
        let stream = self.stream()?;
        let frame = slot.into_frame();
        Ok(match &*stream {
            Open::Sent(sender) => sender.send(frame)?,
            Open::Joined(joined) => {
                joined.sender(Duration::ZERO)?.ok_or_else(|| Error::closed(self.what()))?.send(frame)?
            }
            Open::Published(stream) => {
                let bytes = frame.len() as u64;
                let number = stream.send(frame)?;
                self.counts.published.fetch_add(1, Ordering::Relaxed);
                self.counts.published_bytes.fetch_add(bytes, Ordering::Relaxed);
                number
            }
        })
    }

    /// Counts a picture that there was no slot for, so that a gap in the numbers has a cause.
    pub fn skip(&self) {
        match self.stream().as_deref() {
            Ok(Open::Sent(sender)) => sender.skip(),
            Ok(Open::Joined(joined)) => match joined.taken() {
                Some(sender) => sender.skip(),
                None => {
                    self.counts.skipped.fetch_add(1, Ordering::Relaxed);
                }
            },
            Ok(Open::Published(stream)) => {
                stream.skip();
                self.counts.skipped.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {}
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
        match &*self.stream()? {
            Open::Sent(sender) => told(sender.wait_until_open(timeout)),
            Open::Joined(joined) => joined_is(joined, timeout, |sender, left| sender.wait_until_open(left)),
            Open::Published(_) => Ok(true),
        }
    }

    /// Waits until every frame sent so far is settled at the receiver; whether all are. What is published has arrived.
    ///
    /// # Errors
    /// The receiver refuses; the stream has not begun, or cannot go on.
    pub fn wait_until_settled(&self, timeout: Duration) -> Result<bool, Error> {
        match &*self.stream()? {
            Open::Sent(sender) => told(sender.wait_until_settled(timeout)),
            // Nothing has been sent.
            Open::Joined(joined) if joined.taken().is_none() => Ok(true),
            Open::Joined(joined) => joined_is(joined, timeout, |sender, left| sender.wait_until_settled(left)),
            Open::Published(_) => Ok(true),
        }
    }

    /// The format of its frames, once it has begun.
    pub fn format(&self) -> Option<FrameFormat> {
        self.told(|open| *open.format(), |last| last.format)
    }

    /// Why a server that is joined has not taken the stream yet, or not again.
    pub fn trouble(&self) -> Option<String> {
        match self.current().as_deref() {
            Some(Open::Joined(joined)) => joined.trouble(),
            _ => None,
        }
    }

    /// Where frames go: the receiver's or the server's address, or the path of the hub's socket.
    pub fn target(&self) -> String {
        match &self.target {
            Target::Peer(peer) => peer.to_string(),
            Target::Server { join, .. } => join.authority(),
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
        let stats = self.told(|open| self.counted(open), |last| last.stats.clone()).unwrap_or_default();
        OutputStats { reordered: self.counts.reordered.load(Ordering::Relaxed), ..stats }
    }

    fn counted(&self, open: &Open) -> OutputStats {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        match open {
            Open::Sent(sender) => counted_by(sender),
            Open::Joined(joined) => {
                let counted = joined.taken().map(|sender| counted_by(&sender)).unwrap_or_default();
                OutputStats { skipped: counted.skipped + count(&self.counts.skipped), ..counted }
            }
            Open::Published(stream) => OutputStats {
                sent: count(&self.counts.published),
                delivered: count(&self.counts.published),
                skipped: count(&self.counts.skipped),
                bytes: count(&self.counts.published_bytes),
                readers: stream.readers().len(),
                is_open: true,
                ..OutputStats::default()
            },
        }
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
        let has_arrived = match open.as_deref() {
            Some(Open::Sent(sender)) => closes_within(sender, timeout, go_on),
            // What has not been taken has sent nothing.
            Some(Open::Joined(joined)) => joined.taken().is_none_or(|sender| closes_within(&sender, timeout, go_on)),
            Some(Open::Published(_)) | None => true,
        };
        let Some(open) = open else { return true };
        let last = Last {
            stats: OutputStats { is_open: false, ..self.counted(&open) },
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

impl Open {
    fn format(&self) -> &FrameFormat {
        match self {
            Self::Sent(sender) => sender.format(),
            Self::Joined(joined) => joined.format(),
            Self::Published(stream) => stream.format(),
        }
    }

    fn slots_max(&self) -> usize {
        match self {
            Self::Sent(sender) => sender.slots_max(),
            Self::Joined(joined) => joined.taken().map_or(0, |sender| sender.slots_max()),
            Self::Published(stream) => stream.slots_max(),
        }
    }
}

fn counted_by(sender: &Sender) -> OutputStats {
    let SendStats { frames, frames_delivered, frames_skipped, bytes, .. } = sender.stats();
    OutputStats {
        sent: frames,
        delivered: frames_delivered,
        skipped: frames_skipped,
        bytes,
        is_open: matches!(sender.state(), SendState::Open),
        protection: sender.protection().map(Suite::name),
        ..OutputStats::default()
    }
}

/// Whether something is so of a joined stream in time. A server that is back, and has not been told of the stream yet, does not know it: that passes.
fn joined_is(
    joined: &Joined,
    timeout: Duration,
    mut is_so: impl FnMut(&Sender, Duration) -> Result<(), SendError>,
) -> Result<bool, Error> {
    let deadline = Instant::now().checked_add(timeout);
    loop {
        let left = deadline.map_or(STEP, |deadline| deadline.saturating_duration_since(Instant::now()));
        if let Some(sender) = joined.sender(left.min(STEP))? {
            match is_so(&sender, left.min(STEP)) {
                Err(SendError::Refused { reason: Some(reason), .. }) if passes(reason) => {
                    std::thread::sleep(left.min(STEP))
                }
                said => {
                    if told(said)? {
                        return Ok(true);
                    }
                }
            }
        }
        if left <= STEP && deadline.is_some() {
            return Ok(false);
        }
    }
}

/// Of a stream that the server has taken: it was started anew, and gives the stream another key in a moment.
fn passes(reason: RefuseReason) -> bool {
    matches!(reason, RefuseReason::Unknown | RefuseReason::WrongKey | RefuseReason::NoKeys)
}

/// Whether the receiver has confirmed the end in time.
fn closes_within(sender: &Sender, timeout: Duration, go_on: &mut dyn FnMut() -> bool) -> bool {
    let deadline = Instant::now().checked_add(timeout);
    loop {
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        match told(sender.close(left.min(STEP)).map(drop)) {
            Ok(true) => return true,
            Ok(false) if left > STEP => {}
            Ok(false) | Err(_) => return false,
        }
        if !go_on() {
            return false;
        }
    }
}

/// Whether it happened in time.
fn told(waited: Result<(), SendError>) -> Result<bool, Error> {
    match waited.map_err(Error::from) {
        Ok(()) => Ok(true),
        Err(error) if error.class == Class::Timeout => Ok(false),
        Err(error) => Err(error),
    }
}
