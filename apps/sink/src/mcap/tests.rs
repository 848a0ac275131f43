use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use framewire_capture::{FrameRate, SourceOptions, SourceSpec};
use framewire_transport::Time;
use framewire_transport::frame::{FramePool, PixelFormat};

use super::*;
use crate::SinkSpec;

/// What reads the files: where its packages are missing, says aloud that the test is skipped.
fn judge() -> Option<String> {
    let python = std::env::var("FRAMEWIRE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imports = ["-c", "import rosbags, mcap, mcap_ros2"];
    let probe = Command::new(&python).args(imports).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if probe.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    framewire_testing::skip(format_args!(
        "{python} lacks what reads MCAP; set FRAMEWIRE_PYTHON and pip install rosbags mcap mcap-ros2-support"
    ));
    None
}

/// Every message of a file, the bytes of its images, and its summary, as others read them.
struct Judged {
    messages: Vec<Value>,
    pixels: Vec<u8>,
    summary: Value,
}

impl Judged {
    /// One process reads them all, for that takes a second to start.
    fn read_all(python: &str, paths: &[PathBuf]) -> Vec<Self> {
        let script = include_str!("judge.py");
        let output = Command::new(python).args(["-c", script]).args(paths).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let mut lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let read = |path: &PathBuf| {
            let mut messages = Vec::new();
            let summary = loop {
                let line = lines.next().unwrap();
                if line["profile"].is_string() {
                    break line;
                }
                messages.push(line);
            };
            Self { messages, pixels: fs::read(path.with_extension("pixels")).unwrap(), summary }
        };
        paths.iter().map(read).collect()
    }

    fn read(python: &str, path: &Path) -> Self {
        Self::read_all(python, &[path.to_owned()]).remove(0)
    }

    fn images(&self) -> impl Iterator<Item = &Value> {
        self.messages.iter().filter(|message| message["pixels"].is_string())
    }
}

/// One frame of a stream.
#[derive(Clone)]
struct Shot {
    bytes: Vec<u8>,
    metadata: Option<(MetadataKind, Vec<u8>)>,
    utc_ns: u64,
}

fn shot(seed: usize, bytes: usize, utc_ns: u64) -> Shot {
    let bytes = (0..bytes).map(|at| (at * 31 + seed * 7 + at / 251) as u8).collect();
    Shot { bytes, metadata: None, utc_ns }
}

/// Records them, each with a time of its own.
fn record(spec: &SinkSpec, format: FrameFormat, shots: &[Shot]) -> SinkReport {
    let pool = FramePool::for_format(1, format).unwrap();
    let mut sink = spec.open_alone(&Recorded::new(format, FrameRate::per_second(25).ok(), "cam", 7)).unwrap();
    for (number, Shot { bytes, metadata, utc_ns }) in (0..).zip(shots) {
        let mut frame = pool.try_acquire().unwrap();
        frame.set_len(bytes.len()).unwrap();
        frame.copy_from_slice(bytes);
        if let Some((kind, bytes)) = metadata {
            frame.set_metadata(*kind, bytes).unwrap();
        }
        frame.info.number = number;
        frame.info.captured_utc = Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(*utc_ns));
        sink.write(&frame.freeze()).unwrap();
    }
    sink.finish().unwrap()
}

const UTC: u64 = 1_795_000_000_123_456_789;

fn format_of(pixel: PixelFormat) -> FrameFormat {
    match pixel {
        PixelFormat::Bytes => FrameFormat::new(pixel, 5_000, 1).unwrap(),
        _ => FrameFormat::new(pixel, 48, 6).unwrap(),
    }
}

#[test]
fn every_format_is_read_by_rosbags_and_mcap_byte_for_byte_at_its_time_and_with_its_metadata() {
    let Some(python) = judge() else { return };
    let directory = tempfile::tempdir().unwrap();
    let json = br#"{"exposure_us": 8000, "frame_id": "left_optical"}"#;
    let shots = |pixel| {
        let format = format_of(pixel);
        let len = |number: usize| if format.is_variable() { 1 + number * 1_237 } else { format.frame_bytes() };
        let mut shots: Vec<Shot> = (0..4).map(|at| shot(at, len(at), UTC + at as u64 * 33_366_667)).collect();
        shots[1].metadata = Some((MetadataKind::Json, json.to_vec()));
        shots[2].metadata = Some((MetadataKind::Cbor, vec![0xa0]));
        shots[3].metadata = Some((MetadataKind::Json, b"{\"torn".to_vec()));
        shots
    };
    let recorded = PixelFormat::ALL.map(|pixel| {
        let path = directory.path().join(format!("{pixel}.mcap"));
        // Every second one in chunks, each of a frame.
        let chunks = NonZeroU64::new(1).filter(|_| pixel.code() % 2 == 0);
        let report = record(&SinkSpec::Mcap(path.clone(), chunks), format_of(pixel), &shots(pixel));
        assert_eq!((report.frames, report.bytes), (4, fs::metadata(&path).unwrap().len()));
        path
    });
    for (pixel, judged) in PixelFormat::ALL.into_iter().zip(Judged::read_all(&python, &recorded)) {
        let (format, shots) = (format_of(pixel), shots(pixel));
        assert!(judged.pixels == shots.iter().flat_map(|shot| shot.bytes.clone()).collect::<Vec<_>>(), "{pixel}");
        let encoding = pixel.ros().unwrap_or(pixel.name());
        for ((at, shot), image) in shots.iter().enumerate().zip(judged.images()) {
            let size = match format.is_variable() {
                true => [shot.bytes.len(), 1, shot.bytes.len(), shot.bytes.len()],
                false => [48, 6, format.stride() as usize, format.frame_bytes()],
            };
            let expected = serde_json::json!({
                "topic": "/cam/image_raw", "encoding": "cdr", "schema": ["sensor_msgs/msg/Image", "ros2msg"], "sequence": at,
                "log_time": shot.utc_ns, "publish_time": shot.utc_ns, "stamp": shot.utc_ns, "pixels": encoding, "size": size,
                "frame_id": if at == 1 { "left_optical" } else { "cam" },
            });
            assert_eq!(*image, expected, "{pixel}");
        }
        let beside: Vec<&Value> = judged.messages.iter().filter(|message| message["data"].is_string()).collect();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let expected = [
            (1, "/cam/metadata", "json", hex(json)),
            (2, "/cam/metadata_cbor", "cbor", hex(&[0xa0])),
            (3, "/cam/metadata_bytes", "application/octet-stream", hex(b"{\"torn")),
        ];
        assert_eq!(beside.len(), expected.len());
        for (message, (at, topic, encoding, data)) in beside.into_iter().zip(expected) {
            let utc_ns = shots[at].utc_ns;
            let expected = serde_json::json!({
                "topic": topic, "encoding": encoding, "schema": null, "sequence": at, "log_time": utc_ns, "publish_time": utc_ns,
                "data": data,
            });
            assert_eq!(*message, expected, "{pixel}");
        }
    }
}

#[test]
fn ten_thousand_frames_are_read_byte_for_byte_at_exact_times_with_summary_and_indexes() {
    let Some(python) = judge() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.mcap");
    let format = FrameFormat::with_stride(PixelFormat::Gray12, 10, 3, 22).unwrap();
    let mut utc_ns = UTC;
    let shots: Vec<Shot> = (0..10_000)
        .map(|at: usize| {
            utc_ns += 33_333_333 + (at as u64 % 97);
            let metadata = at.is_multiple_of(3).then(|| (MetadataKind::Json, format!("{{\"n\":{at}}}").into_bytes()));
            Shot { metadata, ..shot(at, format.frame_bytes(), utc_ns) }
        })
        .collect();
    let pixels: Vec<u8> = shots.iter().flat_map(|shot| shot.bytes.clone()).collect();
    for chunk_bytes in [None, NonZeroU64::new(64 << 10)] {
        let report = record(&SinkSpec::Mcap(path.clone(), chunk_bytes), format, &shots);
        assert_eq!((report.frames, report.bytes), (10_000, fs::metadata(&path).unwrap().len()));
        let judged = Judged::read(&python, &path);
        assert!(judged.pixels == pixels);
        let times: Vec<u64> = judged.images().map(|image| image["log_time"].as_u64().unwrap()).collect();
        assert!(times.iter().eq(shots.iter().map(|shot| &shot.utc_ns)));
        assert!(judged.images().all(|image| image["stamp"] == image["log_time"]));
        let Value::Object(mut summary) = judged.summary else { panic!("no summary") };
        let chunks = summary.remove("chunks").unwrap().as_u64().unwrap();
        match chunk_bytes.map(NonZeroU64::get) {
            None => assert_eq!(chunks, 0),
            Some(_) => assert!((20..100).contains(&chunks), "{chunks} chunks"),
        }
        assert!(summary.remove("indexed").unwrap().as_u64().unwrap() >= chunks);
        let counts = serde_json::json!({"/cam/image_raw": 10_000, "/cam/metadata": 3_334});
        let times = [shots[0].utc_ns, utc_ns];
        let expected = serde_json::json!({"profile": "ros2", "messages": 13_334, "times": times, "counts": counts});
        assert_eq!(Value::Object(summary), expected);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn each_entry_of_a_chunks_index_leads_to_a_message_of_that_channel_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.mcap");
    let format = FrameFormat::new(PixelFormat::Gray8, 8, 4).unwrap();
    let mut shots: Vec<Shot> = (0..7).map(|at| shot(at, format.frame_bytes(), UTC + 10 * at as u64)).collect();
    shots[1].metadata = Some((MetadataKind::Json, b"{}".to_vec()));
    shots[5].metadata = Some((MetadataKind::Cbor, vec![0xa0]));
    record(&SinkSpec::Mcap(path.clone(), NonZeroU64::new(500)), format, &shots);
    let file = fs::read(&path).unwrap();
    let summary = mcap::Summary::read(&file).unwrap().unwrap();
    let mut images_of_chunks = Vec::new();
    let mut found = Vec::new();
    for chunk in &summary.chunk_indexes {
        let mut images = 0;
        for (channel, entries) in summary.read_message_indexes(&file, chunk).unwrap() {
            for entry in entries {
                let message = summary.seek_message(&file, chunk, &entry).unwrap();
                assert_eq!((&message.channel.topic, message.log_time), (&channel.topic, entry.log_time));
                images += u32::from(channel.id == IMAGE);
                found.push((message.log_time, channel.topic.clone()));
            }
        }
        images_of_chunks.push(images);
    }
    assert!(images_of_chunks.iter().any(|images| *images >= 2), "{images_of_chunks:?} images a chunk");
    found.sort();
    let mut expected: Vec<(u64, String)> =
        shots.iter().map(|shot| (shot.utc_ns, "/cam/image_raw".to_owned())).collect();
    expected.push((shots[1].utc_ns, "/cam/metadata".to_owned()));
    expected.push((shots[5].utc_ns, "/cam/metadata_cbor".to_owned()));
    expected.sort();
    assert_eq!(found, expected);
}

/// Counts what is written, and keeps nothing of it.
struct Counted {
    is_file: bool,
}

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Destination for Counted {
    fn take_back(&mut self, _: u64) -> std::io::Result<bool> {
        unreachable!("nothing fails here")
    }

    fn is_rewritable(&self) -> bool {
        self.is_file
    }

    fn overwrite(&mut self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_recording_without_end_keeps_few_chunks_in_memory_and_a_pipe_none() {
    let format = FrameFormat::new(PixelFormat::Gray8, 8, 4).unwrap();
    let recorded = Recorded::new(format, None, "cam", 7);
    let frame = FramePool::for_format(1, format).unwrap().try_acquire().unwrap().freeze();
    let count = CHUNKS_OF_A_SIZE as usize;
    let written = |is_file| {
        let output = FrameOutput::new(Counted { is_file }, "'disk'".to_owned());
        let mut sink = McapSink::new(output, &recorded, Some(1)).unwrap();
        (0..count + 1_001).for_each(|_| sink.write(&frame).unwrap());
        sink
    };
    let pipe = written(false);
    assert_eq!((pipe.contents.chunk_count() as usize, pipe.contents.chunks_kept()), (count + 1_000, 0));
    // A frame a chunk, and then two.
    let file = written(true);
    assert!((count + 500..count + 502).contains(&file.contents.chunks_kept()), "{}", file.contents.chunks_kept());
}

#[test]
fn rosbags_converts_a_recording_into_a_bag_of_ros_2() {
    let Some(python) = judge() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (path, bag) = (directory.path().join("out.mcap"), directory.path().join("bag"));
    let format = FrameFormat::new(PixelFormat::Bgr24, 16, 9).unwrap();
    let mut shots: Vec<Shot> = (0..50).map(|at| shot(at, format.frame_bytes(), UTC + at as u64)).collect();
    shots[7].metadata = Some((MetadataKind::Json, b"{}".to_vec()));
    record(&SinkSpec::Mcap(path.clone(), None), format, &shots);
    let convert = Path::new(&python).with_file_name("rosbags-convert");
    // Bags of ROS hold CDR alone.
    let output = Command::new(convert)
        .args([Path::new("--src"), &path, Path::new("--dst"), &bag])
        .args(["--exclude-topic", "/cam/metadata"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count = "import sys\nfrom rosbags.highlevel import AnyReader\nfrom pathlib import Path\n\
        with AnyReader([Path(sys.argv[1])]) as reader:\n    for c, t, data in reader.messages():\n        \
        image = reader.deserialize(data, c.msgtype)\n        sys.stdout.buffer.write(image.data.tobytes())";
    let output = Command::new(&python).args(["-c", count]).arg(&bag).output().unwrap();
    assert!(output.stdout == shots.iter().flat_map(|shot| shot.bytes.clone()).collect::<Vec<_>>());
}

#[test]
fn a_wall_clock_that_is_set_by_an_hour_moves_no_time_of_a_live_stream() {
    let Some(python) = judge() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.mcap");
    let format = FrameFormat::new(PixelFormat::Gray8, 4, 4).unwrap();
    // Without room behind the pixels, a frame's UTC is its sender's clock.
    let pool = FramePool::new(1, format.frame_bytes()).unwrap();
    let mut sink = SinkSpec::Mcap(path.clone(), None).open_alone(&Recorded::new(format, None, "cam", 7)).unwrap();
    let hour = 3_600_000_000_000_i64;
    for (number, step) in (0..).zip([0, hour, -hour, 0]) {
        let mut frame = pool.try_acquire().unwrap();
        let there = 5_000_000_000 + number * 33_000_000;
        frame.info.captured_there = Time::from_nanos(there);
        frame.info.captured_utc =
            Some(SystemTime::UNIX_EPOCH + Duration::from_nanos((UTC + there).checked_add_signed(step).unwrap()));
        sink.write(&frame.freeze()).unwrap();
    }
    sink.finish().unwrap();
    let judged = Judged::read(&python, &path);
    let first = UTC + 5_000_000_000;
    let times: Vec<u64> = judged.images().map(|image| image["log_time"].as_u64().unwrap() - first).collect();
    assert_eq!(times, [0, 33_000_000, 66_000_000, 99_000_000]);
}

#[test]
fn a_recording_of_either_kind_is_sent_again_as_it_was_taken_in_every_format_with_metadata_and_times_of_every_kind() {
    let directory = tempfile::tempdir().unwrap();
    let raw = SinkSpec::Raw(directory.path().join("out.raw"));
    let mcap = |chunk_bytes| SinkSpec::Mcap(directory.path().join("out.mcap"), NonZeroU64::new(chunk_bytes));
    for pixel in PixelFormat::ALL {
        let packed = format_of(pixel);
        let strided = FrameFormat::with_stride(pixel, packed.width(), packed.height(), packed.stride() + 128);
        let strided = strided.unwrap_or(packed);
        for (format, spec) in [(packed, mcap(0)), (strided, mcap(3_000)), (packed, raw.clone()), (strided, raw.clone())]
        {
            let path = spec.path().unwrap().to_owned();
            let len = |at: usize| if format.is_variable() { 1 + at * 601 } else { format.frame_bytes() };
            let mut shots: Vec<Shot> = (0..5).map(|at| shot(at, len(at), UTC + at as u64 * 40_000_001)).collect();
            shots[1].metadata = Some((MetadataKind::Json, b"{\"gain\": 2}".to_vec()));
            shots[2].metadata = Some((MetadataKind::Cbor, vec![0xa0]));
            shots[4].metadata = Some((MetadataKind::Bytes, (0..4_096).map(|at| at as u8).collect()));
            record(&spec, format, &shots);
            let mut source = SourceSpec::File(path.clone()).open(&SourceOptions::default()).unwrap();
            assert_eq!(source.format(), format);
            // How many frames of any length a raw file has is not known before its index is read through.
            let is_counted = !(format.is_variable() && matches!(spec, SinkSpec::Raw(_)));
            assert_eq!(source.frame_count(), is_counted.then_some(5), "{format}");
            assert_eq!(source.presentation().rate, FrameRate::per_second(25).ok());
            let pool = FramePool::for_format(1, format).unwrap();
            for (at, shot) in shots.iter().enumerate() {
                let mut frame = pool.try_acquire().unwrap();
                assert_eq!(source.next_time(), Some(Duration::from_nanos(at as u64 * 40_000_001)));
                assert!(source.next_frame(&mut frame).unwrap());
                let frame = frame.freeze();
                assert!(frame[..] == shot.bytes, "{format}");
                assert_eq!(frame.metadata().map(|it| (it.kind, it.bytes.to_vec())), shot.metadata, "{format}");
                let utc = SystemTime::UNIX_EPOCH + Duration::from_nanos(shot.utc_ns);
                assert_eq!((frame.captured_utc(), frame.has_own_time()), (Some(utc), true));
            }
            assert!(!source.next_frame(&mut pool.try_acquire().unwrap()).unwrap());
            fs::remove_file(&path).unwrap();
            let _ = fs::remove_file(framewire_capture::index_path(&path));
        }
    }
}

#[test]
fn a_file_that_was_cut_anywhere_gives_every_frame_before_the_cut_with_its_metadata() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.mcap");
    let format = FrameFormat::new(PixelFormat::Gray8, 8, 4).unwrap();
    let mut shots: Vec<Shot> = (0..4).map(|at| shot(at, format.frame_bytes(), UTC + at as u64)).collect();
    for (at, shot) in shots.iter_mut().enumerate() {
        shot.metadata = Some((MetadataKind::Json, format!("{{\"n\":{at}}}").into_bytes()));
    }
    for chunk_bytes in [None, NonZeroU64::new(1), NonZeroU64::new(400)] {
        record(&SinkSpec::Mcap(path.clone(), chunk_bytes), format, &shots);
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        // The pixels of each frame end here.
        let ends: Vec<usize> =
            shots.iter().map(|shot| whole.windows(32).position(|window| window == shot.bytes).unwrap() + 32).collect();
        for cut in 1..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let frames = ends.iter().filter(|end| **end <= cut).count();
            let Ok(mut source) = SourceSpec::File(path.clone()).open(&SourceOptions::default()) else {
                assert_eq!(frames, 0, "cut at {cut}");
                continue;
            };
            let pool = FramePool::for_format(1, format).unwrap();
            for shot in &shots[..frames] {
                let mut frame = pool.try_acquire().unwrap();
                assert!(source.next_frame(&mut frame).unwrap(), "cut at {cut}");
                assert!(frame[..] == shot.bytes);
                assert_eq!(frame.metadata().map(|it| (it.kind, it.bytes.to_vec())), shot.metadata);
            }
            assert!(!source.next_frame(&mut pool.try_acquire().unwrap()).unwrap());
        }
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn topics_are_as_ros_takes_them() {
    for (name, topic) in [
        ("cam", "cam"),
        ("front_left", "front_left"),
        ("front-left 2", "front_left_2"),
        ("2nd", "stream_2nd"),
        ("相机", "stream_0000002a"),
        ("", "stream_0000002a"),
        ("../x", "x"),
        ("_2", "stream_2"),
    ] {
        assert_eq!(topic_name(name, 42), topic, "{name}");
    }
}
