//! Slots into which datagrams land: written by the kernel, until they are frames.

use std::ops::Range;

use super::lease::{Frame, FrameInfo, Gaps, SlotLease, debug_as_slot};
use super::tail::{TIME_BYTES, Tail, utc_from_nanos};

/// A slot into which datagrams land. The kernel may be writing to it at any moment, so its bytes cannot be read through
/// a reference until [`Arrival::complete`] has shown that no landing is outstanding.
pub struct Arrival {
    slot: SlotLease,
}

/// The frame cannot be completed: a landing in its slot is still outstanding, or the slot is shorter than the frame. Gives the
/// slot back to the caller.
pub struct ArrivalPinned(pub Arrival);

/// Bytes of a slot cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{bytes} bytes from {from} on of a slot of {capacity} cannot be read: a batch still lands in it and must be released, or they \
     are not all inside"
)]
pub struct NotLanded {
    /// First of the bytes.
    pub from: usize,
    /// How many.
    pub bytes: usize,
    /// Bytes of the slot.
    pub capacity: usize,
}

impl Arrival {
    pub(super) fn new(slot: SlotLease) -> Self {
        Self { slot }
    }

    /// Bytes that may land here.
    pub fn capacity(&self) -> usize {
        self.slot.bytes()
    }

    /// The slot's place in its pool, from 0.
    pub(crate) fn slot(&self) -> usize {
        self.slot.index as usize
    }

    /// A hold that keeps the slot from being completed, reused or touched while the kernel may write to it; `None` while
    /// there is one already: only one batch at a time lands in a slot.
    pub(crate) fn landing_lease(&self) -> Option<LandingLease> {
        let SlotLease { pool, index } = &self.slot;
        let is_sole = pool.slots.retain_sole(*index);
        // Takes over the hold that was just counted.
        is_sole.then(|| LandingLease { slot: SlotLease::new(pool.clone(), *index) })
    }

    /// # Panics
    /// While a landing is outstanding: the kernel may be writing to the slot.
    fn assert_landed(&self) {
        let is_sole = self.slot.pool.slots.is_exclusive(self.slot.index);
        assert!(is_sole, "a batch still lands in the slot; release it before the slot's bytes are used");
    }

    /// Where the bytes `range` of the slot are, for the kernel to write to while a [`LandingLease`] is held.
    ///
    /// # Panics
    /// Where the range is not inside the slot.
    pub(crate) fn landing_ptr(&self, range: &Range<usize>) -> *mut u8 {
        assert!(
            range.start <= range.end && range.end <= self.capacity(),
            "a landing at {range:?} lies outside a slot of {} bytes",
            self.capacity()
        );
        // SAFETY: the start is at most the slot's size, checked above, so the pointer stays in its mapping.
        unsafe { self.slot.ptr().add(range.start) }
    }

    /// Copies out what has landed so far, from offset `from` of the slot.
    ///
    /// # Errors
    /// A landing is outstanding, or the range is not inside the slot.
    pub fn read_landed(&mut self, from: usize, into: &mut [u8]) -> Result<(), NotLanded> {
        let is_inside = from.checked_add(into.len()).is_some_and(|end| end <= self.capacity());
        // Nobody else has the arrival meanwhile, so that no landing begins.
        if !is_inside || !self.slot.pool.slots.is_exclusive(self.slot.index) {
            return Err(NotLanded { from, bytes: into.len(), capacity: self.capacity() });
        }
        self.read(from, into);
        Ok(())
    }

    /// Moves `len` bytes from offset `from` to offset `to`; the ranges may overlap.
    ///
    /// # Panics
    /// Where a range is not inside the slot, or a landing is outstanding.
    pub(crate) fn move_within(&mut self, from: usize, to: usize, len: usize) {
        self.assert_landed();
        let (source, target) = (self.landing_ptr(&(from..from + len)), self.landing_ptr(&(to..to + len)));
        // SAFETY: both ranges lie inside this slot, checked above; `copy` allows overlap; no reference to the slot
        // exists while it is an `Arrival`, and no landing is outstanding, nor can one begin while `self` is borrowed.
        unsafe { std::ptr::copy(source, target, len) };
    }

    /// Copies `len` bytes from offset `from` of another slot to offset `to` of this one.
    ///
    /// # Panics
    /// Where a range is not inside its slot, or a landing is outstanding in one.
    pub(crate) fn copy_from(&mut self, other: &Self, from: usize, to: usize, len: usize) {
        self.assert_landed();
        other.assert_landed();
        let (source, target) = (other.landing_ptr(&(from..from + len)), self.landing_ptr(&(to..to + len)));
        // SAFETY: both ranges lie inside their slots, checked above, and two arrivals never share a slot, so they
        // cannot overlap; no reference to either exists, no landing is outstanding in either, and whoever calls this has both
        // to himself, so that none begins.
        unsafe { std::ptr::copy_nonoverlapping(source, target, len) };
    }

    /// Copies bytes out of the slot, from offset `from`. The caller has the arrival to himself.
    ///
    /// # Panics
    /// Where the range is not inside the slot, or a landing is outstanding.
    pub(crate) fn read(&self, from: usize, into: &mut [u8]) {
        self.assert_landed();
        let source = self.landing_ptr(&(from..from + into.len()));
        // SAFETY: the source range lies inside the slot, checked above; `into` is a Rust reference and so cannot
        // overlap a slot that nobody has a reference to. No landing is outstanding, and the caller lets none begin.
        unsafe { std::ptr::copy_nonoverlapping(source, into.as_mut_ptr(), into.len()) };
    }

    /// Copies bytes into the slot, at offset `to`.
    ///
    /// # Panics
    /// Where the range is not inside the slot, or a landing is outstanding.
    pub(crate) fn write(&mut self, to: usize, bytes: &[u8]) {
        self.assert_landed();
        let target = self.landing_ptr(&(to..to + bytes.len()));
        // SAFETY: the target range lies inside the slot, checked above; `bytes` cannot overlap it, as in `read`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    /// Has `change` look at and change the bytes `range` of the slot where they lie: a payload that is opened in place.
    ///
    /// # Panics
    /// Where the range is not inside the slot, or a landing is outstanding.
    pub(crate) fn change<T>(&mut self, range: Range<usize>, change: impl FnOnce(&mut [u8]) -> T) -> T {
        self.assert_landed();
        let target = self.landing_ptr(&range);
        // SAFETY: the range lies inside the slot, checked above, and its bytes are initialised, as the whole mapping is. No other
        // reference to the slot exists while it is an `Arrival`, no landing is outstanding, and none begins while `self` is
        // borrowed; other processes have the pages mapped to read alone, and are handed no frame of this slot before it is one.
        change(unsafe { std::slice::from_raw_parts_mut(target, range.len()) })
    }

    /// Sets the bytes `range` of the slot to zero.
    ///
    /// # Panics
    /// Where the range is not inside the slot, or a landing is outstanding.
    pub(crate) fn clear(&mut self, range: Range<usize>) {
        self.assert_landed();
        let target = self.landing_ptr(&range);
        // SAFETY: the range lies inside the slot, checked above; no reference to it exists, as in `write`.
        unsafe { std::ptr::write_bytes(target, 0, range.len()) };
    }

    /// Ends the arrival: the first `len` bytes are the frame, and what follows them is said by `tail`.
    ///
    /// # Errors
    /// [`ArrivalPinned`] while a landing lease is outstanding, or where that is more than the slot holds.
    pub fn complete(self, len: usize, tail: Tail, info: FrameInfo) -> Result<Frame, ArrivalPinned> {
        self.end(len, tail, info, None)
    }

    /// As [`Arrival::complete`], for a frame of which slices are missing: which, has been written to the slot. Of what follows the
    /// pixels it has nothing.
    ///
    /// # Errors
    /// As [`Arrival::complete`].
    ///
    /// # Panics
    /// Where the bits are not inside the slot.
    pub(crate) fn complete_with_gaps(self, len: usize, info: FrameInfo, gaps: Gaps) -> Result<Frame, ArrivalPinned> {
        assert!(gaps.is_inside(self.capacity()), "{gaps:?} lie outside the slot");
        self.end(len, Tail::NONE, info, Some(gaps))
    }

    fn end(self, len: usize, tail: Tail, mut info: FrameInfo, gaps: Option<Gaps>) -> Result<Frame, ArrivalPinned> {
        let end = len.checked_add(tail.bytes()).filter(|end| *end <= self.capacity());
        let is_exclusive = self.slot.pool.slots.is_exclusive(self.slot.index);
        let Some(end) = end.filter(|_| is_exclusive) else { return Err(ArrivalPinned(self)) };
        if tail.has_time() {
            let mut nanos = [0; TIME_BYTES];
            self.read(end - TIME_BYTES, &mut nanos);
            (info.captured_utc, info.utc_error) = (utc_from_nanos(u64::from_be_bytes(nanos)), None);
        }
        Ok(Frame::landed(self.slot, (len, tail), info, gaps))
    }
}

/// Keeps a slot from being completed, reused or unmapped while the kernel may write to it.
pub(crate) struct LandingLease {
    slot: SlotLease,
}

impl LandingLease {
    /// Whether this lease is on the slot of `arrival`.
    pub(crate) fn is_on(&self, arrival: &Arrival) -> bool {
        self.slot.same_slot(&arrival.slot)
    }
}

debug_as_slot!(Arrival, LandingLease);

impl std::fmt::Debug for ArrivalPinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ArrivalPinned({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FramePool;

    #[test]
    fn an_arrival_is_not_complete_while_a_landing_is_outstanding() {
        let pool = FramePool::new(1, 64).unwrap();
        let mut arrival = pool.try_arrival().unwrap();
        arrival.write(2, b"cd");
        arrival.write(8, b"ab");
        arrival.move_within(8, 0, 2);
        let lease = arrival.landing_lease().unwrap();
        assert!(arrival.landing_lease().is_none(), "two batches land in one slot");
        let ArrivalPinned(arrival) = arrival.complete(4, Tail::NONE, FrameInfo::default()).unwrap_err();
        drop(lease);
        assert_eq!(&arrival.complete(4, Tail::NONE, FrameInfo::default()).unwrap()[..], b"abcd");
    }

    #[test]
    fn no_byte_of_a_slot_is_touched_while_the_kernel_may_write_to_it() {
        let pool = FramePool::new(2, 64).unwrap();
        let (mut arrival, mut other) = (pool.try_arrival().unwrap(), pool.try_arrival().unwrap());
        let lease = arrival.landing_lease().unwrap();
        let uses: [fn(&mut Arrival, &mut Arrival); 7] = [
            |arrival, _| arrival.read(0, &mut [0; 4]),
            |arrival, _| arrival.write(0, b"abcd"),
            |arrival, _| arrival.clear(0..4),
            |arrival, _| arrival.change(0..4, |bytes| bytes.fill(1)),
            |arrival, _| arrival.move_within(0, 8, 4),
            |arrival, other| arrival.copy_from(other, 0, 8, 4),
            |arrival, other| other.copy_from(arrival, 0, 8, 4),
        ];
        for usage in uses {
            let tried = std::panic::AssertUnwindSafe(|| usage(&mut arrival, &mut other));
            assert!(std::panic::catch_unwind(tried).is_err());
        }
        let mut read = [0; 4];
        assert!(arrival.read_landed(0, &mut read).is_err());
        drop(lease);
        arrival.write(0, b"abcd");
        assert!(arrival.read_landed(61, &mut read).is_err() && arrival.read_landed(usize::MAX, &mut read).is_err());
        assert_eq!((arrival.read_landed(0, &mut read), read), (Ok(()), *b"abcd"));
    }

    #[test]
    #[should_panic(expected = "lies outside a slot of 64 bytes")]
    fn a_landing_outside_the_slot_panics_before_the_kernel_sees_it() {
        let pool = FramePool::new(1, 64).unwrap();
        let _ = pool.try_arrival().unwrap().landing_ptr(&(60..65));
    }

    #[test]
    fn a_frame_with_gaps_says_where_they_are() {
        let pool = FramePool::new(1, 64).unwrap();
        let mut arrival = pool.try_arrival().unwrap();
        arrival.write(0, b"aaaabbbbccccdd");
        arrival.clear(4..8);
        arrival.clear(12..14);
        arrival.write(40, &[0b0101]);
        let gaps = Gaps { offset: 40, slices: 4, slice_bytes: 4 };
        let frame = arrival.complete_with_gaps(14, FrameInfo::default(), gaps).unwrap();
        assert_eq!((&frame[..], frame.is_complete()), (&b"aaaa\0\0\0\0cccc\0\0"[..], false));
        assert_eq!(frame.clone().missing().collect::<Vec<_>>(), [4..8, 12..14]);
    }
}
