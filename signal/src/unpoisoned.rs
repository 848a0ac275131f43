//! Locks whose data are whole whatever thread panicked while it held them.

use std::sync::{LockResult, PoisonError};

/// What a lock, or a wait with one, gives, also where a thread has panicked with it in its hands: what is locked in this crate is whole
/// at any moment, and the others go on.
pub(crate) fn unpoisoned<T>(locked: LockResult<T>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}
