//! A hub's and a reader's side of leases under every interleaving that loom can find: the source files themselves, over loom's primitives.
#![cfg(target_os = "linux")]
#![allow(dead_code, missing_docs, unreachable_pub, reason = "private files of the crate, compiled on their own")]

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}
#[path = "../src/share/lease/borrower.rs"]
mod borrower;
#[path = "../src/share/layout/control.rs"]
mod control;
#[path = "../src/share/lease/lender.rs"]
mod lender;
#[path = "../src/share/layout/line.rs"]
mod line;

/// Nobody is killed here.
mod points {
    pub(crate) enum Point {
        Offering,
        OfferPut,
        Waking,
        Offered,
        Collecting,
        Collected,
        Taking,
        Taken,
        GivingBack,
        GivenBack,
        Telling,
        Armed,
    }

    pub(crate) fn at(_: Point) {}

    pub(crate) const fn forgets_leases() -> bool {
        false
    }
}

/// Under the names by which the files know each other.
mod layout {
    pub(crate) use crate::control::{Control, OFFERS_MAX, Offer, ROOM, SLOT};
}

use borrower::Borrower;
use layout::Control;
use lender::{LeaseCounts, Lender, Overflow};
use line::Line;
use loom::sync::Arc;
use loom::thread;
use sync::{AtomicU32, Ordering};

/// The pixels of a slot: loom reports two accesses that are not ordered.
type Pixels = loom::cell::UnsafeCell<u64>;

struct Shared {
    control: Control,
    pixels: Vec<Pixels>,
    /// Bytes in the reader's pipe.
    pipe: AtomicU32,
    /// Messages to the hub.
    told: AtomicU32,
}

// SAFETY: loom itself checks the accesses to the cells.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

/// A slot that is free once this is dropped.
struct Lease(std::rc::Rc<std::cell::Cell<u64>>, u32);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.set(self.0.get() | 1 << self.1);
    }
}

/// The hub, whose slots are a mask.
struct Hub {
    shared: Arc<Shared>,
    lender: Lender<Lease>,
    free: std::rc::Rc<std::cell::Cell<u64>>,
}

impl Hub {
    fn new(slots: u32, overflow: Overflow, words: usize, hold: usize) -> Self {
        let shared = Shared {
            control: Control::default(),
            pixels: (0..slots).map(|_| Pixels::new(0)).collect(),
            pipe: AtomicU32::new(0),
            told: AtomicU32::new(0),
        };
        let free = std::rc::Rc::new(std::cell::Cell::new((1 << slots) - 1));
        Self { shared: Arc::new(shared), lender: Lender::new(overflow, words, hold), free }
    }

    fn wake(&self, must_wake: bool) {
        if must_wake {
            self.shared.pipe.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Writes a frame into a free slot and offers it; `false` where there is none.
    fn publish(&mut self, value: u64) -> bool {
        if self.free.get() == 0 {
            let must_wake = self.lender.starve(&self.shared.control);
            self.wake(must_wake);
        }
        let free = self.free.get();
        if free == 0 {
            return false;
        }
        let slot = free.trailing_zeros();
        self.free.set(free & !(1 << slot));
        // SAFETY: loom checks at run time that no reader looks at it, which is what this test is for.
        self.shared.pixels[slot as usize].with_mut(|pixels| unsafe { *pixels = value });
        let must_wake = self.lender.offer(&self.shared.control, slot, Lease(self.free.clone(), slot));
        self.wake(must_wake);
        true
    }

    /// The reader has said that it wants no more.
    fn leave(&mut self) {
        self.lender.leave(&self.shared.control);
        assert!(self.lender.has_left());
    }

    fn collect(&mut self) -> LeaseCounts {
        let must_wake = self.lender.collect(&self.shared.control);
        self.wake(must_wake);
        let counts = self.lender.counts();
        assert_eq!(counts.offered, counts.taken + counts.dropped + counts.waiting);
        assert_eq!(self.lender.misconduct(), None);
        counts
    }
}

/// Takes a frame, reads it, gives it back.
fn read(shared: &Shared, borrower: Borrower) -> Option<u64> {
    let offer = borrower.take(&shared.control)?;
    tell(shared, borrower.must_tell_of_room(&shared.control));
    // SAFETY: loom checks that no writer is about.
    let value = shared.pixels[offer.slot as usize].with(|pixels| unsafe { *pixels });
    Borrower::give_back(&shared.control, offer.slot);
    tell(shared, Borrower::must_tell_of_slot(&shared.control));
    Some(value)
}

fn tell(shared: &Shared, must_tell: bool) {
    if must_tell {
        shared.told.fetch_add(1, Ordering::AcqRel);
    }
}

#[test]
fn no_slot_is_written_while_a_reader_reads_it_and_all_come_back() {
    for (overflow, words, frames) in [(Overflow::Replace, 1, 3), (Overflow::Replace, 2, 2), (Overflow::Wait, 1, 2)] {
        loom::model(move || {
            let mut hub = Hub::new(2, overflow, words, 1);
            let shared = hub.shared.clone();
            let reader = thread::spawn(move || {
                let borrower = Borrower::new(words);
                let values = [read(&shared, borrower), read(&shared, borrower)];
                if let [Some(first), Some(second)] = values {
                    assert!(first < second, "out of order");
                }
                values.iter().flatten().count() as u64
            });
            for value in 1..=frames {
                hub.publish(value);
            }
            let taken = reader.join().unwrap();
            assert_eq!(hub.collect().taken, taken);
            while read(&hub.shared, Borrower::new(words)).is_some() {
                hub.collect();
            }
            let counts = hub.collect();
            assert_eq!((counts.waiting, hub.free.get()), (0, 3), "a slot has leaked");
        });
    }
}

#[test]
fn a_reader_that_sleeps_is_woken_by_what_it_has_not_seen() {
    loom::model(|| {
        let mut hub = Hub::new(2, Overflow::Replace, 1, 1);
        let shared = hub.shared.clone();
        let reader = thread::spawn(move || {
            let borrower = Borrower::new(1);
            Borrower::arm(&shared.control);
            // Looks once more, and would sleep now: then a byte is in the pipe, or will be.
            borrower.has_offer(&shared.control)
        });
        hub.publish(1);
        let has_seen = reader.join().unwrap();
        assert!(has_seen || hub.shared.pipe.load(Ordering::Acquire) == 1, "it sleeps on a frame");
    });
}

#[test]
fn a_hub_without_a_slot_is_told_of_one_that_it_has_not_seen_come_back() {
    loom::model(|| {
        let mut hub = Hub::new(1, Overflow::Replace, 1, 1);
        assert!(hub.publish(1));
        let offer = Borrower::new(1).take(&hub.shared.control).unwrap();
        hub.collect();
        let shared = hub.shared.clone();
        let reader = thread::spawn(move || {
            Borrower::give_back(&shared.control, offer.slot);
            tell(&shared, Borrower::must_tell_of_slot(&shared.control));
        });
        let has_slot = hub.publish(2);
        reader.join().unwrap();
        assert!(has_slot || hub.shared.told.load(Ordering::Acquire) == 1, "it waits for a slot that is free");
    });
}

#[test]
fn frames_that_wait_for_a_reader_reach_it_whenever_it_takes() {
    loom::model(|| {
        let mut hub = Hub::new(2, Overflow::Wait, 1, 1);
        let shared = hub.shared.clone();
        let reader = thread::spawn(move || read(&shared, Borrower::new(1)));
        hub.publish(1);
        hub.publish(2);
        let first = reader.join().unwrap();
        let told = hub.shared.told.load(Ordering::Acquire);
        // Whatever the reader did that the hub has not seen, it has said.
        if told > 0 {
            hub.collect();
        }
        let next = read(&hub.shared, Borrower::new(1));
        match first {
            None => assert_eq!(next, Some(1)),
            Some(first) => assert_eq!((first, next), (1, Some(2)), "a frame waits that nobody puts on offer"),
        }
    });
}

#[test]
fn frames_are_taken_in_their_order_while_others_are_put_on_offer() {
    loom::model(|| {
        let mut hub = Hub::new(3, Overflow::Wait, 2, 1);
        let shared = hub.shared.clone();
        // The next goes to the first word, which is looked at first, and the one after it to the second.
        hub.publish(1);
        assert_eq!(read(&shared, Borrower::new(2)), Some(1));
        hub.collect();
        let reader = thread::spawn(move || read(&shared, Borrower::new(2)));
        hub.publish(2);
        hub.publish(3);
        let first = reader.join().unwrap();
        assert!(matches!(first, None | Some(2)), "{first:?} came before 2");
    });
}

#[test]
fn a_reader_that_wants_no_more_keeps_what_it_took_by_then_and_gives_back_all() {
    for overflow in [Overflow::Replace, Overflow::Wait] {
        loom::model(move || {
            let mut hub = Hub::new(1, overflow, 1, 1);
            hub.publish(1);
            let shared = hub.shared.clone();
            // As a thread of it that still takes and drops a frame while another one leaves.
            let reader = thread::spawn(move || read(&shared, Borrower::new(1)));
            hub.leave();
            let has_slot = hub.publish(2);
            let value = reader.join().unwrap();
            assert!(matches!(value, None | Some(1)), "it took {value:?}");
            assert!(has_slot || hub.shared.told.load(Ordering::Acquire) == 1, "the hub waits for a slot that is free");
            let counts = hub.collect();
            assert_eq!((counts.offered, counts.taken, counts.waiting), (1, u64::from(value.is_some()), 0));
            assert_eq!((read(&hub.shared, Borrower::new(1)), hub.free.get()), (None, 1), "a slot has leaked");
        });
    }
}
