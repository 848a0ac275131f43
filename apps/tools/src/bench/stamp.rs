//! The first bytes of a frame: which one it is, and when it was sent.

use framewire_transport::Time;
use serde::{Deserialize, Serialize};

/// The three parts of a measurement, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// At full rate, not measured: buffers grow, caches and clocks settle.
    WarmUp,
    /// At full rate.
    Rate,
    /// At the rate of a camera.
    Latency,
}

impl Phase {
    pub(super) const ALL: [Self; 3] = [Self::WarmUp, Self::Rate, Self::Latency];
}

/// Eight bytes of number and flags, eight of time, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) phase: Phase,
    /// No more frames of this phase come.
    pub(super) last: bool,
    /// From 0 in each phase.
    pub(super) number: u64,
    /// On the sender's clock.
    pub(super) sent: Time,
}

impl Stamp {
    pub(super) const LEN: usize = 16;
    const LAST: u64 = 1 << 63;
    const PHASE_SHIFT: u32 = 60;
    const NUMBER_MASK: u64 = (1 << Self::PHASE_SHIFT) - 1;

    /// Writes the stamp with the time that it is now.
    pub(super) fn write_now(mut self, frame: &mut [u8]) {
        self.sent = Time::now();
        frame[..Self::LEN].copy_from_slice(&self.emit());
    }

    fn emit(&self) -> [u8; Self::LEN] {
        let flags = if self.last { Self::LAST } else { 0 };
        let word = flags | (self.phase as u64) << Self::PHASE_SHIFT | self.number & Self::NUMBER_MASK;
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&word.to_le_bytes());
        bytes[8..].copy_from_slice(&self.sent.as_nanos().to_le_bytes());
        bytes
    }

    /// Reads a stamp; `None` where no sender wrote it.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (word, rest) = bytes.split_first_chunk()?;
        let (sent, _) = rest.split_first_chunk()?;
        let word = u64::from_le_bytes(*word);
        let phase = (word & !Self::LAST) >> Self::PHASE_SHIFT;
        Some(Self {
            phase: *Phase::ALL.get(usize::try_from(phase).ok()?)?,
            last: word & Self::LAST != 0,
            number: word & Self::NUMBER_MASK,
            sent: Time::from_nanos(u64::from_le_bytes(*sent)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back_and_other_bytes_do_not() {
        for phase in Phase::ALL {
            for (last, number) in [(false, 0), (true, 1_234_567)] {
                let stamp = Stamp { phase, last, number, sent: Time::from_nanos(987_654_321) };
                assert_eq!(Stamp::parse(&stamp.emit()), Some(stamp));
            }
        }
        assert_eq!(Stamp::parse(&[0xff; Stamp::LEN]), None);
        assert_eq!(Stamp::parse(&[0; Stamp::LEN - 1]), None);
    }
}
