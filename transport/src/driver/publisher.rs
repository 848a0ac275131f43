//! Streams of a program's own, for other processes of its machine: a hub without a network.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::sender::{NotSent, SendError, check_frame};
use crate::backend::wall_clock;
use crate::frame::{
    Consumer, ConsumerPolicy, FrameFormat, FrameMut, FramePool, FrameRing, METADATA_MAX, PoolInMaking, Presentation,
    SLOTS_MAX, TIME_BYTES,
};
use crate::setters;
use crate::share::hub::{Hub, SharedStream, StreamToShare, slots_with_readers};
use crate::share::{ReaderFigures, ShareConfig, ShareError};
use crate::time::Time;
use crate::unpoisoned::unpoisoned;
use crate::utc::UtcOffset;
use crate::wire::{Delivery, open_of};

/// How long a comparison of the clocks is good for.
const CLOCKS_COMPARED: Duration = Duration::from_secs(1);

/// Shares streams of this program with other processes of its machine, which read them in place: no network, no copy. One that is to be read from
/// elsewhere too goes to a [`Receiver`](crate::Receiver) by a [`Sender`](crate::Sender).
///
/// ```
/// use framewire_transport::share::{Endpoint, Reader, ShareConfig};
/// use framewire_transport::{ConsumerPolicy, FrameFormat, PixelFormat, PublishConfig, Publisher};
///
/// # let folder = std::env::temp_dir().join(format!("framewire-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("cameras.sock");
/// let endpoint = Endpoint::path(path)?;
/// let publisher = Publisher::bind(ShareConfig::new(endpoint.clone()))?;
/// let front = publisher.stream("front", PublishConfig::new(FrameFormat::new(PixelFormat::Gray8, 640, 480)?))?;
///
/// // In any other process:
/// let subscription = Reader::connect(endpoint)?.subscribe("front", ConsumerPolicy::Latest)?;
///
/// let mut frame = front.frame()?;
/// frame.fill(7);
/// front.send(frame)?;
/// assert!(subscription.recv()?.iter().all(|gray| *gray == 7));
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Publisher {
    hub: Arc<Hub>,
}

/// What a stream is that a program publishes: [`PublishConfig::new`], and what is to be different from that.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PublishConfig {
    /// The format of every frame.
    pub format: FrameFormat,
    /// In `latest` (the default) whoever comes gets the newest frame at once; in `every` it begins with the next.
    pub delivery: Delivery,
    /// What the source says of its pictures: their rate, shape, range. By default nothing.
    pub presentation: Presentation,
    /// Slots for frames that are being written and that consumers of this process have, 1 to 39, 4 by default. Readers in other processes
    /// have [slots of their own](ShareConfig::reader_slots) besides; with those they are 63 at most.
    pub slots: usize,
    /// Bytes of metadata that a frame may have at most; 4,096 by default, and no more than that.
    pub metadata_max: usize,
}

impl PublishConfig {
    /// The defaults for frames of a format.
    pub fn new(format: FrameFormat) -> Self {
        Self {
            format,
            delivery: Delivery::Latest,
            presentation: Presentation::UNKNOWN,
            slots: 4,
            metadata_max: METADATA_MAX,
        }
    }

    setters! {
        format: FrameFormat,
        delivery: Delivery,
        presentation: impl Into<Presentation>,
        slots: usize,
        metadata_max: usize,
    }
}

impl Publisher {
    /// Listens for readers.
    ///
    /// # Errors
    /// The socket cannot be there, another program has it, or the system has no descriptor or thread left; [`ShareError::OutOfRange`].
    pub fn bind(config: ShareConfig) -> Result<Self, ShareError> {
        let hub = Hub::bind(&config)?;
        hub.begin();
        Ok(Self { hub: Arc::new(hub) })
    }

    /// Begins a stream. Of two of one name, readers find the one that was begun last.
    ///
    /// # Errors
    /// [`ShareError::Name`]; [`ShareError::OutOfRange`]; no memory; [`ShareError::Forked`] in a child process.
    pub fn stream(&self, name: &str, config: PublishConfig) -> Result<PublishedStream, ShareError> {
        let PublishConfig { format, delivery, presentation, slots, metadata_max } = config;
        let max = SLOTS_MAX.saturating_sub(1 + self.hub.config().reader_slots);
        if !(1..=max).contains(&slots) {
            return Err(ShareError::OutOfRange { what: "slots of a published stream", value: slots, min: 1, max });
        }
        let pixel_bytes = format.frame_bytes();
        // A frame with all that follows its pixels fits 32 bits, and no tail is longer than 16 bits say.
        let tail_max = (metadata_max.min(METADATA_MAX) + TIME_BYTES).min(u32::MAX as usize - pixel_bytes);
        let (all, base) = slots_with_readers(slots, Some(self.hub.config()));
        let making = PoolInMaking::new(all, pixel_bytes + tail_max)?.with_spares(base);
        let pool = making.finish()?.with_format(format, tail_max);
        let ring = FrameRing::new();
        let to_share = StreamToShare {
            pool: pool.clone(),
            base,
            open: open_of(&format, delivery, &presentation, tail_max as u16),
            delivery,
            path: HERE,
            charge: Arc::new(|_| Ok(Box::new(()))),
        };
        let shared = self.hub.share(Some(name), to_share)?;
        ring.attach(shared.clone());
        let state = Mutex::new(State { next: 0, utc: None, compared: None });
        Ok(PublishedStream { pool, ring, shared, format, state, hub: self.hub.clone() })
    }
}

/// How frames come to the hub, as it is told to readers: they are made there.
const HERE: u8 = 0;

/// A stream that this program publishes. Every frame is three calls: [`frame`](Self::frame) gives memory, the program writes into it, and
/// [`send`](Self::send) hands it to everybody who reads. Dropping it ends the stream, as [`close`](Self::close) does.
pub struct PublishedStream {
    pool: FramePool,
    ring: FrameRing,
    shared: Arc<SharedStream>,
    format: FrameFormat,
    state: Mutex<State>,
    /// It lives as long as its streams.
    hub: Arc<Hub>,
}

struct State {
    /// The number that the next frame gets.
    next: u64,
    utc: Option<UtcOffset>,
    /// When the clocks were last compared.
    compared: Option<Time>,
}

impl State {
    fn utc(&mut self, now: Time) -> Option<UtcOffset> {
        if self.compared.is_none_or(|compared| now.since(compared) >= CLOCKS_COMPARED) {
            (self.utc, self.compared) = (wall_clock::compare(), Some(now));
        }
        self.utc
    }
}

impl PublishedStream {
    /// A slot to write the next frame into; waits for one. Readers that let frames wait for them ([`ConsumerPolicy::Block`]) and consumers in
    /// this process that hold all slots make it wait; no other reader does.
    ///
    /// # Errors
    /// [`SendError::Forked`] in a child process.
    pub fn frame(&self) -> Result<FrameMut, SendError> {
        loop {
            if let Some(frame) = self.frame_timeout(Duration::from_secs(1))? {
                return Ok(frame);
            }
        }
    }

    /// As [`PublishedStream::frame`], but waits at most `timeout`; then `None`. A source that has no slot for a picture calls
    /// [`PublishedStream::skip`].
    ///
    /// # Errors
    /// [`SendError::Forked`] in a child process.
    pub fn frame_timeout(&self, timeout: Duration) -> Result<Option<FrameMut>, SendError> {
        if self.hub.is_forked() {
            return Err(SendError::Forked);
        }
        Ok(self.pool.acquire_timeout(timeout))
    }

    /// Publishes a frame that [`PublishedStream::frame`] gave, and returns its number. It waits for nobody.
    ///
    /// # Errors
    /// The frame itself, with the reason: it has not the format's length, or is another stream's; [`SendError::Forked`] in a child process.
    pub fn send(&self, mut frame: FrameMut) -> Result<u64, NotSent> {
        // Before the lock, which a thread of the parent may have held.
        if self.hub.is_forked() {
            return Err(NotSent::new(SendError::Forked, frame));
        }
        if let Err(error) = check_frame(&frame, &self.pool, &self.format) {
            return Err(NotSent::new(error, frame));
        }
        // Held until it is published: frames come in the order of their numbers.
        let mut state = self.lock();
        let now = Time::now();
        let number = state.next;
        state.next += 1;
        let utc = state.utc(now);
        let info = &mut frame.info;
        info.number = number;
        if info.captured == Time::ZERO {
            info.captured = now;
        }
        (info.captured_there, info.sent, info.begun) = (info.captured, Some(now), now);
        (info.completed, info.latency) = (now, Some(now.since(info.captured)));
        self.ring.publish(&frame.freeze().by_clock(utc));
        Ok(number)
    }

    /// Counts a picture that there was no slot for: it gets a number, which no frame has.
    pub fn skip(&self) {
        if self.hub.is_forked() {
            return;
        }
        self.lock().next += 1;
    }

    /// A consumer in this process, with its own policy, from the next frame on.
    pub fn subscribe(&self, policy: ConsumerPolicy) -> Consumer {
        self.ring.subscribe(policy)
    }

    /// Who reads the stream in other processes, and each one's account.
    pub fn readers(&self) -> Vec<ReaderFigures> {
        self.shared.readers()
    }

    /// The format of every frame.
    pub fn format(&self) -> &FrameFormat {
        &self.format
    }

    /// The most slots that the program may have at present: [`PublishConfig::slots`], and those that are there for readers by now, which the program
    /// has too while no reader holds them. The newest frame has one more, which the program may have before it has sent any.
    pub fn slots_max(&self) -> usize {
        self.pool.usable_count().saturating_sub(1)
    }

    /// Slots of the whole pool, those for readers included, that somebody has. For tests.
    #[doc(hidden)]
    pub fn slots_in_use(&self) -> usize {
        self.pool.held_count()
    }

    /// Ends the stream: readers take what waits for them, and learn of the end.
    pub fn close(self) {}

    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }
}

impl Drop for PublishedStream {
    fn drop(&mut self) {
        // In a child process, the stream is still its parent's.
        if self.hub.is_forked() {
            return;
        }
        self.shared.set_closed();
        self.ring.end();
    }
}

impl std::fmt::Debug for PublishedStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublishedStream").field("format", &self.format).finish_non_exhaustive()
    }
}
