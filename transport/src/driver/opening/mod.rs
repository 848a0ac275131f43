//! From an opening to a stream: whom one is opened for, what it may take, and the thread that takes it.

mod admission;
mod budget;
mod cookie;
mod ended;
mod ephemerals;
mod machine;
#[cfg(test)]
pub(super) mod made_up;
mod patience;
mod proof;
mod spare;
mod waiting;
mod worker;

pub use admission::{Admission, Announcement};
pub(super) use admission::{Limits, Refusal, admit, stream_bytes};
pub(super) use budget::{Budget, Reservation};
pub(super) use cookie::Cookies;
pub(super) use ended::Ended;
pub(super) use ephemerals::Ephemerals;
pub(super) use machine::default_memory_bytes;
pub(super) use patience::Patience;
pub(super) use proof::{Keys, Proof, proof, read};
pub(super) use spare::{Standing, least_needed, least_needed_of, least_needed_with};
pub(super) use waiting::Waiting;
pub(super) use worker::Worker;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::receive::SealedOpening;
use crate::wire::{AnyOpen, Cut, Open};

/// An opening as it came: nothing of it is proven.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) open: AnyOpen,
    /// Bytes of its whole datagram.
    pub(super) open_bytes: usize,
    pub(super) peer: SocketAddr,
    /// Which of this machine's addresses it came to.
    pub(super) local: SocketAddr,
}

impl Asked {
    pub(super) const fn id(&self) -> OpeningId {
        let (stream, epoch) = match &self.open {
            AnyOpen::Plain(open) => (open.stream, open.epoch),
            AnyOpen::Sealed(open) => (open.stream, open.epoch),
        };
        OpeningId { stream, epoch, peer: self.peer, local: self.local }
    }
}

/// An opening by whoever hears us at its address, and has the stream's key where it has one.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    pub(super) open: Open,
    /// As it came, where it was sealed.
    pub(super) sealed: Option<Arc<SealedOpening>>,
    pub(super) open_bytes: usize,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

impl Opening {
    /// How its frames are cut.
    pub(super) fn cut(&self) -> Cut {
        let cut = self.open.cut();
        if self.sealed.is_some() { cut.tagged() } else { cut }
    }

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
