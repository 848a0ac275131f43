//! A topic's messages on their way to the middleware: a queue, and a thread that hands on as many as are safe at once.
//!
//! The middleware sends an image in one burst, and what a subscriber's socket has no room for is sent again slowly. So the next one goes when those that fill such a
//! socket have arrived; until then images wait here, and the oldest gives way where too many do.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use framewire_ends::STEP;
use framewire_process::lock::lock;
use rustdds::bytes::Bytes;
use rustdds::{GUID, RTPSEntity, WriteOptionsBuilder};

use super::Shared;
use super::topic::Counts;
use crate::ros::camera_info::CAMERA_INFO;
use crate::ros::domain::IMAGE;
use crate::ros::names::TopicName;
use crate::ros::quality::Reliable;
use crate::ros::serialized::Writer;

/// An image, and what belongs to it.
pub(super) struct Message {
    pub(super) image: Bytes,
    /// Bytes of its pixels.
    pub(super) pixels: usize,
    pub(super) info: Option<Bytes>,
}

/// A topic's queue, and the thread that empties it.
pub(super) struct Writing {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    depth: usize,
    counts: Arc<Counts>,
}

struct State {
    waiting: VecDeque<Message>,
    /// The writer of images, as the domain knows it.
    writer: GUID,
    /// Since when no more comes.
    over: Option<Instant>,
    /// As many were written as are wanted.
    has_enough: bool,
}

/// How long nothing may arrive before what is on its way is let go: longer than it takes to send a little of it again, and no longer than people look at a picture that
/// stands still.
const BEGUN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long what waits at the end may take to leave, and what is on its way to arrive.
const FAREWELL: Duration = Duration::from_secs(1);

impl Writing {
    /// Begins the topic, for frames of so many bytes.
    ///
    /// # Errors
    /// The middleware refuses, or the system has no thread.
    pub(super) fn begin(
        shared: &Arc<Shared>,
        name: TopicName,
        bytes: usize,
        counts: Arc<Counts>,
    ) -> Result<Self, String> {
        let mut domain = shared.domain();
        let (images, times) = (domain.writer(&name, IMAGE, shared.quality.holding(bytes))?, domain.times);
        drop(domain);
        let state = State { waiting: VecDeque::new(), writer: images.guid(), over: None, has_enough: false };
        let depth = shared.quality.depth.into();
        let queue = Arc::new(Queue { state: Mutex::new(state), changed: Condvar::new(), depth, counts });
        let emptying = Emptying {
            shared: shared.clone(),
            queue: queue.clone(),
            name,
            times,
            bytes,
            images,
            infos: None,
            since: Instant::now(),
            told_of_slow: false,
            told_of_infos: false,
        };
        let thread = thread::Builder::new().name("framewire-writes".into()).spawn(move || emptying.run());
        let thread = thread.map_err(|error| format!("no thread to write it in: {error}; raise `ulimit -u`"))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// The writer of images, as the domain knows it.
    pub(super) fn writer(&self) -> GUID {
        lock(&self.queue.state).writer
    }

    /// Has a message written; the oldest gives way where too many wait.
    pub(super) fn push(&self, message: Message) {
        let mut state = lock(&self.queue.state);
        if state.has_enough {
            self.queue.counts.frames.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        state.waiting.push_back(message);
        if state.waiting.len() > self.queue.depth {
            let oldest = state.waiting.pop_front();
            self.queue.counts.slow.fetch_add(1, Ordering::Relaxed);
            drop(state);
            drop(oldest);
        }
        self.queue.changed.notify_all();
    }

    /// No more comes: what waits and what is on its way has its time, which is not waited for here.
    pub(super) fn end(&self) {
        lock(&self.queue.state).over.get_or_insert_with(Instant::now);
        self.queue.changed.notify_all();
    }

    /// Whether that time is over.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until it is over; the writer of images that was the last.
    pub(super) fn finish(mut self) -> GUID {
        self.wait();
        self.writer()
    }

    /// One whose thread does this alone.
    #[cfg(test)]
    pub(super) fn doing(work: impl FnOnce() + Send + 'static) -> Self {
        let state = State { waiting: VecDeque::new(), writer: GUID::GUID_UNKNOWN, over: None, has_enough: false };
        let (state, counts) = (Mutex::new(state), Arc::default());
        let queue = Arc::new(Queue { state, changed: Condvar::new(), depth: 1, counts });
        Self { queue, thread: Some(thread::spawn(work)) }
    }

    fn wait(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            // One that has panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.wait();
    }
}

/// What the thread has.
struct Emptying {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    name: TopicName,
    /// The how manieth time in the domain its writers are of.
    times: u64,
    /// Bytes of the frames that the writer was made for.
    bytes: usize,
    images: Writer,
    /// Once metadata has had intrinsics.
    infos: Option<Writer>,
    /// When the middleware took one last.
    since: Instant,
    told_of_slow: bool,
    told_of_infos: bool,
}

impl Emptying {
    fn run(mut self) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        while let Some(message) = self.next() {
            if message.pixels != self.bytes {
                self.bytes = message.pixels;
                self.begin_again();
            }
            if let Some(info) = message.info {
                self.write_info(info, &waker);
            }
            self.since = Instant::now();
            while !written(&self.images, &message.image, &waker) {
                if self.lock().over.is_some() {
                    self.count_what_is_left(1);
                    self.forget_infos();
                    return;
                }
                self.tell_of_slow();
                if self.since.elapsed() >= BEGUN_AGAIN_AFTER {
                    self.begin_again();
                }
            }
            if self.count(message.pixels) {
                self.forget_the_rest();
                break;
            }
        }
        if self.shared.quality.reliable == Reliable::Reliable {
            let _ = self.images.wait_for_acknowledgments(FAREWELL);
        }
        self.forget_infos();
    }

    /// The next message; `None` at the end.
    fn next(&mut self) -> Option<Message> {
        loop {
            let nothing = |state: &mut State| state.waiting.is_empty() && state.over.is_none();
            let waited = self.queue.changed.wait_timeout_while(lock(&self.queue.state), STEP, nothing);
            let (mut state, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
            if state.over.is_some_and(|since| since.elapsed() >= FAREWELL) {
                drop(state);
                self.count_what_is_left(0);
                return None;
            }
            if let Some(message) = state.waiting.pop_front() {
                return Some(message);
            }
            if state.over.is_some() {
                return None;
            }
            drop(state);
            if self.shared.domain().times != self.times {
                self.begin_again();
            }
        }
    }

    /// Counts an image; whether that is all that are wanted.
    fn count(&self, pixels: usize) -> bool {
        let counts = &self.queue.counts;
        counts.bytes.fetch_add(pixels as u64, Ordering::Relaxed);
        let published = counts.published.fetch_add(1, Ordering::Relaxed) + 1;
        let is_enough = self.shared.frames_max.is_some_and(|frames| published >= frames);
        if is_enough {
            self.shared.stop.stop();
        }
        is_enough
    }

    /// What waits beyond the limit was not wanted, and nothing that comes is.
    fn forget_the_rest(&self) {
        let mut state = self.lock();
        state.has_enough = true;
        let rest = std::mem::take(&mut state.waiting);
        self.queue.counts.frames.fetch_sub(rest.len() as u64, Ordering::Relaxed);
    }

    /// Those that wait at the end are not written, and neither are so many others.
    fn count_what_is_left(&self, others: u64) {
        let left = self.lock().waiting.len() as u64 + others;
        self.queue.counts.slow.fetch_add(left, Ordering::Relaxed);
    }

    /// Lets what is on its way go, and its writer with it: what stands still, or takes long to be sent again, holds up nothing any more.
    fn begin_again(&mut self) {
        self.since = Instant::now();
        let mut domain = self.shared.domain();
        domain.forget(self.images.guid());
        if std::mem::replace(&mut self.times, domain.times) != domain.times {
            // It is of an earlier time in the domain, and at its end.
            self.infos = None;
        }
        let images = domain.writer(&self.name, IMAGE, self.shared.quality.holding(self.bytes));
        drop(domain);
        match images {
            Ok(images) => {
                self.lock().writer = images.guid();
                // Another stream may have the name already, where this one is given up.
                let before = self.images.guid();
                if let Some(entry) =
                    lock(&self.shared.topics).get_mut(&self.name).filter(|entry| entry.writer == before)
                {
                    entry.writer = images.guid();
                }
                self.images = images;
            }
            Err(reason) => {
                tracing::warn!("{} cannot be written for now: {reason}; that is tried on", self.name)
            }
        }
    }

    /// Calibrations are told no more.
    fn forget_infos(&self) {
        if let Some(infos) = &self.infos {
            self.shared.domain().forget(infos.guid());
        }
    }

    fn write_info(&mut self, info: Bytes, waker: &Waker) {
        if self.infos.is_none() {
            let name = self.name.beside("camera_info");
            match self.shared.domain().writer(&name, CAMERA_INFO, self.shared.quality) {
                Ok(writer) => self.infos = Some(writer),
                Err(reason) => {
                    if !std::mem::replace(&mut self.told_of_infos, true) {
                        tracing::warn!("{name} cannot be published: {reason}");
                    }
                }
            }
        }
        // Where there is no room for so little, its subscriber stands still: no image waits for that.
        if self.infos.as_ref().is_some_and(|infos| written_at_once(infos, &info, waker)) {
            self.queue.counts.infos.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tell_of_slow(&mut self) {
        let is_behind = self.lock().waiting.len() + 1 >= self.queue.depth;
        if is_behind && !std::mem::replace(&mut self.told_of_slow, true) {
            tracing::warn!(
                "{}: a subscriber is slow or stands still, and {} images wait: the oldest give way from now on, and are counted; make it faster, have it ask for \
                 best-effort images, or let more wait by --depth",
                self.name,
                self.queue.depth
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.queue.state)
    }
}

/// Wakes a thread that waits for room.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Hands a message to the middleware, which may take a moment to have room; whether it had.
fn written(writer: &Writer, message: &Bytes, waker: &Waker) -> bool {
    offered(writer, message, waker, STEP)
}

fn written_at_once(writer: &Writer, message: &Bytes, waker: &Waker) -> bool {
    offered(writer, message, waker, Duration::ZERO)
}

fn offered(writer: &Writer, message: &Bytes, waker: &Waker, patience: Duration) -> bool {
    // Without this, what is best-effort is cut wherever the socket is full, which each large image is once.
    let options = WriteOptionsBuilder::new().best_effort_may_block(true).build();
    let mut write = pin!(writer.async_write_with_options(message.clone(), options));
    let until = Instant::now() + patience;
    loop {
        match write.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(result) => return result.is_ok(),
            Poll::Pending => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // One that was woken for something else asks once more.
        thread::park_timeout(left);
    }
}
