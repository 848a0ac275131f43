//! Frames read in place by any process of this machine, over shared memory.
#![allow(dead_code, reason = "its users land one by one")]

mod layout;
mod lease;
mod memory;
mod messages;
pub(crate) mod socket;
mod sync;
