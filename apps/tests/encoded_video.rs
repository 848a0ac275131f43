//! Encoded video through the real programs, against what OpenCV decodes by itself. Needs the feature `opencv`.
#![cfg(feature = "opencv")]
#![allow(missing_docs)]

mod running;

use opencv::core::{Mat, Scalar, Size};
use opencv::prelude::*;
use opencv::{imgproc, videoio};
use running::{Server, figure, in_dir, path_text};

const FRAMES: i32 = 40;

/// A moving square, encoded by OpenCV; true where this OpenCV has the codec.
fn encode(path: &std::path::Path, codec: [char; 4]) -> bool {
    let size = Size::new(320, 240);
    let [a, b, c, d] = codec;
    let fourcc = videoio::VideoWriter::fourcc(a, b, c, d).unwrap();
    let mut writer = videoio::VideoWriter::new(path_text(path), fourcc, 25.0, size, true).unwrap();
    if !writer.is_opened().unwrap() {
        return false;
    }
    for number in 0..FRAMES {
        let mut picture =
            Mat::new_size_with_default(size, opencv::core::CV_8UC3, Scalar::new(40.0, 90.0, 10.0, 0.0)).unwrap();
        let square = opencv::core::Rect::new(number * 6, 60, 50, 50);
        imgproc::rectangle(&mut picture, square, Scalar::new(200.0, f64::from(number * 5), 255.0, 0.0), -1, 8, 0)
            .unwrap();
        writer.write(&picture).unwrap();
    }
    writer.release().unwrap();
    true
}

/// What OpenCV decodes, frames back to back.
fn decode(path: &std::path::Path) -> Vec<u8> {
    let mut capture = videoio::VideoCapture::from_file(path_text(path), videoio::CAP_ANY).unwrap();
    let (mut picture, mut pictures) = (Mat::default(), Vec::new());
    while capture.read(&mut picture).unwrap() {
        pictures.extend_from_slice(picture.data_bytes().unwrap());
    }
    pictures
}

#[test]
fn an_encoded_video_arrives_byte_for_byte_as_opencv_decodes_it() {
    let directory = tempfile::tempdir().unwrap();
    for (name, codec) in [("in.mp4", ['m', 'p', '4', 'v']), ("in.avi", ['M', 'J', 'P', 'G'])] {
        let (source, out) = (in_dir(&directory, name), in_dir(&directory, &format!("{name}.raw")));
        assert!(encode(&source, codec), "this OpenCV cannot write {name}");
        let expected = decode(&source);
        assert_eq!(expected.len(), FRAMES as usize * 320 * 240 * 3);
        let server = Server::start(&["--sink", path_text(&out)]);
        let arguments = [path_text(&source), "--delivery", "every", "--fps", "max", "--json"];
        let output = server.client(&arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(figure(&output.stdout, &["frames_delivered"]), f64::from(FRAMES));
        server.stop();
        assert!(std::fs::read(&out).unwrap() == expected, "{name} differs");
    }
}

#[test]
fn an_h264_file_arrives_byte_for_byte_as_opencv_decodes_it() {
    let directory = tempfile::tempdir().unwrap();
    let (source, out) = (in_dir(&directory, "in.mp4"), in_dir(&directory, "out.raw"));
    let encoded = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25", "-frames:v", "40"])
        .args(["-c:v", "libx264", "-pix_fmt", "yuv420p", path_text(&source)])
        .status();
    if !encoded.is_ok_and(|status| status.success()) {
        framewire_testing::skip("no ffmpeg with libx264 here; apt-get install ffmpeg");
        return;
    }
    let expected = decode(&source);
    assert_eq!(expected.len(), 40 * 320 * 240 * 3);
    let server = Server::start(&["--sink", path_text(&out)]);
    let output = server.client(&[path_text(&source), "--delivery", "every", "--fps", "max"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.stop();
    assert!(std::fs::read(&out).unwrap() == expected);
}

#[test]
fn a_stream_is_recorded_as_video_that_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["out.avi", "out.mp4"] {
        let out = in_dir(&directory, name);
        let server = Server::start(&["--sink", path_text(&out)]);
        let stream = ["pattern:320x240:bgr24", "--frames", "30", "--fps", "max", "--delivery", "every"];
        let output = server.client(&stream).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        server.stop();
        assert_eq!(decode(&out).len(), 30 * 320 * 240 * 3, "{name}");
    }
}

/// What a killed server leaves of encoded video: the parts it had ended. An MP4 has its table of contents at its end, so that the
/// last part of it is lost; the frames of an AVI can be found without one.
#[test]
fn a_server_that_is_killed_leaves_the_ended_parts_of_encoded_video() {
    let directory = tempfile::tempdir().unwrap();
    let (mp4, avi) = (in_dir(&directory, "out.mp4"), in_dir(&directory, "out.avi"));
    let sinks = ["--sink", path_text(&mp4), "--sink", path_text(&avi), "--roll", "300kB"];
    let server = Server::start(&sinks);
    let stream = ["pattern:320x240:bgr24", "--fps", "max", "--delivery", "every"];
    let client = running::Running::start(&mut server.client(&stream));
    // The part before the newest may be on its way out still.
    framewire_testing::wait_until("a fourth part of each", || {
        ["out-part0004.mp4", "out-part0004.avi"].iter().all(|name| in_dir(&directory, name).exists())
    });
    server.running.kill();
    client.kill();
    for name in ["out-part0001.mp4", "out-part0002.mp4", "out-part0001.avi", "out-part0002.avi"] {
        let frames = decode(&in_dir(&directory, name)).len() / (320 * 240 * 3);
        assert!(frames > 0, "{name} does not open");
    }
}
