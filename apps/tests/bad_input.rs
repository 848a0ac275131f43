//! What users get wrong, and what they are told: the value, the remedy, exit code 2 for usage and 1 at run time.
#![allow(missing_docs)]

mod running;

use std::net::UdpSocket;

use framewire_transport::PixelFormat;
use running::{Running, Server, figure, in_dir, make_y4m, path_text, run};

/// Runs a client without a server, which must fail before it looks for one.
fn refused(arguments: &[&str], code: i32, says: &[&str]) {
    let output = run("framewire-client", arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for text in says {
        assert!(said.contains(text), "{arguments:?} should say '{text}': {said}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn sources_that_cannot_be_are_usage_errors_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let raw = in_dir(&directory, "frames.raw");
    std::fs::write(&raw, [0; 10]).unwrap();
    refused(&["nowhere.y4m"], 2, &["no file 'nowhere.y4m'", "pattern"]);
    refused(&[path_text(directory.path())], 2, &["is a directory"]);
    refused(&[path_text(&raw)], 2, &["--raw-format"]);
    refused(&["pattern:175x0:yuv420p"], 2, &["175x0", "at least 1"]);
    refused(&["pattern:0x0"], 2, &["0x0"]);
    refused(&["camera:front"], 2, &["camera:0"]);
    refused(&["--slice", "70000"], 2, &["'70000'", "548 to 65507"]);
    refused(&["--server", "not a url"], 2, &["http://HOST:PORT"]);
    refused(&["--wire", "plain", "--udp", "nowhere"], 2, &["'nowhere'", "HOST:PORT"]);
}

#[test]
fn what_a_server_cannot_do_is_told_before_it_starts() {
    let refused = |arguments: &[&str], code, says: &str| {
        let output = run("framewire-server", arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?} should say '{says}': {said}");
    };
    refused(&["--sink", "out.mkv"], 2, "'out.mkv' is no sink");
    refused(&["--sink", "-", "--json"], 2, "standard output");
    refused(&["--sink", "a.raw", "--sink", "a.raw"], 2, "given twice");
    refused(&["--sink", "cam-{steam}.raw"], 2, "use {stream}, {part}, {time}");
    refused(&["--sink", "{stream}/out.raw"], 2, "not into its directory");
    refused(&["--sink", "a.raw", "--roll", "10 parsecs"], 2, "10GB or 10min");
    refused(&["--plain-frame", "1920x1080"], 2, "1920x1080:gray8");
    refused(&["--token-file", "nowhere"], 2, "nowhere");
}

#[test]
fn a_port_in_use_is_named_for_either_socket() {
    let first = Server::start(&[]);
    for (listen, udp, taken) in
        [(first.signal.as_str(), "127.0.0.1:0", &first.signal), ("127.0.0.1:0", first.udp.as_str(), &first.udp)]
    {
        let output = run("framewire-server", &["--listen", listen, "--udp", udp]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let port = taken.rsplit_once(':').unwrap().1;
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("in use") && said.contains(port), "{said}");
    }
    first.stop();
}

#[test]
fn a_truncated_file_is_sent_as_far_as_it_is_whole_and_the_rest_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (source, out) = (in_dir(&directory, "in.y4m"), in_dir(&directory, "out.raw"));
    let pictures = make_y4m(&source, PixelFormat::Yuv420p, (64, 48), 5);
    let bytes = std::fs::read(&source).unwrap();
    std::fs::write(&source, &bytes[..bytes.len() - 1000]).unwrap();
    let raw = in_dir(&directory, "in.raw");
    std::fs::write(&raw, &pictures[..4 * 4608 + 3608]).unwrap();
    for arguments in [vec![path_text(&source)], vec![path_text(&raw), "--raw-format", "64x48:yuv420p"]] {
        let server = Server::start(&["--sink", path_text(&out)]);
        let output = server.client(&arguments).args(["--fps", "max", "--json"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("stops inside frame 4") && said.contains("3608 of its 4608 bytes"), "{said}");
        assert_eq!(figure(&output.stdout, &["frames_delivered"]), 4.0);
        server.stop();
        assert!(std::fs::read(&out).unwrap() == pictures[..4 * 4608]);
        std::fs::remove_file(&out).unwrap();
        std::fs::remove_file(in_dir(&directory, "out.raw.index")).unwrap();
    }
}

#[test]
fn a_sink_that_fails_is_said_aloud_while_live_goes_on_and_the_server_ends_with_code_1() {
    let directory = tempfile::tempdir().unwrap();
    let (full, good) = (in_dir(&directory, "full.raw"), in_dir(&directory, "good.raw"));
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let gone = in_dir(&directory, "gone/out.y4m");
    std::fs::create_dir(gone.parent().unwrap()).unwrap();
    let sinks = ["--sink", path_text(&full), "--sink", path_text(&gone), "--sink", path_text(&good), "--json"];
    let mut server = Server::start(&sinks);
    std::fs::remove_dir(gone.parent().unwrap()).unwrap();
    let stream =
        ["pattern:64x48", "--name", "front", "--delivery", "every", "--fps", "max", "--frames", "200", "--json"];
    let sent = server.client(&stream).output().unwrap();
    assert_eq!(figure(&sent.stdout, &["frames_delivered"]), 200.0);
    let line = server.running.wait_for("is not recorded");
    assert!(line.contains("stream \"front\"") && line.contains("exit code 1"), "{line}");
    server.running.wait_for("is not recorded");
    server.running.interrupt();
    let (code, said, summary) = server.running.wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("full.raw") && said.contains("No space left") && said.contains("free space"), "{said}");
    assert!(said.contains("gone/out.y4m"), "{said}");
    assert_eq!(figure(&summary, &["frames_delivered"]), 200.0);
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    let figures = summary["sinks"].as_array().unwrap();
    assert_eq!(figures[0]["failures"], 1);
    assert_eq!((&figures[2]["frames"], &figures[2]["failures"]), (&200.into(), &0.into()));
    assert_eq!(std::fs::metadata(&good).unwrap().len(), 200 * 64 * 48);
}

#[test]
fn a_sink_that_fails_ends_a_server_with_one_job_and_the_demo() {
    let directory = tempfile::tempdir().unwrap();
    let gone = in_dir(&directory, "gone/out.y4m");
    std::fs::create_dir(gone.parent().unwrap()).unwrap();
    let server = Server::start(&["--sink", path_text(&gone), "--frames", "1000000"]);
    std::fs::remove_dir(gone.parent().unwrap()).unwrap();
    let client = Running::start(&mut server.client(&["pattern:320x240", "--fps", "30"]));
    let (code, said, _) = server.running.wait();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("gone/out.y4m"), "{said}");
    client.kill();
    let demo = run("framewire", &["demo", "pattern:320x240", "--sink", "/nowhere/out.raw", "--seconds", "600"]);
    let said = String::from_utf8_lossy(&demo.stderr).into_owned();
    assert_eq!(demo.status.code(), Some(1), "{said}");
    assert!(said.contains("/nowhere/out.raw"), "{said}");
}

#[test]
fn a_mode_that_the_server_does_not_take_is_refused_to_the_client() {
    let server = Server::start(&["--delivery", "latest"]);
    let output = server.client(&["pattern:64x48", "--delivery", "every", "--frames", "1"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--delivery latest"), "{said}");
    server.stop();
}

#[test]
fn a_frame_larger_than_a_stream_may_have_is_refused_with_the_limit() {
    let server = Server::start(&["--stream-memory", "1GiB"]);
    let output = server.client(&["pattern:8192x6144:bgr24"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("one stream may have 1073741824 here (--stream-memory)"), "{said}");
    server.stop();
}

#[test]
fn datagrams_of_every_length_do_a_server_no_harm() {
    let server = Server::start(&["--json"]);
    let stream = ["pattern:320x240", "--delivery", "every", "--fps", "200", "--frames", "400", "-v", "--json"];
    let mut client = Running::start(&mut server.client(&stream));
    client.wait_for("feedback");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let bytes: Vec<u8> = b"FW\x01\x05"
        .iter()
        .copied()
        .chain((0..65_503_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8))
        .collect();
    for len in (0..65_508).step_by(13).chain(0..200) {
        let _ = socket.send_to(&bytes[..len], &server.udp);
    }
    let (code, said, sent) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    let summary = String::from_utf8_lossy(&sent).into_owned();
    assert_eq!(
        figure(&sent, &["frames_delivered"]),
        400.0,
        "{summary}\n{}",
        said.lines().filter(|line| !line.starts_with("feedback")).collect::<Vec<_>>().join("\n")
    );
    server.stop();
}
