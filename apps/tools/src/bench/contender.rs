//! What is compared, and what the two halves of each can do.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use framewire_process::exit::Failure;
use framewire_transport::{BackendKind, Time};
use serde::{Deserialize, Serialize};

use super::stamp::Stamp;

/// One way to move frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// A `Sender` and a `Receiver`, every frame delivered.
    Framewire,
    /// The same, encrypted under a key that both have.
    Protected,
    /// The same bytes in the same batches with no header and no protocol: what UDP can at best do on this machine.
    Kernel,
    /// One TCP connection.
    Tcp,
    /// A `Publisher` and a `Reader` over shared memory, each frame handed over and not touched: nothing but its stamp is written or read.
    Shm,
    /// The same, and each frame is made in its slot and read there, every byte.
    ShmRead,
    /// The same loops in two threads of one process: what shared memory can at best do.
    Memory,
    /// No frame, and a few bytes through a pipe: what waking another process costs at least.
    Pipe,
}

impl Contender {
    /// All of them, in the order in which they are measured and shown.
    pub const ALL: [Self; 8] =
        [Self::Framewire, Self::Protected, Self::Kernel, Self::Tcp, Self::Shm, Self::ShmRead, Self::Memory, Self::Pipe];

    /// Whether it is measured unless others are named: those that a network can carry, a protected one where that is asked for.
    pub const fn is_default(self) -> bool {
        matches!(self, Self::Framewire | Self::Kernel | Self::Tcp)
    }

    /// Whether it needs nothing but the memory of one machine, and a process of its own at the other end, or none.
    pub(super) const fn is_local(self) -> bool {
        !self.is_default() && !matches!(self, Self::Protected)
    }

    /// Whether every byte of a frame moves or is touched: where not, bytes a second say nothing.
    pub(super) const fn moves_bytes(self) -> bool {
        !matches!(self, Self::Shm | Self::Pipe)
    }

    /// The name used on the command line and in the figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Framewire => "framewire",
            Self::Protected => "protected",
            Self::Kernel => "kernel",
            Self::Tcp => "tcp",
            Self::Shm => "shm",
            Self::ShmRead => "shm-read",
            Self::Memory => "memory",
            Self::Pipe => "pipe",
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The sending half.
pub(super) trait SendLink {
    /// Sends a frame that begins with `stamp` and the time; waits for room.
    fn send(&mut self, stamp: Stamp) -> Result<(), Failure>;

    /// What moves the datagrams, and their bytes; `None` where there are none.
    fn datagrams(&self) -> Option<(BackendKind, u16)> {
        None
    }

    /// Ends in order, once the far end has said that everything has arrived.
    fn finish(self: Box<Self>) {}
}

/// The receiving half.
pub(super) trait ReceiveLink {
    /// Waits for the next frame.
    fn next_frame(&mut self) -> Result<Arrived, Failure>;

    /// Ends in order, once every frame has arrived.
    fn finish(self: Box<Self>) {}
}

/// A frame that is complete at the receiver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived {
    /// What its sender put at its beginning.
    pub(super) stamp: Stamp,
    /// When it was complete, on this machine's clock.
    pub(super) completed: Time,
    /// From sent to complete, where the link knows by itself how the two clocks differ.
    pub(super) latency: Option<Duration>,
}
