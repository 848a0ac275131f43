//! `framewire watch` as a user runs it: beside a server and a client, each a process of its own.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use std::io::{Read, Write};
use std::process::{ChildStdin, Stdio};

use framewire_capture::pattern;
use framewire_testing::wait_for;
use framewire_transport::{FrameFormat, PixelFormat};
use running::{Running, Server, figure, in_dir, make_y4m, path_text, program};

const SIZE: (u32, u32) = (64, 48);
const FRAME: usize = 64 * 48;

/// A server that shares on a socket of the test's own.
fn server(socket: &str, arguments: &[&str]) -> Server {
    Server::start(&[&["--share", socket], arguments].concat())
}

fn watch(arguments: &[&str]) -> Running {
    Running::start(program("framewire").arg("watch").args(arguments))
}

/// A client whose frames come when the test writes them.
struct Fed {
    client: Running,
    stdin: ChildStdin,
    /// What it has not been given yet.
    rest: Vec<u8>,
}

/// Bytes of a frame in Y4M.
const FRAME_IN_FILE: usize = FRAME + b"FRAME\n".len();

impl Fed {
    /// Begins to send these frames, as a stream of which nothing is lost.
    fn start(server: &Server, file: &[u8]) -> Self {
        let mut command = server.client(&["-", "--name", "front", "--delivery", "every", "--fps", "max"]);
        let mut client = Running::start(command.stdin(Stdio::piped()));
        let stdin = client.take_stdin();
        let mut fed = Self { client, stdin, rest: file.to_vec() };
        let header = file.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        fed.write(header + FRAME_IN_FILE);
        fed
    }

    fn write(&mut self, bytes: usize) {
        self.stdin.write_all(&self.rest[..bytes]).unwrap();
        self.rest.drain(..bytes);
    }

    /// Sends the rest, and closes the stream.
    fn finish(mut self) {
        self.write(self.rest.len());
        let Self { client, stdin, .. } = self;
        drop(stdin);
        let (code, said, _) = client.wait();
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn every_frame_is_in_a_file_of_another_process_byte_for_byte_and_the_end_of_the_stream_is_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, source, out) =
        (in_dir(&directory, "s.sock"), in_dir(&directory, "in.y4m"), in_dir(&directory, "out.raw"));
    let pictures = make_y4m(&source, PixelFormat::Gray8, SIZE, 100);
    let server = server(path_text(&socket), &["--share-block"]);
    let client = Fed::start(&server, &std::fs::read(&source).unwrap());
    let mut watch =
        watch(&["front", "--share", path_text(&socket), "--policy", "block", "--sink", path_text(&out), "--json"]);
    watch.wait_for("reading stream \"front\", 64x48 gray8");
    client.finish();
    let (code, said, json) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
    let recorded = std::fs::read(&out).unwrap();
    // The first may have been there before it read.
    assert!(pictures.ends_with(&recorded), "{} bytes", recorded.len());
    let frames = (recorded.len() / FRAME) as f64;
    assert!(frames >= 99.0, "{frames}");
    let json = |path: &[&str]| figure(&json, path);
    assert_eq!((json(&["frames_delivered"]), json(&["bytes"])), (frames, recorded.len() as f64));
    assert_eq!((json(&["offered"]), json(&["taken"]), json(&["dropped"])), (frames, frames, 0.0));
    server.stop();
}

#[test]
fn a_stream_that_is_not_there_is_waited_for_and_an_interrupt_ends_with_a_summary() {
    let directory = tempfile::tempdir().unwrap();
    let socket = in_dir(&directory, "s.sock");
    let mut watch = watch(&["front", "--share", path_text(&socket), "--json"]);
    watch.wait_for("waiting for stream \"front\": no hub can be asked; no hub listens on");
    let server = server(path_text(&socket), &[]);
    let client = ["pattern:64x48", "--name", "front", "--fps", "100"];
    let _client = Running::start(&mut server.client(&client));
    watch.wait_for("reading stream \"front\"");
    watch.interrupt();
    let (code, said, json) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("no stream is shared"), "what is waited for is said once: {said}");
    let of = |key| figure(&json, &[key]);
    assert_eq!(of("taken"), of("frames_delivered"));
    assert!(of("offered") >= of("taken") + of("dropped"));
}

#[test]
fn what_is_not_waited_for_ends_at_once_and_says_what_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let socket = in_dir(&directory, "s.sock");
    let ended = |arguments: &[&str]| {
        let (code, said, out) = watch(&[&["--share", path_text(&socket), "--no-wait"], arguments].concat()).wait();
        assert!(out.is_empty());
        (code, said)
    };
    let (code, said) = ended(&["front"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("stream \"front\" is not there: no hub can be asked"), "{said}");
    let server = server(path_text(&socket), &[]);
    let (code, said) = ended(&[]);
    assert!(code == Some(1) && said.contains("a stream is not there: no stream is shared"), "{said}");
    let client = |name| Running::start(&mut server.client(&["pattern:64x48", "--fps", "30", "--name", name, "-v"]));
    let mut clients = [client("rear"), client("side")];
    clients.iter_mut().for_each(|client| drop(client.wait_for("feedback: frame ")));
    let (code, said) = ended(&["front"]);
    assert!(code == Some(1) && said.contains("these are shared: \"rear\", \"side\""), "{said}");
    let (code, said) = ended(&[]);
    assert!(code == Some(2) && said.contains("several streams are shared: \"rear\", \"side\"; say which"), "{said}");
}

#[test]
fn a_server_that_does_not_wait_for_readers_says_by_which_flag_it_would() {
    let directory = tempfile::tempdir().unwrap();
    let socket = in_dir(&directory, "s.sock");
    let server = server(path_text(&socket), &[]);
    let _client = Running::start(&mut server.client(&["pattern:64x48", "--fps", "30", "--name", "front"]));
    let refused = watch(&["front", "--share", path_text(&socket), "--policy", "block"]);
    let (code, said, _) = refused.wait();
    assert!(code == Some(1) && said.contains("--share-block"), "{said}");
    let (code, said, _) = watch(&["--policy", "queue:9"]).wait();
    assert!(code == Some(2) && said.contains("queue:1 to queue:8"), "{said}");
}

#[test]
fn a_server_that_was_killed_is_read_on_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let socket = in_dir(&directory, "s.sock");
    let server = server(path_text(&socket), &[]);
    let (signal, udp) = (server.signal.clone(), server.udp.clone());
    let _client = Running::start(&mut server.client(&[
        "pattern:64x48",
        "--fps",
        "100",
        "--delivery",
        "latest",
        "--name",
        "front",
    ]));
    let mut watch = watch(&["front", "--share", path_text(&socket), "--sink", "-:raw"]);
    let mut frames = watch.take_stdout();
    let format = FrameFormat::new(PixelFormat::Gray8, SIZE.0, SIZE.1).unwrap();
    let mut next = || {
        let mut frame = [0; FRAME];
        frames.read_exact(&mut frame).unwrap();
        pattern::read_frame_number(&frame, &format).expect("a frame is whole")
    };
    let first = next();
    server.running.kill();
    watch.wait_for("is gone; it is read on when that is back");
    let _server = Server::start_at(&signal, &udp, &["--share", path_text(&socket)]);
    // What waited in the pipe was of the first run.
    let mut last = first;
    for _ in 0..200 {
        last = next();
    }
    assert!(last > first);
    watch.interrupt();
    drop(frames);
    let (code, said, _) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("and what they come from went and came back once"), "{said}");
}

#[test]
fn a_sender_that_was_killed_is_read_on_when_it_is_back_and_who_reads_is_told_to_people_and_programs() {
    let directory = tempfile::tempdir().unwrap();
    let socket = in_dir(&directory, "s.sock");
    let server = server(path_text(&socket), &[]);
    let client = || {
        Running::start(&mut server.client(&[
            "pattern:64x48",
            "--fps",
            "100",
            "--delivery",
            "latest",
            "--name",
            "front",
        ]))
    };
    let first = client();
    let mut watch = watch(&["front", "--share", path_text(&socket), "--json"]);
    watch.wait_for("reading stream \"front\"");
    // The board is told of readers a few times a second.
    wait_for("its reader", || {
        let top = program("framewire").args(["top", "--once", "--server", &server.url()]).output().unwrap();
        let told = String::from_utf8(top.stdout).unwrap();
        if told.contains("front: read by  framewire watch") { Ok(()) } else { Err(told) }
    });
    first.kill();
    watch.wait_for("the sender of stream \"front\" is gone");
    let _second = client();
    watch.wait_for("the sender of stream \"front\" is back");
    watch.interrupt();
    let (code, said, json) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
    let of = |key| figure(&json, &[key]);
    assert!(of("taken") > 0.0 && of("taken") == of("frames_delivered"));
    assert!(of("offered") >= of("taken") + of("dropped"));
}

#[test]
fn four_readers_have_the_same_frames_and_one_that_was_killed_costs_none_of_them_any() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, source) = (in_dir(&directory, "s.sock"), in_dir(&directory, "in.y4m"));
    let pictures = make_y4m(&source, PixelFormat::Gray8, SIZE, 200);
    let server = server(path_text(&socket), &["--share-block", "--reader-slots", "40"]);
    let client = Fed::start(&server, &std::fs::read(&source).unwrap());
    let outs: Vec<_> = (0..4).map(|number| in_dir(&directory, &format!("{number}.raw"))).collect();
    let mut readers: Vec<_> = outs
        .iter()
        .map(|out| {
            let sink = ["--sink", path_text(out)];
            let mut reader =
                watch(&[&["front", "--share", path_text(&socket), "--policy", "block"], &sink[..]].concat());
            reader.wait_for("reading stream \"front\"");
            reader
        })
        .collect();
    readers.pop().unwrap().kill();
    client.finish();
    for (reader, out) in readers.into_iter().zip(&outs) {
        let (code, said, _) = reader.wait();
        assert_eq!(code, Some(0), "{said}");
        let recorded = std::fs::read(out).unwrap();
        assert!(pictures.ends_with(&recorded) && recorded.len() >= 199 * FRAME, "{} bytes: {said}", recorded.len());
    }
    server.stop();
}

#[test]
fn readers_that_ask_for_nothing_share_the_slots_there_are_and_who_finds_none_is_told_what_needs_fewer() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, source) = (in_dir(&directory, "s.sock"), in_dir(&directory, "in.y4m"));
    make_y4m(&source, PixelFormat::Gray8, SIZE, 20);
    let server = server(path_text(&socket), &[]);
    let client = Fed::start(&server, &std::fs::read(&source).unwrap());
    let reader = |arguments: &[&str]| watch(&[&["front", "--share", path_text(&socket)], arguments].concat());
    let mut readers: Vec<_> = (0..3).map(|_| reader(&[])).collect();
    readers.iter_mut().for_each(|reader| drop(reader.wait_for("reading stream \"front\"")));
    let (code, said, _) = reader(&[]).wait();
    assert!(
        code == Some(1) && said.contains("24 slots for readers, 0 are left") && said.contains("--policy latest"),
        "{said}"
    );
    readers.pop().unwrap().kill();
    // As many sinks as one has: a server's defaults are enough for it.
    let outs: Vec<_> =
        (0..4).map(|number| path_text(&in_dir(&directory, &format!("{number}.raw"))).to_owned()).collect();
    drop(readers);
    let sinks: Vec<_> = outs.iter().flat_map(|out| ["--sink", out]).collect();
    let mut many = reader(&sinks);
    many.wait_for("reading stream \"front\"");
    client.finish();
    let (code, said, _) = many.wait();
    assert_eq!(code, Some(0), "{said}");
    server.stop();
}
