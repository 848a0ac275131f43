//! Sends on what is received, to many, from the slots that it landed in: nothing is copied, and nobody is waited for.

mod batches;
mod config;
mod error;
mod leg;
#[cfg_attr(not(target_os = "linux"), path = "poller_by_poll.rs")]
mod poller;
#[cfg(all(test, target_os = "linux"))]
mod poller_by_poll;
#[cfg(test)]
mod poller_tests;
mod post;
mod sent_on;
mod stream;
#[cfg(test)]
mod tests;
mod watcher;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

pub use self::config::{RelayConfig, RelayStreamConfig, RelayTo};
pub use self::error::RelayError;
use self::post::{Post, Task};
pub use self::stream::{RelayStream, RelayStreamStats};
pub use self::watcher::Watcher;
use crate::frame::Consumer;
use crate::send::HELD_MAX;

/// Sends streams that this process has on to others, each to many: what a server does with what it receives, for those who watch from elsewhere. A few
/// threads, one by default, carry all of it.
///
/// Frames go from the slots that they are in: none is copied, and each of a stream's watchers holds it until it has it, but only while it is among the newest
/// three. Whoever is slower than that, or has stopped, is cut short, and costs the others nothing. On each path slices have the size that it carries.
///
/// ```
/// use framewire_transport::{Delivery, Receiver, ReceiverConfig, Sender, SenderConfig, FrameFormat, PixelFormat};
/// use framewire_transport::{ConsumerPolicy, Relay, RelayConfig, RelayStreamConfig, RelayTo};
///
/// let bind = || Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::new());
/// let (here, there) = (bind()?, bind()?);
/// let format = FrameFormat::new(PixelFormat::Gray8, 640, 480)?;
/// let camera = Sender::connect(here.local_addr(), SenderConfig::new(format))?;
/// let incoming = here.accept()?;
///
/// let relay = Relay::start(RelayConfig::new())?;
/// let stream = relay.stream(incoming.subscribe(ConsumerPolicy::Queue(3)), RelayStreamConfig::of(incoming.info()))?;
/// let watcher = stream.add(there.local_addr(), RelayTo::new(7))?;
///
/// let mut frame = camera.frame()?;
/// frame.fill(42);
/// camera.send(frame)?;
/// let watched = there.accept()?;
/// assert_eq!((watched.info().stream, watched.recv()?[0]), (7, 42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Relay {
    config: RelayConfig,
    workers: Vec<Worker>,
    /// Which of them gets the next stream.
    next: AtomicUsize,
    places: Arc<Places>,
}

/// One of its threads.
struct Worker {
    post: Arc<Post>,
    thread: Option<JoinHandle<()>>,
}

/// How many watchers there may be, and are.
struct Places {
    max: usize,
    taken: AtomicUsize,
    /// What the next stream or watcher is called between the threads.
    next_id: AtomicU64,
}

impl Places {
    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }
}

/// One watcher's place, until it is dropped.
struct Place(Arc<Places>);

impl Place {
    /// `None` where all are taken.
    fn take(places: &Arc<Places>) -> Option<Self> {
        let more = |taken: usize| (taken < places.max).then_some(taken + 1);
        let taken = places.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok().map(|_| Self(places.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Relay {
    /// Slots that the frames of a stream are in which is sent on, however many its watchers are: the newest three, and two of which slices are still leaving.
    pub const SLOTS: usize = HELD_MAX;

    /// Starts the threads.
    ///
    /// # Errors
    /// [`RelayError::OutOfRange`], and [`RelayError::System`] where there is no thread or descriptor.
    pub fn start(config: RelayConfig) -> Result<Self, RelayError> {
        for (what, value, max) in [("relay threads", config.workers, 64), ("watchers", config.watchers_max, 65_536)] {
            if !(1..=max).contains(&value) {
                return Err(RelayError::OutOfRange { what, value, min: 1, max });
            }
        }
        let places =
            Arc::new(Places { max: config.watchers_max, taken: AtomicUsize::new(0), next_id: AtomicU64::new(0) });
        let mut relay = Self { config, workers: Vec::new(), next: AtomicUsize::new(0), places };
        for _ in 0..relay.config.workers {
            let post = Arc::new(Post::new().map_err(RelayError::System)?);
            let thread = worker::start(post.clone(), &relay.config).map_err(RelayError::System)?;
            relay.workers.push(Worker { post, thread: Some(thread) });
        }
        Ok(relay)
    }

    /// Sends on what this consumer gets, which the relay takes itself: its policy is best [`ConsumerPolicy::Queue`](crate::ConsumerPolicy::Queue) of three. The stream's
    /// frames keep their numbers, with gaps where some are missing, their times and their metadata. Nothing of it leaves before somebody watches
    /// ([`RelayStream::add`]).
    ///
    /// The pool that the frames are in should have [`Relay::SLOTS`] more than without a relay. Of a ring of the program's own, each frame needs a number that is above the
    /// one before it ([`FrameInfo::number`](crate::FrameInfo::number)).
    ///
    /// # Errors
    /// [`RelayError::System`]: the system has no descriptor left. [`RelayError::Stopped`].
    pub fn stream(&self, consumer: Consumer, config: RelayStreamConfig) -> Result<RelayStream, RelayError> {
        let readiness = consumer.readiness().map_err(RelayError::System)?;
        let nth = self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        let post = self.workers[nth].post.clone();
        let (stream, feed) = RelayStream::new(post, self.places.clone(), self.config.clone(), config);
        stream.tell(|id| Task::Stream { id, consumer, readiness, feed })?;
        Ok(stream)
    }

    /// Watchers of all its streams, those among them whose streams are just closing.
    pub fn watchers(&self) -> usize {
        self.places.taken.load(Ordering::Acquire)
    }
}

/// Closes the streams to all watchers, and waits for that, at most [`RelayConfig::linger`].
impl Drop for Relay {
    fn drop(&mut self) {
        self.workers.iter().for_each(|worker| worker.post.stop());
        for worker in &mut self.workers {
            // Of one that panicked the log has told.
            let _ = worker.thread.take().map(JoinHandle::join);
        }
    }
}
