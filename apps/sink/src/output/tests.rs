//! What sinks make of a disk that fails where it hurts: behind the last frame, and where a frame is to be taken back.

use framewire_transport::frame::{Frame, FrameFormat, FramePool, PixelFormat};

use super::*;
use crate::disk::Disk;
use crate::mcap::McapSink;
use crate::nut::NutSink;
use crate::raw::RawSink;
use crate::recorded::Recorded;
use crate::sink::Sink;

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 16, 6).unwrap()
}

fn recorded() -> Recorded {
    Recorded::new(format(), None, "cam", 7)
}

fn frames(count: usize) -> Vec<Frame> {
    let pool = FramePool::for_format(count, format()).unwrap();
    (0..count).map(|_| pool.try_acquire().unwrap().freeze()).collect()
}

fn mcap(disk: &Disk, chunk_bytes: Option<u64>) -> Box<McapSink<Disk>> {
    Box::new(McapSink::new(disk.output(), &recorded(), chunk_bytes).unwrap())
}

#[test]
fn an_mcap_file_whose_end_does_not_fit_is_a_failure_that_keeps_the_frames_and_says_how_to_mend_it() {
    for chunk_bytes in [None, Some(1_000)] {
        let whole = Disk::new(usize::MAX);
        let mut sink = mcap(&whole, chunk_bytes);
        frames(3).iter().for_each(|frame| sink.write(frame).unwrap());
        let disk = Disk::new(whole.len() + 10);
        let mut sink = mcap(&disk, chunk_bytes);
        frames(3).iter().for_each(|frame| sink.write(frame).unwrap());
        let error = sink.finish().unwrap_err();
        assert!(error.is_full());
        let said = error.to_string();
        assert!(said.starts_with("cannot write the end of 'disk': "), "{said}");
        assert!(said.contains("its 3 frames are kept") && said.contains("`mcap recover`"), "{said}");
        let SinkError::End { report, .. } = error else { panic!("{error}") };
        assert_eq!((report.files, report.frames, report.bytes), (1, 3, whole.len() as u64));
        assert_eq!(disk.len(), whole.len(), "nothing of the end is left");
    }
}

#[test]
fn a_nut_file_whose_index_does_not_fit_is_whole_without_it() {
    let whole = Disk::new(usize::MAX);
    let mut sink = NutSink::new(whole.output(), &recorded()).unwrap();
    frames(3).iter().for_each(|frame| sink.write(frame).unwrap());
    let disk = Disk::new(whole.len() + 10);
    let mut sink = NutSink::new(disk.output(), &recorded()).unwrap().with_index();
    frames(3).iter().for_each(|frame| sink.write(frame).unwrap());
    assert_eq!(Box::new(sink).finish().unwrap().frames, 3);
    assert_eq!(disk.len(), whole.len());
}

#[test]
fn nothing_follows_a_frame_that_could_not_be_taken_back() {
    let disk = Disk { is_cuttable: false, is_rewritten: false, ..Disk::new(usize::MAX) };
    let mut sink = mcap(&disk, Some(1_000));
    let frames = frames(3);
    sink.write(&frames[0]).unwrap();
    // The chunk's head cannot be told of the second.
    let error = sink.write(&frames[1]).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("no rewriting here; it has 1 whole frames and a part of another"), "{said}");
    assert!(said.contains("could not be cut back (no cut here)") && !error.is_full() && !error.is_lasting(), "{said}");
    let len = disk.len();
    assert!(!sink.write(&frames[2]).unwrap_err().is_full());
    assert_eq!(sink.finish().unwrap().frames, 1);
    assert_eq!(disk.len(), len, "neither a frame nor an end");
}

#[test]
fn a_part_of_a_frame_that_cannot_be_cut_off_ends_the_file() {
    let disk = Disk { is_cuttable: false, ..Disk::new(100) };
    let mut sink = RawSink::new(disk.output());
    let frames = frames(2);
    sink.write(&frames[0]).unwrap();
    let error = sink.write(&frames[1]).unwrap_err();
    assert!(matches!(&error, SinkError::Torn { frames: 1, .. }) && !error.is_full(), "{error}");
    assert_eq!(disk.len(), 100);
}

#[test]
fn a_raw_frame_whose_line_does_not_fit_and_that_cannot_be_taken_back_is_said_to_be_there() {
    let disk = Disk { is_cuttable: false, ..Disk::new(usize::MAX) };
    let index = Disk::new(10);
    let mut sink = RawSink::with_index(disk.output(), index.output(), &recorded());
    let error = sink.write(&frames(1)[0]).unwrap_err();
    assert!(matches!(&error, SinkError::Torn { frames: 0, .. }), "{error}");
    assert!(error.to_string().contains("no cut here"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_made_wider_and_never_narrower() {
    use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};
    let (_reader, writer) = io::pipe().unwrap();
    let pipe = File::from(std::os::fd::OwnedFd::from(writer));
    let narrow = fcntl_getpipe_size(&pipe).unwrap();
    widen_pipe(&pipe);
    assert!(fcntl_getpipe_size(&pipe).unwrap() >= narrow);
    if fcntl_setpipe_size(&pipe, 2 * PIPE_BYTES).is_err() {
        return framewire_testing::skip(
            "a pipe wider than a user may have cannot be made here; it takes CAP_SYS_RESOURCE, or a higher fs.pipe-max-size",
        );
    }
    widen_pipe(&pipe);
    assert_eq!(fcntl_getpipe_size(&pipe).unwrap(), 2 * PIPE_BYTES);
}
