//! What a receiving stream is told, and how it ends.

use crate::frame::PoolError;
use crate::wire::{Cut, Open, WireError};

/// What the driver knows when a stream is opened.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveConfig {
    /// The opening that was accepted.
    pub open: Open,
    /// Whether each slice's head has room for a tag. No datagram says so: the sender must have been told, too
    /// ([`SendConfig::has_tags`](crate::send::SendConfig::has_tags)).
    pub has_tags: bool,
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
    pub const fn cut(&self) -> Cut {
        let cut = self.open.cut();
        if self.has_tags { Cut::with_tags(cut.frame_bytes(), cut.slice_bytes()) } else { cut }
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
