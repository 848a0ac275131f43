//! What a stream that was admitted may do.

use std::time::Duration;

/// Bytes that the buffer of a small switch takes at once, which all cameras on a port share.
const SWITCH_BYTES: u32 = 512 * 1024;
/// A train is no longer.
const TRAIN_BYTES_MAX: u32 = 65_507;

/// How a stream is to use its link.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Allowance {
    /// How fast its slices may leave, bits a second, headers of IP and UDP included: its own rate, and its part of what the link has
    /// beside all that was admitted, so that all together never send faster than the link carries, whenever each begins.
    pub bits_per_second: u64,
    /// How many bytes may leave at once, so that the first bytes of all fit a small switch together.
    pub burst_bytes: u32,
    /// Frames a second at most, where it has been thinned or has not said its rate; `None` for the rate that it asked for.
    pub frames_per_second: Option<f64>,
    /// Where in the link's [cycle](Self::cycle) its frames are to begin, so that no two streams begin theirs together; `None` where it has no rate.
    pub phase: Option<Duration>,
    /// How long the link takes for what a small switch takes at once: in one cycle there is room for what each stream may send at once, one after the other, and no
    /// frame waits for its moment longer than that.
    pub cycle: Duration,
}

/// Each of so many streams' part of a small switch's buffer: a datagram at least, a train at most.
pub(crate) fn burst_bytes(streams: usize, datagram_bytes: u32) -> u32 {
    let part = SWITCH_BYTES / u32::try_from(streams.max(1)).unwrap_or(u32::MAX);
    part.clamp(datagram_bytes.min(TRAIN_BYTES_MAX), TRAIN_BYTES_MAX)
}

/// The time in which a link of so many bits a second carries what a small switch takes at once.
pub(crate) fn cycle(bits_per_second: u64) -> Duration {
    Duration::from_secs_f64(f64::from(SWITCH_BYTES) * 8.0 / bits_per_second.max(1) as f64)
}

/// Which part of the cycle is in front of the frames of the stream in this place: 0, 1/2, 1/4, 3/4, 1/8 (the sequence of van der Corput),
/// so that nobody has to move when another comes.
pub(crate) fn phase(place: usize, cycle: Duration) -> Duration {
    let place = u32::try_from(place).unwrap_or(u32::MAX);
    cycle.mul_f64(f64::from(place.reverse_bits()) / 2f64.powi(32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_as_far_from_each_other_as_they_can_be_whoever_comes() {
        let cycle = Duration::from_millis(80);
        let phases: Vec<_> = (0..8).map(|place| phase(place, cycle).as_millis()).collect();
        assert_eq!(phases, [0, 40, 20, 60, 10, 50, 30, 70]);
    }

    #[test]
    fn what_all_send_at_once_fits_a_small_switch() {
        for streams in [1, 8, 10, 100, 300] {
            let burst = burst_bytes(streams, 1_452);
            assert!(burst as usize * streams <= SWITCH_BYTES as usize && burst >= 1_452, "{streams}: {burst}");
        }
        assert_eq!((burst_bytes(1, 1_452), burst_bytes(0, 1_452)), (65_507, 65_507));
        assert_eq!((burst_bytes(10_000, 8_952), burst_bytes(10_000, 70_000)), (8_952, 65_507));
    }
}
