//! Which way frames take, on the network or on one machine.

use std::fmt;

/// Which way a stream's frames take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathKind {
    /// Datagrams.
    Udp,
    /// Memory that both ends share: nothing is copied.
    Shm,
}

impl PathKind {
    /// As it is written: `udp`, `shm`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Shm => "shm",
        }
    }
}

impl fmt::Display for PathKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
