//! Locks whose data are whole whatever thread panicked while it held them.

use std::sync::{LockResult, PoisonError};

/// What a lock, or a wait with one, gives, also where a thread has panicked with it in its hands: what is locked in this crate is whole
/// at any moment, and the others go on.
pub(crate) fn unpoisoned<T>(locked: LockResult<T>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_thread_that_panicked_with_the_lock_costs_the_others_nothing() {
        let counted = Mutex::new(1);
        std::thread::scope(|scope| {
            let broken = scope.spawn(|| {
                let _held = unpoisoned(counted.lock());
                panic!("as asked for by this test");
            });
            broken.join().unwrap_err();
        });
        *unpoisoned(counted.lock()) += 1;
        assert_eq!(*unpoisoned(counted.lock()), 2);
    }
}
