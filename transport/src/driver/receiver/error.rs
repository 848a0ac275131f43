//! What goes wrong with a receiver.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;

use crate::frame::{FrameFormat, PoolError};
use crate::limit::remedy;
use crate::share::ShareError;

/// Why a receiver could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another program has the port.
    #[error("UDP port {} on {} is in use by another program; stop it or listen elsewhere", .0.port(), .0.ip())]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on UDP {address}: {source}; use an address of this machine and a port you may use")]
    Address {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A number of the configuration is out of range.
    #[error("{value} {what} cannot be; use {min} to {max}")]
    OutOfRange {
        /// Of what there are so many.
        what: &'static str,
        /// How many were asked for.
        value: usize,
        /// The least that can be.
        min: usize,
        /// The most that can be.
        max: usize,
    },
    /// The wire of the original system knows frames by their length.
    #[error("the plain wire carries frames of one length, and those of {0} differ; use Sender and Receiver for them")]
    LengthsDiffer(FrameFormat),
    /// Anybody's frames would be taken beyond this machine.
    #[error(
        "on {0} anybody who reaches it could send frames, and they would travel in plain text; give both ends one key \
         (ReceiverConfig::keys, SenderConfig::key), or, on a network that you trust, say Protection::Off (--insecure) at both \
         ends, or listen on loopback"
    )]
    Unprotected(SocketAddr),
    /// Streams are to be protected, and there are no keys.
    #[error(
        "streams are to be protected (Protection::On) and there are no keys; give both ends one (ReceiverConfig::keys, \
         SenderConfig::key), or leave it to Protection::Auto, which receives plain text on loopback alone"
    )]
    NoKeys,
    /// There are keys, and streams are not to be protected.
    #[error(
        "there are keys and streams are not to be protected (Protection::Off); leave the keys out at both ends to receive plain \
         text, or leave it to Protection::Auto to have streams protected"
    )]
    KeysUnused,
    /// No memory for the slots.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The streams cannot be shared where they should be.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// No thread, wake-up descriptor or random number.
    #[error("the system refused a thread or descriptor for the receiver: {source}; {help}", source = .0, help = remedy(.0).unwrap_or("check the process's limits"))]
    System(io::Error),
}

impl BindError {
    pub(in crate::driver) fn from_bind(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            _ => Self::Address { address, source },
        }
    }
}

/// Why a stream is not announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// As many streams are announced as may be.
    #[error("{limit} streams are announced, as many as may be; retract one, or allow more streams")]
    TooMany {
        /// How many may be.
        limit: usize,
    },
    /// The stream needs more memory than one stream may have.
    #[error(
        "its frames need {bytes} bytes of memory, and one stream may have {limit} here (--stream-memory); send smaller frames \
         or raise the limit"
    )]
    StreamMemory {
        /// What it needs at least.
        bytes: usize,
        /// What it may have.
        limit: usize,
    },
    /// The stream needs more memory than all streams together may have.
    #[error(
        "its frames need {bytes} bytes of memory, and all streams together may have {limit} here (--memory); send smaller \
         frames or raise the limit"
    )]
    Memory {
        /// What it needs at least.
        bytes: usize,
        /// What all may have.
        limit: usize,
    },
    /// It would be taken in plain text beyond this machine.
    #[error(
        "a stream without a key would travel to {address} in plain text; announce it with one that its sender has, too \
         (Announcement::key, SenderConfig::key), or, on a network that you trust, say Protection::Off (--insecure) at both ends"
    )]
    Unprotected {
        /// What the receiver listens on.
        address: SocketAddr,
    },
    /// Streams are to be protected, and it has no key.
    #[error(
        "streams are to be protected (Protection::On) and this one has no key; announce it with one that its sender has, too \
         (Announcement::key, SenderConfig::key), or leave it to Protection::Auto, which receives plain text on loopback alone"
    )]
    NoKey,
    /// It has a key, and streams are not to be protected.
    #[error(
        "the stream has a key and streams are not to be protected (Protection::Off); announce it without one to receive plain \
         text, or leave it to Protection::Auto to have it protected"
    )]
    KeyUnused,
}

/// Why no stream came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AcceptStreamError {
    /// The receiver has been stopped.
    #[error("the receiver has been stopped")]
    Stopped,
    /// None within the time given.
    #[error("no stream was opened in time")]
    Timeout,
}
