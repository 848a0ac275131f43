//! How many slices the way loses, from what the receiver says has arrived.

use std::time::Duration;

use crate::time::Time;

/// The loss is that of the last one to two of these.
const SPAN: Duration = Duration::from_secs(1);
/// Fewer slices say nothing: of so many, at a loss of 2 %, three to seventeen are lost.
const SLICES_MIN: u64 = 500;

/// What was measured counts for so long: where hardly anything is sent, nothing newer may come.
const LIFETIME: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Time,
    seen: u64,
    arrived: u64,
}

/// Measures one epoch after the other; what was measured stays until there is something newer, or it is too old.
#[derive(Debug)]
pub(super) struct LossMeter {
    older: Mark,
    newer: Mark,
    lost_ppm: u64,
    /// When that was measured.
    measured: Time,
}

impl LossMeter {
    pub(super) fn new(now: Time) -> Self {
        let begun = Mark { at: now, seen: 0, arrived: 0 };
        Self { older: begun, newer: begun, lost_ppm: 0, measured: now }
    }

    /// A new epoch counts from zero.
    pub(super) fn start_epoch(&mut self, now: Time) {
        *self = Self { lost_ppm: self.lost_ppm, measured: self.measured, ..Self::new(now) };
    }

    /// Slices below `seen` have arrived or been lost, and so many have arrived.
    pub(super) fn handle_report(&mut self, seen: u64, arrived: u64, now: Time) {
        let newest = Mark { at: now, seen, arrived };
        let sent = newest.seen.saturating_sub(self.older.seen);
        if sent >= SLICES_MIN {
            let lost = sent.saturating_sub(arrived.saturating_sub(self.older.arrived));
            // A count of slices is far below 2^44.
            self.lost_ppm = lost.saturating_mul(1_000_000) / sent;
            self.measured = now;
        }
        if now.since(self.newer.at) >= SPAN && newest.seen.saturating_sub(self.newer.seen) >= SLICES_MIN {
            self.older = self.newer;
            self.newer = newest;
        }
    }

    /// Slices lost in a million, of late.
    pub(super) fn lost_ppm(&self, now: Time) -> u64 {
        if now.since(self.measured) < LIFETIME { self.lost_ppm } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports a hundred slices each 10 ms.
    fn report(meter: &mut LossMeter, seen: &mut u64, arrived: &mut u64, lost: u64, times: u64, now: &mut Time) {
        for _ in 0..times {
            *now = *now + Duration::from_millis(10);
            *seen += 100;
            *arrived += 100 - lost;
            meter.handle_report(*seen, *arrived, *now);
        }
    }

    #[test]
    fn the_loss_is_that_of_the_last_seconds() {
        let (mut now, mut seen, mut arrived) = (Time::ZERO, 0, 0);
        let mut meter = LossMeter::new(now);
        report(&mut meter, &mut seen, &mut arrived, 50, 4, &mut now);
        assert_eq!(meter.lost_ppm(now), 0, "too few");
        report(&mut meter, &mut seen, &mut arrived, 5, 1_000, &mut now);
        assert!((49_000..51_000).contains(&meter.lost_ppm(now)), "{}", meter.lost_ppm(now));
        report(&mut meter, &mut seen, &mut arrived, 0, 201, &mut now);
        assert_eq!(meter.lost_ppm(now), 0);
        report(&mut meter, &mut seen, &mut arrived, 5, 400, &mut now);
        meter.start_epoch(now);
        assert_eq!(meter.lost_ppm(now), 50_000);
        let (mut seen, mut arrived) = (0, 0);
        report(&mut meter, &mut seen, &mut arrived, 1, 10, &mut now);
        assert_eq!(meter.lost_ppm(now), 10_000);
    }

    #[test]
    fn what_came_twice_before_hides_no_loss_of_now() {
        let (mut now, mut seen, mut arrived) = (Time::ZERO, 0, 0);
        let mut meter = LossMeter::new(now);
        report(&mut meter, &mut seen, &mut arrived, 0, 500, &mut now);
        // As many came twice as ten seconds' losses.
        arrived += 5_000;
        report(&mut meter, &mut seen, &mut arrived, 0, 400, &mut now);
        report(&mut meter, &mut seen, &mut arrived, 5, 400, &mut now);
        assert_eq!(meter.lost_ppm(now), 50_000);
    }

    #[test]
    fn reports_that_cannot_be_say_at_most_that_all_is_lost() {
        let mut meter = LossMeter::new(Time::ZERO);
        for (seen, arrived) in [(u64::MAX, 0), (0, u64::MAX), (1_000, 2_000), (u64::MAX, u64::MAX)] {
            meter.handle_report(seen, arrived, Time::ZERO);
            assert!(meter.lost_ppm(Time::ZERO) <= 1_000_000);
        }
    }

    #[test]
    fn what_was_measured_long_ago_counts_no_more() {
        let (mut now, mut seen, mut arrived) = (Time::ZERO, 0, 0);
        let mut meter = LossMeter::new(now);
        report(&mut meter, &mut seen, &mut arrived, 5, 400, &mut now);
        meter.start_epoch(now);
        // A few slices of a new epoch say nothing.
        meter.handle_report(100, 100, now + LIFETIME / 2);
        assert_eq!(meter.lost_ppm(now + LIFETIME / 2), 50_000);
        meter.handle_report(200, 200, now + LIFETIME);
        assert_eq!(meter.lost_ppm(now + LIFETIME), 0);
    }
}
