use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor as Memory;

use ::mcap::records::MessageHeader;
use ::mcap::{WriteOptions, Writer};
use framewire_transport::frame::FramePool;

use super::*;
use crate::{SourceOptions, SourceSpec};

/// An image as ROS writes it.
struct Picture<'a> {
    encoding: &'a str,
    is_bigendian: bool,
    is_big_cdr: bool,
    size: [u32; 3],
    data: &'a [u8],
}

impl<'a> Picture<'a> {
    fn new(encoding: &'a str, width: u32, height: u32, step: u32, data: &'a [u8]) -> Self {
        Self { encoding, is_bigendian: false, is_big_cdr: false, size: [width, height, step], data }
    }

    fn cdr(&self) -> Vec<u8> {
        let mut cdr = vec![0, u8::from(!self.is_big_cdr), 0, 0];
        let word = |cdr: &mut Vec<u8>, word: u32| {
            cdr.resize(cdr.len().next_multiple_of(4), 0);
            cdr.extend(if self.is_big_cdr { word.to_be_bytes() } else { word.to_le_bytes() });
        };
        let text = |cdr: &mut Vec<u8>, text: &str| {
            word(cdr, text.len() as u32 + 1);
            cdr.extend_from_slice(text.as_bytes());
            cdr.push(0);
        };
        let [width, height, step] = self.size;
        [1_795_000_000, 5].into_iter().for_each(|part| word(&mut cdr, part));
        text(&mut cdr, "left");
        [height, width].into_iter().for_each(|side| word(&mut cdr, side));
        text(&mut cdr, self.encoding);
        cdr.push(u8::from(self.is_bigendian));
        [step, self.data.len() as u32].into_iter().for_each(|part| word(&mut cdr, part));
        cdr.extend_from_slice(self.data);
        cdr
    }
}

/// A file of others' making: (topic, schema, encoding) of its channels, then (channel, time, data) of its messages.
fn bag(options: WriteOptions, channels: &[[&str; 3]], messages: &[(usize, u64, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::with_options(Memory::new(Vec::new()), options.compression(None)).unwrap();
    let add = |[topic, schema, encoding]: &[&str; 3]| {
        let schema_id = writer.add_schema(schema, "ros2msg", b"").unwrap();
        writer.add_channel(schema_id, topic, encoding, &BTreeMap::new()).unwrap()
    };
    let ids: Vec<u16> = channels.iter().map(add).collect();
    for (channel, time, data) in messages {
        let (channel_id, log_time) = (ids[*channel], *time);
        let header = MessageHeader { channel_id, sequence: 0, log_time, publish_time: log_time };
        writer.write_to_known_channel(&header, data).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner().into_inner()
}

const IMAGES: [&str; 3] = ["/left/image_raw", "sensor_msgs/msg/Image", "cdr"];
const OTHERS: [&str; 3] = ["/right/image_raw", "sensor_msgs/msg/Image", "cdr"];
const IMU: [&str; 3] = ["/imu", "sensor_msgs/msg/Imu", "cdr"];

struct Place(tempfile::TempDir);

impl Place {
    fn of(bytes: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("bag.mcap"), bytes).unwrap();
        Self(directory)
    }

    fn open(&self, suffix: &str) -> Result<Box<dyn FrameSource>, CaptureError> {
        let name = format!("{}{suffix}", self.0.path().join("bag.mcap").display());
        SourceSpec::File(name.into()).open(&SourceOptions::default())
    }

    fn refusal(&self, suffix: &str) -> String {
        self.open(suffix).err().unwrap().to_string()
    }
}

/// The bytes and the time of every frame.
fn given(source: &mut dyn FrameSource) -> Vec<(Vec<u8>, Duration)> {
    let pool = FramePool::for_format(1, source.format()).unwrap();
    std::iter::from_fn(|| {
        let mut frame = pool.try_acquire().unwrap();
        let time = source.next_time();
        let is_given = source.next_frame(&mut frame).unwrap();
        assert_eq!(time.is_some(), is_given);
        let utc = || frame.info.captured_utc.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        is_given.then(|| (frame.to_vec(), utc()))
    })
    .collect()
}

#[test]
fn over_and_over_the_first_image_follows_the_last_as_that_followed_the_one_before_it() {
    let image = |byte| Picture::new("mono8", 2, 1, 2, &[byte; 2]).cdr();
    let messages = [(0, 1_000, image(1)), (0, 1_040, image(2)), (0, 1_090, image(3))];
    let mut source = Place::of(&bag(WriteOptions::new(), &[IMAGES], &messages)).open("").unwrap();
    let mut times = Vec::new();
    for _ in 0..3 {
        times.extend(given(&mut *source).into_iter().map(|(_, time)| time.as_nanos()));
        source.rewind().unwrap();
    }
    assert_eq!(times, [1_000, 1_040, 1_090, 1_140, 1_180, 1_230, 1_280, 1_320, 1_370]);
}

#[test]
fn a_summary_that_repeats_channels_and_not_their_schemas_is_no_reason_to_find_no_images() {
    let image = Picture::new("mono8", 2, 1, 2, &[7; 2]).cdr();
    for options in layouts() {
        let place = Place::of(&bag(
            options.repeat_schemas(false),
            &[IMU, IMAGES],
            &[(0, 1, vec![0; 9]), (1, 2, image.clone())],
        ));
        let mut source = place.open("").unwrap();
        assert_eq!((source.frame_count(), given(&mut *source).len()), (Some(1), 1));
    }
}

#[test]
fn a_raw_recording_that_begins_as_such_a_file_does_is_a_raw_recording() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bytes.raw");
    fs::write(&path, [MAGIC, b"and more"].concat()).unwrap();
    let options = SourceOptions::new().raw_format("4x2:gray8".parse::<crate::RawFormat>().unwrap());
    assert_eq!(given_bytes(&mut *SourceSpec::File(path).open(&options).unwrap()), [MAGIC, b"and more"]);
}

fn given_bytes(source: &mut dyn FrameSource) -> Vec<Vec<u8>> {
    let pool = FramePool::for_format(1, source.format()).unwrap();
    std::iter::from_fn(|| {
        let mut frame = pool.try_acquire().unwrap();
        source.next_frame(&mut frame).unwrap().then(|| frame.to_vec())
    })
    .collect()
}

fn layouts() -> [WriteOptions; 3] {
    let chunked = |bytes| WriteOptions::new().chunk_size(Some(bytes));
    [WriteOptions::new().use_chunks(false), chunked(1), chunked(1 << 20)]
}

#[test]
fn the_images_of_a_ros_bag_come_out_with_their_rows_and_log_times_whatever_its_chunks_and_without_its_summary() {
    let pixels: Vec<u8> = (0..24).collect();
    let picture = |shift: u8| -> Vec<u8> { pixels.iter().map(|byte| byte + shift).collect() };
    let second = |shift| Picture::new("mono8", 5, 3, 8, &picture(shift)).cdr();
    for options in layouts() {
        let messages = [
            (1, 50, vec![1; 40]),
            (0, 100, second(0)),
            (1, 130, vec![2; 40]),
            (0, 133, second(1)),
            (0, 120, second(2)),
        ];
        let whole = bag(options, &[IMAGES, IMU], &messages);
        let end = whole.windows(9).position(|window| window == [0x0f, 4, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        for bytes in [&whole[..], &whole[..end]] {
            let mut source = Place::of(bytes).open("").unwrap();
            assert_eq!(source.format(), FrameFormat::with_stride(PixelFormat::Gray8, 5, 3, 8).unwrap());
            assert_eq!((source.frame_count(), source.is_live()), (Some(3), false));
            for round in 0..3 {
                // Each time over begins where the one before has ended.
                let expected = [(0, 100), (1, 133), (2, 120)];
                let expected = expected.map(|(shift, time)| (picture(shift), Duration::from_nanos(time + round * 33)));
                assert_eq!(given(&mut *source), expected);
                source.rewind().unwrap();
            }
            assert_eq!((source.next_time(), source.next_time()), (Some(Duration::ZERO), Some(Duration::ZERO)));
        }
    }
}

#[test]
fn of_several_channels_of_images_the_first_that_has_any_is_sent_or_the_one_that_is_named() {
    let [left, right] = [7, 9].map(|byte| Picture::new("rgb8", 2, 1, 6, &[byte; 6]).cdr());
    let empty = ["/empty", "sensor_msgs/msg/Image", "cdr"];
    for options in layouts() {
        let place =
            Place::of(&bag(options, &[empty, IMU, IMAGES, OTHERS], &[(3, 1, right.clone()), (2, 2, left.clone())]));
        let sent = |suffix| given(&mut *place.open(suffix).unwrap())[0].0[0];
        assert_eq!([sent(""), sent("#/left/image_raw"), sent("#/right/image_raw")], [7, 7, 9]);
        let error = place.refusal("#/imu");
        assert!(
            error.contains("no images under '/imu'; it has them under /empty, /left/image_raw, /right/image_raw"),
            "{error}"
        );
        let error = place.refusal("#/empty");
        assert!(error.contains("no image under /empty, though there is a channel"), "{error}");
    }
}

#[test]
fn every_encoding_of_ros_is_read_and_samples_that_are_the_other_way_round_are_turned() {
    let data: Vec<u8> = (0..64).collect();
    for (encoding, pixel, step, bytes) in [
        ("mono8", PixelFormat::Gray8, 4, 8),
        ("8UC1", PixelFormat::Gray8, 4, 8),
        ("mono16", PixelFormat::Gray16, 8, 16),
        ("16UC1", PixelFormat::Depth16, 8, 16),
        ("32FC1", PixelFormat::Depth32f, 16, 32),
        ("bgr8", PixelFormat::Bgr24, 12, 24),
        ("8UC3", PixelFormat::Bgr24, 12, 24),
        ("rgba8", PixelFormat::Rgba32, 16, 32),
        ("yuv422", PixelFormat::Uyvy, 8, 16),
        ("yuv422_yuy2", PixelFormat::Yuyv, 8, 16),
        ("nv12", PixelFormat::Nv12, 4, 12),
        ("bayer_gbrg8", PixelFormat::BayerGbrg8, 4, 8),
        ("bayer_gbrg16", PixelFormat::BayerGbrg16, 8, 16),
    ] {
        for (is_bigendian, is_big_cdr) in [(false, false), (false, true), (true, false)] {
            let picture = Picture { is_bigendian, is_big_cdr, ..Picture::new(encoding, 4, 2, step, &data[..bytes]) };
            let mut source =
                Place::of(&bag(WriteOptions::new(), &[IMAGES], &[(0, 0, picture.cdr())])).open("").unwrap();
            assert_eq!(source.format(), FrameFormat::new(pixel, 4, 2).unwrap(), "{encoding}");
            let mut expected = data[..bytes].to_vec();
            if is_bigendian {
                let sample = pixel.sample_bytes().unwrap_or(1) as usize;
                expected.chunks_mut(sample).for_each(<[u8]>::reverse);
            }
            assert_eq!(given(&mut *source)[0].0, expected, "{encoding}");
        }
    }
}

#[test]
fn what_cannot_be_sent_is_refused_with_what_it_is_and_the_remedy() {
    let refusal = |channels: &[[&str; 3]], messages: &[(usize, u64, Vec<u8>)]| {
        Place::of(&bag(WriteOptions::new(), channels, messages)).refusal("")
    };
    let compressed = ["/cam", "sensor_msgs/msg/CompressedImage", "cdr"];
    let error = refusal(&[IMU, compressed], &[]);
    let has = "it has /imu (sensor_msgs/msg/Imu cdr), /cam (sensor_msgs/msg/CompressedImage cdr)";
    assert!(error.contains("no channel of images") && error.contains(has), "{error}");
    assert!(refusal(&[], &[]).contains("it has no channels"));
    let image = |encoding: &str, width, step, bytes| Picture::new(encoding, width, 1, step, &vec![0; bytes]).cdr();
    for (message, expected) in [
        (image("16SC1", 4, 8, 8), "encoded as '16SC1', which is no pixel format here"),
        (
            Picture::new("mono8", 60_000, 60_000, 60_000, &[1; 4]).cdr(),
            "60000x60000 mono8 in rows of 60000 bytes, 4 bytes in all",
        ),
        (image("mono16", 4, 6, 6), "images cannot be: "),
        (image("mono8", 4, 4, 4)[..50].to_vec(), "cannot be read: it ends before its pixels"),
        (image("mono8", 4, 4, 4)[..55].to_vec(), "it says that it has 4 bytes of pixels, and has "),
        (vec![0, 3, 0, 0], "its encapsulation is [00, 03, 00, 00]"),
        (vec![], "it has 0 bytes"),
    ] {
        let error = refusal(&[IMAGES], &[(0, 0, message)]);
        assert!(error.contains(expected), "{error}");
    }
    let place = Place::of(b"not at all one");
    assert!(place.refusal("").contains("it is no MCAP file"), "{}", place.refusal(""));
    let mut chunk = bag(WriteOptions::new(), &[], &[]);
    chunk.truncate(8);
    chunk.extend_from_slice(&[6, 44, 0, 0, 0, 0, 0, 0, 0]);
    chunk.extend_from_slice(&[0; 28]);
    chunk.extend_from_slice(b"\x04\0\0\0zstd\0\0\0\0\0\0\0\0");
    let error = Place::of(&chunk).refusal("");
    assert!(error.contains("compressed with zstd") && error.contains("mcap decompress"), "{error}");
}

#[test]
fn an_image_of_another_size_is_refused_by_its_number_and_those_before_it_are_given() {
    let image = |width| Picture::new("mono8", width, 1, width, &vec![1; width as usize]).cdr();
    let mut source =
        Place::of(&bag(WriteOptions::new(), &[IMAGES], &[(0, 1, image(4)), (0, 2, image(5))])).open("").unwrap();
    let pool = FramePool::for_format(1, source.format()).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    assert!(source.next_frame(&mut frame).unwrap());
    let error = source.next_frame(&mut frame).unwrap_err().to_string();
    assert!(error.contains("5x1 mono8 in rows of 5 bytes"), "{error}");
}

#[test]
fn a_file_cut_or_damaged_anywhere_gives_what_is_whole_and_never_panics() {
    let pictures: Vec<_> = (0..3).map(|at| (0, at, Picture::new("mono8", 4, 2, 4, &[at as u8; 8]).cdr())).collect();
    for options in layouts() {
        let whole = bag(options, &[IMAGES], &pictures);
        let mut last = 0;
        for cut in 0..whole.len() {
            let Ok(mut source) = Place::of(&whole[..cut.max(1)]).open("") else { continue };
            let frames = given(&mut *source);
            assert!(frames.iter().enumerate().all(|(at, (bytes, _))| *bytes == [at as u8; 8]), "cut at {cut}");
            assert!(frames.len() >= last, "cut at {cut}");
            last = frames.len();
        }
        assert_eq!(last, 3);
        for at in 8..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let Ok(mut source) = Place::of(&damaged).open("") else { continue };
            let pool = FramePool::new(1, source.format().frame_bytes().min(1 << 20)).unwrap();
            for _ in 0..5 {
                let _ = source.next_time();
                let _ = source.next_frame(&mut pool.try_acquire().unwrap());
            }
        }
    }
}

/// The file as a source, to look into.
fn source(place: &Place) -> McapFile {
    let path = place.0.path().join("bag.mcap");
    McapFile::new(&path, File::open(&path).unwrap(), None).unwrap()
}

#[test]
fn images_that_a_damaged_length_hides_are_missed_aloud_though_the_files_end_is_there() {
    let picture = Picture::new("mono8", 2, 2, 2, &[1, 2, 3, 4]).cdr();
    let messages: Vec<_> = (0..8).map(|nth| (0, nth * 1_000, picture.clone())).collect();
    let whole = bag(WriteOptions::new().chunk_size(Some(1)), &[IMAGES], &messages);
    let chunks: Vec<usize> =
        (8..whole.len() - 9).filter(|at| whole[*at] == 6 && whole[at + 5..at + 9] == [0; 4]).collect();
    assert!(chunks.len() >= 8, "{chunks:?}");
    let mut damaged = whole.clone();
    // The second chunk says that it is a tebibyte.
    damaged[chunks[1] + 6] = 1;
    for (bytes, is_told) in [(whole, false), (damaged, true)] {
        let place = Place::of(&bytes);
        let mut source = source(&place);
        let frames = given(&mut source).len();
        assert_eq!((frames < 8, source.told), (is_told, is_told), "{frames}");
    }
}

#[test]
fn an_image_whose_time_is_damaged_is_not_waited_for() {
    let picture = Picture::new("mono8", 2, 2, 2, &[1, 2, 3, 4]).cdr();
    let times = [1_000, 2_000, u64::MAX, 3_000];
    let messages: Vec<_> = times.into_iter().map(|time| (0, time, picture.clone())).collect();
    let place = Place::of(&bag(WriteOptions::new(), &[IMAGES], &messages));
    let mut source = source(&place);
    let pool = FramePool::for_format(1, source.format()).unwrap();
    for nanos in [0, 1_000, 1_000, 2_000] {
        assert_eq!(source.next_time(), Some(Duration::from_nanos(nanos)));
        assert!(source.next_frame(&mut pool.try_acquire().unwrap()).unwrap());
    }
    assert!(source.told_of_gap);
}
