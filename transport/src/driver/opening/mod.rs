//! From an opening to a stream: whom one is opened for, what it may take, and the thread that takes it.

mod admission;
mod budget;
mod cookie;
mod ended;
mod machine;
#[cfg(test)]
pub(super) mod made_up;
mod spare;
mod waiting;
mod worker;

pub use admission::{Admission, Announcement};
pub(super) use admission::{Limits, Refusal, admit, stream_bytes};
pub(super) use budget::{Budget, Reservation};
pub(super) use cookie::Cookies;
pub(super) use ended::Ended;
pub(super) use machine::default_memory_bytes;
pub(super) use spare::{Standing, least_needed, least_needed_of, least_needed_with};
pub(super) use waiting::Waiting;
pub(super) use worker::Worker;

use std::net::SocketAddr;

use crate::wire::Open;

/// An opening as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) open: Open,
    /// Bytes of its whole datagram.
    pub(super) open_bytes: usize,
    pub(super) peer: SocketAddr,
    /// Which of this machine's addresses it came to.
    pub(super) local: SocketAddr,
}

impl Opening {
    pub(super) const fn id(&self) -> OpeningId {
        OpeningId { stream: self.open.stream, epoch: self.open.epoch, peer: self.peer, local: self.local }
    }
}

/// What an opening and its repetitions have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpeningId {
    pub(super) stream: u32,
    pub(super) epoch: u32,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

impl OpeningId {
    /// Whether both came from one address of the sender to one of this machine's.
    pub(super) fn has_way_of(&self, other: &Self) -> bool {
        (self.peer, self.local) == (other.peer, other.local)
    }
}
