//! One reader of a stream, as the hub sees it: its leases, its alarm, and how it ends.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::alarm::Alarm;
use crate::frame::memfd::Right;
use crate::frame::{ConsumerPolicy, Hold};
use crate::share::ReaderFigures;
use crate::share::layout::Control;
use crate::share::lease::{Lender, Overflow};
use crate::share::memory::Shared;
use crate::share::messages::{End, Wanted};
use crate::share::points::{Point, at};
use crate::time::Time;
use crate::unpoisoned::unpoisoned;

/// How long a reader is still looked after for which no frame waits any more.
const CALM: Duration = Duration::from_millis(200);

/// How often a reader may owe the hub a word, at most: no more of its messages than that wait at a socket.
const OWED_MAX: u64 = 1_024;

/// Who reads.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// What the program calls itself.
    pub(super) name: String,
    pub(super) pid: u32,
    pub(super) uid: u32,
    /// It runs as another user, and is woken where that keeps no frame waiting.
    pub(super) is_foreign: bool,
    /// What it was granted.
    pub(super) wanted: Wanted,
}

/// One reader's place at a stream. What holds its lock neither waits nor makes a system call but to wake the reader.
pub(super) struct Seat {
    reading: Reading,
    control: Shared<Control>,
    state: Mutex<SeatState>,
}

struct SeatState {
    /// What it is known by among the readers that are there; 0 before it is one of them.
    number: usize,
    lender: Lender<Hold>,
    alarm: Alarm,
    /// It is to be woken by the hub's thread.
    must_ring: bool,
    /// No frame follows: it is told so once what waits is on offer.
    ending: Option<End>,
    is_told: bool,
    /// Since when frames wait for it without its taking any, where they do: and how many it had taken.
    stuck: Option<(u64, Time)>,
    /// When frames were last seen to wait for it, where the hub's thread looks after it for that.
    waited: Option<Time>,
    /// How often it was asked to tell when it takes or gives back something, and has not.
    asked: u64,
    /// It was expelled, and the log does not say so yet: whoever publishes does not write it.
    unsaid: Option<End>,
    /// Slots that it has a right to.
    reserved: usize,
}

impl Seat {
    /// A place, and the end of the pipe that the reader sleeps on.
    ///
    /// # Errors
    /// The system has no memory or descriptor left.
    pub(super) fn new(reading: Reading) -> io::Result<(Self, OwnedFd)> {
        let control = Shared::new("framewire-control", 1, Right::Write)?;
        let (alarm, sleeping) = Alarm::new()?;
        let Wanted { overflow, words, hold } = reading.wanted;
        let state = SeatState {
            number: 0,
            lender: Lender::new(overflow, words.into(), hold.into()),
            alarm,
            must_ring: false,
            ending: None,
            is_told: false,
            stuck: None,
            waited: None,
            asked: 0,
            unsaid: None,
            reserved: Self::quota(&reading.wanted),
        };
        Ok((Self { reading, control, state: Mutex::new(state) }, sleeping))
    }

    /// Slots that a reader takes of those for readers.
    pub(super) fn quota(wanted: &Wanted) -> usize {
        usize::from(wanted.words) + usize::from(wanted.hold)
    }

    /// The control page's file, for the reader.
    pub(super) fn control_file(&self) -> BorrowedFd<'_> {
        self.control.file()
    }

    /// Before the reader takes part, on the hub's own thread: see [`Shared::seal_writes`].
    ///
    /// # Errors
    /// The reader has sealed the page against it.
    pub(super) fn seal(&self) -> Result<(), crate::frame::memfd::Unsealable> {
        self.control.seal_writes()
    }

    pub(super) fn reading(&self) -> &Reading {
        &self.reading
    }

    pub(super) fn number(&self) -> usize {
        self.lock().number
    }

    pub(super) fn set_number(&self, number: usize) {
        self.lock().number = number;
    }

    /// A frame was published. Returns whether the hub's thread has to look at this reader. What it has given back is [collected](Seat::collect)
    /// after that.
    pub(super) fn offer(&self, frame: Hold) -> bool {
        self.act(|lender, control| lender.offer(control, frame.slot(), frame))
    }

    /// Takes back what the reader has given back. Returns whether the hub's thread has to look at it.
    pub(super) fn collect(&self) -> bool {
        self.act(Lender::collect)
    }

    /// As [`Seat::collect`], and has the reader say when it gives something back from here on.
    pub(super) fn starve(&self) -> bool {
        let mut state = self.lock();
        state.asked = OWED_MAX.min(state.asked + 1);
        drop(state);
        self.act(Lender::starve)
    }

    /// The reader tells that it has taken or given back something. Returns whether it was asked to.
    pub(super) fn told(&self, now: Time, patience: Duration) -> bool {
        let asked = self.lock().asked;
        if self.collect() {
            self.tend(now, patience);
        }
        let mut state = self.lock();
        state.asked = state.asked.saturating_sub(1);
        asked > 0
    }

    /// The reader wants no more frames: it keeps those that it has taken until it gives them back or is gone. Returns how many slots it has no
    /// right to any more.
    pub(super) fn leave(&self) -> usize {
        let mut state = self.lock();
        if state.lender.has_left() {
            return 0;
        }
        state.lender.leave(&self.control[0]);
        let kept = state.lender.held().min(state.reserved);
        let left = state.reserved - kept;
        state.reserved = kept;
        self.settle(&mut state, false);
        left
    }

    /// Slots that it has a right to.
    pub(super) fn reserved(&self) -> usize {
        self.lock().reserved
    }

    /// No frame follows: once what waits is on offer, the reader is told so.
    pub(super) fn end(&self, end: End) {
        let mut state = self.lock();
        state.ending.get_or_insert(end);
        self.settle(&mut state, false);
    }

    /// The hub is gone: whatever waits, nothing more comes.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.ending.get_or_insert(End::Hub);
        self.tell_end(&mut state);
    }

    fn act(&self, act: impl FnOnce(&mut Lender<Hold>, &Control) -> bool) -> bool {
        let mut state = self.lock();
        let must_wake = act(&mut state.lender, &self.control[0]);
        self.settle(&mut state, must_wake)
    }

    /// After each step: whoever broke the rules is out, whoever is at the end is told so, and whoever sleeps is woken.
    fn settle(&self, state: &mut SeatState, must_wake: bool) -> bool {
        if state.lender.misconduct().is_some() && state.ending.is_none_or(|end| end != End::Misconduct) {
            self.expel(state, End::Misconduct);
            return true;
        }
        if !state.is_told && state.ending.is_some() && !state.lender.has_waiting() {
            self.tell_end(state);
        }
        let waits = state.lender.has_waiting();
        state.asked = OWED_MAX.min(state.asked + u64::from(waits));
        let is_to_be_looked_after = waits && state.waited.is_none();
        if is_to_be_looked_after {
            state.waited = Some(Time::ZERO);
        }
        if must_wake && !state.is_told {
            if self.reading.is_foreign {
                state.must_ring = true;
                return true;
            }
            self.ring(state);
        }
        is_to_be_looked_after || state.unsaid.is_some()
    }

    /// Says on the page why no frame follows, and closes the pipe, which wakes whoever sleeps on it and stays readable.
    fn tell_end(&self, state: &mut SeatState) {
        if let Some(end) = state.ending {
            state.is_told = true;
            self.control[0].told.ended.store(end as u32, Ordering::Release);
            state.alarm.close();
        }
    }

    /// It gets no more frames and is woken no more; what it holds is its own until it is gone.
    fn expel(&self, state: &mut SeatState, end: End) {
        if state.ending == Some(end) {
            return;
        }
        state.unsaid = Some(end);
        state.ending = Some(end);
        // What it has not taken, by what it says: whoever does not keep to that reads what is not a frame any more.
        state.lender.quarantine(&self.control[0]);
        self.tell_end(state);
    }

    /// It broke the rules elsewhere than on its page.
    pub(super) fn expel_for_misconduct(&self) {
        self.expel(&mut self.lock(), End::Misconduct);
    }

    fn ring(&self, state: &mut SeatState) {
        state.alarm.ring();
        at(Point::Offered);
        if state.alarm.is_too_dear() {
            self.expel(state, End::Costly);
        }
    }

    /// What the hub's thread does for it: wakes it where that was left to it, and loses patience where frames have waited too long for it.
    pub(super) fn tend(&self, now: Time, patience: Duration) {
        let mut state = self.lock();
        if self.reading.wanted.overflow == Overflow::Wait && !state.lender.is_quarantined() {
            // What it took by itself is not known before it is looked for.
            let must_wake = state.lender.collect(&self.control[0]);
            self.settle(&mut state, must_wake);
            let taken = state.lender.counts().taken;
            let waits = state.lender.has_waiting();
            match state.stuck.filter(|(before, _)| waits && taken == *before) {
                Some((_, since)) if now.since(since) >= patience => self.expel(&mut state, End::TooSlow),
                Some(_) => {}
                None => state.stuck = waits.then_some((taken, now)),
            }
            state.waited = match state.waited {
                _ if waits => Some(now),
                Some(at) if now.since(at) < CALM => Some(at),
                _ => None,
            };
        }
        if std::mem::take(&mut state.must_ring) {
            self.ring(&mut state);
        }
        let unsaid = state.unsaid.take();
        drop(state);
        if let Some(end) = unsaid {
            let Reading { name, pid, uid, .. } = &self.reading;
            tracing::warn!(reader = name, pid, uid, why = ?end, "a reader in another process gets no more frames");
        }
    }

    /// Whether frames wait for it, or did just now, so that it has to be looked at now and then.
    pub(super) fn is_waited_for(&self) -> bool {
        let state = self.lock();
        state.waited.is_some() && !state.lender.is_quarantined()
    }

    /// Who it is, and its account as of now: [`Seat::collect`] finds out what it has taken since the last frame.
    pub(super) fn figures(&self) -> ReaderFigures {
        let state = self.lock();
        let counts = state.lender.counts();
        let Reading { name, pid, uid, wanted, .. } = &self.reading;
        ReaderFigures {
            seat: state.number,
            name: name.clone(),
            pid: *pid,
            uid: *uid,
            policy: policy(wanted),
            offered: counts.offered,
            taken: counts.taken,
            dropped: counts.dropped,
            held: state.lender.held(),
            waiting: usize::try_from(counts.waiting).unwrap_or(usize::MAX),
            wake_cpu: state.alarm.cost(),
            quarantined: state.ending.is_some_and(End::is_expulsion),
        }
    }

    /// The reader is gone: all that it had is free.
    pub(super) fn dismiss(&self) {
        let mut state = self.lock();
        state.alarm.close();
        let leases = std::mem::replace(&mut state.lender, Lender::new(Overflow::Replace, 1, 1));
        drop(state);
        drop(leases);
    }

    fn lock(&self) -> MutexGuard<'_, SeatState> {
        unpoisoned(self.state.lock())
    }
}

/// What a reader asked for, as it is called in a process.
fn policy(wanted: &Wanted) -> ConsumerPolicy {
    match (wanted.overflow, wanted.words) {
        (Overflow::Wait, _) => ConsumerPolicy::Block,
        (Overflow::Replace, 1) => ConsumerPolicy::Latest,
        (Overflow::Replace, words) => ConsumerPolicy::Queue(words.into()),
    }
}
