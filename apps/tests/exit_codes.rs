//! How programs end, and what they say of why: 0 done, 1 failed at run time, 2 wrong usage.
#![allow(missing_docs)]

mod running;

use std::net::{TcpListener, UdpSocket};

use running::{Running, Server, figure, program, run};

/// A port that datagrams vanish at, without root: somebody has it and never reads.
fn mute() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

fn end(command: &mut std::process::Command) -> (Option<i32>, String, Vec<u8>) {
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), output.stdout)
}

#[test]
fn a_job_of_which_nothing_arrived_did_not_succeed() {
    let server = Server::start(&[]);
    let (_socket, nowhere) = mute();
    let stream = ["--udp", &nowhere, "pattern:320x240", "--fps", "100", "--frames", "30", "--json"];
    let (code, said, summary) = end(&mut server.client(&stream));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nothing arrived: none of 30 frames") && said.contains(&nowhere), "{said}");
    // The figures are told all the same.
    assert_eq!((figure(&summary, &["frames_sent"]), figure(&summary, &["frames_delivered"])), (30.0, 0.0));
    let (code, said, _) = end(&mut server.client(&["pattern:320x240", "--fps", "100", "--frames", "30"]));
    assert_eq!(code, Some(0), "{said}");
    server.stop();
}

#[test]
fn a_server_that_answers_on_socket_io_alone_is_told_of_with_the_place_and_the_flags() {
    let server = Server::start(&[]);
    let (_socket, nowhere) = mute();
    let mut client = Running::start(&mut server.client(&["--udp", &nowhere, "pattern:64x48", "--fps", "30"]));
    let line = client.wait_for("answers on Socket.IO, but not on UDP");
    assert!(line.contains(&nowhere) && line.contains("--announce-udp"), "{line}");
    client.interrupt();
    assert_eq!(client.wait().0, Some(1));
    server.stop();
}

#[test]
fn a_server_that_is_gone_is_told_of_once_and_again_when_it_is_back() {
    let first = Server::start(&[]);
    let (signal, udp) = (first.signal.clone(), first.udp.clone());
    let mut client = Running::start(&mut first.client(&["pattern:64x48", "--fps", "100", "--delivery", "every", "-v"]));
    client.wait_for("feedback: frame");
    first.running.kill();
    client.wait_for("the server is gone");
    let again = Server::start_at(&signal, &udp, &[]);
    client.wait_for("the server answers");
    client.wait_for("feedback: frame");
    client.interrupt();
    let (code, said, _) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("asked again until it").count(), 1, "{said}");
    assert!(!said.contains("answers on Socket.IO"), "{said}");
    again.stop();
}

#[test]
fn what_was_sent_is_told_also_where_the_server_refuses_to_go_on() {
    let first = Server::start(&[]);
    let (signal, udp) = (first.signal.clone(), first.udp.clone());
    let stream = ["pattern:64x48", "--fps", "100", "--delivery", "latest", "-v", "--json"];
    let mut client = Running::start(&mut first.client(&stream));
    // What the server says of a frame can come before what the stream itself says of it.
    (0..20).for_each(|_| drop(client.wait_for("feedback: frame")));
    first.running.kill();
    // What comes back speaks another wire, and will not change its mind.
    let again = Server::start_at(&signal, &udp, &["--wire", "plain"]);
    let (code, said, summary) = client.wait();
    assert!(code == Some(1) && said.contains("the server refuses") && said.contains("plain-wire"), "{said}");
    let figure = |name| figure(&summary, &[name]);
    assert!(figure("frames_delivered") > 0.0 && figure("frames_sent") >= figure("frames_delivered"), "{said}");
    again.stop();
}

#[test]
fn a_server_that_never_answers_is_waited_for_as_long_as_the_user_wants() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for wire in ["framed", "plain"] {
        let url = format!("http://{nobody}");
        let arguments = ["--wire", wire, "--server", &url, "--connect-timeout", "3s", "pattern:64x48", "--frames", "3"];
        let output = run("framewire-client", &arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("has not answered within 3s") && said.contains("--connect-timeout"), "{said}");
        assert!(said.contains("refused"), "the reason is told: {said}");
        // While it is waited for, once.
        assert_eq!(said.lines().filter(|line| line.contains("cannot be reached")).count(), 2, "{said}");
    }
    let output = run("framewire-client", &["--connect-timeout", "soon"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("such as 10s"));
}

#[test]
fn the_codes_stand_in_the_help_of_every_program_and_in_the_readme() {
    for name in ["framewire", "framewire-server", "framewire-client"] {
        let output = run(name, &["--help"]);
        let help = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.status.success() && help.contains("Exit codes: 0 done; 1 failed at run time"), "{help}");
    }
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    for row in ["| 0 | done |", "| 1 | failed at run time", "| 2 | wrong usage", "| 130 | "] {
        assert!(readme.contains(row), "no '{row}'");
    }
}

/// The limit with which a program begins is that of select(2), however many files the operator allows.
#[cfg(target_os = "linux")]
#[test]
fn a_server_may_have_as_many_files_open_as_the_operator_allows() {
    let path = program("framewire-server").get_program().to_owned();
    let mut command = program("sh");
    command.args(["-c", "ulimit -Sn 48; exec \"$0\" \"$@\""]).arg(path);
    let mut server = Running::start(command.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0"]));
    server.wait_for("listening on");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let files: Vec<&str> = files.split_whitespace().collect();
    assert!(files[0] == files[1] && files[0] != "48", "{files:?}");
    server.interrupt();
    assert_eq!(server.wait().0, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_without_files_left_refuses_streams_with_the_limit_and_the_remedy_and_serves_the_others() {
    let path = program("framewire-server").get_program().to_owned();
    let mut command = program("sh");
    command.args(["-c", "ulimit -n 48; exec \"$0\" \"$@\""]).arg(path);
    let mut server = Running::start(command.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0"]));
    let line = server.wait_for("listening on http://");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    let mut clients: Vec<Running> = Vec::new();
    let refused = loop {
        assert!(clients.len() < 48, "48 files are enough for 48 streams?");
        let mut client = program("framewire-client");
        client.args(["--server", &url, "--connect-timeout", "20s", "pattern:64x48", "--fps", "50", "-v"]);
        let mut client = Running::start(&mut client);
        let line = client.wait_for_one_of(&["feedback: frame", "refuses the stream", "has not answered"]);
        if !line.contains("feedback: frame") {
            assert_eq!(client.wait().0, Some(1));
            break line;
        }
        clients.push(client);
    };
    // What was short is a file for the stream, or one for the connection already.
    if refused.contains("refuses the stream") {
        assert!(refused.contains("48 files") && refused.contains("ulimit -n"), "{refused}");
    } else {
        server.wait_for("ulimit -n");
    }
    let first = &mut clients[0];
    first.skip_said();
    first.wait_for("feedback: frame");
}

#[test]
fn a_variable_that_no_program_knows_is_warned_of_and_no_more() {
    let mut command = program("framewire-server");
    command.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--seconds", "0.1"]);
    let (code, said, _) = end(command.env("FRAMEWIRE_LISTN", "127.0.0.1:1"));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("FRAMEWIRE_LISTN") && said.contains("did you mean FRAMEWIRE_LISTEN?"), "{said}");
    // An empty one is a value that cannot be: it is said whose it is.
    let (code, said, _) = end(program("framewire-client").env("FRAMEWIRE_MAX_RATE", ""));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("FRAMEWIRE_MAX_RATE"), "{said}");
}

#[test]
fn no_two_errors_of_the_libraries_have_the_same_code() {
    let libraries = [framewire_transport::codes::ALL, framewire_capture::codes::ALL, framewire_signal::codes::ALL];
    let mut seen = std::collections::BTreeSet::new();
    for code in libraries.into_iter().flatten() {
        assert!(seen.insert(code), "{code} is there twice");
    }
}
