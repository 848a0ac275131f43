//! What the receiving end measures: when frames came, what it cost, how long they took.

use framewire_figures::latency::LatencyHistogram;
use framewire_figures::summary::cpu_seconds;
use framewire_process::exit::Failure;
use framewire_transport::Time;

use super::contender::Arrived;
use super::control::PhaseFigures;
use super::stamp::Phase;

/// The frames of one phase.
pub(super) struct Tally {
    phase: Phase,
    shared_clock: bool,
    frames: u64,
    /// When the first frame was complete, and what the process had used by then.
    first: Option<(Time, f64)>,
    latency: LatencyHistogram,
}

impl Tally {
    pub(super) fn new(phase: Phase, shared_clock: bool) -> Self {
        Self { phase, shared_clock, frames: 0, first: None, latency: LatencyHistogram::new() }
    }

    /// Counts a frame; the figures come with the last one.
    ///
    /// # Errors
    /// It is not the frame that was due.
    pub(super) fn note(&mut self, arrived: &Arrived) -> Result<Option<PhaseFigures>, Failure> {
        let stamp = arrived.stamp;
        if (stamp.phase, stamp.number) != (self.phase, self.frames) {
            return Err(Failure::runtime(format!(
                "frame {} ({:?}) came where frame {} ({:?}) was due: some were lost; try again, or name other contenders with --only",
                stamp.number, stamp.phase, self.frames, self.phase
            )));
        }
        self.frames += 1;
        let (first, cpu_then) = *self.first.get_or_insert_with(|| (arrived.completed, cpu_seconds()));
        let known = arrived.latency.or_else(|| self.shared_clock.then(|| arrived.completed.since(stamp.sent)));
        if let Some(latency) = known {
            self.latency.record(latency);
        }
        Ok(stamp.last.then(|| PhaseFigures {
            phase: self.phase,
            frames: self.frames,
            seconds: arrived.completed.since(first).as_secs_f64(),
            cpu_seconds: cpu_seconds() - cpu_then,
            latency_ms: self.latency.figures(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stamp::Stamp;

    fn arrived(number: u64, last: bool) -> Arrived {
        let sent = Time::from_nanos(number * 1_000_000_000);
        let stamp = Stamp { phase: Phase::Rate, last, number, sent };
        Arrived { stamp, completed: sent + std::time::Duration::from_millis(20), latency: None }
    }

    #[test]
    fn the_last_frame_brings_the_figures() {
        let mut tally = Tally::new(Phase::Rate, true);
        assert_eq!(tally.note(&arrived(0, false)).unwrap(), None);
        assert_eq!(tally.note(&arrived(1, false)).unwrap(), None);
        let figures = tally.note(&arrived(2, true)).unwrap().unwrap();
        assert_eq!((figures.frames, figures.seconds), (3, 2.0));
        let latency = figures.latency_ms.unwrap();
        assert!((latency.p50 - 20.0).abs() < 0.1 && (latency.max - 20.0).abs() < 0.1, "{latency:?}");
    }

    #[test]
    fn two_clocks_give_no_latency_unless_the_link_knows_them() {
        let mut tally = Tally::new(Phase::Rate, false);
        assert_eq!(tally.note(&arrived(0, true)).unwrap().unwrap().latency_ms, None);
        let known = Arrived { latency: Some(std::time::Duration::from_millis(3)), ..arrived(1, true) };
        assert!(tally.note(&known).unwrap().unwrap().latency_ms.is_some());
    }

    #[test]
    fn a_frame_out_of_turn_is_a_failure() {
        let error = Tally::new(Phase::Rate, true).note(&arrived(1, false)).unwrap_err();
        assert!(error.to_string().contains("frame 1 (Rate) came where frame 0 (Rate) was due"), "{error}");
    }
}
