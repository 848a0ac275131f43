//! The memory that all streams of a receiver may take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes, parts of which are reserved before memory is taken.
#[derive(Debug)]
pub(in crate::driver) struct Budget {
    limit: usize,
    reserved: AtomicUsize,
}

impl Budget {
    pub(in crate::driver) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, reserved: AtomicUsize::new(0) })
    }

    /// Bytes in all.
    pub(in crate::driver) fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes that are reserved at present.
    pub(in crate::driver) fn reserved(&self) -> usize {
        self.reserved.load(Ordering::Acquire)
    }

    /// How many of the reserved bytes have to come back before so many can be reserved.
    pub(in crate::driver) fn missing(&self, bytes: usize) -> usize {
        self.reserved().saturating_add(bytes).saturating_sub(self.limit)
    }

    /// Bytes for one stream, or `None` where so many are not left.
    pub(in crate::driver) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        let more = |reserved: usize| reserved.checked_add(bytes).filter(|reserved| *reserved <= self.limit);
        let reserved = self.reserved.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        reserved.ok().map(|_| Reservation { budget: self.clone(), bytes })
    }
}

/// Bytes of a budget, given back when this is dropped: after the memory that they stand for.
#[derive(Debug)]
pub(in crate::driver) struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reservation {
    /// How many they are.
    pub(in crate::driver) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.reserved.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_reserved_than_there_is_and_all_of_it_comes_back() {
        let budget = Budget::new(100);
        let most = budget.reserve(70).unwrap();
        assert!(budget.reserve(31).is_none() && budget.reserve(usize::MAX).is_none());
        assert_eq!((budget.missing(30), budget.missing(31), most.bytes()), (0, 1, 70));
        let rest = budget.reserve(30).unwrap();
        assert_eq!((budget.reserved(), budget.limit()), (100, 100));
        drop(most);
        assert_eq!(budget.reserved(), 30);
        drop(rest);
        assert!(budget.reserve(100).is_some());
    }

    #[test]
    fn threads_that_reserve_at_once_never_go_beyond_the_limit() {
        let budget = Budget::new(8);
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..4).filter_map(|_| budget.reserve(1)).collect())).collect();
            threads.into_iter().flat_map(|thread| -> Vec<_> { thread.join().unwrap() }).collect::<Vec<_>>()
        });
        assert_eq!((taken.len(), budget.reserved()), (8, 8));
        drop(taken);
        assert_eq!(budget.reserved(), 0);
    }
}
