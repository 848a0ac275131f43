//! The main job with the real programs: what goes in comes out, byte for byte, and everything is accounted for.
#![allow(missing_docs)]

mod running;

use std::io::Read;
use std::process::Stdio;

use framewire_capture::pattern;
use framewire_transport::{FrameFormat, PixelFormat};
use running::{Running, Server, figure, in_dir, make_y4m, path_text, program, run, write_private};

const DROPS: [&str; 6] = ["skipped_at_source", "no_credit", "lost", "incomplete", "no_slot", "slow_consumer"];

#[test]
fn the_demo_delivers_every_frame_and_says_so() {
    let output = run("framewire", &["demo", "pattern:640x480", "--frames", "600", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let of = |path: &[&str]| figure(&output.stdout, path);
    assert_eq!((of(&["frames_sent"]), of(&["frames_delivered"])), (600.0, 600.0));
    for cause in DROPS {
        assert_eq!(of(&["frames_dropped", cause]), 0.0, "{cause}");
    }
    assert_eq!(of(&["bytes"]), 600.0 * 640.0 * 480.0);
    assert_eq!(of(&["slice_bytes"]), 65_507.0);
    assert!(of(&["seconds"]) > 0.0 && of(&["cpu_seconds"]) > 0.0);
    let rate = of(&["bytes"]) / of(&["seconds"]) / 1e9;
    assert!((of(&["gigabytes_per_second"]) / rate - 1.0).abs() < 0.01);
    let (p50, p99, max) = (of(&["latency_ms", "p50"]), of(&["latency_ms", "p99"]), of(&["latency_ms", "max"]));
    assert!(p50 > 0.0 && p50 <= p99 && p99 <= max, "{p50} {p99} {max}");
}

#[test]
fn the_demo_speaks_the_plain_wire_too() {
    let output = run("framewire", &["demo", "pattern:640x480", "--frames", "20", "--wire", "plain", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // This wire has no credit: what a sink is too slow for is dropped, and counted.
    let dropped: f64 = DROPS.iter().map(|cause| figure(&output.stdout, &["frames_dropped", cause])).sum();
    let delivered = figure(&output.stdout, &["frames_delivered"]);
    assert!(delivered > 0.0 && delivered + dropped >= 20.0, "{delivered} delivered, {dropped} dropped");
}

#[test]
fn y4m_files_arrive_byte_for_byte_over_every_backend() {
    let directory = tempfile::tempdir().unwrap();
    let cases = [
        (PixelFormat::Yuv444p, (3840, 2160), 3),
        (PixelFormat::Yuv420p, (176, 144), 90),
        (PixelFormat::Yuv422p, (320, 241), 9),
        (PixelFormat::Gray8, (641, 479), 9),
    ];
    for (pixel, size, frames) in cases {
        let source = in_dir(&directory, "in.y4m");
        let pictures = make_y4m(&source, pixel, size, frames);
        for backend in ["std", "mmsg", "uring"] {
            let out = |kind: &str| in_dir(&directory, &format!("{pixel}-{backend}.{kind}"));
            let (raw, y4m) = (out("raw"), out("y4m"));
            let server = Server::start(&["--backend", backend, "--sink", path_text(&raw), "--sink", path_text(&y4m)]);
            let arguments = [path_text(&source), "--delivery", "every", "--backend", backend, "--fps", "max", "--json"];
            let output = server.client(&arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(figure(&output.stdout, &["frames_delivered"]), frames as f64);
            server.stop();
            assert!(std::fs::read(&raw).unwrap() == pictures, "{pixel} {size:?} over {backend}: raw differs");
            assert!(same_y4m_pictures(&y4m, pixel, size, frames), "{pixel} {size:?} over {backend}: Y4M differs");
        }
    }
}

fn same_y4m_pictures(path: &std::path::Path, pixel: PixelFormat, (width, height): (u32, u32), frames: u64) -> bool {
    let mut decoder = y4m::decode(std::fs::File::open(path).unwrap()).unwrap();
    let format = FrameFormat::new(pixel, width, height).unwrap();
    let mut expected = vec![0; format.frame_bytes()];
    for number in 0..frames {
        let frame = decoder.read_frame().unwrap();
        pattern::draw(&mut expected, &format, number).unwrap();
        let planes = [frame.get_y_plane(), frame.get_u_plane(), frame.get_v_plane()].concat();
        if planes != expected {
            return false;
        }
    }
    decoder.read_frame().is_err()
}

#[test]
fn a_stream_on_standard_input_comes_out_of_standard_output() {
    let directory = tempfile::tempdir().unwrap();
    let source = in_dir(&directory, "in.y4m");
    make_y4m(&source, PixelFormat::Yuv420p, (64, 48), 12);
    let server = Server::start(&["--sink", "-"]);
    let mut client = server.client(&["-", "--fps", "max"]);
    let sent = client.stdin(std::fs::File::open(&source).unwrap()).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    // The server ends by itself: no second stream can follow on a pipe.
    let (code, said, stdout) = server.running.wait();
    assert_eq!(code, Some(0), "{said}");
    let pictures = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n').map(|end| bytes[end..].to_vec());
    assert!(pictures(&stdout) == pictures(&std::fs::read(&source).unwrap()));
}

#[test]
fn a_reader_that_closes_the_pipe_ends_the_server_quietly() {
    let mut server = Server::start(&["--sink", "-"]);
    let client = Running::start(&mut server.client(&["pattern:320x240", "--fps", "60"]));
    let mut stdout = server.running.take_stdout();
    let mut header = [0; 9];
    stdout.read_exact(&mut header).unwrap();
    assert_eq!(&header, b"YUV4MPEG2");
    drop(stdout);
    let (code, said, _) = server.running.wait();
    assert_eq!(code, Some(0), "{said}");
    client.interrupt();
    assert_eq!(client.wait().0, Some(0));
}

#[test]
fn two_clients_are_served_at_once_into_files_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let out = in_dir(&directory, "out.raw");
    let server = Server::start(&["--sink", path_text(&out)]);
    let every = ["--delivery", "every", "--fps", "max", "--frames"];
    let mut first = Running::start(server.client(&["pattern:64x48"]).args(every).args(["400000", "-v"]));
    first.wait_for("feedback");
    let second = server.client(&["pattern:32x32"]).args(every).arg("50").output().unwrap();
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    first.interrupt();
    assert_eq!(first.wait().0, Some(0));
    server.stop();
    let format = FrameFormat::new(PixelFormat::Gray8, 32, 32).unwrap();
    let second = std::fs::read(in_dir(&directory, "out-2.raw")).unwrap();
    assert_eq!(second.len(), 50 * format.frame_bytes());
    assert!(
        second.chunks(1024).zip(0..).all(|(frame, number)| pattern::read_frame_number(frame, &format) == Some(number))
    );
    assert!(std::fs::metadata(out).unwrap().len() > 0);
}

#[test]
fn a_client_waits_for_its_server_and_says_so() {
    let probe = Server::start(&[]);
    let (signal, udp) = (probe.signal.clone(), probe.udp.clone());
    let mut command =
        probe.client(&["pattern:64x48", "--frames", "30", "--delivery", "every", "--fps", "max", "--json"]);
    probe.stop();
    let mut client = Running::start(&mut command);
    let line = client.wait_for("it is asked again until it answers");
    assert!(line.contains(&signal), "{line}");
    let server = Server::start_at(&signal, &udp, &[]);
    let (code, said, stdout) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(figure(&stdout, &["frames_delivered"]), 30.0);
    server.stop();
}

/// The frame that a line of feedback speaks of.
fn feedback_frame(line: &str) -> u64 {
    line.split_whitespace()
        .nth(2)
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no frame in '{line}'"))
}

#[test]
fn a_stream_goes_on_when_its_server_was_killed_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let out = in_dir(&directory, "out.raw");
    let first = Server::start(&[]);
    let (signal, udp) = (first.signal.clone(), first.udp.clone());
    let mut command = first.client(&["pattern:64x48", "--delivery", "every", "--fps", "200", "-v", "--json"]);
    let mut client = Running::start(&mut command);
    // Feedback is merged above a rate, so that any one frame's may be missing.
    while feedback_frame(&client.wait_for("feedback: frame ")) < 20 {}
    first.running.kill();
    client.wait_for("the server is gone");
    let again = Server::start_at(&signal, &udp, &["--sink", path_text(&out)]);
    client.wait_for("feedback");
    client.interrupt();
    let (code, said, stdout) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(figure(&stdout, &["frames_sent"]) > 21.0);
    again.stop();
    // What the new server recorded has no gap and nothing twice.
    let format = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let bytes = std::fs::read(out).unwrap();
    let numbers: Vec<_> =
        bytes.chunks(format.frame_bytes()).map(|frame| pattern::read_frame_number(frame, &format).unwrap()).collect();
    assert!(!numbers.is_empty() && numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
}

#[test]
fn ctrl_c_ends_both_ends_in_order_with_their_summaries() {
    let server = Server::start(&["--json"]);
    let stream = ["pattern:320x240", "--fps", "60", "--delivery", "every", "-v", "--json"];
    let mut client = Running::start(&mut server.client(&stream));
    client.wait_for("feedback");
    client.interrupt();
    let (code, said, sent) = client.wait();
    assert_eq!(code, Some(0), "{said}");
    server.running.interrupt();
    let (code, said, received) = server.running.wait();
    assert_eq!(code, Some(0), "{said}");
    let delivered = figure(&received, &["frames_delivered"]);
    assert_eq!(delivered, figure(&sent, &["frames_delivered"]));
    let dropped: f64 = DROPS.iter().map(|cause| figure(&sent, &["frames_dropped", cause])).sum();
    assert_eq!(delivered + dropped, figure(&sent, &["frames_sent"]));
}

#[test]
fn a_server_ends_after_the_frames_or_the_seconds_it_was_given() {
    let server = Server::start(&["--frames", "10", "--json"]);
    let client = Running::start(&mut server.client(&["pattern:64x48", "--fps", "100"]));
    let (code, said, stdout) = server.running.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(figure(&stdout, &["frames_delivered"]) >= 10.0);
    client.kill();
    let brief = run("framewire-server", &["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--seconds", "0.2"]);
    assert!(brief.status.success());
}

#[test]
fn a_token_lets_in_who_has_it_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let (right, wrong) = (in_dir(&directory, "right"), in_dir(&directory, "wrong"));
    write_private(&right, "0123456789abcdef0123456789abcdef\n");
    write_private(&wrong, "fedcba9876543210fedcba9876543210\n");
    let server = Server::start(&["--token-file", path_text(&right)]);
    let stream = ["pattern:64x48", "--frames", "5", "--fps", "max", "--delivery", "every"];
    let let_in = server.client(&stream).args(["--token-file", path_text(&right)]).output().unwrap();
    assert!(let_in.status.success(), "{}", String::from_utf8_lossy(&let_in.stderr));
    // The server has made a certificate of its own, which nothing vouches for but the token.
    for (arguments, says) in [(&["--token-file", path_text(&wrong)][..], "token"), (&[], "certificate is not trusted")]
    {
        let mut kept_out = Running::start(server.client(&stream).args(arguments));
        kept_out.wait_for(says);
        kept_out.kill();
    }
    server.stop();
}

#[test]
fn help_and_version_are_there() {
    for name in ["framewire", "framewire-server", "framewire-client"] {
        assert!(run(name, &["--help"]).status.success());
        let version = program(name).arg("--version").stderr(Stdio::null()).output().unwrap();
        assert!(String::from_utf8_lossy(&version.stdout).contains(env!("CARGO_PKG_VERSION")));
    }
}
