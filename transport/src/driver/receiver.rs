//! The receiving end as a program uses it.

mod config;
mod error;
mod shared;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use self::config::ReceiverConfig;
pub use self::error::{AcceptStreamError, AnnounceError, BindError};
pub use self::shared::ListenerStats;
pub(super) use self::shared::{ReceiverShared, ReceiverState};
use super::incoming::IncomingStream;
use super::listener::{Listener, standings};
use super::opening::{Announcement, Budget, least_needed_of, stream_bytes};
use super::protection::Undecided;
use super::sharing::Shares;
use crate::backend::Waker;
use crate::backend::listening::ListeningSocket;
use crate::frame::TAIL_MAX;
use crate::frame::readiness::{self, Readiness};
use crate::receive::EndReason;
use crate::share::{Invitation, ShareConfig, ShareError};
use crate::time::Time;
use crate::unpoisoned::unpoisoned;
use crate::wire::{Cut, SLICE_BYTES_MIN};

/// Receives the streams that senders open towards one UDP address: [`bind`](Self::bind), then [`accept`](Self::accept) for each stream. It has a
/// thread of its own that listens and one more for each stream; [`stop`](Self::stop) or dropping it ends them and all streams.
pub struct Receiver {
    shared: Arc<ReceiverShared>,
    thread: Option<JoinHandle<()>>,
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

    /// Lets a stream with this id be opened that is as it is announced: a [`FrameFormat`](crate::FrameFormat) or more ([`Announcement`]). Needed under [`Admission::Announced`](crate::Admission::Announced); bounded by four times
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
