//! One stream on its way to a receiver on this machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::state::{Shared, State};
use super::watch::watch;
use crate::backend::BackendKind;
use crate::crypto::Key;
use crate::driver::sender::config::SenderConfig;
use crate::driver::sender::error::{NotSent, SendError};
use crate::driver::sender::way::{Carried, Moment, Standing, Way};
use crate::driver::threads::stay_on;
use crate::frame::{Frame, FrameMut, FramePool};
use crate::send::{ClosedReport, Pace, SendState};
use crate::share::inlet::source::{Connection, EnterError, Source, provide};
use crate::wire::{Delivery, PathKind};

/// How long a slot is waited for before looking whether the hub is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A hub that is told to end the stream has taken in what was handed over within this.
const LEAVE_MAX: Duration = Duration::from_millis(500);
/// With so many slots, one is left to the source of a `latest` stream at any time.
const SPARE_FROM: u32 = 3;
/// Far beyond any stream's, and no harm to a clock.
const LONG: Duration = Duration::from_secs(3_600);

/// Brings one stream to a receiver on this machine.
pub(super) struct LocalWay {
    shared: Arc<Shared>,
    pool: FramePool,
    thread: Option<JoinHandle<()>>,
}

impl LocalWay {
    /// Begins a stream on what its hub has granted, and has the hub open it: nothing that this end needs can fail any more by then.
    ///
    /// # Errors
    /// The system has no thread left, or the hub is gone.
    pub(super) fn start(
        (mut source, connection): (Source, Connection),
        config: &SenderConfig,
        first: u64,
        on_end: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, EnterError> {
        let pool = source.pool().clone();
        let granted = source.take_granted(|_, _| {});
        provide(&pool, granted);
        let keeps_spare = config.delivery == Delivery::Latest && granted.count_ones() >= SPARE_FROM;
        let state = State::new(source, first, keeps_spare);
        let shared = Arc::new(Shared::new(config.delivery, pool.clone(), connection, state));
        let (watched, cpus) = (shared.clone(), config.threads.cpus.clone());
        let thread = Builder::new().name("framewire-send".into()).spawn(move || {
            stay_on(cpus.as_ref());
            watch(&watched, on_end);
        })?;
        let way = Self { shared, pool, thread: Some(thread) };
        way.shared.connection.say_mapped()?;
        Ok(way)
    }

    /// A slot, where one is free or can be made so.
    fn try_frame(&self) -> Result<Option<FrameMut>, ()> {
        let mut state = self.shared.lock();
        if state.is_over() {
            return Err(());
        }
        state.collect(&self.pool);
        // Slots that are new are handed out once the lock has been given back.
        drop(state);
        if let Some(frame) = self.pool.try_acquire() {
            return Ok(Some(frame));
        }
        let replaced = self.shared.lock().drop_pending();
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
            state.tell();
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
                        state.skip(1, true);
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
            state.skip(count, self.pool.free_count() == 0);
        }
        true
    }

    fn begin_at(&self, number: u64) {
        let mut state = self.shared.lock();
        if state.next_number == state.first && number > state.first {
            (state.first, state.settled, state.next_number) = (number, number, number);
            state.tell();
        }
    }

    fn wait(&self, moment: Moment, timeout: Duration) -> Result<ClosedReport, SendError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.shared.lock();
        state.waiting += 1;
        if !state.is_over() && !state.is_settled() {
            // It may sleep over what was skipped last.
            state.wake_hub();
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
            state = state.wait(left);
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

    fn set_key(&self, _key: Key) {}

    fn set_pace(&self, _pace: Pace) {}

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
            protection: None,
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
        self.shared.notify();
    }

    fn retire(&self) -> Option<Carried> {
        let state = self.shared.lock();
        let is_live = !state.is_over() && state.closed.is_none();
        drop(state);
        if is_live {
            self.shared.connection.finish();
        }
        let mut state = self.shared.lock();
        let deadline = Instant::now() + LEAVE_MAX;
        while is_live && !state.is_over() && Instant::now() < deadline {
            state = state.wait(deadline.saturating_duration_since(Instant::now()));
        }
        state.retired = true;
        state.collect(&self.pool);
        let next_number = state.next_number;
        let stats = state.stats;
        let committed = std::mem::take(&mut state.committed);
        let pending = state.pending.take();
        drop(state);
        self.shared.notify();
        let frames = match self.shared.delivery {
            Delivery::Every => committed.into_iter().chain(pending).map(|(_, frame)| frame).collect(),
            Delivery::Latest => Vec::new(),
        };
        Some(Carried { frames, next_number, stats, epoch: None })
    }
}

impl Drop for LocalWay {
    fn drop(&mut self) {
        self.shared.lock().retired = true;
        self.shared.connection.hang_up();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sending thread panicked");
        }
    }
}
