//! Finished frames to consumers, each by its own rule, none able to slow another.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::lease::Frame;
use super::slots::SLOTS_MAX;

/// What happens to frames that a consumer has not taken yet when a new one is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsumerPolicy {
    /// Only the newest frame waits; older ones are dropped and counted.
    Latest,
    /// Up to this many frames wait (clamped to 1 to [`SLOTS_MAX`]); then the oldest is dropped and counted.
    Queue(usize),
    /// Every frame waits. The queue is bounded by the pool: frames that wait hold slots, and without a free slot the
    /// receiver grants no credit, so the sender waits.
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
}

/// Where finished frames are published. Clones share it.
#[derive(Clone, Default)]
pub struct FrameRing {
    shared: Arc<Mutex<RingState>>,
}

#[derive(Default)]
struct RingState {
    consumers: Vec<Arc<Mailbox>>,
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
    dropped: u64,
    /// Threads that wait for a frame: without one, none need be woken.
    readers: usize,
    ended: bool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, MailboxState> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl FrameRing {
    /// A ring without consumers.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, RingState> {
        self.shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A new consumer, which gets every frame published from now on, by its policy.
    pub fn subscribe(&self, policy: ConsumerPolicy) -> Consumer {
        let mut ring = self.lock();
        let mailbox = Arc::new(Mailbox {
            policy,
            state: Mutex::new(MailboxState {
                waiting: VecDeque::with_capacity(policy.capacity()),
                dropped: 0,
                readers: 0,
                ended: ring.ended,
            }),
            changed: Condvar::new(),
        });
        ring.consumers.push(mailbox.clone());
        Consumer { mailbox, ring: self.clone() }
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
            state.waiting.push_back(frame.clone());
            let somebody_waits = state.readers > 0;
            drop(state);
            if somebody_waits {
                mailbox.changed.notify_one();
            }
        }
        dropped
    }

    /// Ends the stream: consumers take what is waiting and then see [`RecvError::Ended`].
    pub fn end(&self) {
        let mut ring = self.lock();
        ring.ended = true;
        for mailbox in &ring.consumers {
            mailbox.lock().ended = true;
            mailbox.changed.notify_all();
        }
    }

    /// How many consumers there are.
    pub fn consumer_count(&self) -> usize {
        self.lock().consumers.len()
    }
}

/// One reader of a ring.
pub struct Consumer {
    mailbox: Arc<Mailbox>,
    ring: FrameRing,
}

impl Consumer {
    /// The next frame by this consumer's policy; waits for it.
    ///
    /// # Errors
    /// [`RecvError::Ended`] after the last frame.
    pub fn recv(&self) -> Result<Frame, RecvError> {
        self.recv_until(None)
    }

    /// As [`Consumer::recv`], but waits at most `timeout`.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] when none came, [`RecvError::Ended`] after the last frame.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// The next frame if one is waiting.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] when none is, [`RecvError::Ended`] after the last frame.
    pub fn try_recv(&self) -> Result<Frame, RecvError> {
        Self::take(&mut self.mailbox.lock())
    }

    fn take(state: &mut MailboxState) -> Result<Frame, RecvError> {
        match state.waiting.pop_front() {
            Some(frame) => Ok(frame),
            None if state.ended => Err(RecvError::Ended),
            None => Err(RecvError::Timeout),
        }
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<Frame, RecvError> {
        let mut state = self.mailbox.lock();
        loop {
            match Self::take(&mut state) {
                Err(RecvError::Timeout) => {}
                done => return done,
            }
            state.readers += 1;
            state = match deadline {
                None => self.mailbox.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        state.readers -= 1;
                        return Err(RecvError::Timeout);
                    }
                    self.mailbox.changed.wait_timeout(state, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0
                }
            };
            state.readers -= 1;
        }
    }

    /// Another consumer of the same stream, with its own policy, from the next frame on.
    pub fn subscribe(&self, policy: ConsumerPolicy) -> Self {
        self.ring.subscribe(policy)
    }

    /// Frames this consumer was too slow for.
    pub fn dropped(&self) -> u64 {
        self.mailbox.lock().dropped
    }
}

impl Iterator for &Consumer {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        self.recv().ok()
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
            let reader = scope.spawn(|| (&consumer).count());
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
