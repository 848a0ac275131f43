//! What a relay, a stream of it and one watcher are told when they are made.

use std::time::Duration;

use crate::backend::BackendKind;
use crate::crypto::Key;
use crate::driver::incoming::StreamInfo;
use crate::driver::protection::Protection;
use crate::driver::sender::SliceSize;
use crate::driver::threads::ThreadConfig;
use crate::frame::{FrameFormat, FrameRate, METADATA_MAX, Presentation, TIME_BYTES};
use crate::send::{Fec, LinkBudget};
use crate::setters;
use crate::wire::Delivery;

/// How a [`Relay`](super::Relay) works: [`RelayConfig::new`], and what is to be different from that.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayConfig {
    /// Threads that move frames, 1 to 64, 1 by default: one carries many streams and many watchers, and what it cannot carry is more than
    /// the network card of most machines can. Each stream stays on one of them.
    pub workers: usize,
    /// How each of them runs.
    pub threads: ThreadConfig,
    /// What moves the datagrams; [`BackendKind::Auto`] by default.
    pub backend: BackendKind,
    /// Let slices leave in trains where the socket can (the default): a fraction of the work for small slices.
    pub trains: bool,
    /// Whether streams are protected; by default each is where its watcher has a key, and without one it does not leave this machine
    /// ([`Protection::Auto`]).
    pub protection: Protection,
    /// Watchers that there may be at once, of all streams together, 1 to 65,536, 1,024 by default. Each has a socket.
    pub watchers_max: usize,
    /// How long a watcher's stream may take to close, once it was dropped or its stream has ended: so long it is asked to confirm that; 1 s by default.
    /// Dropping the relay takes no longer than this.
    pub linger: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            threads: ThreadConfig::default(),
            backend: BackendKind::Auto,
            trains: true,
            protection: Protection::Auto,
            watchers_max: 1024,
            linger: Duration::from_secs(1),
        }
    }
}

impl RelayConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        workers: usize,
        threads: ThreadConfig,
        backend: BackendKind,
        trains: bool,
        protection: Protection,
        watchers_max: usize,
        linger: Duration,
    }
}

/// What a stream is that a relay sends on: [`RelayStreamConfig::of`] one that was received, or [`RelayStreamConfig::new`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayStreamConfig {
    /// The format of every frame.
    pub format: FrameFormat,
    /// What the source says of its pictures: their rate, shape, range. By default nothing.
    pub presentation: Presentation,
    /// Bytes of metadata that a frame may have at most; [`METADATA_MAX`](crate::frame::METADATA_MAX), 4,096, by default, and no more than that. A frame with more
    /// is not sent on, and counted ([`RelayStreamStats::unfit`](super::RelayStreamStats::unfit)).
    pub metadata_max: usize,
}

impl RelayStreamConfig {
    /// The defaults for frames of a format.
    pub fn new(format: FrameFormat) -> Self {
        Self { format, presentation: Presentation::UNKNOWN, metadata_max: METADATA_MAX }
    }

    /// As a stream is that was received.
    pub fn of(info: &StreamInfo) -> Self {
        Self { format: info.format, presentation: info.presentation, metadata_max: info.metadata_max }
    }

    /// Bytes that follow a frame's pixels at most, metadata and a time.
    pub(super) fn tail_max(&self) -> u16 {
        let tail =
            (self.metadata_max.min(METADATA_MAX) + TIME_BYTES).min(u32::MAX as usize - self.format.frame_bytes());
        // At most 4,104.
        tail as u16
    }

    setters! {
        format: FrameFormat,
        presentation: impl Into<Presentation>,
        metadata_max: usize,
    }
}

/// How one watcher gets a stream: [`RelayTo::new`], and what is to be different from that.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayTo {
    /// The stream's id towards this watcher, which its receiver knows: of one that takes announced streams alone, the announced one.
    pub stream: u32,
    /// The key that the receiver has for it; by default none. With it the frames are encrypted, and both ends prove that they have it.
    pub key: Option<Key>,
    /// Whether the newest frame replaces what has not left yet (`latest`, the default), or up to three frames wait (`every`): then nothing is
    /// lost while the watcher keeps up. Where it does not, it is cut short and goes on with the newest, and what it missed is counted as skipped: it is never
    /// waited for.
    pub delivery: Delivery,
    /// The most frames a second that it is sent; the others are skipped evenly, and counted. By default all.
    pub frames_per_second_max: Option<FrameRate>,
    /// Slice size on the path to it; [`SliceSize::Auto`], what the path carries, by default.
    pub slice: SliceSize,
    /// Whether frames have parity slices; by default where it pays ([`Fec::Auto`]), and never on loopback.
    pub fec: Fec,
    /// The rate of the link to it, shared by all that have a clone of this; by default none.
    pub link: Option<LinkBudget>,
}

impl RelayTo {
    /// The defaults for a stream of this id.
    pub fn new(stream: u32) -> Self {
        Self {
            stream,
            key: None,
            delivery: Delivery::Latest,
            frames_per_second_max: None,
            slice: SliceSize::Auto,
            fec: Fec::Auto,
            link: None,
        }
    }

    setters! {
        stream: u32,
        key: impl Into<Option<Key>>,
        delivery: Delivery,
        frames_per_second_max: impl Into<Option<FrameRate>>,
        slice: SliceSize,
        fec: Fec,
        link: impl Into<Option<LinkBudget>>,
    }
}
