//! Slots for frames, allocated once.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::lease::{Arrival, FrameMut, SlotLease};
use super::memory::{Memory, PAGE_BYTES};
use super::slots::{SLOTS_MAX, SlotTable};

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
    /// The system did not give the memory.
    #[error(
        "the system gave no memory for {slots} slots of {slot_bytes} bytes ({source}); use fewer slots or free memory"
    )]
    Memory {
        /// Slots asked for.
        slots: usize,
        /// Bytes asked for in each.
        slot_bytes: usize,
        /// What the system said.
        source: io::Error,
    },
}

/// A fixed number of equal slots in one prefaulted mapping. Clones share it.
///
/// Nothing is allocated after [`FramePool::new`]: taking and giving back a slot are a few atomic operations.
#[derive(Clone)]
pub struct FramePool {
    shared: Arc<PoolShared>,
}

pub(super) struct PoolShared {
    pub(super) slots: SlotTable,
    memory: Memory,
    slot_bytes: usize,
    stride: usize,
    on_free: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

// SAFETY: `memory` is a raw mapping that is only reached through leases; the slot table gives each slot either one
// writer or any number of readers, with acquire and release ordering between them.
unsafe impl Send for PoolShared {}
// SAFETY: as above; the slot table itself is made of atomics.
unsafe impl Sync for PoolShared {}

impl PoolShared {
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

    pub(super) fn release(&self, index: u32) {
        if self.slots.release(index)
            && let Some(on_free) = self.on_free.get()
        {
            on_free();
        }
    }
}

impl FramePool {
    /// Allocates `slots` slots of at least `slot_bytes` bytes each, and touches every page.
    ///
    /// # Errors
    /// A count outside 1 to [`SLOTS_MAX`], a size that does not fit, or a system that refuses the memory.
    pub fn new(slots: usize, slot_bytes: usize) -> Result<Self, PoolError> {
        if !(1..=SLOTS_MAX).contains(&slots) {
            return Err(PoolError::SlotCount(slots));
        }
        let too_large = || PoolError::Size { slots, slot_bytes };
        let stride =
            slot_bytes.checked_next_multiple_of(PAGE_BYTES).filter(|bytes| *bytes > 0).ok_or_else(too_large)?;
        let total = stride.checked_mul(slots).filter(|bytes| isize::try_from(*bytes).is_ok()).ok_or_else(too_large)?;
        let memory = Memory::new(total).map_err(|source| PoolError::Memory { slots, slot_bytes, source })?;
        let slots = SlotTable::new(slots);
        Ok(Self { shared: Arc::new(PoolShared { slots, memory, slot_bytes, stride, on_free: OnceLock::new() }) })
    }

    /// A free slot to write a frame into, or `None` where every slot is held.
    pub fn try_acquire(&self) -> Option<FrameMut> {
        self.try_lease().map(FrameMut::new)
    }

    /// A free slot to write a frame into; waits up to `timeout` for one.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<FrameMut> {
        let deadline = Instant::now().checked_add(timeout);
        let index = self.shared.slots.acquire_while(
            |lock| lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner()),
            |freed, guard| {
                let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
                if left.is_zero() {
                    return None;
                }
                let (guard, _) = freed.wait_timeout(guard, left).unwrap_or_else(|poisoned| poisoned.into_inner());
                Some(guard)
            },
        )?;
        Some(FrameMut::new(SlotLease::new(self.shared.clone(), index)))
    }

    /// A free slot for datagrams to land in, or `None` where every slot is held.
    pub fn try_arrival(&self) -> Option<Arrival> {
        self.try_lease().map(Arrival::new)
    }

    fn try_lease(&self) -> Option<SlotLease> {
        let index = self.shared.slots.try_acquire()?;
        Some(SlotLease::new(self.shared.clone(), index))
    }

    /// Has `hook` called, on the thread that dropped the lease, after each slot that becomes free. Only the first hook
    /// that is set counts; it must be quick and must not take a slot.
    pub fn set_on_free(&self, hook: impl Fn() + Send + Sync + 'static) {
        if self.shared.on_free.set(Box::new(hook)).is_err() {
            tracing::debug!("the pool already has a hook for freed slots");
        }
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> usize {
        self.shared.slots.count()
    }

    /// How many slots nobody holds at this moment.
    pub fn free_count(&self) -> usize {
        self.shared.slots.free_count()
    }

    /// Bytes that a frame in this pool may have.
    pub fn slot_bytes(&self) -> usize {
        self.shared.slot_bytes
    }

    /// The sealed memfd that holds the slots, one every [`FramePool::slot_stride`] bytes.
    #[cfg(target_os = "linux")]
    pub fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.shared.memory.descriptor()
    }

    /// Bytes from one slot to the next.
    pub fn slot_stride(&self) -> usize {
        self.shared.stride
    }
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

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_can_neither_grow_nor_shrink() {
        let pool = FramePool::new(2, 5000).unwrap();
        assert_eq!(pool.slot_stride(), 8192);
        assert!(rustix::fs::ftruncate(pool.descriptor(), 1).is_err());
        assert!(rustix::fs::ftruncate(pool.descriptor(), 1 << 20).is_err());
    }
}
