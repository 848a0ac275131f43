//! Streams that senders bring over the network, as one source.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use framewire_transport::frame::{ConsumerPolicy, Readiness};
use framewire_transport::setters;
use framewire_transport::{
    AcceptStreamError, Admission, Delivery, IncomingStream, Key, Protection, Receiver, ReceiverConfig, RecvError,
};

use super::turns::{Held, Look};
use super::watched::{Watched, no_descriptor};
use super::{SourceStats, policy};
use crate::address::resolve;
use crate::error::{Class, Error};
use crate::process::Process;
use crate::stream::{Stream, Taken};
use crate::watching::{ServerPlace, Watch};

/// What a source over the network is to be like.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceiveOptions {
    /// Slots of each stream, 1 to 64, 8 by default: four frames being assembled, the others with the program.
    pub slots: usize,
    /// Frames of a `latest` stream that wait for the program at most; by default the newest alone. All frames of an `every` stream wait.
    pub queue: Option<usize>,
    /// Whether the next stream is waited for where the last has ended (the default). Else the source has ended then.
    pub reconnect: bool,
    /// Hand out frames of `latest` streams too that did not become whole in time; off by default.
    pub partial: bool,
    /// The keys that senders have, too: with any, frames are encrypted, and no sender without one of them is heard. None by default.
    pub keys: Vec<Key>,
    /// Whether frames are protected: by default where there are keys, and without them loopback alone is listened on.
    pub protection: Protection,
    /// Bytes that all streams together may take; by default what the transport says.
    pub memory_bytes_max: Option<usize>,
}

impl ReceiveOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        slots: usize,
        queue: impl Into<Option<usize>>,
        reconnect: bool,
        partial: bool,
        keys: impl Into<Vec<Key>>,
        protection: Protection,
        memory_bytes_max: impl Into<Option<usize>>,
    }

    fn receiver(&self) -> Result<ReceiverConfig, Error> {
        let policy = policy(self.queue)?;
        let config = ReceiverConfig::new().slots(self.slots).latest_policy(policy).partial(self.partial);
        let config = config.keys(self.keys.clone()).protection(self.protection);
        Ok(match self.memory_bytes_max {
            Some(bytes) => config.memory_bytes_max(bytes).stream_bytes_max(bytes),
            None => config,
        })
    }
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self {
            slots: 8,
            queue: None,
            reconnect: true,
            partial: false,
            keys: Vec::new(),
            protection: Protection::Auto,
            memory_bytes_max: None,
        }
    }
}

/// How a stream of a server is watched.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct WatchOptions {
    /// What the source is like. Keys are the server's to give: none is to be said here.
    pub receive: ReceiveOptions,
    /// `latest` (the default): what does not come in time gives way to the next. `every`: nothing is lost for as long as this program keeps up, and nobody waits
    /// for it where it does not.
    pub delivery: Option<Delivery>,
    /// Most frames a second that are wanted, finite and above 0; by default all of them.
    pub frames_per_second_max: Option<f64>,
    /// Where frames come in: HOST:PORT, or :PORT for all addresses of this machine, as a firewall lets them in. By default a port of the system's choice,
    /// on loopback where the server is there.
    pub udp: Option<String>,
}

impl WatchOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        receive: ReceiveOptions,
        delivery: impl Into<Option<Delivery>>,
        frames_per_second_max: impl Into<Option<f64>>,
        udp: impl Into<Option<String>>,
    }
}

pub(super) struct Network {
    /// The wish, where the stream was asked for.
    wish: Mutex<Option<Watch>>,
    watched: Watched,
    state: Mutex<State>,
    /// Where it was listened on at first.
    local: SocketAddr,
    reconnect: bool,
    held: Held,
    closed: AtomicBool,
    process: Process,
}

struct State {
    receiver: Option<Arc<Receiver>>,
    /// Kept, so that it stays readable once the receiver is gone: whoever waits then learns of that.
    arrivals: Readiness,
    open: Vec<Open>,
    /// Where the next look begins, so that each stream has its turn.
    next: usize,
    /// What was taken, and what ended streams counted.
    past: SourceStats,
}

/// One stream.
struct Open {
    incoming: IncomingStream,
    readiness: Readiness,
    info: Arc<Stream>,
}

impl Network {
    pub(super) fn bind(address: &str, options: &ReceiveOptions) -> Result<Self, Error> {
        let address = resolve(address)?;
        Self::of(Arc::new(Receiver::bind(address, options.receiver()?)?), None, options.reconnect)
    }

    pub(super) fn watch(name: &str, server: &ServerPlace, options: &WatchOptions) -> Result<Self, Error> {
        let receive = &options.receive;
        if !receive.keys.is_empty() {
            let text = "the server gives the key of each stream itself; leave keys out";
            return Err(Error::new(Class::Argument, "keys-of-server", text));
        }
        // Nobody else is to open a stream here.
        let config = receive.receiver()?.admission(Admission::Announced);
        let config = match (options.delivery, receive.queue) {
            // Whoever asks for every frame has them all wait, as of a stream of which none may be lost.
            (Some(Delivery::Every), None) => config.latest_policy(ConsumerPolicy::Block),
            _ => config,
        };
        let watch = Watch::begin(name, server, options, config)?;
        Self::of(watch.receiver(), Some(watch), receive.reconnect)
    }

    fn of(receiver: Arc<Receiver>, watch: Option<Watch>, reconnect: bool) -> Result<Self, Error> {
        let (watched, local) = (Watched::new()?, receiver.local_addr());
        let arrivals = receiver.readiness().map_err(no_descriptor)?;
        watched.add(&arrivals)?;
        let past = SourceStats::default();
        let state = Mutex::new(State { receiver: Some(receiver), arrivals, open: Vec::new(), next: 0, past });
        let (wish, held) = (Mutex::new(watch), Held::default());
        let (closed, process) = (AtomicBool::new(false), Process::this());
        Ok(Self { wish, watched, state, local, reconnect, held, closed, process })
    }

    /// The next frame within a time.
    pub(super) fn recv(&self, timeout: Duration) -> Result<Option<Taken>, Error> {
        self.held.take(&self.watched, timeout, || {
            self.process.check("receiver")?;
            self.look()
        })
    }

    /// A frame that waits, each stream in turn.
    fn look(&self) -> Result<Look, Error> {
        let mut state = self.lock();
        self.accept(&mut state)?;
        let failure = self.wish().as_ref().and_then(|watch| watch.check().err());
        // What is left of a stream that has ended comes before what others send: a source that begins anew, in another format perhaps, goes on as a new stream.
        if let Some(ended) = state.open.iter().position(|open| open.incoming.end_reason().is_some()) {
            state.next = ended;
        }
        let (mut held, mut turns) = (None, state.open.len());
        while turns > 0 {
            turns -= 1;
            let place = state.next % state.open.len();
            match state.open[place].incoming.try_recv() {
                Ok(frame) => {
                    state.next = place + 1;
                    state.past.taken += 1;
                    state.past.bytes += frame.len() as u64;
                    let stream = state.open[place].info.clone();
                    return Ok(Look::Taken(Taken { frame, stream }));
                }
                // The next one has its place.
                Err(RecvError::Ended) => self.forget(&mut state, place),
                Err(RecvError::Timeout) => state.next = place + 1,
                Err(error @ RecvError::HoldsAllSlots { .. }) => {
                    held = Some(error.into());
                    state.next = place + 1;
                }
                Err(error) => {
                    state.next = place + 1;
                    return Err(error.into());
                }
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        if state.open.is_empty() && state.past.streams > 0 && !self.reconnect {
            return Err(RecvError::Ended.into());
        }
        Ok(held.map_or(Look::Nothing, Look::Held))
    }

    fn accept(&self, state: &mut State) -> Result<(), Error> {
        loop {
            let Some(receiver) = &state.receiver else { return Err(Error::closed("receiver")) };
            let incoming = match receiver.accept_timeout(Duration::ZERO) {
                Ok(incoming) => incoming,
                Err(AcceptStreamError::Stopped) if self.moves(state)? => continue,
                // Most often there is none.
                Err(_) => return Ok(()),
            };
            let readiness = incoming.readiness().map_err(no_descriptor)?;
            self.watched.add(&readiness)?;
            state.past.reconnects += u64::from(state.past.streams > 0 && state.open.is_empty());
            state.past.streams += 1;
            let mut info = Stream::from(incoming.info());
            if let Some((name, delivery)) = self.wish().as_ref().and_then(Watch::granted) {
                (info.name, info.delivery) = (name, delivery);
            }
            let info = Arc::new(info);
            state.open.push(Open { incoming, readiness, info });
        }
    }

    /// Takes streams where they come in by now, if that is elsewhere: whether it is.
    fn moves(&self, state: &mut State) -> Result<bool, Error> {
        let Some(receiver) = self.wish().as_ref().map(Watch::receiver) else { return Ok(false) };
        if state.receiver.as_ref().is_none_or(|before| Arc::ptr_eq(before, &receiver)) {
            return Ok(false);
        }
        let arrivals = receiver.readiness().map_err(no_descriptor)?;
        self.watched.add(&arrivals)?;
        self.watched.remove(&state.arrivals);
        (state.receiver, state.arrivals) = (Some(receiver), arrivals);
        Ok(true)
    }

    /// Takes an ended stream's counts, and lets it go.
    fn forget(&self, state: &mut State, place: usize) {
        let ended = state.open.remove(place);
        self.watched.remove(&ended.readiness);
        ended.add_to(&mut state.past);
        state.past.held = 0;
    }

    pub(super) fn streams(&self) -> Vec<Stream> {
        if !self.process.is_this() {
            return Vec::new();
        }
        let mut state = self.lock();
        // Those that nobody has looked for yet are open too; what is wrong is told to who takes frames.
        let _ = self.accept(&mut state);
        state.open.iter().map(|open| (*open.info).clone()).collect()
    }

    pub(super) fn stats(&self) -> SourceStats {
        if !self.process.is_this() {
            return SourceStats::default();
        }
        let state = self.lock();
        let mut all = state.past;
        state.open.iter().for_each(|open| open.add_to(&mut all));
        all
    }

    pub(super) fn trouble(&self) -> Option<String> {
        if !self.process.is_this() {
            return None;
        }
        self.wish().as_ref().and_then(Watch::trouble)
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        let wish = self.process.is_this().then(|| self.wish());
        wish.and_then(|wish| wish.as_ref().map(|watch| watch.receiver().local_addr())).unwrap_or(self.local)
    }

    pub(super) fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) || !self.process.is_this() {
            return;
        }
        let mut state = self.lock();
        let (receiver, open) = (state.receiver.take(), std::mem::take(&mut state.open));
        open.iter().for_each(|open| open.add_to(&mut state.past));
        state.past.held = 0;
        drop(state);
        // Who waits for frames is woken by the end of the receiver; the wish, which has it too, may take a moment longer.
        if let Some(receiver) = &receiver {
            receiver.stop();
        }
        let watch = self.wish().take();
        // All wait for threads.
        drop((open, watch, receiver));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// What is readable while there is something to take.
    pub(super) fn descriptor(&self) -> Result<&Watched, Error> {
        self.process.check("receiver")?;
        Ok(&self.watched)
    }

    fn wish(&self) -> MutexGuard<'_, Option<Watch>> {
        self.wish.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if self.process.is_this() {
            self.close();
            return;
        }
        // The threads that would be waited for are the parent's; a lock that one of them had is never given back.
        if let Ok(mut state) = self.state.try_lock() {
            std::mem::forget((state.receiver.take(), std::mem::take(&mut state.open)));
        }
        if let Ok(mut watch) = self.wish.try_lock() {
            std::mem::forget(watch.take());
        }
    }
}

impl Open {
    fn add_to(&self, all: &mut SourceStats) {
        let (stats, source) = (self.incoming.stats(), self.incoming.source());
        all.dropped += self.incoming.dropped();
        all.lost += stats.frames_incomplete - stats.frames_partial.min(stats.frames_incomplete)
            + stats.frames_no_slot
            + source.lost;
        all.skipped += source.skipped;
        all.held += self.incoming.slots_held();
    }
}
