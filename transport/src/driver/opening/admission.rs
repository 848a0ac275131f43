//! Whom a receiver opens a stream for, decided before anything is allocated.

use std::collections::HashMap;

use crate::frame::{FrameFormat, FramePool};
use crate::receive::{Reassembler, SPILL_BYTES_MAX, parity_room_bytes};
use crate::wire::{Cut, Open, RefuseReason};

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
    open: &Open,
    limits: Limits,
    streams_open: usize,
    announced: Option<&HashMap<u32, FrameFormat>>,
) -> Result<(FrameFormat, usize), Refusal> {
    let format = open.format().map_err(|_| (RefuseReason::Format, 0))?;
    open.presentation().map_err(|_| (RefuseReason::Format, 0))?;
    open.delivery().map_err(|_| (RefuseReason::Format, 0))?;
    if let Some(announced) = announced {
        let expected = announced.get(&open.stream).ok_or((RefuseReason::Unknown, 0))?;
        if *expected != format {
            return Err((RefuseReason::Format, 0));
        }
    }
    if streams_open >= limits.streams {
        return Err((RefuseReason::TooManyStreams, limits.streams as u64));
    }
    let bytes = stream_bytes(&open.cut(), open.parity_max, limits.slots);
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
