//! Streams that come over the network, read in place by other processes and threads of this machine.
#![cfg(target_os = "linux")]

#[path = "system/denied.rs"]
mod denied;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use denied::{Denied, where_denied};
use framewire_testing::{PATIENCE, wait_for};
use framewire_transport::share::{Endpoint, Reader, ReaderFigures, ShareConfig, ShareError, SubscriptionConfig};
use framewire_transport::{
    BindError, ConsumerPolicy, Delivery, FrameFormat, IncomingStream, PathChoice, PathKind, PixelFormat, Receiver,
    ReceiverConfig, RecvError, Sender, SenderConfig,
};
use rustix::process::Signal;

const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;

/// What tells this program that it is a reader: the socket.
const READER: &str = "FRAMEWIRE_TEST_READER";

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, WIDTH, HEIGHT).unwrap()
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

/// A receiver that shares, a sender by UDP, and the stream between them.
struct Set {
    folder: PathBuf,
    endpoint: Endpoint,
    receiver: Receiver,
    sender: Sender,
    stream: IncomingStream,
}

impl Set {
    fn new(delivery: Delivery, set: impl FnOnce(ShareConfig) -> ShareConfig) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("framewire-sharing-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let endpoint = Endpoint::path(folder.join("hub.sock")).unwrap();
        let config = ReceiverConfig::new().share(set(ShareConfig::new(endpoint.clone())));
        let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        let config = SenderConfig::new(format()).delivery(delivery).path(PathChoice::Udp);
        let sender = Sender::connect(receiver.local_addr(), config).unwrap();
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        stream.share_as("front").unwrap();
        Self { folder, endpoint, receiver, sender, stream }
    }

    fn send(&self, number: u64) {
        let mut frame = self.sender.frame().unwrap();
        fill(number, &mut frame);
        self.sender.send(frame).unwrap();
    }

    /// Each reader's figures, which add up.
    fn readers(&self) -> Vec<ReaderFigures> {
        let readers = self.stream.readers();
        for figures in &readers {
            assert_eq!(figures.offered, figures.taken + figures.dropped + figures.waiting as u64, "{figures:?}");
        }
        readers
    }

    fn until(&self, what: &str, mut is_so: impl FnMut(&[ReaderFigures]) -> bool) {
        wait_for(what, || {
            let readers = self.readers();
            if is_so(&readers) { Ok(()) } else { Err(format!("{readers:?}")) }
        });
    }

    fn reader(&self, policy: &str) -> ReadingProcess {
        let reader = ReadingProcess::new(&self.endpoint, policy);
        let pid = reader.child.id();
        self.until("the reader", |readers| readers.iter().any(|reader| reader.pid == pid));
        reader
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        self.receiver.stop();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// This program once more, as a reader that checks each frame and says which it was, a line each.
struct ReadingProcess {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl ReadingProcess {
    fn new(endpoint: &Endpoint, policy: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["reads_as_told_by_its_environment", "--exact", "--nocapture"])
            .env(READER, format!("{policy} {endpoint}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line that it says of a frame, or `end`.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the reader is gone");
            if let Some((_, said)) = line.split_once("reader: ") {
                return said.trim().to_owned();
            }
        }
    }

    fn numbers_until_the_end(mut self) -> Vec<u64> {
        let numbers = std::iter::from_fn(|| self.line().parse().ok()).collect();
        assert!(self.child.wait().unwrap().success());
        numbers
    }

    fn signal(&self, signal: Signal) {
        framewire_testing::send(signal, self.child.id());
    }
}

impl Drop for ReadingProcess {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Has this process be another user from here on, for whom nothing is but what everybody may.
fn become_user(uid: u32, gid: u32) {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    // On this thread alone, which is the one that connects: a process's credentials are those of the thread that asks.
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_groups(&[]).unwrap();
    set_thread_res_gid(gid, gid, gid).unwrap();
    set_thread_res_uid(uid, uid, uid).unwrap();
}

/// No test by itself: what a reading process does.
#[test]
fn reads_as_told_by_its_environment() {
    let Ok(told) = std::env::var(READER) else { return };
    let (policy, endpoint) = told.split_once(' ').unwrap();
    let reader = Reader::connect(endpoint.parse().unwrap()).unwrap();
    let policy = match policy {
        "latest" | "hold" => ConsumerPolicy::Latest,
        "block" => ConsumerPolicy::Block,
        queue => ConsumerPolicy::Queue(queue.parse().unwrap()),
    };
    let subscription = reader.subscribe_with("front", SubscriptionConfig::new().policy(policy).name("child")).unwrap();
    let mut said = std::io::stdout();
    let mut kept = Vec::new();
    for frame in subscription.frames() {
        let frame = frame.unwrap();
        let number = frame.info().number;
        assert!(is_whole(number, &frame), "frame {number} is torn");
        writeln!(said, "reader: {number}").unwrap();
        if told.starts_with("hold") {
            kept.push(frame);
            if kept.len() == 2 {
                // Until it is killed.
                let _ = std::io::stdin().read(&mut [0]);
            }
        }
    }
    writeln!(said, "reader: end").unwrap();
}

#[test]
fn four_processes_read_a_stream_that_comes_by_udp_in_place_each_frame_whole_and_the_accounts_are_exact() {
    const FRAMES: u64 = 300;
    let set = Set::new(Delivery::Every, |share| share.block(true).reader_slots(40));
    assert_eq!(set.stream.info().path, PathKind::Udp);
    let readers = ["latest", "4", "block", "block"].map(|policy| set.reader(policy));
    let consumed = std::thread::scope(|scope| {
        let consumer =
            scope.spawn(|| set.stream.frames().map(|frame| frame.unwrap().info().number).collect::<Vec<_>>());
        for number in 0..FRAMES {
            set.send(number);
        }
        set.until("the last frame", |readers| {
            readers.iter().all(|reader| reader.offered == FRAMES && reader.waiting == 0)
        });
        let readers = set.readers();
        assert!(readers.iter().all(|reader| reader.name == "child" && !reader.quarantined), "{readers:?}");
        let of_block: Vec<_> = readers.iter().filter(|reader| reader.policy == ConsumerPolicy::Block).collect();
        assert!(of_block.iter().all(|reader| (reader.taken, reader.dropped) == (FRAMES, 0)), "{of_block:?}");
        assert_eq!(set.sender.close(PATIENCE).unwrap().delivered, FRAMES);
        consumer.join().unwrap()
    });
    let all: Vec<_> = (0..FRAMES).collect();
    assert_eq!(consumed, all);
    let [latest, queue, first, second] = readers.map(ReadingProcess::numbers_until_the_end);
    assert_eq!((&first, &second), (&all, &all));
    for some in [latest, queue] {
        assert!(some.is_sorted() && some.last() == Some(&(FRAMES - 1)), "{some:?}");
    }
}

#[test]
fn a_killed_reader_gives_back_what_it_held_and_a_stopped_one_slows_nobody() {
    let set = Set::new(Delivery::Every, |share| share);
    let (mut killed, stopped) = (set.reader("hold"), set.reader("4"));
    let mut numbers = 0..;
    let mut exchange = |frames: u64| {
        for number in numbers.by_ref().take(frames as usize) {
            set.send(number);
            let frame = set.stream.recv_timeout(PATIENCE).unwrap();
            assert!(is_whole(number, &frame) && frame.info().number == number);
        }
    };
    exchange(1);
    killed.line();
    exchange(1);
    killed.line();
    let of = |readers: &[ReaderFigures], process: &ReadingProcess| {
        readers.iter().find(|reader| reader.pid == process.child.id()).cloned()
    };
    assert_eq!(of(&set.readers(), &killed).map(|reader| reader.held), Some(2));
    stopped.signal(Signal::STOP);
    exchange(200);
    let slow = of(&set.readers(), &stopped).unwrap();
    assert!(slow.dropped >= 190 && slow.waiting + slow.held <= 6, "{slow:?}");
    killed.signal(Signal::KILL);
    set.until("the end of the killed one", |readers| of(readers, &killed).is_none());
    exchange(50);
    stopped.signal(Signal::CONT);
    set.until("what waited for the stopped one", |readers| {
        of(readers, &stopped).is_some_and(|reader| reader.waiting == 0)
    });
    assert!(set.readers().iter().all(|reader| !reader.quarantined));
}

#[test]
fn whoever_comes_late_gets_the_newest_frame_and_a_stream_is_found_by_its_name_alone() {
    let set = Set::new(Delivery::Latest, |share| share);
    set.send(0);
    assert_eq!(set.stream.recv_timeout(PATIENCE).unwrap().info().number, 0);
    let reader = Reader::connect(set.endpoint.clone()).unwrap();
    let names: Vec<_> = reader.streams().unwrap().into_iter().map(|stream| stream.name).collect();
    assert_eq!(names, ["front"]);
    let subscription = reader.subscribe("front", ConsumerPolicy::Latest).unwrap();
    let frame = subscription.recv_timeout(PATIENCE).unwrap();
    assert!(frame.info().number == 0 && is_whole(0, &frame));
    assert!(matches!(subscription.recv_timeout(Duration::ZERO), Err(RecvError::Timeout)));
    set.stream.share_as("rear").unwrap();
    assert_eq!(reader.wait_for("rear", PATIENCE).unwrap().name, "rear");
    assert!(matches!(reader.subscribe("front", ConsumerPolicy::Latest), Err(ShareError::UnknownStream { .. })));
}

#[test]
fn readers_slots_are_paid_for_when_they_come_and_the_last_of_the_memory_is_refused_with_the_numbers() {
    let set = Set::new(Delivery::Latest, |share| share.reader_slots(6));
    let before = set.receiver.memory_bytes();
    let reader = Reader::connect(set.endpoint.clone()).unwrap();
    let first = reader.subscribe("front", ConsumerPolicy::Latest).unwrap();
    let with_one = set.receiver.memory_bytes();
    let slot = (WIDTH * HEIGHT) as usize;
    assert!((3 * slot..3 * (slot + 2 * 65_536)).contains(&(with_one - before)), "{before} {with_one}");
    let second = reader.subscribe("front", ConsumerPolicy::Latest).unwrap();
    let refused = reader.subscribe("front", ConsumerPolicy::Latest).unwrap_err();
    assert!(matches!(refused, ShareError::NoReaderSlots { reader_slots: 6, left: 0, .. }), "{refused}");
    drop((first, second));
    set.until("their ends", |readers| readers.is_empty());
    let paid = set.receiver.memory_bytes();
    let _third = reader.subscribe("front", ConsumerPolicy::Latest).unwrap();
    assert_eq!(set.receiver.memory_bytes(), paid, "pages that are there are paid for already");
}

#[test]
fn a_second_hub_is_refused_by_its_path_and_a_receiver_that_shares_nothing_says_so() {
    let set = Set::new(Delivery::Latest, |share| share);
    let config = ReceiverConfig::new().share(ShareConfig::new(set.endpoint.clone()));
    let error = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).err().unwrap();
    assert!(
        matches!(&error, BindError::Share(ShareError::HubThere { endpoint }) if *endpoint == set.endpoint),
        "{error}"
    );
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::new()).unwrap();
    let config = SenderConfig::new(format()).path(PathChoice::Udp);
    let _sender = Sender::connect(receiver.local_addr(), config).unwrap();
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    assert!(matches!(stream.share_as("front"), Err(ShareError::NotShared)) && stream.readers().is_empty());
}

#[test]
fn another_user_reads_where_the_group_lets_it_and_is_refused_elsewhere_by_the_system_and_by_the_hub() {
    /// Of nobody on any machine that this runs on.
    const UID: u32 = 54_321;
    const GID: u32 = 54_322;
    if !rustix::process::geteuid().is_root() {
        framewire_testing::skip("only root can be another user");
        return;
    }
    let set = Set::new(Delivery::Every, |share| share);
    let endpoint = set.endpoint.clone();
    let as_another = move || {
        become_user(UID, GID);
        Reader::connect(endpoint.clone()).and_then(|reader| reader.subscribe("front", ConsumerPolicy::Latest)).err()
    };
    let refused = std::thread::spawn(as_another.clone()).join().unwrap().unwrap();
    assert!(matches!(refused, ShareError::Forbidden { .. }), "{refused}");
    // An administrator opens the path to everybody, and the hub still knows whom it was told to let in.
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(set.endpoint.as_path(), permissions).unwrap();
    let refused = std::thread::spawn(as_another).join().unwrap().unwrap();
    assert!(refused.to_string().contains("user"), "{refused}");

    let set = Set::new(Delivery::Every, |share| share.group(GID));
    let endpoint = set.endpoint.clone();
    let reading = std::thread::spawn(move || {
        become_user(UID, GID);
        let reader = Reader::connect(endpoint).unwrap();
        let subscription = reader.subscribe("front", ConsumerPolicy::Queue(4)).unwrap();
        let mut numbers = Vec::new();
        // It sleeps between them, and is woken by the hub's own thread.
        while let Ok(frame) = subscription.recv_timeout(PATIENCE) {
            assert!(is_whole(frame.info().number, &frame));
            numbers.push(frame.info().number);
        }
        numbers
    });
    set.until("the reader", |readers| readers.iter().any(|reader| reader.uid == UID));
    for number in 0..50 {
        set.send(number);
        set.stream.recv_timeout(PATIENCE).unwrap();
        set.until("its taking", |readers| readers.iter().all(|reader| reader.taken == number + 1));
    }
    set.sender.close(PATIENCE).unwrap();
    assert_eq!(reading.join().unwrap(), (0..50).collect::<Vec<_>>());
}

#[test]
fn where_the_system_gives_no_descriptors_of_processes_a_killed_reader_is_seen_by_its_socket() {
    let from_socket = Denied {
        call: libc::SYS_getsockopt,
        only: Some((2, u32::MAX, libc::SO_PEERPIDFD as u32)),
        errno: libc::ENOPROTOOPT,
    };
    let by_number = Denied::all(libc::SYS_pidfd_open, libc::ENOSYS);
    where_denied(from_socket, move || {
        where_denied(by_number, || {
            let set = Set::new(Delivery::Latest, |share| share);
            let mut reader = set.reader("hold");
            set.send(0);
            reader.line();
            set.until("its taking", |readers| readers.iter().all(|reader| reader.held == 1));
            reader.signal(Signal::KILL);
            set.until("its end", |readers| readers.is_empty());
        });
    });
}
