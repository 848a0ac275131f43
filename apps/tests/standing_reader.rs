//! Whoever reads what the programs say may stand still, as `less` and a terminal at Ctrl-S do: the programs do not.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod running;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::process::Stdio;

use framewire_testing::Signal;
use running::{PATIENCE, program};
use rustix::fs::{Mode, OFlags};

/// An answer to whoever asks for a server of another name, which is worth a line of the log.
fn refused(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_whose_standard_error_nobody_reads_any_more_answers_and_ends_when_it_is_told_to() {
    let (reader, said) = std::io::pipe().unwrap();
    // One that does not wait where the pipe is full, whatever the server's does.
    let through = format!("/proc/self/fd/{}", said.as_raw_fd());
    let mut filling = File::from(rustix::fs::open(through, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).unwrap());
    let mut command = program("framewire-server");
    command.args(["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--json"]);
    let mut server = command.stderr(Stdio::from(said)).spawn().unwrap();
    drop(command);
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    while !line.contains("listening on http://") {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "it ended before it listened");
    }
    let address = line.split_once("http://").unwrap().1.split_whitespace().next().unwrap().to_owned();
    for piece in [4096, 1] {
        while filling.write(&vec![b'-'; piece]).is_ok() {}
    }
    // The first would have been told of already.
    for _ in 0..5 {
        let answer = refused(&address);
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    framewire_testing::send(Signal::TERM, server.id());
    // Its summary comes all the same.
    let mut summary = Vec::new();
    server.stdout.take().unwrap().read_to_end(&mut summary).unwrap();
    assert_eq!(running::figure(&summary, &["frames_delivered"]), 0.0);
    assert_eq!(server.wait().unwrap().code(), Some(0));
    drop(reader);
}

#[test]
fn the_result_stands_after_all_that_was_said_before_where_both_go_to_one_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = running::in_dir(&directory, "said");
    let file = File::create(&path).unwrap();
    let mut command = program("framewire");
    command.args(["demo", "pattern:64x48", "--fps", "max", "--frames", "3", "--json"]).env("RUST_LOG", "trace");
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let ended = command.status().unwrap();
    let said = std::fs::read_to_string(&path).unwrap();
    assert_eq!(ended.code(), Some(0), "{said}");
    assert!(said.lines().count() > 3, "{said}");
    let result = said.lines().last().unwrap();
    assert_eq!(running::figure(result.as_bytes(), &["frames_delivered"]), 3.0);
}
