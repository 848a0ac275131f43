//! What the threads of one local sender share, and its lock: under it words in memory are read and written, and nothing else. What takes a system
//! call is noted there, and done once the lock has been given back, so that no thread of the program waits for it.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::frame::{Frame, FramePool, SLOTS_MAX};
use crate::send::{ClosedReport, SendStats};
use crate::share::inlet::source::{Connection, Source, provide};
use crate::share::layout::InletCounts;
use crate::time::Time;
use crate::unpoisoned::unpoisoned;
use crate::wire::Delivery;

/// Why the way has ended, where its hub has.
pub(super) const HUB_GONE: &str = "the program that shares streams there has ended, or has let the stream go";

pub(super) struct Shared {
    pub(super) delivery: Delivery,
    pub(super) pool: FramePool,
    pub(super) connection: Connection,
    state: Mutex<State>,
    changed: Condvar,
}

pub(super) struct State {
    pub(super) source: Source,
    /// Handed over and not settled: the receiver may still read them, or may never have come to.
    pub(super) committed: VecDeque<(u64, Frame)>,
    /// In `latest`, the newest, in the last slot that there is.
    pub(super) pending: Option<(u64, Frame)>,
    /// Whether a slot is left to the source.
    pub(super) keeps_spare: bool,
    pub(super) first: u64,
    pub(super) next_number: u64,
    pub(super) settled: u64,
    pub(super) stats: SendStats,
    /// Threads that wait for a slot, or for something to be settled.
    pub(super) waiting: usize,
    pub(super) closing: bool,
    close_said: bool,
    pub(super) closed: Option<ClosedReport>,
    /// Why the way has ended by itself.
    pub(super) ended: Option<String>,
    pub(super) retired: bool,
    due: Due,
}

/// What is to be done once the lock has been given back.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Due {
    /// The hub sleeps and has something to take in.
    wakes: bool,
    /// No frame follows.
    closes: bool,
    /// Slots that are granted for the first time, a bit each: their pages are to be mapped.
    fresh: u64,
}

impl State {
    /// For a stream that begins with this number, with the slots that it has been granted.
    pub(super) fn new(source: Source, first: u64, keeps_spare: bool) -> Self {
        Self {
            source,
            committed: VecDeque::with_capacity(SLOTS_MAX),
            pending: None,
            keeps_spare,
            first,
            next_number: first,
            settled: first,
            stats: SendStats::default(),
            waiting: 0,
            closing: false,
            close_said: false,
            closed: None,
            ended: None,
            retired: false,
            due: Due::default(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.retired || self.ended.is_some()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_none() && self.settled >= self.next_number
    }

    /// Whether the hub has been told that no frame follows.
    pub(super) fn has_said_close(&self) -> bool {
        self.close_said
    }

    fn counts(&self) -> InletCounts {
        InletCounts {
            next: self.pending.as_ref().map_or(self.next_number, |(number, _)| *number),
            no_credit: self.stats.frames_no_credit,
        }
    }

    /// Takes in what the hub has granted and settled, and hands over what waited for that.
    pub(super) fn collect(&mut self, pool: &FramePool) {
        let Self { source, committed, settled, stats, first, next_number, .. } = self;
        let fresh = source.take_granted(|below, delivered| {
            // Of a hub that keeps to no rule, no more than there is.
            *settled = below.min(*next_number).max(*settled);
            stats.frames_delivered = delivered.min(*settled - *first).max(stats.frames_delivered);
            while committed.pop_front_if(|(number, _)| *number < *settled).is_some() {}
        });
        self.due.fresh |= fresh;
        if self.pending.is_some() && pool.free_count() > 0 && !self.is_over() {
            self.commit_pending(pool);
        }
    }

    pub(super) fn commit_pending(&mut self, pool: &FramePool) {
        if let Some((number, frame)) = self.pending.take() {
            self.commit(number, frame, pool);
        }
    }

    pub(super) fn commit(&mut self, number: u64, frame: Frame, pool: &FramePool) {
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
        self.source.commit(slot, parts, counts);
        self.wake_hub();
    }

    /// Has a hub that sleeps look at what was told.
    pub(super) fn wake_hub(&mut self) {
        self.due.wakes |= self.source.takes_to_wake();
    }

    /// Tells what was skipped.
    pub(super) fn tell(&self) {
        self.source.tell(self.counts());
    }

    /// Counts frames that were never handed over.
    pub(super) fn skip(&mut self, count: u64, is_no_credit: bool) {
        self.next_number += count;
        self.stats.frames += count;
        self.stats.frames_skipped += count;
        self.stats.frames_no_credit += if is_no_credit { count } else { 0 };
        self.tell();
        if self.waiting > 0 {
            // With nothing after it, nobody else wakes the hub for it.
            self.wake_hub();
        }
    }

    /// In `latest`, gives up the frame that waits, for a newer one.
    pub(super) fn drop_pending(&mut self) -> Option<Frame> {
        let (_, frame) = self.pending.take()?;
        self.stats.frames_skipped += 1;
        self.stats.frames_no_credit += 1;
        Some(frame)
    }

    pub(super) fn close_if_due(&mut self) {
        if self.closing && !self.close_said && self.pending.is_none() && !self.is_over() {
            self.tell();
            (self.due.closes, self.close_said) = (true, true);
        }
    }
}

impl Shared {
    pub(super) fn new(delivery: Delivery, pool: FramePool, connection: Connection, state: State) -> Self {
        Self { delivery, pool, connection, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> Locked<'_> {
        Locked { shared: self, guard: Some(unpoisoned(self.state.lock())) }
    }

    /// Whoever waits for the state to change looks at it again.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Has the hub wake this end, and takes in what has come by then.
    pub(super) fn look(&self, state: &mut State) {
        state.source.ask_to_be_woken();
        state.collect(&self.pool);
    }

    /// Does what was due when the lock was given back.
    fn carry_out(&self, mut due: Due) {
        while due != Due::default() {
            if due.wakes {
                self.connection.wake_hub();
            }
            // A socket that is full of what a hub does not read is as good as none.
            let failed = if due.closes { self.connection.close().err() } else { None };
            provide(&self.pool, due.fresh);
            if due.fresh == 0 && failed.is_none() {
                return;
            }
            let mut state = unpoisoned(self.state.lock());
            if let Some(error) = failed {
                state.ended.get_or_insert_with(|| error.to_string());
                // The way's thread tells of the end.
                self.connection.hang_up();
                self.changed.notify_all();
            }
            // A frame may have waited for such a slot.
            state.collect(&self.pool);
            due = std::mem::take(&mut state.due);
        }
    }
}

/// The state, locked. What is due is done once the lock has been given back.
pub(super) struct Locked<'a> {
    shared: &'a Shared,
    /// There, but while it is being dropped.
    guard: Option<MutexGuard<'a, State>>,
}

impl Locked<'_> {
    /// Gives the lock back until something changes, for so long at most; it may not have.
    pub(super) fn wait(mut self, timeout: Duration) -> Self {
        let shared = self.shared;
        let Some(guard) = self.guard.take_if(|state| state.due == Due::default()) else {
            // What is due first may be what is waited for.
            drop(self);
            return shared.lock();
        };
        let (guard, _) = unpoisoned(shared.changed.wait_timeout(guard, timeout));
        Self { shared, guard: Some(guard) }
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.guard.as_deref().expect("taken by wait and drop alone, which keep nothing of it")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.guard.as_deref_mut().expect("taken by wait and drop alone, which keep nothing of it")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut guard) = self.guard.take() else { return };
        let due = std::mem::take(&mut guard.due);
        drop(guard);
        self.shared.carry_out(due);
    }
}
