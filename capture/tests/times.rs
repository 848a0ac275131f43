//! The time that a frame of a file has: that of its place in the file.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use framewire_capture::{FrameSource, SourceOptions, SourceSpec, Y4mStream};
use framewire_transport::frame::FramePool;

/// The UTC of each frame, over and over until there are `count`.
fn times(source: &mut dyn FrameSource, count: usize) -> Vec<Option<SystemTime>> {
    let pool = FramePool::for_format(1, source.format()).unwrap();
    let mut times = Vec::new();
    while times.len() < count {
        let mut frame = pool.try_acquire().unwrap();
        if source.next_frame(&mut frame).unwrap() {
            times.push(frame.info.captured_utc);
        } else {
            source.rewind().unwrap();
        }
    }
    times
}

fn written(path: PathBuf, bytes: &[u8]) -> SourceSpec {
    std::fs::write(&path, bytes).unwrap();
    SourceSpec::File(path)
}

fn y4m(place: &Path, rate: &str) -> SourceSpec {
    let mut bytes = format!("YUV4MPEG2 W2 H2{rate} Cmono\n").into_bytes();
    (0..7).for_each(|number| bytes.extend([&b"FRAME\n"[..], &[number; 4]].concat()));
    written(place.join(format!("{}.y4m", rate.len())), &bytes)
}

#[test]
fn a_frame_of_a_file_is_at_its_number_over_the_rate_and_goes_on_where_the_file_starts_over() {
    let place = tempfile::tempdir().unwrap();
    let raw = |rate: &str| {
        let options = SourceOptions::new()
            .raw_format(format!("2x2:gray8@{rate}").parse::<framewire_capture::RawFormat>().unwrap());
        (written(place.path().join("frames.raw"), &[9; 7 * 4]), options)
    };
    let none = SourceOptions::default();
    for (spec, options) in [(y4m(place.path(), " F30000:1001"), none), raw("30000/1001")] {
        let times = times(&mut *spec.open(&options).unwrap(), 3_001);
        let first = times[0].unwrap();
        for (number, time) in times.iter().enumerate() {
            // Exactly, and not in steps of a rounded interval.
            let nanos = number as u64 * 1001 * 1_000_000_000 / 30_000;
            assert_eq!(time.unwrap(), first + Duration::from_nanos(nanos), "frame {number} of {spec}");
        }
        assert_eq!(times[3_000].unwrap(), first + Duration::from_millis(100_100));
    }
}

#[test]
fn what_has_no_rate_or_no_place_has_no_times() {
    let place = tempfile::tempdir().unwrap();
    let unknown = y4m(place.path(), " F0:0");
    let options = SourceOptions::new().raw_format("2x2:gray8".parse::<framewire_capture::RawFormat>().unwrap());
    let bare = written(place.path().join("frames.yuv"), &[9; 7 * 4]);
    let pattern: SourceSpec = "pattern:16x16".parse().unwrap();
    for (spec, options) in [(unknown, SourceOptions::default()), (bare, options), (pattern, SourceOptions::default())] {
        assert_eq!(times(&mut *spec.open(&options).unwrap(), 10), [None; 10], "{spec}");
    }
    let SourceSpec::File(path) = y4m(place.path(), " F25:1") else { unreachable!("it was written to a file") };
    let mut pipe = Y4mStream::new("the pipe", std::fs::File::open(path).unwrap()).unwrap();
    assert_eq!(times(&mut pipe, 7), [None; 7]);
}

#[test]
fn a_file_opened_twice_counts_from_either_opening() {
    let place = tempfile::tempdir().unwrap();
    let spec = y4m(place.path(), " F4:1");
    let mut once = spec.open(&SourceOptions::default()).unwrap();
    let mut again = spec.open(&SourceOptions::default()).unwrap();
    let (once, again) = (times(&mut *once, 9), times(&mut *again, 9));
    for times in [&once, &again] {
        assert!(times.windows(2).all(|two| two[1].unwrap() == two[0].unwrap() + Duration::from_millis(250)));
    }
}
