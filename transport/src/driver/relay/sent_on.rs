//! A stream that is sent on, on the relay's thread: where its frames come from, and whom they go to.

use std::sync::Arc;

use super::RelayConfig;
use super::leg::{Leg, Shared};
use super::post::NewWatcher;
use super::stream::Feed;
use crate::frame::{Consumer, Frame, Readiness, RecvError};
use crate::send::Distribution;
use crate::time::Time;
use crate::utc::UtcOffset;

/// A stream with its watchers.
pub(super) struct SentOn {
    /// None once it has ended, or nobody is to get it any more.
    source: Option<Source>,
    /// It may have a frame.
    is_readable: bool,
    /// Taken, and to be handed on.
    taken: Option<Frame>,
    feed: Arc<Feed>,
    /// From its first frame on, which says where its numbers begin.
    distribution: Option<Distribution>,
    /// Who came before that.
    waiting: Vec<NewWatcher>,
    legs: Vec<Leg>,
    /// When each of them is to run: apart from them, since all are looked at each time.
    turns: Vec<Turn>,
    /// Who has the first turn.
    first: usize,
    /// The program has let go of it.
    is_dropped: bool,
}

/// Where its frames come from.
pub(super) struct Source {
    pub(super) consumer: Consumer,
    pub(super) readiness: Readiness,
}

/// When a leg is to run.
#[derive(Debug, Clone, Copy)]
struct Turn {
    due: Time,
    readable: bool,
    writable: bool,
}

impl Turn {
    /// At once.
    const NOW: Self = Self { due: Time::ZERO, readable: false, writable: false };
}

impl SentOn {
    pub(super) fn new(source: Option<Source>, feed: Arc<Feed>) -> Self {
        Self {
            source,
            is_readable: true,
            taken: None,
            feed,
            distribution: None,
            waiting: Vec::new(),
            legs: Vec::new(),
            turns: Vec::new(),
            first: 0,
            is_dropped: false,
        }
    }

    /// One more gets it, from the next frame on that is handed on.
    pub(super) fn add(&mut self, new: NewWatcher, config: &RelayConfig, now: Time) {
        let Some(distribution) = self.distribution.as_ref().filter(|_| self.source.is_some()) else {
            if self.source.is_some() {
                self.waiting.push(new);
            }
            return;
        };
        self.legs.push(Leg::new(new, distribution, config, now));
        self.turns.push(Turn::NOW);
    }

    /// This one is not to get it any more.
    pub(super) fn close(&mut self, id: u64, now: Time) {
        self.waiting.retain(|waiting| waiting.id != id);
        if let Some(place) = self.legs.iter().position(|leg| leg.id == id) {
            self.legs[place].close(true, now);
            self.turns[place].due = Time::ZERO;
        }
    }

    /// Nobody is to get it any more.
    pub(super) fn let_go(&mut self, with: &mut Shared, now: Time) {
        self.is_dropped = true;
        self.taken = None;
        self.end(true, with, now);
    }

    /// No frame follows; those that wait still leave, unless it is to end `at_once`.
    fn end(&mut self, at_once: bool, with: &mut Shared, now: Time) {
        if let Some(source) = self.source.take() {
            with.poller.remove(&source.readiness);
        }
        self.feed.end();
        self.waiting.clear();
        self.legs.iter_mut().for_each(|leg| leg.close(at_once, now));
        self.turns.iter_mut().for_each(|turn| turn.due = Time::ZERO);
    }

    /// Whether nothing is left of it.
    pub(super) fn is_done(&self) -> bool {
        self.is_dropped && self.legs.is_empty()
    }

    /// Its watchers, in their places.
    pub(super) fn watchers(&self) -> impl Iterator<Item = u64> + '_ {
        self.legs.iter().map(|leg| leg.id)
    }

    /// How many there are.
    pub(super) fn places(&self) -> usize {
        self.legs.len()
    }

    /// When it has something to do.
    pub(super) fn due(&self) -> Time {
        self.turns.iter().map(|turn| turn.due).min().unwrap_or(Time::MAX)
    }

    /// Its consumer has something.
    pub(super) fn note_readable(&mut self) {
        self.is_readable = true;
    }

    /// The socket of the watcher in this place has something, or room.
    pub(super) fn note_ready(&mut self, place: usize, readable: bool, writable: bool) {
        if let Some(turn) = self.turns.get_mut(place) {
            turn.readable |= readable;
            turn.writable |= writable;
        }
    }

    /// What this machine's wall clock shows. Where the frames say what their source's shows, that holds.
    pub(super) fn set_utc(&mut self, utc: UtcOffset) {
        if self.distribution.as_ref().is_some_and(|distribution| !distribution.knows_utc()) {
            self.legs.iter_mut().for_each(|leg| leg.subscriber().0.set_utc(Some(utc)));
        }
    }

    /// Has each watcher run who has something to do. Whether some are done with, and have been forgotten.
    pub(super) fn run(&mut self, config: &RelayConfig, with: &mut Shared) -> bool {
        let Some(distribution) = &mut self.distribution else { return false };
        let (count, mut is_over) = (self.legs.len(), false);
        for nth in 0..count {
            let place = (self.first % count + nth) % count;
            let (turn, leg) = (&mut self.turns[place], &mut self.legs[place]);
            let now = Time::now();
            if now < turn.due && !turn.readable && !turn.writable {
                continue;
            }
            let ready = (std::mem::take(&mut turn.readable), std::mem::take(&mut turn.writable));
            let left = leg.run(distribution.publication(), with, ready, config.linger, now);
            is_over |= left.is_over;
            turn.due = left.until;
        }
        if is_over {
            self.forget_who_is_over(config, with);
        }
        is_over
    }

    fn forget_who_is_over(&mut self, config: &RelayConfig, with: &mut Shared) {
        let now = Time::now();
        for place in (0..self.legs.len()).rev() {
            if self.legs[place].is_over(config.linger, now) {
                let leg = self.legs.swap_remove(place);
                self.turns.swap_remove(place);
                with.poller.remove(leg.descriptor());
            }
        }
    }

    /// Takes the next frame there is; false where there is none.
    pub(super) fn take_frame(&mut self, with: &mut Shared) -> bool {
        let Some(source) = self.source.as_ref().filter(|_| self.is_readable) else { return false };
        let taken = source.consumer.try_recv();
        self.is_readable = taken.is_ok();
        match taken {
            // Nobody counts it as held: it comes back by itself.
            Ok(frame) => self.taken = Some(frame.given_away()),
            Err(RecvError::Timeout | RecvError::HoldsAllSlots { .. }) => {}
            Err(_) => self.end(false, with, Time::now()),
        }
        self.is_readable
    }

    /// Hands the frame that was taken to all. Whether there are more places now.
    pub(super) fn hand_on(&mut self, config: &RelayConfig, with: &mut Shared) -> bool {
        let Some(frame) = self.taken.take() else { return false };
        let (now, places) = (Time::now(), self.places());
        if self.distribution.is_none() {
            let stream = &self.feed.config;
            self.distribution = Some(Distribution::new(stream.format, stream.tail_max(), frame.info().number));
            for new in std::mem::take(&mut self.waiting) {
                self.add(new, config, now);
            }
        }
        let Some(distribution) = &mut self.distribution else { return false };
        match distribution.publish(frame, self.legs.iter_mut().map(Leg::subscriber), now) {
            Ok(missing) => self.feed.count(missing),
            Err(_) => self.feed.count_unfit(),
        }
        self.legs.iter_mut().for_each(|leg| leg.let_go_of_unsent(distribution, with));
        self.turns.iter_mut().for_each(|turn| turn.due = Time::ZERO);
        self.first = self.first.wrapping_add(1);
        self.places() > places
    }
}
