//! The way through memory that both ends share: frames are written where the receiver has them.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::config::SenderConfig;
use super::error::{NotSent, SendError};
use super::path::{PathChoice, PathKind};
use super::way::{Carried, Moment, Standing, Trouble, Way};
use crate::backend::{BackendKind, wall_clock};
use crate::clock::clock_id;
use crate::driver::threads::stay_on;
use crate::frame::{Frame, FrameMut, FramePool, SLOTS_MAX};
use crate::send::{ClosedReport, SendState, SendStats};
use crate::share::inlet::own_network;
use crate::share::inlet::source::{self, EnterError, Said, Source};
use crate::share::layout::InletCounts;
use crate::share::messages::Refusal;
use crate::share::{Endpoint, Invitation};
use crate::time::Time;
use crate::unpoisoned::unpoisoned;
use crate::wire::{Delivery, RefuseReason, open_of, utc_fields};

/// How long a slot is waited for before looking whether the hub is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A hub that is told to end the stream has taken in what was handed over within this.
const LEAVE_MAX: Duration = Duration::from_millis(500);
/// With so many slots, one is left to the source of a `latest` stream at any time.
const SPARE_FROM: u32 = 3;
/// Far beyond any stream's, and no harm to a clock.
const LONG: Duration = Duration::from_secs(3_600);

/// Somebody who shares streams, and has not been asked for one yet.
pub(super) struct Door {
    door: source::Door,
    nonce: u64,
}

/// Looks who shares streams for the receiver at this address: where the invitation says, or where the receiver's port has its place.
///
/// # Errors
/// Nobody, or nobody who lets this process in.
pub(super) fn knock(peer: SocketAddr, invitation: Option<&Invitation>) -> Result<Door, Trouble> {
    let (endpoint, nonce) = match invitation {
        Some(invitation) => (invitation.endpoint().clone(), invitation.nonce()),
        None => (Endpoint::of_port(peer.port()).map_err(|error| Trouble::Failed(error.to_string()))?, 0),
    };
    let door = source::Door::knock(&endpoint).map_err(|error| trouble(&error, invitation.is_some()))?;
    Ok(Door { door, nonce })
}

/// What is told of an error. That nobody is there where somebody was said to be is one.
fn trouble(error: &EnterError, was_invited: bool) -> Trouble {
    let words = error.to_string();
    match error {
        EnterError::Nobody { .. } if !was_invited => Trouble::Nobody(words),
        EnterError::Refused { refusal, limit, .. } => {
            let reason = match refusal {
                Refusal::Unknown => Some(RefuseReason::Unknown),
                Refusal::Streams => Some(RefuseReason::TooManyStreams),
                Refusal::FrameTooLarge => Some(RefuseReason::FrameTooLarge),
                Refusal::Format => Some(RefuseReason::Format),
                Refusal::Resources => Some(RefuseReason::Resources),
                Refusal::Version => Some(RefuseReason::Version),
                Refusal::Memory => Some(RefuseReason::Memory),
                _ => None,
            };
            match (reason, refusal) {
                // On another host it stays.
                (Some(_), _) | (None, Refusal::Network) => Trouble::Refused { reason, limit: *limit, words },
                _ => Trouble::Failed(words),
            }
        }
        _ => Trouble::Failed(words),
    }
}

impl Door {
    /// The process that is found here, by its number; `None` where that is not to be seen from here.
    pub(super) fn hub(&self) -> Option<u32> {
        self.door.hub()
    }

    /// Has the stream opened, its first frame of the number `first`; gives up where `stop` becomes readable. `on_end` is called where it
    /// ends by itself.
    ///
    /// # Errors
    /// Refused, or not answered.
    pub(super) fn enter(
        self,
        config: &SenderConfig,
        (stream, first, epoch): (u32, u64, u32),
        stop: BorrowedFd<'_>,
        on_end: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<dyn Way>, Trouble> {
        // It fits 16 bits.
        let tail_max = config.tail_max() as u16;
        let mut open = open_of(&config.format, config.delivery, &config.presentation, tail_max);
        let now = Time::now().as_nanos();
        (open.stream, open.epoch, open.first_frame) = (stream, epoch, first);
        open.paced = u8::from(config.paced && config.presentation.rate.is_some());
        open.deadline_us = u32::try_from(config.deadline.as_micros()).unwrap_or(u32::MAX);
        (open.clock_id, open.sender_ns) = (clock_id(stream), now);
        (open.utc_ns, open.utc_error_us) = utc_fields(wall_clock::compare(), now);
        let network = if config.path == PathChoice::Auto { own_network() } else { 0 };
        if config.path == PathChoice::Auto && network == 0 {
            let words =
                "this process cannot tell which network it is in: /proc/thread-self/ns/net is not there; mount /proc";
            return Err(Trouble::Failed(words.into()));
        }
        let entered = self.door.enter(&open, (self.nonce, network), config.format, stop);
        let source = entered.map_err(|error| trouble(&error, true))?;
        let way = LocalWay::start(source, config, first, on_end);
        way.map(|way| Arc::new(way) as Arc<dyn Way>).map_err(|error| Trouble::Failed(error.to_string()))
    }
}

/// Brings one stream to a receiver on this machine.
struct LocalWay {
    shared: Arc<Shared>,
    pool: FramePool,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    delivery: Delivery,
    pool: FramePool,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    source: Source,
    /// Handed over and not settled: the receiver may still read them, or may never have come to.
    committed: VecDeque<(u64, Frame)>,
    /// In `latest`, the newest, in the last slot that there is.
    pending: Option<(u64, Frame)>,
    /// Whether a slot is left to the source.
    keeps_spare: bool,
    first: u64,
    next_number: u64,
    settled: u64,
    stats: SendStats,
    /// Threads that wait for a slot, or for something to be settled.
    waiting: usize,
    closing: bool,
    close_sent: bool,
    closed: Option<ClosedReport>,
    /// Why the way has ended by itself.
    ended: Option<String>,
    retired: bool,
}

impl State {
    fn is_over(&self) -> bool {
        self.retired || self.ended.is_some()
    }

    fn is_settled(&self) -> bool {
        self.pending.is_none() && self.settled >= self.next_number
    }

    fn counts(&self) -> InletCounts {
        InletCounts {
            next: self.pending.as_ref().map_or(self.next_number, |(number, _)| *number),
            skipped: self.stats.frames_skipped,
            no_credit: self.stats.frames_no_credit,
        }
    }

    /// Takes in what the hub has granted and settled, and hands over what waited for that.
    fn collect(&mut self, pool: &FramePool) {
        let Self { source, committed, settled, stats, first, next_number, .. } = self;
        source.take_granted(|below, delivered| {
            // Of a hub that keeps to no rule, no more than there is.
            *settled = below.min(*next_number).max(*settled);
            stats.frames_delivered = delivered.min(*settled - *first).max(stats.frames_delivered);
            while committed.pop_front_if(|(number, _)| *number < *settled).is_some() {}
        });
        if self.pending.is_some() && pool.free_count() > 0 && !self.is_over() {
            self.commit_pending(pool);
        }
    }

    fn commit_pending(&mut self, pool: &FramePool) {
        if let Some((number, frame)) = self.pending.take() {
            self.commit(number, frame, pool);
        }
    }

    fn commit(&mut self, number: u64, frame: Frame, pool: &FramePool) {
        let mut parts = frame.parts();
        parts.info.number = number;
        parts.info.sent = Some(Time::now());
        let slot = frame.slot();
        // It is the hub's, until that grants it again.
        pool.forbid(1 << slot);
        self.stats.frames_sent += 1;
        self.stats.bytes += frame.whole().len() as u64;
        self.committed.push_back((number, frame));
        let counts = self.counts();
        self.source.commit(slot, &parts, counts);
    }

    /// In `latest`, gives up the frame that waits, for a newer one.
    fn drop_pending(&mut self) -> Option<Frame> {
        let (_, frame) = self.pending.take()?;
        self.stats.frames_skipped += 1;
        self.stats.frames_no_credit += 1;
        Some(frame)
    }

    fn close_if_due(&mut self) {
        if self.closing && !self.close_sent && self.pending.is_none() && !self.is_over() {
            let counts = self.counts();
            self.source.tell(counts);
            // A socket that is full of what a hub does not read is as good as none.
            if let Err(error) = self.source.close() {
                self.ended = Some(error.to_string());
            }
            self.close_sent = true;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }

    /// Has the hub wake this end, and takes in what has come by then.
    fn look(&self, state: &mut State) {
        state.source.ask_to_be_woken();
        state.collect(&self.pool);
    }
}

impl LocalWay {
    fn start(
        mut source: Source,
        config: &SenderConfig,
        first: u64,
        on_end: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let pool = source.pool().clone();
        let (from_hub, socket, process) = source.descriptors();
        let process = process.map(|process| process.try_clone_to_owned()).transpose()?;
        let descriptors = (from_hub.try_clone_to_owned()?, socket.try_clone_to_owned()?, process);
        let granted = source.take_granted(|_, _| {});
        let state = State {
            source,
            committed: VecDeque::with_capacity(SLOTS_MAX),
            pending: None,
            keeps_spare: config.delivery == Delivery::Latest && granted >= SPARE_FROM,
            first,
            next_number: first,
            settled: first,
            stats: SendStats::default(),
            waiting: 0,
            closing: false,
            close_sent: false,
            closed: None,
            ended: None,
            retired: false,
        };
        let shared = Arc::new(Shared {
            delivery: config.delivery,
            pool: pool.clone(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let (watched, cpus) = (shared.clone(), config.threads.cpus.clone());
        let thread = Builder::new().name("framewire-send".into()).spawn(move || {
            stay_on(cpus.as_ref());
            watch(&watched, &descriptors, on_end);
        })?;
        Ok(Self { shared, pool, thread: Some(thread) })
    }

    /// A slot, where one is free or can be made so.
    fn try_frame(&self) -> Result<Option<FrameMut>, ()> {
        let mut state = self.shared.lock();
        if state.is_over() {
            return Err(());
        }
        state.collect(&self.pool);
        if let Some(frame) = self.pool.try_acquire() {
            return Ok(Some(frame));
        }
        let replaced = state.drop_pending();
        drop(state);
        Ok(if replaced.is_some() {
            drop(replaced);
            self.pool.try_acquire()
        } else {
            None
        })
    }

    #[expect(
        clippy::result_large_err,
        reason = "the frame goes back to whom it came from; a box would be an allocation"
    )]
    fn push(&self, frame: FrameMut) -> Result<u64, (SendError, FrameMut)> {
        let mut state = self.shared.lock();
        if state.is_over() || state.closing {
            return Err((SendError::Closed, frame));
        }
        state.collect(&self.pool);
        let replaced = state.drop_pending();
        drop(replaced);
        let number = state.next_number;
        state.next_number += 1;
        state.stats.frames += 1;
        let frame = frame.freeze();
        if state.keeps_spare && self.pool.free_count() == 0 {
            state.pending = Some((number, frame));
            // What was replaced may be told of.
            let counts = state.counts();
            state.source.tell(counts);
            self.shared.look(&mut state);
        } else {
            state.commit(number, frame, &self.pool);
        }
        Ok(number)
    }
}

impl Way for LocalWay {
    fn path(&self) -> PathKind {
        PathKind::Shm
    }

    fn backend(&self) -> BackendKind {
        BackendKind::Auto
    }

    fn pool(&self) -> &FramePool {
        &self.pool
    }

    fn frame_timeout(&self, timeout: Duration) -> Result<Option<FrameMut>, SendError> {
        let deadline = Instant::now().checked_add(timeout);
        match self.try_frame() {
            Ok(None) if !timeout.is_zero() => {}
            Ok(frame) => return Ok(frame),
            Err(()) => return Ok(None),
        }
        let mut state = self.shared.lock();
        state.waiting += 1;
        self.shared.look(&mut state);
        drop(state);
        let frame = loop {
            let left = deadline.map_or(LONG, |deadline| deadline.saturating_duration_since(Instant::now()));
            if let Some(frame) = self.pool.acquire_timeout(left.min(LOOK_AGAIN)) {
                break Some(frame);
            }
            // A frame of another thread's may have come to wait meanwhile.
            match self.try_frame() {
                Ok(None) if !left.is_zero() => {}
                Ok(frame) => break frame,
                Err(()) => break None,
            }
        };
        self.shared.lock().waiting -= 1;
        Ok(frame)
    }

    fn send(&self, frame: FrameMut) -> Result<u64, NotSent> {
        self.push(frame).map_err(|(error, frame)| NotSent::new(error, frame))
    }

    fn send_shared(&self, frame: Frame) -> Result<u64, (SendError, Frame)> {
        let patience = match self.shared.delivery {
            Delivery::Every => LOOK_AGAIN,
            // It never waits: a newer one follows.
            Delivery::Latest => Duration::ZERO,
        };
        loop {
            let state = self.shared.lock();
            if state.is_over() || state.closing && self.shared.delivery == Delivery::Latest {
                return Err((SendError::Closed, frame));
            }
            drop(state);
            match self.frame_timeout(patience) {
                Ok(Some(mut slot)) => {
                    if !slot.copy_of_shared(&frame) {
                        return Err((SendError::Foreign, frame));
                    }
                    return self.push(slot).map_err(|(error, _)| (error, frame));
                }
                Ok(None) if self.shared.delivery == Delivery::Every => {}
                Ok(None) => {
                    let mut state = self.shared.lock();
                    if !state.is_over() {
                        let number = state.next_number;
                        skip(&mut state, 1, true);
                        return Ok(number);
                    }
                }
                Err(error) => return Err((error, frame)),
            }
        }
    }

    fn skip(&self, count: u64) -> bool {
        let mut state = self.shared.lock();
        if state.is_over() {
            return false;
        }
        if self.shared.delivery == Delivery::Latest {
            skip(&mut state, count, self.pool.free_count() == 0);
        }
        true
    }

    fn begin_at(&self, number: u64) {
        let mut state = self.shared.lock();
        if state.next_number == state.first && number > state.first {
            (state.first, state.settled, state.next_number) = (number, number, number);
            let counts = state.counts();
            state.source.tell(counts);
        }
    }

    fn wait(&self, moment: Moment, timeout: Duration) -> Result<ClosedReport, SendError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.shared.lock();
        state.waiting += 1;
        if !state.is_over() && !state.is_settled() {
            // It may sleep over what was skipped last.
            state.source.wake_hub();
        }
        let result = loop {
            self.shared.look(&mut state);
            match (moment, state.closed) {
                (_, Some(report)) => break Ok(report),
                (Moment::Open, _) if !state.is_over() => break Ok(ClosedReport::default()),
                (Moment::Settled, _) if state.is_settled() => break Ok(ClosedReport::default()),
                _ if state.is_over() => break Err(SendError::Closed),
                _ => {}
            }
            let left = deadline.map_or(LONG, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                // Who that is, whoever has the stream's ways knows.
                break Err(SendError::Unanswered { peer: SocketAddr::from(([127, 0, 0, 1], 0)), waited: timeout });
            }
            state = unpoisoned(self.shared.changed.wait_timeout(state, left)).0;
        };
        state.waiting -= 1;
        result
    }

    fn close(&self) {
        let mut state = self.shared.lock();
        state.closing = true;
        if state.pending.is_some() {
            // With nothing after it, no slot need be left.
            state.commit_pending(&self.pool);
        }
        state.close_if_due();
    }

    fn redirect(&self, _peer: SocketAddr) {}

    fn standing(&self) -> Standing {
        let mut state = self.shared.lock();
        if state.closed.is_none() {
            state.collect(&self.pool);
        }
        Standing {
            state: match state.closed {
                Some(report) => SendState::Closed(report),
                None if state.is_over() => SendState::Opening { attempts: 0 },
                None => SendState::Open,
            },
            stats: state.stats,
            round_trip: Duration::from_millis(1),
            slice_bytes: 0,
            next_number: state.next_number,
            failed: false,
        }
    }

    fn is_retired(&self) -> bool {
        self.shared.lock().is_over()
    }

    fn trouble(&self) -> Option<String> {
        self.shared.lock().ended.clone()
    }

    /// It is open from the beginning.
    fn pause(&self) -> Option<u64> {
        None
    }

    fn resume(&self) {}

    fn stop(&self) {
        self.shared.lock().retired = true;
        self.shared.changed.notify_all();
    }

    fn retire(&self) -> Option<Carried> {
        let mut state = self.shared.lock();
        if !state.is_over() && state.closed.is_none() {
            state.source.hang_up();
            let waited = self.shared.changed.wait_timeout_while(state, LEAVE_MAX, |state| !state.is_over());
            state = unpoisoned(waited).0;
        }
        state.retired = true;
        state.collect(&self.pool);
        let next_number = state.next_number;
        let stats = state.stats;
        let committed = std::mem::take(&mut state.committed);
        let pending = state.pending.take();
        drop(state);
        self.shared.changed.notify_all();
        let frames = match self.shared.delivery {
            Delivery::Every => committed.into_iter().chain(pending).map(|(_, frame)| frame).collect(),
            Delivery::Latest => Vec::new(),
        };
        Some(Carried { frames, next_number, stats, epoch: None })
    }
}

fn skip(state: &mut State, count: u64, is_no_credit: bool) {
    state.next_number += count;
    state.stats.frames += count;
    state.stats.frames_skipped += count;
    state.stats.frames_no_credit += if is_no_credit { count } else { 0 };
    let counts = state.counts();
    state.source.tell(counts);
    if state.waiting > 0 {
        // With nothing after it, nobody else wakes the hub for it.
        state.source.wake_hub();
    }
}

/// The way's thread: takes in what the hub grants while somebody waits for it, and learns when the hub is gone.
fn watch(shared: &Shared, (from_hub, socket, process): &(OwnedFd, OwnedFd, Option<OwnedFd>), on_end: impl Fn()) {
    loop {
        let mut descriptors = [
            PollFd::new(from_hub, PollFlags::IN),
            PollFd::new(socket, PollFlags::IN),
            // In place of what there is not, the same once more.
            PollFd::from_borrowed_fd(process.as_ref().map_or(socket.as_fd(), AsFd::as_fd), PollFlags::IN),
        ];
        let polled = source::poll(&mut descriptors, LONG);
        let [called, said, ended] = descriptors.map(|descriptor| !descriptor.revents().is_empty());
        let mut state = shared.lock();
        if called {
            state.source.note_awake();
        }
        if state.waiting > 0 || state.pending.is_some() {
            shared.look(&mut state);
        } else {
            state.collect(&shared.pool);
        }
        state.close_if_due();
        let mut is_gone = ended && process.is_some();
        // What was said before the end comes first.
        while said || is_gone {
            match state.source.listen() {
                Some(Said::Closed(counts)) => {
                    state.collect(&shared.pool);
                    let delivered = counts.delivered.min(state.stats.frames);
                    state.stats.frames_delivered = delivered.max(state.stats.frames_delivered);
                    state.closed = Some(ClosedReport { delivered, ..ClosedReport::default() });
                }
                Some(Said::Gone) => is_gone = true,
                None => break,
            }
            if is_gone || state.closed.is_some() {
                break;
            }
        }
        if let Err(error) = polled {
            state.ended.get_or_insert_with(|| error.to_string());
        } else if is_gone && state.closed.is_none() {
            state.collect(&shared.pool);
            if state.close_sent && state.is_settled() {
                // It has taken everything, and gone before it said so.
                let delivered = state.stats.frames_delivered;
                state.closed = Some(ClosedReport { delivered, is_forgotten: true, ..ClosedReport::default() });
            }
        }
        if is_gone && state.closed.is_none() {
            state.ended.get_or_insert_with(|| {
                "the program that shares streams there has ended, or has let the stream go".to_owned()
            });
        }
        let (is_over, is_closed) = (state.is_over(), state.closed.is_some());
        drop(state);
        shared.changed.notify_all();
        if is_over && !is_closed {
            on_end();
        }
        if is_over || is_closed {
            return;
        }
    }
}

impl Drop for LocalWay {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.retired = true;
        let _ = rustix::net::shutdown(state.source.descriptors().1, rustix::net::Shutdown::Both);
        drop(state);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sending thread panicked");
        }
    }
}
