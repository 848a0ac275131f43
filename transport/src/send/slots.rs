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

/// What decides how many slots a source needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotNeed {
    pub(super) frame_bytes: usize,
    pub(super) interval: Duration,
    pub(super) round_trip: Duration,
    /// Of a camera, the frames that are on their way, each of which holds a slot until it is settled: it must not wait for them.
    pub(super) on_the_way: Option<usize>,
    /// Frames of the stream, each of which holds a slot.
    pub(super) in_stream: usize,
}

impl SlotNeed {
    /// Slots that a source needs which finds none of its `held` ones free, while `waiting` frames wait for the stream: those to
    /// begin with and one for each frame that leaves within a round trip. Those that hold no frame of the stream are the program's
    /// own: where they are all that there is, none comes back before it gets another.
    pub(crate) fn wanted(&self, held: usize, waiting: usize) -> usize {
        let each = self.interval.max(FRAME_TIME_MIN);
        let within = usize::try_from(self.round_trip.as_nanos() / each.as_nanos()).unwrap_or(usize::MAX);
        let camera = self.on_the_way.map_or(0, |on_the_way| on_the_way + SLOTS_MIN);
        let own = held.saturating_sub(self.in_stream + waiting);
        slots_ready(self.frame_bytes).saturating_add(within).max(camera).max(own + 1)
    }

    /// Frames of the stream, each of which holds a slot.
    pub(crate) fn in_stream(&self) -> usize {
        self.in_stream
    }

    /// So many more frames are the stream's.
    pub(crate) fn count_taken(&mut self, frames: usize) {
        self.in_stream += frames;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(frame_bytes: usize, interval: Duration, round_trip: Duration, on_the_way: Option<usize>) -> usize {
        SlotNeed { frame_bytes, interval, round_trip, on_the_way, in_stream: 0 }.wanted(0, 0)
    }

    #[test]
    fn large_frames_have_two_slots_until_the_round_trip_asks_for_more() {
        let wanted = |round_trip_ms, on_the_way| {
            let round_trip = Duration::from_millis(round_trip_ms);
            need(2_000_000, Duration::from_millis(16), round_trip, on_the_way)
        };
        assert_eq!([0, 10, 50, 100].map(|millis| wanted(millis, None)), [2, 2, 5, 8]);
        assert_eq!([0, 1, 3].map(|on_the_way| wanted(0, Some(on_the_way))), [2, 3, 5]);
        assert_eq!(need(2_000_000, Duration::ZERO, Duration::from_micros(300), None), 2);
        assert_eq!(need(2_000_000, Duration::ZERO, Duration::from_millis(3), None), 5);
        assert!(need(1, Duration::ZERO, Duration::MAX, None) > 1_000);
    }

    #[test]
    fn small_frames_have_as_many_as_stay_in_cache() {
        assert_eq!([0, 100_000, 300_000, 500_000, 25_000_000].map(slots_ready), [4, 4, 3, 2, 2]);
    }
}
