//! How long frames took, as a histogram of fixed size.

use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::frame::FrameInfo;
use hdrhistogram::Histogram;

use crate::summary::{LatencyMs, StagesMs};

/// Microseconds, three significant digits, up to a minute.
#[derive(Debug, Clone)]
pub struct LatencyHistogram {
    micros: Histogram<u64>,
}

impl LatencyHistogram {
    const MICROS_MAX: u64 = 60_000_000;

    /// Nothing noted yet.
    pub fn new() -> Self {
        Self {
            micros: Histogram::new_with_bounds(1, Self::MICROS_MAX, 3)
                .expect("the bounds are in order and the digits few"),
        }
    }

    /// Notes a frame. Longer than a minute counts as a minute.
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.micros.saturating_record(micros.max(1));
    }

    /// The figures, milliseconds; `None` where no frame was noted.
    pub fn figures(&self) -> Option<LatencyMs> {
        let at = |quantile| self.micros.value_at_quantile(quantile) as f64 / 1_000.0;
        (!self.micros.is_empty()).then(|| LatencyMs {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: self.micros.max() as f64 / 1_000.0,
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
    /// Notes a frame that travelled and is read now; one from before the clocks were known tells nothing.
    pub fn record(&mut self, frame: &FrameInfo, read: Time) {
        let Some(sent) = frame.sent else { return };
        self.capture_to_sent.record(sent.since(frame.captured));
        self.sent_to_first_slice.record(frame.begun.since(sent));
        self.first_slice_to_complete.record(frame.completed.since(frame.begun));
        self.complete_to_read.record(read.since(frame.completed));
    }

    /// The figures; `None` where no frame was noted.
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
        stages.record(&frame, ten_days);
        assert_eq!(stages.figures(), None);
        (frame.captured, frame.sent) = (ten_days, Some(ten_days));
        stages.record(&frame, ten_days);
        assert!(stages.figures().is_some_and(|stages| stages.sent_to_first_slice.max < 1.0));
    }
}
