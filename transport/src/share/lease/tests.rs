//! What becomes of each frame, with hubs and readers in one thread.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::layout::Control;
use super::super::sync::Ordering;
use super::{Borrower, LeaseCounts, Lender, Misconduct, Overflow};

/// A hub with slots, and one reader.
struct Pair {
    control: Control,
    lender: Lender<Arc<u32>>,
    borrower: Borrower,
    /// Strong counts above one are leases.
    slots: Vec<Arc<u32>>,
}

impl Pair {
    fn new(overflow: Overflow, words: usize, hold: usize) -> Self {
        Self {
            control: Control::default(),
            lender: Lender::new(overflow, words, hold),
            borrower: Borrower::new(words),
            slots: (0..64).map(Arc::new).collect(),
        }
    }

    fn free(&self) -> u32 {
        self.slots.iter().find(|slot| Arc::strong_count(slot) == 1).map(|slot| **slot).expect("a free slot")
    }

    /// Publishes into a free slot, and returns which.
    fn offer(&mut self) -> u32 {
        let slot = self.free();
        self.lender.offer(&self.control, slot, self.slots[slot as usize].clone());
        self.check();
        slot
    }

    fn take(&self) -> Option<u32> {
        self.borrower.take(&self.control).map(|offer| offer.slot)
    }

    fn give_back(&self, slot: u32) {
        Borrower::give_back(&self.control, slot);
    }

    fn leased(&self) -> usize {
        self.slots.iter().filter(|slot| Arc::strong_count(slot) > 1).count()
    }

    fn counts(&mut self) -> LeaseCounts {
        self.lender.collect(&self.control);
        self.check();
        self.lender.counts()
    }

    fn check(&self) {
        let LeaseCounts { offered, taken, dropped, waiting } = self.lender.counts();
        assert_eq!(offered, taken + dropped + waiting);
        assert_eq!(self.leased(), self.lender.held() + waiting as usize, "each lease is held or waits");
    }
}

#[test]
fn of_the_latest_the_newest_is_taken_and_the_others_come_back() {
    let mut pair = Pair::new(Overflow::Replace, 1, 2);
    assert_eq!(pair.take(), None);
    let offered: Vec<_> = (0..5).map(|_| pair.offer()).collect();
    assert_eq!((pair.take(), pair.take()), (Some(offered[4]), None));
    assert_eq!(pair.counts(), LeaseCounts { offered: 5, taken: 1, dropped: 4, waiting: 0 });
    assert_eq!((pair.leased(), pair.lender.held()), (1, 1));
    pair.give_back(offered[4]);
    pair.counts();
    assert_eq!((pair.leased(), pair.lender.held()), (0, 0));
}

#[test]
fn a_queue_is_taken_in_order_and_drops_its_oldest() {
    let mut pair = Pair::new(Overflow::Replace, 3, 2);
    let offered: Vec<_> = (0..5).map(|_| pair.offer()).collect();
    assert_eq!((pair.take(), pair.take()), (Some(offered[2]), Some(offered[3])));
    let newest = pair.offer();
    assert_eq!((pair.take(), pair.take(), pair.take()), (Some(offered[4]), Some(newest), None));
    assert_eq!(pair.counts(), LeaseCounts { offered: 6, taken: 4, dropped: 2, waiting: 0 });
}

#[test]
fn what_waits_is_put_on_offer_when_there_is_room_and_the_reader_is_asked_to_tell() {
    let mut pair = Pair::new(Overflow::Wait, 2, 2);
    let offered: Vec<_> = (0..6).map(|_| pair.offer()).collect();
    assert_eq!(pair.counts(), LeaseCounts { offered: 6, taken: 0, dropped: 0, waiting: 6 });
    let mut taken = Vec::new();
    while let Some(slot) = pair.take() {
        taken.push(slot);
        pair.give_back(slot);
        if pair.borrower.must_tell_of_room(&pair.control) {
            pair.counts();
        }
    }
    assert_eq!(taken, offered);
    assert_eq!(pair.counts(), LeaseCounts { offered: 6, taken: 6, dropped: 0, waiting: 0 });
    assert_eq!(pair.leased(), 0);
}

#[test]
fn a_hub_is_told_of_room_once_half_of_the_words_are_free_and_of_a_slot_at_once() {
    let mut pair = Pair::new(Overflow::Wait, 4, 4);
    for _ in 0..8 {
        pair.offer();
    }
    let told: Vec<_> =
        std::iter::from_fn(|| pair.take().map(|_| pair.borrower.must_tell_of_room(&pair.control))).collect();
    assert_eq!(told, [false, true, false, false], "asked for once");
    pair.counts();
    pair.lender.starve(&pair.control);
    let held = pair.take().unwrap();
    pair.give_back(held);
    assert!(Borrower::must_tell_of_slot(&pair.control));
    assert!(!Borrower::must_tell_of_slot(&pair.control), "asked for once");
}

#[test]
fn nobody_gets_more_slots_than_its_quota_whenever_it_takes() {
    for words in 1..=3 {
        let mut pair = Pair::new(Overflow::Replace, words, 2);
        for _ in 0..20 {
            pair.offer();
            pair.take();
        }
        assert!(pair.leased() <= words + 2, "{} slots with {words} words", pair.leased());
        let counts = pair.counts();
        assert_eq!((counts.offered, counts.taken), (20, words as u64 + 2));
        // One comes back: one more frame.
        let held = pair.slots.iter().find(|slot| Arc::strong_count(slot) > 1).map(|slot| **slot).unwrap();
        pair.give_back(held);
        pair.offer();
        assert!(pair.take().is_some());
    }
}

#[test]
fn a_reader_is_woken_once_for_each_time_that_it_sleeps() {
    let mut pair = Pair::new(Overflow::Replace, 1, 2);
    let offer = |pair: &mut Pair| {
        let slot = pair.free();
        pair.lender.offer(&pair.control, slot, pair.slots[slot as usize].clone())
    };
    assert!(!offer(&mut pair), "it does not sleep");
    Borrower::arm(&pair.control);
    assert!(pair.borrower.has_offer(&pair.control));
    assert!(!Borrower::disarm(&pair.control), "nobody has woken it");
    Borrower::arm(&pair.control);
    assert!(offer(&mut pair));
    assert!(!offer(&mut pair));
    assert!(Borrower::disarm(&pair.control));
}

#[test]
fn who_breaks_the_rules_gets_nothing_more_and_keeps_what_it_may_still_read() {
    type Wrong = fn(&Pair, u32);
    let wrongs: [(Wrong, Misconduct); 5] = [
        (|pair, _| pair.give_back(60), Misconduct::Returned),
        (|pair, slot| pair.give_back(slot), Misconduct::Returned),
        (|pair, _| pair.control.offers[0].store(u64::MAX, Ordering::Relaxed), Misconduct::Offer),
        (|pair, _| pair.control.offers[1].store(65, Ordering::Relaxed), Misconduct::Offer),
        (|pair, _| pair.control.returned.store(u64::MAX, Ordering::Relaxed), Misconduct::Returned),
    ];
    for (wrong, misconduct) in wrongs {
        let mut pair = Pair::new(Overflow::Replace, 2, 2);
        // The first word is that of even sequences.
        let (_, on_offer) = (pair.offer(), pair.offer());
        wrong(&pair, on_offer);
        pair.counts();
        assert_eq!(pair.lender.misconduct(), Some(misconduct));
        let (leased, before) = (pair.leased(), pair.lender.counts());
        assert!(leased == 2 && pair.lender.is_quarantined());
        for _ in 0..5 {
            pair.offer();
        }
        assert_eq!(pair.leased(), leased);
        let counts = pair.counts();
        assert_eq!((counts.offered, counts.dropped), (before.offered + 5, before.dropped + 5));
    }
}

#[test]
fn in_quarantine_what_waits_is_dropped_and_what_is_held_stays() {
    let mut pair = Pair::new(Overflow::Wait, 2, 2);
    for _ in 0..6 {
        pair.offer();
    }
    let held = pair.take().unwrap();
    pair.lender.quarantine(&pair.control);
    pair.check();
    assert_eq!(pair.lender.counts(), LeaseCounts { offered: 6, taken: 1, dropped: 5, waiting: 0 });
    assert_eq!((pair.take(), pair.leased()), (None, 1));
    pair.give_back(held);
    pair.counts();
    assert_eq!(pair.leased(), 0, "what it gives back all the same is free");
}

#[test]
fn who_wants_no_more_keeps_what_it_holds_until_it_gives_it_back_and_is_offered_nothing() {
    for overflow in [Overflow::Replace, Overflow::Wait] {
        let mut pair = Pair::new(overflow, 2, 2);
        for _ in 0..2 {
            pair.offer();
        }
        let held = [pair.take().unwrap(), pair.take().unwrap()];
        for _ in 0..3 {
            pair.offer();
        }
        pair.give_back(held[0]);
        pair.lender.leave(&pair.control);
        pair.check();
        assert!(pair.lender.has_left());
        assert_eq!(pair.lender.counts(), LeaseCounts { offered: 5, taken: 2, dropped: 3, waiting: 0 });
        assert_eq!((pair.take(), pair.leased(), pair.lender.held()), (None, 1, 1), "it holds one");
        for _ in 0..3 {
            pair.offer();
        }
        assert_eq!((pair.take(), pair.counts().offered, pair.leased()), (None, 5, 1));
        pair.give_back(held[1]);
        // Any frame shows that it is back.
        pair.offer();
        assert_eq!((pair.lender.misconduct(), pair.leased()), (None, 0));
    }
}

/// What either end does next.
#[derive(Debug, Clone, Copy)]
enum Act {
    Offer,
    Take,
    /// Of what the reader has, one by its place.
    GiveBack(usize),
    Collect,
    Starve,
    /// The reader wants no more.
    Leave,
    /// A reader that keeps to no rule writes this into `returned`, or into a word of `offers`.
    Returned(u64),
    Word(usize, u64),
}

fn honest() -> impl Strategy<Value = Act> {
    prop_oneof![
        40 => Just(Act::Offer),
        40 => Just(Act::Take),
        30 => (0..4_usize).prop_map(Act::GiveBack),
        10 => Just(Act::Collect),
        10 => Just(Act::Starve),
        // Seldom: little is to be seen after it.
        1 => Just(Act::Leave),
    ]
}

fn hostile() -> impl Strategy<Value = Act> {
    let word = prop_oneof![Just(0), any::<u64>(), 0..1000_u64];
    prop_oneof![6 => honest(), 1 => word.clone().prop_map(Act::Returned), 1 => (0..8_usize, word).prop_map(|(at, word)| Act::Word(at, word))]
}

fn play(acts: Vec<Act>, overflow: Overflow, words: usize, hold: usize) -> (Pair, Vec<u32>) {
    let mut pair = Pair::new(overflow, words, hold);
    let mut held: Vec<u32> = Vec::new();
    let mut offered = None;
    for act in acts {
        match act {
            // A hub has as many slots as it has: no more frames wait than these.
            Act::Offer if pair.leased() < 16 => drop(pair.offer()),
            Act::Offer => {}
            Act::Take if held.len() < hold => held.extend(pair.take()),
            Act::Take => {}
            Act::GiveBack(place) if place < held.len() => {
                let slot = held.swap_remove(place);
                pair.give_back(slot);
            }
            Act::GiveBack(_) => {}
            Act::Collect => drop(pair.lender.collect(&pair.control)),
            Act::Starve => drop(pair.lender.starve(&pair.control)),
            Act::Leave => {
                pair.lender.leave(&pair.control);
                offered = Some(pair.lender.counts().offered);
            }
            Act::Returned(slots) => drop(pair.control.returned.fetch_or(slots, Ordering::AcqRel)),
            Act::Word(at, word) => pair.control.offers[at].store(word, Ordering::Release),
        }
        pair.check();
        assert!(pair.lender.held() <= pair.lender.quota(), "more than its quota");
        if let Some(offered) = offered {
            let counts = pair.lender.counts();
            assert!(pair.lender.has_left());
            assert_eq!((counts.offered, counts.waiting), (offered, 0), "it is offered what it does not want");
        }
    }
    (pair, held)
}

fn overflow() -> impl Strategy<Value = Overflow> {
    prop_oneof![Just(Overflow::Replace), Just(Overflow::Wait)]
}

proptest! {
    #[test]
    fn whatever_an_honest_reader_does_it_keeps_what_it_has_and_gives_back_all(
        acts in prop::collection::vec(honest(), 0..200), overflow in overflow(), words in 1..=4_usize, hold in 1..=4_usize,
    ) {
        let (mut pair, held) = play(acts, overflow, words, hold);
        prop_assert_eq!(pair.lender.misconduct(), None);
        for slot in &held {
            prop_assert!(Arc::strong_count(&pair.slots[*slot as usize]) > 1, "slot {} was taken from it", slot);
        }
        for slot in held {
            pair.give_back(slot);
        }
        // It has said that it took something, where something waits.
        pair.counts();
        while let Some(slot) = pair.take() {
            pair.give_back(slot);
            pair.counts();
        }
        prop_assert_eq!(pair.counts().waiting, 0);
        prop_assert_eq!(pair.leased(), 0);
    }

    #[test]
    fn whatever_is_written_to_its_page_the_hub_reckons_by_what_it_knows(
        acts in prop::collection::vec(hostile(), 0..200), overflow in overflow(), words in 1..=8_usize, hold in 1..=4_usize,
    ) {
        // `play` looks after each step whether the accounts add up and the quota is kept.
        let (mut pair, _) = play(acts, overflow, words, hold);
        pair.lender.quarantine(&pair.control);
        pair.check();
        let Pair { lender, slots, .. } = pair;
        drop(lender);
        prop_assert!(slots.iter().all(|slot| Arc::strong_count(slot) == 1), "a slot outlives the reader's end");
    }
}
