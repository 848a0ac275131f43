//! Recordings of the real programs: named after their streams, replayed, and left behind by a server that was killed.
#![allow(missing_docs)]

mod running;

use std::path::Path;
use std::process::Command;

use framewire_capture::{SourceOptions, SourceSpec, pattern};
use framewire_transport::frame::FramePool;
use framewire_transport::{FrameFormat, PixelFormat};
use running::{Running, Server, figure, in_dir, path_text, wait_for_bytes};

/// The numbers that the pattern drew into the frames of a file.
fn numbers(path: &Path) -> Vec<u64> {
    let mut source = SourceSpec::File(path.to_owned()).open(&SourceOptions::default()).unwrap();
    let format = source.format();
    let pool = FramePool::new(1, format.frame_bytes()).unwrap();
    let mut frame = pool.try_acquire().unwrap();
    let mut numbers = Vec::new();
    // A file that a crash cut short is said to be: what counts is the whole frames before.
    while let Ok(true) = source.next_frame(&mut frame) {
        numbers.push(pattern::read_frame_number(&frame, &format).expect("a whole frame has its number"));
    }
    numbers
}

fn is_gapless(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[0] + 1 == pair[1])
}

fn names(directory: &tempfile::TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn streams_are_recorded_under_their_names_and_a_hostile_name_stays_in_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(in_dir(&directory, "sinks")).unwrap();
    let out = in_dir(&directory, "sinks/cam-{stream}.y4m");
    let server = Server::start(&["--sink", path_text(&out)]);
    let every = ["pattern:64x48", "--delivery", "every", "--fps", "max", "--frames", "5", "--name"];
    for name in ["front", "front", "../../etc/passwd", "<b>CON</b>"] {
        let sent = server.client(&every).arg(name).output().unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    }
    let unnamed = server.client(&every[..7]).env("FRAMEWIRE_NAME", "rear").output().unwrap();
    assert!(unnamed.status.success());
    let nameless = server.client(&every[..7]).output().unwrap();
    assert!(nameless.status.success());
    server.stop();
    assert_eq!(names(&directory), ["sinks"]);
    let mut files: Vec<_> = std::fs::read_dir(in_dir(&directory, "sinks"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .inspect(|path| assert_eq!(numbers(path), [0, 1, 2, 3, 4], "{}", path.display()))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let is_id = |name: &String| name.len() == 16 && name[4..12].bytes().all(|byte| byte.is_ascii_hexdigit());
    let by_id = files.iter().position(is_id).expect("the stream without a name has its id");
    files.remove(by_id);
    assert_eq!(files, ["cam-b_CON_b.y4m", "cam-etc_passwd.y4m", "cam-front-2.y4m", "cam-front.y4m", "cam-rear.y4m"]);
}

#[test]
fn a_recording_is_sent_again_by_its_name_alone_frame_by_frame() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (in_dir(&directory, "first.raw"), in_dir(&directory, "second.raw"));
    for (source, out, arguments) in [
        ("pattern:64x48:yuv420p", &first, &["--fps", "500", "--frames", "60", "--name", "cam"][..]),
        (path_text(&first), &second, &["--fps", "source"]),
    ] {
        let server = Server::start(&["--sink", path_text(out)]);
        let sent = server.client(&[source, "--delivery", "every", "--json"]).args(arguments).output().unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
        assert_eq!(figure(&sent.stdout, &["frames_delivered"]), 60.0);
        server.stop();
    }
    assert!(std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap());
    let index = std::fs::read_to_string(in_dir(&directory, "first.raw.index")).unwrap();
    assert!(index.starts_with("{\"framewire_index\":1,\"pixel\":\"yuv420p\",\"width\":64,\"height\":48,"), "{index}");
    assert_eq!(index.lines().count(), 61);
    let sent = Command::new(env!("CARGO_BIN_EXE_framewire-client"))
        .args([path_text(&first), "--raw-format", "48x64:yuv420p"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert_eq!(sent.status.code(), Some(2), "{said}");
    assert!(said.contains("64x48 yuv420p") && said.contains("48x64 yuv420p"), "{said}");
}

#[test]
fn a_recording_goes_on_in_parts_that_each_open_by_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let (raw, y4m) = (in_dir(&directory, "out.raw"), in_dir(&directory, "{stream}-{part}.y4m"));
    let server = Server::start(&["--sink", path_text(&raw), "--sink", path_text(&y4m), "--roll", "40kB,10min"]);
    let stream = ["pattern:64x48", "--delivery", "every", "--fps", "max", "--frames", "30", "--name", "cam"];
    assert!(server.client(&stream).status().unwrap().success());
    let said = server.stop();
    assert!(said.contains("recorded  30 frames") && said.contains("(3 files)"), "{said}");
    for parts in
        [["out-part0001.raw", "out-part0002.raw", "out-part0003.raw"], ["cam-0001.y4m", "cam-0002.y4m", "cam-0003.y4m"]]
    {
        let parts: Vec<u64> = parts.iter().flat_map(|name| numbers(&in_dir(&directory, name))).collect();
        assert_eq!(parts, (0..30).collect::<Vec<_>>());
    }
    assert_eq!(names(&directory).len(), 9);
}

#[test]
fn a_server_that_is_killed_leaves_recordings_that_open() {
    let directory = tempfile::tempdir().unwrap();
    let (raw, y4m) = (in_dir(&directory, "out.raw"), in_dir(&directory, "out.y4m"));
    let mut server = Server::start(&["--sink", path_text(&raw), "--sink", path_text(&y4m), "-v"]);
    let stream = ["pattern:640x480", "--delivery", "every", "--fps", "max"];
    let client = Running::start(&mut server.client(&stream));
    server.running.wait_for("open");
    wait_for_bytes(&raw, 100 * 640 * 480);
    wait_for_bytes(&y4m, 100 * 640 * 480);
    server.running.kill();
    client.kill();
    for path in [&raw, &y4m] {
        let numbers = numbers(path);
        assert!(numbers.len() >= 99 && is_gapless(&numbers), "{}: {numbers:?}", path.display());
    }
    // The client replays it, which no torn line and no frame without its line keeps it from.
    let replay = Server::start(&["--sink", path_text(&in_dir(&directory, "again.raw"))]);
    let sent = replay.client(&[path_text(&raw), "--fps", "max", "--json"]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_eq!(figure(&sent.stdout, &["frames_delivered"]), numbers(&raw).len() as f64);
    replay.stop();
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "csv=p=0", "-show_entries", "stream=width,height,nb_read_frames"])
        .arg(&y4m)
        .output();
    match probe {
        Err(_) => framewire_testing::skip("there is no ffprobe here; apt-get install ffmpeg"),
        Ok(probe) => {
            let said = String::from_utf8_lossy(&probe.stdout).trim().to_owned();
            let frames: usize = said.strip_prefix("640,480,").and_then(|count| count.parse().ok()).unwrap_or_default();
            // A frame that was begun counts for it.
            assert!((numbers(&y4m).len()..=numbers(&y4m).len() + 1).contains(&frames), "ffprobe says '{said}'");
        }
    }
}

#[test]
fn a_pattern_recorded_fresh_keeps_the_numbers_of_its_sender() {
    let directory = tempfile::tempdir().unwrap();
    let out = in_dir(&directory, "out.raw");
    let server = Server::start(&["--sink", path_text(&out), "--json"]);
    let sent = server.client(&["pattern:64x48", "--fps", "1000", "--frames", "300"]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    server.stop();
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let (frames, index) =
        (std::fs::read(&out).unwrap(), std::fs::read_to_string(in_dir(&directory, "out.raw.index")).unwrap());
    let lines: Vec<serde_json::Value> = index.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), frames.len() / format.frame_bytes());
    let mut before = None;
    for (line, frame) in lines.iter().zip(frames.chunks(format.frame_bytes())) {
        assert_eq!(line["frame"].as_u64(), pattern::read_frame_number(frame, &format));
        let time = line["captured_us"].as_u64();
        assert!(time >= before && time.is_some(), "{before:?} before {time:?}");
        before = time;
    }
}

/// A disk that stands still: a pipe that is read of only when the client is done.
#[test]
fn a_sink_that_stands_still_costs_recorded_frames_and_no_live_one() {
    let directory = tempfile::tempdir().unwrap();
    let (slow, good) = (in_dir(&directory, "slow.raw"), in_dir(&directory, "good.raw"));
    assert!(Command::new("mkfifo").arg(&slow).status().unwrap().success());
    let sinks = ["--sink", path_text(&slow), "--sink", path_text(&good), "--slow-sink", "drop", "--json"];
    let server = Server::start(&sinks);
    let stream = ["pattern:640x480", "--delivery", "every", "--fps", "max", "--frames", "500", "--json"];
    let sent = server.client(&stream).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_eq!(figure(&sent.stdout, &["frames_delivered"]), 500.0);
    let read = std::fs::read(&slow).unwrap();
    server.running.interrupt();
    let (code, said, summary) = server.running.wait();
    assert_eq!(code, Some(0), "{said}");
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    let of = |sink: usize, what: &str| summary["sinks"][sink][what].as_u64().unwrap();
    assert_eq!(of(0, "frames") * 640 * 480, read.len() as u64);
    assert_eq!(of(0, "frames") + of(0, "frames_dropped"), 500);
    assert!(of(0, "frames_dropped") > 400 && said.contains("is too slow"), "{said}");
    assert_eq!(of(1, "frames") + of(1, "frames_dropped"), 500);
    let recorded = numbers(&good);
    assert!(recorded.len() as u64 == of(1, "frames") && recorded.windows(2).all(|pair| pair[0] < pair[1]));
}
