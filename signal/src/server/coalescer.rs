//! Which feedback goes out, and when: each one up to a rate, the newest one above it, and always the last.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::message::Feedback;

/// Streams followed at once. More than a server opens; a bound against ids that come and go.
const STREAMS_MAX: usize = 1024;
/// A stream quiet for so long has no debt, so forgetting it changes nothing.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// Share of a second's events that may go out at once after a pause: frames do not arrive evenly, and a stream whose mean
/// is under the rate shall have each one reported.
const BURST_SECONDS: f64 = 0.1;

/// A token bucket a stream. Time is an argument.
pub(crate) struct Coalescer {
    events_per_second: f64,
    burst: f64,
    streams: HashMap<u32, Stream>,
}

struct Stream {
    /// Events that may go out now; below 1, none.
    allowance: f64,
    counted_at: Instant,
    pending: Option<Feedback>,
}

/// What became of a feedback handed in.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Goes out now, and stands for all that were held before it.
    Send(Feedback),
    /// Is held until [`Coalescer::next_due`], which moved only if this is the first one held.
    Held {
        /// Whether nothing was held of this stream before.
        first: bool,
    },
    /// More streams than can be followed; nothing was kept.
    NoRoom,
}

impl Coalescer {
    /// At most this many events a second and stream, in the mean.
    pub(crate) fn new(events_per_second: f64) -> Self {
        let burst = (events_per_second * BURST_SECONDS).max(1.0);
        Self { events_per_second, burst, streams: HashMap::new() }
    }

    pub(crate) fn handle(&mut self, feedback: Feedback, now: Instant) -> Verdict {
        if self.streams.len() >= STREAMS_MAX && !self.streams.contains_key(&feedback.stream) {
            self.streams.retain(|_, stream| {
                stream.pending.is_some() || now.saturating_duration_since(stream.counted_at) < FORGET_AFTER
            });
            if self.streams.len() >= STREAMS_MAX {
                return Verdict::NoRoom;
            }
        }
        let fresh = Stream { allowance: self.burst, counted_at: now, pending: None };
        let stream = self.streams.entry(feedback.stream).or_insert(fresh);
        let before = stream.pending.take();
        let held = before.map_or(0, |pending| pending.coalesced);
        let merged = Feedback { coalesced: feedback.coalesced.max(1).saturating_add(held), ..feedback };
        stream.refill(self.events_per_second, self.burst, now);
        if stream.allowance >= 1.0 {
            stream.allowance -= 1.0;
            Verdict::Send(merged)
        } else {
            stream.pending = Some(merged);
            Verdict::Held { first: before.is_none() }
        }
    }

    /// A held feedback whose time has come, if there is one.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Feedback> {
        let (rate, burst) = (self.events_per_second, self.burst);
        self.streams.values_mut().find_map(|stream| {
            if stream.due(rate).is_none_or(|due| due > now) {
                return None;
            }
            stream.refill(rate, burst, now);
            // The clock counts whole nanoseconds, so the allowance may miss 1 by a hair when its moment came.
            stream.allowance = (stream.allowance - 1.0).max(0.0);
            stream.pending.take()
        })
    }

    /// When [`poll`](Self::poll) has something again; `None` when nothing is held.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.streams.values().filter_map(|stream| stream.due(self.events_per_second)).min()
    }

    /// Forgets a stream; its last feedback goes out whatever the rate.
    pub(crate) fn end(&mut self, stream: u32) -> Option<Feedback> {
        self.streams.remove(&stream)?.pending
    }

    /// Forgets all streams; the last feedback of each goes out.
    pub(crate) fn end_all(&mut self) -> impl Iterator<Item = Feedback> {
        self.streams.drain().filter_map(|(_, stream)| stream.pending)
    }
}

impl Stream {
    fn refill(&mut self, events_per_second: f64, burst: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.counted_at).as_secs_f64();
        self.allowance = (self.allowance + passed * events_per_second).min(burst);
        self.counted_at = self.counted_at.max(now);
    }

    fn due(&self, events_per_second: f64) -> Option<Instant> {
        self.pending?;
        let missing = (1.0 - self.allowance).max(0.0);
        Some(self.counted_at + Duration::from_secs_f64(missing / events_per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Timestamp;
    use proptest::prelude::*;

    fn feedback(stream: u32, frame: u64) -> Feedback {
        Feedback {
            timestamp: Timestamp::from_unix_millis(0),
            frame_size: 100,
            metadata_bytes: None,
            captured_utc: None,
            captured_utc_error_ms: None,
            stream,
            frame,
            latency_ms: Some(1.0),
            frames_delivered: frame,
            frames_lost: 0,
            frames_repaired: 0,
            frames_restored: 0,
            missing_bytes: 0,
            socket_drops: 0,
            frames_unrecorded: 0,
            coalesced: 1,
        }
    }

    fn sent(verdict: Verdict) -> (u64, u64) {
        match verdict {
            Verdict::Send(feedback) => (feedback.frame, feedback.coalesced),
            other => panic!("not sent: {other:?}"),
        }
    }

    #[test]
    fn frames_below_the_rate_are_reported_one_by_one() {
        let mut coalescer = Coalescer::new(120.0);
        let start = Instant::now();
        for frame in 0..600 {
            let now = start + Duration::from_secs_f64(frame as f64 / 60.0);
            assert_eq!(sent(coalescer.handle(feedback(1, frame), now)), (frame, 1));
            assert_eq!(coalescer.next_due(), None);
        }
    }

    #[test]
    fn a_short_burst_is_reported_one_by_one_too() {
        let mut coalescer = Coalescer::new(120.0);
        let now = Instant::now();
        for frame in 0..12 {
            assert_eq!(sent(coalescer.handle(feedback(1, frame), now)), (frame, 1));
        }
        assert_eq!(coalescer.handle(feedback(1, 12), now), Verdict::Held { first: true });
    }

    #[test]
    fn above_the_rate_the_newest_stands_for_those_before_it() {
        let mut coalescer = Coalescer::new(10.0);
        let start = Instant::now();
        assert_eq!(sent(coalescer.handle(feedback(1, 0), start)), (0, 1));
        for frame in 1..5 {
            let first = frame == 1;
            assert_eq!(coalescer.handle(feedback(1, frame), start), Verdict::Held { first });
        }
        let due = coalescer.next_due().unwrap();
        assert_eq!(due, start + Duration::from_millis(100));
        assert_eq!(coalescer.poll(due - Duration::from_nanos(1)), None);
        let last = coalescer.poll(due).unwrap();
        assert_eq!((last.frame, last.coalesced), (4, 4));
        assert_eq!((coalescer.poll(due), coalescer.next_due()), (None, None));
    }

    #[test]
    fn a_frame_that_finds_room_takes_the_held_ones_with_it() {
        let mut coalescer = Coalescer::new(10.0);
        let start = Instant::now();
        coalescer.handle(feedback(1, 0), start);
        coalescer.handle(feedback(1, 1), start);
        let later = start + Duration::from_millis(150);
        assert_eq!(sent(coalescer.handle(feedback(1, 2), later)), (2, 2));
        assert_eq!(coalescer.next_due(), None);
    }

    #[test]
    fn one_stream_does_not_use_up_what_another_may_send() {
        let mut coalescer = Coalescer::new(10.0);
        let now = Instant::now();
        coalescer.handle(feedback(1, 0), now);
        assert_eq!(coalescer.handle(feedback(1, 1), now), Verdict::Held { first: true });
        assert_eq!(sent(coalescer.handle(feedback(2, 0), now)), (0, 1));
    }

    #[test]
    fn the_last_one_goes_out_when_the_stream_ends() {
        let mut coalescer = Coalescer::new(10.0);
        let now = Instant::now();
        coalescer.handle(feedback(1, 0), now);
        coalescer.handle(feedback(1, 1), now);
        assert_eq!(coalescer.end(1).map(|last| last.frame), Some(1));
        assert_eq!((coalescer.end(1), coalescer.next_due()), (None, None));
        for stream in 2..4 {
            coalescer.handle(feedback(stream, 0), now);
            coalescer.handle(feedback(stream, 1), now);
        }
        let mut ended: Vec<u32> = coalescer.end_all().map(|last| last.stream).collect();
        ended.sort_unstable();
        assert_eq!(ended, [2, 3]);
    }

    #[test]
    fn streams_are_bounded_and_quiet_ones_make_room() {
        let mut coalescer = Coalescer::new(10.0);
        let start = Instant::now();
        for stream in 0..STREAMS_MAX as u32 {
            sent(coalescer.handle(feedback(stream, 0), start));
        }
        assert_eq!(coalescer.handle(feedback(u32::MAX, 0), start), Verdict::NoRoom);
        assert_eq!(sent(coalescer.handle(feedback(5, 1), start + Duration::from_secs(59))), (1, 1));
        sent(coalescer.handle(feedback(u32::MAX, 0), start + FORGET_AFTER));
        assert_eq!(coalescer.streams.len(), 2);
    }

    #[test]
    fn a_clock_that_steps_back_does_no_harm() {
        let mut coalescer = Coalescer::new(10.0);
        let now = Instant::now() + Duration::from_secs(10);
        coalescer.handle(feedback(1, 0), now);
        assert_eq!(coalescer.handle(feedback(1, 1), now - Duration::from_secs(5)), Verdict::Held { first: true });
        assert_eq!(coalescer.next_due(), Some(now + Duration::from_millis(100)));
    }

    proptest! {
        #[test]
        fn every_frame_is_stood_for_once_in_order_and_the_rate_is_kept(
            gaps_us in prop::collection::vec(0_u64..50_000, 1..400),
            rate in 1.0_f64..1000.0,
        ) {
            let mut coalescer = Coalescer::new(rate);
            let start = Instant::now();
            let mut now = start;
            let mut out = Vec::new();
            for (frame, gap_us) in gaps_us.iter().enumerate() {
                let arrives = now + Duration::from_micros(*gap_us);
                while let Some(due) = coalescer.next_due().filter(|due| *due <= arrives) {
                    out.push((due, coalescer.poll(due).unwrap()));
                }
                now = arrives;
                if let Verdict::Send(feedback) = coalescer.handle(feedback(1, frame as u64), now) {
                    out.push((now, feedback));
                }
            }
            out.extend(coalescer.end(1).map(|last| (now, last)));
            prop_assert_eq!(out.iter().map(|(_, event)| event.coalesced).sum::<u64>(), gaps_us.len() as u64);
            prop_assert_eq!(out.last().unwrap().1.frame, gaps_us.len() as u64 - 1);
            prop_assert!(out.is_sorted_by(|(a, first), (b, second)| a <= b && first.frame < second.frame));
            let allowed = (rate * 0.1).max(1.0) + rate * (now - start).as_secs_f64() + 1.001;
            prop_assert!(out.len() as f64 <= allowed, "{} events, {} allowed", out.len(), allowed);
        }
    }
}
