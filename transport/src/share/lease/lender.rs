//! The hub's side: which slots a reader has, by what the hub itself knows.

use std::collections::VecDeque;

use super::layout::{Control, OFFERS_MAX, Offer, ROOM, SLOT};
use super::points::{Point, at, forgets_leases};
use super::sync::Ordering;

/// The most slots of a pool: a bit each in a word.
const SLOTS_MAX: usize = 64;

/// What happens to a frame for which there is no room on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// It takes the place of the oldest.
    Replace,
    /// It waits, and holds its slot.
    Wait,
}

/// What a reader did that none does that keeps to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misconduct {
    /// It changed an offer into another.
    Offer,
    /// It gave back what it did not have.
    Returned,
}

/// What became of the frames of a subscription: `offered` is the sum of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LeaseCounts {
    /// Frames published since it began.
    pub(crate) offered: u64,
    /// Frames that the reader took.
    pub(crate) taken: u64,
    /// Frames whose place newer ones took, or that there was no room for.
    pub(crate) dropped: u64,
    /// Frames that it may still take.
    pub(crate) waiting: u64,
}

struct Offered<L> {
    word: u64,
    slot: u32,
    lease: L,
}

/// The leases of one reader; `L` is what holds a slot.
///
/// All methods are for one thread at a time. None waits, loops without a bound, or believes a word of the page beyond what it knows itself.
pub(crate) struct Lender<L> {
    overflow: Overflow,
    /// Frames on offer at most.
    words: usize,
    /// Slots at most, on offer and lent.
    quota: usize,
    /// Of the next offer.
    sequence: u64,
    offered: [Option<Offered<L>>; OFFERS_MAX],
    lent: [Option<L>; SLOTS_MAX],
    /// The same as bits.
    lent_slots: u64,
    waiting: VecDeque<(u32, L)>,
    counts: LeaseCounts,
    misconduct: Option<Misconduct>,
    is_quarantined: bool,
    has_left: bool,
}

impl<L> Lender<L> {
    /// For a reader that may have `words` frames on offer, 1 to [`OFFERS_MAX`], and `hold` slots besides, at least one.
    pub(crate) fn new(overflow: Overflow, words: usize, hold: usize) -> Self {
        let words = words.clamp(1, OFFERS_MAX);
        Self {
            overflow,
            words,
            quota: (words + hold.max(1)).min(SLOTS_MAX),
            sequence: 1,
            offered: std::array::from_fn(|_| None),
            lent: std::array::from_fn(|_| None),
            lent_slots: 0,
            waiting: VecDeque::with_capacity(if overflow == Overflow::Wait { SLOTS_MAX } else { 0 }),
            counts: LeaseCounts::default(),
            misconduct: None,
            is_quarantined: false,
            has_left: false,
        }
    }

    /// Slots that it may have at most, on offer and lent.
    #[cfg(test)]
    pub(crate) fn quota(&self) -> usize {
        self.quota
    }

    /// What became of its frames so far.
    pub(crate) fn counts(&self) -> LeaseCounts {
        let on_offer = self.offered.iter().flatten().count() + self.waiting.len();
        LeaseCounts { waiting: on_offer as u64, ..self.counts }
    }

    /// Slots that the reader has in its hands, as far as is known.
    pub(crate) fn held(&self) -> usize {
        self.lent_slots.count_ones() as usize
    }

    /// Whether frames wait for room on offer.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What it did that it may not. It gets no frame any more, and its slots stay its own until it is gone.
    pub(crate) fn misconduct(&self) -> Option<Misconduct> {
        self.misconduct
    }

    /// Whether it gets no frame any more.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.is_quarantined
    }

    /// A frame was published. Returns whether the reader sleeps and must be woken. What it has given back is [collected](Lender::collect) after
    /// that: only where the frame has no room without it, it is looked for first.
    pub(crate) fn offer(&mut self, control: &Control, slot: u32, lease: L) -> bool {
        at(Point::Offering);
        if self.has_left {
            return self.collect(control);
        }
        self.counts.offered += 1;
        if self.misconduct.is_some() {
            self.counts.dropped += 1;
            return false;
        }
        let is_in_turn =
            self.overflow == Overflow::Replace || self.waiting.is_empty() && self.offered[self.next_index()].is_none();
        let must_wake = if is_in_turn && self.total() < self.quota { false } else { self.collect(control) };
        let must_wake = if self.is_quarantined {
            self.counts.dropped += 1;
            must_wake
        } else {
            match self.overflow {
                Overflow::Wait => {
                    if self.waiting.len() < SLOTS_MAX {
                        self.waiting.push_back((slot, lease));
                    } else {
                        self.counts.dropped += 1;
                    }
                    self.put_waiting(control) | must_wake
                }
                Overflow::Replace => self.replace(control, slot, lease) | must_wake,
            }
        };
        control.told.offered.store(self.counts.offered, Ordering::Relaxed);
        control.told.dropped.store(self.counts.dropped, Ordering::Relaxed);
        must_wake
    }

    /// Looks what the reader has taken and given back. Returns whether it must be woken: where frames waited, one may be on offer now.
    pub(crate) fn collect(&mut self, control: &Control) -> bool {
        self.look(control);
        self.put_waiting(control)
    }

    fn look(&mut self, control: &Control) {
        if self.misconduct.is_some() {
            // Nothing that its page says is believed any more, and to look at what it goes on writing would cost whoever publishes.
            return;
        }
        // In this order: what was taken before it was given back is seen as taken.
        let returned = control.returned.swap(0, Ordering::AcqRel);
        if returned != 0 {
            at(Point::Collecting);
        }
        for index in 0..self.words {
            self.note_taken(index, control.offers[index].load(Ordering::Acquire));
        }
        if returned & !self.lent_slots != 0 {
            self.misbehave(Misconduct::Returned);
        }
        let mut given_back = returned & self.lent_slots;
        if self.misconduct.is_some() {
            // Whoever does not keep to the rules may still read what it says that it does not.
            given_back = 0;
        }
        self.lent_slots &= !given_back;
        while given_back != 0 {
            self.lent[given_back.trailing_zeros() as usize] = None;
            given_back &= given_back - 1;
        }
        if returned != 0 {
            at(Point::Collected);
        }
    }

    /// Has the reader say when it takes or gives back something, and looks once more whether it has. As [`Lender::collect`].
    pub(crate) fn starve(&mut self, control: &Control) -> bool {
        control.starved.fetch_or(SLOT, Ordering::AcqRel);
        self.collect(control)
    }

    /// It gets no frame any more: what is on offer or waits is dropped. What it holds, it keeps.
    pub(crate) fn quarantine(&mut self, control: &Control) {
        self.is_quarantined = true;
        self.counts.dropped += self.waiting.len() as u64;
        self.waiting.clear();
        for index in 0..self.words {
            if self.offered[index].is_some() {
                let was = control.offers[index].swap(0, Ordering::AcqRel);
                self.end_offer(index, was);
            }
        }
    }

    /// The reader wants no more: as [`Lender::quarantine`], and what is published from here on is not counted as offered to it. Slots that
    /// it holds come back as ever.
    pub(crate) fn leave(&mut self, control: &Control) {
        self.quarantine(control);
        self.look(control);
        self.has_left = true;
        control.told.dropped.store(self.counts.dropped, Ordering::Relaxed);
    }

    /// Whether the reader wants no more.
    pub(crate) fn has_left(&self) -> bool {
        self.has_left
    }

    /// Puts frames on offer that wait, as far as there is room, and has the reader say when there is more.
    fn put_waiting(&mut self, control: &Control) -> bool {
        let must_wake = self.fill(control);
        if self.waiting.is_empty() {
            return must_wake;
        }
        control.starved.fetch_or(ROOM, Ordering::AcqRel);
        // What it did before that, it does not say.
        self.look(control);
        self.fill(control) | must_wake
    }

    fn fill(&mut self, control: &Control) -> bool {
        let mut must_wake = false;
        // At most as often as there are words: each turn fills one.
        while !self.is_quarantined && self.offered[self.next_index()].is_none() && self.total() < self.quota {
            let Some((slot, lease)) = self.waiting.pop_front() else { break };
            must_wake |= self.put(control, slot, lease);
        }
        must_wake
    }

    /// Puts a frame on offer in place of the oldest.
    fn replace(&mut self, control: &Control, slot: u32, lease: L) -> bool {
        let index = self.next_index();
        if self.offered[index].is_some() && self.total() >= self.quota {
            // Were the oldest taken just now, the new one would be one too many: it is taken back first.
            let was = control.offers[index].swap(0, Ordering::AcqRel);
            self.end_offer(index, was);
        }
        let has_room = self.offered[index].is_some() || self.total() < self.quota;
        if !has_room || self.is_quarantined {
            self.counts.dropped += 1;
            return false;
        }
        self.put(control, slot, lease)
    }

    /// Writes the next word; what it says was in its place is dropped, or has been taken.
    fn put(&mut self, control: &Control, slot: u32, lease: L) -> bool {
        let index = self.next_index();
        let word = Offer { sequence: self.sequence, slot }.to_word();
        self.sequence += 1;
        // Release: the slot and its record are written. Acquire: what the reader took before is seen as taken.
        let was = control.offers[index].swap(word, Ordering::AcqRel);
        at(Point::OfferPut);
        self.end_offer(index, was);
        self.offered[index] = Some(Offered { word, slot, lease });
        let must_wake = control.asleep.swap(0, Ordering::AcqRel) == 1;
        at(if must_wake { Point::Waking } else { Point::Offered });
        must_wake
    }

    fn next_index(&self) -> usize {
        // Below the number of words, at most eight.
        (self.sequence % self.words as u64) as usize
    }

    fn total(&self) -> usize {
        self.held() + self.offered.iter().flatten().count()
    }

    /// A word was replaced: `was` is what stood there.
    fn end_offer(&mut self, index: usize, was: u64) {
        match &self.offered[index] {
            Some(offered) if was == offered.word => {
                self.offered[index] = None;
                self.counts.dropped += 1;
            }
            Some(_) => self.note_taken(index, was),
            None if was == 0 => {}
            None => self.misbehave(Misconduct::Offer),
        }
    }

    /// Where a word is 0 that had an offer, that has been taken.
    fn note_taken(&mut self, index: usize, word: u64) {
        let Some(offered) = &self.offered[index] else {
            if word != 0 {
                self.misbehave(Misconduct::Offer);
            }
            return;
        };
        if word == offered.word {
            return;
        }
        if word != 0 {
            // Whatever it means by that, it may have the slot.
            self.misbehave(Misconduct::Offer);
        }
        if let Some(Offered { slot, lease, .. }) = self.offered[index].take() {
            self.counts.taken += 1;
            let slot = slot as usize % SLOTS_MAX;
            self.lent_slots |= 1 << slot;
            self.lent[slot] = (!forgets_leases()).then_some(lease);
        }
    }

    fn misbehave(&mut self, what: Misconduct) {
        self.misconduct.get_or_insert(what);
        self.is_quarantined = true;
    }
}
