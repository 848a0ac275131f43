//! When the frames of a recording were taken, in UTC, and of one that starts over, as if it went on.

use std::time::{Duration, SystemTime};

use framewire_transport::frame::FrameRate;

/// UTC of frames that have each their time, since one moment or to the nanosecond.
#[derive(Debug, Clone)]
pub(crate) struct RecordedUtc {
    /// What the times count from.
    started: SystemTime,
    /// What has passed in the times over that are done.
    before: Duration,
    /// The last frame given in this one, since the first; `None` before there is one.
    last: Option<Duration>,
    /// From the last frame but one to the last.
    gap: Duration,
}

impl RecordedUtc {
    /// Of a recording whose times count from `started`.
    pub(crate) fn new(started: SystemTime, rate: Option<FrameRate>) -> Self {
        let gap = rate.map_or(Duration::ZERO, FrameRate::interval);
        Self { started, before: Duration::ZERO, last: None, gap }
    }

    /// When a frame was taken: this long after the first, which was taken `first_us` after the index' times begin. `None` beyond what the
    /// clock can say.
    pub(crate) fn at(&self, first_us: u64, since_first: Duration) -> Option<SystemTime> {
        let since = self.before.checked_add(Duration::from_micros(first_us))?.checked_add(since_first)?;
        self.started.checked_add(since)
    }

    /// When a frame was taken whose recording says it to the nanosecond.
    pub(crate) fn exactly(&self, utc_ns: u64) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(utc_ns))?.checked_add(self.before)
    }

    /// The frame that was taken this long after the first has been given.
    pub(crate) fn is_given(&mut self, since_first: Duration) {
        if let Some(last) = self.last.replace(since_first) {
            self.gap = since_first.saturating_sub(last);
        }
    }

    /// The recording starts over: its first frame follows the last as that followed the one before it.
    pub(crate) fn start_over(&mut self) {
        if let Some(last) = self.last.take() {
            self.before = self.before.saturating_add(last).saturating_add(self.gap);
        }
    }
}
