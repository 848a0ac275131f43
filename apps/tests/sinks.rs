//! Sinks that cannot be, that fail while streams live, and viewers who leave: what is told, and what goes on.
#![allow(missing_docs)]

mod http;
mod running;

use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use framewire_testing::wait_for;
use http::get;
use running::{Running, Server, figure, in_dir, path_text, program, run};

const FRAME: usize = 64 * 48;
const ANYWHERE: [&str; 4] = ["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0"];

/// What the server says at a path, once it is as it should be.
fn said_at_last(server: &Server, path: &str, is_right: impl Fn(&str) -> bool) -> String {
    wait_for(format_args!("{path} says so"), || {
        let body = get(&server.signal, path, &[]).body;
        if is_right(&body) { Ok(body) } else { Err(body) }
    })
}

fn camera(server: &Server, more: &[&str]) -> Running {
    let arguments: Vec<&str> = ["pattern:64x48", "--fps", "100"].iter().chain(more).copied().collect();
    Running::start(&mut server.client(&arguments))
}

fn send(server: &Server, name: &str, frames: &str) {
    let every = ["pattern:64x48", "--delivery", "every", "--fps", "max", "--name", name, "--frames", frames];
    let sent = server.client(&every).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
}

fn files(directory: &tempfile::TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn mkfifo(path: &Path) {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn a_place_that_cannot_be_recorded_to_is_refused_before_the_server_says_that_it_listens() {
    let directory = tempfile::tempdir().unwrap();
    let place = in_dir(&directory, "no/such/place/{stream}.raw");
    let refused = run("framewire-server", &[&ANYWHERE[..], &["--sink", path_text(&place)]].concat());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("no/such/place") && said.contains("mkdir -p") && !said.contains("listening"), "{said}");
    let settings = in_dir(&directory, "framewire.toml");
    std::fs::write(&settings, "[server]\nsink = \"~/x.y4m\"\n").unwrap();
    let refused = run("framewire-server", &["--config", path_text(&settings)]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("line 2") && said.contains("write the whole path"), "{said}");
}

#[test]
fn a_recording_that_fails_is_seen_wherever_somebody_looks_and_goes_on_when_its_place_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let place = in_dir(&directory, "gone");
    std::fs::create_dir(&place).unwrap();
    let sink = place.join("{stream}.y4m");
    let mut server = Server::start(&["--sink", path_text(&sink)]);
    std::fs::remove_dir(&place).unwrap();
    let mut client = camera(&server, &["--name", "cam", "--json"]);
    let health = said_at_last(&server, "/healthz", |said| said.starts_with("degraded: "));
    assert!(!health.contains("gone"), "who may not look is told no path: {health}");
    let metrics =
        said_at_last(&server, "/metrics", |said| said.contains("cause=\"failed\"} ") && !said.contains("failed\"} 0"));
    assert!(metrics.contains("framewire_stream_sink_failing{stream=\"cam\""), "{metrics}");
    let streams = get(&server.signal, "/api/streams", &[]).body;
    assert!(streams.contains("\"state\":\"failed\"") && streams.contains("cannot create"), "{streams}");
    client.wait_for("the server does not record all of this stream");
    server.running.wait_for("is not recorded");
    std::fs::create_dir(&place).unwrap();
    said_at_last(&server, "/healthz", |said| said == "ok\n");
    server.running.wait_for("is recorded again");
    client.interrupt();
    let (code, said, summary) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(figure(&summary, &["frames_unrecorded"]) > 0.0);
    server.running.interrupt();
    let (code, said, _) = server.running.wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not recorded: failed 1 times, went on 1 times"), "{said}");
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1);
}

#[test]
fn the_end_of_the_stream_on_standard_output_ends_no_other_and_the_next_follows_there() {
    let directory = tempfile::tempdir().unwrap();
    let sink = in_dir(&directory, "{stream}.raw");
    let mut server = Server::start(&["--sink", "-", "--sink", path_text(&sink)]);
    let reader = read_all(&mut server);
    let first = camera(&server, &["--name", "one"]);
    said_at_last(&server, "/api/streams", is_the_one_shown);
    let second = camera(&server, &["--name", "two", "--delivery", "every"]);
    said_at_last(&server, "/api/streams", |streams| streams.contains("\"state\":\"waiting\""));
    first.interrupt();
    assert_eq!(first.wait().0, Some(0));
    // The turn of the second has come.
    said_at_last(&server, "/api/streams", is_the_one_shown);
    second.interrupt();
    assert_eq!(second.wait().0, Some(0));
    send(&server, "three", "5");
    let said = server.stop();
    assert!(said.contains("is written to by another stream"), "{said}");
    check_shown(&reader.join().unwrap());
    let recorded = std::fs::metadata(in_dir(&directory, "three.raw")).unwrap().len();
    assert_eq!(recorded, 5 * FRAME as u64);
}

#[test]
fn a_viewer_who_leaves_costs_the_recording_no_frame() {
    let directory = tempfile::tempdir().unwrap();
    let sink = in_dir(&directory, "{stream}.raw");
    let mut server = Server::start(&["--sink", "-", "--sink", path_text(&sink)]);
    let mut stdout = server.running.take_stdout();
    let client = camera(&server, &["--name", "cam", "--delivery", "every", "--frames", "90"]);
    let mut some = [0; 3 * FRAME];
    stdout.read_exact(&mut some).unwrap();
    drop(stdout);
    let (code, said, _) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    server.running.wait_for("it is left, and all else goes on");
    send(&server, "later", "7");
    server.stop();
    for (name, frames) in [("cam.raw", 90), ("later.raw", 7)] {
        assert_eq!(std::fs::metadata(in_dir(&directory, name)).unwrap().len(), frames * FRAME as u64);
    }
}

#[test]
fn a_camera_that_is_killed_and_starts_again_goes_on_on_standard_output_and_one_of_another_size_is_told() {
    let mut server = Server::start(&["--sink", "-"]);
    let reader = read_all(&mut server);
    let mut killed = camera(&server, &["--name", "cam", "-v"]);
    killed.wait_for("feedback");
    killed.kill();
    let mut again = camera(&server, &["--name", "cam", "-v"]);
    again.wait_for("feedback");
    said_at_last(&server, "/api/streams", is_the_one_shown);
    let other = Running::start(&mut server.client(&["pattern:32x32", "--fps", "100", "--name", "other"]));
    again.kill();
    server.running.wait_for("goes on with pictures as they were");
    other.interrupt();
    assert_eq!(other.wait().0, Some(0));
    server.stop();
    check_shown(&reader.join().unwrap());
}

/// What comes out of standard output, once that has ended.
fn read_all(server: &mut Server) -> std::thread::JoinHandle<Vec<u8>> {
    let mut stdout = server.running.take_stdout();
    std::thread::spawn(move || {
        let mut shown = Vec::new();
        stdout.read_to_end(&mut shown).map(|_| shown).unwrap()
    })
}

/// Whether there is one stream, whose first sink has taken frames and takes more.
fn is_the_one_shown(streams: &str) -> bool {
    let all: serde_json::Value = serde_json::from_str(streams).unwrap();
    let (streams, sink) = (all["streams"].as_array().unwrap(), &all["streams"][0]["sinks"][0]);
    streams.len() == 1 && sink["state"] == "recording" && sink["frames"].as_u64() > Some(0)
}

/// One header, and whole frames after it.
fn check_shown(shown: &[u8]) {
    assert!(shown.starts_with(b"YUV4MPEG2"));
    let header = 1 + shown.iter().position(|byte| *byte == b'\n').unwrap();
    let mut frames = shown[header..].chunks(6 + FRAME);
    assert!(frames.len() > 1 && frames.all(|frame| frame.starts_with(b"FRAME\n") && frame.len() == 6 + FRAME));
}

#[test]
fn a_named_pipe_is_one_streams_at_a_time_and_is_opened_again_for_its_next_reader() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = in_dir(&directory, "pipe.raw");
    mkfifo(&pipe);
    let sink = in_dir(&directory, "{stream}.raw");
    let server = Server::start(&["--sink", path_text(&pipe), "--sink", path_text(&sink), "--roll", "10min"]);
    let client = camera(&server, &["--name", "one", "--delivery", "every"]);
    let mut frame = [0; FRAME];
    for _ in 0..2 {
        // The second reader comes when the first has left, and the stream has gone on meanwhile.
        let mut reader = std::fs::File::open(&pipe).unwrap();
        reader.read_exact(&mut frame).unwrap();
        drop(reader);
        said_at_last(&server, "/api/streams", |said| said.contains("\"state\":\"waiting\""));
    }
    let mut reader = std::fs::File::open(&pipe).unwrap();
    reader.read_exact(&mut frame).unwrap();
    send(&server, "two", "9");
    let reading = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    client.interrupt();
    assert_eq!(client.wait().0, Some(0));
    let said = server.stop();
    assert!(said.contains("is written to by another stream"), "{said}");
    reading.join().unwrap().unwrap();
    let there = files(&directory);
    assert!(
        there.contains(&"two-part0001.raw".to_owned()) && there.contains(&"one-part0001.raw".to_owned()),
        "{there:?}"
    );
    assert_eq!(there.iter().filter(|name| name.starts_with("pipe")).count(), 1, "no file beside the pipe: {there:?}");
}

#[test]
fn what_an_earlier_run_recorded_is_left_and_the_next_number_taken() {
    let directory = tempfile::tempdir().unwrap();
    let out = in_dir(&directory, "out.y4m");
    for frames in ["3", "4", "5"] {
        let server = Server::start(&["--sink", path_text(&out)]);
        send(&server, "cam", frames);
        server.stop();
    }
    assert_eq!(files(&directory), ["out-2.y4m", "out-3.y4m", "out.y4m"]);
    let bytes = |name: &str| std::fs::metadata(in_dir(&directory, name)).unwrap().len() as usize;
    let header = bytes("out.y4m") - 3 * (6 + FRAME);
    assert_eq!((bytes("out-2.y4m"), bytes("out-3.y4m")), (header + 4 * (6 + FRAME), header + 5 * (6 + FRAME)));
    let mode = std::fs::metadata(&out).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & !0o640, 0, "a recording is no matter of others: {mode:o}");
}

#[test]
fn a_sink_of_any_bytes_is_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let name = std::ffi::OsString::from_vec(b"caf\xe9-{stream}.y4m".to_vec());
    let mut command = program("framewire-server");
    command.args(ANYWHERE).arg("--sink").arg(directory.path().join(name));
    let mut running = Running::start(&mut command);
    let line = running.wait_for("listening on http://");
    let (signal, udp) = line.split_once("http://").unwrap().1.split_once(" (Socket.IO) and UDP ").unwrap();
    let server = Server { running, scheme: "http".to_owned(), signal: signal.to_owned(), udp: udp.to_owned() };
    send(&server, "cam", "3");
    server.stop();
    let expected = std::ffi::OsString::from_vec(b"caf\xe9-cam.y4m".to_vec());
    assert!(directory.path().join(expected).is_file(), "{:?}", files(&directory));
}

#[test]
fn a_stream_that_lived_between_two_scrapes_is_in_the_servers_totals() {
    let server = Server::start(&[]);
    for _ in 0..2 {
        send(&server, "short", "30");
    }
    let said = said_at_last(&server, "/metrics", |said| said.contains("framewire_streams 0\n"));
    for line in ["framewire_server_frames_delivered_total 60", "framewire_server_received_bytes_total 184320"] {
        assert!(said.lines().any(|said| said == line), "no '{line}' in {said}");
    }
    assert!(!said.contains("stream=\"short\""), "{said}");
    server.stop();
}

/// As README's table says.
#[test]
fn a_server_ends_with_the_code_that_fits_what_became_of_its_recordings() {
    let directory = tempfile::tempdir().unwrap();
    let (full, good) = (in_dir(&directory, "full.raw"), in_dir(&directory, "{stream}.raw"));
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    for (arguments, code) in [
        (vec!["--sink", path_text(&good)], 0),
        (vec!["--sink", path_text(&good), "--frames", "5"], 0),
        (vec!["--sink", path_text(&good), "--sink", path_text(&full)], 1),
        (vec!["--sink", path_text(&full), "--frames", "1000"], 1),
    ] {
        let server = Server::start(&arguments);
        let every = ["pattern:64x48", "--delivery", "every", "--fps", "max", "--frames", "20"];
        let client = Running::start(&mut server.client(&every));
        if arguments.contains(&"--frames") {
            // It ends by itself; its client would wait for another.
            let (ended, said, _) = server.running.wait();
            assert_eq!(ended, Some(code), "{arguments:?}: {said}");
            client.kill();
            continue;
        }
        assert_eq!(client.wait().0, Some(0));
        server.running.interrupt();
        let (ended, said, _) = server.running.wait();
        assert_eq!(ended, Some(code), "{arguments:?}: {said}");
    }
}
