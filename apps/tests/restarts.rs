//! Either side is killed, over and over: the stream goes on as soon as it is back, and the other side leaks nothing.
//! `FRAMEWIRE_CYCLES` sets how often each is killed (5 times by default).
#![allow(missing_docs)]

mod running;

use std::time::{Duration, Instant};

use framewire_testing::wait_for;
use running::{Running, Server};

const SENT: [&str; 6] = ["pattern:640x480", "--fps", "60", "--delivery", "latest", "-v"];

fn cycles() -> usize {
    std::env::var("FRAMEWIRE_CYCLES").map_or(5, |cycles| cycles.parse().expect("FRAMEWIRE_CYCLES is a number"))
}

/// The number in a client's line on a frame that the server has acknowledged.
fn acknowledged(client: &mut Running) -> u64 {
    let line = client.wait_for("feedback: frame ");
    let (_, rest) = line.split_once("frame ").unwrap();
    rest.split_once(' ').unwrap().0.parse().unwrap()
}

/// A client that sends, started by somebody who starts it again where it is refused: an address has so many streams at once, and
/// those of killed clients count until their silence is noticed.
fn started_again(server: &Server) -> Running {
    wait_for("a client that is not refused", || {
        let mut client = Running::start(&mut server.client(&SENT));
        if client.wait_for_one_of(&["feedback: frame ", "(too-many)"]).contains("feedback") {
            return Ok(client);
        }
        let (code, said, _) = client.wait();
        assert!(code.is_some_and(|code| code != 0), "{said}");
        Err(said)
    })
}

/// What a process holds: descriptors, and mappings of shared memory.
fn held(process: u32) -> (usize, usize) {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    (descriptors, maps.lines().filter(|line| line.contains("memfd:")).count())
}

/// Waits until a process holds no more than it did.
fn await_release(process: u32, before: (usize, usize)) {
    wait_for(format_args!("it holds no more than {before:?}"), || {
        let now = held(process);
        if now.0 <= before.0 && now.1 <= before.1 { Ok(()) } else { Err(format!("it holds {now:?}")) }
    });
}

/// Says how long it took from when the process was up until frames came through.
fn report(side: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    println!(
        "{side} killed {} times: streaming after {:?}, at most {:?}",
        times.len(),
        times[times.len() / 2],
        times.last()
    );
}

#[test]
fn a_server_that_is_killed_again_and_again_gets_the_frames_of_now() {
    let mut server = Server::start(&[]);
    let (signal, udp) = (server.signal.clone(), server.udp.clone());
    let mut client = Running::start(&mut server.client(&SENT));
    let mut newest = acknowledged(&mut client);
    let mut before = None;
    let mut times = Vec::new();
    for _ in 0..cycles() {
        server.running.kill();
        server = Server::start_at(&signal, &udp, &[]);
        let up = Instant::now();
        client.skip_said();
        let number = acknowledged(&mut client);
        times.push(up.elapsed());
        assert!(number > newest, "frame {number} came after frame {newest}");
        newest = number;
        // The first time, what the client keeps for reconnecting is there too.
        before.get_or_insert_with(|| held(client.id()));
    }
    await_release(client.id(), before.unwrap());
    report("server", times);
}

#[test]
fn a_client_that_is_killed_again_and_again_is_served_each_time() {
    let server = Server::start(&[]);
    let mut first = Running::start(&mut server.client(&SENT));
    acknowledged(&mut first);
    let before = held(server.running.id());
    let mut client = first;
    let mut times = Vec::new();
    for _ in 0..cycles() {
        client.kill();
        let up = Instant::now();
        client = started_again(&server);
        times.push(up.elapsed());
    }
    // Streams whose senders fell silent end after some seconds.
    await_release(server.running.id(), before);
    report("client", times);
}
