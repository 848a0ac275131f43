//! Moves raw video frames over UDP at the speed of memory, and accounts for every frame that did not arrive.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "raw slot memory; each block names its invariant")]
pub mod frame;
mod time;

pub use time::Time;
