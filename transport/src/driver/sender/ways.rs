//! The ways that a stream takes one after the other, without a frame getting lost in between: what a program sends goes on with the one at
//! present; between two, it waits here.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::SendError;
use super::config::SenderConfig;
use super::error::NotSent;
use super::path::{PathChoice, PathKind};
use super::way::{Carried, Moment, Standing, Trouble, Way};
use crate::frame::{Frame, FrameMut, PoolMark, SLOTS_MAX};
use crate::send::{ClosedReport, SendState, SendStats};
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
}

pub(super) struct State {
    pub(super) current: Current,
    pub(super) peer: SocketAddr,
    /// Where the receiver shares its streams, if it has said so.
    pub(super) invitation: Option<Invitation>,
    /// What earlier ways have counted.
    before: SendStats,
    /// Why the stream does not go by shared memory, or has left it.
    pub(super) trouble: Option<Trouble>,
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

/// What waits for the next way.
#[derive(Default)]
pub(super) struct Between {
    frames: VecDeque<Frame>,
    next_number: u64,
    /// What the frames are being handed to; it takes none of the program's yet.
    next: Option<Arc<dyn Way>>,
}

impl Between {
    fn first_number(&self) -> u64 {
        self.next_number - self.frames.len() as u64
    }
}

impl State {
    /// The way, unless it has ended.
    fn way(&self) -> Option<&Arc<dyn Way>> {
        match &self.current {
            Current::Way(way) => Some(way).filter(|way| !way.is_retired()),
            Current::Between(_) => None,
        }
    }

    /// Takes in what a way has left, which is the current one or the next; `unsent` comes behind what it gives back.
    fn take_over(&mut self, carried: Carried, unsent: Option<Frame>, delivery: Delivery) {
        add(&mut self.before, &carried.counted(delivery));
        let next_number = carried.next_number;
        let mut frames = VecDeque::from(carried.frames);
        frames.extend(unsent);
        let between = match &mut self.current {
            Current::Between(between) => {
                between.next = None;
                frames.append(&mut between.frames);
                between.frames = frames;
                return;
            }
            Current::Way(_) => Between { frames, next_number, next: None },
        };
        self.current = Current::Between(between);
    }
}

impl Ways {
    /// Without a way yet.
    pub(super) fn new(peer: SocketAddr, config: SenderConfig, stream: u32) -> Self {
        let state = State {
            current: Current::Between(Between::default()),
            peer,
            invitation: config.share.clone(),
            before: SendStats::default(),
            trouble: None,
            attempts: 0,
            failure: None,
            closing: false,
            stop: false,
            redirected: false,
            marks: VecDeque::new(),
        };
        Self { config, stream, state: Mutex::new(state), changed: Condvar::new(), news: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }

    /// A way has changed by itself: the keeper looks at it.
    pub(super) fn tell_keeper(&self) {
        // Under the lock: the keeper has looked before, or waits.
        drop(self.lock());
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

    pub(super) fn frame_timeout(&self, timeout: Duration) -> Result<Option<FrameMut>, SendError> {
        let deadline = Instant::now().checked_add(timeout);
        while let Some(way) = self.way(deadline)? {
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            match way.frame_timeout(left) {
                Ok(None) if way.is_retired() => {}
                Err(_) if way.is_retired() => {}
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
                if matches!(state.current, Current::Between(_)) {
                    match self.put_between(state, frame, FrameMut::freeze) {
                        Ok(number) => return Ok(number),
                        Err(back) => frame = back,
                    }
                } else {
                    // The keeper is about to look at it.
                    drop(self.wait(state, Instant::now().checked_add(LOOK_AGAIN)));
                }
                continue;
            };
            if !frame.is_of(way.pool()) {
                let is_ours = state.marks.iter().any(|mark| frame.is_marked(mark));
                drop(state);
                if !is_ours {
                    return Err(NotSent::new(SendError::Foreign, frame));
                }
                frame = match self.moved(&way, frame) {
                    Ok(frame) => frame,
                    Err((error, frame)) if !way.is_retired() => return Err(NotSent::new(error, frame)),
                    Err((_, frame)) => frame,
                };
                continue;
            }
            drop(state);
            match way.send(frame) {
                Err(NotSent { frame: Some(back), .. }) if way.is_retired() => frame = *back,
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
                Ok(None) if !way.is_retired() && !self.lock().stop => {}
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
        let State { current: Current::Between(between), before, .. } = &mut *state else { return Err(given) };
        let mut replaced = None;
        if self.config.delivery == Delivery::Latest {
            replaced = between.frames.pop_front();
            count_skipped(before, u64::from(replaced.is_some()));
        } else if between.frames.len() >= WAITING_MAX {
            drop(self.wait(state, Instant::now().checked_add(LOOK_AGAIN)));
            return Err(given);
        }
        let number = between.next_number;
        between.next_number += 1;
        between.frames.push_back(freeze(given));
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
                if matches!(state.current, Current::Between(_)) {
                    match self.put_between(state, frame, Frame::given_away) {
                        Ok(number) => return Ok(number),
                        Err(back) => frame = back,
                    }
                } else {
                    drop(self.wait(state, Instant::now().checked_add(LOOK_AGAIN)));
                }
                continue;
            };
            drop(state);
            match way.send_shared(frame) {
                Err((_, back)) if way.is_retired() => frame = back,
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
            if let Some(way) = state.way().cloned() {
                drop(state);
                if way.skip() {
                    return;
                }
                continue;
            }
            let State { current, before, .. } = &mut *state;
            if let Current::Between(between) = current {
                let replaced = between.frames.pop_front();
                between.next_number += 1;
                count_skipped(before, 1 + u64::from(replaced.is_some()));
                drop(state);
                drop(replaced);
                return;
            }
            drop(self.wait(state, Instant::now().checked_add(LOOK_AGAIN)));
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
                if let Some(Trouble::Refused { reason, limit, .. }) = state.trouble
                    && moment != Moment::Settled
                    && self.config.path == PathChoice::Shm
                {
                    return Err(SendError::Refused { peer: state.peer, reason, limit });
                }
                let peer = state.peer;
                let cause = state.trouble.as_ref().map(|trouble| trouble.words().to_owned());
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
                Err(_) if way.is_retired() => {}
                Err(SendError::Unanswered { peer, .. }) => return Err(SendError::Unanswered { peer, waited: timeout }),
                Err(SendError::NoSharedMemory { cause, .. }) => {
                    let peer = self.lock().peer;
                    return Err(SendError::NoSharedMemory { peer, cause });
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
        let next = match &mut state.current {
            Current::Between(between) => between.next.clone(),
            Current::Way(_) => None,
        };
        drop(state);
        if let Some(next) = next {
            // The keeper may be waiting for it to take a frame.
            next.retire();
        }
        self.news.notify_all();
        self.changed.notify_all();
    }

    /// How the stream stands, with all that earlier ways have counted.
    pub(super) fn standing(&self) -> Standing {
        let state = self.lock();
        let mut standing = match &state.current {
            Current::Way(way) => {
                let way = way.clone();
                let standing = way.standing();
                let closed = match standing.state {
                    SendState::Closed(report) => {
                        let delivered = state.before.frames_delivered.saturating_add(report.delivered);
                        SendState::Closed(ClosedReport { delivered, ..report })
                    }
                    other => other,
                };
                Standing { state: closed, ..standing }
            }
            Current::Between(between) => Standing {
                state: match &state.trouble {
                    Some(Trouble::Refused { reason, limit, .. }) if self.config.path == PathChoice::Shm => {
                        SendState::Refused { reason: *reason, limit: *limit }
                    }
                    _ => SendState::Opening { attempts: state.attempts },
                },
                stats: SendStats { frames: between.frames.len() as u64, ..SendStats::default() },
                round_trip: Duration::from_millis(1),
                slice_bytes: 0,
                next_number: between.next_number,
                failed: state.failure.is_some(),
            },
        };
        add(&mut standing.stats, &state.before);
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

    /// The way at present, or the last one where it has ended.
    pub(super) fn known_way(&self) -> Option<Arc<dyn Way>> {
        match &self.lock().current {
            Current::Way(way) => Some(way.clone()),
            Current::Between(_) => None,
        }
    }
}

/// What the keeper does with the ways.
impl Ways {
    /// Waits until something is told, or for so long.
    pub(super) fn wait_for_news<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match timeout {
            None => unpoisoned(self.news.wait(state)),
            Some(timeout) => unpoisoned(self.news.wait_timeout(state, timeout)).0,
        }
    }

    /// The number of the first frame that the next way is to send.
    pub(super) fn first_number(&self) -> u64 {
        match &self.lock().current {
            Current::Between(between) => between.first_number(),
            Current::Way(way) => way.standing().next_number,
        }
    }

    /// Has a way end; what it has not settled waits for the next. False where it stays.
    pub(super) fn leave(&self, way: &Arc<dyn Way>) -> bool {
        let Some(carried) = way.retire() else { return false };
        let mut state = self.lock();
        let waiting = carried.frames.len();
        tracing::debug!(stream = self.stream, path = %way.path(), waiting, "the stream leaves its way");
        state.take_over(carried, None, self.config.delivery);
        if way.path() == PathKind::Shm {
            state.before.restarts += 1;
        }
        state.attempts = 0;
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Goes on with a way: hands it what waits, in order, and then has the program use it. False where it ended meanwhile.
    pub(super) fn go_on_with(&self, way: Arc<dyn Way>) -> bool {
        let mark = way.pool().mark();
        loop {
            let mut state = self.lock();
            if state.stop {
                return true;
            }
            let State { current, closing, marks, .. } = &mut *state;
            let Current::Between(between) = current else { return true };
            let Some(frame) = between.frames.pop_front() else {
                if *closing {
                    way.close();
                }
                tracing::debug!(stream = self.stream, path = %way.path(), "the stream goes on");
                if marks.len() == MARKS_KEPT {
                    marks.pop_front();
                }
                marks.push_back(mark);
                *current = Current::Way(way);
                state.failure = None;
                state.attempts = 0;
                drop(state);
                self.changed.notify_all();
                return true;
            };
            between.next = Some(way.clone());
            drop(state);
            let Err((error, frame)) = way.send_shared(frame) else { continue };
            let Some(carried) = way.retire() else {
                tracing::error!(stream = self.stream, %error, "a frame was not sent");
                continue;
            };
            self.lock().take_over(carried, Some(frame), self.config.delivery);
            return false;
        }
    }

    /// Notes why there is no way, or another one than was wished for.
    pub(super) fn note_trouble(&self, trouble: Trouble) {
        let mut state = self.lock();
        state.attempts = state.attempts.saturating_add(1);
        if state.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(
                stream = self.stream, peer = %state.peer, cause = trouble.words(), "the stream does not go by shared memory"
            );
            state.trouble = Some(trouble);
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn fail(&self, failure: SendError) {
        let mut state = self.lock();
        tracing::error!(stream = self.stream, error = %failure, "the stream has no way");
        state.failure = Some(failure);
        drop(state);
        self.changed.notify_all();
    }
}

fn count_skipped(stats: &mut SendStats, frames: u64) {
    stats.frames += frames;
    stats.frames_skipped += frames;
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
