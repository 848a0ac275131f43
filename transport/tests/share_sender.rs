//! Senders that write their frames where the receiver has them, and what becomes of these when either end dies.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use framewire_testing::{PATIENCE, Signal, wait_until};
use framewire_transport::share::{Endpoint, Reader, ShareConfig};
use framewire_transport::{
    Admission, ConsumerPolicy, Delivery, EndReason, FrameFormat, IncomingStream, PathChoice, PathKind, PixelFormat,
    Receiver, ReceiverConfig, RecvError, SendState, Sender, SenderConfig,
};

/// What tells this program that it is one of the processes that are killed, and which.
const ROLE: &str = "FRAMEWIRE_TEST_ROLE";

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 320, 240).unwrap()
}

/// A byte of a frame, which says what frame it is of and where it lies.
fn byte(number: u64, at: usize) -> u8 {
    (number as usize).wrapping_mul(31).wrapping_add(at / 7) as u8
}

fn fill(number: u64, bytes: &mut [u8]) {
    bytes.iter_mut().enumerate().for_each(|(at, to)| *to = byte(number, at));
}

fn is_whole(number: u64, bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(at, is)| *is == byte(number, at))
}

fn send(sender: &Sender, number: u64) {
    let mut frame = sender.frame().unwrap();
    fill(number, &mut frame);
    assert_eq!(sender.send(frame).unwrap(), number);
}

/// A folder with a place for a hub.
struct Place {
    folder: PathBuf,
    endpoint: Endpoint,
}

impl Place {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("framewire-share-sender-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let endpoint = Endpoint::path(folder.join("hub.sock")).unwrap();
        Self { folder, endpoint }
    }

    fn receiver(&self, config: ReceiverConfig) -> Receiver {
        Receiver::bind("127.0.0.1:0".parse().unwrap(), config.share(ShareConfig::new(self.endpoint.clone()))).unwrap()
    }

    fn config(&self, delivery: Delivery, path: PathChoice) -> SenderConfig {
        SenderConfig::new(format()).delivery(delivery).path(path).share(self.endpoint.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// This program once more, as another process.
struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Process {
    fn new(role: &str, rest: &str) -> Self {
        Self::of(Command::new(std::env::current_exe().unwrap()), role, rest)
    }

    fn of(mut command: Command, role: &str, rest: &str) -> Self {
        let mut child = command
            .args(["does_as_told_by_its_environment", "--exact", "--nocapture"])
            .env(ROLE, format!("{role} {rest}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line that it says, `None` at its end.
    fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some((_, said)) = line.split_once("said: ") {
                return Some(said.trim().to_owned());
            }
        }
    }

    fn expect(&mut self, lines: impl IntoIterator<Item = u64>) {
        for line in lines {
            assert_eq!(self.line().as_deref(), Some(line.to_string().as_str()));
        }
    }

    /// Has it go on.
    fn go_on(&self) {
        framewire_testing::send(Signal::CONT, self.child.id());
    }

    /// Has it do nothing more.
    fn stop(&self) {
        framewire_testing::send(Signal::STOP, self.child.id());
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Not a test of its own: what the other processes do.
#[test]
fn does_as_told_by_its_environment() {
    let Ok(told) = std::env::var(ROLE) else { return };
    let words: Vec<_> = told.split(' ').collect();
    match words[..] {
        // Takes one stream, and says which frames are there and as they were sent.
        ["hub", endpoint, address] => {
            let share = ShareConfig::new(endpoint.parse().unwrap());
            let receiver = Receiver::bind(address.parse().unwrap(), ReceiverConfig::new().share(share)).unwrap();
            println!("said: {}", receiver.local_addr());
            loop {
                let stream = receiver.accept().unwrap();
                for frame in stream.frames() {
                    let frame = frame.unwrap();
                    assert!(is_whole(frame.info().number, &frame));
                    println!("said: {}", frame.info().number);
                }
            }
        }
        // Lets the first stream go with its first frame, and takes the next; stays there when that ends.
        ["choosy", endpoint, address] => {
            let share = ShareConfig::new(endpoint.parse().unwrap());
            let receiver = Receiver::bind(address.parse().unwrap(), ReceiverConfig::new().share(share)).unwrap();
            println!("said: {}", receiver.local_addr());
            let mut takes = 1;
            loop {
                let stream = receiver.accept().unwrap();
                for frame in stream.frames().take(takes) {
                    println!("said: {}", frame.unwrap().info().number);
                }
                takes = usize::MAX;
            }
        }
        // Sends without end.
        ["sender", endpoint, delivery] => {
            let delivery = if delivery == "every" { Delivery::Every } else { Delivery::Latest };
            let config = SenderConfig::new(format()).delivery(delivery).path(PathChoice::Shm);
            let config = config.share(endpoint.parse::<Endpoint>().unwrap());
            let sender = Sender::connect("127.0.0.1:9".parse().unwrap(), config).unwrap();
            for number in 0.. {
                send(&sender, number);
            }
        }
        // Sends one frame by whichever way there is, and says which it was, whether it has arrived after so many seconds, and why.
        ["one", endpoint, peer, seconds] => {
            let config =
                SenderConfig::new(format()).delivery(Delivery::Every).share(endpoint.parse::<Endpoint>().unwrap());
            let sender = Sender::connect(peer.parse().unwrap(), config.linger(Duration::ZERO)).unwrap();
            send(&sender, 0);
            let settled = sender.wait_until_settled(Duration::from_secs(seconds.parse().unwrap())).is_ok();
            println!("said: {} {settled} {}", sender.path(), sender.path_trouble().unwrap_or_default());
        }
        // Sends one frame by shared memory.
        ["stamped", endpoint] => {
            let config = SenderConfig::new(format()).delivery(Delivery::Every).path(PathChoice::Shm);
            let config = config.share(endpoint.parse::<Endpoint>().unwrap());
            let sender = Sender::connect("127.0.0.1:9".parse().unwrap(), config).unwrap();
            send(&sender, 0);
            sender.close(PATIENCE).unwrap();
        }
        // Sends a frame, with room for so many more files than it has then, and says which way it went.
        ["short", endpoint, peer, files] => {
            let file = std::fs::File::open("/dev/null").unwrap();
            let limit = std::os::fd::AsRawFd::as_raw_fd(&file) as u64 + files.parse::<u64>().unwrap();
            let maximum = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
            drop(file);
            let limit = rustix::process::Rlimit { current: Some(limit), maximum };
            rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
            let config =
                SenderConfig::new(format()).delivery(Delivery::Every).share(endpoint.parse::<Endpoint>().unwrap());
            let sent = Sender::connect(peer.parse().unwrap(), config.linger(Duration::ZERO)).map(|sender| {
                let sent = sender.frame().and_then(|frame| Ok(sender.send(frame)?));
                let _settled = sent.is_ok() && sender.wait_until_settled(Duration::from_secs(10)).is_ok();
                sent.map(|_| format!("{} {}", sender.path(), sender.path_trouble().unwrap_or_default()))
            });
            let path = match sent {
                Ok(Ok(path)) => path,
                // Not enough for datagrams either.
                Ok(Err(error)) => format!("none {error}"),
                Err(error) => format!("none {error}"),
            };
            println!("said: {path}");
        }
        _ => panic!("{told}"),
    }
}

fn expect_frames(stream: &IncomingStream, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let frame = stream.recv_timeout(PATIENCE).unwrap();
        assert_eq!(frame.info().number, number);
        assert!(is_whole(number, &frame));
    }
}

#[test]
fn frames_of_a_local_sender_are_read_in_place_by_a_third_program_too() {
    let place = Place::new();
    let receiver = place.receiver(ReceiverConfig::new());
    let sender = Sender::connect(receiver.local_addr(), place.config(Delivery::Every, PathChoice::Auto)).unwrap();
    sender.wait_until_open(PATIENCE).unwrap();
    assert_eq!((sender.path(), sender.path_trouble(), sender.slice_bytes()), (PathKind::Shm, None, 0));
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    assert_eq!(stream.info().path, PathKind::Shm);
    stream.share_as("front").unwrap();
    let reader = Reader::connect(place.endpoint.clone()).unwrap();
    let subscription = reader.subscribe("front", ConsumerPolicy::Latest).unwrap();
    for number in 0..50 {
        send(&sender, number);
        expect_frames(&stream, number..number + 1);
        let read = subscription.recv_timeout(PATIENCE).unwrap();
        assert_eq!(read.info().number, number);
        assert!(is_whole(number, &read));
    }
    let report = sender.close(PATIENCE).unwrap();
    assert_eq!(report.delivered, 50);
    assert_eq!((stream.recv().unwrap_err(), stream.end_reason()), (RecvError::Ended, Some(EndReason::Closed)));
}

#[test]
fn a_sender_that_is_killed_ends_its_stream_and_every_frame_before_is_whole() {
    for delivery in ["every", "latest"] {
        let place = Place::new();
        let receiver = place.receiver(ReceiverConfig::new().latest_policy(ConsumerPolicy::Block));
        let mut sender = Process::new("sender", &format!("{} {delivery}", place.endpoint));
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        let mut next = 0;
        let mut take = |stream: &IncomingStream| {
            let frame = stream.recv_timeout(PATIENCE)?;
            let number = frame.info().number;
            assert!(is_whole(number, &frame) && (number == next || delivery == "latest" && number > next));
            next = number + 1;
            Ok::<_, RecvError>(())
        };
        (0..20).for_each(|_| take(&stream).unwrap());
        sender.kill();
        let end = loop {
            if let Err(error) = take(&stream) {
                break error;
            }
        };
        assert_eq!((end, stream.end_reason()), (RecvError::Ended, Some(EndReason::Silent)));
        let (stats, source) = (stream.stats(), stream.source());
        assert_eq!(stats.frames_passed, stats.frames_delivered + source.skipped, "{stats:?} {source:?}");
        assert_eq!((source.lost, stats.frames_incomplete, stats.frames_no_slot), (0, 0, 0));
        drop(stream);
        wait_until("all memory comes back", || receiver.memory_bytes() == 0);
    }
}

#[test]
fn a_sender_that_lacks_what_it_needs_opens_no_stream_by_shared_memory_and_goes_another_way_once() {
    let place = Place::new();
    let receiver = place.receiver(ReceiverConfig::new());
    let (mut troubles, mut by_shm, mut files) = (0, 0, 0);
    // With room for all that it needs, it goes by shared memory; with less, it lacks each thing once.
    while by_shm == 0 {
        files += 1;
        assert!(files < 64, "it never has what it needs");
        let told = format!("{} {} {files}", place.endpoint, receiver.local_addr());
        let mut sender = Process::new("short", &told);
        let said = sender.line().unwrap_or_else(|| panic!("nothing was said with room for {files} files"));
        let (path, trouble) = said.split_once(' ').unwrap_or((&said, ""));
        assert!(sender.child.wait().unwrap().success());
        by_shm += u32::from(path == "shm");
        troubles += u32::from(path == "udp" && !trouble.is_empty());
        // What it opened there is what it then took; whether datagrams had what they need is another question.
        let mut opened = 0;
        while let Ok(stream) = receiver.accept_timeout(Duration::ZERO) {
            opened += u32::from(stream.info().path == PathKind::Shm);
        }
        assert_eq!(opened, by_shm, "with room for {files} files: {said}");
    }
    assert!(troubles > 0, "it never lacked anything on that way alone");
}

#[test]
fn times_of_a_sender_in_another_time_namespace_are_this_ones() {
    // Into the past as far as there is one.
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let past = uptime.split('.').next().unwrap().parse::<i64>().unwrap() / 2;
    let shifted = |seconds: i64| {
        let mut command = Command::new("unshare");
        command.args(["--time", "--fork", "--kill-child", "--monotonic", &seconds.to_string(), "--"]);
        command
    };
    if !shifted(1).arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        framewire_testing::skip("a time namespace takes root and unshare (util-linux)");
        return;
    }
    for seconds in [100_000, -past] {
        let place = Place::new();
        let receiver = place.receiver(ReceiverConfig::new());
        let mut command = shifted(seconds);
        command.arg(std::env::current_exe().unwrap());
        let sender = Process::of(command, "stamped", &place.endpoint.to_string());
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        let frame = stream.recv_timeout(PATIENCE).unwrap();
        let info = frame.info();
        let latency = info.latency.unwrap();
        // Not what the two clocks differ by, and not nothing, as of a frame that comes from later.
        assert!(Duration::ZERO < latency && latency < PATIENCE, "{seconds}: {latency:?}");
        assert!(info.captured < info.completed && info.sent.unwrap() < info.completed, "{seconds}: {info:?}");
        drop(sender);
    }
}

#[test]
fn what_a_killed_hub_had_not_settled_goes_to_the_next_one_and_nothing_goes_twice() {
    let place = Place::new();
    let mut hub = Process::new("hub", &format!("{} 127.0.0.1:0", place.endpoint));
    hub.line().unwrap();
    let config = place.config(Delivery::Every, PathChoice::Shm);
    let sender = Sender::connect("127.0.0.1:9".parse().unwrap(), config).unwrap();
    (0..10).for_each(|number| send(&sender, number));
    hub.expect(0..10);
    sender.wait_until_settled(PATIENCE).unwrap();
    // It takes nothing in any more: what is handed over stays there.
    hub.stop();
    (10..13).for_each(|number| send(&sender, number));
    let mut held = sender.frame().unwrap();
    fill(13, &mut held);
    hub.kill();
    let mut hub = Process::new("hub", &format!("{} 127.0.0.1:0", place.endpoint));
    hub.line().unwrap();
    assert_eq!(sender.send(held).unwrap(), 13);
    (14..20).for_each(|number| send(&sender, number));
    hub.expect(10..20);
    let report = sender.close(PATIENCE).unwrap();
    let stats = sender.stats();
    assert_eq!((report.delivered, stats.frames, stats.frames_sent, stats.frames_delivered), (20, 20, 20, 20));
    assert_eq!((stats.restarts, sender.path()), (1, PathKind::Shm));
}

#[test]
fn without_its_hub_a_stream_goes_by_datagrams_and_says_why() {
    let place = Place::new();
    let mut hub = Process::new("hub", &format!("{} 127.0.0.1:0", place.endpoint));
    let address: SocketAddr = hub.line().unwrap().parse().unwrap();
    let sender = Sender::connect(address, place.config(Delivery::Every, PathChoice::Auto)).unwrap();
    (0..10).for_each(|number| send(&sender, number));
    hub.expect(0..10);
    assert_eq!(sender.path(), PathKind::Shm);
    sender.wait_until_settled(PATIENCE).unwrap();
    hub.stop();
    (10..13).for_each(|number| send(&sender, number));
    hub.kill();
    wait_until("the way by datagrams", || sender.path() == PathKind::Udp);
    assert!(sender.path_trouble().unwrap().contains("has ended"));
    // Where it was, without a place to share at.
    let receiver = Receiver::bind(address, ReceiverConfig::new()).unwrap();
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    assert_eq!(stream.info().path, PathKind::Udp);
    (13..16).for_each(|number| send(&sender, number));
    expect_frames(&stream, 10..16);
    let report = sender.close(PATIENCE).unwrap();
    assert_eq!((report.delivered, sender.stats().frames_sent), (16, 16));
}

#[test]
fn a_hub_that_is_back_before_anybody_answers_datagrams_has_the_stream_by_shared_memory_again() {
    let place = Place::new();
    // Nobody answers there.
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = place.config(Delivery::Every, PathChoice::Auto);
    let sender = Sender::connect(nobody.local_addr().unwrap(), config).unwrap();
    assert_eq!(sender.path(), PathKind::Udp);
    (0..2).for_each(|number| send(&sender, number));
    for round in 0..3 {
        let receiver = place.receiver(ReceiverConfig::new());
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        assert_eq!(stream.info().path, PathKind::Shm);
        let first = round * 6;
        (first + 2..first + 6).for_each(|number| send(&sender, number));
        expect_frames(&stream, first..first + 6);
        sender.wait_until_settled(PATIENCE).unwrap();
        assert_eq!(sender.path(), PathKind::Shm);
        drop(receiver);
        wait_until("the way by datagrams", || sender.path() == PathKind::Udp);
        (first + 6..first + 8).for_each(|number| send(&sender, number));
    }
    assert_eq!(sender.stats().frames, 20);
}

#[test]
fn a_receiver_that_stalls_beside_its_hub_gets_every_frame_once() {
    let place = Place::new();
    let mut hub = Process::new("choosy", &format!("{} 127.0.0.1:0", place.endpoint));
    let address: SocketAddr = hub.line().unwrap().parse().unwrap();
    let sender = Sender::connect(address, place.config(Delivery::Every, PathChoice::Auto)).unwrap();
    send(&sender, 0);
    hub.expect(0..1);
    wait_until("the way by datagrams", || sender.path() == PathKind::Udp);
    sender.wait_until_open(PATIENCE).unwrap();
    (1..5).for_each(|number| send(&sender, number));
    hub.expect(1..5);
    // Else what it has not settled keeps the slots that the next frames need.
    sender.wait_until_settled(PATIENCE).unwrap();
    hub.stop();
    (5..8).for_each(|number| send(&sender, number));
    wait_until("silence", || matches!(sender.state(), SendState::Opening { .. }));
    // Its hub lets others connect all the time, and is not asked: it may have what is not settled.
    hub.go_on();
    hub.expect(5..8);
    (8..12).for_each(|number| send(&sender, number));
    hub.expect(8..12);
    sender.wait_until_settled(PATIENCE).unwrap();
    assert_eq!((sender.path(), sender.stats().frames_sent), (PathKind::Udp, 12));
}

#[test]
fn a_sender_whose_hub_has_taken_everything_and_died_is_settled_and_closed() {
    let place = Place::new();
    let mut hub = Process::new("hub", &format!("{} 127.0.0.1:0", place.endpoint));
    hub.line().unwrap();
    let config = place.config(Delivery::Every, PathChoice::Shm);
    let sender = Sender::connect("127.0.0.1:9".parse().unwrap(), config).unwrap();
    (0..3).for_each(|number| send(&sender, number));
    hub.expect(0..3);
    sender.wait_until_settled(PATIENCE).unwrap();
    hub.kill();
    wait_until("the end of the way", || matches!(sender.state(), SendState::Opening { .. }));
    sender.wait_until_settled(PATIENCE).unwrap();
    let report = sender.close(PATIENCE).unwrap();
    assert_eq!((report.delivered, report.is_forgotten), (3, true));
}

#[test]
fn a_latest_stream_goes_on_at_the_next_hub_and_its_frames_have_one_fate_each() {
    let place = Place::new();
    let mut numbers = 0;
    let config = place.config(Delivery::Latest, PathChoice::Shm);
    let sender = Sender::connect("127.0.0.1:9".parse().unwrap(), config).unwrap();
    for _ in 0..3 {
        let receiver = place.receiver(ReceiverConfig::new());
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        for _ in 0..20 {
            send(&sender, numbers);
            numbers += 1;
        }
        sender.wait_until_settled(PATIENCE).unwrap();
        let frame = stream.recv_timeout(PATIENCE).unwrap();
        assert_eq!(frame.info().number, numbers - 1);
        assert!(is_whole(numbers - 1, &frame));
        drop((stream, receiver));
        wait_until("the end of the way", || matches!(sender.state(), SendState::Opening { .. }));
    }
    let stats = sender.stats();
    assert_eq!(stats.frames, 60);
    assert_eq!(stats.frames_sent + stats.frames_skipped + stats.frames_abandoned, 60, "{stats:?}");
}

#[test]
fn a_stream_that_asks_for_what_only_datagrams_have_goes_by_them() {
    let place = Place::new();
    let receiver = place.receiver(ReceiverConfig::new());
    let config = || place.config(Delivery::Every, PathChoice::Auto).linger(Duration::ZERO);
    let asked = [
        config().slice("1472".parse::<framewire_transport::SliceSize>().unwrap()),
        config().fec("10".parse::<framewire_transport::Fec>().unwrap()),
        config().backend("std".parse::<framewire_transport::BackendKind>().unwrap()),
        config().path(PathChoice::Udp),
    ];
    for config in asked {
        let sender = Sender::connect(receiver.local_addr(), config).unwrap();
        assert_eq!((sender.path(), sender.path_trouble()), (PathKind::Udp, None));
    }
}

#[test]
fn every_refusal_is_told_and_by_itself_the_stream_goes_by_datagrams() {
    let place = Place::new();
    let many = ReceiverConfig::new().admission(Admission::Announced);
    let receiver = place.receiver(many);
    // Announced, but the sender does not know by what it is known.
    let invitation = receiver.announce(7, format()).unwrap().unwrap();
    let config = place.config(Delivery::Every, PathChoice::Auto).stream(7);
    let sender = Sender::connect(receiver.local_addr(), config.clone()).unwrap();
    sender.wait_until_open(PATIENCE).unwrap();
    assert_eq!(sender.path(), PathKind::Udp);
    assert!(sender.path_trouble().unwrap().contains("was not announced"), "{:?}", sender.path_trouble());
    drop(sender);
    // By shared memory alone it does not open, and with the invitation it does.
    let stubborn = Sender::connect(receiver.local_addr(), config.clone().path(PathChoice::Shm)).unwrap();
    assert_eq!(stubborn.wait_until_open(PATIENCE).unwrap_err().code(), "refused-not-announced");
    drop(stubborn);
    let sender = Sender::connect(receiver.local_addr(), config.share(invitation)).unwrap();
    sender.wait_until_open(PATIENCE).unwrap();
    assert_eq!((sender.path(), sender.path_trouble()), (PathKind::Shm, None));
}

#[test]
fn frames_that_are_too_large_for_a_hub_are_refused_with_the_limit() {
    let place = Place::new();
    let receiver = place.receiver(ReceiverConfig::new().stream_bytes_max(100_000));
    let config = place.config(Delivery::Every, PathChoice::Shm).linger(Duration::ZERO);
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    let error = sender.wait_until_open(PATIENCE).unwrap_err();
    assert_eq!(error.code(), "refused-frame-too-large");
    assert!(sender.path_trouble().unwrap().contains("100000 bytes"), "{:?}", sender.path_trouble());
}

#[test]
fn by_shared_memory_alone_a_sender_says_that_nobody_shares() {
    let place = Place::new();
    let config = place.config(Delivery::Every, PathChoice::Shm).linger(Duration::ZERO);
    let sender = Sender::connect("127.0.0.1:9".parse().unwrap(), config).unwrap();
    let error = sender.wait_until_open(Duration::from_millis(10)).unwrap_err();
    assert_eq!(error.code(), "no-shared-memory");
    assert!(error.to_string().contains("hub.sock") && error.to_string().contains("127.0.0.1:9"), "{error}");
    assert!(sender.frame_timeout(Duration::ZERO).unwrap().is_none());
}

#[test]
fn two_network_namespaces_are_two_hosts_although_a_socket_reaches_across() {
    let Some(hosts) = framewire_testing::Hosts::new(&[]) else { return };
    let place = Place::new();
    let mut hub = Process::new("hub", &format!("{} 127.0.0.1:0", place.endpoint));
    let address = hub.line().unwrap();
    let program = std::env::current_exe().unwrap();
    // The same address, which is another machine's there: nobody answers.
    let mut other =
        Process::of(hosts.command(hosts.near(), &program), "one", &format!("{} {address} 1", place.endpoint));
    let said = other.line().unwrap();
    assert!(said.starts_with("udp false") && said.contains("another network namespace"), "{said}");
    let mut own = Process::of(Command::new(&program), "one", &format!("{} {address} 60", place.endpoint));
    assert_eq!(own.line().unwrap(), "shm true");
}
