//! What a sending stream is told, and what it says of itself.

use std::time::Duration;

use super::fec::Fec;
use crate::frame::FrameFormat;
use crate::wire::{Delivery, RefuseReason, SLICE_HEADER_LEN, slice_count};

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
    /// Whether slices stay of this size: the stream fails where the path does not carry them.
    pub slice_is_fixed: bool,
    /// Whether frames have parity slices. `auto` is for ways that lose: a receiver takes memory for parity when the stream is
    /// opened.
    pub fec: Fec,
    /// The time between frames, zero where frames come as they come.
    pub interval: Duration,
    /// In `latest`, how long a frame is repaired after its newest slice; zero where that is the interval.
    pub deadline: Duration,
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

/// What the receiver said became of the frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClosedReport {
    /// Frames complete and handed on.
    pub delivered: u64,
    /// Frames whose slices were lost.
    pub incomplete: u64,
    /// Frames for which the receiver had no slot.
    pub no_slot: u64,
}

impl SendConfig {
    /// Payload bytes of a slice.
    pub(super) fn payload_bytes(&self) -> u16 {
        self.slice_bytes - SLICE_HEADER_LEN as u16
    }

    /// How long a frame may be repaired; zero where that is not known.
    pub(super) fn repair_time(&self) -> Duration {
        if self.deadline.is_zero() { self.interval } else { self.deadline }
    }

    /// Slices of a frame.
    pub(super) fn frame_slices(&self) -> u32 {
        // The format was checked: a frame fits 32 bits.
        slice_count(self.format.frame_bytes() as u32, self.payload_bytes())
    }
}
