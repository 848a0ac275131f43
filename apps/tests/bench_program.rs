//! `framewire bench` as a user runs it: what the object says, what is refused, and that nothing is left behind.
#![allow(missing_docs)]

mod running;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use framewire_testing::{Guard, Signal};
use running::{PATIENCE, Running, program, run};
use serde_json::Value;

/// As short as a measurement can be.
const BRIEF: [&str; 7] = ["bench", "--json", "--rounds", "1", "--seconds", "0.2", "--frame"];

fn measured(arguments: &[&str]) -> Value {
    let output = run("framewire", &[&BRIEF[..], &["320x240:gray8"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(arguments: &[&str], code: i32, says: &[&str]) {
    let output = run("framewire", &[&["bench"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for text in says {
        assert!(said.contains(text), "{arguments:?} should say '{text}': {said}");
    }
    assert!(output.stdout.is_empty());
}

fn check(contender: &Value, name: &str) {
    let number = |key: &str| contender[key].as_f64().unwrap_or_else(|| panic!("no {key} in {contender}"));
    assert_eq!(contender["name"], name);
    // A second at 60 frames/s, and what went out at full rate.
    assert!(number("frames") > 60.0, "{contender}");
    assert_eq!(number("frames_lost"), 0.0, "{contender}");
    assert!(number("gigabytes_per_second") > 0.0 && number("cpu_seconds_per_gigabyte") > 0.0, "{contender}");
    let latency = |key: &str| contender["latency_ms"][key].as_f64().unwrap();
    assert!(latency("p50") > 0.0, "{contender}");
    assert!(latency("p50") <= latency("p99") && latency("p99") <= latency("p999"), "{contender}");
    assert!(latency("p999") <= latency("max"), "{contender}");
}

#[test]
fn every_contender_delivers_every_frame_and_its_figures() {
    let report = measured(&[]);
    assert_eq!((&report["frame"], &report["rounds"]), (&"320x240:gray8".into(), &1.into()));
    let contenders = report["contenders"].as_array().unwrap();
    assert_eq!(contenders.len(), 3);
    for (contender, name) in contenders.iter().zip(["framewire", "kernel", "tcp"]) {
        check(contender, name);
    }
    let (framewire, kernel, tcp) = (&contenders[0], &contenders[1], &contenders[2]);
    assert_eq!((&framewire["slice_bytes"], &kernel["slice_bytes"]), (&65_507.into(), &65_507.into()));
    assert_eq!(framewire["backend"], kernel["backend"]);
    assert!(tcp.get("backend").is_none() && tcp.get("slice_bytes").is_none(), "{tcp}");
    for one in [framewire, tcp] {
        assert!(one["ratio_to_kernel"].as_f64().unwrap() > 0.0, "{one}");
    }
    assert!(kernel.get("ratio_to_kernel").is_none(), "{kernel}");
}

#[test]
fn only_those_that_are_named_are_measured_in_slices_of_the_size_that_is_asked_for() {
    let report = measured(&["--only", "kernel,framewire", "--slice", "1472", "--backend", "std"]);
    let contenders = report["contenders"].as_array().unwrap();
    assert_eq!(contenders.len(), 2);
    for (contender, name) in contenders.iter().zip(["framewire", "kernel"]) {
        check(contender, name);
        assert_eq!((&contender["slice_bytes"], &contender["backend"]), (&1_472.into(), &"std".into()));
    }
    let report = measured(&["--only", "tcp"]);
    assert_eq!(report["contenders"].as_array().unwrap().len(), 1);
    check(&report["contenders"][0], "tcp");
    assert!(report["contenders"][0].get("ratio_to_kernel").is_none());
}

/// A bench that receives, and where.
fn receiver(arguments: &[&str]) -> (Running, String) {
    receiver_at("127.0.0.1:0", arguments)
}

fn receiver_at(address: &str, arguments: &[&str]) -> (Running, String) {
    let mut command = program("framewire");
    let mut running = Running::start(command.args(["bench", "--receive", address]).args(arguments));
    let mut line = String::new();
    BufReader::new(running.take_stdout()).read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("framewire bench: receiving on ").unwrap().to_owned();
    (running, address)
}

#[test]
fn a_receiver_started_apart_serves_one_bench_after_another() {
    let (mut far, address) = receiver(&[]);
    for _ in 0..2 {
        let report = measured(&["--to", &address, "--only", "framewire,tcp"]);
        check(&report["contenders"][0], "framewire");
        check(&report["contenders"][1], "tcp");
    }
    // What comes by and is no bench does no harm.
    let mut stranger = TcpStream::connect(&address).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    far.wait_for("'GET / HTTP/1.1'");
    drop(stranger);
    check(&measured(&["--to", &address, "--only", "framewire"])["contenders"][0], "framewire");
    far.interrupt();
    let (code, said, _) = far.wait();
    assert_eq!(code, Some(0), "{said}");
}

/// All of 127.0.0.0/8 is loopback's: from none but the first would the system answer by itself.
#[cfg(target_os = "linux")]
#[test]
fn a_receiver_at_all_addresses_is_measured_at_each_that_it_is_asked_at() {
    let (far, address) = receiver_at("0.0.0.0:0", &[]);
    let port = address.rsplit_once(':').unwrap().1.to_owned();
    for ip in ["127.0.0.1", "127.0.0.9"] {
        let report = measured(&["--to", &format!("{ip}:{port}"), "--only", "framewire,kernel"]);
        check(&report["contenders"][0], "framewire");
        check(&report["contenders"][1], "kernel");
    }
    far.interrupt();
    let (code, said, _) = far.wait();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_receiver_for_one_bench_ends_after_it() {
    let (far, address) = receiver(&["--once"]);
    check(&measured(&["--to", &address, "--only", "framewire"])["contenders"][0], "framewire");
    let (code, said, _) = far.wait();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_far_end_that_is_absent_or_something_else_is_a_clear_error() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    refused(&["--to", &closed], 1, &[&closed, "start framewire bench --receive"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 mail.example ESMTP\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    refused(&["--to", &address], 1, &["'220 mail.example ESMTP'", "check the port"]);
    other.join().unwrap();
}

#[test]
fn values_that_cannot_be_are_usage_errors_with_the_remedy() {
    refused(&["--only", "udp"], 2, &["'udp'", "framewire, protected, kernel, tcp"]);
    refused(&["--frame", "1920x1080"], 2, &["'1920x1080'", "1920x1080:gray8"]);
    refused(&["--frame", "2x2:gray8"], 2, &["4 bytes (2x2:gray8)", "16 or more"]);
    refused(&["--frame", "40000x40000:bgr24"], 2, &["smaller"]);
    refused(&["--rounds", "0"], 2, &["--rounds"]);
    refused(&["--seconds", "0"], 2, &["'0' is no time"]);
    refused(&["--slice", "70000"], 2, &["'70000'", "548 to 65507"]);
    refused(&["--to", "nowhere"], 2, &["'nowhere'", "HOST:PORT"]);
    refused(&["--receive", "127.0.0.1:0", "--to", "127.0.0.1:1"], 2, &["--to"]);
}

/// However a bench ends, the process that it started ends too: both hold its standard error, which then ends.
#[cfg(target_os = "linux")]
#[test]
fn a_bench_that_is_interrupted_or_killed_leaves_no_process_behind() {
    for (signal, code) in [(Signal::TERM, Some(1)), (Signal::KILL, None)] {
        let mut command = program("framewire");
        command.args(["bench", "--rounds", "1000", "--frame", "320x240:gray8"]);
        let mut bench = Guard(command.spawn().unwrap());
        let bench = &mut bench.0;
        let mut stderr = bench.stderr.take().unwrap();
        let children = format!("/proc/{0}/task/{0}/children", bench.id());
        framewire_testing::wait_until("a process that it starts", || {
            assert_eq!(bench.try_wait().unwrap(), None, "it ended by itself");
            !std::fs::read_to_string(&children).unwrap().is_empty()
        });
        framewire_testing::send(signal, bench.id());
        let (send, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut said = String::new();
            let read = stderr.read_to_string(&mut said);
            let _ = send.send(read.map(|_| said));
        });
        let said = ended.recv_timeout(PATIENCE).expect("both processes end").unwrap();
        assert_eq!(bench.wait().unwrap().code(), code, "{said}");
        assert_eq!(said.contains("there are no figures"), code.is_some(), "{said}");
    }
}
