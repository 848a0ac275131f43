//! Streams that senders bring over the network, as one source.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use framewire_transport::frame::Readiness;
use framewire_transport::setters;
use framewire_transport::{IncomingStream, Key, Protection, Receiver, ReceiverConfig, RecvError};

use super::turns::{Held, Look};
use super::watched::{Watched, no_descriptor};
use super::{SourceStats, policy};
use crate::address::resolve;
use crate::error::Error;
use crate::process::Process;
use crate::stream::{Stream, Taken};

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

pub(super) struct Network {
    watched: Watched,
    state: Mutex<State>,
    /// Kept, so that it stays readable once the receiver is gone: whoever waits then learns of that.
    _arrivals: Readiness,
    local: SocketAddr,
    reconnect: bool,
    held: Held,
    closed: AtomicBool,
    process: Process,
}

struct State {
    receiver: Option<Receiver>,
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
        let policy = policy(options.queue)?;
        let mut config = ReceiverConfig::new().slots(options.slots).latest_policy(policy).partial(options.partial);
        config = config.keys(options.keys.clone()).protection(options.protection);
        if let Some(bytes) = options.memory_bytes_max {
            config = config.memory_bytes_max(bytes).stream_bytes_max(bytes);
        }
        let receiver = Receiver::bind(address, config)?;
        let (watched, local) = (Watched::new()?, receiver.local_addr());
        let arrivals = receiver.readiness().map_err(no_descriptor)?;
        watched.add(&arrivals)?;
        let past = SourceStats::default();
        let state = Mutex::new(State { receiver: Some(receiver), open: Vec::new(), next: 0, past });
        let (reconnect, held) = (options.reconnect, Held::default());
        let (closed, process) = (AtomicBool::new(false), Process::this());
        Ok(Self { watched, state, _arrivals: arrivals, local, reconnect, held, closed, process })
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
        if state.open.is_empty() && state.past.streams > 0 && !self.reconnect {
            return Err(RecvError::Ended.into());
        }
        Ok(held.map_or(Look::Nothing, Look::Held))
    }

    fn accept(&self, state: &mut State) -> Result<(), Error> {
        loop {
            let Some(receiver) = &state.receiver else { return Err(Error::closed("receiver")) };
            // Most often there is none.
            let Ok(incoming) = receiver.accept_timeout(Duration::ZERO) else { return Ok(()) };
            let readiness = incoming.readiness().map_err(no_descriptor)?;
            self.watched.add(&readiness)?;
            state.past.reconnects += u64::from(state.past.streams > 0 && state.open.is_empty());
            state.past.streams += 1;
            let info = Arc::new(Stream::from(incoming.info()));
            state.open.push(Open { incoming, readiness, info });
        }
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

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local
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
        // Both wait for threads. Who waits for frames is woken by the end of the receiver.
        drop((open, receiver));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// What is readable while there is something to take.
    pub(super) fn descriptor(&self) -> Result<&Watched, Error> {
        self.process.check("receiver")?;
        Ok(&self.watched)
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
