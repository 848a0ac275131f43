//! What ends the programs, and what does not.
#![allow(missing_docs)]
#![cfg(unix)]

mod running;

use std::process::Command;

use framewire_testing::{Signal, wait_until};
use running::{Running, Server, figure, program};

/// A program as another one starts it, which hands its own ways on: `nohup PROGRAM`.
fn by(starter: &[&str], name: &str, arguments: &[&str]) -> Command {
    let path = program(name).get_program().to_owned();
    let mut command = program(starter[0]);
    command.args(&starter[1..]).arg(path).args(arguments);
    command
}

/// Has a shell ignore a signal, and then become the program.
fn ignoring(signal: &str) -> [String; 3] {
    ["sh".into(), "-c".into(), format!("trap '' {signal}; exec \"$0\" \"$@\"")]
}

fn served_by(starter: &[&str]) -> (Running, String) {
    let mut server = Running::start(&mut by(
        starter,
        "framewire-server",
        &["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--json"],
    ));
    let line = server.wait_for("listening on http://");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    (server, url)
}

/// Streams to the server, which lives if all arrives.
fn assert_serves(url: &str) {
    let stream = ["pattern:64x48", "--delivery", "every", "--fps", "max", "--frames", "10", "--json"];
    let sent =
        program("framewire-client").args(["--server", url, "--connect-timeout", "20s"]).args(stream).output().unwrap();
    assert_eq!(sent.status.code(), Some(0), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_eq!(figure(&sent.stdout, &["frames_delivered"]), 10.0);
}

#[test]
fn a_signal_that_a_program_was_started_to_ignore_stays_ignored() {
    let interrupts = ignoring("INT");
    let interrupts: Vec<&str> = interrupts.iter().map(String::as_str).collect();
    for (starter, signal) in [(&["nohup"][..], Signal::HUP), (&interrupts, Signal::INT)] {
        let (server, url) = served_by(starter);
        server.signal(signal);
        assert_serves(&url);
        let mut client = by(
            starter,
            "framewire-client",
            &["--server", &url, "pattern:64x48", "--fps", "100", "--delivery", "every", "-v", "--json"],
        );
        let mut client = Running::start(&mut client);
        client.wait_for("feedback: frame");
        client.signal(signal);
        client.skip_said();
        // Frames flow as before.
        for _ in 0..10 {
            client.wait_for("feedback: frame");
        }
        for running in [client, server] {
            running.signal(Signal::TERM);
            let (code, said, summary) = running.wait();
            assert_eq!(code, Some(0), "{said}");
            assert!(figure(&summary, &["frames_delivered"]) >= 10.0, "{said}");
        }
    }
}

#[test]
fn a_terminal_that_closes_ends_a_program_in_order_however_often_it_is_told() {
    if framewire_testing::is_ignored(Signal::HUP) {
        return framewire_testing::skip(
            "SIGHUP is ignored here, as under nohup, and so it is by whatever is started here",
        );
    }
    let server = Server::start(&["--json"]);
    assert_serves(&server.url());
    server.running.signal(Signal::HUP);
    server.running.signal(Signal::HUP);
    let (code, said, summary) = server.running.wait();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(figure(&summary, &["frames_delivered"]), 10.0);
}

#[test]
fn a_second_wish_ends_a_program_at_once_with_a_code_of_its_own() {
    let server = Server::start(&[]);
    let mut client =
        Running::start(&mut server.client(&["pattern:64x48", "--fps", "100", "--delivery", "every", "-v", "--json"]));
    client.wait_for("feedback: frame");
    // Without it, the client waits a moment for the last frames to be confirmed.
    server.running.signal(Signal::STOP);
    client.signal(Signal::TERM);
    // Where Ctrl-C is ignored, a second SIGTERM stands for it; one that comes before the first is taken is none of its own.
    wait_until("it ends", || {
        client.interrupt();
        client.has_ended()
    });
    let (code, said, summary) = client.wait();
    assert!(code == Some(130) && summary.is_empty(), "{code:?}: {said}");
    server.running.kill();
}

#[test]
fn a_server_ends_in_order_with_the_program_that_started_it_if_it_was_asked_to() {
    let mut command = program("framewire-server");
    command.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--json", "--until-input-ends"]);
    let mut server = Running::start(command.stdin(std::process::Stdio::piped()));
    server.wait_for("listening on http://");
    // As the kernel does for a program that was killed.
    drop(server.take_stdin());
    let (code, said, summary) = server.wait();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(figure(&summary, &["frames_delivered"]), 0.0, "{said}");
}
