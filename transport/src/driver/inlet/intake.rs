//! The thread of one local sender's stream: makes its slots, hands its frames on, and sees its end.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::churn::{Attempt, LASTING};
use super::{HERE, is_stopped, slot_bytes};
use crate::backend::{BackendKind, wall_clock};
use crate::clock::clock_id;
use crate::driver::incoming::{IncomingStream, StreamInfo};
use crate::driver::opening::Reservation;
use crate::driver::receiver::ReceiverShared;
use crate::driver::sharing::PoolSlots;
use crate::driver::stream_shared::StreamShared;
use crate::driver::threads::stay_on;
use crate::frame::memfd::Unsealable;
use crate::frame::{Consumer, ConsumerPolicy, FrameFormat, FramePool, FrameRing, PoolInMaking, TIME_BYTES};
use crate::limit::help;
use crate::receive::EndReason;
use crate::share::hub::Entering;
use crate::share::inlet::landing::{COMPARE_CLOCKS_EVERY, Landing, SendersEnds};
use crate::share::inlet::source::poll;
use crate::share::messages::{ClosedCounts, FromHub, PACKET_MAX, Packet, Refusal, ToHub};
use crate::share::points::{self, Point};
use crate::share::socket::packet::{self, PacketError};
use crate::time::Time;
use crate::utc::UtcOffset;
use crate::wire::{Delivery, PathKind};

/// Pages that are asked for at once, bytes.
const STEP_BYTES: usize = 512 << 10;
/// A sender that lives maps its slots within this.
const MAPPED_MAX: Duration = Duration::from_secs(10);
/// How often a sender that says nothing is noted to be there, as one that sends datagrams says it is.
const HERE_EVERY: Duration = Duration::from_millis(250);

/// What the thread begins with.
pub(super) struct Intake {
    receiver: Arc<ReceiverShared>,
    shared: Arc<StreamShared>,
    entering: Entering,
    format: FrameFormat,
    reservation: Arc<Reservation>,
    attempt: Attempt,
}

impl Intake {
    pub(super) fn new(
        receiver: Arc<ReceiverShared>,
        shared: Arc<StreamShared>,
        entering: Entering,
        format: FrameFormat,
        (reservation, attempt): (Arc<Reservation>, Attempt),
    ) -> Self {
        Self { receiver, shared, entering, format, reservation, attempt }
    }

    pub(super) fn run(self) {
        stay_on(self.receiver.config.threads.cpus.as_ref());
        let shared = self.shared.clone();
        let (pid, stream) = (self.entering.peer.pid, shared.open.stream);
        let socket = self.entering.socket.try_clone();
        let (churn, user) = (self.receiver.churn.clone(), self.entering.peer.uid);
        match self.open() {
            Ok(Some(stream)) => stream.run(),
            // It went away while its slots were made.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(pid, stream, %error, "a stream of this machine could not be opened");
                if error.refusal() == Some(Refusal::Resources) {
                    churn.give_back(user);
                }
                if let (Ok(socket), Some(refusal)) = (&socket, error.refusal()) {
                    let refused = FromHub::Refused { refusal, number: 0, limit: 0 };
                    // Who is gone meanwhile need not know.
                    let _ = packet::send(socket, Packet::from(&refused).bytes(), &[]);
                }
            }
        }
        shared.over.store(true, Ordering::Release);
    }

    /// Makes the slots and hands them over; `None` where nobody wants them any more.
    fn open(self) -> Result<Option<Taking>, OpenError> {
        let Self { receiver, shared, entering, format, reservation, attempt } = self;
        let socket = entering.socket.as_fd();
        packet::send(socket, Packet::from(&FromHub::Preparing).bytes(), &[])?;
        let open = &shared.open;
        let tail_max = usize::from(open.tail_max);
        let slots = receiver.config.slots;
        let PoolSlots { all, base } = receiver.pool_slots();
        let making = PoolInMaking::new(all, slot_bytes(open))?.with_spares(base);
        let mut making = making.for_a_writer().holding(reservation);
        while making.left() > 0 {
            if is_stopped(&shared) {
                return Ok(None);
            }
            making.provide(STEP_BYTES)?;
        }
        let pool = making.finish()?.with_format(format, tail_max);
        let shape = pool.shape();
        let starved = Arc::new(AtomicBool::new(false));
        {
            let (waker, starved) = (shared.waker.clone(), starved.clone());
            pool.set_on_free(move || {
                if starved.swap(false, Ordering::AcqRel) {
                    waker.wake();
                }
            });
        }
        // It was checked when it was let in.
        let delivery = open.delivery().unwrap_or(Delivery::Latest);
        let (mut landing, ends) = Landing::new(pool.clone(), format, (tail_max, slots), (delivery, open.first_frame))?;
        landing.grant();
        let SendersEnds { to_hub, to_sender } = ends;
        points::at(Point::Granting);
        // Before the sender can change the file's mode.
        let _opened = pool.for_readers()?;
        let passed = [pool.writable_descriptor(), landing.file(), to_hub.as_fd(), to_sender.as_fd()];
        let (clock_id, now_ns) = (clock_id(open.stream), Time::now().as_nanos());
        let entered = FromHub::Entered { shape, clock_id, now_ns };
        packet::send(socket, Packet::from(&entered).bytes(), &passed)?;
        points::at(Point::Granted);
        // What is left open here keeps the sender from learning of our end.
        drop((to_hub, to_sender));
        if !wait_until_mapped(&shared, &entering)? {
            return Ok(None);
        }
        // From here on nobody else can write into it, and others may read.
        landing.seal()?;
        match pool.seal() {
            Err(error @ Unsealable::ByAnother) => return Err(error.into()),
            Err(error) => tracing::debug!(%error, "the frame pool cannot be sealed; it is shared with nobody"),
            Ok(()) => {}
        }
        if !landing.has_taken_grants() {
            return Err(OpenError::NotMapped);
        }
        Ok(Some(Taking::new(receiver, shared, entering, (landing, starved), attempt, (pool, base))))
    }
}

#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Socket(#[from] PacketError),
    #[error(transparent)]
    Pool(#[from] crate::frame::PoolError),
    #[error("{source}; {help}", source = .0, help = help(.0))]
    System(#[from] io::Error),
    #[error(transparent)]
    Sealed(#[from] Unsealable),
    #[error("the sender says that it has everything, and has not taken the slots that it was granted")]
    NotMapped,
    #[error("the sender says what does not belong there before it has mapped its slots")]
    Nonsense,
}

impl OpenError {
    /// What the sender is told, where anything is.
    fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Socket(_) => None,
            Self::Pool(_) | Self::System(_) => Some(Refusal::Resources),
            Self::Sealed(Unsealable::ByAnother) => Some(Refusal::SealedBySender),
            Self::Sealed(Unsealable::System(_)) => Some(Refusal::Unsealed),
            Self::NotMapped => Some(Refusal::NotMapped),
            Self::Nonsense => Some(Refusal::Message),
        }
    }
}

/// Waits until the sender has its slots mapped; false where it is gone, or the stream is not wanted any more.
///
/// # Errors
/// It says something else, or cannot be waited for.
fn wait_until_mapped(shared: &StreamShared, entering: &Entering) -> Result<bool, OpenError> {
    let begun = Instant::now();
    let mut buffer = [0; PACKET_MAX];
    while !is_stopped(shared) && begun.elapsed() < MAPPED_MAX {
        match packet::receive(&entering.socket, &mut buffer) {
            Ok(received) => match ToHub::parse(&buffer[..received.len]) {
                Ok(ToHub::Mapped) => return Ok(true),
                _ => return Err(OpenError::Nonsense),
            },
            Err(PacketError::WouldBlock) => {}
            Err(PacketError::System(error)) => return Err(error.into()),
            Err(PacketError::Closed) => return Ok(false),
            Err(_) => return Err(OpenError::Nonsense),
        }
        let waker = PollFd::new(&*shared.waker, PollFlags::IN);
        poll(&mut [PollFd::new(&entering.socket, PollFlags::IN), waker], MAPPED_MAX)?;
    }
    Ok(false)
}

/// An open stream.
struct Taking {
    shared: Arc<StreamShared>,
    entering: Entering,
    landing: Landing,
    ring: FrameRing,
    /// Set while the sender is to have another slot: whoever frees one wakes this thread.
    starved: Arc<AtomicBool>,
    busy_poll: Duration,
    utc: Option<UtcOffset>,
    clocks_compared: Time,
    opened: Time,
    /// While nobody knows whether the stream comes to something.
    attempt: Option<Attempt>,
}

impl Taking {
    /// Has the program accept the stream.
    fn new(
        receiver: Arc<ReceiverShared>,
        shared: Arc<StreamShared>,
        entering: Entering,
        (landing, starved): (Landing, Arc<AtomicBool>),
        attempt: Attempt,
        (pool, base): (FramePool, usize),
    ) -> Self {
        let ring = FrameRing::new();
        let open = shared.open;
        // They were checked when it was let in.
        let delivery = open.delivery().unwrap_or(Delivery::Latest);
        let policy = match delivery {
            Delivery::Every => ConsumerPolicy::Block,
            Delivery::Latest => receiver.config.latest_policy,
        };
        let info = StreamInfo {
            stream: open.stream,
            peer: HERE,
            format: *landing.format(),
            delivery,
            metadata_max: usize::from(open.tail_max).saturating_sub(TIME_BYTES),
            presentation: open.presentation().unwrap_or_default(),
            buffer_bytes: 0,
            backend: BackendKind::Auto,
            path: PathKind::Shm,
            protection: None,
        };
        tracing::info!(
            pid = entering.peer.pid, stream = info.stream, format = %info.format, delivery = delivery.name(), slots = pool.slot_count(),
            path = %info.path, "stream opened"
        );
        let consumer = ring.subscribe(policy);
        receiver.shares.share(&shared, (&pool, base), (delivery, PathKind::Shm), &receiver.budget, &ring);
        let taking = Self {
            entering,
            landing,
            ring,
            starved,
            busy_poll: receiver.config.threads.busy_poll,
            utc: wall_clock::compare(),
            clocks_compared: Time::now(),
            opened: Time::now(),
            attempt: Some(attempt),
            shared,
        };
        taking.publish();
        hand_in(&receiver, info, consumer, taking.shared.clone());
        taking
    }

    fn run(mut self) {
        let reason = loop {
            if is_stopped(&self.shared) {
                break None;
            }
            self.look_at_the_clocks();
            match self.collect() {
                Ok(true) => continue,
                Ok(false) => {}
                Err(()) => break Some(EndReason::Silent),
            }
            match self.sleep() {
                Ok(None) => {}
                Ok(reason) => break reason,
                Err(error) => {
                    tracing::warn!(%error, "a stream of this machine cannot be waited for");
                    break Some(EndReason::Silent);
                }
            }
        };
        // Frames that came with its end count, too.
        self.look_at_the_clocks();
        self.publish();
        if let Some(reason) = reason {
            self.shared.lock().ended.get_or_insert(reason);
            if let Some(sharing) = self.shared.sharing() {
                sharing.note_end(reason);
            }
            tracing::info!(pid = self.entering.peer.pid, stream = self.shared.open.stream, ?reason, "stream ended");
        }
        self.shared.over.store(true, Ordering::Release);
        self.ring.end();
        self.shared.end_sharing();
    }

    /// The wall clock may have been set, which nothing tells; and a stream that lasts has come to something.
    fn look_at_the_clocks(&mut self) {
        let now = Time::now();
        let has_come_to_something = self.landing.stats().frames_delivered > 0 || now.since(self.opened) >= LASTING;
        if has_come_to_something && let Some(attempt) = self.attempt.take() {
            attempt.succeed();
        }
        if now.since(self.clocks_compared) >= COMPARE_CLOCKS_EVERY {
            self.clocks_compared = now;
            if let Some(newer) = wall_clock::compare() {
                self.utc = Some(self.utc.map_or(newer, |known| known.compared_again(newer)));
            }
        }
    }

    /// Hands on what has come, and grants what is free; whether something had come.
    fn collect(&mut self) -> Result<bool, ()> {
        let before = self.landing.stats().frames_passed;
        let ring = &self.ring;
        let collected = self.landing.collect(Time::now(), self.utc, |frame| {
            points::at(Point::FrameMade);
            ring.publish(&frame);
            points::at(Point::FramePublished);
        });
        if self.landing.stats().frames_passed != before {
            self.landing.settle();
            self.publish();
        }
        self.grant();
        collected.map(|frames| frames > 0).map_err(|error| {
            let pid = self.entering.peer.pid;
            tracing::warn!(pid, stream = self.shared.open.stream, %error, "a sender of this machine breaks the rules");
            self.refuse();
        })
    }

    /// Tells the sender that what it said, or wrote, cannot be.
    fn refuse(&self) {
        let refused = FromHub::Refused { refusal: Refusal::Message, number: 0, limit: 0 };
        // Who does not read it learns by the end of the connection.
        let _ = packet::send(&self.entering.socket, Packet::from(&refused).bytes(), &[]);
    }

    fn grant(&mut self) {
        if !self.landing.grant() {
            // Not a mere store: what comes free before it is seen by the next look, what comes free after it wakes this thread.
            self.starved.swap(true, Ordering::AcqRel);
            // One may have come free just before.
            self.landing.grant();
        }
    }

    /// Shows the program how the stream is by now.
    fn publish(&self) {
        let mut state = self.shared.lock();
        (state.stats, state.source) = (self.landing.stats(), self.landing.source());
        state.settled = state.stats.first_frame + state.stats.frames_passed;
        state.heard = Time::now();
    }

    /// Waits for something; returns why the stream is over, where it is.
    fn sleep(&mut self) -> io::Result<Option<EndReason>> {
        if !self.busy_poll.is_zero() {
            let begun = Instant::now();
            while begun.elapsed() < self.busy_poll {
                if self.landing.has_something() {
                    return Ok(None);
                }
                std::hint::spin_loop();
            }
        }
        if !self.landing.may_sleep() {
            self.landing.note_awake(false);
            return Ok(None);
        }
        let socket = &self.entering.socket;
        let process = self.entering.peer.pidfd.as_ref().unwrap_or(socket);
        let mut descriptors = [
            PollFd::from_borrowed_fd(self.landing.called(), PollFlags::IN),
            PollFd::new(&*self.shared.waker, PollFlags::IN),
            PollFd::new(socket, PollFlags::IN),
            PollFd::new(process, PollFlags::IN),
        ];
        poll(&mut descriptors, HERE_EVERY)?;
        let [called, woken, said, ended] = descriptors.map(|descriptor| !descriptor.revents().is_empty());
        let can_be_called = self.landing.note_awake(called);
        if woken {
            self.shared.waker.clear();
        }
        let is_gone = ended && self.entering.peer.pidfd.is_some() || !can_be_called;
        if said || is_gone {
            return Ok(self.listen(is_gone));
        }
        if !called {
            self.shared.lock().heard = Time::now();
        }
        Ok(None)
    }

    /// What the sender says; where it is over, what it has handed over before has been taken in.
    fn listen(&mut self, is_gone: bool) -> Option<EndReason> {
        let mut buffer = [0; PACKET_MAX];
        // Whether it is that no frame follows.
        let is_close = match packet::receive(&self.entering.socket, &mut buffer) {
            Ok(received) => Some(ToHub::parse(&buffer[..received.len]) == Ok(ToHub::Close)),
            Err(PacketError::WouldBlock) if !is_gone => return None,
            Err(PacketError::WouldBlock | PacketError::Closed | PacketError::System(_)) => None,
            Err(_) => Some(false),
        };
        loop {
            match self.collect() {
                Ok(true) => {}
                Ok(false) => break,
                Err(()) => return Some(EndReason::Silent),
            }
        }
        match is_close {
            Some(true) => {}
            Some(false) => {
                tracing::warn!(
                    pid = self.entering.peer.pid,
                    stream = self.shared.open.stream,
                    "a sender of this machine says what does not belong there"
                );
                self.refuse();
                return Some(EndReason::Silent);
            }
            None => return Some(EndReason::Silent),
        }
        let (stats, source) = (self.landing.stats(), self.landing.source());
        let counts = ClosedCounts {
            delivered: stats.frames_delivered,
            skipped: source.skipped,
            settled: stats.first_frame + stats.frames_passed,
        };
        // Who is gone meanwhile need not know.
        let _ = packet::send(&self.entering.socket, Packet::from(&FromHub::Closed(counts)).bytes(), &[]);
        Some(EndReason::Closed)
    }
}

/// Has the program accept a stream, unless it has been given up meanwhile.
fn hand_in(receiver: &ReceiverShared, info: StreamInfo, consumer: Consumer, shared: Arc<StreamShared>) {
    let state = receiver.lock();
    let is_wanted = !state.stop && state.streams.iter().any(|open| Arc::ptr_eq(open, &shared));
    // Whoever drops it stops the stream.
    let incoming = IncomingStream { info, consumer, shared };
    if is_wanted {
        receiver.hand_in(state, incoming);
    } else {
        drop(state);
        drop(incoming);
    }
}
