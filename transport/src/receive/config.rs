//! What a receiving stream is told, and how it ends.

use std::sync::Arc;

use super::sealed::SealedOpening;
use crate::frame::{FrameFormat, PoolError, Tail};
use crate::wire::{Cut, Delivery, Open, WireError};

/// What a reassembler is told when the stream is opened.
#[derive(Debug, Clone, Copy)]
pub struct ReassemblerConfig {
    /// What every frame is.
    pub format: FrameFormat,
    /// How frames are cut in the first epoch, the longest of them with all that may follow its pixels.
    pub cut: Cut,
    /// What happens to frames that are not complete in time.
    pub delivery: Delivery,
    /// The frame from which the stream is accounted for; no lower one will come.
    pub first_frame: u64,
    /// The most parity slices that a frame has; 0 for none.
    pub parity_max: u16,
    /// Hand on frames that are given up, with what they have (`latest` only).
    pub partial: bool,
    /// The most datagrams a batch has.
    pub batch_max: usize,
}

impl ReassemblerConfig {
    /// What follows the pixels of a frame that a slice tells of; `None` where the pixels are not the format's, or more follows them than was
    /// agreed.
    pub(super) fn tail_of(&self, frame_bytes: u32, tail: u16) -> Option<Tail> {
        let tail = Tail::from_wire(tail)?;
        let pixels = (frame_bytes as usize).checked_sub(tail.bytes())?;
        // What the longest frame may have behind its pixels, any may.
        let tail_max = (self.cut.frame_bytes() as usize).saturating_sub(self.format.frame_bytes());
        (tail.bytes() <= tail_max && self.format.holds(pixels)).then_some(tail)
    }
}

/// What the driver knows when a stream is opened.
#[derive(Debug, Clone)]
pub struct ReceiveConfig {
    /// The opening that was accepted.
    pub open: Open,
    /// The same as it came, of a protected stream: nothing is believed then that is not sealed.
    pub sealed: Option<Arc<SealedOpening>>,
    /// Bytes of the datagram it came in.
    pub open_bytes: usize,
    /// The socket's receive buffer, as read back, bytes.
    pub buffer_bytes: usize,
    /// The most datagrams a batch has.
    pub batch_max: usize,
    /// Hand on frames that are given up, with what they have (`latest` only).
    pub partial: bool,
    /// Tells whether the sender reads the same clock; 0 where unknown.
    pub clock_id: u64,
}

impl ReceiveConfig {
    /// How the frames of the stream's first epoch are cut.
    pub fn cut(&self) -> Cut {
        let cut = self.open.cut();
        if self.sealed.is_some() { cut.tagged() } else { cut }
    }
}

/// Why a stream is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// The sender closed it.
    Closed,
    /// Nothing has come from the sender for 5 s, or for 1 s while another one found no room.
    Silent,
    /// Another stream has been opened from its sender's address, or the same stream anew from elsewhere.
    Replaced,
}

/// Why an opening cannot be accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The opening contradicts itself.
    #[error("the opening is impossible: {0}")]
    Wire(#[from] WireError),
    /// No memory.
    #[error(transparent)]
    Memory(#[from] PoolError),
}
