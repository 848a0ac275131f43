//! What is to be sent, and where what is received shall land: arrays that are built once and refilled for every batch.

mod pieces;
mod receive;
mod send;

use std::ops::Range;

use thiserror::Error;

pub use self::receive::{Datagram, ReceiveBatch};
pub use self::send::SendBatch;

/// Room for the bytes in front of a payload, and for every datagram that has none.
pub const HEAD_MAX: usize = 1024;
/// The most datagrams that a batch is made for: more than the longest frame has pieces.
pub const BATCH_MAX: usize = 1 << 17;

/// Why something is not added to a batch, which stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// There is no room for so many datagrams.
    #[error("{datagrams} datagrams do not fit a batch that has room for {room}; send or clear it first")]
    Full {
        /// How many should be added.
        datagrams: usize,
        /// How many more fit.
        room: usize,
    },
    /// The bytes are not in the frame or slot.
    #[error("bytes {range:?} are not inside a frame or slot of {bytes}")]
    Outside {
        /// Which bytes were meant.
        range: Range<usize>,
        /// How many there are.
        bytes: usize,
    },
    /// Slices of no bytes.
    #[error("slices of no bytes never end; use at least 1 byte a slice")]
    EmptySlices,
    /// Another batch lands in the slot.
    #[error("another batch lands in the slot; release that one first")]
    Taken,
    /// The batch was made for datagrams of the other kind.
    #[error("a batch with a scratch takes sealed slices alone, and one without takes none; make one of the other kind")]
    OtherKind,
}
