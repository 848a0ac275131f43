//! The sending end as a program uses it.

use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::send_loop;
use super::threads::ThreadConfig;
use crate::backend::{BackendKind, ConnectedSocket, Waker, headers_bytes};
use crate::clock::clock_id;
use crate::frame::{FrameFormat, FrameMut, FramePool, PoolError, Presentation};
use crate::random::random_u32;
use crate::send::{
    ClosedReport, Fec, LinkBudget, REPORTED_BYTES_MIN, SendConfig, SendState, SendStats, SendStream, slots_ready,
};
use crate::time::Time;
use crate::wire::{DATAGRAM_MAX, Delivery, RefuseReason, SLICE_BYTES_MIN, SLICE_HEADER_LEN, VERSION};

/// How large a slice is, header included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SliceSize {
    /// The largest that the path carries unfragmented: 65,507 bytes on loopback, 1,472 on Ethernet. Begins with the MTU of
    /// the route; a datagram of that size must have arrived before slices are sent. They become smaller where the path
    /// turns out to be, or becomes, narrower, and within a minute larger again, up to what they began with, where it is wide again.
    #[default]
    Auto,
    /// This many bytes, 548 to 65,507.
    Bytes(u16),
}

/// What slices have no such size.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a slice has {SLICE_BYTES_MIN} to {DATAGRAM_MAX} bytes, or 'auto'; not '{0}'")]
pub struct SliceSizeError(String);

impl FromStr for SliceSize {
    type Err = SliceSizeError;

    fn from_str(text: &str) -> Result<Self, SliceSizeError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let range = SLICE_BYTES_MIN..=DATAGRAM_MAX;
        match text.parse::<usize>() {
            Ok(bytes) if range.contains(&bytes) => Ok(Self::Bytes(bytes as u16)),
            _ => Err(SliceSizeError(text.chars().take(40).collect())),
        }
    }
}

/// What a sender is told when it is made.
#[derive(Debug, Clone)]
pub struct SenderConfig {
    /// The format of every frame.
    pub format: FrameFormat,
    /// Whether frames wait for credit (`every`) or are replaced by newer ones (`latest`, the default).
    pub delivery: Delivery,
    /// Slice size; by default what the path carries.
    pub slice: SliceSize,
    /// What the source says of its pictures: their rate, shape, range. By default nothing.
    pub presentation: Presentation,
    /// Whether frames come at the presentation's rate, where it has one (the default). In `latest` the receiver then gives a frame up
    /// after the time from one to the next. Otherwise frames come as they come, as when a film is sent faster than it is shown.
    pub paced: bool,
    /// Whether frames have parity slices; by default where it pays, and never on loopback, which loses nothing.
    pub fec: Fec,
    /// The rate of the link, shared by all senders that have a clone of this; by default none. Without it, frames that the
    /// receiver's socket buffer takes leave as fast as the system sends.
    pub link: Option<LinkBudget>,
    /// In `latest`, how long the receiver repairs a frame after its newest slice; zero (the default) for the interval, at least
    /// 20 ms.
    pub deadline: Duration,
    /// The most slots that the sender's pool uses: frames being written, waiting, or on their way, 8 by default, 1 to 64. As few of
    /// them as the round trip allows are used, because each one more is memory that is not in cache when it is sent: 2 while it
    /// is short (more where frames are small), and one more for each frame that leaves within it. A slot takes memory when it is
    /// first used, and keeps it. In `latest` with an interval, 8 slots carry every frame over round trips of six intervals.
    pub slots: usize,
    /// How long dropping the sender may take at most, to have the frames that it took arrive and the stream closed; 2 s by
    /// default. With zero it is dropped at once, what has not left is lost, and the receiver learns of the end by silence. A
    /// sender that was told to close ([`Sender::close`]) has had its time and is dropped at once, as is one that has
    /// failed, or was refused.
    pub linger: Duration,
    /// What moves the datagrams.
    pub backend: BackendKind,
    /// Let slices leave in trains where the socket can (the default): a fraction of the work for small slices.
    pub trains: bool,
    /// With the `uring` backend, have a thread of the kernel look for slices to send, so that no system call is made for
    /// them; off by default, since it keeps a core busy while frames flow.
    pub sqpoll: bool,
    /// How the sending thread runs.
    pub threads: ThreadConfig,
    /// The stream's id; by default a random one. A receiver that only takes announced streams must know it.
    pub stream: Option<u32>,
}

impl SenderConfig {
    /// The defaults for frames of a format.
    pub fn new(format: FrameFormat) -> Self {
        Self {
            format,
            delivery: Delivery::Latest,
            slice: SliceSize::Auto,
            presentation: Presentation::UNKNOWN,
            paced: true,
            fec: Fec::Auto,
            link: None,
            deadline: Duration::ZERO,
            slots: 8,
            linger: Duration::from_secs(2),
            backend: BackendKind::Auto,
            trains: true,
            sqpoll: false,
            threads: ThreadConfig::default(),
            stream: None,
        }
    }
}

/// Why a sender could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No memory for the slots.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// Slices of a size that cannot be.
    #[error("slices of {0} bytes cannot be; use {SLICE_BYTES_MIN} to {DATAGRAM_MAX}")]
    SliceBytes(u16),
    /// No socket towards the address.
    #[error("no UDP socket towards {peer}: {source}; check the address and the network")]
    Socket {
        /// Where to.
        peer: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No thread or wake-up descriptor.
    #[error("the system refused a thread or descriptor for the sender: {0}; check the process's limits")]
    System(io::Error),
}

/// Why a frame could not be sent, or the stream not be closed in order.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The system refuses the datagrams for good: a size was asked for that the path does not carry. What passes by itself, a
    /// firewall's rule, an interface that is down, an address that changes, is waited for instead.
    #[error("sending to {peer} failed: {message}")]
    Failed {
        /// Where to.
        peer: SocketAddr,
        /// What happened and what to do.
        message: String,
    },
    /// The receiver does not open the stream.
    #[error("the receiver at {peer} refuses the stream: {}", refusal(*reason, *limit))]
    Refused {
        /// Where to.
        peer: SocketAddr,
        /// Why, where this version knows the reason.
        reason: Option<RefuseReason>,
        /// The limit that was hit, if any.
        limit: u64,
    },
    /// The far end has not confirmed in time.
    #[error(
        "the receiver at {peer} did not answer within {waited:?}; is it running, and does the network carry UDP to it?"
    )]
    Unanswered {
        /// Where to.
        peer: SocketAddr,
        /// How long was waited.
        waited: Duration,
    },
    /// The stream has been closed.
    #[error("the stream has been closed")]
    Closed,
    /// The frame has not the length of the stream's format.
    #[error("a frame of {bytes} bytes is none of {format}, which has {}; fill the whole frame", format.frame_bytes())]
    Length {
        /// Bytes of the frame.
        bytes: usize,
        /// What the stream sends.
        format: FrameFormat,
    },
    /// The frame's memory is not this sender's.
    #[error("the frame is of another sender; write it into one that this sender's `frame` gave")]
    Foreign,
}

/// A frame was not sent: why, and the frame itself, which can be sent again or written anew.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct NotSent {
    /// Why.
    pub error: SendError,
    /// The frame; `None` where a part of it has left.
    pub frame: Option<Box<FrameMut>>,
}

impl NotSent {
    pub(super) fn new(error: SendError, frame: FrameMut) -> Self {
        Self { error, frame: Some(Box::new(frame)) }
    }
}

impl From<NotSent> for SendError {
    fn from(not_sent: NotSent) -> Self {
        not_sent.error
    }
}

/// Whether a frame is one of this pool, with the length of the format.
pub(super) fn check_frame(frame: &FrameMut, pool: &FramePool, format: &FrameFormat) -> Result<(), SendError> {
    if !frame.is_of(pool) {
        return Err(SendError::Foreign);
    }
    if frame.len() != format.frame_bytes() {
        return Err(SendError::Length { bytes: frame.len(), format: *format });
    }
    Ok(())
}

fn refusal(reason: Option<RefuseReason>, limit: u64) -> String {
    match reason {
        Some(RefuseReason::Unknown) => "it was not announced there; open it over Socket.IO first".into(),
        Some(RefuseReason::TooManyStreams) => {
            format!("it has {limit} streams, its limit; close one or raise the limit")
        }
        Some(RefuseReason::FrameTooLarge) => format!(
            "its frames need more memory than the {limit} bytes that one stream may have there (--stream-memory); send \
             smaller frames or raise the limit"
        ),
        Some(RefuseReason::Memory) => format!(
            "its frames need more memory than is left of the {limit} bytes that all streams together may have there \
             (--memory); close a stream, send smaller frames or raise the limit"
        ),
        Some(RefuseReason::Format) => "the format is not the one it was announced or opened with".into(),
        Some(RefuseReason::Version) => {
            format!("the far end speaks version {limit}, this is {VERSION}; use the same release on both sides")
        }
        Some(RefuseReason::Resources) if limit > 0 => format!(
            "its process may have {limit} files open and has (RLIMIT_NOFILE); raise that limit there: ulimit -n, or LimitNOFILE= of \
             its service"
        ),
        Some(RefuseReason::Resources) => "it has no memory or socket left for it; free some there".into(),
        None => "for a reason this version does not know; use the same release at both ends".into(),
    }
}

/// Sends the frames of one stream to one receiver. Opens the stream by itself, and again after the receiver was gone.
pub struct Sender {
    shared: Arc<SenderShared>,
    pool: FramePool,
    format: FrameFormat,
    info: SenderInfo,
    linger: Duration,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy)]
struct SenderInfo {
    stream: u32,
    backend: BackendKind,
}

/// What the program's threads and the sending thread share.
pub(super) struct SenderShared {
    pub(super) core: Mutex<SenderCore>,
    changed: Condvar,
    pub(super) waker: Waker,
    /// The sending thread sleeps, or is about to: it must be woken.
    pub(super) asleep: AtomicBool,
}

pub(super) struct SenderCore {
    pub(super) stream: SendStream,
    pub(super) peer: SocketAddr,
    /// Set by [`Sender::redirect`], taken by the sending thread.
    pub(super) redirect: Option<SocketAddr>,
    pub(super) failure: Option<SendError>,
    pub(super) stop: bool,
    /// Threads that wait for `changed`: without one, a change need not be told.
    waiting: usize,
}

impl SenderShared {
    pub(super) fn lock(&self) -> MutexGuard<'_, SenderCore> {
        self.core.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Gives the core back and tells of changes to it, if anybody waits for one: a call a batch is saved.
    pub(super) fn unlock(&self, core: MutexGuard<'_, SenderCore>) {
        let somebody_waits = core.waiting > 0;
        drop(core);
        if somebody_waits {
            self.changed.notify_all();
        }
    }

    fn wait_for_change<'a>(
        &self,
        mut core: MutexGuard<'a, SenderCore>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, SenderCore> {
        core.waiting += 1;
        let mut core = match timeout {
            None => self.changed.wait(core).unwrap_or_else(|poisoned| poisoned.into_inner()),
            Some(timeout) => {
                self.changed.wait_timeout(core, timeout).unwrap_or_else(|poisoned| poisoned.into_inner()).0
            }
        };
        core.waiting -= 1;
        core
    }

    fn wake(&self) {
        if self.asleep.swap(false, Ordering::AcqRel) {
            self.waker.wake();
        }
    }
}

impl Sender {
    /// Makes a sender and begins to open the stream; returns before it is open.
    ///
    /// # Errors
    /// A number of the configuration is out of range; no memory, socket or thread.
    pub fn connect(peer: SocketAddr, config: SenderConfig) -> Result<Self, ConnectError> {
        if let SliceSize::Bytes(bytes) = config.slice
            && !(SLICE_BYTES_MIN..=DATAGRAM_MAX).contains(&usize::from(bytes))
        {
            return Err(ConnectError::SliceBytes(bytes));
        }
        let socket = ConnectedSocket::connect(peer).map_err(|source| ConnectError::Socket { peer, source })?;
        let slice_bytes = match config.slice {
            // The system may know the path from a report, which may be forged.
            SliceSize::Auto => socket.path_datagram_bytes().max(usize::from(REPORTED_BYTES_MIN)),
            SliceSize::Bytes(bytes) => usize::from(bytes),
        };
        // No slice is longer than a whole frame. At most DATAGRAM_MAX, which fits.
        let longest = SLICE_HEADER_LEN + config.format.frame_bytes();
        let slice_bytes = slice_bytes.min(longest).clamp(SLICE_BYTES_MIN, DATAGRAM_MAX) as u16;
        let frame_bytes = config.format.frame_bytes();
        let pool = FramePool::with_spares(config.slots, slots_ready(frame_bytes), frame_bytes)?;
        let stream = config.stream.unwrap_or_else(random_u32);
        let fec = match config.fec {
            Fec::Auto if peer.ip().is_loopback() => Fec::Off,
            fec => fec,
        };
        let mut core = SendStream::new(
            SendConfig {
                stream,
                epoch: random_u32(),
                format: config.format,
                delivery: config.delivery,
                slice_bytes,
                // At most 48.
                headers_bytes: headers_bytes(peer) as u16,
                slice_is_fixed: config.slice != SliceSize::Auto,
                fec,
                presentation: config.presentation,
                paced: config.paced,
                deadline: config.deadline,
                spreads: !peer.ip().is_loopback(),
                clock_id: clock_id(stream),
            },
            Time::now(),
        );
        if let Some(link) = &config.link {
            core.set_link(link.clone());
        }
        let shared = Arc::new(SenderShared {
            core: Mutex::new(SenderCore { stream: core, peer, redirect: None, failure: None, stop: false, waiting: 0 }),
            changed: Condvar::new(),
            waker: Waker::new().map_err(ConnectError::System)?,
            asleep: AtomicBool::new(false),
        });
        let (backend, thread) =
            send_loop::start(socket, &config, slice_bytes, shared.clone()).map_err(ConnectError::System)?;
        tracing::debug!(%peer, stream, slice_bytes, %backend, "sender started");
        let info = SenderInfo { stream, backend };
        Ok(Self { shared, pool, format: config.format, info, linger: config.linger, thread: Some(thread) })
    }

    /// A slot to write the next frame into, of the format's length; waits for one. In `latest`, frames that have not
    /// begun to leave are dropped for it, and counted as skipped.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub fn frame(&self) -> Result<FrameMut, SendError> {
        loop {
            if let Some(frame) = self.frame_timeout(Duration::from_secs(1))? {
                return Ok(frame);
            }
        }
    }

    /// As [`Sender::frame`], but waits at most `timeout`; then `None`. A camera that has waited for its interval calls
    /// [`Sender::skip`] for the picture it could not keep.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub fn frame_timeout(&self, timeout: Duration) -> Result<Option<FrameMut>, SendError> {
        let frame = match self.pool.try_acquire() {
            Some(frame) => Some(frame),
            None => {
                let wanted = self.shared.lock().stream.slots_wanted(self.pool.held_count());
                self.pool.set_usable(wanted);
                self.pool.try_acquire().or_else(|| {
                    self.shared.lock().stream.drop_replaceable();
                    self.pool.acquire_timeout(timeout)
                })
            }
        };
        self.check_failure()?;
        // Its slots have the format's length.
        Ok(frame)
    }

    /// Sends a frame that [`Sender::frame`] gave; returns its number as soon as it is queued.
    ///
    /// # Errors
    /// The frame itself, with the reason: the stream cannot go on, or the frame has not the format's length, or is another
    /// sender's.
    pub fn send(&self, mut frame: FrameMut) -> Result<u64, NotSent> {
        if let Err(error) = check_frame(&frame, &self.pool, &self.format) {
            return Err(NotSent::new(error, frame));
        }
        let now = Time::now();
        if frame.info.captured == Time::ZERO {
            frame.info.captured = now;
        }
        let mut core = self.shared.lock();
        loop {
            let failure = if core.stream.is_closing() { Some(SendError::Closed) } else { core.failure.clone() };
            if let Some(error) = failure {
                return Err(NotSent::new(error, frame));
            }
            // Anew each time: another thread may have sent one meanwhile.
            let number = core.stream.next_number();
            frame.info.number = number;
            let Err(back) = core.stream.handle_frame(frame.freeze(), now) else {
                drop(core);
                self.shared.wake();
                return Ok(number);
            };
            let Some(back) = back.into_mut() else { return Err(NotSent { error: SendError::Closed, frame: None }) };
            frame = back;
            core = self.shared.wait_for_change(core, None);
        }
    }

    /// Counts a frame that the source had no slot for: it gets a number, and the receiver learns of it.
    pub fn skip(&self) {
        self.shared.lock().stream.skip_frame();
    }

    /// Waits until the stream is open.
    ///
    /// # Errors
    /// Refused, or not answered within `timeout`. The sender goes on trying all the same.
    pub fn wait_until_open(&self, timeout: Duration) -> Result<(), SendError> {
        self.wait_for(timeout, |core| match core.stream.state() {
            SendState::Open | SendState::Closed(_) => Some(Ok(())),
            SendState::Refused { reason, limit } => Some(Err(SendError::Refused { peer: core.peer, reason, limit })),
            SendState::Opening { .. } => None,
        })
    }

    /// Waits until every frame sent so far is settled at the receiver.
    ///
    /// # Errors
    /// Not settled within `timeout`, or the stream cannot go on.
    pub fn wait_until_settled(&self, timeout: Duration) -> Result<(), SendError> {
        self.wait_for(timeout, |core| core.stream.is_settled().then_some(Ok(())))
    }

    /// Closes the stream once every frame is settled, and says what became of them. The sender's own counters are in
    /// the statistics returned with it.
    ///
    /// # Errors
    /// The receiver has not confirmed within `timeout`, or the stream cannot go on.
    pub fn finish(self, timeout: Duration) -> Result<ClosedReport, SendError> {
        self.close(timeout)
    }

    /// As [`Sender::finish`], and the sender can still be asked for its counters afterwards.
    ///
    /// # Errors
    /// As [`Sender::finish`].
    pub fn close(&self, timeout: Duration) -> Result<ClosedReport, SendError> {
        self.shared.lock().stream.close(Time::now());
        self.shared.wake();
        self.wait_for(timeout, |core| match core.stream.state() {
            SendState::Closed(report) => Some(Ok(report)),
            SendState::Refused { reason, limit } => Some(Err(SendError::Refused { peer: core.peer, reason, limit })),
            _ => None,
        })
    }

    fn wait_for<T>(
        &self,
        timeout: Duration,
        done: impl Fn(&SenderCore) -> Option<Result<T, SendError>>,
    ) -> Result<T, SendError> {
        // A time that no clock will show: without end.
        let deadline = Instant::now().checked_add(timeout);
        let mut core = self.shared.lock();
        loop {
            if let Some(result) = done(&core) {
                return result;
            }
            if let Some(failure) = &core.failure {
                return Err(failure.clone());
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(SendError::Unanswered { peer: core.peer, waited: timeout });
            }
            core = self.shared.wait_for_change(core, left);
        }
    }

    fn check_failure(&self) -> Result<(), SendError> {
        match &self.shared.lock().failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    /// The receiver is ready at this address: sends there from now on, and asks at once where the stream is not open. It does so
    /// from the address that this machine has towards it by now, with a new socket where that is another one than before.
    pub fn redirect(&self, peer: SocketAddr) {
        self.shared.lock().redirect = Some(peer);
        self.shared.wake();
    }

    /// Where the stream stands.
    pub fn state(&self) -> SendState {
        self.shared.lock().stream.state()
    }

    /// What has happened so far.
    pub fn stats(&self) -> SendStats {
        *self.shared.lock().stream.stats()
    }

    /// The shortest round trip of late.
    pub fn round_trip(&self) -> Duration {
        self.shared.lock().stream.round_trip()
    }

    /// The stream's id.
    pub fn stream(&self) -> u32 {
        self.info.stream
    }

    /// Bytes of a slice, header included. With [`SliceSize::Auto`] they become fewer where the path turns out not to carry
    /// so many, and more again where it does.
    pub fn slice_bytes(&self) -> u16 {
        self.shared.lock().stream.slice_bytes()
    }

    /// What moves the datagrams.
    pub fn backend(&self) -> BackendKind {
        self.info.backend
    }

    /// The format of every frame.
    pub fn format(&self) -> &FrameFormat {
        &self.format
    }
}

impl Sender {
    /// Has what was sent arrive and the stream closed, as far as that is possible in the time there is.
    fn flush(&self) {
        let mut core = self.shared.lock();
        let has_something_to_say = match core.stream.state() {
            SendState::Open => true,
            SendState::Opening { .. } => core.stream.next_number() > 0,
            SendState::Refused { .. } | SendState::Closed(_) => false,
        };
        if self.linger.is_zero() || !has_something_to_say || core.stream.is_closing() || core.failure.is_some() {
            return;
        }
        core.stream.close(Time::now());
        drop(core);
        self.shared.wake();
        let closed = self.wait_for(self.linger, |core| match core.stream.state() {
            SendState::Closed(_) | SendState::Refused { .. } => Some(Ok(())),
            _ => None,
        });
        if let Err(error) = closed {
            tracing::warn!(stream = self.info.stream, %error, "a sender was dropped before its stream was closed");
        }
    }
}

/// Waits, at most [`SenderConfig::linger`], until the frames that were sent have arrived and the stream is closed.
impl Drop for Sender {
    fn drop(&mut self) {
        self.flush();
        self.shared.lock().stop = true;
        self.shared.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sending thread panicked");
        }
    }
}
