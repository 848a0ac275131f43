//! What a network does to datagrams.

use std::time::Duration;

use framewire_transport::Time;

/// What the network does to datagrams, per thousand of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) lost: u64,
    /// How many datagrams in a row are lost, in the mean (Gilbert and Elliott's model); 1 for each on its own.
    pub(crate) burst: u64,
    pub(crate) doubled: u64,
    /// Cut off somewhere.
    pub(crate) cut: u64,
    pub(crate) delayed: u64,
    /// One way.
    pub(crate) latency: Duration,
    /// The longest datagram that gets through.
    pub(crate) datagram_max: usize,
    /// What the link towards the receiver carries.
    pub(crate) rate: Option<Rate>,
    /// How far apart network cards interrupt: what arrives in between is handed over together, at the next one. Zero for
    /// an interrupt a datagram.
    pub(crate) interrupts: Duration,
}

/// A link with a finite queue in front of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) bytes_per_second: u64,
    /// What does not fit is dropped.
    pub(crate) queue: Duration,
}

impl Rate {
    pub(super) fn time_for(self, bytes: usize) -> Duration {
        Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.bytes_per_second)
    }
}

impl Weather {
    pub(crate) const FAIR: Self = Self {
        lost: 0,
        burst: 1,
        doubled: 0,
        cut: 0,
        delayed: 0,
        latency: Duration::from_micros(50),
        datagram_max: usize::MAX,
        rate: None,
        interrupts: Duration::ZERO,
    };

    /// When what arrives at a time is handed over.
    pub(super) fn interrupt_after(&self, at: Time) -> Time {
        match self.interrupts.as_nanos() as u64 {
            0 => at,
            apart => Time::from_nanos(at.as_nanos().next_multiple_of(apart)),
        }
    }
}
