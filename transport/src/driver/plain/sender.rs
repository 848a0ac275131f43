//! The sending end: a frame goes out piece by piece, as the far end acknowledges them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::BUFFER_BYTES;
use crate::backend::{Backend, BackendConfig, BackendKind, ConnectedSocket, SendBatch, Waker, wait};
use crate::driver::backend_thread::{self, replace};
use crate::driver::errors::{Remedy, Trouble, remedy};
use crate::driver::rebind::{Look, Rebind};
use crate::driver::sender::{ConnectError, NotSent, SendError, check_frame};
use crate::frame::{Frame, FrameFormat, FrameMut, FramePool};
use crate::setters;
use crate::time::Time;
use crate::unpoisoned::unpoisoned;
use crate::wire::DATAGRAM_MAX;
use crate::wire::plain::{PIECE_BYTES, piece, piece_count};

/// Datagrams on their way without an acknowledgement: what the system's default receive buffer holds.
const UNACKNOWLEDGED_MAX: u64 = 2;
/// A far end that has acknowledged nothing for this long is not waited for any more.
const ACKNOWLEDGEMENT_WAIT: Duration = Duration::from_secs(1);
/// How long datagrams wait for a socket that fails; then they are lost.
const BATCH_PATIENCE: Duration = Duration::from_millis(30);
/// Between datagrams towards a far end that acknowledges nothing, so that its socket buffer is not overrun.
const UNACKNOWLEDGED_GAP: Duration = Duration::from_micros(500);

/// What a plain sender is told when it is made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PlainSenderConfig {
    /// The format of every frame; the far end must know it.
    pub format: FrameFormat,
    /// Slots of the pool, 1 to 64, 2 by default: one being written, one on its way.
    pub slots: usize,
    /// What moves the datagrams; [`BackendKind::Auto`] by default.
    pub backend: BackendKind,
}

impl PlainSenderConfig {
    /// The defaults for frames of a format.
    pub fn new(format: FrameFormat) -> Self {
        Self { format, slots: 2, backend: BackendKind::Auto }
    }

    setters! {
        format: FrameFormat,
        slots: usize,
        backend: BackendKind,
    }
}

/// Sends frames as the client of the system that Framewire began as does: in pieces of 65,507 bytes without a head. Nothing is repaired, and
/// the far end must know the format; between two ends of this release use [`Sender`](crate::Sender).
pub struct PlainSender {
    /// `None` only while the sender is dropped, which ends the thread.
    jobs: Option<Mutex<Jobs>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<PlainSendShared>,
    pool: FramePool,
    format: FrameFormat,
    peer: SocketAddr,
    kind: BackendKind,
}

/// One frame at a time to the sending thread, and what became of it back.
struct Jobs {
    frames: SyncSender<Frame>,
    results: Receiver<Result<u64, SendError>>,
}

#[derive(Default)]
struct PlainSendShared {
    flow: Mutex<Flow>,
    acknowledged: Condvar,
}

#[derive(Debug, Default)]
struct Flow {
    sent: u64,
    /// Acknowledged, or written off.
    acknowledged: u64,
    /// Taken for lost, for want of an acknowledgement.
    written_off: u64,
    /// The far end acknowledges nothing: frames are spaced instead.
    deaf: bool,
}

impl PlainSendShared {
    fn lock(&self) -> MutexGuard<'_, Flow> {
        unpoisoned(self.flow.lock())
    }
}

impl PlainSender {
    /// Bytes of every datagram of a frame but its last: 65,507, the largest UDP payload over IPv4, as the original system has it.
    pub const DATAGRAM_BYTES: u16 = PIECE_BYTES as u16;

    /// Makes a sender. Nothing is said to the far end before the first frame.
    ///
    /// # Errors
    /// No memory, socket or thread.
    pub fn connect(peer: SocketAddr, config: &PlainSenderConfig) -> Result<Self, ConnectError> {
        if config.format.is_variable() {
            return Err(ConnectError::LengthsDiffer(config.format));
        }
        let socket = ConnectedSocket::connect(peer).map_err(|source| ConnectError::Socket { peer, source })?;
        prepare(&socket);
        // Without room for metadata, which this wire does not carry.
        let pool = FramePool::new(config.slots, config.format.frame_bytes())?.with_format(config.format, 0);
        let waker = Waker::new().map_err(ConnectError::System)?;
        let shared = Arc::new(PlainSendShared::default());
        let (frames, incoming) = sync_channel::<Frame>(1);
        let (outgoing, results) = sync_channel(1);
        let pieces = piece_count(config.format.frame_bytes());
        let (kind, thread) = {
            let shared = shared.clone();
            let backend_config = BackendConfig::new(pieces, DATAGRAM_MAX);
            backend_thread::start("framewire-plain", config.backend, socket, backend_config, None, move |backend| {
                let mut sending = PlainSendLoop {
                    backend,
                    backend_config,
                    batch: SendBatch::new(pieces, 0),
                    peer,
                    waker,
                    shared,
                    frames: 0,
                    rebind: Rebind::new(peer),
                    trouble: Trouble::default(),
                };
                while let Ok(frame) = incoming.recv() {
                    let result = sending.send(&frame);
                    drop(frame);
                    if outgoing.send(result).is_err() {
                        break;
                    }
                }
            })
            .map_err(ConnectError::System)?
        };
        let jobs = Some(Mutex::new(Jobs { frames, results }));
        Ok(Self { jobs, thread: Some(thread), shared, pool, format: config.format, peer, kind })
    }

    /// A slot to write the next frame into, of the format's length; waits up to `timeout` for one. `None` where none came free.
    pub fn frame_timeout(&self, timeout: Duration) -> Option<FrameMut> {
        // The slots have the format's length.
        self.pool.acquire_timeout(timeout)
    }

    /// Sends a frame, piece by piece as the far end acknowledges them ([`PlainSender::acknowledge`]), and waits until it has left; returns
    /// its number. A far end that acknowledges nothing for 1 s is not waited for until it does.
    ///
    /// # Errors
    /// The frame itself where it has not the format's length or is another sender's; else as the system says.
    pub fn send(&self, frame: FrameMut) -> Result<u64, NotSent> {
        if let Err(error) = check_frame(&frame, &self.pool, &self.format) {
            return Err(NotSent::new(error, frame));
        }
        self.send_pieces(frame.freeze()).map_err(|error| NotSent { error, frame: None })
    }

    fn send_pieces(&self, frame: Frame) -> Result<u64, SendError> {
        let jobs = self.jobs.as_ref().ok_or(SendError::Closed)?;
        let jobs = unpoisoned(jobs.lock());
        let panicked = || {
            let message = "the sending thread has panicked; make a new sender".into();
            SendError::Failed { peer: self.peer, message }
        };
        jobs.frames.send(frame).map_err(|_| panicked())?;
        jobs.results.recv().map_err(|_| panicked())?
    }

    /// The far end has acknowledged `datagrams` more (one `feedback` each).
    pub fn acknowledge(&self, datagrams: u64) {
        let mut flow = self.shared.lock();
        // One that comes after its datagram was written off makes up for it.
        let awaited = datagrams.min(flow.sent - flow.acknowledged);
        flow.acknowledged += awaited;
        flow.written_off -= (datagrams - awaited).min(flow.written_off);
        flow.deaf = false;
        drop(flow);
        self.shared.acknowledged.notify_all();
    }

    /// Waits until everything sent is acknowledged; false where `deadline` comes first.
    pub fn wait_until_acknowledged(&self, deadline: Instant) -> bool {
        let mut flow = self.shared.lock();
        while flow.acknowledged < flow.sent {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            flow = unpoisoned(self.shared.acknowledged.wait_timeout(flow, left)).0;
        }
        true
    }

    /// Datagrams that each frame takes, the one that ends it included: at least 1.
    pub fn datagrams_per_frame(&self) -> u64 {
        piece_count(self.format.frame_bytes()) as u64
    }

    /// Datagrams sent and acknowledged so far.
    pub fn datagrams(&self) -> (u64, u64) {
        let flow = self.shared.lock();
        (flow.sent, flow.acknowledged - flow.written_off)
    }

    /// What moves the datagrams.
    pub fn backend(&self) -> BackendKind {
        self.kind
    }
}

impl Drop for PlainSender {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sending thread panicked");
        }
    }
}

/// Sets a sender's socket up.
fn prepare(socket: &ConnectedSocket) {
    // The pieces have their size whatever the path carries: beyond loopback they travel as fragments.
    socket.allow_fragments();
    let _ = socket.set_send_buffer(BUFFER_BYTES);
}

struct PlainSendLoop {
    backend: Box<dyn Backend>,
    backend_config: BackendConfig,
    batch: SendBatch,
    peer: SocketAddr,
    waker: Waker,
    shared: Arc<PlainSendShared>,
    frames: u64,
    rebind: Rebind,
    trouble: Trouble,
}

impl PlainSendLoop {
    fn send(&mut self, frame: &Frame) -> Result<u64, SendError> {
        let pieces = piece_count(frame.len());
        let mut next = 0;
        while next < pieces {
            let allowed = self.wait_for_room();
            self.batch.clear();
            let end = pieces.min(next + allowed);
            for index in next..end {
                let pushed = self.batch.push(frame, piece(frame.len(), index), |_| {});
                pushed.map_err(|error| self.failed(&io::Error::other(error)))?;
            }
            // Before they leave: an acknowledgement may come back sooner than the call.
            self.shared.lock().sent += (end - next) as u64;
            next = end;
            self.send_batch()?;
        }
        self.batch.clear();
        let number = self.frames;
        self.frames += 1;
        Ok(number)
    }

    /// How many pieces may go out now, at least one.
    fn wait_for_room(&self) -> usize {
        let mut flow = self.shared.lock();
        let deadline = Instant::now() + ACKNOWLEDGEMENT_WAIT;
        while !flow.deaf && flow.sent - flow.acknowledged >= UNACKNOWLEDGED_MAX {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::warn!(
                    peer = %self.peer,
                    "{} datagrams were not acknowledged within {ACKNOWLEDGEMENT_WAIT:?}; they are taken for lost",
                    flow.sent - flow.acknowledged
                );
                flow.written_off += flow.sent - flow.acknowledged;
                flow.acknowledged = flow.sent;
                // Until the next acknowledgement, frames are spaced instead.
                flow.deaf = true;
                break;
            }
            flow = unpoisoned(self.shared.acknowledged.wait_timeout(flow, left)).0;
        }
        if flow.deaf {
            drop(flow);
            // Pacing, not waiting for something: there is nothing to wait for.
            std::thread::sleep(UNACKNOWLEDGED_GAP);
            return 1;
        }
        let room = (UNACKNOWLEDGED_MAX - (flow.sent - flow.acknowledged)).max(1);
        room as usize
    }

    /// Sends the batch, or as much of it as a socket that fails lets leave in a while: this wire repairs nothing.
    fn send_batch(&mut self) -> Result<(), SendError> {
        let (mut failures, mut waited) = (0, Duration::ZERO);
        while !self.batch.is_sent() {
            let Err(error) = self.backend.send(&mut self.batch) else {
                failures = 0;
                continue;
            };
            let remedy = remedy(&error);
            failures += 1;
            match remedy {
                Remedy::Wait => {
                    failures = 0;
                    let socket = self.backend.socket().as_fd();
                    let polled = wait(socket, true, &self.waker, Duration::from_millis(100), Duration::ZERO);
                    polled.map_err(|error| self.failed(&error))?;
                }
                Remedy::Fatal => return Err(self.failed(&error)),
                // Said of an earlier datagram, most likely: nobody was listening then. The original does not care either.
                _ if failures < remedy.tries() => {}
                remedy => {
                    if let Some(times) = self.trouble.tell(Time::now()) {
                        tracing::warn!(peer = %self.peer, %error, times, "datagrams cannot be sent at present, and are lost");
                    }
                    self.rebind.note(remedy);
                    self.look();
                    let pause = self.trouble.pause();
                    self.waker.sleep(pause);
                    waited += pause;
                    if waited >= BATCH_PATIENCE {
                        return Ok(());
                    }
                }
            }
        }
        self.trouble.end();
        Ok(())
    }

    /// Goes on with another socket where this end has another address by now.
    fn look(&mut self) {
        let now = Time::now();
        // Nothing is heard here: only errors tell.
        if !self.rebind.is_wanted() || now < self.rebind.poll_timeout(Some(now)) {
            return;
        }
        if let Look::Other(socket) = self.rebind.look(self.backend.socket(), now) {
            tracing::info!(peer = %self.peer, "this end speaks from another address");
            prepare(&socket);
            replace(&mut self.backend, socket, &self.backend_config);
        }
    }

    fn failed(&self, error: &io::Error) -> SendError {
        SendError::Failed { peer: self.peer, message: format!("{error}; check the address and the network") }
    }
}
