//! What the program's threads and the sending thread share: frames on their way to it, wishes, and what it publishes of the stream.
//! Nothing slow is done under the lock: no parity is made, no system call but a wake-up follows from it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::SendError;
use super::way::Carried;
use crate::backend::Waker;
use crate::crypto::{Key, Suite};
use crate::frame::{Frame, SLOTS_MAX};
use crate::send::{Pace, SendState, SendStats, SlotNeed, Subscriber};
use crate::unpoisoned::unpoisoned;
use crate::wire::Delivery;

/// What the program hands over, in order.
#[derive(Debug)]
pub(in crate::driver) enum HandedOver {
    Frame(Frame),
    /// So many frames that the source had no slot for, or that were replaced by newer ones before the sending thread came to them.
    Skipped(u64),
}

/// What the program wants of the sending thread.
#[derive(Debug, Default)]
pub(in crate::driver) struct Wishes {
    /// To end at once.
    pub(in crate::driver) stop: bool,
    /// No frame follows.
    pub(in crate::driver) close: bool,
    /// A source waits for a slot: frames of which nothing has been sent are to be dropped, in `latest`.
    pub(in crate::driver) room: bool,
    /// The receiver is at this address.
    pub(in crate::driver) redirect: Option<SocketAddr>,
    /// It has this key.
    pub(in crate::driver) key: Option<Key>,
    /// To send so.
    pub(in crate::driver) pace: Option<Pace>,
    /// To have nothing leave and nothing come in, if the stream is not open, or to go on.
    pub(in crate::driver) pause: Option<bool>,
    /// To give everything back, if the stream is not open: another way takes it.
    pub(in crate::driver) retire: bool,
}

/// The stream, as it was when the sending thread last looked up.
#[derive(Debug, Clone, Copy)]
pub(in crate::driver) struct Figures {
    pub(in crate::driver) state: SendState,
    pub(in crate::driver) stats: SendStats,
    pub(in crate::driver) round_trip: Duration,
    pub(in crate::driver) slice_bytes: u16,
    pub(in crate::driver) suite: Option<Suite>,
    slots: SlotNeed,
    /// Every frame below `next_number` is settled.
    is_settled: bool,
    next_number: u64,
}

impl Figures {
    pub(in crate::driver) fn of(subscriber: &Subscriber) -> Self {
        Self {
            state: subscriber.state(),
            stats: *subscriber.stats(),
            round_trip: subscriber.round_trip(),
            slice_bytes: subscriber.slice_bytes(),
            suite: subscriber.suite(),
            slots: subscriber.slot_need(),
            is_settled: subscriber.is_settled(),
            next_number: subscriber.next_number(),
        }
    }

    /// Counts what the stream is still to learn of.
    fn count(&mut self, handed_over: &HandedOver) {
        match handed_over {
            HandedOver::Frame(_) => self.stats.frames += 1,
            HandedOver::Skipped(count) => {
                self.stats.frames += count;
                self.stats.frames_skipped += count;
            }
        }
    }
}

/// The queue between the threads.
pub(in crate::driver) struct Handover {
    state: Mutex<State>,
    changed: Condvar,
    waker: Waker,
    /// The sending thread sleeps, or is about to: it must be woken.
    asleep: AtomicBool,
    /// Told when the stream has become open, or was and is not any more.
    on_change: Box<dyn Fn() + Send + Sync>,
}

/// What stands under the lock.
pub(in crate::driver) struct State {
    delivery: Delivery,
    queue: VecDeque<HandedOver>,
    /// Frames in the queue.
    frames: usize,
    next_number: u64,
    wishes: Wishes,
    /// Something was handed over or wished that the sending thread has not taken.
    is_untaken: bool,
    pub(in crate::driver) peer: SocketAddr,
    pub(in crate::driver) failure: Option<SendError>,
    figures: Figures,
    /// Threads that wait for `changed`: without one, a change need not be told.
    waiting: usize,
    paused: bool,
    retirement: Retirement,
    /// There is no sending thread any more.
    ended: bool,
}

/// Whether the stream goes on another way.
enum Retirement {
    /// Nobody has asked.
    NotAsked,
    /// It is for the sending thread to say.
    Asked,
    /// It gave back what it had; until that is taken.
    Retired(Option<Carried>),
}

impl State {
    /// What is known of the stream; what the sending thread has not looked at is counted, too.
    pub(in crate::driver) fn figures(&self) -> Figures {
        let mut figures = self.figures;
        self.queue.iter().for_each(|handed_over| figures.count(handed_over));
        figures
    }

    /// Frames and skipped ones so far.
    pub(in crate::driver) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Whether every frame that was handed over is settled.
    pub(in crate::driver) fn is_settled(&self) -> bool {
        self.figures.is_settled && self.figures.next_number == self.next_number
    }

    /// Whether no frame is taken any more.
    pub(in crate::driver) fn is_closing(&self) -> bool {
        self.wishes.close
    }

    /// Whether the stream has left this way.
    pub(in crate::driver) fn is_retired(&self) -> bool {
        matches!(self.retirement, Retirement::Retired(_))
    }

    /// Slots that a source needs which finds none of its `held` ones free.
    pub(in crate::driver) fn slots_wanted(&self, held: usize) -> usize {
        self.figures.slots.wanted(held, self.frames)
    }

    fn push_skipped(&mut self, count: u64) {
        match self.queue.back_mut() {
            Some(HandedOver::Skipped(before)) => *before += count,
            _ => self.queue.push_back(HandedOver::Skipped(count)),
        }
    }

    /// In `latest`, takes the frames out that wait; they keep their numbers. At most one does, since each replaces the one before.
    fn drop_replaceable(&mut self) -> Option<Frame> {
        if self.delivery == Delivery::Every || self.frames == 0 {
            return None;
        }
        let (mut skipped, mut replaced) = (0, None);
        for handed_over in self.queue.drain(..) {
            match handed_over {
                HandedOver::Skipped(count) => skipped += count,
                HandedOver::Frame(frame) => {
                    skipped += 1;
                    replaced = Some(frame);
                }
            }
        }
        self.frames = 0;
        self.push_skipped(skipped);
        replaced
    }
}

impl Handover {
    pub(in crate::driver) fn new(subscriber: &Subscriber, delivery: Delivery, peer: SocketAddr, waker: Waker) -> Self {
        let state = State {
            delivery,
            queue: VecDeque::with_capacity(2 * SLOTS_MAX),
            frames: 0,
            next_number: subscriber.next_number(),
            wishes: Wishes::default(),
            is_untaken: false,
            peer,
            failure: None,
            figures: Figures::of(subscriber),
            waiting: 0,
            paused: false,
            retirement: Retirement::NotAsked,
            ended: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            waker,
            asleep: AtomicBool::new(false),
            on_change: Box::new(|| {}),
        }
    }

    /// The same, which calls `on_change` on the sending thread when the stream has become open, or was and is not any more.
    pub(in crate::driver) fn telling_of_changes(self, on_change: impl Fn() + Send + Sync + 'static) -> Self {
        Self { on_change: Box::new(on_change), ..self }
    }

    pub(in crate::driver) fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }

    /// The sending thread sleeps on this.
    pub(in crate::driver) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Hands a frame over and returns its number. Waits while as many wait as a pool can have slots; only frames of other pools
    /// are so many.
    ///
    /// # Errors
    /// What was given, with the reason: the stream is closed or cannot go on.
    pub(in crate::driver) fn push<T>(&self, given: T, freeze: impl FnOnce(T) -> Frame) -> Result<u64, (SendError, T)> {
        let mut state = self.lock();
        let replaced = loop {
            // Of a stream that has left, whoever asks goes on elsewhere.
            let is_over = state.is_closing() || state.is_retired() || state.wishes.stop || state.ended;
            let failure = if is_over { Some(SendError::Closed) } else { state.failure.clone() };
            if let Some(error) = failure {
                return Err((error, given));
            }
            let replaced = state.drop_replaceable();
            if state.frames + state.figures.slots.in_stream() < SLOTS_MAX || state.delivery == Delivery::Latest {
                break replaced;
            }
            state = self.wait(state, None);
        };
        let number = state.next_number;
        state.next_number += 1;
        state.frames += 1;
        state.queue.push_back(HandedOver::Frame(freeze(given)));
        state.is_untaken = true;
        // It replaces what waits, which gives its slot to whoever wished for one.
        state.wishes.room = false;
        drop(state);
        // Its slot comes free, which may wake somebody.
        drop(replaced);
        self.wake();
        Ok(number)
    }

    /// Counts so many frames that the source had no slot for. In `every`, where the source waits instead, it does nothing. False where the
    /// stream has left.
    pub(in crate::driver) fn skip(&self, count: u64) -> bool {
        let mut state = self.lock();
        if state.is_retired() {
            return false;
        }
        if state.delivery == Delivery::Latest {
            state.next_number += count;
            state.push_skipped(count);
            state.is_untaken = true;
            drop(state);
            self.wake();
        }
        true
    }

    /// In `latest`, has the frames dropped that nothing has been sent of: those in the queue at once, those that the sending thread
    /// has by that.
    pub(in crate::driver) fn make_room(&self) {
        let mut state = self.lock();
        if state.delivery == Delivery::Every {
            return;
        }
        let replaced = state.drop_replaceable();
        let is_there = replaced.is_some();
        if !is_there {
            state.wishes.room = true;
            state.is_untaken = true;
        }
        drop(state);
        drop(replaced);
        if !is_there {
            self.wake();
        }
    }

    /// Tells the sending thread something.
    pub(in crate::driver) fn wish(&self, wish: impl FnOnce(&mut Wishes, &mut SocketAddr)) {
        let mut state = self.lock();
        let State { wishes, peer, .. } = &mut *state;
        wish(wishes, peer);
        state.is_untaken = true;
        drop(state);
        self.wake();
    }

    /// Has the sending thread end at once, and whoever waits return.
    pub(in crate::driver) fn stop(&self) {
        self.wish(|wishes, _| wishes.stop = true);
        self.waker.wake();
        self.changed.notify_all();
    }

    /// Waits until `done` says something.
    ///
    /// # Errors
    /// The stream cannot go on, or `timeout` is over.
    pub(in crate::driver) fn wait_for<T>(
        &self,
        timeout: Duration,
        done: impl Fn(&State) -> Option<Result<T, SendError>>,
    ) -> Result<T, SendError> {
        // A time that no clock will show: without end.
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        loop {
            if let Some(result) = done(&state) {
                return result;
            }
            if state.is_retired() || state.wishes.stop {
                return Err(SendError::Closed);
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(SendError::Unanswered { peer: state.peer, waited: timeout });
            }
            state = self.wait(state, left);
        }
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>, timeout: Option<Duration>) -> MutexGuard<'a, State> {
        state.waiting += 1;
        let mut state = match timeout {
            None => unpoisoned(self.changed.wait(state)),
            Some(timeout) => unpoisoned(self.changed.wait_timeout(state, timeout)).0,
        };
        state.waiting -= 1;
        state
    }

    fn wake(&self) {
        if self.asleep.swap(false, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// For the sending thread: takes what was handed over, in order, behind what `into` has, and what is wished.
    pub(in crate::driver) fn take(&self, into: &mut VecDeque<HandedOver>) -> Wishes {
        let mut state = self.lock();
        // Until it is published again, what is known has it.
        state.figures = state.figures();
        into.append(&mut state.queue);
        let taken = std::mem::take(&mut state.frames);
        state.figures.slots.count_taken(taken);
        state.is_untaken = false;
        if state.wishes.retire {
            state.retirement = Retirement::Asked;
        }
        // What ends a stream stays wished, and a pause until it is noted.
        let Wishes { stop, close, pause, .. } = state.wishes;
        std::mem::replace(&mut state.wishes, Wishes { stop, close, pause, ..Wishes::default() })
    }

    /// Has the sending thread pause, where the stream is not open; the lowest number that is not settled, or `None` where it does not.
    pub(in crate::driver) fn pause(&self) -> Option<u64> {
        self.wish(|wishes, _| wishes.pause = Some(true));
        let mut state = self.lock();
        while state.wishes.pause.is_some() && !state.wishes.stop && !state.ended {
            state = self.wait(state, None);
        }
        let unsettled = match state.delivery {
            Delivery::Every => (state.figures.slots.in_stream() + state.frames) as u64,
            Delivery::Latest => 0,
        };
        state.paused.then(|| state.next_number - unsettled)
    }

    /// For the sending thread, which was asked to pause, or to go on.
    pub(in crate::driver) fn note_paused(&self, paused: bool, figures: Figures) {
        let mut state = self.lock();
        state.paused = paused;
        // What was taken is in the figures, and nothing is settled from here on.
        state.figures = figures;
        state.wishes.pause = None;
        drop(state);
        self.changed.notify_all();
    }

    /// Has it give back what it has, or waits until it has; `None` where the stream stays, or has no thread any more.
    pub(in crate::driver) fn leave(&self) -> Option<Carried> {
        if !self.lock().is_retired() {
            self.wish(|wishes, _| wishes.retire = true);
        }
        let mut state = self.lock();
        loop {
            if let Retirement::Retired(carried) = &mut state.retirement {
                return carried.take();
            }
            let is_asked = matches!(state.retirement, Retirement::Asked) || state.wishes.retire;
            if !is_asked || state.wishes.stop || state.ended {
                return None;
            }
            state = self.wait(state, None);
        }
    }

    /// For the sending thread, which ends.
    pub(in crate::driver) fn note_end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// For the sending thread, which was asked to retire: gives back all that it has and all that waits, if it may.
    pub(in crate::driver) fn retire(
        &self,
        give_back: impl FnOnce(&mut VecDeque<HandedOver>) -> Option<Carried>,
    ) -> bool {
        let mut state = self.lock();
        let State { queue, retirement, frames, .. } = &mut *state;
        let carried = give_back(queue);
        let retires = carried.is_some();
        if retires {
            *frames = 0;
            *retirement = Retirement::Retired(carried);
        } else {
            *retirement = Retirement::NotAsked;
        }
        drop(state);
        self.changed.notify_all();
        retires
    }

    /// For the sending thread: whether it is to end at once.
    pub(in crate::driver) fn is_stopped(&self) -> bool {
        self.lock().wishes.stop
    }

    /// For the sending thread: publishes how the stream is by now. Where it has nothing left to do (`idle`), returns whether it may
    /// sleep: nothing was handed over or wished since it last took it, and from now on it is woken for that.
    pub(in crate::driver) fn publish(&self, figures: Figures, idle: bool) -> bool {
        let mut state = self.lock();
        let was_open = state.figures.state == SendState::Open;
        let is_open = figures.state == SendState::Open;
        let is_closed = matches!(figures.state, SendState::Closed(_));
        state.figures = figures;
        let may_sleep = idle && !state.is_untaken;
        if may_sleep {
            // Under the lock: what comes after this wakes us.
            self.asleep.store(true, Ordering::Release);
        }
        let somebody_waits = state.waiting > 0;
        drop(state);
        if somebody_waits {
            self.changed.notify_all();
        }
        if was_open != is_open && !is_closed {
            (self.on_change)();
        }
        may_sleep
    }

    /// For the sending thread: says that the stream cannot go on, or that it can again.
    pub(in crate::driver) fn set_failure(&self, failure: Option<SendError>) {
        let mut state = self.lock();
        state.failure = failure;
        drop(state);
        self.changed.notify_all();
    }

    /// For the sending thread: it does not sleep any more.
    pub(in crate::driver) fn note_awake(&self) {
        self.asleep.store(false, Ordering::Release);
    }
}
