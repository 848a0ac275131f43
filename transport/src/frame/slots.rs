//! Who holds which slot. The only state that threads share for every frame, so it is modelled with loom
//! (`tests/slots_loom.rs` compiles this very file against loom's primitives).

use super::sync::{AtomicU32, AtomicU64, Condvar, Mutex, Ordering, fence};
use crate::unpoisoned::unpoisoned;

/// The most slots one pool may have: one bit each in a word.
pub const SLOTS_MAX: usize = 64;

/// Free slots as bits of a word, and a count of holders for each slot that is not free.
///
/// The lowest free slot is handed out first, so that a lightly used pool keeps to the few slots that are still in cache.
pub(crate) struct SlotTable {
    free: AtomicU64,
    /// The slots that may be handed out. The others are spare: no memory is spent on them before they are.
    usable: AtomicU64,
    holders: Box<[AtomicU32]>,
    /// Threads in [`SlotTable::acquire_while`]; a release looks here before it touches the lock.
    waiters: AtomicU32,
    lock: Mutex<()>,
    freed: Condvar,
}

impl SlotTable {
    /// # Panics
    /// Where `count` is not 1 to [`SLOTS_MAX`]; the pool has checked it.
    pub(crate) fn new(count: usize) -> Self {
        assert!((1..=SLOTS_MAX).contains(&count), "a pool has 1 to {SLOTS_MAX} slots, not {count}");
        Self {
            free: AtomicU64::new(u64::MAX >> (SLOTS_MAX - count)),
            usable: AtomicU64::new(u64::MAX),
            holders: (0..count).map(|_| AtomicU32::new(0)).collect(),
            waiters: AtomicU32::new(0),
            lock: Mutex::new(()),
            freed: Condvar::new(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.holders.len()
    }

    /// Slots that may be handed out.
    pub(crate) fn usable_count(&self) -> usize {
        (self.usable.load(Ordering::Relaxed).count_ones() as usize).min(self.count())
    }

    pub(crate) fn free_count(&self) -> usize {
        (self.free.load(Ordering::Relaxed) & self.usable.load(Ordering::Relaxed)).count_ones() as usize
    }

    /// Slots that somebody holds.
    pub(crate) fn held_count(&self) -> usize {
        self.count() - self.free.load(Ordering::Relaxed).count_ones() as usize
    }

    /// Has the lowest `count` slots handed out and no others, at least one. What is held beyond them stays so.
    pub(crate) fn set_usable(&self, count: usize) {
        self.usable.store(u64::MAX >> (SLOTS_MAX - count.clamp(1, SLOTS_MAX)), Ordering::Relaxed);
        self.wake_waiters();
    }

    /// A table of whose slots none is handed out before it is [allowed](Self::allow).
    pub(crate) fn with_none_usable(count: usize) -> Self {
        let table = Self::new(count);
        table.usable.store(0, Ordering::Relaxed);
        table
    }

    /// Has these slots, a bit each, handed out too.
    pub(crate) fn allow(&self, slots: u64) {
        // Release: what made the slot ours happened before what is done with it.
        self.usable.fetch_or(slots, Ordering::Release);
        self.wake_waiters();
    }

    /// Has these slots handed out no more; what is held stays so.
    pub(crate) fn forbid(&self, slots: u64) {
        self.usable.fetch_and(!slots, Ordering::Relaxed);
    }

    /// Takes this very slot, held once; `false` where it is held.
    pub(crate) fn claim(&self, index: u32) -> bool {
        let bit = 1 << index;
        let was_free = self.free.fetch_and(!bit, Ordering::Acquire) & bit != 0;
        if was_free {
            self.holders[index as usize].store(1, Ordering::Relaxed);
        }
        was_free
    }

    /// Takes the lowest free slot, held once.
    pub(crate) fn try_acquire(&self) -> Option<u32> {
        let mut free = self.free.load(Ordering::Relaxed);
        loop {
            let usable = free & self.usable.load(Ordering::Acquire);
            if usable == 0 {
                return None;
            }
            let index = usable.trailing_zeros();
            // Acquire pairs with the release that freed the slot: its last holder's accesses happened before ours.
            match self.free.compare_exchange_weak(free, free & !(1 << index), Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    self.holders[index as usize].store(1, Ordering::Relaxed);
                    return Some(index);
                }
                Err(now) => free = now,
            }
        }
    }

    /// Takes the lowest free slot; with none free, calls `wait` with the lock held until it returns `None` (give up).
    ///
    /// `wait` is handed the lock's guard and the condition to wait on, so that the caller chooses the timeout.
    pub(crate) fn acquire_while<'a, G>(
        &'a self,
        lock: impl FnOnce(&'a Mutex<()>) -> G,
        mut wait: impl FnMut(&'a Condvar, G) -> Option<G>,
    ) -> Option<u32> {
        if let Some(index) = self.try_acquire() {
            return Some(index);
        }
        // A read-modify-write on `waiters` at both ends: either the releaser sees us and notifies under the lock, or we
        // synchronise with it and see its free bit below.
        self.waiters.fetch_add(1, Ordering::AcqRel);
        let mut guard = Some(lock(&self.lock));
        let taken = loop {
            if let Some(index) = self.try_acquire() {
                break Some(index);
            }
            guard = match guard.take().and_then(|held| wait(&self.freed, held)) {
                Some(held) => Some(held),
                None => break None,
            };
        };
        drop(guard);
        self.waiters.fetch_sub(1, Ordering::AcqRel);
        taken
    }

    /// One more holder of a slot that the caller already holds.
    pub(crate) fn retain(&self, index: u32) {
        let before = self.holders[index as usize].fetch_add(1, Ordering::Relaxed);
        assert!(before < u32::MAX / 2, "a frame was cloned {before} times without being dropped");
    }

    /// One holder less; the last one frees the slot. True where it did.
    pub(crate) fn release(&self, index: u32) -> bool {
        if self.holders[index as usize].fetch_sub(1, Ordering::Release) != 1 {
            return false;
        }
        fence(Ordering::Acquire);
        self.free.fetch_or(1 << index, Ordering::AcqRel);
        self.wake_waiters();
        true
    }

    /// There may be a slot for whoever waits for one.
    fn wake_waiters(&self) {
        if self.waiters.fetch_add(0, Ordering::AcqRel) > 0 {
            drop(unpoisoned(self.lock.lock()));
            self.freed.notify_all();
        }
    }

    /// One more holder of a slot, if the caller, who holds it, is its only one. True where it was.
    pub(crate) fn retain_sole(&self, index: u32) -> bool {
        // Acquire: what the holder before did to the slot happened before what the new one does.
        self.holders[index as usize].compare_exchange(1, 2, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Whether the caller, who holds the slot, is its only holder.
    pub(crate) fn is_exclusive(&self, index: u32) -> bool {
        self.holders[index as usize].load(Ordering::Acquire) == 1
    }
}
