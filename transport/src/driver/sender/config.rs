//! What a sender is told when it is made.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::path::PathChoice;
use crate::backend::BackendKind;
use crate::crypto::Key;
use crate::driver::protection::Protection;
use crate::driver::threads::ThreadConfig;
use crate::frame::{FrameFormat, METADATA_MAX, Presentation, TIME_BYTES};
use crate::send::{Fec, LinkBudget};
use crate::setters;
use crate::share::Invitation;
use crate::wire::{DATAGRAM_MAX, Delivery, SLICE_BYTES_MIN};

/// How large a slice is, header included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SliceSize {
    /// The largest that the path carries unfragmented: 65,507 bytes on loopback, 1,472 on Ethernet. Begins with the MTU of
    /// the route; a datagram of that size must have arrived before slices are sent. They become smaller where the path
    /// turns out to be, or becomes, narrower, and within a minute larger again, up to what they began with, where it is wide again.
    #[default]
    Auto,
    /// This many bytes, [548](Self::BYTES_MIN) to [65,507](Self::BYTES_MAX).
    Bytes(u16),
}

/// Why a text is no size of slices.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("a slice has {SLICE_BYTES_MIN} to {DATAGRAM_MAX} bytes, or 'auto'; not '{0}'")]
pub struct SliceSizeError(String);

impl SliceSize {
    /// The smallest slice, in bytes: what every IPv4 host must be able to receive (576), less its headers.
    pub const BYTES_MIN: u16 = SLICE_BYTES_MIN as u16;
    /// The largest, in bytes: the largest UDP payload over IPv4.
    pub const BYTES_MAX: u16 = DATAGRAM_MAX as u16;
}

impl FromStr for SliceSize {
    type Err = SliceSizeError;

    fn from_str(text: &str) -> Result<Self, SliceSizeError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let range = SLICE_BYTES_MIN..=DATAGRAM_MAX;
        match text.parse::<usize>() {
            Ok(bytes) if range.contains(&bytes) => Ok(Self::Bytes(bytes as u16)),
            _ => Err(SliceSizeError(text.chars().take(40).collect())),
        }
    }
}

/// What a sender is told when it is made: [`SenderConfig::new`], and what is to be different from that.
///
/// ```
/// use framewire_transport::{Delivery, FrameFormat, PixelFormat, SenderConfig};
///
/// let format = FrameFormat::new(PixelFormat::Gray8, 640, 480)?;
/// let config = SenderConfig::new(format).delivery(Delivery::Every).slots(4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SenderConfig {
    /// The format of every frame.
    pub format: FrameFormat,
    /// Whether frames wait for credit (`every`) or are replaced by newer ones (`latest`, the default).
    pub delivery: Delivery,
    /// Slice size; [`SliceSize::Auto`], what the path carries, by default.
    pub slice: SliceSize,
    /// What the source says of its pictures: their rate, shape, range. By default nothing.
    pub presentation: Presentation,
    /// Whether frames come at the presentation's rate, where it has one (the default). In `latest` the receiver then gives a frame up
    /// after the time from one to the next. Otherwise frames come as they come, as when a film is sent faster than it is shown.
    pub paced: bool,
    /// Whether frames have parity slices; by default where it pays ([`Fec::Auto`]), and never on loopback, which loses nothing.
    pub fec: Fec,
    /// The rate of the link, shared by all senders that have a clone of this; by default none. Without it, frames that the
    /// receiver's socket buffer takes leave as fast as the system sends.
    pub link: Option<LinkBudget>,
    /// In `latest`, how long the receiver repairs a frame after its newest slice; zero (the default) for the interval, at least
    /// 20 ms, and 100 ms where there is none, as no rate is said or [`paced`](Self::paced) is off.
    pub deadline: Duration,
    /// The most slots that the sender's pool uses: frames being written, waiting, or on their way, 8 by default, 1 to 64. As few of
    /// them as the round trip allows are used, because each one more is memory that is not in cache when it is sent: 2 while it
    /// is short (more where frames are small), and one more for each frame that leaves within it. A slot takes memory when it is
    /// first used, and keeps it. In `latest` with an interval, 8 slots carry every frame over round trips of six intervals.
    /// By shared memory it says nothing: the slots are the receiver's, which grants up to 4 at a time.
    pub slots: usize,
    /// How long dropping the sender may take at most, to have the frames that it took arrive and the stream closed; 2 s by
    /// default. With zero it is dropped at once, what has not left is lost, and the receiver learns of the end by silence. A
    /// sender that was told to close ([`Sender::close`](super::Sender::close)) has had its time and is dropped at once, as is one that has
    /// failed, or was refused.
    pub linger: Duration,
    /// What moves the datagrams; [`BackendKind::Auto`] by default.
    pub backend: BackendKind,
    /// Let slices leave in trains where the socket can (the default): a fraction of the work for small slices.
    pub trains: bool,
    /// With the `uring` backend, have a thread of the kernel look for slices to send, so that no system call is made for
    /// them; off by default, since it keeps a core busy while frames flow.
    pub sqpoll: bool,
    /// How the sending thread runs. By shared memory no frame passes through it: it never polls busily, whatever is said here.
    pub threads: ThreadConfig,
    /// Bytes of metadata that a frame may have at most; [`METADATA_MAX`](crate::frame::METADATA_MAX), 4,096, by default, and no more than that. Each slot has
    /// so many bytes more, at both ends.
    pub metadata_max: usize,
    /// The stream's id; by default a random one. A receiver that only takes announced streams must know it.
    pub stream: Option<u32>,
    /// Which ways frames may take; [`PathChoice::Auto`] by default.
    pub path: PathChoice,
    /// Where the receiver shares its streams, as its invitation says or as an [`Endpoint`](crate::share::Endpoint); by default where those of a server with the receiver's UDP port
    /// are ([`Endpoint::of_port`](crate::share::Endpoint::of_port)).
    pub share: Option<Invitation>,
    /// The key that the receiver has for this stream, too; by default none. With it the frames are encrypted, and both ends prove that
    /// they have it. By shared memory it says nothing.
    pub key: Option<Key>,
    /// Whether the stream is protected; by default it is with a [`key`](Self::key), and without one it does not leave this
    /// machine ([`Protection::Auto`]).
    pub protection: Protection,
}

impl SenderConfig {
    /// The defaults for frames of a format.
    pub fn new(format: FrameFormat) -> Self {
        Self {
            format,
            delivery: Delivery::Latest,
            slice: SliceSize::Auto,
            presentation: Presentation::UNKNOWN,
            paced: true,
            fec: Fec::Auto,
            link: None,
            deadline: Duration::ZERO,
            slots: 8,
            linger: Duration::from_secs(2),
            backend: BackendKind::Auto,
            trains: true,
            sqpoll: false,
            threads: ThreadConfig::default(),
            metadata_max: METADATA_MAX,
            stream: None,
            path: PathChoice::Auto,
            share: None,
            key: None,
            protection: Protection::Auto,
        }
    }

    /// Whether nothing was asked for that only datagrams have: slices of some size, parity, a link, a backend. `framewire-client`
    /// has the same list, of what its settings say (`means_datagrams`).
    pub(super) fn leaves_the_way_open(&self) -> bool {
        let is_default = |kind| kind == BackendKind::Auto;
        self.slice == SliceSize::Auto
            && self.fec == Fec::Auto
            && self.link.is_none()
            && is_default(self.backend)
            && self.trains
            && !self.sqpoll
    }

    /// Bytes that follow a frame's pixels at most: metadata and a time. No more than [`TAIL_MAX`](crate::frame::TAIL_MAX), which fits 16 bits.
    pub(crate) fn tail_max(&self) -> usize {
        // A frame with all that follows its pixels fits 32 bits: the largest have room for less.
        (self.metadata_max.min(METADATA_MAX) + TIME_BYTES).min(u32::MAX as usize - self.format.frame_bytes())
    }

    setters! {
        format: FrameFormat,
        delivery: Delivery,
        slice: SliceSize,
        presentation: impl Into<Presentation>,
        paced: bool,
        fec: Fec,
        link: impl Into<Option<LinkBudget>>,
        deadline: Duration,
        slots: usize,
        linger: Duration,
        backend: BackendKind,
        trains: bool,
        sqpoll: bool,
        threads: ThreadConfig,
        metadata_max: usize,
        stream: impl Into<Option<u32>>,
        path: PathChoice,
        share: impl Into<Option<Invitation>>,
        key: impl Into<Option<Key>>,
        protection: Protection,
    }
}
