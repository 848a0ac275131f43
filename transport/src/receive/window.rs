//! How much a sender may have on its way: what fits the socket buffer that the system really gave.

use std::time::Duration;

use crate::charge::charged_bytes;
use crate::wire::{Cut, Open};

/// Slices that may be in flight in an epoch: those of two frames, and of as many more as leave within a round trip.
pub(super) fn window(open: &Open, cut: &Cut, buffer_bytes: usize, round_trip: Option<Duration>) -> u64 {
    // A source without an interval sends as fast as it can: a millisecond is what a frame takes.
    let interval = open.interval().max(Duration::from_millis(1));
    let on_the_way = round_trip.unwrap_or_default().as_nanos() / interval.as_nanos();
    let on_the_way = usize::try_from(on_the_way).unwrap_or(usize::MAX);
    window_slices(buffer_bytes, cut, on_the_way.saturating_add(2))
}

/// Slices that may be in flight at once, where frames are cut so.
///
/// Two bounds. The socket buffer, as read back after setting it: the kernel charges more for a datagram than its bytes,
/// and drops what does not fit without a word. And `frames` frames, two where the way is short: data that waits longer
/// than that has left the cache by the time it is copied out, so a larger window is slower, not faster.
fn window_slices(buffer_bytes: usize, cut: &Cut, frames: usize) -> u64 {
    let by_buffer = buffer_bytes / 8 * 7 / charged_bytes(cut.slice_bytes());
    let by_cache = frames.saturating_mul(cut.slices() as usize).max(SLICES_MIN);
    by_buffer.min(by_cache).max(1) as u64
}

/// The receive buffer that serves a stream best, bytes as the system accounts them: it holds two frames that are cut so.
pub fn buffer_bytes_wanted(cut: &Cut) -> usize {
    let by_cache = (2 * cut.slices() as usize).max(SLICES_MIN);
    (by_cache * charged_bytes(cut.slice_bytes()) / 7 * 8).clamp(BUFFER_MIN, RECEIVE_BUFFER_MAX)
}

/// Less is not worth asking for.
const BUFFER_MIN: usize = 256 << 10;
/// The largest receive buffer that a stream asks for, bytes as the system accounts them: 16 MiB. Two 4K frames would ask for more;
/// a window of this size is far beyond what any cache holds.
pub const RECEIVE_BUFFER_MAX: usize = 16 << 20;
/// A window that keeps both ends busy with frames of one slice.
const SLICES_MIN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_what_the_buffer_holds_and_never_nothing() {
        // 1080p gray in 65,507-byte slices is 32 slices; the system's default buffer holds two of them.
        let cut = Cut::new(1_920 * 1_080, 65_507);
        assert_eq!(window_slices(212_992, &cut, 2), 2);
        assert_eq!(window_slices(1, &cut, 2), 1);
        assert_eq!(window_slices(8 << 20, &cut, 2), 64);
        assert_eq!(window_slices(usize::MAX, &Cut::new(1, 1_472), 2), 32);
    }

    #[test]
    fn what_the_window_lets_through_never_exceeds_the_buffer() {
        for slice_bytes in [548, 1_472, 8_972, 16_001, 65_507] {
            for buffer in [100_000, 212_992, 8 << 20] {
                let window = window_slices(buffer, &Cut::new(600_000_000, slice_bytes), 2) as usize;
                assert!(window == 1 || window * charged_bytes(slice_bytes) <= buffer);
            }
        }
    }
}
