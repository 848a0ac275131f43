//! How long frames took, as a histogram of fixed size.

use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::frame::FrameInfo;
use hdrhistogram::Histogram;

use crate::summary::{LatencyMs, StagesMs};

/// Three significant digits, up to a minute.
#[derive(Debug, Clone)]
pub struct LatencyHistogram {
    units: Histogram<u64>,
    /// Nanoseconds of a unit, the least that is told apart.
    unit_ns: u64,
}

impl LatencyHistogram {
    const LATENCY_MAX_NS: u64 = 60_000_000_000;

    /// Nothing noted yet; what is shorter than a microsecond counts as one.
    pub fn new() -> Self {
        Self::in_units_of(1_000)
    }

    /// The same for what may be shorter than a microsecond, to the nanosecond.
    pub fn of_nanoseconds() -> Self {
        Self::in_units_of(1)
    }

    fn in_units_of(unit_ns: u64) -> Self {
        let units = Histogram::new_with_bounds(1, Self::LATENCY_MAX_NS / unit_ns, 3);
        Self { units: units.expect("the bounds are in order and the digits few"), unit_ns }
    }

    /// Notes a frame. Longer than a minute counts as a minute.
    pub fn record(&mut self, latency: Duration) {
        let units = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX) / self.unit_ns;
        self.units.saturating_record(units.max(1));
    }

    /// Notes what another one of the same units has.
    pub fn add(&mut self, other: &Self) {
        let added = self.units.add(&other.units);
        debug_assert!(added.is_ok() && self.unit_ns == other.unit_ns, "both are of the same units");
    }

    /// The figures, milliseconds; `None` where no frame was noted.
    pub fn figures(&self) -> Option<LatencyMs> {
        let ms = |units: u64| (units * self.unit_ns) as f64 / 1e6;
        let at = |quantile| ms(self.units.value_at_quantile(quantile));
        (!self.units.is_empty()).then(|| LatencyMs {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: ms(self.units.max()),
        })
    }
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the time of each frame went, stage by stage.
#[derive(Debug, Clone, Default)]
pub struct StageHistograms {
    capture_to_sent: LatencyHistogram,
    sent_to_first_slice: LatencyHistogram,
    first_slice_to_complete: LatencyHistogram,
    complete_to_read: LatencyHistogram,
}

impl StageHistograms {
    /// Notes a frame that travelled and was read at that time, or `None` where it waited for nobody who read; one from before the clocks were
    /// known tells nothing.
    pub fn record(&mut self, frame: &FrameInfo, read: Option<Time>) {
        let Some(sent) = frame.sent else { return };
        self.capture_to_sent.record(sent.since(frame.captured));
        self.sent_to_first_slice.record(frame.begun.since(sent));
        self.first_slice_to_complete.record(frame.completed.since(frame.begun));
        if let Some(read) = read {
            self.complete_to_read.record(read.since(frame.completed));
        }
    }

    /// The figures; `None` where a stage has no frame.
    pub fn figures(&self) -> Option<StagesMs> {
        Some(StagesMs {
            capture_to_sent: self.capture_to_sent.figures()?,
            sent_to_first_slice: self.sent_to_first_slice.figures()?,
            first_slice_to_complete: self.first_slice_to_complete.figures()?,
            complete_to_read: self.complete_to_read.figures()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_from_before_the_clocks_were_known_is_in_no_figure() {
        let mut stages = StageHistograms::default();
        let ten_days = Time::from_nanos(864_000_000_000_000);
        let mut frame = FrameInfo::default();
        (frame.begun, frame.completed) = (ten_days, ten_days);
        stages.record(&frame, Some(ten_days));
        assert_eq!(stages.figures(), None);
        (frame.captured, frame.sent) = (ten_days, Some(ten_days));
        stages.record(&frame, Some(ten_days));
        assert!(stages.figures().is_some_and(|stages| stages.sent_to_first_slice.max < 1.0));
    }
}
