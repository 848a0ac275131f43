//! `framewire bench` of what two threads or processes of one machine hand over in memory, as a user runs it: that each contender runs, and
//! that its object is complete.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

mod running;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;

use running::{Running, path_text, program, run};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::io::Errno;
use serde_json::{Value, json};

/// Those that `--only` names, in the order of the report.
const CONTENDERS: [&str; 4] = ["shm", "shm-read", "memory", "pipe"];

/// As short as a measurement can be; temporary files in a folder where they can be counted.
fn measured(folder: &Path, arguments: &[&str]) -> Value {
    let mut command = program("framewire");
    command.args(["bench", "--json", "--rounds", "1", "--seconds", "0.05", "--latency-seconds", "0.1", "--frame"]);
    let output = command.args(arguments).env("TMPDIR", folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "{arguments:?} leaves files behind");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn check(contender: &Value, name: &str) {
    let number = |key: &str| contender[key].as_f64().unwrap_or_else(|| panic!("no {key} in {contender}"));
    assert_eq!(contender["name"], name);
    // A tenth of a second at 60 frames/s, and what went through at full rate.
    assert!(number("frames") >= 10.0, "{contender}");
    assert_eq!(number("frames_lost"), 0.0, "{contender}");
    assert!(number("frames_per_second") > 0.0, "{contender}");
    for key in ["gigabytes_per_second", "cpu_seconds_per_gigabyte"] {
        // Of what moves no byte, bytes a second say nothing.
        let moved = contender.get(key).map(|figure| figure.as_f64().unwrap());
        assert_eq!(
            moved.is_some_and(|moved| moved > 0.0),
            ["shm-read", "memory"].contains(&name),
            "{key} of {contender}"
        );
        assert_eq!(moved.is_some(), ["shm-read", "memory"].contains(&name), "{key} of {contender}");
    }
    for (key, parts) in [("cpu_seconds", ["sender", "receiver"]), ("cpu_us_per_frame", ["full_rate", "steady"])] {
        for part in parts {
            assert!(contender[key][part].as_f64().unwrap() > 0.0, "{key}.{part} of {contender}");
        }
    }
    let latency: Vec<f64> =
        ["p50", "p99", "p999", "max"].iter().map(|key| contender["latency_ms"][key].as_f64().unwrap()).collect();
    assert!(latency[0] > 0.0 && latency.is_sorted(), "{contender}");
    assert!(contender.get("backend").is_none() && contender.get("slice_bytes").is_none(), "{contender}");
    assert!(contender.get("ratio_to_kernel").is_none(), "{contender}");
    assert_eq!(contender.get("ratio_to_memory").is_some(), name == "shm-read", "{contender}");
}

#[test]
fn every_contender_hands_over_every_frame_whether_its_reader_sleeps_or_polls() {
    let folder = tempfile::tempdir().unwrap();
    let only = CONTENDERS.join(",");
    for (frame, more) in [("320x240:gray8", &[][..]), ("5x4:gray8", &[]), ("320x240:gray8", &["--busy-poll"])] {
        let report = measured(folder.path(), &[&[frame, "--only", &only], more].concat());
        assert_eq!((&report["frame"], &report["rate"]), (&frame.into(), &60.into()));
        assert_eq!(report.get("busy_poll").is_some(), !more.is_empty(), "{report}");
        let contenders = report["contenders"].as_array().unwrap();
        assert_eq!(contenders.len(), CONTENDERS.len());
        for (contender, name) in contenders.iter().zip(CONTENDERS) {
            check(contender, name);
        }
    }
}

#[test]
fn latency_is_measured_at_the_rate_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let report = measured(folder.path(), &["64x64:gray8", "--only", "pipe", "--rate", "1000"]);
    assert_eq!(report["rate"], 1_000);
    check(&report["contenders"][0], "pipe");
}

/// A bench that receives for whoever comes, and where.
fn receiving() -> (Running, String) {
    let mut command = program("framewire");
    let mut far = Running::start(command.args(["bench", "--receive", "127.0.0.1:0"]));
    let mut line = String::new();
    BufReader::new(far.take_stdout()).read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("framewire bench: receiving on ").unwrap().to_owned();
    (far, address)
}

#[test]
fn with_a_receiver_started_apart_nothing_is_measured_that_needs_one_machine() {
    let (far, address) = receiving();
    for name in CONTENDERS {
        let output = run("framewire", &["bench", "--to", &address, "--only", name]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("a process that the bench starts itself") && said.contains("leave --to out"), "{said}");
    }
    far.interrupt();
    let (code, said, _) = far.wait();
    assert_eq!(code, Some(0), "{said}");
}

/// A name of a file is believed of the bench that has started the process that opens it, and of nobody else: the near end asks for none, so
/// this is whoever else reaches the port.
#[test]
fn no_file_is_opened_by_the_name_that_whoever_reaches_the_port_sends() {
    let (far, address) = receiving();
    let greet = |version: u64| {
        let mut near = TcpStream::connect(&address).unwrap();
        writeln!(near, "{}", json!({"program": "framewire-bench", "version": version, "clock": 0})).unwrap();
        let mut lines = BufReader::new(near.try_clone().unwrap());
        let hello = next(&mut lines);
        (near, lines, hello["version"].as_u64().unwrap())
    };
    let (_, _, version) = greet(0);
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for contender in ["pipe", "shm", "shm-read"] {
        let (mut near, mut lines, _) = greet(version);
        let path = path_text(&pipe);
        let run = json!({
            "contender": contender, "frame": "64x64:gray8", "backend": "auto", "shared_clock": false, "path": path
        });
        writeln!(near, "{run}").unwrap();
        let reply = next(&mut lines);
        let failed = reply["failed"].as_str().unwrap_or_else(|| panic!("{contender} is ready: {reply}"));
        assert!(failed.contains("a process that the bench starts itself"), "{contender}: {failed}");
        // Nobody reads it.
        let opened = rustix::fs::open(&pipe, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty());
        assert_eq!(opened.err(), Some(Errno::NXIO), "{contender}");
    }
    far.interrupt();
    let (code, said, _) = far.wait();
    assert_eq!(code, Some(0), "{said}");
}

fn next(lines: &mut impl BufRead) -> Value {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}
