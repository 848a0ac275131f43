//! Cameras that rest while nobody wants their stream, and wake when somebody does.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use running::{Running, Server, figure, program};

/// A client of 100 frames a second, whose server has no sink.
fn camera(server: &Server, on_demand: &str) -> Running {
    let arguments = ["pattern:64x48", "--fps", "100", "--name", "front", "--on-demand", on_demand, "-v", "--json"];
    Running::start(&mut server.client(&arguments))
}

fn watch(server: &Server, arguments: &[&str]) -> Running {
    Running::start(program("framewire").args(["watch", "front", "--json", "--server", &server.url()]).args(arguments))
}

/// The number in a client's line on a frame that the server has acknowledged.
fn acknowledged(client: &mut Running) -> u64 {
    let line = client.wait_for("feedback: frame ");
    line.split_once("frame ").unwrap().1.split_once(' ').unwrap().0.parse().unwrap()
}

#[test]
fn a_stream_that_nobody_wants_has_a_picture_now_and_then_and_all_of_them_for_who_comes() {
    let server = Server::start(&[]);
    let mut client = camera(&server, "throttle");
    // Two seconds of nobody, and then pictures a second apart.
    let mut before = acknowledged(&mut client);
    let mut gap = 0;
    while gap < 50 {
        let now = acknowledged(&mut client);
        (gap, before) = (now - before, now);
    }
    let (code, said, json) = watch(&server, &["--frames", "100"]).wait();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(figure(&json, &["frames_delivered"]), 100.0);
    // Throttled, a hundred frames would have taken a hundred seconds.
    assert!(figure(&json, &["seconds"]) < 30.0, "{}", String::from_utf8_lossy(&json));
    client.interrupt();
    let (code, said, json) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(figure(&json, &["frames_dropped", "skipped_at_source"]) >= 49.0, "what was left out is counted as skipped");
    server.stop();
}

#[test]
fn a_source_that_nobody_wants_is_closed_and_opened_again_for_who_comes() {
    let server = Server::start(&[]);
    let mut client = camera(&server, "release");
    for _ in 0..2 {
        client.wait_for("is closed until somebody does");
        let (code, said, json) = watch(&server, &["--frames", "20"]).wait();
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(figure(&json, &["frames_delivered"]), 20.0);
        client.wait_for("is open again");
    }
    client.interrupt();
    let (code, said, _) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    server.stop();
}

#[test]
fn a_stream_that_a_sink_writes_is_wanted() {
    let server = Server::start(&["--sink", "-:raw", "--slow-sink", "wait", "--frames", "400"]);
    let mut running = server.running;
    let mut pixels = running.take_stdout();
    let mut command = program("framewire-client");
    let url = format!("{}://{}", server.scheme, server.signal);
    command.args(["--server", &url, "pattern:64x48", "--fps", "100", "--on-demand", "throttle", "--json"]);
    let client = Running::start(&mut command);
    let written = std::io::copy(&mut pixels, &mut std::io::sink()).unwrap();
    assert_eq!(written, 400 * 64 * 48);
    drop(client);
    let (code, said, _) = running.wait();
    assert_eq!(code, Some(0), "{said}");
}
