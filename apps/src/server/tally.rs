//! What a server has counted over all its streams.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use framewire_figures::counts::StreamCounts;
use framewire_figures::latency::{LatencyHistogram, StageHistograms};
use framewire_figures::summary::Summary;
use framewire_process::lock::lock;
use framewire_transport::frame::Frame;
use framewire_transport::{IncomingStream, PathKind, Time};

/// Figures that every stream's thread adds to.
#[derive(Debug)]
pub(crate) struct Tally {
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) counts: StreamCounts,
    paths: Paths,
    /// Of those that came by UDP.
    is_protected: Option<bool>,
    pub(crate) backend: Option<String>,
    pub(crate) slice_bytes: Option<u64>,
    pub(crate) latest: Option<Duration>,
    latency: LatencyHistogram,
    stages: StageHistograms,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// Which way the frames of all streams came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paths {
    /// There was no stream yet.
    None,
    All(PathKind),
    Several,
}

impl Paths {
    fn add(&mut self, path: PathKind) {
        *self = match *self {
            Self::None => Self::All(path),
            Self::All(before) if before == path => Self::All(path),
            Self::All(_) | Self::Several => Self::Several,
        };
    }

    /// The one that all came, if there is one.
    fn of_all(self) -> Option<PathKind> {
        match self {
            Self::All(path) => Some(path),
            Self::None | Self::Several => None,
        }
    }
}

impl State {
    /// A stream has begun, whose frames come this way, encrypted on it or not.
    pub(crate) fn begin(&mut self, path: PathKind, is_protected: bool) {
        self.paths.add(path);
        if path == PathKind::Udp {
            self.is_protected = Some(is_protected);
        }
    }
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                counts: StreamCounts::default(),
                paths: Paths::None,
                is_protected: None,
                backend: None,
                slice_bytes: None,
                latest: None,
                latency: LatencyHistogram::new(),
                stages: StageHistograms::default(),
                first: None,
                last: None,
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Counts a frame; returns how many there are now. Where it `lay_there`, complete before anybody read, how long is no stage of its way.
    pub(crate) fn add_frame(&self, frame: &Frame, lay_there: bool) -> u64 {
        let read = (!lay_there).then(Time::now);
        let now = Instant::now();
        let mut state = self.lock();
        state.latest = frame.info().latency;
        if let Some(latency) = frame.info().latency {
            state.latency.record(latency);
        }
        state.stages.record(frame.info(), read);
        state.counts.add_frame(frame.len());
        state.first.get_or_insert(now);
        state.last = Some(now);
        state.counts.frames_delivered
    }

    /// Adds what a stream has counted, at its end, but for the frames of [`Tally::add_frame`]; `missed` more were complete, though this
    /// program's own threads were too slow for them: delivered, as for a slow sink.
    pub(crate) fn add_stream(&self, stream: &IncomingStream, counts: &StreamCounts, missed: u64) {
        let bytes = missed.saturating_mul(stream.info().format.frame_bytes() as u64);
        let mut state = self.lock();
        state.counts.add(&StreamCounts { frames_delivered: missed, bytes, ..*counts });
        if stream.info().path == PathKind::Udp {
            state.slice_bytes = Some(u64::from(stream.slice_bytes()));
        }
    }

    /// Adds what others than this program's own loop have counted.
    pub(crate) fn add(&self, counts: &StreamCounts) {
        self.lock().counts.add(counts);
    }

    pub(crate) fn summary(&self, cpu_seconds: f64) -> Summary {
        let state = self.lock();
        let mut summary = Summary {
            latency_ms: state.latency.figures(),
            stages_ms: state.stages.figures(),
            cpu_seconds,
            path: state.paths.of_all().map(|path| path.to_string()),
            protected: state.is_protected,
            backend: state.backend.clone(),
            slice_bytes: state.slice_bytes,
            ..Summary::counted(&state.counts, state.paths != Paths::None)
        };
        let time = state.first.zip(state.last).map_or(Duration::ZERO, |(first, last)| last - first);
        // Frames minus one intervals lie between the first and the last.
        let frames = state.counts.frames_delivered;
        let whole = if frames > 1 { time.mul_f64(frames as f64 / (frames - 1) as f64) } else { time };
        summary.set_rates(whole);
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_a_path_only_where_every_streams_frames_came_that_way() {
        let path = |paths: &[PathKind]| {
            let tally = Tally::new();
            paths.iter().for_each(|path| tally.lock().begin(*path, false));
            tally.summary(0.0).path
        };
        assert_eq!(path(&[]), None);
        assert_eq!(path(&[PathKind::Shm, PathKind::Shm]), Some("shm".to_owned()));
        assert_eq!(path(&[PathKind::Udp, PathKind::Shm, PathKind::Shm]), None);
    }
}
