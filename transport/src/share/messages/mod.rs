//! What is said on a hub's socket, a packet each: who wants what, and what is granted. Nothing that is timely goes this way.
//!
//! Numbers are big-endian. Every packet begins with "FS", the version and a kind; what is behind a message's last field is ignored.

mod packet;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

use std::fmt;

use thiserror::Error;

pub(crate) use self::packet::Packet;
#[doc(hidden)]
pub use self::packet::reread;
use super::lease::Overflow;
use crate::frame::PoolShape;
use crate::wire::Open;

/// The first two bytes of every packet.
const MAGIC: [u8; 2] = *b"FS";
/// The version of what is said here, and of the layout of what is shared.
pub(crate) const VERSION: u8 = 1;
/// No packet is longer.
pub(crate) const PACKET_MAX: usize = 768;
/// Bytes of a name at most, of a stream or a program: 64 characters of whatever kind.
pub(crate) const NAME_BYTES_MAX: usize = 256;

/// Why a packet is none that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum MessageError {
    /// It ends before its last field.
    #[error("{0} bytes are too few for what they say they are")]
    Short(usize),
    /// It is nothing of Framewire's.
    #[error("the bytes do not begin with 'FS': the other end is not Framewire")]
    Magic,
    /// Another version.
    #[error("version {0} is not {VERSION}; use the same release in both programs")]
    Version(u8),
    /// A kind that there is not, or that does not belong here.
    #[error("a message of kind {0} is not expected")]
    Kind(u8),
    /// A field that cannot be.
    #[error("field {0} has an impossible value")]
    Value(&'static str),
}

/// A name in a packet: UTF-8 without control characters, at most [`NAME_BYTES_MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// `None` for what is no name.
    pub(crate) fn new(text: &'a str) -> Option<Self> {
        (text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)).then_some(Self(text))
    }

    pub(crate) fn as_str(self) -> &'a str {
        self.0
    }
}

/// How a reader wants its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Whether newer frames replace older ones, or wait.
    pub(crate) overflow: Overflow,
    /// Frames on offer at once, 1 to 8.
    pub(crate) words: u8,
    /// Slots that it may hold besides, 1 to 62.
    pub(crate) hold: u8,
}

/// What a program says to a hub.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum ToHub<'a> {
    /// First: which streams are there? Answered with [`FromHub::Stream`] for each and [`FromHub::Listed`]; with `watch`, whatever changes after
    /// that is told too.
    List { watch: bool },
    /// First: frames of this stream. Answered with [`FromHub::Subscribed`] or [`FromHub::Refused`]; then with [`FromHub::Admitted`] to [`ToHub::Mapped`].
    Subscribe {
        wanted: Wanted,
        stream: Name<'a>,
        /// What the program calls itself.
        program: Name<'a>,
    },
    /// First: a stream of its own. Answered with [`FromHub::Preparing`], and [`FromHub::Entered`] or [`FromHub::Refused`].
    Enter {
        open: Open,
        /// What the stream's announcement said, or 0.
        nonce: u64,
        /// The network namespace that it is in (the inode of `/proc/self/ns/net`), where that must be the hub's own; else 0.
        network: u64,
    },
    /// The reader has mapped its control page, or the sender its slots and inlet: from here on nobody gets a new way to write to them.
    Mapped,
    /// Something was taken or given back while the hub had said that it waits for that.
    Told,
    /// No frame follows: all are committed.
    Close,
    /// The reader wants no more frames, and still has some that it took.
    Leave,
}

impl fmt::Debug for ToHub<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List { watch } => f.debug_struct("List").field("watch", watch).finish(),
            Self::Subscribe { wanted, stream, program } => {
                let mut shown = f.debug_struct("Subscribe");
                shown.field("wanted", wanted).field("stream", stream).field("program", program).finish()
            }
            // Without the secret.
            Self::Enter { open, network, nonce: _ } => {
                f.debug_struct("Enter").field("open", open).field("network", network).finish_non_exhaustive()
            }
            Self::Mapped => f.write_str("Mapped"),
            Self::Told => f.write_str("Told"),
            Self::Close => f.write_str("Close"),
            Self::Leave => f.write_str("Leave"),
        }
    }
}

/// Why a hub refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Refusal {
    /// It speaks another version: `number`.
    Version = 1,
    /// There is no such stream.
    NoSuchStream = 2,
    /// So many slots are left for readers as `number` says, of `limit`.
    Slots = 3,
    /// Frames wait for nobody here.
    Block = 4,
    /// Of the memory that all streams may have, `limit` bytes, `number` are left.
    Memory = 5,
    /// It has as many connections as it may: `limit`.
    Connections = 6,
    /// This user may not.
    User = 7,
    /// A message that cannot be.
    Message = 8,
    /// The system has no descriptor or memory left.
    Resources = 9,
    /// The stream's memory cannot be sealed, so that it is shared with nobody.
    Unsealed = 10,
    /// A sender is in another network namespace than the hub.
    Network = 11,
    /// A sender's stream was not announced, or with another nonce.
    Unknown = 12,
    /// It has as many streams as it may: `limit`.
    Streams = 13,
    /// The frames of a sender's stream need more memory than one may have: `limit`.
    FrameTooLarge = 14,
    /// A sender's stream has another format than was announced.
    Format = 15,
    /// It takes no streams of senders.
    NoSenders = 16,
    /// The stream is there already, from another sender.
    Taken = 17,
    /// Too many streams of this user's that ended within a second, and without a frame; one more in `number` milliseconds.
    TooOften = 18,
    /// The sender sealed what it was handed, so that the hub could not.
    SealedBySender = 19,
    /// The sender said that it has everything, and had not taken the slots that it was granted.
    NotMapped = 20,
}

impl Refusal {
    pub(crate) const ALL: [Self; 20] = [
        Self::Version,
        Self::NoSuchStream,
        Self::Slots,
        Self::Block,
        Self::Memory,
        Self::Connections,
        Self::User,
        Self::Message,
        Self::Resources,
        Self::Unsealed,
        Self::Network,
        Self::Unknown,
        Self::Streams,
        Self::FrameTooLarge,
        Self::Format,
        Self::NoSenders,
        Self::Taken,
        Self::TooOften,
        Self::SealedBySender,
        Self::NotMapped,
    ];
}

/// A stream of a hub, as it tells of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Described<'a> {
    pub(crate) name: Name<'a>,
    /// Format, delivery, presentation, metadata; no id, which is a secret, and no slices.
    pub(crate) open: Open,
    /// How its frames come to the hub: 0 from within its process, 1 by UDP, 2 from a process of this machine.
    pub(crate) path: u8,
    /// Readers at present.
    pub(crate) readers: u16,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    /// Its source has closed it.
    Closed = 1,
    /// Its source is gone, and may come back.
    Gone = 2,
    /// The hub ends.
    Hub = 3,
    /// This reader gets no more frames: it broke the rules.
    Misconduct = 4,
    /// This reader gets no more frames: it had frames wait for too long.
    TooSlow = 5,
    /// This reader gets no more frames: waking it costs too much.
    Costly = 6,
}

impl End {
    /// Every one, in the order of their numbers.
    pub(crate) const ALL: [Self; 6] =
        [Self::Closed, Self::Gone, Self::Hub, Self::Misconduct, Self::TooSlow, Self::Costly];

    /// Whether it is this reader's alone, by what it did or did not do.
    pub(crate) fn is_expulsion(self) -> bool {
        matches!(self, Self::Misconduct | Self::TooSlow | Self::Costly)
    }

    /// Reads a number; `None` for one that is none, and for 0, with which frames may follow.
    pub(crate) fn from_wire(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|end| *end as u32 == number)
    }
}

/// What became of a local sender's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClosedCounts {
    pub(crate) delivered: u64,
    pub(crate) skipped: u64,
    pub(crate) settled: u64,
}

/// What a hub says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FromHub<'a> {
    /// A stream that there is; where streams are watched, also one that has appeared or changed.
    Stream(Described<'a>),
    /// So many there are.
    Listed {
        streams: u32,
    },
    /// A stream that there is no more.
    Gone {
        name: Name<'a>,
    },
    /// With four descriptors: the pool, the records, the control page, the pipe's end to read.
    Subscribed {
        stream: Described<'a>,
        shape: PoolShape,
        /// As it was granted.
        wanted: Wanted,
        /// What the hub's monotonic clock shows, nanoseconds.
        now_ns: u64,
    },
    Refused {
        refusal: Refusal,
        number: u64,
        limit: u64,
    },
    /// The slots are being made.
    Preparing,
    /// With four descriptors: the pool, the inlet, the pipe that wakes the hub, and the one that wakes the sender.
    Entered {
        shape: PoolShape,
        /// Which clock the hub reads, as a sender says it in its opening: equal where the two read the same.
        clock_id: u64,
        /// What the hub's monotonic clock shows, nanoseconds.
        now_ns: u64,
    },
    /// The stream is closed; what became of its frames.
    Closed(ClosedCounts),
    /// The reader is offered every frame that is published from here on.
    Admitted,
}
