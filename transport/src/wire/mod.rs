//! The bytes on the wire, as `PROTOCOL.md` describes them: one plain struct a datagram, with `parse` and `emit`.
//!
//! Every datagram starts with the same 12 bytes, the [`Prelude`]. All numbers are big-endian. Parsing never allocates and
//! never panics, whatever the bytes.

mod any_open;
mod cut;
mod datagram;
mod describe;
mod messages;
mod parity;
mod path_kind;
pub mod plain;
mod sealed;

pub use any_open::AnyOpen;
pub use cut::Cut;
pub use datagram::{AnyPrelude, Flags, Kind, MAGIC, PRELUDE_LEN, Prelude, VERSION, WireError};
pub(crate) use describe::open_of;
pub(crate) use messages::utc_fields;
pub use messages::{
    Accept, Challenge, Close, Closed, Feedback, NACK_BITMAP_MAX, Nack, Open, ParityHeader, Ping, Refuse, RefuseReason,
    SliceHeader, TIME_UNKNOWN,
};
pub use parity::{BLOCK_SLICES_MAX, ParityLayout};
pub use path_kind::PathKind;
pub use sealed::{SealedAccept, SealedOpen, fields_len};

/// The largest UDP payload over IPv4, and the slice size of the original system: 65,535 less 20 (IP) less 8 (UDP).
pub const DATAGRAM_MAX: usize = 65_507;
/// The smallest slice, header included: what every IPv4 host must be able to receive (576 bytes) less its headers.
pub const SLICE_BYTES_MIN: usize = 548;
/// Bytes of a slice's fields: all of its head where it has no tag.
pub const SLICE_HEADER_LEN: usize = SliceHeader::LEN;
/// Bytes that an authentication tag takes behind the fields of a datagram whose [`Flags::TAGGED`] is set, in front of a payload.
pub const TAG_LEN: usize = 16;
/// Frames a receiver assembles at the same time. In `every`, a sender never starts frame `n + 4` before frame `n` is
/// settled.
pub const OPEN_FRAMES_MAX: usize = 4;

/// In `latest`, a sender begins a frame when at most this share (one in so many) of a frame's slices is still on its way: what
/// waits in the queue of a slow link is no older than it must be.
pub(crate) const PIPELINED_SHARE: u32 = 32;

/// A later run of a sender goes on with its stream where its epoch is at most so far ahead: a receiver may have heard nothing of
/// the runs between, one a second, and more while an address changes.
pub const EPOCHS_AHEAD_MAX: u32 = 1_024;

/// Frame numbers stay below this, so that counting on from one never overflows.
pub const FRAME_NUMBER_END: u64 = 1 << 63;

/// The most slices of a train, which every kernel that knows trains takes.
pub const TRAIN_SLICES_MAX: usize = 64;

/// Slices of a whole train: as many as one UDP datagram would hold, at most [`TRAIN_SLICES_MAX`]. 1 where slices are too large for it.
pub const fn train_slices(slice_bytes: usize) -> usize {
    // None is empty.
    let slice_bytes = if slice_bytes == 0 { 1 } else { slice_bytes };
    match DATAGRAM_MAX / slice_bytes {
        0 => 1,
        fitting if fitting > TRAIN_SLICES_MAX => TRAIN_SLICES_MAX,
        fitting => fitting,
    }
}

/// How a stream treats frames when not all of them can arrive in time. There are these two, and a third one would be another protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Delivery {
    /// Nothing is lost: the sender waits for credit, frames arrive in order.
    Every = 1,
    /// The newest complete frame wins; late ones are dropped whole and counted.
    Latest = 2,
}

impl Delivery {
    /// The name used on command lines and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Every => "every",
            Self::Latest => "latest",
        }
    }

    /// The mode with this number on the wire.
    pub const fn from_wire(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Every),
            2 => Some(Self::Latest),
            _ => None,
        }
    }
}

/// How many slices a frame of `frame_bytes` takes with `payload_bytes`, at least 1, in each but the last.
pub const fn slice_count(frame_bytes: u32, payload_bytes: u16) -> u32 {
    let payload_bytes = if payload_bytes == 0 { 1 } else { payload_bytes };
    frame_bytes.div_ceil(payload_bytes as u32)
}
