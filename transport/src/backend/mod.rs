//! Datagrams in and out of the kernel. Knows pointers and lengths, nothing of frames or of the protocol.
//!
//! A [`Backend`] works on one connected socket. What it sends and where received bytes land is described by batches that
//! hold the leases on the memory, so that no slot is reused while the kernel may touch it.

mod batch;
mod choice;
pub(crate) mod listening;
#[cfg(target_os = "linux")]
mod messages;
#[cfg(target_os = "linux")]
mod mmsg;
#[cfg(target_os = "linux")]
mod offloads;
#[cfg(target_os = "linux")]
mod only_from;
#[cfg(target_os = "linux")]
mod packet_info;
mod portable;
#[cfg(target_os = "linux")]
pub mod probe;
#[cfg(target_os = "linux")]
mod segmentation;
pub(crate) mod socket;
#[cfg(all(feature = "uring", target_os = "linux"))]
pub(crate) mod uring;
mod wait;
pub(crate) mod wall_clock;

use std::fmt;
use std::io;
use std::str::FromStr;

pub use crate::charge::charged_bytes;
pub use batch::{BATCH_MAX, BatchError, Datagram, HEAD_MAX, ReceiveBatch, SendBatch};
#[cfg(target_os = "linux")]
pub use mmsg::MmsgBackend;
#[cfg(target_os = "linux")]
pub use offloads::Offloads;
pub use portable::StdBackend;
pub use socket::ConnectedSocket;
pub(crate) use socket::headers_bytes;
#[cfg(all(feature = "uring", target_os = "linux"))]
pub use uring::{RingError, UringBackend};
pub use wait::{Waker, wait};

/// What moves datagrams between memory and one connected socket. Never blocks, and stays on the thread that opened it.
pub trait Backend {
    /// Which one it is.
    fn kind(&self) -> BackendKind;

    /// The socket it works on.
    fn socket(&self) -> &ConnectedSocket;

    /// Sends what the batch still has to send, in order, and notes in it how far it came. Returns how many datagrams
    /// went out.
    ///
    /// # Errors
    /// As the system says for the first datagram that did not go out: [`io::ErrorKind::WouldBlock`] where the socket is
    /// full, [`io::ErrorKind::ConnectionRefused`] where the far end is known to be gone, `EMSGSIZE` where a datagram is
    /// larger than the path takes. Earlier datagrams of the batch have been sent. Later ones have not; only a backend that has
    /// handed them on before it learns of the failure may have sent some, which it then notes and counts too.
    fn send(&mut self, batch: &mut SendBatch) -> io::Result<usize>;

    /// How many landings the next [`Backend::receive`] can make use of; more of them are posted in vain.
    fn landings(&self) -> usize {
        usize::MAX
    }

    /// Receives as many datagrams as are there, at most as many as the batch has posted. Returns how many.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where none is there; else as the system says.
    fn receive(&mut self, batch: &mut ReceiveBatch) -> io::Result<usize>;

    /// Sends one small datagram.
    ///
    /// # Errors
    /// As [`Backend::send`].
    fn send_one(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket().socket().send(bytes).map(|_| ())
    }
}

/// What a backend is made for.
#[derive(Debug, Clone, Copy)]
pub struct BackendConfig {
    /// The most datagrams that a batch has.
    pub datagrams_max: usize,
    /// Bytes of the datagrams that most of a batch consists of, heads included.
    pub slice_bytes: usize,
    /// Send slices in trains where the socket can (UDP_SEGMENT): one passage through the network stack for as many as 64.
    pub send_trains: bool,
    /// Receive slices in trains where the socket can (UDP_GRO).
    pub receive_trains: bool,
    /// Let a thread of the kernel look for what is to be sent or received (SQPOLL, `uring` only): no system call a batch,
    /// for a core that is busy while frames flow.
    pub sqpoll: bool,
}

impl BackendConfig {
    /// Without trains.
    pub const fn new(datagrams_max: usize, slice_bytes: usize) -> Self {
        Self { datagrams_max, slice_bytes, send_trains: false, receive_trains: false, sqpoll: false }
    }

    /// Whether slices are small enough for several of them to go together.
    #[cfg(target_os = "linux")]
    const fn has_trains(&self) -> bool {
        crate::wire::train_slices(self.slice_bytes) > 1
    }
}

/// Which backend to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum BackendKind {
    /// [`Mmsg`](Self::Mmsg) on Linux, [`Std`](Self::Std) elsewhere; never [`Uring`](Self::Uring), which is nowhere faster.
    #[default]
    Auto,
    /// One system call a datagram, on every Unix.
    Std,
    /// `sendmmsg` and `recvmmsg`: one system call a batch. Linux; where the process may not call them, and elsewhere, `std` takes
    /// its place.
    Mmsg,
    /// io_uring: one submission a batch. Linux, with the feature `uring`; without it, or where the system refuses, `mmsg` takes
    /// its place.
    Uring,
}

impl BackendKind {
    /// Every kind that this platform can be asked for.
    pub const ALL: &'static [Self] = &[
        Self::Auto,
        Self::Std,
        #[cfg(target_os = "linux")]
        Self::Mmsg,
        #[cfg(all(feature = "uring", target_os = "linux"))]
        Self::Uring,
    ];

    /// The name used on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Std => "std",
            Self::Mmsg => "mmsg",
            Self::Uring => "uring",
        }
    }

    /// Makes a backend for a socket, of this kind or, where the system refuses that, of the next best; the log says why. To
    /// be called on the thread that will use it.
    #[doc(hidden)]
    pub fn open(self, socket: ConnectedSocket, config: &BackendConfig) -> Box<dyn Backend> {
        let backend = choice::open(self, socket, config);
        #[cfg(all(test, feature = "uring", target_os = "linux"))]
        let backend = uring::failing::watched(backend);
        backend
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name is none of [`BackendKind::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown backend '{0}'; this platform has {names}", names = names())]
pub struct UnknownBackend(String);

fn names() -> String {
    let names: Vec<_> = BackendKind::ALL.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

impl FromStr for BackendKind {
    type Err = UnknownBackend;

    fn from_str(text: &str) -> Result<Self, UnknownBackend> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownBackend(text.chars().take(40).collect()))
    }
}
