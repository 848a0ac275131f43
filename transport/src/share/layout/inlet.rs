//! The page that a hub and a sender on its machine share.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{Line, Record};
use crate::frame::SLOTS_MAX;

/// The inlet: what a local sender and its hub tell each other while frames flow.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Inlet {
    /// Slots that the sender may write into from here on, a bit each: the hub sets them, the sender takes them all at once.
    pub(crate) granted: Line<AtomicU64>,
    /// Slots with frames in them, a bit each: the sender sets them once their [`Record`] is written, the hub takes them all at once.
    pub(crate) committed: Line<AtomicU64>,
    /// 1 where the hub sleeps, or is about to, and must be woken by a byte in its pipe; whoever wakes it puts 0 in.
    pub(crate) hub_asleep: Line<AtomicU32>,
    /// The same for the sender, which waits for a slot or for frames to be settled.
    pub(crate) sender_asleep: Line<AtomicU32>,
    /// What the sender tells the hub.
    pub(crate) source: Line<Source>,
    /// What the hub tells the sender.
    pub(crate) account: Line<Account>,
    /// Of each slot.
    pub(crate) records: [Record; SLOTS_MAX],
}

/// Counters of a local sender, as of its newest frame.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Source {
    /// Every frame below this number has been committed, or never will be.
    pub(crate) next: AtomicU64,
    /// Of the frames below it that were never committed, how many while the hub granted no slot.
    pub(crate) no_credit: AtomicU64,
}

/// What became of a local sender's frames.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Account {
    /// Every frame below this number is settled.
    pub(crate) settled: AtomicU64,
    /// Frames handed on.
    pub(crate) delivered: AtomicU64,
}

/// A local sender's counters, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct InletCounts {
    pub(crate) next: u64,
    pub(crate) no_credit: u64,
}

impl Source {
    pub(crate) fn read(&self) -> InletCounts {
        // In the other order than they are written: no frame is counted as skipped before there is one.
        let no_credit = self.no_credit.load(Ordering::Acquire);
        InletCounts { next: self.next.load(Ordering::Acquire), no_credit }
    }

    pub(crate) fn write(&self, counts: InletCounts) {
        self.next.store(counts.next, Ordering::Release);
        self.no_credit.store(counts.no_credit, Ordering::Release);
    }
}

impl Default for Inlet {
    fn default() -> Self {
        Self {
            granted: Line::default(),
            committed: Line::default(),
            hub_asleep: Line::default(),
            sender_asleep: Line::default(),
            source: Line::default(),
            account: Line::default(),
            records: [const { Record::new() }; SLOTS_MAX],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn every_word_of_the_inlet_is_where_the_protocol_says() {
        let places = [
            offset_of!(Inlet, granted),
            offset_of!(Inlet, committed),
            offset_of!(Inlet, hub_asleep),
            offset_of!(Inlet, sender_asleep),
            offset_of!(Inlet, source),
            offset_of!(Inlet, account),
            offset_of!(Inlet, records),
        ];
        assert_eq!(places, [0, 64, 128, 192, 256, 320, 384]);
        assert_eq!(size_of::<Inlet>(), 384 + 64 * 128);
        assert_eq!([offset_of!(Source, next), offset_of!(Source, no_credit)], [0, 8]);
        assert_eq!([offset_of!(Account, settled), offset_of!(Account, delivered)], [0, 8]);
    }
}
