//! What goes wrong at the sending end, in words for its user.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::driver::protection::Undecided;
use crate::frame::{FrameFormat, FrameMut, FramePool, PoolError};
use crate::limit::remedy;
use crate::wire::{DATAGRAM_MAX, RefuseReason, SLICE_BYTES_MIN, VERSION};

/// Why a sender could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The slots cannot be: their number is not 1 to 64, or there is no memory for them.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// Slices of a size that cannot be.
    #[error("slices of {0} bytes cannot be; use {SLICE_BYTES_MIN} to {DATAGRAM_MAX}")]
    SliceBytes(u16),
    /// The wire of the original system knows frames by their length.
    #[error("the plain wire carries frames of one length, and those of {0} differ; use Sender and Receiver for them")]
    LengthsDiffer(FrameFormat),
    /// No socket towards the address.
    #[error("no UDP socket towards {peer}: {source}; {}", remedy(.source).unwrap_or("check the address and the network"))]
    Socket {
        /// Where to.
        peer: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No thread or wake-up descriptor.
    #[error("the system refused a thread or descriptor for the sender: {source}; {help}", source = .0, help = remedy(.0).unwrap_or("check the process's limits"))]
    System(io::Error),
    /// The stream would leave this machine in plain text.
    #[error(
        "frames to {peer} would travel in plain text, for anybody on the way to read and to replace; give both ends one key \
         (SenderConfig::key, ReceiverConfig::keys; framewire-client --join), or, on a network that you trust, say \
         Protection::Off (--insecure) at both ends"
    )]
    Unprotected {
        /// Where to.
        peer: SocketAddr,
    },
    /// The stream is to be protected, and has no key.
    #[error(
        "the stream is to be protected (Protection::On) and has no key; give both ends one (SenderConfig::key, \
         ReceiverConfig::keys), or leave it to Protection::Auto, which sends in plain text on loopback alone"
    )]
    NoKey,
    /// The stream has a key, and is not to be protected.
    #[error(
        "the stream has a key and is not to be protected (Protection::Off); leave the key out at both ends to send in plain \
         text, or leave it to Protection::Auto to have it protected"
    )]
    KeyUnused,
}

impl ConnectError {
    pub(in crate::driver) fn undecided(why: Undecided, peer: SocketAddr) -> Self {
        match why {
            Undecided::Unprotected => Self::Unprotected { peer },
            Undecided::NoKey => Self::NoKey,
            Undecided::KeyUnused => Self::KeyUnused,
        }
    }
}

/// Why a frame could not be sent, or the stream not be closed in order.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The system refuses the datagrams for good: a size was asked for that the path does not carry. What passes by itself, a
    /// firewall's rule, an interface that is down, an address that changes, is waited for instead.
    #[error("sending to {peer} failed: {message}")]
    Failed {
        /// Where to.
        peer: SocketAddr,
        /// What happened and what to do.
        message: String,
    },
    /// The receiver does not open the stream.
    #[error("the receiver at {peer} refuses the stream: {}", refusal(*reason, *limit))]
    Refused {
        /// Where to.
        peer: SocketAddr,
        /// Why, where this version knows the reason.
        reason: Option<RefuseReason>,
        /// The limit that was hit, if any.
        limit: u64,
    },
    /// The far end has not confirmed in time.
    #[error(
        "the receiver at {peer} did not answer within {waited:?}; is it running, and does the network carry UDP to it?"
    )]
    Unanswered {
        /// Where to.
        peer: SocketAddr,
        /// How long was waited.
        waited: Duration,
    },
    /// The stream is to go by shared memory alone, and does not.
    #[error(
        "the stream to {peer} does not go by shared memory: {cause}; have the receiver share its streams on this machine, or send by UDP (--path udp)"
    )]
    NoSharedMemory {
        /// Where to.
        peer: SocketAddr,
        /// What stands in the way.
        cause: String,
    },
    /// The stream has been closed.
    #[error("the stream has been closed")]
    Closed,
    /// This process was forked from the one that publishes the stream.
    #[error(
        "this process was forked from the one that publishes the stream, which alone may write to it; publish a stream of its own here"
    )]
    Forked,
    /// The frame has not the length of the stream's format.
    #[error("a frame of {bytes} bytes is none of {format}, which has {}; fill the whole frame", length_of(format))]
    Length {
        /// Bytes of the frame.
        bytes: usize,
        /// What the stream sends.
        format: FrameFormat,
    },
    /// The frame did not arrive whole where it comes from.
    #[error(
        "{missing} bytes of the frame's pixels are missing, or its metadata; send on whole frames alone, `Frame::is_complete` tells them"
    )]
    Gaps {
        /// Bytes that did not come.
        missing: usize,
    },
    /// The frame has more metadata than the stream has room for.
    #[error(
        "the frame has {bytes} bytes of metadata, and the stream room for {capacity}; make the sender with more (metadata_max)"
    )]
    Metadata {
        /// Bytes of the frame's metadata.
        bytes: usize,
        /// Bytes that there may be.
        capacity: usize,
    },
    /// The frame's memory is not this sender's.
    #[error("the frame is of another sender; write it into one that this sender's `frame` gave")]
    Foreign,
}

/// A frame was not sent: why, and the frame itself, which can be sent again or written anew.
#[derive(Debug, Error)]
#[error("{error}")]
#[non_exhaustive]
pub struct NotSent {
    /// Why.
    pub error: SendError,
    /// The frame; `None` only from [`PlainSender::send`](crate::PlainSender::send), once a part of it may have left.
    pub frame: Option<Box<FrameMut>>,
}

impl NotSent {
    pub(in crate::driver) fn new(error: SendError, frame: FrameMut) -> Self {
        Self { error, frame: Some(Box::new(frame)) }
    }
}

impl From<NotSent> for SendError {
    fn from(not_sent: NotSent) -> Self {
        not_sent.error
    }
}

/// Whether a frame is one of this pool, with the length of the format.
pub(in crate::driver) fn check_frame(
    frame: &FrameMut,
    pool: &FramePool,
    format: &FrameFormat,
) -> Result<(), SendError> {
    if !frame.is_of(pool) {
        return Err(SendError::Foreign);
    }
    check_length(frame.len(), format)
}

/// How long frames of a format are, as it is told to people.
fn length_of(format: &FrameFormat) -> String {
    match format.is_variable() {
        true => format!("1 to {}", format.frame_bytes()),
        false => format.frame_bytes().to_string(),
    }
}

/// Whether a frame of this format may have so many bytes.
pub(in crate::driver) fn check_length(bytes: usize, format: &FrameFormat) -> Result<(), SendError> {
    if format.holds(bytes) { Ok(()) } else { Err(SendError::Length { bytes, format: *format }) }
}

fn refusal(reason: Option<RefuseReason>, limit: u64) -> String {
    match reason {
        Some(RefuseReason::Unknown) => "it was not announced there; open it over Socket.IO first".into(),
        Some(RefuseReason::TooManyStreams) => {
            format!("it has {limit} streams, its limit; close one or raise the limit")
        }
        Some(RefuseReason::FrameTooLarge) => format!(
            "its frames need more memory than the {limit} bytes that one stream may have there (--stream-memory); send \
             smaller frames or raise the limit"
        ),
        Some(RefuseReason::Memory) => format!(
            "its frames need more memory than is left of the {limit} bytes that all streams together may have there \
             (--memory); close a stream, send smaller frames or raise the limit"
        ),
        Some(RefuseReason::Format) => {
            "the format, the delivery or the metadata is not what it was announced or opened with".into()
        }
        Some(RefuseReason::Version) => {
            format!("the far end speaks version {limit}, this is {VERSION}; use the same release on both sides")
        }
        Some(RefuseReason::Resources) if limit > 0 => format!(
            "its process may have {limit} files open and has (RLIMIT_NOFILE); raise that limit there: ulimit -n, or LimitNOFILE= of \
             its service"
        ),
        Some(RefuseReason::Resources) => "it has no memory or socket left for it; free some there".into(),
        Some(RefuseReason::NeedsKey) => {
            "it takes this stream protected alone, and this sender has no key; give it the one that the receiver has for \
             the stream (SenderConfig::key)"
                .into()
        }
        Some(RefuseReason::WrongKey) => {
            "it does not know this sender's key, or has another one for this stream; give both ends the same one".into()
        }
        Some(RefuseReason::NoKeys) => {
            "this sender has a key, and it has none; give it the key (ReceiverConfig::keys, or Announcement::key), or \
             send unprotected where nobody else listens"
                .into()
        }
        Some(RefuseReason::NoSuite) => {
            "it has none of the ciphers that this sender offers; use the same release at both ends".into()
        }
        None => "for a reason this version does not know; use the same release at both ends".into(),
    }
}
