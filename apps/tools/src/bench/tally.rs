//! What the receiving end measures: when frames came, what it cost, how long they took.

use framewire_figures::latency::LatencyHistogram;
use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_transport::Time;

use super::contender::{Arrived, ReceiveLink};
use super::control::PhaseFigures;
use super::stamp::Phase;

/// The frames of one phase.
pub(super) struct Tally {
    phase: Phase,
    shared_clock: bool,
    /// The processor time that this end has used so far, in seconds.
    cpu_seconds: fn() -> f64,
    frames: u64,
    /// When the first frame was complete, and what this end had used by then.
    first: Option<(Time, f64)>,
    latency: LatencyHistogram,
}

impl Tally {
    pub(super) fn new(phase: Phase, shared_clock: bool, cpu_seconds: fn() -> f64) -> Self {
        Self { phase, shared_clock, cpu_seconds, frames: 0, first: None, latency: LatencyHistogram::of_nanoseconds() }
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
        let (first, cpu_then) = *self.first.get_or_insert_with(|| (arrived.completed, (self.cpu_seconds)()));
        let known = arrived.latency.or_else(|| self.shared_clock.then(|| arrived.completed.since(stamp.sent)));
        if let Some(latency) = known {
            self.latency.record(latency);
        }
        Ok(stamp.last.then(|| PhaseFigures {
            phase: self.phase,
            frames: self.frames,
            seconds: arrived.completed.since(first).as_secs_f64(),
            cpu_seconds: (self.cpu_seconds)() - cpu_then,
            latency_ms: self.latency.figures(),
        }))
    }
}

/// Receives all phases of a measurement, and tells what came of each.
///
/// # Errors
/// The link's, those of a frame out of turn and of whoever is told; somebody asked to stop.
pub(super) fn receive(
    link: &mut dyn ReceiveLink,
    shared_clock: bool,
    cpu_seconds: fn() -> f64,
    stop: &Stop,
    mut tell: impl FnMut(PhaseFigures) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for phase in Phase::ALL {
        let mut tally = Tally::new(phase, shared_clock, cpu_seconds);
        let figures = loop {
            if let Some(figures) = tally.note(&link.next_frame()?)? {
                break figures;
            }
            if stop.is_stopped() {
                return Err(Failure::runtime("stopped at the receiving end"));
            }
        };
        tell(figures)?;
    }
    Ok(())
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
        let mut tally = Tally::new(Phase::Rate, true, || 0.0);
        assert_eq!(tally.note(&arrived(0, false)).unwrap(), None);
        assert_eq!(tally.note(&arrived(1, false)).unwrap(), None);
        let figures = tally.note(&arrived(2, true)).unwrap().unwrap();
        assert_eq!((figures.frames, figures.seconds), (3, 2.0));
        let latency = figures.latency_ms.unwrap();
        assert!((latency.p50 - 20.0).abs() < 0.1 && (latency.max - 20.0).abs() < 0.1, "{latency:?}");
    }

    #[test]
    fn two_clocks_give_no_latency_unless_the_link_knows_them() {
        let mut tally = Tally::new(Phase::Rate, false, || 0.0);
        assert_eq!(tally.note(&arrived(0, true)).unwrap().unwrap().latency_ms, None);
        let known = Arrived { latency: Some(std::time::Duration::from_millis(3)), ..arrived(1, true) };
        assert!(tally.note(&known).unwrap().unwrap().latency_ms.is_some());
    }

    #[test]
    fn a_frame_out_of_turn_is_a_failure() {
        let error = Tally::new(Phase::Rate, true, || 0.0).note(&arrived(1, false)).unwrap_err();
        assert!(error.to_string().contains("frame 1 (Rate) came where frame 0 (Rate) was due"), "{error}");
    }
}
