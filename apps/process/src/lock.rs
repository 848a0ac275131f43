//! Locks whose data are whole whatever thread panicked while it held them.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock of counts and settings, each of which is whole at any moment: a thread that panicked with it in its hands has
/// left nothing half done, and the others go on.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panicked_with_the_lock_costs_the_others_nothing() {
        let counted = Mutex::new(1);
        std::thread::scope(|scope| {
            let broken = scope.spawn(|| {
                let _held = lock(&counted);
                panic!("as asked for by this test");
            });
            broken.join().unwrap_err();
        });
        *lock(&counted) += 1;
        assert_eq!(*lock(&counted), 2);
    }
}
