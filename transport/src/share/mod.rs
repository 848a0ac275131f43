//! Frames read in place by any process of this machine, over shared memory.

#[allow(dead_code, reason = "the hub and its readers are built on it")]
pub(crate) mod socket;
