use std::fs;

use framewire_transport::frame::{FramePool, PixelFormat};

use super::*;
use crate::{SourceOptions, SourceSpec};

const FRAME_BYTES: usize = 24;

fn header() -> IndexHeader {
    IndexHeader {
        format: FrameFormat::new(PixelFormat::Gray8, 6, 4).unwrap(),
        presentation: Default::default(),
        stream: "front".to_owned(),
        started: "2026-11-23T02:01:55.123Z".to_owned(),
    }
}

/// A recording of frames taken at these microseconds, and the text of its index.
fn recorded(times_us: &[u64]) -> (Vec<u8>, Vec<u8>) {
    let (mut frames, mut index) = (Vec::new(), Vec::new());
    header().write(&mut index);
    for (number, captured_us) in (0..).zip(times_us) {
        let offset = frames.len() as u64;
        IndexEntry::new(number, *captured_us, offset).write(&mut index);
        frames.extend_from_slice(&[number as u8 + b'a'; FRAME_BYTES]);
    }
    (frames, index)
}

struct Place(tempfile::TempDir);

impl Place {
    fn of(frames: &[u8], index: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("out.raw"), frames).unwrap();
        fs::write(directory.path().join("out.raw.index"), index).unwrap();
        Self(directory)
    }

    fn open(&self) -> Result<Recording, CaptureError> {
        let path = self.0.path().join("out.raw");
        Recording::new(&path, File::open(&path).unwrap(), File::open(index_path(&path)).unwrap())
    }

    fn open_by_name(&self, options: &SourceOptions) -> Result<Box<dyn FrameSource>, CaptureError> {
        SourceSpec::File(self.0.path().join("out.raw")).open(options)
    }
}

/// Everything that is given: the letter of each frame and its time.
fn given(source: &mut dyn FrameSource) -> Vec<(char, u128)> {
    let pool = FramePool::new(1, FRAME_BYTES).unwrap();
    std::iter::from_fn(|| {
        let mut frame = pool.try_acquire().unwrap();
        let time = source.next_time();
        source.next_frame(&mut frame).unwrap().then(|| (char::from(frame[0]), time.unwrap().as_micros()))
    })
    .collect()
}

#[test]
fn a_recording_opens_by_its_name_alone_and_tells_the_time_of_each_frame_again_after_a_rewind() {
    let (frames, index) = recorded(&[5_000, 38_000, 39_000, 9_039_000]);
    let place = Place::of(&frames, &index);
    let mut source = place.open_by_name(&SourceOptions::default()).unwrap();
    assert_eq!((source.format(), source.frame_count(), source.is_live()), (header().format, Some(4), false));
    for _ in 0..2 {
        assert_eq!(given(&mut *source), [('a', 0), ('b', 33_000), ('c', 34_000), ('d', 9_034_000)]);
        assert_eq!(source.next_time(), None);
        source.rewind().unwrap();
    }
}

#[test]
fn asking_for_the_time_moves_nothing_and_times_never_go_back() {
    let (frames, index) = recorded(&[100, 300, 200, 400]);
    let mut source = Place::of(&frames, &index).open().unwrap();
    assert_eq!((source.next_time(), source.next_time()), (Some(Duration::ZERO), Some(Duration::ZERO)));
    assert_eq!(given(&mut source), [('a', 0), ('b', 200), ('c', 200), ('d', 300)]);
}

#[test]
fn a_recording_cut_anywhere_gives_its_whole_frames_and_counts_the_rest() {
    let pool = FramePool::for_format(1, header().format).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    let (frames, index) = recorded(&[0, 10, 20]);
    let first_line = index.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let line_ends: Vec<usize> =
        index.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).skip(1).collect();
    for cut_frames in 1..=frames.len() {
        for cut_index in first_line..=index.len() {
            let mut source = Place::of(&frames[..cut_frames], &index[..cut_index]).open().unwrap();
            let whole = cut_frames / FRAME_BYTES;
            // A line that lacks only its end is a line.
            let lines = line_ends.iter().filter(|end| **end <= cut_index + 1).count();
            let is_torn =
                cut_index > first_line && line_ends.iter().all(|end| *end != cut_index && end - 1 != cut_index);
            if whole.min(lines) == 0 {
                // Who is sent nothing at all is told more than a warning.
                let refused = source.next_frame(&mut frame).unwrap_err();
                assert!(refused.to_string().contains("no line of it is that of a whole frame"), "{refused}");
            } else {
                assert_eq!(given(&mut source).len(), whole.min(lines), "cut at {cut_frames} and {cut_index}");
            }
            let damage = source.damage();
            assert_eq!(damage.lines_torn, u64::from(is_torn), "cut at {cut_index}");
            assert_eq!(damage.lines_without_frame as usize, lines.saturating_sub(whole));
            let begun = cut_frames.div_ceil(FRAME_BYTES);
            assert_eq!(damage.frames_without_line as usize, begun.saturating_sub(lines.max(whole.min(lines))));
        }
    }
}

#[test]
fn damage_in_the_middle_costs_its_frame_and_no_other() {
    let (frames, index) = recorded(&[0, 10, 20]);
    let text = String::from_utf8(index).unwrap();
    for (from, to) in [
        ("{\"frame\":1,", "\0\0\0\0\0\0"),
        ("\"offset\":24", "\"offset\":18446744073709551615"),
        ("{\"frame\":1,", &format!("{}{{\"frame\":1,", "x".repeat(10_000))),
    ] {
        let mut source = Place::of(&frames, text.replacen(from, to, 1).as_bytes()).open().unwrap();
        assert_eq!(given(&mut source), [('a', 0), ('c', 20)], "{from}");
        let damage = source.damage();
        assert_eq!(damage.lines_torn + damage.lines_without_frame, 1, "{from}: {damage:?}");
    }
}

#[test]
fn an_index_that_is_none_is_refused_with_the_remedy() {
    let (frames, index) = recorded(&[0]);
    for cut in [0, 20] {
        let error = Place::of(&frames, &index[..cut]).open().err().unwrap().to_string();
        assert!(error.contains("out.raw.index' does not say what is in the recording: "), "{error}");
        assert!(error.contains(&format!("does not end within its {cut} bytes")), "{error}");
        assert!(error.contains("--raw-format"), "{error}");
    }
}

#[test]
fn a_broken_index_gives_way_to_a_raw_format() {
    let (frames, index) = recorded(&[0, 1]);
    let place = Place::of(&frames, &index[..20]);
    let options = SourceOptions { raw_format: Some("6x4:gray8".parse().unwrap()), pixel: None };
    assert_eq!(place.open_by_name(&options).unwrap().frame_count(), Some(2));
    assert!(place.open_by_name(&SourceOptions::default()).is_err());
}

#[test]
fn a_raw_format_that_contradicts_the_index_is_refused_with_both() {
    let (frames, index) = recorded(&[0]);
    let place = Place::of(&frames, &index);
    let open = |raw: &str| {
        let options = SourceOptions { raw_format: Some(raw.parse().unwrap()), pixel: None };
        place.open_by_name(&options).map(|source| source.format()).map_err(|error| error.to_string())
    };
    assert_eq!(open("6x4:gray8"), Ok(header().format));
    let error = open("4x6:gray8").unwrap_err();
    assert!(error.contains("its index says 6x4 gray8"), "{error}");
    assert!(error.contains("--raw-format says 4x6 gray8"), "{error}");
    let options = SourceOptions { raw_format: None, pixel: Some(PixelFormat::Bgr24) };
    assert!(place.open_by_name(&options).err().unwrap().to_string().contains("--pixel asks for bgr24"));
}

/// UTC of the frames that are given, in microseconds since the index' times begin.
fn utc_us(source: &mut dyn FrameSource) -> Vec<u64> {
    let started: jiff::Timestamp = header().started.parse().unwrap();
    let pool = FramePool::for_format(1, source.format()).unwrap();
    std::iter::from_fn(|| {
        let mut frame = pool.try_acquire().unwrap();
        source.next_frame(&mut frame).unwrap().then(|| {
            let since = frame.info.captured_utc.unwrap().duration_since(started.into()).unwrap();
            u64::try_from(since.as_micros()).unwrap()
        })
    })
    .collect()
}

#[test]
fn frames_are_taken_at_the_utc_that_the_index_says_and_go_on_where_the_recording_starts_over() {
    let (frames, index) = recorded(&[700_000, 733_333, 733_333, 733_000, 9_000_000]);
    let mut source = Place::of(&frames, &index).open().unwrap();
    // Whether or not the times were asked for before.
    let first = utc_us(&mut source);
    assert_eq!(first, [700_000, 733_333, 733_333, 733_333, 9_000_000]);
    source.rewind().unwrap();
    let round = 9_000_000 - 700_000 + (9_000_000 - 733_333);
    assert_eq!(given(&mut source).last(), Some(&('e', 8_300_000)));
    source.rewind().unwrap();
    source.rewind().unwrap();
    assert_eq!(utc_us(&mut source), first.iter().map(|us| us + 2 * round).collect::<Vec<_>>());
}

#[test]
fn an_index_that_does_not_say_when_it_begins_still_says_how_far_frames_are_apart() {
    let (frames, index) = recorded(&[5, 33_338, 66_671]);
    let index = String::from_utf8(index).unwrap().replace(&header().started, "yesterday");
    let mut source = Place::of(&frames, index.as_bytes()).open().unwrap();
    let pool = FramePool::for_format(1, source.format()).unwrap();
    let mut times = Vec::new();
    for _ in 0..3 {
        let mut frame = pool.try_acquire().unwrap();
        assert!(source.next_frame(&mut frame).unwrap());
        times.push(frame.info.captured_utc.unwrap());
    }
    assert!(times.windows(2).all(|two| two[1] == two[0] + Duration::from_micros(33_333)));
}

#[test]
fn an_index_of_the_first_release_is_read_as_it_was() {
    let index = "{\"framewire_index\":1,\"pixel\":\"gray8\",\"width\":6,\"height\":4,\"stride\":6,\"frame_bytes\":24,\
                 \"rate\":\"30000/1001\",\"stream\":\"front\",\"started\":\"2026-11-23T02:01:55.123Z\"}\n\
                 {\"frame\":7,\"captured_us\":5000,\"offset\":0}\n\
                 {\"frame\":9,\"captured_us\":38366,\"offset\":24,\"missing_bytes\":9}\n";
    let mut source = Place::of(&[b"a".repeat(24), b"b".repeat(24)].concat(), index.as_bytes()).open().unwrap();
    assert_eq!((source.format(), source.frame_count()), (header().format, Some(2)));
    assert_eq!(given(&mut source), [('a', 0), ('b', 33_366)]);
}

#[test]
fn frames_of_their_own_lengths_have_their_utc_and_metadata_from_the_index_and_a_line_that_lies_costs_its_frame() {
    let format = FrameFormat::new(PixelFormat::Bytes, 100, 1).unwrap();
    let mut index = Vec::new();
    IndexHeader::new(format, "").write(&mut index);
    let utc_ns = 1_795_000_000_123_456_789;
    for (number, bytes) in [(0, 1), (1, 100), (2, 101), (3, 0), (4, 3)] {
        let offset = if number == 4 { 101 } else { number };
        IndexEntry::new(number, 0, offset).bytes(bytes).utc_ns(utc_ns + number * 7).own_time(true).write(&mut index);
    }
    assert!(index.starts_with(b"{\"framewire_index\":2,"));
    let frames: Vec<u8> = (0..104).collect();
    let mut source = Place::of(&frames, &index).open().unwrap();
    assert_eq!((source.format(), source.frame_count()), (format, None));
    let pool = FramePool::for_format(1, format).unwrap();
    for (number, expected) in [(0, &frames[..1]), (1, &frames[1..101]), (4, &frames[101..])] {
        let mut frame = pool.try_acquire().unwrap();
        assert_eq!(source.next_time(), Some(Duration::from_nanos(number * 7)));
        assert!(source.next_frame(&mut frame).unwrap());
        assert_eq!(&frame[..], expected);
        let utc = std::time::SystemTime::UNIX_EPOCH + Duration::from_nanos(utc_ns + number * 7);
        assert_eq!(frame.info.captured_utc, Some(utc));
    }
    assert!(!source.next_frame(&mut pool.try_acquire().unwrap()).unwrap());
    assert_eq!(source.damage(), RecordingDamage { lines_without_frame: 2, ..RecordingDamage::default() });
}
