//! What a server has counted over all its streams.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use framewire_figures::latency::{LatencyHistogram, StageHistograms};
use framewire_figures::summary::{DatagramsDropped, FramesDropped, FramesRepaired, Summary};
use framewire_process::lock::lock;
use framewire_transport::Time;
use framewire_transport::driver::IncomingStream;
use framewire_transport::frame::Frame;
use framewire_transport::receive::SourceCounts;

/// Figures that every stream's thread adds to.
#[derive(Debug)]
pub(crate) struct Tally {
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    pub(crate) dropped: FramesDropped,
    partial: u64,
    repaired: FramesRepaired,
    datagrams_dropped: DatagramsDropped,
    pub(crate) slices_moved: u64,
    pub(crate) backend: Option<String>,
    pub(crate) slice_bytes: Option<u64>,
    pub(crate) latest: Option<Duration>,
    latency: LatencyHistogram,
    stages: StageHistograms,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                frames: 0,
                bytes: 0,
                dropped: FramesDropped::default(),
                partial: 0,
                repaired: FramesRepaired::default(),
                datagrams_dropped: DatagramsDropped::default(),
                slices_moved: 0,
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

    /// Counts a frame; returns how many there are now.
    pub(crate) fn add_frame(&self, frame: &Frame) -> u64 {
        let (now, read) = (Instant::now(), Time::now());
        let mut state = self.lock();
        state.frames += 1;
        state.bytes += frame.len() as u64;
        state.latest = frame.info().latency;
        if let Some(latency) = frame.info().latency {
            state.latency.record(latency);
        }
        state.stages.record(frame.info(), read);
        state.first.get_or_insert(now);
        state.last = Some(now);
        state.frames
    }

    /// Adds what a stream counted, at its end, and what its sinks were too slow for.
    pub(crate) fn add_stream(&self, stream: &IncomingStream, slow_sinks: u64) {
        let (stats, SourceCounts { skipped, no_credit, .. }) = (stream.stats(), stream.source());
        let mut state = self.lock();
        // Complete, though this program's own threads were too slow for them: delivered, as for a slow sink.
        state.frames += stream.dropped();
        state.bytes += stream.dropped() * stream.info().format.frame_bytes() as u64;
        let dropped = &mut state.dropped;
        // Whatever a sender says.
        dropped.skipped_at_source = dropped.skipped_at_source.saturating_add(skipped.saturating_sub(no_credit));
        dropped.no_credit = dropped.no_credit.saturating_add(no_credit);
        state.datagrams_dropped.add(&stats);
        state.partial += stats.frames_partial;
        state.repaired.by_nack += stats.frames_repaired;
        state.repaired.by_fec += stats.frames_restored;
        state.dropped.lost += stats.frames_unseen().saturating_sub(skipped);
        state.dropped.incomplete += stats.frames_incomplete;
        state.dropped.no_slot += stats.frames_no_slot;
        state.dropped.slow_consumer += stream.dropped() + slow_sinks;
        state.slices_moved += stats.slices_moved;
        state.slice_bytes = Some(u64::from(stream.slice_bytes()));
    }

    pub(crate) fn summary(&self, cpu_seconds: f64) -> Summary {
        let state = self.lock();
        let mut summary = Summary {
            frames_delivered: state.frames,
            frames_dropped: state.dropped,
            bytes: state.bytes,
            latency_ms: state.latency.figures(),
            stages_ms: state.stages.figures(),
            cpu_seconds,
            backend: state.backend.clone(),
            slice_bytes: state.slice_bytes,
            slices_moved: state.slice_bytes.map(|_| state.slices_moved),
            frames_partial: (state.partial > 0).then_some(state.partial),
            frames_repaired: state.slice_bytes.map(|_| state.repaired),
            datagrams_dropped: state.slice_bytes.map(|_| state.datagrams_dropped),
            ..Summary::default()
        };
        let time = state.first.zip(state.last).map_or(Duration::ZERO, |(first, last)| last - first);
        // Frames minus one intervals lie between the first and the last.
        let whole = if state.frames > 1 { time.mul_f64(state.frames as f64 / (state.frames - 1) as f64) } else { time };
        summary.set_rates(whole);
        summary
    }
}
