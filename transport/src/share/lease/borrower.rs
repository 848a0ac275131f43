//! The reader's side: it takes what is on offer, and says what it is done with.

use super::layout::{Control, OFFERS_MAX, Offer, ROOM, SLOT};
use super::points::{Point, at};
use super::sync::Ordering;

/// How often a reader looks again whose offer was replaced while it reached for it; then it sleeps on it.
const TRIES_MAX: usize = 1_000;

/// One reader of a stream. Its methods are for one thread at a time, but for [`Borrower::give_back`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Borrower {
    /// Frames on offer at most.
    words: usize,
}

impl Borrower {
    /// As many as the hub said, 1 to [`OFFERS_MAX`].
    pub(crate) fn new(words: usize) -> Self {
        Self { words: words.clamp(1, OFFERS_MAX) }
    }

    /// Takes the oldest frame on offer.
    pub(crate) fn take(&self, control: &Control) -> Option<Offer> {
        at(Point::Taking);
        let offer = self.take_oldest(control)?;
        at(Point::Taken);
        Some(offer)
    }

    fn take_oldest(&self, control: &Control) -> Option<Offer> {
        if self.words == 1 {
            // Nothing to choose from: whatever is there is the oldest.
            let is_empty = control.offers[0].load(Ordering::Relaxed) == 0;
            return if is_empty { None } else { Offer::from_word(control.offers[0].swap(0, Ordering::AcqRel)) };
        }
        let mut seen = self.oldest(control)?;
        for _ in 0..TRIES_MAX {
            // Words are looked at one after another: an older offer may have come to one that was empty when it was looked at. Who has seen
            // an offer sees all that were put before it.
            let oldest = self.oldest(control)?;
            let (index, word) = oldest;
            if oldest == seen {
                let taken = control.offers[index].compare_exchange(word, 0, Ordering::AcqRel, Ordering::Relaxed);
                if taken.is_ok() {
                    return Offer::from_word(word);
                }
            }
            seen = oldest;
        }
        None
    }

    /// The word that is the oldest of those that hold an offer, and where it is.
    fn oldest(&self, control: &Control) -> Option<(usize, u64)> {
        let words = control.offers[..self.words].iter().map(|word| word.load(Ordering::Acquire)).enumerate();
        // The words of later offers are greater.
        words.filter(|(_, word)| *word != 0).min_by_key(|(_, word)| *word)
    }

    /// Whether there is something to take.
    pub(crate) fn has_offer(&self, control: &Control) -> bool {
        control.offers[..self.words].iter().any(|word| word.load(Ordering::Acquire) != 0)
    }

    /// Says that this slot is not used any more: nothing of it is read from here on. Any thread may.
    pub(crate) fn give_back(control: &Control, slot: u32) {
        at(Point::GivingBack);
        control.returned.fetch_or(1 << slot, Ordering::AcqRel);
        at(Point::GivenBack);
    }

    /// Whether the hub waits for a slot, and must be told that there is one; asked after each giving back.
    pub(crate) fn must_tell_of_slot(control: &Control) -> bool {
        Self::must_tell(control, SLOT)
    }

    /// Whether frames wait for room on offer, and the hub must be told that there is some; asked after each taking. While more than half of
    /// the words have offers, it is not: there is enough to take, after which this is asked again.
    pub(crate) fn must_tell_of_room(&self, control: &Control) -> bool {
        let on_offer = control.offers[..self.words].iter().filter(|word| word.load(Ordering::Acquire) != 0).count();
        2 * on_offer <= self.words && Self::must_tell(control, ROOM)
    }

    fn must_tell(control: &Control, of: u32) -> bool {
        let must_tell = control.starved.fetch_and(!of, Ordering::AcqRel) & of != 0;
        if must_tell {
            at(Point::Telling);
        }
        must_tell
    }

    /// The reader is about to sleep: whoever offers something from here on wakes it. Then look once more before sleeping.
    pub(crate) fn arm(control: &Control) {
        control.asleep.swap(1, Ordering::AcqRel);
        at(Point::Armed);
    }

    /// The reader does not sleep after all. Returns whether somebody has woken it meanwhile: a byte is in its pipe, or will be.
    pub(crate) fn disarm(control: &Control) -> bool {
        control.asleep.swap(0, Ordering::AcqRel) == 0
    }
}
