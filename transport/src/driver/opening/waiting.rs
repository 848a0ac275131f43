//! Streams that have been admitted and whose memory is being made.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Opening, OpeningId, Reservation};
use crate::frame::PoolInMaking;
use crate::wire::{Open, SealedOpen};

/// Of so many turns, one is that of the stream which has waited longest, however much it has to do: it is ready in time, and holds up
/// the small ones that go on coming by no more than a turn in so many.
const TURNS_TO_THE_LONGEST: u64 = 16;

/// The streams that wait, those with the least to do first.
#[derive(Default)]
pub(in crate::driver) struct Waiting {
    streams: Vec<WaitingStream>,
    /// Given up before they were open: to be dropped where that keeps nobody waiting, for it takes time.
    discarded: Vec<WaitingStream>,
    next_ticket: u64,
    /// That have been given.
    turns: u64,
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

    /// Bytes of memory that are still being given back.
    pub(in crate::driver) fn releasing_bytes(&self) -> usize {
        self.discarded.iter().map(|stream| stream.reservation.bytes()).sum()
    }

    /// Whether an opening is of a stream that waits already: a repetition, or a later run of its sender, which it then is
    /// opened for.
    pub(in crate::driver) fn takes(&mut self, opening: &Opening) -> bool {
        let open = &opening.open;
        let known = |stream: &&mut WaitingStream| {
            let waits = &stream.opening;
            // One that is being started goes on elsewhere once it is: its sender, which may speak already, repeats itself.
            let is_same_way = stream.is_starting || waits.id().has_way_of(&opening.id());
            let is_cut_so = waits.sealed.is_some() == opening.sealed.is_some() && has_same_frames(&waits.open, open);
            waits.open.stream == open.stream && is_same_way && is_cut_so
        };
        let Some(stream) = self.streams.iter_mut().find(known) else { return false };
        let ahead = open.epoch.wrapping_sub(stream.opening.open.epoch);
        if (1..=u32::MAX / 2).contains(&ahead) && !stream.is_starting {
            stream.opening = opening.clone();
        }
        true
    }

    /// Has a stream wait for `bytes` bytes of memory.
    pub(in crate::driver) fn push(&mut self, opening: &Opening, bytes: usize, reservation: Reservation) {
        self.streams.push(WaitingStream {
            ticket: self.next_ticket,
            opening: opening.clone(),
            left: bytes,
            reservation: Arc::new(reservation),
            pool: None,
            is_starting: false,
        });
        self.next_ticket += 1;
    }

    /// Whether a datagram is what a stream waits with, once more.
    pub(in crate::driver) fn has(&self, datagram: &SealedOpen) -> bool {
        self.streams.iter().any(|stream| stream.opening.sealed.as_ref().is_some_and(|sealed| sealed.is(datagram)))
    }

    /// Gives streams up.
    pub(in crate::driver) fn discard(&mut self, is_past: impl Fn(&Opening) -> bool) {
        self.discarded.extend(self.streams.extract_if(.., |stream| is_past(&stream.opening)));
    }

    /// What has been given up, to be dropped without a lock.
    pub(super) fn take_discarded(&mut self) -> Vec<WaitingStream> {
        std::mem::take(&mut self.discarded)
    }

    /// What is to be done next: mostly the stream that is ready soonest, so that a large one holds up no small one; now and then the
    /// one that has waited longest, so that small ones that go on coming do not keep it waiting for ever.
    pub(super) fn next(&mut self) -> Option<Turn> {
        let is_longest = self.turns % TURNS_TO_THE_LONGEST == TURNS_TO_THE_LONGEST - 1;
        let first = |stream: &&mut WaitingStream| (if is_longest { 0 } else { stream.left }, stream.ticket);
        let stream = self.streams.iter_mut().min_by_key(first)?;
        self.turns += 1;
        Some(Turn {
            ticket: stream.ticket,
            opening: stream.opening.clone(),
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
        Some(stream.opening.clone())
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
        let frames = (open.pixel, open.width, open.height, open.stride, open.frame_bytes, open.tail_max);
        (frames, open.delivery, open.slice_bytes, open.parity_max)
    };
    what(one) == what(other)
}

#[cfg(test)]
mod tests {
    use super::super::Budget;
    use super::*;
    use crate::driver::opening::made_up::opening;

    const PAGE: usize = 4_096;

    fn waiting(streams: &[(u32, &str, usize)]) -> (Arc<Budget>, Waiting) {
        let (budget, mut waiting) = (Budget::new(1 << 30), Waiting::default());
        for (stream, peer, bytes) in streams {
            let reservation = budget.reserve(*bytes).unwrap();
            waiting.push(&opening(*stream, 1, peer), *bytes, reservation);
        }
        (budget, waiting)
    }

    #[test]
    fn the_stream_that_has_the_least_to_go_has_its_turn_and_of_equals_the_one_that_came_first() {
        let (_, mut waiting) =
            waiting(&[(1, "10.0.0.1:1", 9 * PAGE), (2, "10.0.0.2:1", PAGE), (3, "10.0.0.3:1", PAGE)]);
        let mut order = Vec::new();
        while let Some(turn) = waiting.next() {
            let mut pool = turn
                .pool
                .unwrap_or_else(|| PoolInMaking::new(if turn.opening.open.stream == 1 { 4 } else { 2 }, 1).unwrap());
            pool.provide(PAGE).unwrap();
            order.push(turn.opening.open.stream);
            if pool.left() == 0 {
                assert_eq!(waiting.begin_start(turn.ticket).unwrap().id(), turn.opening.id());
                assert!(waiting.finish(turn.ticket));
            } else {
                assert!(waiting.put_back(turn.ticket, pool).is_none());
            }
        }
        assert_eq!(order, [2, 2, 3, 3, 1, 1, 1, 1]);
    }

    #[test]
    fn a_large_stream_is_ready_in_time_however_many_small_ones_go_on_coming() {
        const STEPS: usize = 4;
        let (budget, mut waiting) = waiting(&[(0, "10.0.0.1:1", 1 << 20)]);
        let (mut turns, mut of_the_large_one) = (0, 0);
        while of_the_large_one < STEPS {
            turns += 1;
            assert!(turns <= 100 * STEPS, "the large one had {of_the_large_one} turns of {turns}");
            // There is always a smaller one.
            let reservation = budget.reserve(PAGE).unwrap();
            waiting.push(&opening(turns as u32, 1, "10.0.0.2:1"), PAGE, reservation);
            let turn = waiting.next().unwrap();
            if turn.opening.open.stream > 0 {
                assert!(waiting.finish(turn.ticket));
                continue;
            }
            of_the_large_one += 1;
            let mut pool = turn.pool.unwrap_or_else(|| PoolInMaking::new(STEPS, PAGE).unwrap());
            pool.provide(PAGE).unwrap();
            assert!(waiting.put_back(turn.ticket, pool).is_none());
        }
        // The small ones were hardly held up.
        assert!(turns >= 10 * STEPS, "{turns}");
    }

    #[test]
    fn a_repeated_opening_waits_once_and_a_later_run_of_its_sender_is_what_is_opened() {
        let (_, mut waiting) = waiting(&[(1, "10.0.0.1:1", PAGE)]);
        assert!(waiting.takes(&opening(1, 1, "10.0.0.1:1")));
        assert!(waiting.takes(&opening(1, 5, "10.0.0.1:1")));
        // One that was on its way for long.
        assert!(waiting.takes(&opening(1, 3, "10.0.0.1:1")));
        for other in [opening(2, 1, "10.0.0.1:1"), opening(1, 6, "10.0.0.1:2")] {
            assert!(!waiting.takes(&other));
        }
        let turn = waiting.next().unwrap();
        assert_eq!(waiting.begin_start(turn.ticket).unwrap().open.epoch, 5);
        // Its thread is being started already: the sender repeats itself to that.
        assert!(waiting.takes(&opening(1, 9, "10.0.0.1:1")));
        assert_eq!(waiting.next().unwrap().opening.open.epoch, 5);
        assert!(waiting.finish(turn.ticket) && !waiting.finish(turn.ticket));
    }

    #[test]
    fn what_is_given_up_is_not_opened_and_its_memory_is_given_back_when_it_is_dropped() {
        let (budget, mut waiting) =
            waiting(&[(1, "10.0.0.1:1", PAGE), (2, "10.0.0.1:2", PAGE), (3, "10.0.0.2:1", PAGE)]);
        assert_eq!(waiting.of_address("10.0.0.1".parse().unwrap()), 2);
        let turn = waiting.next().unwrap();
        waiting.discard(|opening| opening.peer.ip() == turn.opening.peer.ip());
        assert_eq!((waiting.of_address("10.0.0.1".parse().unwrap()), waiting.releasing_bytes()), (0, 2 * PAGE));
        let pool = PoolInMaking::new(1, 1).unwrap().holding(turn.reservation.clone());
        let given_up = waiting.put_back(turn.ticket, pool);
        assert!(given_up.is_some() && waiting.begin_start(turn.ticket).is_none() && !waiting.finish(turn.ticket));
        drop(waiting.take_discarded());
        assert_eq!(budget.reserved(), 2 * PAGE);
        drop((given_up, turn));
        assert_eq!((budget.reserved(), waiting.releasing_bytes()), (PAGE, 0));
    }
}
