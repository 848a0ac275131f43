//! Whom a receiver opens a stream for, decided before anything is allocated.

use std::collections::HashMap;

use crate::crypto::Key;
use crate::frame::{FrameFormat, FramePool, TIME_BYTES};
use crate::receive::{Reassembler, SPILL_BYTES_MAX, parity_room_bytes};
use crate::setters;
use crate::wire::{Cut, Delivery, Open, RefuseReason};

/// Which streams a receiver opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Admission {
    /// Any, up to the limits.
    #[default]
    Anyone,
    /// Only those announced by [`crate::Receiver::announce`]; openings of others are refused.
    Announced,
}

/// What the opening of an announced stream must say, whichever way it comes; what is `None` may be anything.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Announcement {
    /// The format of its frames.
    pub format: FrameFormat,
    /// Its delivery.
    pub delivery: Option<Delivery>,
    /// The most bytes of metadata that a frame of it may have: its opening may say less.
    pub metadata_max: Option<usize>,
    /// The key that it is protected by: by datagrams it is taken under no other one, nor plain. Without one it is under any of
    /// [`ReceiverConfig::keys`](crate::ReceiverConfig::keys), and plain where there are none and
    /// [`ReceiverConfig::protection`](struct@crate::ReceiverConfig#structfield.protection) allows that. By shared memory it says nothing.
    pub key: Option<Key>,
}

impl Announcement {
    /// Of frames of a format, and nothing more.
    pub const fn new(format: FrameFormat) -> Self {
        Self { format, delivery: None, metadata_max: None, key: None }
    }

    setters! {
        delivery: impl Into<Option<Delivery>>,
        metadata_max: impl Into<Option<usize>>,
        key: impl Into<Option<Key>>,
    }

    /// Whether it is this stream that was announced.
    fn is_of(&self, open: &Open, format: FrameFormat) -> bool {
        let tail_max = self.metadata_max.map_or(usize::MAX, |bytes| bytes.saturating_add(TIME_BYTES));
        self.format == format
            && self.delivery.is_none_or(|delivery| open.delivery() == Ok(delivery))
            && usize::from(open.tail_max) <= tail_max
    }
}

impl From<FrameFormat> for Announcement {
    fn from(format: FrameFormat) -> Self {
        Self::new(format)
    }
}

/// Why a stream is not opened, and the limit that it hit, or 0.
pub(in crate::driver) type Refusal = (RefuseReason, u64);

/// What bounds one stream, and how many there are.
#[derive(Debug, Clone, Copy)]
pub(in crate::driver) struct Limits {
    pub(in crate::driver) streams: usize,
    pub(in crate::driver) stream_bytes: usize,
    pub(in crate::driver) slots: usize,
}

/// Checks an opening; `announced` is `None` where anyone may come. Returns the format, and the bytes that the stream takes.
pub(in crate::driver) fn admit(
    (open, cut): (&Open, &Cut),
    limits: Limits,
    streams_open: usize,
    announced: Option<&HashMap<u32, Announcement>>,
) -> Result<(FrameFormat, usize), Refusal> {
    let format = open.format().map_err(|_| (RefuseReason::Format, 0))?;
    open.presentation().map_err(|_| (RefuseReason::Format, 0))?;
    open.delivery().map_err(|_| (RefuseReason::Format, 0))?;
    if let Some(announced) = announced {
        let expected = announced.get(&open.stream).ok_or((RefuseReason::Unknown, 0))?;
        if !expected.is_of(open, format) {
            return Err((RefuseReason::Format, 0));
        }
    }
    if streams_open >= limits.streams {
        return Err((RefuseReason::TooManyStreams, limits.streams as u64));
    }
    let bytes = stream_bytes(cut, open.parity_max, limits.slots);
    let bytes = bytes.filter(|bytes| *bytes <= limits.stream_bytes);
    bytes.map(|bytes| (format, bytes)).ok_or((RefuseReason::FrameTooLarge, limits.stream_bytes as u64))
}

/// Bytes that a stream of such frames makes a receiver take: its slots, room for what no slot is free for, and parity.
/// `None` where they fit no address space.
pub(in crate::driver) fn stream_bytes(cut: &Cut, parity_max: u16, slots: usize) -> Option<usize> {
    let pool = FramePool::bytes(slots, Reassembler::slot_bytes(cut)).ok()?;
    pool.checked_add(parity_room_bytes(cut, parity_max))?.checked_add(SPILL_BYTES_MAX.min(pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_that_says_other_than_its_announcement_is_refused() {
        let format = FrameFormat::new(crate::frame::PixelFormat::Gray8, 64, 48).unwrap();
        let tail_max = (100 + TIME_BYTES) as u16;
        let open = |delivery, tail_max| {
            let mut open = crate::wire::open_of(&format, delivery, &Default::default(), tail_max);
            (open.stream, open.slice_bytes) = (7, 1_472);
            open
        };
        let limits = Limits { streams: 1, stream_bytes: 1 << 30, slots: 2 };
        let is_let_in = |open: &Open, announced: Announcement| {
            let refused = admit((open, &open.cut()), limits, 0, Some(&HashMap::from([(7, announced)]))).map(drop);
            assert!(refused.is_ok() || refused == Err((RefuseReason::Format, 0)), "{refused:?}");
            refused.is_ok()
        };
        let (any, every) = (Announcement::new(format), Announcement::new(format).delivery(Delivery::Every));
        for delivery in [Delivery::Every, Delivery::Latest] {
            assert!(is_let_in(&open(delivery, tail_max), any.clone()));
            assert_eq!(is_let_in(&open(delivery, tail_max), every.clone()), delivery == Delivery::Every);
            for (metadata_max, fits) in [(99, false), (100, true), (usize::MAX, true)] {
                assert_eq!(is_let_in(&open(delivery, tail_max), any.clone().metadata_max(metadata_max)), fits);
            }
        }
        let other = FrameFormat::new(crate::frame::PixelFormat::Gray8, 64, 49).unwrap();
        assert!(!is_let_in(&open(Delivery::Every, 0), other.into()));
    }

    #[test]
    fn a_stream_takes_its_slots_its_spill_and_its_parity_and_the_largest_one_does_not_wrap_around() {
        let cut = Cut::new(2_073_600, 65_507);
        let pool = FramePool::bytes(8, Reassembler::slot_bytes(&cut)).unwrap();
        assert_eq!(stream_bytes(&cut, 0, 8), Some(pool + SPILL_BYTES_MAX));
        let parity = parity_room_bytes(&cut, 4);
        assert_eq!(stream_bytes(&cut, 4, 8), Some(pool + SPILL_BYTES_MAX + parity));
        let largest = stream_bytes(&Cut::new(u32::MAX, usize::MAX), u16::MAX, 64);
        assert!(largest.is_some_and(|bytes| bytes > 64 * u32::MAX as usize));
        assert_eq!(stream_bytes(&Cut::new(1, 0), 0, 65), None);
    }
}
