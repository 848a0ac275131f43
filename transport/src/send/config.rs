//! What a sending stream is told, and what it says of itself.

use std::time::Duration;

use super::fec::Fec;
use crate::frame::{FrameFormat, FrameRate, Presentation};
use crate::wire::{Cut, Delivery, RefuseReason};

/// A frame leaves over at most this share of its interval: 80 %.
const SHARE_OF_INTERVAL: (u32, u32) = (4, 5);
/// And over at most this: a slow camera's picture is not to be older than it must be.
const SPREAD_MAX: Duration = Duration::from_millis(25);

/// What a sender is told when it is made.
#[derive(Debug, Clone, Copy)]
pub struct SendConfig {
    /// A random number that names the stream.
    pub stream: u32,
    /// The first run's number; each run after it has the next one.
    pub epoch: u32,
    /// The format of every frame.
    pub format: FrameFormat,
    /// Whether frames wait for credit or are replaced by newer ones.
    pub delivery: Delivery,
    /// Bytes of a slice, header included. Lowered where the path turns out not to carry so much.
    pub slice_bytes: u16,
    /// Whether each slice's head has a tag. [`Subscriber::protect`](super::Subscriber::protect) alone sets this: a subscriber that is made
    /// begins without, whatever is said here.
    pub has_tags: bool,
    /// Bytes of IP and UDP headers in front of each datagram, which a link's rate counts: 28 over IPv4 (the default of
    /// [`SendConfig::new`]), 48 over IPv6.
    pub headers_bytes: u16,
    /// Whether slices stay of this size: the stream fails where the path does not carry them.
    pub slice_is_fixed: bool,
    /// Whether frames have parity slices. `auto` is for ways that lose: a receiver takes memory for parity when the stream is
    /// opened.
    pub fec: Fec,
    /// What the source says of its pictures.
    pub presentation: Presentation,
    /// Whether frames come at the presentation's rate; otherwise they come as they come, whatever that says.
    pub paced: bool,
    /// Whether a frame that is larger than what the receiver's socket takes at once is spread over a part of its interval. Not
    /// needed on loopback, where credit alone keeps the socket from overflowing.
    pub spreads: bool,
    /// In `latest`, how long a frame is repaired after its newest slice; zero where that is the interval.
    pub deadline: Duration,
    /// Bytes that may follow the pixels of a frame, metadata and time, at most; by default none.
    pub tail_max: u16,
    /// Tells whether the receiver reads the same clock; 0 where unknown.
    pub clock_id: u64,
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendState {
    /// Asking the receiver to open the stream.
    Opening {
        /// Attempts since it was last open.
        attempts: u32,
    },
    /// Frames flow.
    Open,
    /// The receiver refused; the sender goes on asking, slowly, since a receiver's mind can change.
    Refused {
        /// Why.
        reason: Option<RefuseReason>,
        /// The limit that was hit, if any.
        limit: u64,
    },
    /// The receiver has confirmed the close.
    Closed(ClosedReport),
}

/// What the receiver said became of the frames when it confirmed the close. The frames that were given a number and are in none of
/// these counts were skipped by the sender ([`SendStats::frames_skipped`](crate::SendStats::frames_skipped)), or lost whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClosedReport {
    /// Frames complete and handed on.
    pub delivered: u64,
    /// Frames whose slices were lost.
    pub incomplete: u64,
    /// Frames for which the receiver had no slot.
    pub no_slot: u64,
    /// The receiver has been started anew since every frame was settled, and knows nothing of the stream: `delivered` is what it had
    /// said before, and of the other frames nothing is known.
    pub is_forgotten: bool,
}

impl SendConfig {
    /// A stream whose source says nothing of its pictures and whose frames come as they come, without parity, over a network and not loopback; `..` changes what differs.
    pub const fn new(stream: u32, epoch: u32, format: FrameFormat, delivery: Delivery, slice_bytes: u16) -> Self {
        Self {
            stream,
            epoch,
            format,
            delivery,
            slice_bytes,
            has_tags: false,
            headers_bytes: 28,
            slice_is_fixed: false,
            fec: Fec::Off,
            presentation: Presentation::UNKNOWN,
            paced: true,
            spreads: true,
            deadline: Duration::ZERO,
            tail_max: 0,
            clock_id: 0,
        }
    }

    /// The same with slices as they can be: those that are shorter or longer have the nearest size that can.
    pub(super) fn with_slices_that_can_be(self) -> Self {
        // No longer than a datagram, which fits.
        let plain = Self { has_tags: false, ..self };
        Self { slice_bytes: plain.cut().slice_bytes() as u16, ..plain }
    }

    /// How frames are cut, the longest that there may be.
    pub(super) fn cut(&self) -> Cut {
        // The format was checked: a frame fits 32 bits.
        let frame_bytes = (self.format.frame_bytes() as u32).saturating_add(self.tail_max.into());
        let slice_bytes = self.slice_bytes.into();
        if self.has_tags { Cut::with_tags(frame_bytes, slice_bytes) } else { Cut::new(frame_bytes, slice_bytes) }
    }

    /// The time between frames, zero where frames come as they come.
    pub(super) fn interval(&self) -> Duration {
        self.presentation.rate.filter(|_| self.paced).map_or(Duration::ZERO, FrameRate::interval)
    }

    /// How long a frame may be repaired; zero where that is not known.
    pub(super) fn repair_time(&self) -> Duration {
        if self.deadline.is_zero() { self.interval() } else { self.deadline }
    }

    /// Over what time a frame may leave; zero for at once.
    pub(super) fn spread(&self) -> Duration {
        let (part, whole) = SHARE_OF_INTERVAL;
        let most = if self.deadline.is_zero() { SPREAD_MAX } else { SPREAD_MAX.min(self.deadline / 2) };
        if self.spreads {
            (self.interval().min(Duration::from_secs(1)) * part / whole).min(most)
        } else {
            Duration::ZERO
        }
    }
}
