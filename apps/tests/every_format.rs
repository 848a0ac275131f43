//! Every pixel format from a source, through both programs, to a recording: byte for byte; the names that formats are given by; what
//! cannot be, refused by what is wrong with it; the times of a file's frames.
#![allow(missing_docs)]

mod running;

use std::process::{Command, Output};

use framewire_capture::{SourceOptions, SourceSpec, pattern};
use framewire_testing::has_programs;
use framewire_transport::{FrameFormat, PixelFormat};
use running::{Server, figure, program};
use tempfile::TempDir;

const FRAMES: u64 = 3;

fn in_place(place: &TempDir, name: &str) -> String {
    place.path().join(name).to_str().unwrap().to_owned()
}

/// Sends to `server` and gives how many frames arrived.
fn sent(server: &Server, arguments: &[&str], variables: &[(&str, &str)]) -> u64 {
    let mut client = server.client(&[arguments, &["--fps", "max", "--delivery", "every", "--json"]].concat());
    let output = client.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    figure(&output.stdout, &["frames_delivered"]) as u64
}

fn format(pixel: PixelFormat) -> FrameFormat {
    let size = if pixel == PixelFormat::Bytes { (5_000, 1) } else { (98, 34) };
    FrameFormat::new(pixel, size.0, size.1).unwrap()
}

/// The pattern's first frames, back to back.
fn drawn(format: &FrameFormat) -> Vec<u8> {
    let frame = |number| {
        let mut bytes = vec![0; pattern::frame_len(format, number)];
        pattern::draw(&mut bytes, format, number).unwrap();
        assert_eq!(pattern::read_frame_number(&bytes, format), Some(number), "{format}");
        bytes
    };
    (0..FRAMES).flat_map(frame).collect()
}

#[test]
fn the_pattern_and_raw_files_of_every_format_are_recorded_byte_for_byte() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(&["--sink", &in_place(&place, "{stream}.raw")]);
    let frames = FRAMES.to_string();
    for pixel in PixelFormat::ALL {
        let format = format(pixel);
        let size = format!("{}x{}", format.width(), format.height());
        let (name, of_raw) = (format!("of-{pixel}"), format!("of-raw-{pixel}"));
        let source = format!("pattern:{size}:{pixel}");
        assert_eq!(sent(&server, &[&source, "--name", &name, "--frames", &frames], &[]), FRAMES);
        let file = in_place(&place, "frames.yuv");
        std::fs::write(&file, drawn(&format)).unwrap();
        let raw_format = format!("{size}:{}", pixel.aliases().last().unwrap_or(pixel.name()));
        let expected = if format.is_variable() { drawn(&format).len().div_ceil(5_000) as u64 } else { FRAMES };
        assert_eq!(sent(&server, &[&file, "--name", &of_raw, "--raw-format", &raw_format], &[]), expected, "{pixel}");
    }
    server.stop();
    for pixel in PixelFormat::ALL {
        for name in [format!("of-{pixel}.raw"), format!("of-raw-{pixel}.raw")] {
            let recorded = std::fs::read(in_place(&place, &name)).unwrap();
            assert!(recorded == drawn(&format(pixel)), "{name} has other bytes");
            let recording = SourceSpec::File(in_place(&place, &name).into()).open(&SourceOptions::default()).unwrap();
            assert_eq!(recording.format(), format(pixel));
        }
    }
}

#[test]
fn a_format_is_given_under_any_of_its_names_by_flag_by_variable_and_by_file() {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(&["--sink", &in_place(&place, "{stream}.raw")]);
    let (frames, settings) = (in_place(&place, "frames"), in_place(&place, "f.toml"));
    // Rows of 100 pixels of 16 bits, in 256 bytes.
    std::fs::write(&frames, [7; 2 * 4 * 256]).unwrap();
    std::fs::write(&settings, "[client]\nraw_format = '100x4:0x01100005:256@25'\n").unwrap();
    for (name, arguments, variables) in [
        ("by-flag", &["--raw-format", "100x4:Mono12:256@25"][..], &[][..]),
        ("by-variable", &[], &[("FRAMEWIRE_RAW_FORMAT", "100x4:GRAY12le:256@25")]),
        ("by-file", &["--config", &settings], &[]),
    ] {
        let arguments = [&[&frames[..], "--name", name], arguments].concat();
        assert_eq!(sent(&server, &arguments, variables), 2, "{name}");
    }
    for (name, pixel) in [("pattern-1", "Mono12"), ("pattern-2", "y12")] {
        let arguments = ["pattern:100x4", "--frames", "2", "--name", name, "--pixel", pixel];
        assert_eq!(sent(&server, &arguments, &[]), 2);
    }
    server.stop();
    for name in ["by-flag", "by-variable", "by-file", "pattern-1", "pattern-2"] {
        let file = in_place(&place, &format!("{name}.raw"));
        let recording = SourceSpec::File(file.into()).open(&SourceOptions::default()).unwrap();
        assert_eq!(recording.format().to_string(), "100x4 gray12", "{name}");
    }
}

/// A client that must not get as far as a server.
fn refused(arguments: &[&str]) -> String {
    let mut client = program("framewire-client");
    let Output { status, stderr, .. } =
        client.args(["--server", "http://127.0.0.1:9"]).args(arguments).output().unwrap();
    assert_eq!(status.code(), Some(2), "{arguments:?}");
    String::from_utf8(stderr).unwrap()
}

#[test]
fn what_cannot_be_is_refused_with_what_is_wrong_and_what_would_do() {
    let place = tempfile::tempdir().unwrap();
    let file = in_place(&place, "frames.raw");
    std::fs::write(&file, [7; 1_000]).unwrap();
    for (format, says) in [
        ("64x48:nv21", "unknown pixel format 'nv21'; did you mean nv12?"),
        ("64x48:bayer_rgbg8", "did you mean bayer_rggb8?"),
        ("63x48:yuyv", "a width of 63 is no multiple of that; use 64"),
        ("63x48:uyvy", "a width of 63 is no multiple of that; use 64"),
        ("63x48:v210", "a width of 63 is no multiple of that; use 64"),
        ("64x48:v210:300", "a multiple of 128 bytes apart, and 300 is none; use 384"),
        ("64x48:v210:128", "a stride of 128 bytes does not fit rows of"),
        ("64x48:gray16:129", "a multiple of 2 bytes apart, and 129 is none; use 130"),
        ("64x48:bytes", "its length is its width: use 3072x1"),
    ] {
        let said = refused(&[&file, "--raw-format", format]);
        assert!(said.contains(says), "{format}: {said}");
    }
    assert!(
        refused(&["pattern:64x48", "--pixel", "grey9"]).contains("unknown pixel format 'grey9'; did you mean GREY?")
    );
    let yuv = in_place(&place, "frames.yuv");
    std::fs::write(&yuv, [7; 1_000]).unwrap();
    assert!(refused(&[&yuv]).contains("give its format, such as --raw-format"));
    let server = Server::start(&["--sink", &in_place(&place, "out.raw")]);
    // Chroma is rounded up: 5x3 in nv12 is 15 bytes and 6 pairs. Of 1,000 bytes that is 37 frames, and one byte.
    let output = server.client(&[&yuv, "--raw-format", "5x3:nv12", "--fps", "max"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("stops inside frame 37 (the first is 0): 1 of its 27 bytes are there"), "{said}");
    server.stop();
    assert_eq!(std::fs::read(in_place(&place, "out.raw")).unwrap().len(), 37 * 27, "what was whole is kept");
}

/// A version 1.0 array of so many 4x2 gray8 pictures.
fn npy(frames: u8) -> Vec<u8> {
    let header =
        format!("{:<117}\n", format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({frames}, 2, 4), }}"));
    let mut bytes = [&b"\x93NUMPY\x01\x00\x76\x00"[..], header.as_bytes()].concat();
    (0..frames).for_each(|number| bytes.extend([number; 8]));
    bytes
}

/// A 4x2 gray8 picture of one strip.
fn tiff(value: u8) -> Vec<u8> {
    let entries = [(256_u16, 4), (257, 2), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, 8)];
    let mut bytes = b"II*\0\x10\0\0\0".to_vec();
    bytes.extend([value; 8]);
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, value) in entries {
        // One number of 32 bits each.
        bytes
            .extend([u32::from_le_bytes([tag as u8, (tag >> 8) as u8, 4, 0]), 1, value].map(u32::to_le_bytes).concat());
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn frames_of_what_has_no_rate_are_at_their_number_over_the_one_that_is_given_and_on_over_a_loop() {
    let place = tempfile::tempdir().unwrap();
    let (array, pictures) = (in_place(&place, "in.npy"), in_place(&place, "shots"));
    std::fs::write(&array, npy(7)).unwrap();
    std::fs::create_dir(&pictures).unwrap();
    for number in 0..3 {
        std::fs::write(format!("{pictures}/{number}.tif"), tiff(number)).unwrap();
    }
    let server = Server::start(&["--sink", &in_place(&place, "{stream}.raw")]);
    for (name, source) in [("array", &array), ("pictures", &pictures)] {
        let arguments = [source, "--name", name, "--loop", "--frames", "20", "--delivery", "every", "--fps", "200"];
        let output = server.client(&arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    server.stop();
    for name in ["array", "pictures"] {
        let index = std::fs::read_to_string(in_place(&place, &format!("{name}.raw.index"))).unwrap();
        let lines = index.lines().skip(1).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let times: Vec<u64> = lines.map(|line| line["utc_ns"].as_u64().expect("it has a time of its own")).collect();
        assert_eq!(times.len(), 20, "{name}");
        assert!(times.windows(2).all(|two| two[1] - two[0] == 5_000_000), "{name}: {times:?}");
    }
}

/// When each frame is shown, as ffprobe reads it.
fn shown_at(file: &str) -> Vec<f64> {
    let fields = ["-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0"];
    let said = Command::new("ffprobe").args(fields).arg(file).output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    said.lines().map(|line| line.trim_end_matches(',').parse().unwrap()).collect()
}

#[test]
fn a_files_frames_have_the_times_of_their_places_whatever_speed_they_are_sent_at_and_on_over_a_loop() {
    if !has_programs(&["ffprobe"], "apt-get install ffmpeg") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let file = in_place(&place, "in.y4m");
    let mut bytes = b"YUV4MPEG2 W16 H16 F30000:1001 Cmono\n".to_vec();
    (0..7).for_each(|number| bytes.extend([&b"FRAME\n"[..], &[number; 256]].concat()));
    std::fs::write(&file, bytes).unwrap();
    let server = Server::start(&["--sink", &in_place(&place, "{stream}.nut")]);
    for (name, pace) in [("fast", "max"), ("slow", "200")] {
        let arguments = [&file[..], "--name", name, "--loop", "--frames", "20", "--delivery", "every", "--fps", pace];
        let output = server.client(&arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    server.stop();
    for name in ["fast.nut", "slow.nut"] {
        let times = shown_at(&in_place(&place, name));
        assert_eq!(times.len(), 20, "{name}");
        for (number, time) in times.iter().enumerate() {
            // ffprobe writes microseconds.
            assert!((time - number as f64 * 1001.0 / 30_000.0).abs() < 2e-6, "frame {number} of {name} at {time}");
        }
    }
}
