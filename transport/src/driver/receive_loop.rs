//! The receiving thread of one stream: has datagrams land, runs the protocol, hands frames to the ring.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;

use super::backend_thread::{self, reopen, replace};
use super::batch_datagrams;
use super::errors::{Remedy, Trouble, remedy};
use super::incoming::{IncomingStream, StreamInfo};
use super::opening::{Asked, Opening, Reservation};
use super::receiver::ReceiverShared;
use super::stream_shared::StreamShared;
use super::threads::ThreadConfig;
use crate::backend::{Backend, BackendConfig, ConnectedSocket, ReceiveBatch, Waker, wait};
use crate::clock::clock_id;
use crate::crypto::Suite;
use crate::frame::{ConsumerPolicy, FramePool, FrameRing, PoolError, TIME_BYTES};
use crate::receive::{
    AcceptError, CONTROL_MAX, EndReason, ReceiveConfig, ReceiveStream, StrayOpening, buffer_bytes_wanted,
};
use crate::time::Time;
use crate::wire::{Delivery, PathKind, TRAIN_SLICES_MAX};

/// How long a closed stream answers a sender that has not heard its answer.
const LINGER: Duration = Duration::from_secs(2);

/// Why a stream's thread could not be started.
#[derive(Debug, Error)]
pub(super) enum StartError {
    #[error("no UDP socket for it: {0}; {help}", help = crate::limit::remedy(.0).unwrap_or("check the network and this process's limits"))]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Accept(#[from] AcceptError),
}

pub(super) struct StartedStream {
    pub(super) incoming: IncomingStream,
    pub(super) thread: JoinHandle<()>,
}

/// Takes a socket for an admitted stream, whose memory is there, and starts its thread.
pub(super) fn start(
    opening: &Opening,
    pool: FramePool,
    reservation: Arc<Reservation>,
    receiver: &Arc<ReceiverShared>,
) -> Result<StartedStream, StartError> {
    let Opening { open, open_bytes, peer, local, .. } = *opening;
    let cut = opening.cut();
    let socket = ConnectedSocket::share_port(local, peer)?;
    let wanted = buffer_bytes_wanted(&cut);
    let buffer_bytes = socket.set_receive_buffer(wanted)?;
    let batch_max = batch_datagrams(&cut);
    // Slices may become smaller, and then come in trains.
    let batch_limit = batch_max.max(TRAIN_SLICES_MAX);
    let config = ReceiveConfig {
        open,
        sealed: opening.sealed.clone(),
        open_bytes,
        buffer_bytes,
        batch_max: batch_limit,
        partial: receiver.config.partial,
        clock_id: clock_id(open.stream),
    };
    let core = ReceiveStream::new(config, pool.clone(), Time::now())?;
    let pool = pool.with_format(*core.format(), 0);
    if buffer_bytes < wanted {
        tracing::warn!(
            "the system grants a receive buffer of {buffer_bytes} bytes where {wanted} would serve best; nothing is lost, but the \
             sender is held to {} slices in flight. To lift it: sysctl -w net.core.rmem_max={wanted}",
            core.window(),
        );
    }
    // Those that it has without readers: nobody else has any yet.
    let base = pool.usable_count();
    let waker = Arc::new(Waker::new()?);
    let starved = Arc::new(AtomicBool::new(false));
    {
        let (waker, starved) = (waker.clone(), starved.clone());
        pool.set_on_free(move || {
            if starved.swap(false, Ordering::AcqRel) {
                waker.wake();
            }
        });
    }
    let ring = FrameRing::new();
    let delivery = core.delivery();
    let policy = match delivery {
        Delivery::Every => ConsumerPolicy::Block,
        Delivery::Latest => receiver.config.latest_policy,
    };
    let consumer = ring.subscribe(policy);
    let backend_config = BackendConfig {
        receive_trains: receiver.config.trains,
        sqpoll: receiver.config.sqpoll,
        ..BackendConfig::new(batch_max, cut.slice_bytes())
    };
    let (format, presentation) = (*core.format(), *core.presentation());
    let protection = opening.sealed.as_ref().and_then(|sealed| sealed.suite());
    let shared = Arc::new(StreamShared::new(opening, waker));
    receiver.shares.share(&shared, (&pool, base), (delivery, PathKind::Udp), &receiver.budget, &ring);
    let (backend, thread) = {
        let (shared, receiver_shared) = (shared.clone(), receiver.clone());
        let ThreadConfig { busy_poll, cpus } = receiver.config.threads.clone();
        backend_thread::start(
            "framewire-recv",
            receiver.config.backend,
            socket,
            backend_config,
            cpus,
            move |backend| {
                let batch = ReceiveBatch::new(batch_max, cut.head_bytes());
                ReceiveLoop {
                    core,
                    backend,
                    peer,
                    local,
                    backend_config,
                    batch,
                    batch_limit,
                    busy_poll,
                    ring,
                    shared,
                    receiver: receiver_shared,
                    drops: SocketDrops::default(),
                    _reservation: reservation,
                    trouble: Trouble::default(),
                    pause: Duration::ZERO,
                    starved,
                }
                .run();
            },
        )?
    };
    let metadata_max = usize::from(open.tail_max).saturating_sub(TIME_BYTES);
    let info = StreamInfo {
        stream: open.stream,
        peer,
        format,
        delivery,
        metadata_max,
        presentation,
        buffer_bytes,
        backend,
        path: PathKind::Udp,
        protection,
    };
    tracing::info!(
        %peer, stream = info.stream, format = %info.format, delivery = delivery.name(), slice_bytes = open.slice_bytes, buffer_bytes,
        backend = %info.backend, protection = protection.map_or("none", Suite::name), "stream opened"
    );
    Ok(StartedStream { incoming: IncomingStream { info, consumer, shared }, thread })
}

struct ReceiveLoop {
    core: ReceiveStream,
    backend: Box<dyn Backend>,
    peer: SocketAddr,
    /// Which of this machine's addresses the sender speaks to.
    local: SocketAddr,
    backend_config: BackendConfig,
    batch: ReceiveBatch,
    /// The most datagrams that a batch may have.
    batch_limit: usize,
    busy_poll: Duration,
    ring: FrameRing,
    shared: Arc<StreamShared>,
    receiver: Arc<ReceiverShared>,
    drops: SocketDrops,
    /// Given back after the memory of `core`.
    _reservation: Arc<Reservation>,
    trouble: Trouble,
    /// How long to leave a socket alone that has failed.
    pause: Duration,
    /// Set while the sender may be waiting for a slot: whoever frees one wakes this thread.
    starved: Arc<AtomicBool>,
}

impl ReceiveLoop {
    fn run(mut self) {
        let mut leave_at = Time::MAX;
        loop {
            self.follow();
            let received = self.receive();
            let now = Time::now();
            self.core.end_batch(now);
            self.core.handle_timeout(now);
            if received == 0 {
                self.core.handle_idle(now);
            }
            self.count_drops(now);
            self.hand_on(now);
            if self.core.cut().slice_bytes() != self.backend_config.slice_bytes {
                self.fit_slices();
            }
            // A stream that was closed goes on answering its sender, who may not have heard it, whatever its consumers do.
            let lingers = self.core.ended() == Some(EndReason::Closed) && !self.shared.abandon.load(Ordering::Acquire);
            if self.shared.stop.load(Ordering::Acquire) && !lingers || now >= leave_at {
                break;
            }
            if let Some(reason) = self.core.ended()
                && leave_at == Time::MAX
            {
                self.end(reason);
                leave_at = match reason {
                    EndReason::Closed => now + LINGER,
                    EndReason::Silent | EndReason::Replaced => now,
                };
                continue;
            }
            if received == 0 {
                self.sleep(leave_at);
            }
        }
        self.shared.over.store(true, Ordering::Release);
        self.ring.end();
        self.shared.end_sharing();
    }

    /// Goes on with a sender that has proved its address. That may have changed, or the sender may speak to another one of this
    /// machine's: then with a new socket, for the old one hears and speaks from the old address, which may be gone.
    fn follow(&mut self) {
        let Some(Opening { peer, local, open, sealed, open_bytes }) = self.shared.take_proven() else { return };
        let has_moved = (peer, local) != (self.peer, self.local);
        if has_moved {
            if let Err(error) = self.connect(local, peer) {
                tracing::warn!(%peer, here = %local, %error, "a sender's new address cannot be reached");
                self.shared.stay_at(self.peer, self.local, self.core.epoch());
                return;
            }
            tracing::info!(
                stream = open.stream, from = %self.peer, to = %peer, here = %local, "the sender has another address"
            );
            (self.peer, self.local) = (peer, local);
        }
        self.core.handle_proven_open((&open, sealed.as_ref()), open_bytes, has_moved, Time::now());
    }

    fn connect(&mut self, local: SocketAddr, peer: SocketAddr) -> io::Result<()> {
        let socket = ConnectedSocket::share_port(local, peer)?;
        self.core.set_buffer_bytes(socket.set_receive_buffer(self.buffer_wanted())?);
        self.drops.start_socket();
        replace(&mut self.backend, socket, &self.backend_config);
        Ok(())
    }

    fn buffer_wanted(&self) -> usize {
        buffer_bytes_wanted(self.core.cut())
    }

    /// Slices are of another size: has them land in batches of it, and in trains where they are so small.
    fn fit_slices(&mut self) {
        let cut = *self.core.cut();
        let datagrams = batch_datagrams(&cut).min(self.batch_limit);
        // Whole trains, where one fits: what is left of a batch would be posted in vain.
        let datagrams = datagrams - datagrams % cut.train().min(datagrams);
        if let Ok(granted) = self.backend.socket().set_receive_buffer(self.buffer_wanted()) {
            self.core.set_buffer_bytes(granted);
        }
        tracing::info!(
            peer = %self.peer, stream = self.shared.open.stream, slice_bytes = cut.slice_bytes(), before = self.backend_config.slice_bytes,
            "the sender has found that the path carries slices of another size"
        );
        self.backend_config.datagrams_max = datagrams;
        self.backend_config.slice_bytes = cut.slice_bytes();
        self.batch = ReceiveBatch::new(datagrams, cut.head_bytes());
        reopen(&mut self.backend, &self.backend_config);
    }

    /// Has the next datagrams land and takes them in; returns how many.
    fn receive(&mut self) -> usize {
        self.core.predict(self.backend_config.datagrams_max.min(self.backend.landings()));
        self.batch.clear();
        for (arrival, run) in self.core.landings() {
            if let Err(error) = self.batch.post_cells(arrival, run.offset, run.cell, run.cells) {
                tracing::error!(%error, "slices land in what was posted before");
                break;
            }
        }
        let mut failures = 0;
        let received = loop {
            match self.backend.receive(&mut self.batch) {
                // An answer of ours that reached nobody is reported here, in place of what has come. Whether the sender is gone
                // shows in time.
                Err(error) if failures + 1 < remedy(&error).tries() => failures += 1,
                received => break received,
            }
        };
        self.batch.release();
        match received {
            Ok(received) => {
                self.trouble.end();
                self.pause = Duration::ZERO;
                let now = Time::now();
                for datagram in self.batch.datagrams() {
                    self.core.handle_datagram(datagram.index, datagram.head, datagram.len, now);
                }
                received
            }
            Err(error) => {
                self.pause = match remedy(&error) {
                    Remedy::Wait => {
                        self.trouble.end();
                        Duration::ZERO
                    }
                    _ => self.note_failure(&error),
                };
                0
            }
        }
    }

    /// The socket fails time and again; how long to leave it alone.
    fn note_failure(&mut self, error: &io::Error) -> Duration {
        if let Some(times) = self.trouble.tell(Time::now()) {
            tracing::warn!(%error, times, peer = %self.peer, "a stream's socket fails at present; the stream goes on when it works");
        }
        self.trouble.pause()
    }

    /// Sends an answer, again where the call was told of an earlier one instead. One that is lost is made up for by the next.
    fn answer(&mut self, bytes: &[u8]) {
        let mut failures = 0;
        while let Err(error) = self.backend.send_one(bytes) {
            failures += 1;
            if failures >= remedy(&error).tries() {
                break;
            }
        }
    }

    /// Frames to the ring, answers to the sender, counters to the program, and to the listener what it should have got.
    fn hand_on(&mut self, now: Time) {
        let mut frames = 0;
        while let Some(frame) = self.core.poll_frame() {
            self.publish_stats();
            self.ring.publish(&frame);
            frames += 1;
        }
        let mut bytes = [0; CONTROL_MAX];
        while let Some(len) = self.core.poll_transmit(now, &mut bytes) {
            self.answer(&bytes[..len]);
        }
        if frames == 0 {
            self.publish_stats();
        }
        if let Some(StrayOpening { open, open_bytes, .. }) = self.core.poll_stray() {
            self.receiver.hand_to_listener(Asked { open, open_bytes, peer: self.peer, local: self.local });
        }
    }

    /// Where something is missing, the system's own counter tells whether it was lost here.
    fn count_drops(&mut self, now: Time) {
        let stats = self.core.stats();
        if self.drops.is_due(stats.nacks_sent + stats.frames_incomplete, now)
            && let Some(drops) = self.backend.socket().drops()
        {
            self.core.set_socket_drops(self.drops.add(drops));
        }
    }

    fn publish_stats(&self) {
        let mut state = self.shared.lock();
        state.stats = *self.core.stats();
        state.source = self.core.source();
        state.slice_bytes = self.core.slice_bytes();
        state.epoch = self.core.epoch();
        state.heard = self.core.heard();
        state.settled = self.core.settled();
    }

    fn end(&mut self, reason: EndReason) {
        self.publish_stats();
        let mut state = self.shared.lock();
        (state.ended, state.last_word) = (Some(reason), self.core.last_word());
        drop(state);
        if let Some(sharing) = self.shared.sharing() {
            sharing.note_end(reason);
        }
        self.shared.over.store(true, Ordering::Release);
        self.ring.end();
        tracing::info!(peer = %self.peer, stream = self.shared.open.stream, ?reason, "stream ended");
    }

    fn sleep(&mut self, leave_at: Time) {
        let now = Time::now();
        if self.core.is_starved() {
            // Ask to be woken, then look again: a slot that was freed before the asking is seen here.
            self.starved.swap(true, Ordering::AcqRel);
            self.core.end_batch(now);
            self.hand_on(now);
        }
        let until = self.core.poll_timeout(now).min(leave_at);
        let timeout = until.since(Time::now());
        let mut pause = std::mem::take(&mut self.pause);
        if pause.is_zero() {
            let socket = self.backend.socket().as_fd();
            let Err(error) = wait(socket, false, &self.shared.waker, timeout, self.busy_poll) else { return };
            pause = self.note_failure(&error);
        }
        // A socket that has failed always has something to say: it is not waited for.
        self.shared.waker.sleep(pause.min(timeout));
    }
}

/// How often the counter is read while nothing is missing.
const DROPS_INTERVAL: Duration = Duration::from_secs(1);

/// Counts on where the system's counter of a socket, which has 32 bits, begins anew.
#[derive(Debug, Default)]
struct SocketDrops {
    counter: u32,
    total: u64,
    /// What was missing when it was read last, and when that was.
    read: (u64, Time),
}

impl SocketDrops {
    fn is_due(&mut self, missing: u64, now: Time) -> bool {
        let (before, at) = self.read;
        let is_due = missing != before || now.since(at) >= DROPS_INTERVAL;
        if is_due {
            self.read = (missing, now);
        }
        is_due
    }

    /// Another socket is counted from here on, from nothing.
    fn start_socket(&mut self) {
        self.counter = 0;
    }

    fn add(&mut self, counter: u32) -> u64 {
        self.total += u64::from(counter.wrapping_sub(self.counter));
        self.counter = counter;
        self.total
    }
}
