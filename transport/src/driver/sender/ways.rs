//! The ways that a stream takes one after the other, without a frame getting lost in between: what a program sends goes on with the one at
//! present; between two, it waits here.

mod keeping;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::SendError;
use super::between::{Between, Waiting};
use super::config::SenderConfig;
use super::error::NotSent;
use super::path::PathChoice;
use super::trouble::{Trouble, Troubles};
use super::way::{Carried, Moment, Standing, Way};
use crate::backend::Waker;
use crate::crypto::Key;
use crate::frame::{Frame, FrameMut, PoolMark, SLOTS_MAX};
use crate::random::random_u32;
use crate::send::{ClosedReport, Pace, SendState, SendStats};
use crate::share::Invitation;
use crate::unpoisoned::unpoisoned;
use crate::wire::Delivery;

/// Pools whose frames are known again; a frame of one before them was kept for that many changes.
const MARKS_KEPT: usize = 16;
/// Frames that wait here before whoever sends waits, too: fewer than any way takes at once.
const WAITING_MAX: usize = SLOTS_MAX / 2;
/// How long a slot is waited for before looking whether the way is still the one.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What the program's threads and the one that keeps the ways share.
pub(super) struct Ways {
    pub(super) config: SenderConfig,
    pub(super) stream: u32,
    state: Mutex<State>,
    /// For the program's threads.
    changed: Condvar,
    /// For the keeper.
    news: Condvar,
    /// Called, and never taken back, once everything is to end.
    pub(super) stopping: Waker,
}

pub(super) struct State {
    pub(super) current: Current,
    pub(super) peer: SocketAddr,
    /// What the stream is protected by where it goes by datagrams.
    pub(super) key: Option<Key>,
    /// How it is sent there.
    pub(super) pace: Pace,
    /// Where the receiver shares its streams, if it has said so.
    pub(super) invitation: Option<Invitation>,
    /// What earlier ways have counted.
    before: SendStats,
    /// In `every`, what was shown of frames that are to be sent once more: the program's counter does not go back.
    sent_floor: u64,
    /// The epoch that the next way begins with, one behind the last that a receiver may know.
    pub(super) epoch: u32,
    /// Something was told that the keeper has not looked at.
    pub(super) told: bool,
    /// Why the stream does not go by shared memory, or has left it.
    pub(super) trouble: Option<Troubles>,
    /// Attempts since there was a way.
    attempts: u32,
    /// No way can be taken.
    pub(super) failure: Option<SendError>,
    pub(super) closing: bool,
    pub(super) stop: bool,
    /// The receiver is elsewhere, or is there again.
    pub(super) redirected: bool,
    marks: VecDeque<PoolMark>,
}

pub(super) enum Current {
    Way(Arc<dyn Way>),
    Between(Between),
}

impl State {
    /// The way; one that has ended refuses whatever it is asked.
    pub(super) fn way(&self) -> Option<&Arc<dyn Way>> {
        match &self.current {
            Current::Way(way) => Some(way),
            Current::Between(_) => None,
        }
    }

    /// Takes in what a way has left, which is the current one or the next; `unsent` comes behind what it gives back.
    fn take_over(&mut self, carried: Carried, unsent: Option<Waiting>, delivery: Delivery) {
        self.sent_floor = self.sent_floor.max(self.before.frames_sent + carried.stats.frames_sent);
        add(&mut self.before, &carried.counted(delivery));
        if let Some(epoch) = carried.epoch {
            self.epoch = epoch.wrapping_add(1);
        }
        let next_number = carried.next_number;
        let mut waiting: VecDeque<_> = carried.frames.into_iter().map(Waiting::Frame).collect();
        waiting.extend(unsent);
        let between = match &mut self.current {
            Current::Between(between) => {
                between.next = None;
                waiting.append(&mut between.waiting);
                between.waiting = waiting;
                return;
            }
            Current::Way(_) => Between { waiting, next_number, next: None },
        };
        self.current = Current::Between(between);
    }
}

impl Ways {
    /// Without a way yet.
    ///
    /// # Errors
    /// No descriptor to end with.
    pub(super) fn new(peer: SocketAddr, config: SenderConfig, stream: u32) -> io::Result<Self> {
        let state = State {
            current: Current::Between(Between::default()),
            peer,
            key: config.key.clone(),
            pace: Pace::default(),
            invitation: config.share.clone(),
            before: SendStats::default(),
            sent_floor: 0,
            epoch: random_u32(),
            told: false,
            trouble: None,
            attempts: 0,
            failure: None,
            closing: false,
            stop: false,
            redirected: false,
            marks: VecDeque::new(),
        };
        let (state, stopping) = (Mutex::new(state), Waker::new()?);
        Ok(Self { config, stream, state, changed: Condvar::new(), news: Condvar::new(), stopping })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }

    /// A way has changed by itself: the keeper looks at it.
    pub(super) fn tell_keeper(&self) {
        self.lock().told = true;
        self.news.notify_all();
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, deadline: Option<Instant>) -> Option<MutexGuard<'a, State>> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match left {
            None => Some(unpoisoned(self.changed.wait(state))),
            Some(left) if left.is_zero() => None,
            Some(left) => Some(unpoisoned(self.changed.wait_timeout(state, left)).0),
        }
    }

    /// The way at present; waits for one. `None` where none came in time.
    fn way(&self, deadline: Option<Instant>) -> Result<Option<Arc<dyn Way>>, SendError> {
        let mut state = self.lock();
        loop {
            if let Some(way) = state.way() {
                return Ok(Some(way.clone()));
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            match self.wait(state, deadline) {
                Some(again) => state = again,
                None => return Ok(None),
            }
        }
    }

    /// Waits, where a way has ended, until the keeper has looked at it; false where the time is over.
    fn wait_past(&self, way: &Arc<dyn Way>, deadline: Option<Instant>) -> bool {
        let state = self.lock();
        let is_still = state.way().is_some_and(|current| Arc::ptr_eq(current, way));
        let soon = Instant::now().checked_add(LOOK_AGAIN);
        let until = deadline.into_iter().chain(soon).min();
        !is_still || self.wait(state, until).is_some()
    }

    pub(super) fn frame_timeout(&self, timeout: Duration) -> Result<Option<FrameMut>, SendError> {
        let deadline = Instant::now().checked_add(timeout);
        while let Some(way) = self.way(deadline)? {
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            match way.frame_timeout(left) {
                Ok(None) | Err(_) if way.is_retired() => {
                    if !self.wait_past(&way, deadline) {
                        return Ok(None);
                    }
                }
                frame => return frame,
            }
        }
        Ok(None)
    }

    pub(super) fn send(&self, mut frame: FrameMut) -> Result<u64, NotSent> {
        loop {
            let state = self.lock();
            let Some(way) = state.way().cloned() else {
                if let Err(error) = self.check_open(&state, &frame) {
                    return Err(NotSent::new(error, frame));
                }
                match self.put_between(state, frame, FrameMut::freeze) {
                    Ok(number) => return Ok(number),
                    Err(back) => frame = back,
                }
                continue;
            };
            if !frame.is_of(way.pool()) {
                if let Err(error) = self.check_open(&state, &frame) {
                    return Err(NotSent::new(error, frame));
                }
                drop(state);
                frame = match self.moved(&way, frame) {
                    Ok(frame) => frame,
                    Err((error, frame)) if !way.is_retired() => return Err(NotSent::new(error, frame)),
                    Err((_, frame)) => {
                        self.wait_past(&way, None);
                        frame
                    }
                };
                continue;
            }
            drop(state);
            match way.send(frame) {
                Err(NotSent { frame: Some(back), .. }) if way.is_retired() => {
                    self.wait_past(&way, None);
                    frame = *back;
                }
                sent => return sent,
            }
        }
    }

    /// Whether a frame may wait here.
    fn check_open(&self, state: &State, frame: &FrameMut) -> Result<(), SendError> {
        if state.closing {
            return Err(SendError::Closed);
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        match state.marks.iter().any(|mark| frame.is_marked(mark)) {
            true => Ok(()),
            false => Err(SendError::Foreign),
        }
    }

    /// A frame of an earlier way, copied into a slot of this one.
    #[expect(clippy::result_large_err, reason = "the frame goes back to the program")]
    fn moved(&self, way: &Arc<dyn Way>, frame: FrameMut) -> Result<FrameMut, (SendError, FrameMut)> {
        loop {
            match way.frame_timeout(LOOK_AGAIN) {
                Ok(Some(mut slot)) => {
                    return if slot.copy_from(&frame) { Ok(slot) } else { Err((SendError::Foreign, frame)) };
                }
                Ok(None) if !way.is_retired() => {
                    let state = self.lock();
                    if state.stop || state.closing {
                        return Err((SendError::Closed, frame));
                    }
                }
                Ok(None) => return Err((SendError::Closed, frame)),
                Err(error) => return Err((error, frame)),
            }
        }
    }

    /// Has a frame wait for the next way; gives it back where the program is to wait.
    fn put_between<T>(
        &self,
        mut state: MutexGuard<'_, State>,
        given: T,
        freeze: impl FnOnce(T) -> Frame,
    ) -> Result<u64, T> {
        let State { current: Current::Between(between), .. } = &mut *state else { return Err(given) };
        let mut replaced = VecDeque::new();
        if self.config.delivery == Delivery::Latest {
            replaced = between.replace();
        } else if between.waiting.len() >= WAITING_MAX {
            drop(self.wait(state, Instant::now().checked_add(LOOK_AGAIN)));
            return Err(given);
        }
        let number = between.next_number;
        between.next_number += 1;
        between.waiting.push_back(Waiting::Frame(freeze(given)));
        drop(state);
        drop(replaced);
        Ok(number)
    }

    pub(super) fn send_shared(&self, mut frame: Frame) -> Result<u64, SendError> {
        loop {
            let state = self.lock();
            let Some(way) = state.way().cloned() else {
                if state.closing {
                    return Err(SendError::Closed);
                }
                if let Some(failure) = &state.failure {
                    return Err(failure.clone());
                }
                match self.put_between(state, frame, Frame::given_away) {
                    Ok(number) => return Ok(number),
                    Err(back) => frame = back,
                }
                continue;
            };
            drop(state);
            match way.send_shared(frame) {
                Err((_, back)) if way.is_retired() => {
                    self.wait_past(&way, None);
                    frame = back;
                }
                sent => return sent.map_err(|(error, _)| error),
            }
        }
    }

    pub(super) fn skip(&self) {
        if self.config.delivery == Delivery::Every {
            return;
        }
        loop {
            let mut state = self.lock();
            let way = match &mut state.current {
                Current::Way(way) => way.clone(),
                Current::Between(between) => return between.skip(),
            };
            drop(state);
            if way.skip(1) {
                return;
            }
            self.wait_past(&way, None);
        }
    }

    /// Waits for a moment, on whichever way it comes.
    pub(super) fn wait_for(&self, moment: Moment, timeout: Duration) -> Result<ClosedReport, SendError> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let mut state = self.lock();
            let way = loop {
                if let Some(way) = state.way() {
                    break way.clone();
                }
                if let Some(failure) = &state.failure {
                    return Err(failure.clone());
                }
                if let Some(&Trouble::Refused { reason, limit, .. }) = state.trouble.as_ref().map(Troubles::latest)
                    && moment != Moment::Settled
                    && self.config.path == PathChoice::Shm
                {
                    return Err(SendError::Refused { peer: state.peer, reason, limit });
                }
                let is_shm = self.config.path == PathChoice::Shm;
                if let Current::Between(between) = &state.current
                    && between.waiting.is_empty()
                    && between.next.is_none()
                {
                    if moment == Moment::Settled {
                        return Ok(ClosedReport::default());
                    }
                    // Whoever had the stream has taken everything, and is gone before it said so.
                    if moment == Moment::Closed && is_shm && !state.marks.is_empty() {
                        let delivered = state.before.frames_delivered;
                        return Ok(ClosedReport { delivered, is_forgotten: true, ..ClosedReport::default() });
                    }
                }
                let peer = state.peer;
                let cause = state.trouble.as_ref().filter(|_| is_shm).map(Troubles::words);
                state = match self.wait(state, deadline) {
                    Some(again) => again,
                    None => {
                        return Err(match cause {
                            Some(cause) => SendError::NoSharedMemory { peer, cause },
                            None => SendError::Unanswered { peer, waited: timeout },
                        });
                    }
                };
            };
            drop(state);
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            match way.wait(moment, left) {
                Err(_) if way.is_retired() => {
                    if !self.wait_past(&way, deadline) {
                        return Err(SendError::Unanswered { peer: self.lock().peer, waited: timeout });
                    }
                }
                Err(SendError::Unanswered { .. }) => {
                    let peer = self.lock().peer;
                    return Err(SendError::Unanswered { peer, waited: timeout });
                }
                Ok(report) if moment == Moment::Closed => {
                    let delivered = self.lock().before.frames_delivered.saturating_add(report.delivered);
                    return Ok(ClosedReport { delivered, ..report });
                }
                result => return result,
            }
        }
    }

    /// No frame follows, on no way.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        let way = state.way().cloned();
        drop(state);
        if let Some(way) = way {
            way.close();
        }
    }

    /// Ends everything at once.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stop = true;
        let way = match &state.current {
            Current::Between(between) => between.next.clone(),
            Current::Way(way) => Some(way.clone()),
        };
        drop(state);
        self.stopping.wake();
        if let Some(way) = way {
            // The keeper may be waiting for it to take a frame, or to end.
            way.stop();
        }
        self.news.notify_all();
        self.changed.notify_all();
    }

    /// How the stream stands, with all that earlier ways have counted.
    pub(super) fn standing(&self) -> Standing {
        let state = self.lock();
        let (before, sent_floor) = (state.before, state.sent_floor);
        let mut standing = match &state.current {
            Current::Way(way) => {
                let way = way.clone();
                // No lock of a way is taken under this one: the program's threads need it for each frame.
                drop(state);
                let standing = way.standing();
                let closed = match standing.state {
                    SendState::Closed(report) => {
                        let delivered = before.frames_delivered.saturating_add(report.delivered);
                        SendState::Closed(ClosedReport { delivered, ..report })
                    }
                    other => other,
                };
                Standing { state: closed, ..standing }
            }
            Current::Between(between) => {
                let next = between.next.clone();
                let mut standing = Standing {
                    state: match state.trouble.as_ref().map(Troubles::latest) {
                        Some(Trouble::Refused { reason, limit, .. }) if self.config.path == PathChoice::Shm => {
                            SendState::Refused { reason: *reason, limit: *limit }
                        }
                        _ => SendState::Opening { attempts: state.attempts },
                    },
                    stats: between.stats(),
                    round_trip: Duration::from_millis(1),
                    slice_bytes: 0,
                    protection: None,
                    next_number: between.next_number,
                    failed: state.failure.is_some(),
                };
                drop(state);
                if let Some(next) = next {
                    add(&mut standing.stats, &next.standing().stats);
                }
                standing
            }
        };
        add(&mut standing.stats, &before);
        // Each number is a frame's, also of one that is on its way from one way to the next.
        standing.stats.frames = standing.next_number;
        standing.stats.frames_sent = standing.stats.frames_sent.max(sent_floor);
        standing
    }

    /// Whether a frame is of one of its ways.
    pub(super) fn has_given(&self, frame: &FrameMut) -> bool {
        self.lock().marks.iter().any(|mark| frame.is_marked(mark))
    }

    /// Nothing is sent any more: gives the way away.
    pub(super) fn take_way(&self) -> Current {
        std::mem::replace(&mut self.lock().current, Current::Between(Between::default()))
    }

    /// The way at present, which may have ended; `None` between two.
    pub(super) fn known_way(&self) -> Option<Arc<dyn Way>> {
        match &self.lock().current {
            Current::Way(way) => Some(way.clone()),
            Current::Between(_) => None,
        }
    }
}

/// Adds what another way has counted.
fn add(stats: &mut SendStats, other: &SendStats) {
    let SendStats {
        frames,
        frames_sent,
        frames_skipped,
        frames_no_credit,
        frames_abandoned,
        frames_delivered,
        slices,
        slices_resent,
        slices_parity,
        bytes,
        restarts,
        rejected,
    } = *other;
    stats.frames += frames;
    stats.frames_sent += frames_sent;
    stats.frames_skipped += frames_skipped;
    stats.frames_no_credit += frames_no_credit;
    stats.frames_abandoned += frames_abandoned;
    stats.frames_delivered += frames_delivered;
    stats.slices += slices;
    stats.slices_resent += slices_resent;
    stats.slices_parity += slices_parity;
    stats.bytes += bytes;
    stats.restarts += restarts;
    stats.rejected += rejected;
}
