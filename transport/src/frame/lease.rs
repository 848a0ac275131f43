//! Leases: typed holds on a slot. Misuse does not compile: a frame that others can see has no way to be written.

use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::format::FrameFormat;
use super::holding::{Account, Holding};
use super::metadata::{METADATA_MAX, Metadata, MetadataKind, MetadataTooLong};
use super::planes::{Planes, PlanesMut};
use super::pool::{FramePool, PoolMark, PoolShared};
use super::tail::{TIME_BYTES, Tail, utc_nanos};
use crate::time::Time;
use crate::utc::UtcOffset;

/// One counted hold on a slot; the last one dropped gives the slot back.
pub(super) struct SlotLease {
    pub(super) pool: Arc<PoolShared>,
    pub(super) index: u32,
}

impl SlotLease {
    /// Takes over a hold that the slot table has already counted.
    pub(super) fn new(pool: Arc<PoolShared>, index: u32) -> Self {
        Self { pool, index }
    }

    pub(super) fn pool(&self) -> &Arc<PoolShared> {
        &self.pool
    }

    pub(super) fn ptr(&self) -> *mut u8 {
        self.pool.slot_ptr(self.index)
    }

    pub(super) fn bytes(&self) -> usize {
        self.pool.slot_bytes()
    }

    pub(super) fn same_slot(&self, other: &Self) -> bool {
        self.index == other.index && Arc::ptr_eq(&self.pool, &other.pool)
    }
}

impl Clone for SlotLease {
    fn clone(&self) -> Self {
        self.pool.slots.retain(self.index);
        Self { pool: self.pool.clone(), index: self.index }
    }
}

impl Drop for SlotLease {
    fn drop(&mut self) {
        self.pool.release(self.index);
    }
}

/// A hold on a frame's slot alone, without what is known of the frame: sixteen bytes where a [`Frame`] has hundreds. It keeps the slot from being
/// handed out again, and gives no access to its bytes.
#[cfg(target_os = "linux")]
#[derive(Clone)]
pub struct Hold(SlotLease);

#[cfg(target_os = "linux")]
impl Hold {
    /// The slot's place in its pool.
    pub(crate) fn slot(&self) -> u32 {
        self.0.index
    }
}

/// What is known of a frame besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FrameInfo {
    /// The frame's number in its stream, from 0. A sender counts every frame it is given, so a gap at the receiver is a
    /// frame that did not arrive.
    pub number: u64,
    /// When the picture was taken ([`Time::now`] at that moment), on the clock of the machine that took it; where a source leaves it at
    /// [`Time::ZERO`], [`Sender::send`](crate::Sender::send) puts in when it was called. At a receiver, on its own, and [`Time::ZERO`] while
    /// the offset between the two clocks is not known.
    pub captured: Time,
    /// At a receiver: the same on the sender's own clock, whose zero means nothing here. Between two frames it is exact, while
    /// `captured` moves with the estimate of the offset between the clocks. [`Time::ZERO`] for a frame that has not travelled.
    pub captured_there: Time,
    /// At a receiver: when its first slice was sent, on this machine's clock. `None` while the offset between the clocks is not known.
    pub sent: Option<Time>,
    /// When its first slice arrived, on this machine's clock; [`Time::ZERO`] for a frame that has not travelled.
    pub begun: Time,
    /// When its last byte arrived, on this machine's clock; [`Time::ZERO`] for a frame that has not travelled.
    pub completed: Time,
    /// From `captured` to `completed` with the offset between the two clocks taken out. `None` while that is not known (until the
    /// first ping of a stream has come through), and for a frame that has not travelled.
    pub latency: Option<Duration>,
    /// When the picture was taken, as UTC. A source sets it where the picture has a time of its own, that of its place in a file, which
    /// then travels with it (from 1970 to 2554, out of a slot that a sender or [`FramePool::for_format`] gave); a live one leaves it `None`. At a receiver it is what the source said, or else `captured` by the clock
    /// of the sender's machine, which may be wrong, and be set while a stream runs: frames are in the order of their numbers, and
    /// `captured_there` tells the time from one to the next. `None` where the sender did not say.
    pub captured_utc: Option<SystemTime>,
    /// At a receiver: by how much the clock behind `captured_utc` may be wrong, as its machine estimates it. `None` where it knows of no
    /// estimate, and for a time that the source said.
    pub utc_error: Option<Duration>,
}

/// A slot being written: exclusive, and invisible to everybody else until [`FrameMut::freeze`].
///
/// Derefs to the frame's bytes: at first as many as there is room for, [`FrameMut::capacity`], with the slot's old contents still in them; see [`FrameMut::set_len`].
pub struct FrameMut {
    slot: SlotLease,
    len: usize,
    tail: Tail,
    /// Number and times, copied into the frozen frame. A source sets [`captured`](FrameInfo::captured) alone, and
    /// [`captured_utc`](FrameInfo::captured_utc) where the picture has a time of its own: [`Sender::send`](crate::Sender::send) gives
    /// the number.
    pub info: FrameInfo,
}

impl FrameMut {
    pub(super) fn new(slot: SlotLease) -> Self {
        let len = slot.bytes() - slot.pool.tail_bytes();
        Self { slot, len, tail: Tail::NONE, info: FrameInfo::default() }
    }

    /// Bytes the frame may have at most, without metadata.
    pub fn capacity(&self) -> usize {
        self.slot.bytes() - self.slot.pool.tail_bytes()
    }

    /// Bytes of metadata that the frame may have at most: none where the pool was not made for a format.
    pub fn metadata_capacity(&self) -> usize {
        self.slot.pool.tail_bytes().saturating_sub(TIME_BYTES).min(METADATA_MAX)
    }

    /// Sets the frame's metadata, in place of what it had; with no bytes it has none.
    ///
    /// # Errors
    /// More than [`FrameMut::metadata_capacity`]; what was set before stays.
    pub fn set_metadata(&mut self, kind: MetadataKind, bytes: &[u8]) -> Result<(), MetadataTooLong> {
        let (len, capacity) = (bytes.len(), self.metadata_capacity());
        if len > capacity {
            return Err(MetadataTooLong { len, capacity });
        }
        let at = self.len;
        self.slot_mut()[at..at + len].copy_from_slice(bytes);
        self.tail = Tail::of_metadata(kind, len);
        Ok(())
    }

    /// What [`FrameMut::set_metadata`] set.
    pub fn metadata(&self) -> Option<Metadata<'_>> {
        // SAFETY: as in `deref`: at most the slot's bytes, initialised, and nobody else has access to them: a `Hold` gives none.
        let slot = unsafe { std::slice::from_raw_parts(self.slot.ptr(), self.slot.bytes()) };
        metadata_in(slot, self.len, self.tail)
    }

    /// The slot, all of it.
    fn slot_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref_mut`: the slot's bytes, initialised, to which nobody else has access.
        unsafe { std::slice::from_raw_parts_mut(self.slot.ptr(), self.slot.bytes()) }
    }

    /// Sets how many bytes the frame has, from the start of the slot, without metadata, which stays.
    ///
    /// # Errors
    /// Where `len` is more than [`FrameMut::capacity`]; the length stays as it was.
    pub fn set_len(&mut self, len: usize) -> Result<(), FrameTooLong> {
        let capacity = self.capacity();
        if len > capacity {
            return Err(FrameTooLong { len, capacity });
        }
        let (from, bytes) = (self.len, self.tail.metadata_bytes());
        if bytes > 0 {
            self.slot_mut().copy_within(from..from + bytes, len);
        }
        self.len = len;
        Ok(())
    }

    /// One more hold on its slot, which then is no other frame's before that is dropped: for bindings whose callers may keep an address in it beyond
    /// its sending. A hold itself gives no access. Whoever writes through such an address once the frame is sent races with all who read the frame: a
    /// binding that cannot prevent that says so to its callers.
    #[cfg(target_os = "linux")]
    #[doc(hidden)]
    pub fn hold(&self) -> Hold {
        Hold(self.slot.clone())
    }

    /// Whether the slot is one of `pool`.
    pub(crate) fn is_of(&self, pool: &FramePool) -> bool {
        pool.owns(&self.slot)
    }

    /// Makes it what another one is, which is in another slot: bytes, metadata, times. False where that does not fit.
    pub(crate) fn copy_from(&mut self, other: &Self) -> bool {
        let metadata = other.metadata();
        if self.set_len(other.len).is_err() {
            return false;
        }
        self.copy_from_slice(other);
        self.info = other.info;
        let (kind, bytes) = metadata.map_or((MetadataKind::Bytes, &[][..]), |metadata| (metadata.kind, metadata.bytes));
        self.set_metadata(kind, bytes).is_ok()
    }

    /// The same of a finished frame.
    pub(crate) fn copy_of_shared(&mut self, frame: &Frame) -> bool {
        if self.set_len(frame.len).is_err() {
            return false;
        }
        self.copy_from_slice(frame);
        self.info.captured = frame.info.captured;
        self.info.captured_utc = frame.info.captured_utc.filter(|_| frame.has_own_time());
        let metadata = frame.metadata();
        let (kind, bytes) = metadata.map_or((MetadataKind::Bytes, &[][..]), |metadata| (metadata.kind, metadata.bytes));
        self.set_metadata(kind, bytes).is_ok()
    }

    /// Whether the slot is one of the pool with this mark.
    pub(crate) fn is_marked(&self, mark: &PoolMark) -> bool {
        mark.is_on(&self.slot)
    }

    /// The slot's place in its pool, from 0.
    pub fn slot(&self) -> usize {
        self.slot.index as usize
    }

    /// What its bytes mean; `None` where the pool was not made for a format ([`FramePool::for_format`]).
    pub fn format(&self) -> Option<&FrameFormat> {
        self.slot.pool.format()
    }

    /// Its planes, to write; empty where the format is not known, or the frame has been made shorter than a frame of it.
    pub fn planes_mut(&mut self) -> PlanesMut<'_> {
        // Copied: the bytes are borrowed for as long as the planes are.
        let format = self.format().copied();
        PlanesMut::new(format.as_ref(), self)
    }

    /// Ends writing: from here on the frame can be shared and read, never written.
    pub fn freeze(mut self) -> Frame {
        let has_room = self.slot.pool.tail_bytes() >= TIME_BYTES + self.tail.metadata_bytes();
        if let Some(nanos) = self.info.captured_utc.filter(|_| has_room).and_then(utc_nanos) {
            let at = self.len + self.tail.metadata_bytes();
            self.slot_mut()[at..at + TIME_BYTES].copy_from_slice(&nanos.to_be_bytes());
            self.tail = self.tail.with_time();
        }
        Frame { holding: None, slot: self.slot, len: self.len, tail: self.tail, info: self.info, gaps: None }
    }
}

impl Deref for FrameMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the slot is initialised memory (a mapping starts as zeroes) of at least `len` bytes, and nobody
        // else has access to it: a `Hold` gives none.
        unsafe { std::slice::from_raw_parts(self.slot.ptr(), self.len) }
    }
}

impl DerefMut for FrameMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes the borrow exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.slot.ptr(), self.len) }
    }
}

/// The metadata in a slot whose first `len` bytes are pixels.
fn metadata_in(slot: &[u8], len: usize, tail: Tail) -> Option<Metadata<'_>> {
    let bytes = slot.get(len..len + tail.metadata_bytes()).filter(|bytes| !bytes.is_empty())?;
    Some(Metadata { kind: tail.kind(), bytes })
}

/// A frame is longer than its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {len} bytes does not fit a slot of {capacity}; make the pool for frames of that length")]
#[non_exhaustive]
pub struct FrameTooLong {
    /// Bytes that the frame should have.
    pub len: usize,
    /// Bytes that it may have.
    pub capacity: usize,
}

/// A finished frame: read-only, shared by cloning without a copy, sent between threads freely. Derefs to its bytes, all planes one behind
/// the other; [`Frame::planes`] tells them apart. It and its clones hold a slot of the stream until the last of them is dropped.
#[derive(Clone)]
pub struct Frame {
    /// Dropped before the slot: whoever is woken by that finds it given back.
    holding: Option<Holding>,
    slot: SlotLease,
    /// Bytes of pixels.
    len: usize,
    /// What follows them.
    tail: Tail,
    info: FrameInfo,
    gaps: Option<Gaps>,
}

/// Where in a slot, behind the frame, it is written which slices of it have come: bit `i` of the bytes, the least significant of
/// each first, for slice `i`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gaps {
    /// First byte of the bits.
    pub(crate) offset: usize,
    /// Slices of the frame.
    pub(crate) slices: usize,
    /// Bytes of each but the last.
    pub(crate) slice_bytes: usize,
}

impl Gaps {
    /// Whether the bits lie in a slot of so many bytes.
    pub(crate) fn is_inside(&self, slot_bytes: usize) -> bool {
        self.offset.checked_add(self.slices.div_ceil(8)).is_some_and(|end| end <= slot_bytes)
    }
}

/// A frame without its slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameParts {
    /// Bytes of pixels.
    pub(crate) len: usize,
    /// What follows them.
    pub(crate) tail: Tail,
    pub(crate) info: FrameInfo,
    /// Where it is written what is missing, if something is.
    pub(crate) gaps: Option<Gaps>,
}

impl Frame {
    /// Whether the slot is one of `pool`.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_of(&self, pool: &FramePool) -> bool {
        pool.owns(&self.slot)
    }

    /// One more hold on its slot.
    #[cfg(target_os = "linux")]
    pub(crate) fn hold(&self) -> Hold {
        Hold(self.slot.clone())
    }

    /// What it is, besides where.
    pub(crate) fn parts(&self) -> FrameParts {
        FrameParts { len: self.len, tail: self.tail, info: self.info, gaps: self.gaps }
    }

    /// A frame that has landed in a slot of which nobody else has a hold.
    pub(super) fn landed(slot: SlotLease, (len, tail): (usize, Tail), info: FrameInfo, gaps: Option<Gaps>) -> Self {
        Self { holding: None, slot, len, tail, info, gaps }
    }

    /// Number and times of the frame.
    pub fn info(&self) -> &FrameInfo {
        &self.info
    }

    /// What the source set beside the pixels; `None` where it set nothing, and for a frame that is not complete.
    pub fn metadata(&self) -> Option<Metadata<'_>> {
        metadata_in(self.whole(), self.len, self.tail)
    }

    /// When the picture was taken, as UTC: [`FrameInfo::captured_utc`].
    pub fn captured_utc(&self) -> Option<SystemTime> {
        self.info.captured_utc
    }

    /// Whether [`Frame::captured_utc`] is what the source said, the time of the picture's place in a file, rather than what the clock of its
    /// machine showed.
    pub fn has_own_time(&self) -> bool {
        self.tail.has_time()
    }

    /// The pixels and what follows them: what is sent.
    #[doc(hidden)]
    pub fn whole(&self) -> &[u8] {
        // SAFETY: as in `deref`; `Arrival::end` and `FrameMut::set_metadata` have checked that what follows the pixels is in the slot.
        unsafe { std::slice::from_raw_parts(self.slot.ptr(), self.len + self.tail.bytes()) }
    }

    /// What follows the pixels.
    #[doc(hidden)]
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// The slot's place in its pool, from 0 to [`FramePool::slot_count`] less one. No other frame of the pool is in it while this
    /// one is held.
    pub fn slot(&self) -> usize {
        self.slot.index as usize
    }

    /// What its bytes mean. Known of every frame of a stream; `None` where the pool was not made for a format
    /// ([`FramePool::for_format`]).
    pub fn format(&self) -> Option<&FrameFormat> {
        self.slot.pool.format()
    }

    /// Its planes: as many as [`PixelFormat::planes`](super::PixelFormat::planes) says; empty where the format is not known, or the frame is
    /// shorter than a frame of it.
    pub fn planes(&self) -> Planes<'_> {
        Planes::new(self.format(), self)
    }

    /// The same, noted as taken by a consumer.
    pub(super) fn taken(mut self, account: &mut Account) -> Self {
        self.holding = account.take(&self.slot.pool, self.slot());
        self
    }

    /// The same, whose UTC is that of this machine's clock where its source has said none.
    pub(crate) fn by_clock(mut self, utc: Option<UtcOffset>) -> Self {
        if let (false, Some(utc)) = (self.has_own_time(), utc) {
            self.info.captured_utc = utc.at(self.info.captured.as_nanos());
            self.info.utc_error = utc.error;
        }
        self
    }

    /// The same, in the hands of somebody who gives it back by himself: no consumer counts it as held.
    pub(crate) fn given_away(mut self) -> Self {
        self.holding = None;
        self
    }

    /// Whether every byte of it has come. One that has gaps is only handed on where that was asked for
    /// ([`crate::ReceiverConfig::partial`]).
    pub fn is_complete(&self) -> bool {
        self.gaps.is_none()
    }

    /// The bytes that have not come, and are zeroes: ranges of the frame's bytes, one for each slice that is missing, in their order;
    /// empty where [`Frame::is_complete`], and where nothing but metadata is missing.
    pub fn missing(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let gaps = self.gaps.unwrap_or(Gaps { offset: 0, slices: 0, slice_bytes: 0 });
        // SAFETY: at most the slot's size, as `Arrival::complete_with_gaps` has checked, or zero.
        let bits = unsafe { self.slot.ptr().add(gaps.offset) };
        // SAFETY: the bytes lie in the slot too, or there are none; they were written before the frame was made, and no writer
        // exists, as in `deref`.
        let bits = unsafe { std::slice::from_raw_parts(bits, gaps.slices.div_ceil(8)) };
        let is_missing = |slice: &usize| bits[slice / 8] & (1 << (slice % 8)) == 0;
        let missing = (0..gaps.slices).filter(is_missing).map(move |slice| {
            let start = slice * gaps.slice_bytes;
            start..self.len.min(start + gaps.slice_bytes)
        });
        missing.filter(|range| !range.is_empty())
    }

    /// The same memory as [`Bytes`]; the slot is given back when the last of them is dropped.
    ///
    /// Allocates one small block for the reference count that `Bytes` keeps itself; the pixels are not copied.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes, and no writer exists: a `Frame` comes from a `FrameMut` or an `Arrival` that
        // alone had access to the slot (a `Hold` gives none), and neither can be made of a slot that is held.
        unsafe { std::slice::from_raw_parts(self.slot.ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

macro_rules! debug_as_slot {
    ($($lease:ident),*) => {$(
        impl std::fmt::Debug for $lease {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($lease)).field("slot", &self.slot.index).finish_non_exhaustive()
            }
        }
    )*};
}
debug_as_slot!(FrameMut, Frame);
pub(super) use debug_as_slot;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    #[test]
    fn bytes_written_before_the_freeze_are_read_after_it_by_every_clone() {
        let pool = FramePool::new(2, 100).unwrap();
        let mut writer = pool.try_acquire().unwrap();
        writer.set_len(5).unwrap();
        writer.copy_from_slice(b"frame");
        writer.info.number = 7;
        assert_eq!(writer.set_len(101), Err(FrameTooLong { len: 101, capacity: 100 }));
        let frame = writer.freeze();
        let twin = frame.clone();
        assert_eq!((&frame[..], &twin[..], twin.info().number), (&b"frame"[..], &b"frame"[..], 7));
        assert_eq!(pool.free_count(), 1);
        drop((frame, twin));
        assert_eq!(pool.free_count(), 2);
    }

    #[test]
    fn metadata_and_a_time_lie_behind_the_pixels_whatever_their_length_becomes() {
        let format = FrameFormat::new(PixelFormat::Bytes, 100, 1).unwrap();
        let pool = FramePool::for_format(1, format).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_795_000_000, 123_456_789);
        let mut writer = pool.try_acquire().unwrap();
        assert_eq!((writer.len(), writer.metadata_capacity(), writer.metadata()), (100, METADATA_MAX, None));
        writer.set_metadata(MetadataKind::Json, b"{\"exposure_us\":8000}").unwrap();
        writer.set_len(5).unwrap();
        writer.copy_from_slice(b"frame");
        writer.set_len(7).unwrap();
        writer[5..].copy_from_slice(b"!!");
        let long = MetadataTooLong { len: METADATA_MAX + 1, capacity: METADATA_MAX };
        assert_eq!(writer.set_metadata(MetadataKind::Bytes, &[0; METADATA_MAX + 1]), Err(long));
        writer.info.captured_utc = Some(time);
        let frame = writer.freeze();
        let metadata = frame.metadata().unwrap();
        assert_eq!((metadata.kind, metadata.bytes), (MetadataKind::Json, &b"{\"exposure_us\":8000}"[..]));
        assert_eq!((&frame[..], frame.captured_utc(), frame.has_own_time()), (&b"frame!!"[..], Some(time), true));
        assert_eq!(frame.planes().map(|plane| plane.bytes).collect::<Vec<_>>(), [b"frame!!"]);
        assert_eq!(frame.whole().len(), 7 + 20 + TIME_BYTES);
        let (whole, tail) = (frame.whole().to_vec(), frame.tail());
        drop(frame);
        let mut arrival = pool.try_arrival().unwrap();
        arrival.write(0, &whole);
        let there = arrival.complete(7, tail, FrameInfo::default()).unwrap();
        assert_eq!(
            (&there[..], there.metadata().unwrap().bytes.len(), there.captured_utc()),
            (&whole[..7], 20, Some(time))
        );
    }

    #[test]
    fn a_frame_may_have_as_much_metadata_as_there_is_room_for_and_none() {
        let format = FrameFormat::new(PixelFormat::Gray8, 10, 10).unwrap();
        let pool = FramePool::for_format(1, format).unwrap();
        for bytes in [0, 1, METADATA_MAX] {
            let mut writer = pool.try_acquire().unwrap();
            writer.info.captured_utc = Some(SystemTime::UNIX_EPOCH);
            writer.set_metadata(MetadataKind::Cbor, &vec![7; bytes]).unwrap();
            let frame = writer.freeze();
            let found = frame.metadata().map(|metadata| (metadata.kind, metadata.bytes.to_vec()));
            assert_eq!(found, (bytes > 0).then(|| (MetadataKind::Cbor, vec![7; bytes])));
            assert_eq!(frame.len(), 100);
        }
        let bare = FramePool::new(1, 100).unwrap();
        let mut writer = bare.try_acquire().unwrap();
        let refused = writer.set_metadata(MetadataKind::Json, b"{}").unwrap_err();
        assert!(refused.to_string().starts_with("metadata of 2 bytes does not fit the 0 that"), "{refused}");
        writer.set_metadata(MetadataKind::Json, b"").unwrap();
    }

    #[test]
    fn bytes_share_the_slot_and_give_it_back() {
        let pool = FramePool::new(1, 64).unwrap();
        let frame = pool.try_acquire().unwrap().freeze();
        let address = frame.as_ptr();
        let bytes = frame.into_bytes();
        let tail = bytes.slice(60..);
        assert_eq!(bytes.as_ptr(), address);
        drop(bytes);
        assert_eq!(pool.free_count(), 0);
        drop(tail);
        assert_eq!(pool.free_count(), 1);
    }

    #[test]
    fn a_frame_outlives_its_pool() {
        let pool = FramePool::new(1, 3).unwrap();
        let mut writer = pool.try_acquire().unwrap();
        writer.copy_from_slice(b"abc");
        let frame = writer.freeze();
        drop(pool);
        assert_eq!(&frame[..], b"abc");
    }
}
