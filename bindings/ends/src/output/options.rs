//! What the frames of an output are like, and what became of them.

use framewire_transport::frame::{FrameRate, METADATA_MAX, Presentation};
use framewire_transport::setters;
use framewire_transport::{Delivery, FrameFormat, Key, PathChoice, Protection, PublishConfig, SenderConfig};

/// What the frames of an output are like, whichever way they go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OutputOptions {
    /// `latest` (the default): what cannot leave in time gives way to the next. `every`: nothing is lost, [`Output::frame`](super::Output::frame) waits.
    pub delivery: Delivery,
    /// Slots for frames that are written and on their way; by default what the transport says.
    pub slots: Option<usize>,
    /// Bytes of metadata that a frame may have, at most and by default 4,096.
    pub metadata_max: usize,
    /// How many pictures are shown a second, where that is known.
    pub rate: Option<FrameRate>,
    /// The key that the receiver has, too: with it frames are encrypted, and both ends prove that they have it. None by default. Of a stream that is published it
    /// says nothing.
    pub key: Option<Key>,
    /// Whether frames are protected: by default where there is a key, and without one they do not leave this machine.
    pub protection: Protection,
    /// Which ways frames may take to a receiver or a server; by default shared memory where that is on this machine, else UDP.
    pub path: PathChoice,
}

impl OutputOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        delivery: Delivery,
        slots: impl Into<Option<usize>>,
        metadata_max: usize,
        rate: impl Into<Option<FrameRate>>,
        key: impl Into<Option<Key>>,
        protection: Protection,
        path: PathChoice,
    }
}

impl Default for OutputOptions {
    fn default() -> Self {
        Self {
            delivery: Delivery::Latest,
            slots: None,
            metadata_max: METADATA_MAX,
            rate: None,
            key: None,
            protection: Protection::Auto,
            path: PathChoice::Auto,
        }
    }
}

impl OutputOptions {
    /// Of a stream that is sent.
    pub(super) fn sender(&self, format: FrameFormat, presentation: Presentation) -> SenderConfig {
        let config = SenderConfig::new(format)
            .delivery(self.delivery)
            .metadata_max(self.metadata_max)
            .presentation(presentation)
            .key(self.key.clone())
            .protection(self.protection)
            .path(self.path);
        self.slots.map_or(config.clone(), |slots| config.slots(slots))
    }

    /// Of one that is published.
    pub(super) fn publish(&self, format: FrameFormat, presentation: Presentation) -> PublishConfig {
        let config = PublishConfig::new(format)
            .delivery(self.delivery)
            .metadata_max(self.metadata_max)
            .presentation(presentation);
        self.slots.map_or(config.clone(), |slots| config.slots(slots))
    }
}

/// What became of the frames of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputStats {
    /// Frames that were handed over.
    pub sent: u64,
    /// Frames that the receiver says it has whole; of those that are published, all.
    pub delivered: u64,
    /// Frames that gave way to newer ones, or that there was no slot for.
    pub skipped: u64,
    /// Bytes handed over: of a stream that is sent as its datagrams have them, of a published one those of its pixels.
    pub bytes: u64,
    /// Arrays whose items had to be put in order before they were copied.
    pub reordered: u64,
    /// Readers in other processes, of published frames.
    pub readers: usize,
    /// Whether the receiver has opened the stream; true once a published one has begun.
    pub is_open: bool,
    /// The cipher that its datagrams are protected by, such as AES-128-GCM; `None` where they are plain, by shared memory, and while it is not open.
    pub protection: Option<&'static str>,
}
