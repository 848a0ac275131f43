//! The synchronisation primitives of the slot state. The loom model compiles `slots.rs` against loom's own instead.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
pub(crate) use std::sync::{Condvar, Mutex};
