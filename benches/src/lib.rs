//! What the benchmarks share: the frames they move, and the ways they move them.
//!
//! Every [`Link`] moves frames from one thread to another of the same process, so that the figures of a group differ in
//! nothing but the way.

mod formats;
mod framewire;
#[cfg(target_os = "linux")]
mod kernel;
mod options;
mod sealing;
mod slices;
mod tcp;
mod worker;

use std::time::Duration;

pub use formats::{Picture, SLICE_BYTES};
pub use framewire::FramewireLink;
#[cfg(target_os = "linux")]
pub use kernel::{KernelFan, KernelLink};
pub use options::Options;
pub use sealing::{SealingLink, sessions};
pub use slices::{Arrivals, headers};
pub use tcp::TcpLink;

/// One way to move frames.
pub trait Link {
    /// Moves this many frames and returns how long it took, from the first byte sent to the last one received.
    fn transfer(&mut self, frames: u64) -> Duration;
}

/// Longer than any step of a benchmark takes; what waits longer panics.
const PATIENCE: Duration = Duration::from_secs(60);
