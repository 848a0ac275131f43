use std::fs;
use std::path::Path;

use framewire_capture::{FrameSource, Recording, RecordingDamage, SourceOptions, SourceSpec, index_path};
use framewire_transport::frame::{FrameFormat, FrameMut, FramePool, PixelFormat};

use super::*;
use crate::tiny_disk::TinyDisk;

const FRAME_BYTES: usize = 48;

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 8, 6).unwrap()
}

/// A frame with its number in every byte, that arrived at this millisecond and was taken when it says.
fn frame(pool: &FramePool, number: u8, millis: u64) -> Frame {
    let mut frame: FrameMut = pool.try_acquire().unwrap();
    let at = |millis: u64| Time::from_nanos(millis * 1_000_000);
    frame.fill(number);
    frame.info.number = u64::from(number);
    frame.info.completed = at(1_000_000 + millis);
    frame.info.captured_there = at(77 + 10 * u64::from(number));
    // On this machine's clock it jumps about, as the estimate does.
    frame.info.captured = at(millis * 7_919 % 100);
    frame.freeze()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn record(&self, name: &str, limits: &[&str], arrivals: &[u64]) -> SinkReport {
        let spec: SinkSpec = self.path(name).to_str().unwrap().parse().unwrap();
        let limits: Vec<_> = limits.iter().map(|limit| limit.parse().unwrap()).collect();
        let places = Arc::new(Places::new(std::slice::from_ref(&spec)));
        let mut sink = spec.open(&Recorded::new(format(), None, "cam", 7), &places, Roll::new(&limits)).unwrap();
        let pool = FramePool::new(1, FRAME_BYTES).unwrap();
        for (number, millis) in (0..).zip(arrivals) {
            sink.write(&frame(&pool, number, *millis)).unwrap();
        }
        sink.finish().unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The frames of a file, each by its number and its time in milliseconds where it has one.
fn read(path: &Path) -> Vec<(u8, Option<u128>)> {
    let mut source = SourceSpec::File(path.to_owned()).open(&SourceOptions::default()).unwrap();
    assert_eq!(source.format(), format());
    let pool = FramePool::new(1, FRAME_BYTES).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    std::iter::from_fn(|| {
        let time = source.next_time().map(|time| time.as_millis());
        source.next_frame(&mut frame).unwrap().then(|| (frame[0], time))
    })
    .collect()
}

#[test]
fn a_raw_recording_opens_by_itself_with_the_intervals_of_its_senders_clock() {
    let place = Place::new();
    let report = place.record("out.raw", &[], &[0, 500, 505]);
    assert_eq!((report.frames, report.files), (3, 1));
    assert_eq!(read(&place.path("out.raw")), [(0, Some(0)), (1, Some(10)), (2, Some(20))]);
    let index = fs::read_to_string(place.path("out.raw.index")).unwrap();
    assert!(index.contains("\"stream\":\"cam\",\"started\":\"20"), "{index}");
    let last = index.lines().last().unwrap();
    assert!(last.starts_with("{\"frame\":2,\"captured_us\":20000,\"offset\":96,\"utc_ns\":1"), "{index}");
}

#[test]
fn parts_begin_at_frames_hold_no_more_than_their_size_and_open_by_themselves() {
    let place = Place::new();
    let limit = format!("{}B", 2 * FRAME_BYTES + 7);
    let report = place.record("out.raw", &[&limit], &[0, 1, 2, 3, 4]);
    assert_eq!((report.files, report.frames, report.bytes), (3, 5, 5 * FRAME_BYTES as u64));
    assert!(
        report.to_string().contains("out-part0001.raw' to '") && report.to_string().contains("(3 parts)"),
        "{report}"
    );
    let parts = ["out-part0001.raw", "out-part0002.raw", "out-part0003.raw"];
    let frames: Vec<_> = parts.iter().flat_map(|name| read(&place.path(name))).map(|(number, _)| number).collect();
    assert_eq!(frames, [0, 1, 2, 3, 4]);
    assert_eq!(place.names().len(), 6);
    // The times of all parts count from the same moment: put together they are one recording.
    let index = fs::read_to_string(place.path("out-part0002.raw.index")).unwrap();
    assert!(index.contains("{\"frame\":2,\"captured_us\":20000,\"offset\":0,\"utc_ns\":1"), "{index}");
}

#[test]
fn a_part_ends_when_its_time_has_passed_and_a_frame_larger_than_a_part_has_one_of_its_own() {
    let place = Place::new();
    place.record("{part}-{stream}.y4m", &["1s"], &[0, 999, 1_000, 1_500, 5_000]);
    assert_eq!(place.names(), ["0001-cam.y4m", "0002-cam.y4m", "0003-cam.y4m"]);
    let numbers = |name: &str| read(&place.path(name)).into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!(place.names().iter().map(|name| numbers(name)).collect::<Vec<_>>(), [vec![0, 1], vec![2, 3], vec![4]]);
    let other = Place::new();
    assert_eq!(other.record("out.y4m", &["1B", "1h"], &[0, 1, 2]).files, 3);
    assert_eq!(numbers("0001-cam.y4m"), [0, 1]);
}

#[test]
fn a_part_that_is_there_already_is_not_touched_where_the_name_is_made_up() {
    let place = Place::new();
    fs::write(place.path("cam-part0002.raw"), b"precious").unwrap();
    fs::write(place.path("cam-2-part0003.raw.index"), b"precious").unwrap();
    place.record("{stream}.raw", &[&format!("{FRAME_BYTES}B")], &[0, 1, 2]);
    let raw: Vec<_> = place.names().into_iter().filter(|name| name.ends_with(".raw")).collect();
    assert_eq!(raw, ["cam-2-part0002.raw", "cam-3-part0003.raw", "cam-part0001.raw", "cam-part0002.raw"]);
    assert_eq!(fs::read(place.path("cam-part0002.raw")).unwrap(), b"precious");
    assert_eq!(fs::read(place.path("cam-2-part0003.raw.index")).unwrap(), b"precious");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_whole_frames_each_with_its_line() {
    let Some(disk) = TinyDisk::mount() else { return };
    // Of a page each, so that now a frame finds no room and now its line.
    for filler in 0..3_usize {
        for name in ["out.raw", "out.raw.index"] {
            let _ = fs::remove_file(disk.path().join(name));
        }
        fs::write(disk.path().join("filler"), vec![0; filler * 4_096 + 1]).unwrap();
        let large = FrameFormat::new(PixelFormat::Gray8, 64, 64).unwrap();
        let spec: SinkSpec = disk.path().join("out.raw").to_str().unwrap().parse().unwrap();
        let mut sink = spec.open_alone(&Recorded::new(large, None, &"name ".repeat(12), 7)).unwrap();
        let pool = FramePool::new(1, large.frame_bytes()).unwrap();
        let write = |sink: &mut Box<dyn Sink>, number| sink.write(&frame(&pool, number, 0));
        let failed = (0..99).find_map(|number| write(&mut sink, number).err()).unwrap().to_string();
        assert!(failed.contains("No space left on device") && failed.contains("free space"), "{failed}");
        // Again, while there is still no room: it is undone alike.
        assert!(write(&mut sink, 99).is_err());
        let report = sink.finish().unwrap();
        let path = disk.path().join("out.raw");
        assert_eq!(fs::metadata(&path).unwrap().len(), report.frames * 4_096);
        let (file, index) = (fs::File::open(&path).unwrap(), fs::File::open(index_path(&path)).unwrap());
        let mut recording = Recording::new(&path, file, index).unwrap();
        let slots = FramePool::new(1, 4_096).unwrap();
        for number in 0..report.frames {
            let mut read = slots.try_acquire().unwrap();
            assert!(recording.next_frame(&mut read).unwrap());
            assert!(read.iter().all(|byte| u64::from(*byte) == number));
        }
        assert!(!recording.next_frame(&mut slots.try_acquire().unwrap()).unwrap());
        assert_eq!(recording.damage(), RecordingDamage::default());
    }
}

#[test]
fn what_is_no_file_has_no_index() {
    let place = Place::new();
    std::os::unix::fs::symlink("/dev/null", place.path("out.raw")).unwrap();
    assert_eq!(place.record("out.raw", &[], &[0, 1]).frames, 2);
    assert_eq!(place.names(), ["out.raw"]);
}
