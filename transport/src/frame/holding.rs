//! Which slots a consumer's program has in its hands, so that one who has them all is told.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::pool::PoolShared;
use super::slots::SLOTS_MAX;

/// What one consumer has taken and not given back yet: for each slot, how many frames of it there are, clones included.
pub(super) struct Holdings {
    frames: [AtomicU32; SLOTS_MAX],
    /// How often the last frame of a slot was given back.
    given_back: AtomicUsize,
}

impl Holdings {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { frames: [const { AtomicU32::new(0) }; SLOTS_MAX], given_back: AtomicUsize::new(0) })
    }

    /// Slots of which there are frames.
    pub(super) fn slots(&self) -> usize {
        self.frames.iter().filter(|frames| frames.load(Ordering::Acquire) > 0).count()
    }

    /// Changes whenever a slot is given back.
    pub(super) fn given_back(&self) -> usize {
        self.given_back.load(Ordering::Acquire)
    }
}

/// One frame that a consumer has taken.
pub(super) struct Holding {
    of: Arc<Holdings>,
    slot: usize,
}

impl Holding {
    fn new(of: &Arc<Holdings>, slot: usize) -> Self {
        of.frames[slot].fetch_add(1, Ordering::AcqRel);
        Self { of: of.clone(), slot }
    }
}

impl Clone for Holding {
    fn clone(&self) -> Self {
        Self::new(&self.of, self.slot)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if self.of.frames[self.slot].fetch_sub(1, Ordering::AcqRel) == 1 {
            self.of.given_back.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// The pool whose slots a consumer's holdings are, known once it has taken a frame.
pub(super) struct Account {
    holdings: Arc<Holdings>,
    pool: Weak<PoolShared>,
}

impl Account {
    pub(super) fn new() -> Self {
        Self { holdings: Holdings::new(), pool: Weak::new() }
    }

    pub(super) fn holdings(&self) -> &Arc<Holdings> {
        &self.holdings
    }

    /// Notes that a frame in this slot is taken. `None` for one of another pool while frames of the first are still held: a ring
    /// carries the frames of one stream, and a stream has one pool.
    pub(super) fn take(&mut self, pool: &Arc<PoolShared>, slot: usize) -> Option<Holding> {
        if !std::ptr::eq(self.pool.as_ptr(), Arc::as_ptr(pool)) {
            if self.holdings.slots() > 0 {
                return None;
            }
            self.pool = Arc::downgrade(pool);
        }
        Some(Holding::new(&self.holdings, slot))
    }

    /// Slots of the pool where all of them are held by this consumer's frames, so that no frame can come.
    pub(super) fn all_slots(&self) -> Option<usize> {
        let held = self.holdings.slots();
        // A pool that is gone has no slot held.
        (held > 0 && self.pool.upgrade()?.own_slots() <= held).then_some(held)
    }
}
