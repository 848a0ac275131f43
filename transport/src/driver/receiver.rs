//! The receiving end as a program uses it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::incoming::IncomingStream;
use super::listener::{Listener, standings};
use super::opening::{
    Admission, Announcement, Asked, Budget, Ephemerals, Opening, Refusal, Waiting, default_memory_bytes,
    least_needed_of, stream_bytes,
};
use super::protection::{Protection, Undecided};
use super::sharing::{PoolSlots, Shares};
use super::stream_shared::StreamShared;
use super::threads::ThreadConfig;
use crate::backend::listening::ListeningSocket;
use crate::backend::{BackendKind, Waker};
use crate::crypto::Key;
use crate::frame::readiness::{self, Raised, Readiness, Tells};
use crate::frame::{ConsumerPolicy, FrameFormat, PoolError, SLOTS_MAX, TAIL_MAX};
use crate::limit::remedy;
use crate::receive::EndReason;
use crate::setters;
use crate::share::{Invitation, ShareConfig, ShareError};
use crate::time::Time;
use crate::unpoisoned::unpoisoned;
use crate::wire::{Cut, SLICE_BYTES_MIN};

/// The most streams that one receiver opens.
const STREAMS_MAX: usize = 4_096;
/// The most keys beside those of announced streams: each opening is held against all of their ids.
const KEYS_MAX: usize = 256;

/// What a receiver is told when it is made: [`ReceiverConfig::new`], and what is to be different from that.
///
/// ```
/// use framewire_transport::ReceiverConfig;
///
/// let config = ReceiverConfig::new().slots(4).streams_max(2);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceiverConfig {
    /// Slots of each stream's pool, 1 to 64, 8 by default: four frames being assembled, the others with consumers. Few slots
    /// that stay in cache are faster than many.
    pub slots: usize,
    /// What moves the datagrams; [`BackendKind::Auto`] by default.
    pub backend: BackendKind,
    /// Let slices arrive in trains where the socket can (the default): a fraction of the work for small slices.
    pub trains: bool,
    /// With the `uring` backend, have a thread of the kernel fetch each stream's slices, so that no system call is made for
    /// them; off by default, since it keeps a core busy while frames flow.
    pub sqpoll: bool,
    /// How the streams' threads run.
    pub threads: ThreadConfig,
    /// Which streams are opened; by default any.
    pub admission: Admission,
    /// Streams that may be open at once, 1 to 4,096, 64 by default; so many may also wait for [`Receiver::accept`]. Of those
    /// that wait for their memory, at most three quarters are of one address.
    pub streams_max: usize,
    /// Bytes that all streams together may take, at least 1; by default a quarter of the machine's memory, or of what its
    /// control group lets this process have, and at most 4 GiB. Reserved before memory is taken, and given back when the last
    /// frame of a stream has been dropped.
    pub memory_bytes_max: usize,
    /// Bytes that one stream may take, at least 1; by default half of the default of [`memory_bytes_max`](Self::memory_bytes_max),
    /// whatever that is set to.
    pub stream_bytes_max: usize,
    /// How the first consumer of a `latest` stream, the [`IncomingStream`] itself, treats frames that wait; by default
    /// [`ConsumerPolicy::Latest`]. That of an `every` stream always has them wait ([`ConsumerPolicy::Block`]).
    pub latest_policy: ConsumerPolicy,
    /// Where streams are shared with other processes of this machine, which then read them in place; by default nowhere.
    pub share: Option<ShareConfig>,
    /// Hand on frames of `latest` streams that did not become complete in time too, with what they have; off by default.
    /// [`Frame::missing`](crate::Frame::missing) tells what they lack.
    pub partial: bool,
    /// The keys of protected streams, at most 256, by default none: a sender that has one of them may open any stream under it. A stream
    /// that is announced with a key of its own ([`Announcement::key`]) is taken under that one alone. With keys, none is taken plain.
    pub keys: Vec<Key>,
    /// Whether streams are protected; by default they are with keys, and without them only loopback is listened on
    /// ([`Protection::Auto`]).
    pub protection: Protection,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        Self {
            slots: 8,
            backend: BackendKind::Auto,
            trains: true,
            sqpoll: false,
            threads: ThreadConfig::default(),
            admission: Admission::Anyone,
            streams_max: 64,
            memory_bytes_max: default_memory_bytes(),
            stream_bytes_max: default_memory_bytes() / 2,
            latest_policy: ConsumerPolicy::Latest,
            share: None,
            partial: false,
            keys: Vec::new(),
            protection: Protection::Auto,
        }
    }
}

/// Why a receiver could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another program has the port.
    #[error("UDP port {} on {} is in use by another program; stop it or listen elsewhere", .0.port(), .0.ip())]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on UDP {address}: {source}; use an address of this machine and a port you may use")]
    Address {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A number of the configuration is out of range.
    #[error("{value} {what} cannot be; use {min} to {max}")]
    OutOfRange {
        /// Of what there are so many.
        what: &'static str,
        /// How many were asked for.
        value: usize,
        /// The least that can be.
        min: usize,
        /// The most that can be.
        max: usize,
    },
    /// The wire of the original system knows frames by their length.
    #[error("the plain wire carries frames of one length, and those of {0} differ; use Sender and Receiver for them")]
    LengthsDiffer(FrameFormat),
    /// Anybody's frames would be taken beyond this machine.
    #[error(
        "on {0} anybody who reaches it could send frames, and they would travel in plain text; give both ends one key \
         (ReceiverConfig::keys, SenderConfig::key), or, on a network that you trust, say Protection::Off (--insecure) at both \
         ends, or listen on loopback"
    )]
    Unprotected(SocketAddr),
    /// Streams are to be protected, and there are no keys.
    #[error(
        "streams are to be protected (Protection::On) and there are no keys; give both ends one (ReceiverConfig::keys, \
         SenderConfig::key), or leave it to Protection::Auto, which receives plain text on loopback alone"
    )]
    NoKeys,
    /// There are keys, and streams are not to be protected.
    #[error(
        "there are keys and streams are not to be protected (Protection::Off); leave the keys out at both ends to receive plain \
         text, or leave it to Protection::Auto to have streams protected"
    )]
    KeysUnused,
    /// No memory for the slots.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The streams cannot be shared where they should be.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// No thread, wake-up descriptor or random number.
    #[error("the system refused a thread or descriptor for the receiver: {source}; {help}", source = .0, help = remedy(.0).unwrap_or("check the process's limits"))]
    System(io::Error),
}

impl BindError {
    pub(super) fn from_bind(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            _ => Self::Address { address, source },
        }
    }
}

/// Receives the streams that senders open towards one UDP address: [`bind`](Self::bind), then [`accept`](Self::accept) for each stream. It has a
/// thread of its own that listens and one more for each stream; [`stop`](Self::stop) or dropping it ends them and all streams.
pub struct Receiver {
    shared: Arc<ReceiverShared>,
    thread: Option<JoinHandle<()>>,
}

/// What the program's threads and the listening thread share.
pub(super) struct ReceiverShared {
    pub(super) config: ReceiverConfig,
    pub(super) local: SocketAddr,
    pub(super) waker: Waker,
    pub(super) state: Mutex<ReceiverState>,
    pub(super) changed: Condvar,
    /// There is something to do for the thread that opens streams.
    pub(super) opening: Condvar,
    pub(super) budget: Arc<Budget>,
    /// How many local senders' streams may come to nothing.
    #[cfg(target_os = "linux")]
    pub(super) churn: Arc<super::inlet::Churn>,
    /// Where its streams are shared with other processes.
    pub(super) shares: Shares,
}

#[derive(Default)]
pub(super) struct ReceiverState {
    pub(super) announced: HashMap<u32, Announcement>,
    /// What senders of announced streams are known by that share memory with this process.
    pub(super) nonces: HashMap<u32, u64>,
    pub(super) incoming: VecDeque<IncomingStream>,
    pub(super) streams: Vec<Arc<StreamShared>>,
    /// Streams that are being opened.
    pub(super) waiting: Waiting,
    /// Threads of streams that were opened since the listener last looked.
    pub(super) started: Vec<(Arc<StreamShared>, JoinHandle<()>)>,
    /// Openings that came to nothing, and are still to be answered.
    pub(super) refusals: Vec<(Opening, Refusal)>,
    /// Openings that came to another stream's socket.
    pub(super) handed_over: Vec<Asked>,
    /// What has opened protected streams.
    pub(super) ephemerals: Ephemerals,
    pub(super) stats: ListenerStats,
    pub(super) stop: bool,
    raised: Raised,
}

impl Tells for ReceiverState {
    /// A stream, or that none follows.
    fn has_something(&self) -> bool {
        !self.incoming.is_empty() || self.stop
    }

    fn raised(&mut self) -> &mut Raised {
        &mut self.raised
    }
}

impl ReceiverState {
    /// Takes an announcement back, and has the stream end if it is open.
    fn withdraw(&mut self, stream: u32) {
        self.announced.remove(&stream);
        self.nonces.remove(&stream);
        for open in self.streams.iter().filter(|open| open.open.stream == stream) {
            open.stop();
        }
        self.waiting.discard(|waiting| waiting.open.stream == stream);
    }
}

/// What the listening socket has seen since the receiver was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Streams opened.
    pub opened: u64,
    /// Openings refused.
    pub refused: u64,
    /// Openings answered with a challenge: the sender has to repeat a number that was sent to its address, before it is believed.
    pub challenged: u64,
    /// Datagrams that open no stream: strays, garbage, slices of streams that are gone.
    pub strays: u64,
    /// Datagrams of streams that are not open, or come from another address, that were answered.
    pub redirected: u64,
    /// Openings in another version of the protocol, which were refused.
    pub other_version: u64,
    /// Streams that went on from another address of their sender.
    pub moved: u64,
    /// Openings of protected streams that were not made under their key; counted in `refused` too.
    pub forged: u64,
    /// Openings of protected streams that had opened something before, and were recorded and shown again, or were long on their way.
    pub replayed: u64,
    /// Openings of protected streams that were not looked at, as too many of their address had been forged just before.
    pub unread: u64,
}

impl ReceiverShared {
    pub(super) fn lock(&self) -> MutexGuard<'_, ReceiverState> {
        unpoisoned(self.state.lock())
    }

    /// Has the program accept a stream, and gives the lock back.
    pub(super) fn hand_in(&self, mut state: MutexGuard<'_, ReceiverState>, incoming: IncomingStream) {
        state.stats.opened += 1;
        state.incoming.push_back(incoming);
        let readiness = state.raised.raise();
        drop(state);
        self.changed.notify_one();
        if let Some(readiness) = readiness {
            readiness.raise();
        }
    }

    /// Slots of each stream that is opened now.
    pub(super) fn pool_slots(&self) -> PoolSlots {
        self.shares.pool_slots(self.config.slots)
    }

    /// Gives the listener an opening that came to the socket of another stream.
    pub(super) fn hand_to_listener(&self, opening: Asked) {
        let handed_over = &mut self.lock().handed_over;
        // The sender repeats what there is no room for.
        if handed_over.len() < self.config.streams_max {
            handed_over.push(opening);
            self.waker.wake();
        }
    }
}

impl ReceiverConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        slots: usize,
        backend: BackendKind,
        trains: bool,
        sqpoll: bool,
        threads: ThreadConfig,
        admission: Admission,
        streams_max: usize,
        memory_bytes_max: usize,
        stream_bytes_max: usize,
        latest_policy: ConsumerPolicy,
        share: impl Into<Option<ShareConfig>>,
        partial: bool,
        keys: impl Into<Vec<Key>>,
        protection: Protection,
    }

    fn check(&self, address: SocketAddr) -> Result<(), BindError> {
        let numbers = [
            ("slots of a stream", self.slots, SLOTS_MAX),
            ("streams at once", self.streams_max, STREAMS_MAX),
            ("bytes of memory for all streams", self.memory_bytes_max, usize::MAX),
            ("bytes of memory for a stream", self.stream_bytes_max, usize::MAX),
        ];
        let is_out = |(_, value, max): &(_, usize, usize)| !(1..=*max).contains(value);
        if let Some((what, value, max)) = numbers.into_iter().find(is_out) {
            return Err(BindError::OutOfRange { what, value, min: 1, max });
        }
        if self.keys.len() > KEYS_MAX {
            return Err(BindError::OutOfRange { what: "keys", value: self.keys.len(), min: 0, max: KEYS_MAX });
        }
        self.check_protection(address)
    }

    fn check_protection(&self, address: SocketAddr) -> Result<(), BindError> {
        match self.protection.decide(!self.keys.is_empty(), address) {
            Ok(_) => Ok(()),
            Err(Undecided::KeyUnused) => Err(BindError::KeysUnused),
            // Those that are announced are asked for keys of their own.
            Err(_) if self.admission == Admission::Announced => Ok(()),
            Err(Undecided::Unprotected) => Err(BindError::Unprotected(address)),
            Err(Undecided::NoKey) => Err(BindError::NoKeys),
        }
    }
}

/// Why a stream is not announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// As many streams are announced as may be.
    #[error("{limit} streams are announced, as many as may be; retract one, or allow more streams")]
    TooMany {
        /// How many may be.
        limit: usize,
    },
    /// The stream needs more memory than one stream may have.
    #[error(
        "its frames need {bytes} bytes of memory, and one stream may have {limit} here (--stream-memory); send smaller frames \
         or raise the limit"
    )]
    StreamMemory {
        /// What it needs at least.
        bytes: usize,
        /// What it may have.
        limit: usize,
    },
    /// The stream needs more memory than all streams together may have.
    #[error(
        "its frames need {bytes} bytes of memory, and all streams together may have {limit} here (--memory); send smaller \
         frames or raise the limit"
    )]
    Memory {
        /// What it needs at least.
        bytes: usize,
        /// What all may have.
        limit: usize,
    },
    /// It would be taken in plain text beyond this machine.
    #[error(
        "a stream without a key would travel to {address} in plain text; announce it with one that its sender has, too \
         (Announcement::key, SenderConfig::key), or, on a network that you trust, say Protection::Off (--insecure) at both ends"
    )]
    Unprotected {
        /// What the receiver listens on.
        address: SocketAddr,
    },
    /// Streams are to be protected, and it has no key.
    #[error(
        "streams are to be protected (Protection::On) and this one has no key; announce it with one that its sender has, too \
         (Announcement::key, SenderConfig::key), or leave it to Protection::Auto, which receives plain text on loopback alone"
    )]
    NoKey,
    /// It has a key, and streams are not to be protected.
    #[error(
        "the stream has a key and streams are not to be protected (Protection::Off); announce it without one to receive plain \
         text, or leave it to Protection::Auto to have it protected"
    )]
    KeyUnused,
}

/// Why no stream came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AcceptStreamError {
    /// The receiver has been stopped.
    #[error("the receiver has been stopped")]
    Stopped,
    /// None within the time given.
    #[error("no stream was opened in time")]
    Timeout,
}

impl Receiver {
    /// Listens on a UDP address; port 0 is one of the system's choice. On `0.0.0.0` it listens on all of this machine's IPv4
    /// addresses, on `[::]` on all of both kinds; a sender is answered from the address that it asked.
    ///
    /// # Errors
    /// A number of the configuration is out of range, the port is in use, the address is not this machine's, anybody's frames would be
    /// taken beyond this machine, or the system has no thread left.
    pub fn bind(address: SocketAddr, config: ReceiverConfig) -> Result<Self, BindError> {
        config.check(address)?;
        let listening = ListeningSocket::bind(address).map_err(|source| BindError::from_bind(address, source))?;
        let budget = Budget::new(config.memory_bytes_max);
        let shared = Arc::new(ReceiverShared {
            config,
            local: listening.local(),
            waker: Waker::new().map_err(BindError::System)?,
            state: Mutex::default(),
            changed: Condvar::new(),
            opening: Condvar::new(),
            budget,
            #[cfg(target_os = "linux")]
            churn: Arc::default(),
            shares: Shares::default(),
        });
        if let Some(share) = shared.config.share.as_ref() {
            shared.shares.begin(&shared, share)?;
        }
        let listener = Listener::new(listening, shared.clone()).map_err(BindError::System)?;
        let thread = std::thread::Builder::new()
            .name("framewire-listen".into())
            .spawn(move || listener.run())
            .map_err(BindError::System)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Shares the streams that are opened from here on with other processes of this machine, as [`ReceiverConfig::share`] does from the
    /// start: for a socket whose name follows from the port that was listened on.
    ///
    /// # Errors
    /// The socket cannot be there, another program has it, or the streams are shared already.
    pub fn share(&self, config: &ShareConfig) -> Result<(), ShareError> {
        self.shared.shares.begin(&self.shared, config)
    }

    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn shared(&self) -> &Arc<ReceiverShared> {
        &self.shared
    }

    /// The address listened on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// Waits for the next stream that a sender opens.
    ///
    /// # Errors
    /// The receiver has been stopped.
    pub fn accept(&self) -> Result<IncomingStream, AcceptStreamError> {
        self.accept_until(None)
    }

    /// As [`Receiver::accept`], but waits at most `timeout`.
    ///
    /// # Errors
    /// No stream in time, or the receiver has been stopped.
    pub fn accept_timeout(&self, timeout: Duration) -> Result<IncomingStream, AcceptStreamError> {
        self.accept_until(Instant::now().checked_add(timeout))
    }

    /// A descriptor that is readable while there is a stream to accept, or the receiver has been stopped, for programs that wait for several
    /// things at once: [`Receiver::accept_timeout`] with no time then takes it. It is taken from the system when it is first asked for.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn readiness(&self) -> io::Result<Readiness> {
        readiness::descriptor(self.shared.lock())
    }

    fn accept_until(&self, deadline: Option<Instant>) -> Result<IncomingStream, AcceptStreamError> {
        let mut state = self.shared.lock();
        loop {
            if let Some(stream) = state.incoming.pop_front() {
                readiness::tell(state, || self.shared.lock());
                return Ok(stream);
            }
            if state.stop {
                return Err(AcceptStreamError::Stopped);
            }
            state = match deadline {
                None => unpoisoned(self.shared.changed.wait(state)),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        readiness::tell(state, || self.shared.lock());
                        return Err(AcceptStreamError::Timeout);
                    }
                    unpoisoned(self.shared.changed.wait_timeout(state, left)).0
                }
            };
        }
    }

    /// Lets a stream with this id be opened that is as it is announced: a [`FrameFormat`] or more ([`Announcement`]). Needed under [`Admission::Announced`]; bounded by four times
    /// the number of streams.
    ///
    /// Where this receiver shares its streams ([`ReceiverConfig::share`]), returns what a sender on this machine is to know to bring the stream by
    /// shared memory ([`SenderConfig::share`](crate::SenderConfig::share)): for that sender alone. What an earlier call has returned for the stream counts no more.
    ///
    /// # Errors
    /// As many streams are announced as may be, the stream needs more memory than it may have, or it has no key where it needs one.
    pub fn announce(
        &self,
        stream: u32,
        announced: impl Into<Announcement>,
    ) -> Result<Option<Invitation>, AnnounceError> {
        let announced = announced.into();
        let format = announced.format;
        let config = &self.shared.config;
        // The format was checked: a frame fits 32 bits. With the smallest slices: those that come need not be larger.
        let frame_bytes = u32::try_from(format.frame_bytes().saturating_add(TAIL_MAX)).unwrap_or(u32::MAX);
        let bytes = stream_bytes(&Cut::with_tags(frame_bytes, SLICE_BYTES_MIN), 0, self.shared.pool_slots().base)
            .unwrap_or(usize::MAX);
        if bytes > config.stream_bytes_max {
            return Err(AnnounceError::StreamMemory { bytes, limit: config.stream_bytes_max });
        }
        if bytes > config.memory_bytes_max {
            return Err(AnnounceError::Memory { bytes, limit: config.memory_bytes_max });
        }
        let has_key = announced.key.is_some() || !config.keys.is_empty();
        let address = self.shared.local;
        config.protection.decide(has_key, address).map_err(|why| match why {
            Undecided::Unprotected => AnnounceError::Unprotected { address },
            Undecided::NoKey => AnnounceError::NoKey,
            Undecided::KeyUnused => AnnounceError::KeyUnused,
        })?;
        let mut state = self.shared.lock();
        let limit = config.streams_max.saturating_mul(4);
        if state.announced.len() >= limit && !state.announced.contains_key(&stream) {
            return Err(AnnounceError::TooMany { limit });
        }
        state.announced.insert(stream, announced);
        Ok(self.shared.shares.endpoint().and_then(|endpoint| {
            // Without a secret nobody is invited: datagrams are another way.
            let nonce = getrandom::u64().ok()?.max(1);
            state.nonces.insert(stream, nonce);
            Some(Invitation::new(endpoint, nonce))
        }))
    }

    /// Takes an announcement back; a stream that is open goes on.
    pub fn retract(&self, stream: u32) {
        let mut state = self.shared.lock();
        state.announced.remove(&stream);
        state.nonces.remove(&stream);
    }

    /// Takes an announcement back, and ends the stream if it is open.
    pub fn withdraw(&self, stream: u32) {
        self.shared.lock().withdraw(stream);
        self.shared.opening.notify_one();
    }

    /// Of these streams, withdraws the one whose sender has said nothing for the longest time, if that is a second or more, and returns
    /// it: a sender says something four times a second. `None` too where no sender is heard at all: then it is this process that
    /// was stopped.
    pub fn withdraw_silent(&self, streams: &[u32]) -> Option<u32> {
        let mut state = self.shared.lock();
        let is_meant = |place: usize| streams.contains(&state.streams[place].open.stream);
        let place = least_needed_of(standings(&state.streams, self.shared.pool_slots().base), is_meant, Time::now())?;
        let silent = &state.streams[place];
        silent.lock().ended.get_or_insert(EndReason::Silent);
        let stream = silent.open.stream;
        state.withdraw(stream);
        drop(state);
        self.shared.opening.notify_one();
        Some(stream)
    }

    /// Stops listening and ends every stream: their consumers take what is waiting, and then learn of the end.
    pub fn stop(&self) {
        let mut state = self.shared.lock();
        state.stop = true;
        for stream in &state.streams {
            stream.abandon();
        }
        let readiness = state.raised.raise();
        drop(state);
        if let Some(readiness) = readiness {
            readiness.raise();
        }
        self.shared.changed.notify_all();
        self.shared.shares.end();
        self.shared.opening.notify_all();
        self.shared.waker.wake();
    }

    /// Bytes of [`ReceiverConfig::memory_bytes_max`] that streams have at present, those that are being opened too.
    pub fn memory_bytes(&self) -> usize {
        self.shared.budget.reserved()
    }

    /// What the listening socket has seen so far.
    pub fn stats(&self) -> ListenerStats {
        self.shared.lock().stats
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the listening thread panicked");
        }
    }
}
