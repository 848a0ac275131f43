//! The frames of one stream, from a hub's memory to the sinks.

use std::sync::Arc;
use std::time::Instant;

use framewire_figures::counts::StreamCounts;
use framewire_figures::summary::{Summary, cpu_seconds};
use framewire_process::exit::Failure;
use framewire_process::progress::{Progress, REFRESH};
use framewire_process::stop::Stop;
use framewire_sink::{Recorded, Recorder, Recording};
use framewire_transport::frame::{ConsumerPolicy, Frame, FrameRing, Presentation, RecvError};
use framewire_transport::share::SharedStreamInfo;
use framewire_transport::{Delivery, FrameFormat, PathKind, Time};

use super::reading::{Datagrams, Frames};
use crate::server::tally::Tally;

/// What is known of the stream.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) format: FrameFormat,
    pub(super) presentation: Presentation,
    pub(super) delivery: Delivery,
}

impl From<SharedStreamInfo> for Stream {
    fn from(info: SharedStreamInfo) -> Self {
        let SharedStreamInfo { name, format, presentation, delivery, .. } = info;
        Self { name, format, presentation, delivery }
    }
}

/// What is asked of the reader.
pub(super) struct Asked<'a> {
    /// By this policy frames wait for it.
    pub(super) policy: ConsumerPolicy,
    /// It has read enough then.
    pub(super) frames_max: Option<u64>,
    /// No line shows how it gets on.
    pub(super) is_quiet: bool,
    pub(super) recording: &'a Arc<Recording>,
    pub(super) stop: &'a Stop,
}

/// Takes frames until the stream is closed, the limit is reached, or somebody asks to stop. A hub that comes back may have the stream
/// in another format: that is another recording.
///
/// # Errors
/// What failed, where that ends the program: a sink that cannot be written to, a hub that gives no more.
pub(super) fn follow(frames: &impl Frames, mut stream: Stream, asked: &Asked<'_>) -> Result<Summary, Failure> {
    let (tally, mut progress) = (Tally::new(), Progress::new(asked.is_quiet));
    let (mut next, mut too_slow) = (None, 0);
    loop {
        let (missed, end) = record(frames, &stream, next.take(), asked, &tally, &mut progress);
        too_slow += missed;
        let Some((frame, format)) = end else { break };
        (stream.format, next) = (format, Some(frame));
    }
    drop(progress);
    asked.stop.outcome()?;
    let counts = frames.counts();
    tally.add(&slow(counts.dropped + too_slow));
    tally.add(&frames.came());
    let mut state = tally.lock();
    match frames.datagrams() {
        Some(Datagrams { is_protected, backend, slice_bytes }) => {
            state.begin(PathKind::Udp, is_protected);
            (state.backend, state.slice_bytes) = (Some(backend), Some(slice_bytes.into()));
        }
        None => state.begin(PathKind::Shm, false),
    }
    drop(state);
    Ok(Summary { reader: Some(counts), sinks: asked.recording.figures(), ..tally.summary(cpu_seconds()) })
}

/// Records frames of one format, beginning with `first`. Returns how many frames sinks were too slow for, and the first frame of another
/// format, where the stream goes on with that.
fn record(
    frames: &impl Frames,
    stream: &Stream,
    first: Option<Frame>,
    asked: &Asked<'_>,
    tally: &Tally,
    progress: &mut Progress,
) -> (u64, Option<(Frame, FrameFormat)>) {
    let Asked { recording, stop, .. } = asked;
    // Every sink takes the very slots that the reader holds.
    let ring = FrameRing::new();
    let waits = if asked.policy == ConsumerPolicy::Block { Delivery::Every } else { stream.delivery };
    let recorded = Recorded::new(stream.format, stream.presentation, &stream.name, 0);
    let recorder = Recorder::start(recording, &recorded, waits, |policy| ring.subscribe(policy));
    if let Some(frame) = first {
        take(&frame, frames.since(), &ring, &recorder, tally, asked);
    }
    let mut other = None;
    while !stop.is_stopped() {
        match frames.recv_timeout(REFRESH) {
            Ok(frame) => match frame.format().copied().filter(|format| *format != stream.format) {
                Some(format) => {
                    other = Some((frame, format));
                    break;
                }
                None => take(&frame, frames.since(), &ring, &recorder, tally, asked),
            },
            Err(RecvError::Ended) => break,
            Err(error @ (RecvError::CutOff { .. } | RecvError::Forked)) => {
                stop.fail(Failure::runtime(error));
                break;
            }
            Err(_) => recorder.look(Instant::now()),
        }
        let state = tally.lock();
        let (delivered, bytes, latest) = (state.counts.frames_delivered, state.counts.bytes, state.latest);
        drop(state);
        progress.show(delivered, bytes, latest, frames.counts().dropped + recorder.dropped());
    }
    recorder.look(Instant::now());
    ring.end();
    (recorder.finish(), other)
}

/// Frames that this program was too slow for, as all programs count them.
fn slow(frames: u64) -> StreamCounts {
    let mut counts = StreamCounts::default();
    counts.frames_dropped.slow_consumer = frames;
    counts
}

fn take(frame: &Frame, since: Time, ring: &FrameRing, recorder: &Recorder, tally: &Tally, asked: &Asked<'_>) {
    ring.publish(frame);
    recorder.look(Instant::now());
    // With gaps it is in the sinks, and counted nowhere, as at the server.
    if !frame.is_complete() {
        return;
    }
    if Some(tally.add_frame(frame, frame.info().completed < since)) == asked.frames_max {
        asked.stop.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use framewire_figures::summary::ReaderCounts;
    use framewire_sink::Roll;
    use framewire_transport::PixelFormat;
    use framewire_transport::frame::{Consumer, FramePool};

    use super::*;

    /// A reader within the process.
    struct Local {
        consumer: Consumer,
        taken: Cell<u64>,
        since: Time,
    }

    impl Frames for Local {
        fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError> {
            let taken = self.consumer.recv_timeout(timeout);
            self.taken.set(self.taken.get() + u64::from(taken.is_ok()));
            taken
        }

        fn counts(&self) -> ReaderCounts {
            let (taken, dropped) = (self.taken.get(), self.consumer.dropped());
            ReaderCounts { offered: taken + dropped, taken, dropped, reconnects: 0 }
        }

        fn since(&self) -> Time {
            self.since
        }
    }

    /// Reads a stream that has these frames, and has ended, into a file; returns the summary and the file's bytes.
    fn read(policy: ConsumerPolicy, frames: u8, frames_max: Option<u64>) -> (Summary, Vec<u8>) {
        read_since(Time::ZERO, policy, frames, frames_max)
    }

    /// Frame 0 took a second to come and was complete when the machine started; the others took a millisecond and wait for no time at all.
    fn read_since(since: Time, policy: ConsumerPolicy, frames: u8, frames_max: Option<u64>) -> (Summary, Vec<u8>) {
        let (directory, stop) = (tempfile::tempdir().unwrap(), Stop::new());
        let path = directory.path().join("out.raw");
        let recording = Recording::new(
            framewire_sink::Asked {
                program: "test",
                sinks: vec![path.to_str().unwrap().parse().unwrap()],
                roll: Roll::default(),
                slow: None,
                stops_at_failure: true,
                frames_max,
            },
            &stop,
        );
        let format = FrameFormat::new(PixelFormat::Gray8, 8, 4).unwrap();
        let (pool, ring) = (FramePool::new(usize::from(frames) + 1, 32).unwrap(), FrameRing::new());
        let local = Local { consumer: ring.subscribe(policy), taken: Cell::new(0), since };
        for number in 0..frames {
            let mut frame = pool.try_acquire().unwrap();
            frame.info.number = number.into();
            frame.info.completed = Time::from_nanos(if number == 0 { 0 } else { u64::MAX - u64::from(number) });
            frame.info.sent = Some(Time::ZERO);
            frame.info.latency = Some(Duration::from_millis(if number == 0 { 1_000 } else { 1 }));
            frame.fill(number);
            ring.publish(&frame.freeze());
        }
        ring.end();
        let stream = Stream { name: "cam".into(), format, presentation: None.into(), delivery: Delivery::Every };
        let asked = Asked { policy, frames_max, is_quiet: true, recording: &recording, stop: &stop };
        let summary = follow(&local, stream, &asked).unwrap();
        (summary, std::fs::read(path).unwrap())
    }

    #[test]
    fn every_frame_is_in_the_file_and_the_accounts_are_exact() {
        let (summary, file) = read(ConsumerPolicy::Block, 20, None);
        let expected: Vec<u8> = (0..20).flat_map(|number| [number; 32]).collect();
        assert!(file.starts_with(&expected), "{} bytes", file.len());
        assert_eq!((summary.frames_delivered, summary.bytes), (20, 640));
        assert_eq!(summary.reader, Some(ReaderCounts { offered: 20, taken: 20, ..ReaderCounts::default() }));
        assert_eq!((summary.sinks[0].frames, summary.frames_dropped.total()), (20, 0));
    }

    #[test]
    fn how_long_a_frame_lay_there_before_anybody_read_is_no_stage_and_its_way_there_is_latency() {
        let of = |since| read_since(Time::from_nanos(since), ConsumerPolicy::Block, 3, None).0;
        let max = |summary: &Summary| summary.latency_ms.as_ref().map(|latency| latency.max.round());
        let (all, later, none) = (of(0), of(1), of(u64::MAX));
        for summary in [&all, &later, &none] {
            assert_eq!((summary.frames_delivered, max(summary)), (3, Some(1_000.0)));
        }
        let stage = |summary: &Summary| summary.stages_ms.as_ref().map(|stages| stages.complete_to_read.max.round());
        assert!(stage(&all) > Some(0.0) && stage(&later) == Some(0.0) && stage(&none).is_none());
    }

    #[test]
    fn what_gave_way_to_newer_frames_is_counted_as_such() {
        let (summary, file) = read(ConsumerPolicy::Queue(3), 10, None);
        assert!(file.starts_with(&[7; 32]));
        let reader = summary.reader.unwrap();
        assert_eq!((reader.offered, reader.taken, reader.dropped), (10, 3, 7));
        assert_eq!((summary.frames_delivered, summary.frames_dropped.slow_consumer), (3, 7));
    }

    #[test]
    fn a_limit_of_frames_ends_it_and_no_more_are_recorded() {
        let (summary, file) = read(ConsumerPolicy::Block, 20, Some(5));
        assert_eq!((summary.frames_delivered, summary.sinks[0].frames), (5, 5));
        assert!(file.starts_with(&[0; 32]) && summary.reader.unwrap().taken == 5);
    }

    #[test]
    fn the_summary_has_what_the_reader_took_beside_what_servers_say() {
        let (summary, _) = read(ConsumerPolicy::Block, 2, None);
        let json = serde_json::to_value(&summary).unwrap();
        for key in ["offered", "taken", "dropped", "reconnects", "frames_delivered", "bytes"] {
            assert!(json[key].is_u64(), "{key} in {json}");
        }
        assert!(summary.to_string().contains("read      2 of 2 frames offered"), "{summary}");
    }
}
