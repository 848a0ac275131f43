//! Slots for frames, allocated once.

use std::any::Any;
use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::arrival::Arrival;
use super::format::FrameFormat;
use super::lease::{FrameMut, SlotLease};
use super::memory::{Memory, PAGE_BYTES};
use super::pool_in_making::PoolInMaking;
use super::slots::{SLOTS_MAX, SlotTable};
use super::tail::TAIL_MAX;
use crate::limit::remedy;
use crate::unpoisoned::unpoisoned;

/// Why a pool could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The number of slots is out of range.
    #[error("a pool of {0} slots cannot be; use 1 to {SLOTS_MAX}")]
    SlotCount(usize),
    /// A slot of no bytes, or more than the address space holds.
    #[error("{slots} slots of {slot_bytes} bytes do not fit an address space; use smaller frames or fewer slots")]
    Size {
        /// Slots asked for.
        slots: usize,
        /// Bytes asked for in each.
        slot_bytes: usize,
    },
    /// The slots are shorter than what is to be in them.
    #[error("slots of {slot_bytes} bytes do not hold the {needed} of a frame and its slices; make them that long")]
    SlotsTooSmall {
        /// Bytes of a slot.
        slot_bytes: usize,
        /// Bytes that it must have.
        needed: usize,
    },
    /// The system did not give the memory.
    #[error(
        "the system gave no memory for {slots} slots of {slot_bytes} bytes ({source}); {}", remedy(.source).unwrap_or("use fewer slots or free memory")
    )]
    Memory {
        /// Slots asked for.
        slots: usize,
        /// Bytes asked for in each.
        slot_bytes: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The system lets this process make no memory file, in which the slots are.
    #[error(
        "the system refuses memory files, in which frames are kept ({0}); allow the system calls memfd_create and fcntl \
         (F_ADD_SEALS) in the filter of the sandbox or container"
    )]
    MemoryFiles(io::Error),
}

/// How long somebody waits for a slot before whoever has lent some out is asked once more.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// A fixed number of equal slots, each for one frame, in one mapping whose pages are there from the start. Clones share it.
///
/// Who sends gets slots from [`Sender::frame`](crate::Sender::frame); a pool of one's own is for frames that do not come from there, such as
/// those that a source is tried with.
///
/// Nothing is allocated after [`FramePool::new`]: taking and giving back a slot are a few atomic operations.
#[derive(Clone)]
pub struct FramePool {
    pub(super) shared: Arc<PoolShared>,
}

pub(super) struct PoolShared {
    pub(super) slots: SlotTable,
    pub(super) memory: Memory,
    slot_bytes: usize,
    stride: usize,
    /// What every frame in it is, and how many bytes of a slot are left for what follows the pixels, where that is known.
    format: OnceLock<(FrameFormat, usize)>,
    on_free: OnceLock<Box<dyn Fn(usize) + Send + Sync>>,
    on_starved: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// Slots of this process, where others are for readers in other ones.
    own: OnceLock<usize>,
    /// Dropped after the memory.
    pub(super) held: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl PoolShared {
    pub(super) fn new(slots: SlotTable, memory: Memory, slot_bytes: usize, stride: usize) -> Self {
        Self {
            slots,
            memory,
            slot_bytes,
            stride,
            format: OnceLock::new(),
            on_free: OnceLock::new(),
            on_starved: OnceLock::new(),
            own: OnceLock::new(),
            held: OnceLock::new(),
        }
    }

    /// First byte of a slot.
    pub(super) fn slot_ptr(&self, index: u32) -> *mut u8 {
        debug_assert!((index as usize) < self.slots.count());
        // SAFETY: `index` is below the slot count (only the slot table makes indices), so the offset lies inside the
        // mapping, whose size is the slot count times the stride.
        unsafe { self.memory.as_ptr().add(index as usize * self.stride) }
    }

    pub(super) fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    pub(super) fn format(&self) -> Option<&FrameFormat> {
        self.format.get().map(|(format, _)| format)
    }

    /// Bytes of a slot that are left for what follows the pixels.
    pub(super) fn tail_bytes(&self) -> usize {
        self.format.get().map_or(0, |(_, tail)| *tail)
    }

    pub(super) fn release(&self, index: u32) {
        if self.slots.release(index)
            && let Some(on_free) = self.on_free.get()
        {
            on_free(index as usize);
        }
    }

    /// Slots that frames of this process have.
    pub(super) fn own_slots(&self) -> usize {
        self.own.get().copied().unwrap_or(self.slots.count())
    }

    /// A free slot, held once. Where there is none, whoever lends slots out is asked for them first.
    fn try_acquire(&self) -> Option<u32> {
        self.slots.try_acquire().or_else(|| {
            self.on_starved.get()?();
            self.slots.try_acquire()
        })
    }
}

impl FramePool {
    /// Allocates `slots` slots of at least `slot_bytes` bytes each, and touches every page.
    ///
    /// # Errors
    /// A count outside 1 to [`SLOTS_MAX`], a size that does not fit, or a system that refuses the memory.
    pub fn new(slots: usize, slot_bytes: usize) -> Result<Self, PoolError> {
        PoolInMaking::new(slots, slot_bytes)?.finish()
    }

    /// A pool for frames of this format, which know it: [`Frame::planes`](super::Frame::planes). Each slot has room for
    /// [`METADATA_MAX`](super::METADATA_MAX) bytes of metadata behind its frame.
    ///
    /// # Errors
    /// As [`FramePool::new`].
    pub fn for_format(slots: usize, format: FrameFormat) -> Result<Self, PoolError> {
        Ok(Self::new(slots, format.frame_bytes() + TAIL_MAX)?.with_format(format, TAIL_MAX))
    }

    /// The same, whose frames have this format, and the last `tail_bytes` of whose slots are for what follows the pixels.
    pub(crate) fn with_format(self, format: FrameFormat, tail_bytes: usize) -> Self {
        let _first = self.shared.format.set((format, tail_bytes.min(self.slot_bytes())));
        self
    }

    /// Bytes that a pool of such slots takes, or why there can be none.
    ///
    /// # Errors
    /// A count outside 1 to [`SLOTS_MAX`], or a size that does not fit.
    pub fn bytes(slots: usize, slot_bytes: usize) -> Result<usize, PoolError> {
        let too_large = || PoolError::Size { slots, slot_bytes };
        if !(1..=SLOTS_MAX).contains(&slots) {
            return Err(PoolError::SlotCount(slots));
        }
        let bytes = stride(slot_bytes).and_then(|stride| stride.checked_mul(slots));
        bytes.filter(|bytes| isize::try_from(*bytes).is_ok()).ok_or_else(too_large)
    }

    /// As [`FramePool::new`], but only the pages of the first `ready` slots are touched, and only these are handed out until
    /// [`FramePool::set_usable`] says otherwise: a spare slot costs address space alone until it is first used.
    ///
    /// # Errors
    /// As [`FramePool::new`].
    pub fn with_spares(slots: usize, ready: usize, slot_bytes: usize) -> Result<Self, PoolError> {
        PoolInMaking::new(slots, slot_bytes)?.with_spares(ready).finish()
    }

    /// Has the first `slots` slots handed out and no others; at least one, and at most as many as there are. Those that are held
    /// beyond them stay so.
    pub fn set_usable(&self, slots: usize) {
        self.shared.slots.set_usable(slots);
    }

    /// A free slot to write a frame into, or `None` where every slot is held.
    pub fn try_acquire(&self) -> Option<FrameMut> {
        self.try_lease().map(FrameMut::new)
    }

    /// A free slot to write a frame into; waits up to `timeout` for one. `None` where none came free.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<FrameMut> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Some(slot) = self.try_lease() {
                return Some(FrameMut::new(slot));
            }
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return None;
            }
            // Whoever lends slots out is asked for one at a time: of several that wait, one may have had what another asked for.
            let patience = if self.shared.on_starved.get().is_some() { left.min(ASK_AGAIN) } else { left };
            if let Some(index) = self.wait_for_slot(patience) {
                return Some(FrameMut::new(SlotLease::new(self.shared.clone(), index)));
            }
        }
    }

    fn wait_for_slot(&self, timeout: Duration) -> Option<u32> {
        let deadline = Instant::now().checked_add(timeout);
        self.shared.slots.acquire_while(
            |lock| unpoisoned(lock.lock()),
            |freed, guard| {
                let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
                if left.is_zero() {
                    return None;
                }
                let (guard, _) = unpoisoned(freed.wait_timeout(guard, left));
                Some(guard)
            },
        )
    }

    /// A free slot for datagrams to land in, or `None` where every slot is held.
    #[doc(hidden)]
    pub fn try_arrival(&self) -> Option<Arrival> {
        self.try_lease().map(Arrival::new)
    }

    pub(super) fn owns(&self, slot: &SlotLease) -> bool {
        Arc::ptr_eq(&self.shared, slot.pool())
    }

    /// Tells its frames from those of other pools, also when it is gone.
    pub(crate) fn mark(&self) -> PoolMark {
        PoolMark(Arc::downgrade(&self.shared))
    }

    fn try_lease(&self) -> Option<SlotLease> {
        let index = self.shared.try_acquire()?;
        Some(SlotLease::new(self.shared.clone(), index))
    }

    /// Has `hook` called, on the thread that dropped the lease, after each slot that becomes free. Only the first hook
    /// that is set counts; it must be quick and must not take a slot.
    pub fn set_on_free(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.set_on_freed(move |_| hook());
    }

    /// As [`FramePool::set_on_free`], with the slot that became free.
    pub(crate) fn set_on_freed(&self, hook: impl Fn(usize) + Send + Sync + 'static) {
        if self.shared.on_free.set(Box::new(hook)).is_err() {
            tracing::debug!("the pool already has a hook for freed slots");
        }
    }

    /// Has `hook` called where somebody wants a slot and none is free, before it is told so or waits: whoever has lent slots out looks then
    /// which have come back, and has those that come back later told of. Only the first hook that is set counts.
    pub(crate) fn set_on_starved(&self, hook: impl Fn() + Send + Sync + 'static) {
        if self.shared.on_starved.set(Box::new(hook)).is_err() {
            tracing::debug!("the pool already has a hook for want of slots");
        }
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> usize {
        self.shared.slots.count()
    }

    /// Says that only the first `slots` slots are this process's: the others are for readers in other ones. Whoever holds so many is told that
    /// none is left.
    pub(crate) fn set_own(&self, slots: usize) {
        let _first = self.shared.own.set(slots);
    }

    /// Looks whether slots that others were lent have come back, where none is free.
    pub(crate) fn look_for_slots(&self) {
        if self.free_count() == 0
            && let Some(on_starved) = self.shared.on_starved.get()
        {
            on_starved();
        }
    }

    /// How many slots are handed out: all but the spare ones.
    pub(crate) fn usable_count(&self) -> usize {
        self.shared.slots.usable_count()
    }

    /// How many of the slots that are handed out nobody holds at this moment.
    pub fn free_count(&self) -> usize {
        self.shared.slots.free_count()
    }

    /// Slots that somebody holds.
    pub fn held_count(&self) -> usize {
        self.shared.slots.held_count()
    }

    /// Bytes that a frame in this pool may have.
    pub fn slot_bytes(&self) -> usize {
        self.shared.slot_bytes
    }

    /// The memfd that holds the slots, one every [`FramePool::slot_stride`] bytes. It is sealed: whoever has it, in this
    /// process or another, can map it to read, and can neither write to it nor change its size. `None` where the system has no
    /// such seal (Linux before 5.1).
    #[cfg(target_os = "linux")]
    pub fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.shared.memory.descriptor()
    }

    /// Bytes from one slot to the next.
    pub fn slot_stride(&self) -> usize {
        self.shared.stride
    }
}

/// What the frames of one pool are known by. It keeps no memory but a few words, so that no other pool is taken for that one.
#[derive(Clone)]
pub(crate) struct PoolMark(Weak<PoolShared>);

impl PoolMark {
    pub(super) fn is_on(&self, slot: &SlotLease) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(slot.pool()))
    }
}

/// Bytes from one slot to the next: whole pages.
fn stride(slot_bytes: usize) -> Option<usize> {
    slot_bytes.checked_next_multiple_of(PAGE_BYTES).filter(|bytes| *bytes > 0)
}

impl std::fmt::Debug for FramePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FramePool")
            .field("slots", &self.slot_count())
            .field("free", &self.free_count())
            .field("slot_bytes", &self.slot_bytes())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_hands_out_each_slot_once_and_takes_it_back() {
        let pool = FramePool::new(3, 1000).unwrap();
        let held: Vec<_> = std::iter::from_fn(|| pool.try_acquire()).collect();
        assert_eq!((held.len(), pool.free_count()), (3, 0));
        drop(held);
        assert_eq!(pool.free_count(), 3);
    }

    #[test]
    fn spare_slots_are_handed_out_when_they_are_let_and_the_first_ones_before_them() {
        let pool = FramePool::with_spares(4, 2, 1000).unwrap();
        let place = |frame: &FrameMut| frame.as_ptr() as usize;
        let (first, second) = (pool.try_acquire().unwrap(), pool.try_acquire().unwrap());
        assert!(pool.try_acquire().is_none());
        pool.set_usable(3);
        let third = pool.try_acquire().unwrap();
        assert!(pool.try_acquire().is_none());
        let places = [&first, &second, &third].map(place);
        drop((second, third));
        assert_eq!(pool.free_count(), 2);
        assert_eq!(place(&pool.try_acquire().unwrap()), places[1]);
        pool.set_usable(0);
        assert!(pool.try_acquire().is_none(), "the first one is held");
        drop(first);
        assert_eq!(place(&pool.try_acquire().unwrap()), places[0]);
        pool.set_usable(usize::MAX);
        assert_eq!(pool.free_count(), 4);
    }

    #[test]
    fn a_thread_that_waits_is_woken_by_a_spare_slot() {
        let pool = FramePool::with_spares(2, 1, 16).unwrap();
        let _held = pool.try_acquire().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| pool.acquire_timeout(Duration::from_secs(60)).is_some());
            pool.set_usable(2);
            assert!(waiter.join().unwrap());
        });
    }

    #[test]
    fn a_thread_that_waits_for_a_slot_is_woken_by_the_drop() {
        let pool = FramePool::new(1, 16).unwrap();
        let held = pool.try_acquire().unwrap();
        assert!(pool.acquire_timeout(Duration::ZERO).is_none());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| pool.acquire_timeout(Duration::from_secs(60)).is_some());
            drop(held);
            assert!(waiter.join().unwrap());
        });
    }

    #[test]
    fn impossible_pools_are_refused_with_the_value() {
        assert!(FramePool::new(0, 16).unwrap_err().to_string().starts_with("a pool of 0 slots"));
        assert!(FramePool::new(65, 16).unwrap_err().to_string().contains("65"));
        assert!(matches!(FramePool::new(2, usize::MAX), Err(PoolError::Size { .. })));
        assert!(matches!(FramePool::new(2, 0), Err(PoolError::Size { .. })));
        assert!(matches!(FramePool::new(64, isize::MAX as usize / 128), Err(PoolError::Memory { .. })));
    }

    #[test]
    fn the_hook_runs_when_the_last_lease_of_a_slot_is_dropped() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let freed = Arc::new(AtomicU32::new(0));
        let pool = FramePool::new(2, 16).unwrap();
        let seen = freed.clone();
        pool.set_on_free(move || {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        let frame = pool.try_acquire().unwrap().freeze();
        let twin = frame.clone();
        drop(frame);
        assert_eq!(freed.load(Ordering::Relaxed), 0);
        drop(twin);
        assert_eq!(freed.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn pages_that_are_provided_bit_by_bit_make_the_same_pool() {
        let mut making = PoolInMaking::new(3, 5000).unwrap();
        let mut lefts = vec![making.left()];
        while making.left() > 0 {
            making.provide(3 * PAGE_BYTES).unwrap();
            lefts.push(making.left());
        }
        assert_eq!(lefts, [6, 3, 0].map(|pages| pages * PAGE_BYTES));
        making.provide(usize::MAX).unwrap();
        let pool = making.finish().unwrap();
        assert_eq!((pool.free_count(), pool.slot_bytes(), pool.slot_stride()), (3, 5000, 2 * PAGE_BYTES));
        assert_eq!(FramePool::bytes(3, 5000).unwrap(), 6 * PAGE_BYTES);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nobody_who_has_the_descriptor_can_write_to_a_frame_or_change_the_size() {
        use std::os::unix::fs::FileExt;

        let pool = FramePool::new(2, 5000).unwrap();
        assert_eq!(pool.slot_stride(), 8192);
        let mut writer = pool.try_acquire().unwrap();
        writer.fill(7);
        let frame = writer.freeze();
        let descriptor = pool.descriptor().expect("this kernel seals");
        let file = std::fs::File::from(descriptor.try_clone_to_owned().unwrap());
        assert!(file.write_at(b"changed", 0).is_err());
        assert!(memmap2::MmapOptions::new().map_raw(&file).is_err(), "a second mapping writes");
        let again = std::fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", {
            use std::os::fd::AsRawFd;
            file.as_raw_fd()
        }));
        if let Ok(again) = again {
            assert!(again.write_at(b"changed", 0).is_err());
        }
        let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        assert!(rustix::fs::fallocate(&file, hole, 0, 4096).is_err());
        assert!(file.set_len(1).is_err());
        assert!(file.set_len(1 << 20).is_err());
        assert!(frame.iter().all(|byte| *byte == 7));
        let mut read = [0; 16];
        file.read_at(&mut read, 0).unwrap();
        assert_eq!(read, [7; 16], "readers are admitted");
        // And the owner goes on writing.
        drop(frame);
        pool.try_acquire().unwrap().fill(8);
    }
}
