//! The page that a hub and one reader of a stream share.

use super::Line;
use super::sync::{AtomicU32, AtomicU64};

/// The most frames that may be on offer to a reader at once.
pub(crate) const OFFERS_MAX: usize = 8;

/// The control page: all that a reader can write to, and all that it reads while frames flow, but for the records and the pixels.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Control {
    /// Slots that the reader is done with, a bit each: it sets them, the hub takes them all at once.
    pub(crate) returned: Line<AtomicU64>,
    /// Frames on offer, each [`Offer`] a word, 0 where there is none: the hub puts one in, in turn; the reader takes it by putting 0 in.
    pub(crate) offers: Line<[AtomicU64; OFFERS_MAX]>,
    /// 1 where the reader sleeps, or is about to, and must be woken by a byte in its pipe; whoever wakes it puts 0 in.
    pub(crate) asleep: Line<AtomicU32>,
    /// What the hub waits for, [`SLOT`] and [`ROOM`]: a reader that makes one takes the bit out and says so on its socket.
    pub(crate) starved: Line<AtomicU32>,
    /// What the hub tells the reader, and never reads.
    pub(crate) told: Line<Told>,
}

/// Counters of a subscription, as of the newest frame.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Told {
    /// Frames published since the subscription began.
    pub(crate) offered: AtomicU64,
    /// Of these, the frames that newer ones took the place of, or that there was no room for.
    pub(crate) dropped: AtomicU64,
    /// 0 while frames may follow; then why none does.
    pub(crate) ended: AtomicU32,
}

/// In [`Control::starved`]: the hub waits for a slot, and is told of the next that comes back.
pub(crate) const SLOT: u32 = 1;
/// In [`Control::starved`]: frames wait for room on offer; the hub is told once half of it is free, so that it puts several on offer at once.
pub(crate) const ROOM: u32 = 2;

/// A frame on offer, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Counts the offers of a subscription, from 1: what is lower is older.
    pub(crate) sequence: u64,
    /// Where the frame is, 0 to 63.
    pub(crate) slot: u32,
}

const SLOT_BITS: u32 = 6;

impl Offer {
    /// The word; never 0.
    pub(crate) const fn to_word(self) -> u64 {
        self.sequence << SLOT_BITS | (self.slot & ((1 << SLOT_BITS) - 1)) as u64
    }

    /// What a word says; `None` for none on offer.
    pub(crate) const fn from_word(word: u64) -> Option<Self> {
        match word {
            0 => None,
            _ => Some(Self { sequence: word >> SLOT_BITS, slot: (word & ((1 << SLOT_BITS) - 1)) as u32 }),
        }
    }
}
