use std::path::Path;

use framewire_process::stop::Stop;
use framewire_transport::frame::{FramePool, FrameRing};
use framewire_transport::{FrameFormat, PixelFormat};

use super::*;
use crate::recording::Asked;
use crate::roll::Roll;

fn asked(sinks: &[&str]) -> Asked {
    let sinks = sinks.iter().map(|sink| sink.parse().unwrap()).collect();
    Asked { program: "test", sinks, roll: Roll::default(), slow: None, stops_at_failure: false, frames_max: None }
}

fn recording(asked: Asked) -> (Arc<Recording>, Stop) {
    let stop = Stop::new();
    (Recording::new(asked, &stop), stop)
}

fn recorded(name: &str) -> Recorded {
    Recorded::new(FrameFormat::new(PixelFormat::Gray8, 8, 4).unwrap(), None, name, 7)
}

/// A stream and its sinks.
struct Stream {
    ring: FrameRing,
    recorder: Recorder,
}

impl Stream {
    fn begin(recording: &Arc<Recording>, name: &str) -> Self {
        let ring = FrameRing::new();
        let recorder = Recorder::start(recording, &recorded(name), Delivery::Every, |policy| ring.subscribe(policy));
        Self { ring, recorder }
    }

    fn write(&self, pool: &FramePool, frames: u64) {
        for number in 0..frames {
            let mut frame = pool.acquire_timeout(Duration::from_secs(60)).unwrap();
            frame.info.number = number;
            self.ring.publish(&frame.freeze());
            self.recorder.look(Instant::now());
        }
    }

    fn finish(self) -> u64 {
        self.ring.end();
        self.recorder.finish()
    }
}

fn sink(directory: &Path, name: &str) -> String {
    directory.join(name).to_str().unwrap().to_owned()
}

#[test]
fn streams_of_one_name_are_recorded_at_once_into_files_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let (raw, y4m) = (sink(directory.path(), "cam-{stream}.raw"), sink(directory.path(), "out.y4m"));
    let (recording, stop) = recording(asked(&[&raw, &y4m, "null"]));
    let pool = FramePool::new(4, 32).unwrap();
    let streams: Vec<_> = (0..3).map(|_| Stream::begin(&recording, "../cam")).collect();
    for (stream, frames) in streams.into_iter().zip(1..) {
        stream.write(&pool, frames);
        assert_eq!(stream.finish(), 0);
    }
    let mut sizes: Vec<u64> = ["cam-cam.raw", "cam-cam-2.raw", "cam-cam-3.raw"]
        .map(|name| std::fs::metadata(directory.path().join(name)).unwrap().len())
        .into();
    sizes.sort_unstable();
    assert_eq!(sizes, [32, 64, 96]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 3 * 2 + 3);
    let figures = recording.figures();
    assert_eq!(figures.len(), 2);
    assert_eq!((figures[0].files, figures[0].frames, figures[0].bytes), (3, 6, 192));
    assert_eq!((figures[1].files, figures[1].frames, figures[1].frames_dropped), (3, 6, 0));
    assert!(recording.failure().is_none() && !stop.is_stopped());
}

#[test]
fn a_sink_that_fails_costs_no_other_sink_and_no_other_stream_a_frame() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", directory.path().join("full.raw")).unwrap();
    let (full, good) = (sink(directory.path(), "full.raw"), sink(directory.path(), "{stream}.raw"));
    let (recording, stop) = recording(asked(&[&full, "/nowhere/out.raw", &good]));
    let pool = FramePool::new(4, 32).unwrap();
    for name in ["a", "b"] {
        let stream = Stream::begin(&recording, name);
        stream.write(&pool, 50);
        stream.finish();
        assert_eq!(std::fs::metadata(directory.path().join(format!("{name}.raw"))).unwrap().len(), 50 * 32);
    }
    assert!(!stop.is_stopped());
    let figures = recording.figures();
    assert_eq!((figures[1].failures, figures[1].frames), (2, 0));
    assert_eq!((figures[2].failures, figures[2].frames), (0, 100));
    assert!(figures[0].failures > 0, "{figures:?}");
    let Some(Failure::Runtime(said)) = recording.failure() else { panic!("no failure") };
    assert!(said.contains("full.raw") || said.contains("/nowhere/out.raw"), "{said}");
}

#[test]
fn a_server_with_one_job_stops_where_its_sink_fails() {
    let (recording, stop) = recording(Asked { stops_at_failure: true, ..asked(&["/nowhere/out.raw"]) });
    Stream::begin(&recording, "a").finish();
    assert!(stop.outcome().unwrap_err().to_string().contains("/nowhere/out.raw"));
}

/// A disk that stands still: a pipe that nobody reads for now.
#[test]
fn a_slow_sink_drops_what_it_was_told_to_and_counts_it_while_frames_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = sink(directory.path(), "slow.raw");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (recording, _) = recording(Asked { slow: Some(SlowSink::Drop), ..asked(&[&pipe]) });
    let pool = FramePool::new(6, 32).unwrap();
    let stream = Stream::begin(&recording, "a");
    // More frames than there are slots: one that the sink kept waiting for would never come.
    stream.write(&pool, 1_000);
    let dropped = std::thread::scope(|scope| {
        let reader = scope.spawn(|| std::fs::read(&pipe).unwrap().len() as u64 / 32);
        let dropped = stream.finish();
        assert_eq!(reader.join().unwrap() + dropped, 1_000);
        dropped
    });
    let figures = &recording.figures()[0];
    assert_eq!((figures.frames, figures.frames_dropped), (1_000 - dropped, dropped));
    assert!(dropped >= 990, "{dropped} dropped");
}

#[test]
fn a_stop_ends_the_wait_for_a_pipes_reader_and_a_limit_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = sink(directory.path(), "pipe.raw");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pool = FramePool::new(4, 32).unwrap();
    let begin = || {
        let (recording, stop) = recording(asked(&[&pipe]));
        let stream = Stream::begin(&recording, "a");
        stream.write(&pool, 2);
        (recording, stop, stream)
    };
    let (recording, stop, stream) = begin();
    let state = stream.recorder.sinks()[0].clone();
    stop.interrupt();
    stream.finish();
    // A sink that takes nothing for too long would be a failure.
    stop.outcome().unwrap();
    assert_eq!((recording.figures()[0].frames, state.counts().frames_away), (0, 2));

    let (recording, stop, stream) = begin();
    stop.stop();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| std::fs::read(&pipe).unwrap().len());
        stream.finish();
        assert_eq!(reader.join().unwrap(), 2 * 32);
    });
    stop.outcome().unwrap();
    assert_eq!(recording.figures()[0].frames, 2);
}

/// A disk that is full for a while.
#[cfg(target_os = "linux")]
#[test]
fn space_that_is_back_is_used_again_and_the_frames_between_are_counted() {
    let Some(disk) = crate::tiny_disk::TinyDisk::mount() else { return };
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![0; 40 * 1024]).unwrap();
    for name in ["out.raw", "out.y4m"] {
        let (recording, stop) = recording(asked(&[&sink(disk.path(), name)]));
        let pool = FramePool::new(4, 32).unwrap();
        let stream = Stream::begin(&recording, "a");
        let state = stream.recorder.sinks()[0].clone();
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut sent = 0;
        let mut write_until = |is_so: &dyn Fn() -> bool| {
            while !is_so() {
                assert!(Instant::now() < deadline, "{name}: {:?} {:?}", state.condition(), state.counts());
                stream.write(&pool, 1);
                sent += 1;
            }
        };
        write_until(&|| matches!(state.condition(), crate::progress::Condition::Failed(_)));
        let before = state.counts().frames;
        std::fs::remove_file(&filler).unwrap();
        write_until(&|| state.counts().frames > before);
        stream.finish();
        let (counts, figures) = (state.counts(), &recording.figures()[0]);
        assert_eq!(counts.frames + counts.frames_failed, sent);
        assert!(counts.frames_failed > 0 && (figures.failures, figures.recoveries) == (1, 1), "{figures:?}");
        assert_eq!((figures.frames, figures.files), (counts.frames, 1));
        assert!(recording.failure().is_some() && !stop.is_stopped());
        for entry in std::fs::read_dir(disk.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        std::fs::write(&filler, vec![0; 40 * 1024]).unwrap();
    }
}

#[test]
fn no_sink_is_given_more_frames_than_the_server_is_to_take() {
    let directory = tempfile::tempdir().unwrap();
    let out = sink(directory.path(), "{stream}.raw");
    let (recording, _) = recording(Asked { frames_max: Some(7), ..asked(&[&out]) });
    let pool = FramePool::new(4, 32).unwrap();
    for name in ["a", "b"] {
        let stream = Stream::begin(&recording, name);
        stream.write(&pool, 5);
        stream.finish();
    }
    assert_eq!(recording.figures()[0].frames, 7);
}

#[test]
fn pictures_are_of_every_nth_frame_or_the_next_that_comes() {
    let directory = tempfile::tempdir().unwrap();
    let mut asked = asked(&[&sink(directory.path(), "{frame}.png"), &sink(directory.path(), "out.raw")]);
    let every = std::num::NonZeroU64::new(10).unwrap();
    asked.sinks = asked.sinks.into_iter().map(|sink| sink.with_picture_every(every)).collect();
    let (recording, _) = recording(asked);
    let stream = Stream::begin(&recording, "cam");
    let pool = FramePool::new(2, 32).unwrap();
    for number in [0, 1, 9, 12, 13, 20, 41, 49, 50] {
        let mut frame = pool.acquire_timeout(Duration::from_secs(60)).unwrap();
        frame.info.number = number;
        stream.ring.publish(&frame.freeze());
    }
    stream.finish();
    let figures = recording.figures();
    assert_eq!([(figures[0].files, figures[0].frames), (figures[1].files, figures[1].frames)], [(5, 5), (1, 9)]);
    for name in ["000000.png", "000012.png", "000020.png", "000041.png", "000050.png"] {
        assert!(directory.path().join(name).exists(), "{name}");
    }
}

#[test]
fn a_busy_picture_sink_has_lost_nothing_where_no_picture_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let mut asked = Asked { slow: Some(SlowSink::Drop), ..asked(&[&sink(directory.path(), "{frame}.png")]) };
    let every = std::num::NonZeroU64::new(1_000).unwrap();
    asked.sinks = asked.sinks.into_iter().map(|sink| sink.with_picture_every(every)).collect();
    let (recording, _) = recording(asked);
    // It begins, and makes its picture, while all frames but the first few overflow.
    let stream = Stream::begin(&recording, "cam");
    stream.write(&FramePool::new(6, 32).unwrap(), 1_000);
    assert_eq!((stream.recorder.dropped(), stream.recorder.unrecorded()), (0, 0));
    assert_eq!(stream.finish(), 0);
    let figures = &recording.figures()[0];
    assert_eq!((figures.frames, figures.frames_dropped), (1, 0));
}
