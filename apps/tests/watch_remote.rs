//! `framewire watch --server`: a server's stream, by the network, as a user watches it.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod protected;
mod running;

use std::io::Read;
use std::net::TcpListener;

use framewire_capture::pattern;
use framewire_transport::{FrameFormat, PixelFormat};
use protected::Protected;
use running::{Running, Server, figure, in_dir, make_y4m, path_text, program};

const FRAME: usize = 64 * 48;
const LIVE: [&str; 7] = ["pattern:64x48", "--fps", "100", "--name", "front", "--delivery", "latest"];

fn watch(arguments: &[&str]) -> Running {
    Running::start(program("framewire").arg("watch").args(arguments))
}

/// The next picture's number out of a pipe.
fn next(frames: &mut impl Read) -> u64 {
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let mut frame = [0; FRAME];
    frames.read_exact(&mut frame).unwrap();
    pattern::read_frame_number(&frame, &format).expect("a frame is whole")
}

#[test]
fn a_stream_of_a_server_is_in_the_watchers_file_and_its_end_is_the_watchers_end() {
    let directory = tempfile::tempdir().unwrap();
    let (source, out) = (in_dir(&directory, "in.y4m"), in_dir(&directory, "out.raw"));
    let pictures = make_y4m(&source, PixelFormat::Gray8, (64, 48), 100);
    let server = Server::start(&[]);
    let mut watch =
        watch(&["front", "--server", &server.url(), "--policy", "block", "--sink", path_text(&out), "--json"]);
    watch.wait_for("waiting for stream \"front\"");
    let client = Running::start(&mut server.client(&["--name", "front", "--fps", "50", path_text(&source)]));
    let (code, said, json) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("reading stream \"front\", 64x48 gray8"), "{said}");
    let (code, told, _) = client.wait();
    assert_eq!(code, Some(0), "{told}");
    // It asked before the first frame, and may have been granted after some; and no watcher is waited for.
    let recorded = std::fs::read(&out).unwrap();
    let numbers: Vec<_> = recorded
        .chunks(FRAME)
        .map(|frame| pictures.chunks(FRAME).position(|picture| picture == frame).expect("a picture that was sent"))
        .collect();
    let has_order = numbers.is_sorted_by(|before, after| before < after);
    assert!(has_order && numbers.len() >= 10 && numbers.last() == Some(&99), "{numbers:?}: {said}");
    let taken = figure(&json, &["taken"]);
    assert_eq!((taken, figure(&json, &["frames_delivered"])), ((recorded.len() / FRAME) as f64, taken));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap()["path"], "udp");
    server.stop();
}

#[test]
fn a_server_that_was_killed_is_watched_on_when_it_is_back() {
    let server = Server::start(&[]);
    let (signal, udp) = (server.signal.clone(), server.udp.clone());
    let _client = Running::start(&mut server.client(&LIVE));
    let mut watch = watch(&["front", "--server", &server.url(), "--sink", "-:raw"]);
    let mut frames = watch.take_stdout();
    let first = next(&mut frames);
    server.running.kill();
    watch.wait_for("is gone");
    let _server = Server::start_at(&signal, &udp, &[]);
    watch.wait_for("of stream \"front\" is back");
    // What waited in the pipe was of the first run.
    let last = (0..200).fold(first, |_, _| next(&mut frames));
    assert!(last > first);
    watch.interrupt();
    drop(frames);
    let (code, said, _) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_protected_server_is_joined_and_watched_under_a_key_also_after_it_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Protected::start(&directory, &[]);
    let join = path_text(&server.state(protected::JOIN)).to_owned();
    let _client = Running::start(protected::client(&["--join", &join]).args(LIVE));
    let mut watch = watch(&["front", "--join", &join, "--json"]);
    watch.wait_for("reading stream \"front\"");
    let at = server.kill();
    watch.wait_for("is gone");
    let server = Protected::start_at(&at, &directory, &[]);
    watch.wait_for("of stream \"front\" is back");
    server.wait_until_live();
    watch.interrupt();
    let (code, said, json) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json).unwrap()["protected"], true);
    assert!(figure(&json, &["frames_delivered"]) > 0.0 && figure(&json, &["reconnects"]) >= 1.0);
    server.stop();
}

#[test]
fn a_watcher_of_two_servers_goes_on_at_the_one_that_is_left() {
    let (first, second) = (Server::start(&[]), Server::start(&[]));
    let urls = format!("{},{}", first.url(), second.url());
    let _client = Running::start(
        program("framewire-client").args(["--server", &first.url(), "--server", &second.url()]).args(LIVE),
    );
    let mut watch = watch(&["front", "--server", &urls]);
    watch.wait_for("reading stream \"front\"");
    first.running.kill();
    watch.wait_for("of stream \"front\" is back");
    watch.interrupt();
    let (code, said, _) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn frames_come_in_wherever_the_connection_goes_out_from() {
    // This machine goes out from 127.0.0.1 to all of its addresses.
    let mut places = vec![("127.0.0.2:0", None)];
    if TcpListener::bind("[::1]:0").is_ok() {
        places.extend([("[::1]:0", None), ("[::1]:0", Some("localhost"))]);
    }
    for (place, name) in places {
        let server = Server::start_at(place, place, &[]);
        let _client = Running::start(&mut server.client(&LIVE));
        let url = match (name, server.url().rsplit_once(':')) {
            (Some(name), Some((_, port))) => format!("http://{name}:{port}"),
            _ => server.url(),
        };
        let (code, said, _) = watch(&["front", "--server", &url, "--frames", "3"]).wait();
        assert!(code == Some(0) && said.contains("reading stream \"front\""), "{url}: {said}");
        assert!(!said.contains("nothing protects"), "it does not leave the machine: {said}");
    }
}

#[test]
fn where_the_server_that_takes_over_is_of_another_family_its_frames_come_in_too() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED: this machine has no IPv6");
        return;
    }
    let (first, second) = (Server::start(&[]), Server::start_at("[::1]:0", "[::1]:0", &[]));
    let urls = format!("{},{}", first.url(), second.url());
    let _client = Running::start(
        program("framewire-client").args(["--server", &first.url(), "--server", &second.url()]).args(LIVE),
    );
    let mut watch = watch(&["front", "--server", &urls, "--sink", "-:raw"]);
    let mut frames = watch.take_stdout();
    let before = next(&mut frames);
    first.running.kill();
    watch.wait_for("of stream \"front\" is back");
    // What waited in the pipe was of the first.
    let last = (0..200).fold(before, |_, _| next(&mut frames));
    assert!(last > before);
    watch.interrupt();
    drop(frames);
    let (code, said, _) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_watcher_that_no_datagram_reaches_says_so_once_with_the_remedy() {
    let server = Server::start(&[]);
    let _client = Running::start(&mut server.client(&LIVE));
    // Nothing is sent there: the server sends to where it was asked from.
    let mut watch = watch(&["front", "--server", &server.url(), "--udp", "127.0.0.3:0"]);
    let line = watch.wait_for("nothing of it comes in on UDP 127.0.0.3:");
    assert!(line.contains("has stream \"front\"") && line.contains("--udp ':PORT'"), "{line}");
    watch.interrupt();
    let (code, said, _) = watch.wait();
    assert_eq!((code, said.matches("nothing of it comes in").count()), (Some(0), 1), "{said}");
}

#[test]
fn fewer_frames_a_second_come_where_fewer_are_asked_for() {
    let server = Server::start(&[]);
    let _client = Running::start(&mut server.client(&LIVE));
    let watch = watch(&["front", "--server", &server.url(), "--max-fps", "10", "--frames", "10", "--sink", "-:raw"]);
    let (code, said, stdout) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
    let mut pixels = stdout.as_slice();
    let numbers: Vec<_> = (0..10).map(|_| next(&mut pixels)).collect();
    // Every tenth where nobody is held up; how it is thinned is asked in virtual time.
    assert!(numbers[9] - numbers[0] >= 9 * 3, "{numbers:?}");
}

#[test]
fn a_name_that_is_not_there_is_waited_for_with_the_nearest_told_or_not_waited_for() {
    let server = Server::start(&[]);
    let mut client = Running::start(server.client(&LIVE).arg("-v"));
    client.wait_for("feedback: frame ");
    let mut waits = watch(&["fornt", "--server", &server.url()]);
    let line = waits.wait_for("waiting for stream \"fornt\"");
    assert!(line.contains("the nearest name is \"front\""), "{line}");
    let (code, said, _) = watch(&["fornt", "--server", &server.url(), "--no-wait"]).wait();
    assert!(code == Some(1) && said.contains("stream \"fornt\" is not there"), "{said}");
    let (code, said, _) = watch(&["front", "--server", "http://127.0.0.1:9", "--no-wait"]).wait();
    assert!(code == Some(1) && said.contains("127.0.0.1:9"), "{said}");
    waits.interrupt();
    let (code, said, _) = waits.wait();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_watch_of_two_places_and_one_of_no_name_are_refused_with_the_remedy() {
    for (arguments, said) in [
        (&["front", "--server", "http://a:1", "--share", "/x.sock"][..], "a stream is read in one place"),
        (&["front", "--server", "http://a:1", "--join", "/x"], "leave one of them out"),
        (&["--server", "http://a:1"], "give its name"),
        (&["front", "--udp", "127.0.0.1:0"], "--server or --join"),
        (&["front", "--max-fps", "0"], "frames a second"),
    ] {
        let (code, told, _) = watch(arguments).wait();
        assert!(code == Some(2) && told.contains(said), "{arguments:?}: {told}");
    }
}
