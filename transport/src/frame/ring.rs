//! Finished frames to consumers, each by its own rule, none able to slow another.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::holding::Account;
use super::lease::Frame;
use super::readiness::{self, Raised, Readiness, Tells};
use super::slots::SLOTS_MAX;
use crate::unpoisoned::unpoisoned;

/// What happens to frames that a consumer has not taken yet when a new one is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumerPolicy {
    /// Only the newest frame waits; older ones are dropped and counted.
    Latest,
    /// Up to this many frames wait (clamped to 1 to [`SLOTS_MAX`]); then the oldest is dropped and counted. They hold slots: as many as a
    /// stream has, and every slot waits here.
    Queue(usize),
    /// Every frame waits. The queue is bounded by the pool: frames that wait hold slots, and without a free slot the
    /// receiver grants no credit. A sender in `every` then waits; one in `latest` skips frames
    /// ([`SourceCounts::no_credit`](crate::SourceCounts::no_credit)).
    Block,
}

impl ConsumerPolicy {
    fn capacity(self) -> usize {
        match self {
            Self::Latest => 1,
            Self::Queue(frames) => frames.clamp(1, SLOTS_MAX),
            // As many as there can be slots: it cannot overflow.
            Self::Block => SLOTS_MAX,
        }
    }
}

/// How long a consumer is waited for that holds every slot, before it is told: another of its threads may give one back.
const HELD_PATIENCE: Duration = Duration::from_secs(1);

/// Why no frame came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The stream has ended and every frame that was waiting has been taken.
    #[error("the stream has ended")]
    Ended,
    /// No frame within the time given; the stream goes on.
    #[error("no frame arrived in time; the stream goes on")]
    Timeout,
    /// None can come: frames that this consumer has taken, and that have not been dropped, are in every slot there is.
    ///
    /// It counts this consumer alone. Two that hold every slot between them, or one beside frames that wait for another, are not told:
    /// they wait ([`Consumer::recv`]) or time out until one gives a slot back. [`ReceiveStats::frames_no_slot`] counts what a `latest`
    /// stream loses meanwhile; in `every` the sender waits.
    ///
    /// [`ReceiveStats::frames_no_slot`]: crate::ReceiveStats::frames_no_slot
    #[error(
        "all {slots} slots are held by frames that this consumer has taken, so that no other can come; drop some, copy what is to be kept, or ask for more slots"
    )]
    HoldsAllSlots {
        /// How many slots the stream has.
        slots: usize,
    },
    /// The hub that shares the stream from another process is gone. What was taken stays as it is, and the next call waits for frames
    /// again: they come once it is back.
    #[error(
        "the process that shares the stream is gone; what was taken stays as it is, and reading goes on when it is back"
    )]
    HubGone,
    /// The hub that shares the stream gives this reader no more frames.
    #[error(
        "the process that shares the stream gives this reader no more frames, since {why}; subscribe again, and take frames in time"
    )]
    CutOff {
        /// What the reader did.
        why: &'static str,
    },
    /// This process was forked from the one that subscribed.
    #[error("this process was forked from the one that subscribed, which alone may take its frames; subscribe here")]
    Forked,
}

/// Where finished frames are published. Clones share it. A receiver has one for each stream; a program needs one only to hand frames of
/// its own to several consumers.
#[derive(Clone, Default)]
pub struct FrameRing {
    shared: Arc<Mutex<RingState>>,
}

/// Who else gets the frames of a ring, beside its consumers: other processes.
pub(crate) trait Outlet: Send + Sync {
    /// A frame is finished. Neither blocks nor allocates.
    fn offer(&self, frame: &Frame);

    /// No frame follows.
    fn end(&self);
}

#[derive(Default)]
struct RingState {
    consumers: Vec<Arc<Mailbox>>,
    outlets: Vec<Arc<dyn Outlet>>,
    ended: bool,
}

/// One consumer's waiting frames.
struct Mailbox {
    policy: ConsumerPolicy,
    state: Mutex<MailboxState>,
    changed: Condvar,
}

struct MailboxState {
    waiting: VecDeque<Frame>,
    account: Account,
    raised: Raised,
    dropped: u64,
    /// Threads that wait for a frame: without one, none need be woken.
    readers: usize,
    ended: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, MailboxState> {
        unpoisoned(self.state.lock())
    }

    /// The next frame, or that there is none any more; `None` where it is still to come.
    fn take(&self, state: &mut MailboxState) -> Option<Result<Frame, RecvError>> {
        let Some(frame) = state.waiting.pop_front() else { return state.ended.then_some(Err(RecvError::Ended)) };
        let frame = frame.taken(&mut state.account);
        if state.readers > 0 && state.account.all_slots().is_some() {
            // For them too, no other can come.
            self.changed.notify_all();
        }
        Some(Ok(frame))
    }

    /// Gives the lock back, and has the descriptor say whether there is something to take.
    fn tell_readiness<'a>(&'a self, state: MutexGuard<'a, MailboxState>) {
        readiness::tell(state, || self.lock());
    }

    /// Waits until something has changed, or for so long.
    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, MailboxState>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, MailboxState> {
        state.readers += 1;
        let mut state = match timeout {
            None => unpoisoned(self.changed.wait(state)),
            Some(timeout) => unpoisoned(self.changed.wait_timeout(state, timeout)).0,
        };
        state.readers -= 1;
        state
    }
}

impl Tells for MailboxState {
    /// A frame or the end.
    fn has_something(&self) -> bool {
        !self.waiting.is_empty() || self.ended
    }

    fn raised(&mut self) -> &mut Raised {
        &mut self.raised
    }
}

impl MailboxState {
    /// Why a frame that is still to come is not there.
    fn why_none(&self) -> RecvError {
        self.account.all_slots().map_or(RecvError::Timeout, |slots| RecvError::HoldsAllSlots { slots })
    }
}

impl FrameRing {
    /// A ring without consumers.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, RingState> {
        unpoisoned(self.shared.lock())
    }

    /// A new consumer, which gets every frame published from now on, by its policy.
    pub fn subscribe(&self, policy: ConsumerPolicy) -> Consumer {
        self.add(policy, self.lock(), VecDeque::with_capacity(policy.capacity()), 0)
    }

    fn add(
        &self,
        policy: ConsumerPolicy,
        mut ring: MutexGuard<'_, RingState>,
        waiting: VecDeque<Frame>,
        dropped: u64,
    ) -> Consumer {
        let mailbox = Arc::new(Mailbox {
            policy,
            state: Mutex::new(MailboxState {
                waiting,
                account: Account::new(),
                raised: Raised::default(),
                dropped,
                readers: 0,
                ended: ring.ended,
            }),
            changed: Condvar::new(),
        });
        ring.consumers.push(mailbox.clone());
        drop(ring);
        Consumer { mailbox, ring: self.clone() }
    }

    /// Has every frame published from now on handed to `outlet` too.
    pub(crate) fn attach(&self, outlet: Arc<dyn Outlet>) {
        let mut ring = self.lock();
        if ring.ended {
            outlet.end();
        } else {
            ring.outlets.push(outlet);
        }
    }

    /// Hands a frame to every consumer. Never blocks on one and never allocates. Returns how many waiting frames were
    /// dropped to make room, over all consumers.
    pub fn publish(&self, frame: &Frame) -> u64 {
        let ring = self.lock();
        let mut dropped = 0;
        for mailbox in &ring.consumers {
            let mut state = mailbox.lock();
            if state.waiting.len() >= mailbox.policy.capacity() {
                state.waiting.pop_front();
                state.dropped += 1;
                dropped += 1;
            }
            // Whoever published it has given it away.
            state.waiting.push_back(frame.clone().given_away());
            let (somebody_waits, readiness) = (state.readers > 0, state.raised.raise());
            drop(state);
            if somebody_waits {
                mailbox.changed.notify_one();
            }
            if let Some(readiness) = readiness {
                readiness.raise();
            }
        }
        for outlet in &ring.outlets {
            outlet.offer(frame);
        }
        dropped
    }

    /// Ends the stream: consumers take what is waiting and then see [`RecvError::Ended`].
    pub fn end(&self) {
        let mut ring = self.lock();
        ring.ended = true;
        for mailbox in &ring.consumers {
            let mut state = mailbox.lock();
            state.ended = true;
            let readiness = state.raised.raise();
            drop(state);
            mailbox.changed.notify_all();
            if let Some(readiness) = readiness {
                readiness.raise();
            }
        }
        // Frames that they keep for who comes later are given back with them.
        for outlet in std::mem::take(&mut ring.outlets) {
            outlet.end();
        }
    }

    /// How many consumers there are.
    pub fn consumer_count(&self) -> usize {
        self.lock().consumers.len()
    }
}

/// One reader of a stream, with its own [`ConsumerPolicy`]: from [`IncomingStream::subscribe`](crate::IncomingStream::subscribe), or from a
/// [`FrameRing`] of one's own. It can be used by several threads; each frame goes to one of them. Dropping it unsubscribes.
pub struct Consumer {
    mailbox: Arc<Mailbox>,
    ring: FrameRing,
}

impl Consumer {
    /// The next frame by this consumer's policy; waits for it.
    ///
    /// # Errors
    /// [`RecvError::Ended`] after the last frame. [`RecvError::HoldsAllSlots`] where frames that were taken from this consumer have
    /// been in every slot for a second without one being given back: other threads may drop frames meanwhile, and the next call
    /// waits again.
    pub fn recv(&self) -> Result<Frame, RecvError> {
        self.recv_until(None)
    }

    /// As [`Consumer::recv`], but waits at most `timeout`.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] when none came, [`RecvError::HoldsAllSlots`] when none could come, [`RecvError::Ended`] after the last
    /// frame.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// The next frame if one is waiting.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] when none is, [`RecvError::HoldsAllSlots`] when none can be before a frame that was taken from this
    /// consumer is dropped, [`RecvError::Ended`] after the last frame.
    pub fn try_recv(&self) -> Result<Frame, RecvError> {
        let mut state = self.mailbox.lock();
        let taken = self.mailbox.take(&mut state).unwrap_or_else(|| Err(state.why_none()));
        self.mailbox.tell_readiness(state);
        taken
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<Frame, RecvError> {
        let mut state = self.mailbox.lock();
        // Since when, and after how many slots that were given back, every slot has been held.
        let mut held: Option<(Instant, usize)> = None;
        loop {
            if let Some(taken) = self.mailbox.take(&mut state) {
                self.mailbox.tell_readiness(state);
                return taken;
            }
            let now = Instant::now();
            let given_back = state.account.holdings().given_back();
            let patience = state.account.all_slots().map(|_| match held {
                Some((since, before)) if before == given_back => since,
                _ => held.insert((now, given_back)).0,
            });
            let patience = patience.map(|since| since + HELD_PATIENCE);
            let until = deadline.into_iter().chain(patience).min();
            if until.is_some_and(|until| until <= now) {
                let error = state.why_none();
                self.mailbox.tell_readiness(state);
                return Err(error);
            }
            state = self.mailbox.wait(state, until.map(|until| until - now));
        }
    }

    /// A descriptor that is readable while there is a frame to take or the end of the stream to learn of, for programs that wait for
    /// several things at once. It is taken from the system when it is first asked for; until then it costs nothing, after that a
    /// system call or two a frame.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn readiness(&self) -> io::Result<Readiness> {
        readiness::descriptor(self.mailbox.lock())
    }

    /// Another consumer of the same stream, with its own policy, from the next frame on.
    pub fn subscribe(&self, policy: ConsumerPolicy) -> Self {
        self.ring.subscribe(policy)
    }

    /// Another consumer, with its own policy, that begins where this one is: what waits here, it gets too. What it may not keep of
    /// that, by its policy, counts as dropped there.
    pub fn subscribe_here(&self, policy: ConsumerPolicy) -> Self {
        // With the ring's lock nothing is published meanwhile: no frame is missed, and none comes twice.
        let ring = self.ring.lock();
        let here = self.mailbox.lock();
        let dropped = here.waiting.len().saturating_sub(policy.capacity());
        let mut waiting = VecDeque::with_capacity(policy.capacity());
        waiting.extend(here.waiting.iter().skip(dropped).map(|frame| frame.clone().given_away()));
        drop(here);
        self.ring.add(policy, ring, waiting, dropped as u64)
    }

    /// The frames until the stream ends; waits for each.
    pub fn frames(&self) -> FrameIter<'_> {
        FrameIter { consumer: self }
    }

    /// Frames this consumer was too slow for, since it was made: they came, and newer ones took their place by its policy. Always 0 with
    /// [`ConsumerPolicy::Block`].
    pub fn dropped(&self) -> u64 {
        self.mailbox.lock().dropped
    }

    /// In how many slots there are frames that were taken from this consumer and are not dropped yet, clones of them and
    /// [`Bytes`](bytes::Bytes) made of them included. A frame that is sent on ([`Sender::send_shared`](crate::Sender::send_shared)) or
    /// published on another ring is not counted: it comes back by itself.
    pub fn slots_held(&self) -> usize {
        self.mailbox.lock().account.holdings().slots()
    }
}

/// The frames of a stream until it ends. In place of one, the reason why there can be none: [`RecvError::HoldsAllSlots`], and
/// nothing else.
pub struct FrameIter<'a> {
    consumer: &'a Consumer,
}

impl Iterator for FrameIter<'_> {
    type Item = Result<Frame, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.consumer.recv() {
            Err(RecvError::Ended) => None,
            next => Some(next),
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.ring.lock().consumers.retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FramePool;

    fn frames(pool: &FramePool, numbers: std::ops::Range<u64>) -> Vec<Frame> {
        numbers
            .map(|number| {
                let mut frame = pool.try_acquire().unwrap();
                frame.info.number = number;
                frame.freeze()
            })
            .collect()
    }

    fn taken(consumer: &Consumer) -> Vec<u64> {
        std::iter::from_fn(|| consumer.try_recv().ok()).map(|frame| frame.info().number).collect()
    }

    #[test]
    fn each_consumer_keeps_what_its_policy_says() {
        let pool = FramePool::new(8, 16).unwrap();
        let ring = FrameRing::new();
        let latest = ring.subscribe(ConsumerPolicy::Latest);
        let queue = latest.subscribe(ConsumerPolicy::Queue(3));
        let block = ring.subscribe(ConsumerPolicy::Block);
        let dropped: u64 = frames(&pool, 0..5).iter().map(|frame| ring.publish(frame)).sum();
        assert_eq!(taken(&latest), [4]);
        assert_eq!(taken(&queue), [2, 3, 4]);
        assert_eq!(taken(&block), [0, 1, 2, 3, 4]);
        assert_eq!((latest.dropped(), queue.dropped(), block.dropped(), dropped), (4, 2, 0, 6));
        assert_eq!(pool.free_count(), 8);
    }

    #[test]
    fn a_consumer_that_begins_where_another_is_gets_what_waits_there_and_all_that_follows() {
        let pool = FramePool::new(8, 16).unwrap();
        let ring = FrameRing::new();
        let first = ring.subscribe(ConsumerPolicy::Block);
        for frame in frames(&pool, 0..5) {
            ring.publish(&frame);
        }
        assert_eq!(first.recv().unwrap().info().number, 0);
        let (all, few) = (first.subscribe_here(ConsumerPolicy::Block), first.subscribe_here(ConsumerPolicy::Queue(3)));
        ring.publish(&frames(&pool, 5..6)[0]);
        ring.end();
        assert_eq!((taken(&first), taken(&all)), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4, 5]));
        assert_eq!((taken(&few), few.dropped()), (vec![3, 4, 5], 2));
        assert_eq!(first.subscribe_here(ConsumerPolicy::Latest).recv().unwrap_err(), RecvError::Ended);
        assert_eq!(pool.free_count(), 8);
    }

    #[test]
    fn a_consumer_takes_what_is_left_after_the_end_and_then_learns_of_it() {
        let pool = FramePool::new(2, 16).unwrap();
        let ring = FrameRing::new();
        let consumer = ring.subscribe(ConsumerPolicy::Block);
        ring.publish(&frames(&pool, 0..1)[0]);
        ring.end();
        assert_eq!(consumer.recv().unwrap().info().number, 0);
        assert_eq!(consumer.recv().unwrap_err(), RecvError::Ended);
        assert_eq!(ring.subscribe(ConsumerPolicy::Latest).recv().unwrap_err(), RecvError::Ended);
    }

    #[test]
    fn a_waiting_consumer_is_woken_by_a_frame_and_by_the_end() {
        let pool = FramePool::new(2, 16).unwrap();
        let ring = FrameRing::new();
        let consumer = ring.subscribe(ConsumerPolicy::Block);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| consumer.frames().count());
            ring.publish(&frames(&pool, 0..1)[0]);
            ring.end();
            assert_eq!(reader.join().unwrap(), 1);
        });
        assert_eq!(consumer.recv_timeout(Duration::ZERO).unwrap_err(), RecvError::Ended);
    }

    #[test]
    fn a_dropped_consumer_gives_its_frames_back() {
        let pool = FramePool::new(2, 16).unwrap();
        let ring = FrameRing::new();
        let consumer = ring.subscribe(ConsumerPolicy::Block);
        ring.publish(&frames(&pool, 0..1)[0]);
        drop(consumer);
        assert_eq!((pool.free_count(), ring.consumer_count()), (2, 0));
        assert_eq!(ring.publish(&frames(&pool, 1..2)[0]), 0);
    }
}
