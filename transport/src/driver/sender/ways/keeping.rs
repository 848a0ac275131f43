//! What the keeper does with the ways: has one end, hands what waits to the next, and notes why there is none.

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::{Current, LOOK_AGAIN, MARKS_KEPT, State, Ways};
use crate::driver::sender::SendError;
use crate::driver::sender::between::Waiting;
use crate::driver::sender::trouble::{Trouble, Troubles};
use crate::driver::sender::way::Way;
use crate::send::Pace;
use crate::unpoisoned::unpoisoned;
use crate::wire::PathKind;

impl Ways {
    /// Waits until something is told, or for so long.
    pub(in crate::driver::sender) fn wait_for_news<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match timeout {
            None => unpoisoned(self.news.wait(state)),
            Some(timeout) => unpoisoned(self.news.wait_timeout(state, timeout)).0,
        }
    }

    /// The number that the next way begins with, and its epoch.
    pub(in crate::driver::sender) fn beginning(&self) -> (u64, u32) {
        let mut state = self.lock();
        let epoch = state.epoch;
        let State { current, before, .. } = &mut *state;
        let first = match current {
            Current::Between(between) => {
                // Nobody need be told of what was skipped before the first frame.
                if let Some(&Waiting::Skipped(count)) = between.waiting.front() {
                    between.waiting.pop_front();
                    before.frames += count;
                    before.frames_skipped += count;
                }
                between.first_number()
            }
            Current::Way(_) => 0,
        };
        (first, epoch)
    }

    /// Has a way end; what it has not settled waits for the next. False where it stays.
    pub(in crate::driver::sender) fn leave(&self, way: &Arc<dyn Way>) -> bool {
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

    /// Goes on with a way that was made for a receiver at this address: hands it what waits, in order, and then has the program use it.
    pub(in crate::driver::sender) fn go_on_with(&self, way: Arc<dyn Way>, peer: SocketAddr) {
        let mark = way.pool().mark();
        let began_at = way.standing().next_number;
        if let Current::Between(between) = &self.lock().current
            && began_at < between.first_number()
        {
            way.begin_at(between.first_number());
        }
        loop {
            let mut state = self.lock();
            if state.stop {
                return;
            }
            let Current::Between(between) = &mut state.current else { return };
            let Some(waiting) = between.waiting.pop_front() else {
                tracing::debug!(stream = self.stream, path = %way.path(), "the stream goes on");
                // Under the lock: whoever moves or closes the stream from here on finds this way.
                if let Some(key) = &state.key {
                    way.set_key(key.clone());
                }
                if state.pace != Pace::default() {
                    way.set_pace(state.pace);
                }
                if state.peer != peer {
                    way.redirect(state.peer);
                }
                if state.closing {
                    way.close();
                }
                if state.marks.len() == MARKS_KEPT {
                    state.marks.pop_front();
                }
                state.marks.push_back(mark);
                state.current = Current::Way(way);
                state.failure = None;
                state.attempts = 0;
                drop(state);
                self.changed.notify_all();
                return;
            };
            between.next = Some(way.clone());
            drop(state);
            let (error, waiting) = match waiting {
                Waiting::Skipped(count) if way.skip(count) => continue,
                Waiting::Skipped(_) => (SendError::Closed, waiting),
                Waiting::Frame(frame) => match way.send_shared(frame) {
                    Ok(_) => continue,
                    Err((error, frame)) => (error, Waiting::Frame(frame)),
                },
            };
            if self.lock().stop {
                return;
            }
            let Some(carried) = way.retire() else {
                // It has the stream, and cannot go on at present.
                tracing::debug!(stream = self.stream, %error, "a frame waits");
                let mut state = self.lock();
                if let Current::Between(between) = &mut state.current {
                    between.waiting.push_front(waiting);
                }
                drop(self.wait_for_news(state, Some(LOOK_AGAIN)));
                continue;
            };
            self.lock().take_over(carried, Some(waiting), self.config.delivery);
            return;
        }
    }

    /// Notes why there is no way, or another one than was wished for.
    pub(in crate::driver::sender) fn note_trouble(&self, trouble: Trouble) {
        let mut state = self.lock();
        state.attempts = state.attempts.saturating_add(1);
        let words = trouble.words().to_owned();
        let is_news = match &mut state.trouble {
            Some(troubles) => troubles.note(trouble),
            none => {
                *none = Some(Troubles::new(trouble));
                true
            }
        };
        if is_news {
            tracing::warn!(
                stream = self.stream, peer = %state.peer, cause = words, "the stream does not go by shared memory"
            );
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(in crate::driver::sender) fn fail(&self, failure: SendError) {
        let mut state = self.lock();
        tracing::error!(stream = self.stream, error = %failure, "the stream has no way");
        state.failure = Some(failure);
        drop(state);
        self.changed.notify_all();
    }
}
