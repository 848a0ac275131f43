//! When a frame of a `latest` stream is begun: not while the one before it fills the link, and not just before a fresher one is
//! due. A frame that waits here can still be replaced; one in the queue of a slow link cannot.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Time;
use crate::wire::PIPELINED_SHARE;

/// On a link that is slower than the camera, this share (one in so many) of the time that frames take may be spent waiting for
/// a fresher frame: a twelfth of the rate, for half a camera's interval of age.
const IDLE_SHARE: u32 = 12;
/// How much later than its interval a camera's frame may come and still be waited for.
const LATE_MAX: Duration = Duration::from_millis(1);
/// On a slow link, how long beyond two round trips what a frame lacks may be repaired before the next one is in the way.
const REPAIR_TIME: Duration = Duration::from_millis(5);
/// What was sent when is remembered for about two round trips, in so many marks.
const MARKS: usize = 16;
/// Marks closer than this tell nothing more.
const MARK_APART: Duration = Duration::from_micros(50);

/// A frame that is on its way.
#[derive(Debug, Clone, Copy)]
struct Newest {
    number: u64,
    begun: Time,
    /// How many slices will have been sent with it; not known until it has been sent whole.
    sent: Option<u64>,
}

/// Decides for one stream.
#[derive(Debug)]
pub(super) struct FrameGate {
    /// The camera's.
    interval: Duration,
    /// How many slices had been sent when, oldest first.
    marks: VecDeque<(Time, u64)>,
    /// The newest frame, until it has nearly arrived.
    newest: Option<Newest>,
    /// The last frame that has nearly arrived took longer than the camera's interval.
    is_slow: bool,
    /// Until when frames before this one are repaired first; `None` on a fast link.
    repairs_until: Option<Time>,
    /// What may be spent waiting.
    idle: Duration,
    /// A frame that waits for a fresher one.
    held: Option<u64>,
    /// How long it does; `None` once it has.
    until: Option<Time>,
}

impl FrameGate {
    pub(super) fn new(interval: Duration) -> Self {
        let marks = VecDeque::with_capacity(MARKS);
        Self {
            interval,
            marks,
            newest: None,
            is_slow: false,
            repairs_until: None,
            idle: Duration::ZERO,
            held: None,
            until: None,
        }
    }

    /// Slices of a frame that may be queued when the next one begins.
    pub(super) fn nearly_none(frame_slices: u32) -> u64 {
        u64::from((frame_slices / PIPELINED_SHARE).max(1))
    }

    /// Slices that should have been seen by now if nothing waited on the way: what was sent more than a round trip ago and
    /// has not been.
    pub(super) fn queued(&self, seen: u64, round_trip: Duration, now: Time) -> u64 {
        let sent = self.marks.iter().rev().find(|(at, _)| now.since(*at) >= round_trip).map_or(0, |(_, sent)| *sent);
        sent.saturating_sub(seen)
    }

    /// Slices below `sent` have left; `is_whole` tells whether the newest frame has, too.
    pub(super) fn handle_sent(&mut self, sent: u64, is_whole: bool, round_trip: Duration, now: Time) {
        if let Some(newest) = self.newest.as_mut().filter(|_| is_whole) {
            newest.sent = Some(sent);
        }
        let apart = (round_trip / (MARKS / 2) as u32).max(MARK_APART);
        match self.marks.back_mut() {
            Some((at, newest)) if now.since(*at) < apart => *newest = sent,
            _ => {
                if self.marks.len() == MARKS {
                    self.marks.pop_front();
                }
                self.marks.push_back((now, sent));
            }
        }
    }

    /// Slices below `seen` have arrived.
    pub(super) fn handle_feedback(&mut self, seen: u64, frame_slices: u32, round_trip: Duration, now: Time) {
        let Some(Newest { begun, sent: Some(sent), .. }) = self.newest else { return };
        if sent.saturating_sub(seen) > Self::nearly_none(frame_slices) {
            return;
        }
        self.newest = None;
        let taken = now.since(begun).saturating_sub(round_trip);
        // A link that carries a frame within the interval waits for the camera anyway.
        self.is_slow = !self.interval.is_zero() && taken >= self.interval;
        self.repairs_until = self.is_slow.then(|| now + round_trip * 2 + REPAIR_TIME);
        self.idle = if self.is_slow { (self.idle + taken / IDLE_SHARE).min(self.interval) } else { Duration::ZERO };
    }

    /// Whether the link is slower than the camera.
    pub(super) fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Frames below this number need no more slices: one that has not been sent whole will not be.
    pub(super) fn handle_settled(&mut self, settled: u64) {
        self.newest = self.newest.filter(|newest| newest.sent.is_some() || newest.number >= settled);
    }

    /// Whether a frame may be begun. Not while one before it may still be repaired, unless all are settled, nor while a
    /// fresher one is worth waiting for.
    pub(super) fn lets(&mut self, number: u64, captured: Time, all_settled: bool, now: Time) -> bool {
        if self.repairs_until.is_some() && !all_settled {
            return false;
        }
        // What was sent within the last round trip is not known to be queued; on a slow link it is.
        if self.is_slow && self.newest.is_some() {
            return false;
        }
        if self.held == Some(number) {
            return self.until.is_none();
        }
        let until = captured + self.interval + LATE_MAX;
        let wait = until.since(now);
        if wait.is_zero() || wait > self.idle {
            return true;
        }
        self.idle -= wait;
        self.held = Some(number);
        self.until = Some(until);
        false
    }

    /// A frame was begun.
    pub(super) fn handle_begun(&mut self, number: u64, now: Time) {
        self.newest = Some(Newest { number, begun: now, sent: None });
        self.repairs_until = None;
        self.until = None;
    }

    /// Does what is due by now.
    pub(super) fn handle_timeout(&mut self, now: Time) {
        self.until = self.until.filter(|until| now < *until);
        self.repairs_until = self.repairs_until.filter(|until| now < *until);
    }

    /// When a frame that is held may be begun.
    pub(super) fn poll_timeout(&self) -> Time {
        self.until.into_iter().chain(self.repairs_until).min().unwrap_or(Time::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(16);
    const ROUND_TRIP: Duration = Duration::from_millis(8);

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(1_000 + millis)
    }

    #[test]
    fn what_was_sent_within_a_round_trip_is_not_taken_for_queued() {
        let mut gate = FrameGate::new(INTERVAL);
        for millis in 0..100 {
            gate.handle_sent(10 * (millis + 1), true, ROUND_TRIP, at(millis));
        }
        // 910 had been sent a round trip before.
        for (seen, queued) in [(920, 0), (910, 0), (900, 10), (100, 810)] {
            assert_eq!(gate.queued(seen, ROUND_TRIP, at(98)), queued, "{seen}");
        }
        assert!(gate.marks.len() <= MARKS);
        assert_eq!(gate.queued(0, ROUND_TRIP, at(200)), 1_000);
    }

    #[test]
    fn on_a_slow_link_a_frame_is_held_for_a_fresher_one_that_is_due_and_only_so_long() {
        let mut gate = FrameGate::new(INTERVAL);
        gate.handle_begun(0, at(0));
        gate.handle_sent(100, true, ROUND_TRIP, at(0));
        gate.handle_feedback(50, 100, ROUND_TRIP, at(20));
        assert_eq!(gate.idle, Duration::ZERO);
        gate.handle_feedback(100, 100, ROUND_TRIP, at(44));
        assert_eq!(gate.idle, Duration::from_millis(3));
        assert!(gate.lets(1, at(31), true, at(44)), "the next one is due too late");
        assert!(!gate.lets(2, at(30), true, at(44)), "due in 2 ms");
        assert!(!gate.lets(2, at(30), true, at(46)));
        assert_eq!(gate.poll_timeout(), at(47));
        gate.handle_timeout(at(47));
        assert!(gate.lets(2, at(30), true, at(47)), "it has not come");
        assert!(gate.lets(3, at(46), true, at(47)));
    }

    #[test]
    fn on_a_slow_link_a_frame_waits_until_those_before_it_are_repaired_and_only_so_long() {
        let mut gate = FrameGate::new(INTERVAL);
        gate.handle_begun(0, at(0));
        gate.handle_sent(100, true, ROUND_TRIP, at(0));
        gate.handle_feedback(100, 100, ROUND_TRIP, at(44));
        assert!(gate.lets(1, at(44), true, at(44)));
        assert!(!gate.lets(1, at(44), false, at(44)));
        assert_eq!(gate.poll_timeout(), at(65));
        gate.handle_timeout(at(65));
        assert_eq!(gate.poll_timeout(), Time::MAX);
        assert!(gate.lets(1, at(65), false, at(65)));
    }

    #[test]
    fn on_a_slow_link_a_frame_that_has_just_left_is_in_the_way_of_the_next_one() {
        let mut gate = FrameGate::new(INTERVAL);
        gate.handle_begun(0, at(0));
        gate.handle_sent(60, false, ROUND_TRIP, at(0));
        gate.handle_feedback(60, 100, ROUND_TRIP, at(20));
        gate.handle_sent(100, true, ROUND_TRIP, at(21));
        gate.handle_feedback(100, 100, ROUND_TRIP, at(44));
        gate.handle_begun(1, at(44));
        gate.handle_sent(200, true, ROUND_TRIP, at(44));
        assert_eq!(gate.queued(100, ROUND_TRIP, at(45)), 0);
        assert!(!gate.lets(2, at(45), true, at(45)));
        gate.handle_feedback(198, 100, ROUND_TRIP, at(88));
        assert!(gate.lets(2, at(80), true, at(98)));
    }

    #[test]
    fn a_source_without_an_interval_is_never_ahead_of_the_link() {
        let mut gate = FrameGate::new(Duration::ZERO);
        gate.handle_begun(0, at(0));
        gate.handle_sent(100, true, ROUND_TRIP, at(0));
        gate.handle_feedback(100, 100, ROUND_TRIP, at(44));
        assert!(gate.lets(1, at(44), false, at(44)));
    }

    #[test]
    fn on_a_fast_link_nothing_is_held_however_long_the_way() {
        let mut gate = FrameGate::new(INTERVAL);
        for number in 0..100 {
            let now = at(number * 16);
            assert!(gate.lets(number, now, false, now + INTERVAL - Duration::from_micros(1)));
            gate.handle_begun(number, now);
            gate.handle_sent(100 * (number + 1), true, 5 * INTERVAL, now);
            gate.handle_feedback(100 * (number + 1), 100, 5 * INTERVAL, now + 5 * INTERVAL);
        }
    }

    #[test]
    fn a_frame_that_is_given_up_half_sent_is_in_nobodys_way() {
        let mut gate = FrameGate::new(INTERVAL);
        gate.handle_begun(0, at(0));
        gate.handle_sent(100, true, ROUND_TRIP, at(0));
        gate.handle_feedback(100, 100, ROUND_TRIP, at(44));
        gate.handle_begun(1, at(44));
        gate.handle_sent(150, false, ROUND_TRIP, at(44));
        gate.handle_settled(1);
        assert!(!gate.lets(2, at(100), true, at(120)));
        gate.handle_settled(2);
        assert!(gate.lets(2, at(100), true, at(120)));
    }
}
