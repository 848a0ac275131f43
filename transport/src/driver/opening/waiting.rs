//! Streams that have been admitted and whose memory is being made.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Opening, OpeningId, Reservation};
use crate::frame::PoolInMaking;
use crate::wire::Open;

/// The streams that wait, those with the least to do first.
#[derive(Default)]
pub(in crate::driver) struct Waiting {
    streams: Vec<WaitingStream>,
    /// Given up before they were open: to be dropped where that keeps nobody waiting, for it takes time.
    discarded: Vec<WaitingStream>,
    next_ticket: u64,
}

/// A stream that waits for its memory.
pub(in crate::driver) struct WaitingStream {
    ticket: u64,
    opening: Opening,
    /// Bytes of memory that it still has to be given; what it is worked on by.
    left: usize,
    reservation: Arc<Reservation>,
    /// `None` before it is worked on, and while it is.
    pool: Option<PoolInMaking>,
    /// Its thread is being started, with the opening as it is.
    is_starting: bool,
}

/// A piece of work: the memory of one stream.
pub(in crate::driver) struct Turn {
    pub(super) ticket: u64,
    pub(super) opening: Opening,
    pub(super) reservation: Arc<Reservation>,
    pub(super) pool: Option<PoolInMaking>,
}

impl Waiting {
    /// Streams that are meant, of those that wait.
    pub(in crate::driver) fn count(&self, is_meant: impl Fn(OpeningId) -> bool) -> usize {
        self.streams.iter().filter(|stream| is_meant(stream.opening.id())).count()
    }

    /// Streams that an address has waiting.
    pub(in crate::driver) fn of_address(&self, address: IpAddr) -> usize {
        self.count(|id| id.peer.ip() == address)
    }

    /// Whether memory is still being given back.
    pub(in crate::driver) fn is_releasing(&self) -> bool {
        !self.discarded.is_empty()
    }

    /// Whether an opening is of a stream that waits already: a repetition, or a later run of its sender, which it then is
    /// opened for.
    pub(in crate::driver) fn takes(&mut self, opening: &Opening) -> bool {
        let Opening { open, peer, .. } = opening;
        let known = |stream: &&mut WaitingStream| {
            let waits = &stream.opening;
            (waits.open.stream, waits.peer) == (open.stream, *peer) && has_same_frames(&waits.open, open)
        };
        let Some(stream) = self.streams.iter_mut().find(known) else { return false };
        let ahead = open.epoch.wrapping_sub(stream.opening.open.epoch);
        if (1..=u32::MAX / 2).contains(&ahead) && !stream.is_starting {
            stream.opening = *opening;
        }
        true
    }

    /// Has a stream wait for `bytes` bytes of memory.
    pub(in crate::driver) fn push(&mut self, opening: &Opening, bytes: usize, reservation: Reservation) {
        self.streams.push(WaitingStream {
            ticket: self.next_ticket,
            opening: *opening,
            left: bytes,
            reservation: Arc::new(reservation),
            pool: None,
            is_starting: false,
        });
        self.next_ticket += 1;
    }

    /// Gives streams up.
    pub(in crate::driver) fn discard(&mut self, is_past: impl Fn(OpeningId) -> bool) {
        self.discarded.extend(self.streams.extract_if(.., |stream| is_past(stream.opening.id())));
    }

    /// What has been given up, to be dropped without a lock.
    pub(super) fn take_discarded(&mut self) -> Vec<WaitingStream> {
        std::mem::take(&mut self.discarded)
    }

    /// What is to be done next: the stream that is ready soonest, so that a large one holds up no small one.
    pub(super) fn next(&mut self) -> Option<Turn> {
        let stream = self.streams.iter_mut().min_by_key(|stream| (stream.left, stream.ticket))?;
        Some(Turn {
            ticket: stream.ticket,
            opening: stream.opening,
            reservation: stream.reservation.clone(),
            pool: stream.pool.take(),
        })
    }

    /// Takes back what is not done yet; gives it back to be dropped where the stream was given up meanwhile.
    pub(super) fn put_back(&mut self, ticket: u64, pool: PoolInMaking) -> Option<PoolInMaking> {
        match self.find(ticket) {
            Some(stream) => {
                stream.left = pool.left();
                stream.pool = Some(pool);
                None
            }
            None => Some(pool),
        }
    }

    /// What a stream whose memory is there is opened with, unless it was given up.
    pub(super) fn begin_start(&mut self, ticket: u64) -> Option<Opening> {
        let stream = self.find(ticket)?;
        stream.is_starting = true;
        Some(stream.opening)
    }

    /// The stream waits no more. False where it was given up meanwhile.
    pub(super) fn finish(&mut self, ticket: u64) -> bool {
        let place = self.streams.iter().position(|stream| stream.ticket == ticket);
        place.map(|place| self.streams.swap_remove(place)).is_some()
    }

    fn find(&mut self, ticket: u64) -> Option<&mut WaitingStream> {
        self.streams.iter_mut().find(|stream| stream.ticket == ticket)
    }
}

/// Whether what was made for one opening serves another.
fn has_same_frames(one: &Open, other: &Open) -> bool {
    let what = |open: &Open| {
        let frames = (open.pixel, open.width, open.height, open.stride, open.frame_bytes);
        (frames, open.delivery, open.slice_bytes, open.parity_max)
    };
    what(one) == what(other)
}
