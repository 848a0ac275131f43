//! The synchronisation primitives of leases between processes. The loom model compiles them against loom's own instead.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
