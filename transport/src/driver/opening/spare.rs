//! Which stream makes room for another.

use std::time::Duration;

use crate::time::Time;

/// A stream whose sender has said nothing for this long makes room for another: it says something four times a second.
const SILENT: Duration = Duration::from_secs(1);

/// What a stream is judged by.
#[derive(Debug, Clone, Copy)]
pub(in crate::driver) struct Standing {
    /// It only lingers.
    pub(in crate::driver) is_over: bool,
    /// When its sender was last heard.
    pub(in crate::driver) heard: Time,
    /// Bytes that come back with its end.
    pub(in crate::driver) bytes: usize,
}

/// The stream that makes room for another, by its place: one that is over, or whose sender has said nothing for the longest time, if
/// that is long.
pub(in crate::driver) fn least_needed(streams: impl Iterator<Item = Standing> + Clone, now: Time) -> Option<usize> {
    least_needed_of(streams, |_| true, now)
}

/// The same, of those whose place `is_meant`.
pub(in crate::driver) fn least_needed_of(
    streams: impl Iterator<Item = Standing> + Clone,
    is_meant: impl Fn(usize) -> bool,
    now: Time,
) -> Option<usize> {
    let meant = spare(streams, now).filter(|(place, _)| is_meant(*place));
    meant.min_by_key(|(_, stream)| needed(stream)).map(|(place, _)| place)
}

/// The stream whose end gives `bytes` bytes back, or that and the end of others which are not needed: `None` where all of them
/// together have not so many, and none is to end for nothing.
pub(in crate::driver) fn least_needed_with(
    bytes: usize,
    streams: impl Iterator<Item = Standing> + Clone,
    now: Time,
) -> Option<usize> {
    let of_all = spare(streams.clone(), now).fold(0_usize, |sum, (_, stream)| sum.saturating_add(stream.bytes));
    let enough = |stream: &Standing| stream.bytes >= bytes;
    spare(streams, now)
        .filter(|_| of_all >= bytes)
        .min_by_key(|(_, stream)| (!enough(stream), needed(stream)))
        .map(|(place, _)| place)
}

fn needed(stream: &Standing) -> (bool, Time) {
    (!stream.is_over, stream.heard)
}

/// Those that may end for others.
fn spare(streams: impl Iterator<Item = Standing> + Clone, now: Time) -> impl Iterator<Item = (usize, Standing)> {
    // Where none has been heard, it is this process that was stopped, and what they said waits.
    let listens = streams.clone().any(|stream| now.since(stream.heard) < SILENT);
    let is_spare = move |stream: &Standing| stream.is_over || (listens && now.since(stream.heard) >= SILENT);
    streams.enumerate().filter(move |(_, stream)| is_spare(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_nanos(60_000_000_000);

    fn stream(silent_ms: u64, bytes: usize) -> Standing {
        let heard = Time::from_nanos(60_000_000_000 - silent_ms * 1_000_000);
        Standing { is_over: false, heard, bytes }
    }

    fn with(bytes: usize, streams: &[Standing]) -> Option<usize> {
        least_needed_with(bytes, streams.iter().copied(), NOW)
    }

    #[test]
    fn one_that_is_over_makes_room_before_the_longest_silent_one_and_one_that_is_heard_never_does() {
        let over = Standing { is_over: true, ..stream(0, 1) };
        let first = |streams: &[Standing]| least_needed(streams.iter().copied(), NOW);
        assert_eq!(first(&[stream(9, 1), stream(1_500, 1), stream(2_000, 1), over]), Some(3));
        assert_eq!(first(&[stream(9, 1), stream(1_500, 1), stream(2_000, 1)]), Some(2));
        assert_eq!(first(&[stream(9, 1), stream(999, 1)]), None);
        // This process was stopped.
        assert_eq!(first(&[stream(1_500, 1), stream(2_000, 1)]), None);
        let of = |meant: &[usize], streams: &[Standing]| {
            least_needed_of(streams.iter().copied(), |place| meant.contains(&place), NOW)
        };
        let streams = [stream(9, 1), stream(3_000, 1), stream(2_000, 1)];
        assert_eq!((of(&[0, 2], &streams), of(&[0], &streams), of(&[], &streams)), (Some(2), None, None));
        assert_eq!(of(&[0], &streams[1..]), None, "nobody is heard");
    }

    #[test]
    fn no_stream_ends_for_memory_that_its_end_does_not_make_enough_of() {
        let streams = [stream(9, 1_000), stream(3_000, 10), stream(2_000, 40), stream(1_500, 50)];
        assert_eq!(with(101, &streams), None);
        // All of them: one after the other.
        assert_eq!(with(100, &streams), Some(1));
        // One that is enough by itself, and of those the one that is needed least.
        assert_eq!(with(41, &streams), Some(3));
        assert_eq!(with(20, &streams), Some(2));
        assert_eq!(with(1, &streams), Some(1));
    }
}
