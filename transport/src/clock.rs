//! Round-trip time and the offset between two machines' clocks, from times that were echoed.

use std::time::Duration;

use crate::time::Time;
use crate::windowed_minimum::{Measure, WindowedMinimum};
use crate::wire::TIME_UNKNOWN;

/// How long a sample counts: clocks drift, routes change.
const SAMPLE_LIFETIME: Duration = Duration::from_secs(10);
/// An echo held for longer says more of the clocks' drift than of the network.
const HELD_MAX_NS: u64 = 2_000_000_000;

/// The last time heard from the far end, kept so that it can be echoed with how long it was held.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard(Option<(u64, Time)>);

impl Heard {
    /// Notes the far end's time, heard `now`.
    pub(crate) fn hear(&mut self, far_ns: u64, now: Time) {
        self.0 = Some((far_ns, now));
    }

    /// The echo to send: the far end's time and how long it was held, nanoseconds.
    pub(crate) fn echo(&self, now: Time) -> (u64, u64) {
        match self.0 {
            Some((far_ns, at)) => (far_ns, u64::try_from(now.since(at).as_nanos()).unwrap_or(u64::MAX)),
            None => (TIME_UNKNOWN, 0),
        }
    }
}

/// Estimates from the sample with the shortest round trip of late, whose offset is the least wrong (at most by half of it).
#[derive(Debug, Clone)]
pub(crate) struct ClockEstimator {
    /// Both ends read the same clock, so the offset is known to be zero.
    shared: bool,
    samples: WindowedMinimum<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    round_trip_ns: u64,
    /// The far clock less the near one.
    offset_ns: i128,
}

impl Measure for Sample {
    fn key(&self) -> u64 {
        self.round_trip_ns
    }
}

impl ClockEstimator {
    pub(crate) fn new(shared: bool) -> Self {
        Self { shared, samples: WindowedMinimum::new(SAMPLE_LIFETIME) }
    }

    /// As it was before the first echo.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.shared)
    }

    /// Takes in an echo of our own time `echo_ns` that the far end held for `held_ns` and sent at its time `far_ns`; returns the
    /// round trip. Echoes that cannot be (from the future, held longer than they travelled) are ignored.
    pub(crate) fn handle_echo(&mut self, echo_ns: u64, held_ns: u64, far_ns: u64, now: Time) -> Option<Duration> {
        if echo_ns == TIME_UNKNOWN || held_ns > HELD_MAX_NS {
            return None;
        }
        let round_trip_ns = now.as_nanos().checked_sub(echo_ns)?.checked_sub(held_ns)?;
        let offset_ns = i128::from(far_ns) - i128::from(now.as_nanos()) + i128::from(round_trip_ns / 2);
        self.samples.handle(Sample { round_trip_ns, offset_ns }, now);
        Some(Duration::from_nanos(round_trip_ns))
    }

    /// The shortest round trip of late; `None` before the first echo.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.samples.get().map(|best| Duration::from_nanos(best.round_trip_ns))
    }

    /// A time on the near clock, on the far one. `None` while nothing is known of the far clock.
    pub(crate) fn far(&self, near: Time) -> Option<u64> {
        let offset = if self.shared { 0 } else { self.samples.get()?.offset_ns };
        Some(u64::try_from((i128::from(near.as_nanos()) + offset).max(0)).unwrap_or(u64::MAX))
    }

    /// A time on the far clock, on the near one. `None` while nothing is known of the far clock.
    pub(crate) fn near(&self, far_ns: u64) -> Option<Time> {
        let offset = if self.shared { 0 } else { self.samples.get()?.offset_ns };
        let near = i128::from(far_ns) - offset;
        Some(Time::from_nanos(u64::try_from(near.max(0)).unwrap_or(u64::MAX)))
    }
}

/// A number that is equal for two processes exactly where they read the same monotonic clock and speak of the same stream: it follows
/// from the boot of this machine and, for containers, the time namespace. Another stream has another one, so that nobody knows a
/// machine again by it. Zero where the clock cannot be told.
#[cfg(target_os = "linux")]
pub fn clock_id(stream: u32) -> u64 {
    let Ok(boot) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") else { return 0 };
    let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
    clock_id_of(stream, boot.trim_end(), &namespace.to_string_lossy())
}

/// As `PROTOCOL.md` defines it, for a peer in any language.
#[cfg(target_os = "linux")]
fn clock_id_of(stream: u32, boot: &str, namespace: &str) -> u64 {
    use sha2::{Digest, Sha256};

    let mut hash = Sha256::new();
    for part in [b"framewire clock", &stream.to_be_bytes()[..], boot.as_bytes(), namespace.as_bytes()] {
        hash.update(part);
    }
    hash.finalize().first_chunk().copied().map_or(0, u64::from_be_bytes)
}

/// As on Linux; elsewhere nothing names the clock.
#[cfg(not(target_os = "linux"))]
pub fn clock_id(_stream: u32) -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_comes_from_the_shortest_round_trip() {
        let mut clock = ClockEstimator::new(false);
        let ahead = 5_000_000; // The far clock is 5 ms ahead.
        // There and back in 200 µs, held for 50 µs, symmetric.
        clock.handle_echo(1_000_000, 50_000, 1_000_000 + 150_000 + ahead, Time::from_nanos(1_250_000));
        assert_eq!(clock.round_trip(), Some(Duration::from_micros(200)));
        assert_eq!(clock.near(9_000_000), Some(Time::from_nanos(4_000_000)));
        assert_eq!(clock.far(Time::from_nanos(4_000_000)), Some(9_000_000));
        // A slow one on the way back would put the offset wrong; it is not taken.
        clock.handle_echo(2_000_000, 0, 2_100_000 + ahead, Time::from_nanos(4_000_000));
        assert_eq!(clock.near(9_000_000), Some(Time::from_nanos(4_000_000)));
    }

    #[test]
    fn an_old_sample_gives_way_to_a_worse_one() {
        let mut clock = ClockEstimator::new(false);
        clock.handle_echo(0, 0, 50, Time::from_nanos(100));
        let later = Time::from_nanos(100) + SAMPLE_LIFETIME + Duration::from_secs(1);
        clock.handle_echo(later.as_nanos() - 1000, 0, later.as_nanos(), later);
        assert_eq!(clock.round_trip(), Some(Duration::from_nanos(1000)));
    }

    #[test]
    fn absurd_echoes_change_nothing() {
        let mut clock = ClockEstimator::new(false);
        clock.handle_echo(TIME_UNKNOWN, 0, 0, Time::from_nanos(5));
        clock.handle_echo(10, 0, 0, Time::from_nanos(5));
        clock.handle_echo(1, u64::MAX, 0, Time::from_nanos(5));
        assert_eq!(clock.round_trip(), None);
        assert_eq!(clock.near(7), None);
        clock.handle_echo(1, 0, u64::MAX, Time::from_nanos(5));
        assert_eq!(clock.near(0), Some(Time::ZERO));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_clock_has_the_identity_that_the_protocol_gives_it_and_another_one_in_each_stream() {
        const EXAMPLE: u64 = 0xd392_8a56_cb72_57fd;
        let (boot, namespace) = ("00000000-0000-4000-8000-000000000000", "time:[4026531834]");
        assert_eq!(clock_id_of(0x0bad_cafe, boot, namespace), EXAMPLE);
        let document = include_str!("../PROTOCOL.md");
        assert!(document.contains(boot) && document.contains(&format!("0x{EXAMPLE:016x}")));
        for (stream, boot, namespace) in [(1, boot, namespace), (0x0bad_cafe, "", namespace), (0x0bad_cafe, boot, "")] {
            assert_ne!(clock_id_of(stream, boot, namespace), EXAMPLE);
        }
        // And this machine has one.
        assert!(clock_id(1) != 0 && clock_id(1) != clock_id(2));
    }
}
