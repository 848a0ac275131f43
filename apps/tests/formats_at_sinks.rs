//! What each sink does with formats that Y4M cannot hold, by the real programs: pipes into ffmpeg, refusals, pictures.
#![allow(missing_docs)]

mod running;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use framewire_capture::pattern;
use framewire_testing::has_programs;
use framewire_transport::{FrameFormat, PixelFormat};
use running::{Running, Server, in_dir, path_text};

const FRAMES: u64 = 12;

/// Frames of the pattern, back to back.
fn make_raw(path: &Path, pixel: PixelFormat) -> Vec<Vec<u8>> {
    let format = FrameFormat::new(pixel, 64, 48).unwrap();
    let drawn = (0..FRAMES).map(|number| {
        let mut frame = vec![0; format.frame_bytes()];
        pattern::draw(&mut frame, &format, number).unwrap();
        frame
    });
    let frames: Vec<_> = drawn.collect();
    std::fs::write(path, frames.concat()).unwrap();
    frames
}

/// Sends a raw file of such frames at 30000/1001 a second; the server, whose only sink is standard output, ends with it. Returns what
/// came out.
fn piped(sink: &str, pixel: PixelFormat) -> (Vec<Vec<u8>>, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let source = in_dir(&directory, "in.bin");
    let frames = make_raw(&source, pixel);
    let mut server = Server::start(&["--sink", sink]);
    let mut stdout = server.running.take_stdout();
    let reader = std::thread::spawn(move || {
        let mut shown = Vec::new();
        stdout.read_to_end(&mut shown).map(|_| shown).unwrap()
    });
    let format = format!("64x48:{pixel}@30000/1001");
    let sent = server.client(&[path_text(&source), "--raw-format", &format, "--fps", "max"]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let (code, said, _) = server.running.wait();
    assert_eq!(code, Some(0), "{said}");
    (frames, reader.join().unwrap())
}

/// Frames that the first sink of a summary did not take.
fn frames_failed(summary: &[u8]) -> u64 {
    let summary: serde_json::Value = serde_json::from_slice(summary).unwrap();
    summary["sinks"][0]["frames_failed"].as_u64().unwrap()
}

/// Runs ffmpeg with these bytes on its standard input.
fn ffmpeg(input: &[u8], arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i", "-"]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn nut_on_standard_output_is_in_ffmpeg_what_was_sent_each_frame_at_its_time() {
    if !has_programs(&["ffmpeg"], "apt-get install ffmpeg") {
        return;
    }
    for (sink, pixel) in [("-:nut", PixelFormat::Bgr24), ("-:nut", PixelFormat::Gray16), ("-", PixelFormat::BayerRggb8)]
    {
        let (frames, shown) = piped(sink, pixel);
        let hold = ["-fps_mode", "passthrough", "-f", "rawvideo", "-"];
        assert!(ffmpeg(&shown, &hold) == frames.concat(), "{pixel} at {sink}");
        // Whole frames of the source's rate, as its place in the file has them.
        let said = String::from_utf8(ffmpeg(&shown, &["-f", "framemd5", "-"])).unwrap();
        assert!(said.contains("#tb 0: 1001/30000"), "{said}");
        let times =
            said.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(',').nth(2).unwrap().trim());
        let times: Vec<u64> = times.map(|time| time.parse().unwrap()).collect();
        assert_eq!(times, (0..FRAMES).collect::<Vec<_>>(), "{said}");
    }
}

#[test]
fn standard_output_is_y4m_where_that_holds_the_stream_and_nut_where_not_and_raw_is_the_bytes_alone() {
    let (frames, shown) = piped("-", PixelFormat::Yuv420p10);
    assert!(shown.starts_with(b"YUV4MPEG2 W64 H48 F30000:1001 ") && shown.ends_with(frames.last().unwrap()));
    let (_, shown) = piped("-", PixelFormat::Nv12);
    assert!(shown.starts_with(b"nut/multimedia container\0"));
    for pixel in [PixelFormat::Bgr24, PixelFormat::P010, PixelFormat::Mono12p] {
        let format = FrameFormat::new(pixel, 64, 48).unwrap();
        if pattern::draw(&mut vec![0; format.frame_bytes()], &format, 0).is_ok() {
            let (frames, shown) = piped("-:raw", pixel);
            assert!(shown == frames.concat(), "{pixel}");
        }
    }
}

#[test]
fn a_reader_of_nut_that_goes_away_ends_the_server_that_only_shows() {
    let mut server = Server::start(&["--sink", "-:nut"]);
    let mut stdout = server.running.take_stdout();
    let stream = ["pattern:64x48:bgr24", "--fps", "200", "--delivery", "every"];
    let client = Running::start(&mut server.client(&stream));
    let mut some = [0; 100_000];
    stdout.read_exact(&mut some).unwrap();
    drop(stdout);
    let (code, said, _) = server.running.wait();
    assert_eq!(code, Some(0), "{said}");
    client.kill();
}

#[test]
fn a_stream_that_no_sink_can_hold_is_refused_and_beside_one_that_can_the_other_alone_fails() {
    let directory = tempfile::tempdir().unwrap();
    let (y4m, raw) = (in_dir(&directory, "out.y4m"), in_dir(&directory, "out.raw"));
    let stream = ["pattern:64x48:bgr24", "--frames", "5", "--delivery", "every", "--fps", "max"];
    let server = Server::start(&["--sink", path_text(&y4m)]);
    let output = server.client(&stream).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let reason =
        "no --sink of framewire-server can take the stream: Y4M cannot hold 64x48 bgr24 unchanged; use FILE.nut, -:nut";
    assert!(said.contains(reason), "{said}");
    // What it can hold, it takes.
    let gray = ["pattern:64x48:gray12", "--frames", "5", "--delivery", "every", "--fps", "max"];
    assert!(server.client(&gray).output().unwrap().status.success());
    server.stop();
    let gray_bytes = std::fs::metadata(&y4m).unwrap().len();
    assert!(gray_bytes > 5 * 64 * 48 * 2, "{gray_bytes}");

    let mut command = running::program("framewire-server");
    command.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--json"]);
    let server = Server::start_by(command.args(["--sink", path_text(&y4m), "--sink", path_text(&raw)]));
    assert!(server.client(&stream).output().unwrap().status.success());
    server.running.interrupt();
    let (code, said, summary) = server.running.wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is not recorded") && said.contains("Y4M cannot hold 64x48 bgr24"), "{said}");
    assert_eq!(frames_failed(&summary), 5);
    assert_eq!(std::fs::metadata(&raw).unwrap().len(), 5 * 64 * 48 * 3);
    assert_eq!(std::fs::metadata(&y4m).unwrap().len(), gray_bytes);
}

#[test]
fn pictures_are_made_of_every_nth_frame_and_read_back_as_the_pattern() {
    let directory = tempfile::tempdir().unwrap();
    let (png, tif) = (in_dir(&directory, "{stream}-{frame}.png"), in_dir(&directory, "{frame}.tif"));
    let sinks = ["--sink", path_text(&png), "--sink", path_text(&tif), "--picture-every", "4"];
    let server = Server::start(&sinks);
    let stream = ["pattern:160x120:rgb24", "--frames", "10", "--delivery", "every", "--fps", "max", "--name", "cam"];
    assert!(server.client(&stream).output().unwrap().status.success());
    server.stop();
    let mut names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["000000.tif", "000004.tif", "000008.tif", "cam-000000.png", "cam-000004.png", "cam-000008.png"]);
    let format = FrameFormat::new(PixelFormat::Rgb24, 160, 120).unwrap();
    let options = framewire_capture::SourceOptions::default();
    for (name, number) in [("000008.tif", 8), ("cam-000004.png", 4)] {
        let spec = framewire_capture::SourceSpec::File(directory.path().join(name));
        let mut source = spec.open(&options).unwrap();
        let pool = framewire_transport::frame::FramePool::for_format(1, format).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        assert!(source.next_frame(&mut frame).unwrap());
        assert_eq!(pattern::read_frame_number(&frame, &source.format()), Some(number), "{name}");
    }
}
