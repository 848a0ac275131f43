//! How long frames took, as a histogram of fixed size.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::summary::LatencyMs;

/// Microseconds from capture to completion, three significant digits, up to a minute.
#[derive(Debug, Clone)]
pub(crate) struct LatencyHistogram {
    micros: Histogram<u64>,
}

impl LatencyHistogram {
    const MICROS_MAX: u64 = 60_000_000;

    pub(crate) fn new() -> Self {
        Self {
            micros: Histogram::new_with_bounds(1, Self::MICROS_MAX, 3)
                .expect("the bounds are in order and the digits few"),
        }
    }

    /// Notes a frame. Longer than a minute counts as a minute.
    pub(crate) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.micros.saturating_record(micros.max(1));
    }

    /// The figures, milliseconds; `None` where no frame was noted.
    pub(crate) fn figures(&self) -> Option<LatencyMs> {
        let at = |quantile| self.micros.value_at_quantile(quantile) as f64 / 1_000.0;
        (!self.micros.is_empty()).then(|| LatencyMs {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: self.micros.max() as f64 / 1_000.0,
        })
    }
}
