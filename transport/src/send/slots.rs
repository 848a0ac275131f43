//! How many slots a source needs: as few as keep it busy, for the memory of each is out of cache by the time it is used again.

use std::time::Duration;

use crate::wire::OPEN_FRAMES_MAX;

/// One that is being written while another one leaves.
const SLOTS_MIN: usize = 2;
/// So many bytes stay in the cache of a core anyway.
const CACHED_BYTES: usize = 1 << 20;
/// A source without an interval sends as fast as it can: what a frame takes at least, for this.
const FRAME_TIME_MIN: Duration = Duration::from_millis(1);

/// Slots to begin with, for frames of `frame_bytes` bytes: two, or as many as stay in cache, up to four.
pub fn slots_ready(frame_bytes: usize) -> usize {
    (CACHED_BYTES / frame_bytes.max(1)).clamp(SLOTS_MIN, OPEN_FRAMES_MAX)
}

/// Slots that a source needs which has none free: those to begin with and one for each frame that leaves within a round trip.
/// `on_the_way` are the frames that a camera has on their way, each of which holds a slot until it is settled: it must not wait
/// for them.
pub(super) fn slots_wanted(
    frame_bytes: usize,
    interval: Duration,
    round_trip: Duration,
    on_the_way: Option<usize>,
) -> usize {
    let each = interval.max(FRAME_TIME_MIN);
    let within = usize::try_from(round_trip.as_nanos() / each.as_nanos()).unwrap_or(usize::MAX);
    let camera = on_the_way.map_or(0, |on_the_way| on_the_way + SLOTS_MIN);
    slots_ready(frame_bytes).saturating_add(within).max(camera)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_frames_have_two_slots_until_the_round_trip_asks_for_more() {
        let wanted = |round_trip_ms, on_the_way| {
            let round_trip = Duration::from_millis(round_trip_ms);
            slots_wanted(2_000_000, Duration::from_millis(16), round_trip, on_the_way)
        };
        assert_eq!([0, 10, 50, 100].map(|millis| wanted(millis, None)), [2, 2, 5, 8]);
        assert_eq!([0, 1, 3].map(|on_the_way| wanted(0, Some(on_the_way))), [2, 3, 5]);
        assert_eq!(slots_wanted(2_000_000, Duration::ZERO, Duration::from_micros(300), None), 2);
        assert_eq!(slots_wanted(2_000_000, Duration::ZERO, Duration::from_millis(3), None), 5);
        assert!(slots_wanted(1, Duration::ZERO, Duration::MAX, None) > 1_000);
    }

    #[test]
    fn small_frames_have_as_many_as_stay_in_cache() {
        assert_eq!([0, 100_000, 300_000, 500_000, 25_000_000].map(slots_ready), [4, 4, 3, 2, 2]);
    }
}
