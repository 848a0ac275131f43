//! A reader beside a hub that does just what a test has it do.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::MemfdFlags;
use rustix::pipe::PipeFlags;

use super::*;
use crate::frame::memfd::{self, Right};
use crate::frame::{Frame, FrameFormat, FramePool, PixelFormat, PoolShape, Presentation, RecvError, TAIL_MAX};
use crate::share::layout::{Control, Record};
use crate::share::lease::Lender;
use crate::share::memory::Shared;
use crate::share::messages::{Described, End, Name, Packet, open_of};
use crate::share::socket::listening::{Listening, Place};
use crate::share::socket::packet;
use crate::time::Time;
use crate::wire::Delivery;

const PATIENCE: Duration = Duration::from_secs(60);
const SLOTS: usize = 8;

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 100, 100).unwrap()
}

/// A folder of the test's own, removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fw-reader-{}-{count}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::path(self.0.join("hub.sock")).unwrap()
    }

    fn hub(&self) -> Listening {
        let endpoint = self.endpoint();
        Listening::bind(Place { path: endpoint.as_path(), is_default: false, group: None }).unwrap()
    }

    fn reader(&self) -> Reader {
        Reader { endpoint: self.endpoint(), process: Process::this() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn wait_until_readable(descriptor: impl AsFd) {
    assert!(is_readable(descriptor, PATIENCE), "nothing came");
}

fn is_readable(descriptor: impl AsFd, timeout: Duration) -> bool {
    let borrowed = descriptor.as_fd();
    call::wait(&mut [PollFd::from_borrowed_fd(borrowed, PollFlags::IN)], Some(timeout)).unwrap()
}

/// The next connection, and what it asks for.
fn accept<T>(hub: &Listening, read: impl FnOnce(ToHub<'_>) -> T) -> (OwnedFd, T) {
    wait_until_readable(hub);
    let socket = hub.accept().unwrap().unwrap();
    wait_until_readable(&socket);
    let mut buffer = [0; PACKET_MAX];
    let packet = packet::receive(&socket, &mut buffer).unwrap();
    let asked = read(ToHub::parse(&buffer[..packet.len]).unwrap());
    (socket, asked)
}

fn accept_subscription(hub: &Listening) -> (OwnedFd, Wanted) {
    accept(hub, |asked| match asked {
        ToHub::Subscribe { wanted, stream, .. } => {
            assert_eq!(stream.as_str(), "front");
            wanted
        }
        other => panic!("{other:?}"),
    })
}

fn stream(name: &str) -> Described<'_> {
    let open = open_of(&format(), Delivery::Latest, &Presentation::UNKNOWN, TAIL_MAX as u16);
    Described { name: Name::new(name).unwrap(), open, path: 1, readers: 1 }
}

/// The hub's side of one subscription.
struct Granted {
    socket: OwnedFd,
    pool: FramePool,
    records: Shared<Record>,
    control: Shared<Control>,
    wake: OwnedFd,
    lender: Lender<Frame>,
    number: u64,
}

/// What a hub sends with a subscription.
struct Parts {
    shape: PoolShape,
    descriptors: Vec<OwnedFd>,
}

impl Granted {
    fn accept(hub: &Listening) -> Self {
        Self::accept_with(hub, |_| {})
    }

    fn accept_with(hub: &Listening, change: impl FnOnce(&mut Parts)) -> Self {
        let (socket, wanted) = accept_subscription(hub);
        let pool = FramePool::for_format(SLOTS, format()).unwrap();
        let records = Shared::<Record>::new("records", SLOTS, Right::Read).unwrap();
        let control = Shared::<Control>::new("control", 1, Right::Write).unwrap();
        let (woken, wake) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        {
            let descriptors = [pool.descriptor().unwrap(), records.file(), control.file(), woken.as_fd()];
            let descriptors = descriptors.map(|descriptor| descriptor.try_clone_to_owned().unwrap());
            let mut parts = Parts { shape: pool.shape(), descriptors: descriptors.into() };
            change(&mut parts);
            let answer = FromHub::Subscribed {
                stream: stream("front"),
                shape: parts.shape,
                wanted,
                now_ns: Time::now().as_nanos(),
            };
            let descriptors: Vec<_> = parts.descriptors.iter().map(AsFd::as_fd).collect();
            packet::send(&socket, Packet::from(&answer).bytes(), &descriptors).unwrap();
        }
        let lender = Lender::new(wanted.overflow, wanted.words.into(), wanted.hold.into());
        Self { socket, pool, records, control, wake, lender, number: 0 }
    }

    /// Offers a frame all of whose bytes are its number.
    fn offer(&mut self) {
        self.lender.collect(&self.control[0]);
        let mut frame = self.pool.try_acquire().unwrap();
        frame.fill(self.number as u8);
        frame.info.number = self.number;
        self.number += 1;
        let frame = frame.freeze();
        self.records[frame.slot()].write(&frame.parts());
        if self.lender.offer(&self.control[0], frame.slot() as u32, frame) {
            self.wake();
        }
    }

    fn wake(&self) {
        rustix::io::write(&self.wake, &[1]).unwrap();
    }

    fn end(&self, end: End) {
        self.control[0].told.ended.store(end as u32, Ordering::Release);
        self.control[0].asleep.store(0, Ordering::Release);
        self.wake();
    }

    /// What the reader has said.
    fn is_told(&self) -> bool {
        let mut buffer = [0; PACKET_MAX];
        packet::receive(&self.socket, &mut buffer)
            .is_ok_and(|packet| ToHub::parse(&buffer[..packet.len]) == Ok(ToHub::Told))
    }
}

/// A subscription and its hub.
fn subscribed(folder: &Folder, config: SubscriptionConfig) -> (Listening, Granted, Subscription) {
    let hub = folder.hub();
    let (granted, subscription) = std::thread::scope(|scope| {
        let granting = scope.spawn(|| Granted::accept(&hub));
        let subscription = folder.reader().subscribe_with("front", config).unwrap();
        (granting.join().unwrap(), subscription)
    });
    (hub, granted, subscription)
}

fn number(frame: &Frame) -> u64 {
    let number = frame.info().number;
    assert!(frame.iter().all(|byte| *byte == number as u8), "frame {number} is torn");
    number
}

fn refusal(change: impl FnOnce(&mut Parts) + Send) -> ShareError {
    let folder = Folder::new();
    let hub = folder.hub();
    std::thread::scope(|scope| {
        let granting = scope.spawn(|| Granted::accept_with(&hub, change));
        let refused = folder.reader().subscribe("front", ConsumerPolicy::Latest).unwrap_err();
        granting.join().unwrap();
        refused
    })
}

#[test]
fn a_descriptor_that_was_lost_on_the_way_is_an_error_that_says_so() {
    let refused = refusal(|parts| drop(parts.descriptors.pop()));
    assert!(matches!(refused, ShareError::DescriptorsLost { .. }), "{refused}");
}

#[test]
fn memory_without_its_seals_or_of_another_size_is_refused_before_it_is_mapped() {
    let bytes = FramePool::bytes(SLOTS, format().frame_bytes() + TAIL_MAX).unwrap();
    let unsealed = rustix::fs::memfd_create("unsealed", MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&unsealed, bytes as u64).unwrap();
    let unshrinkable = memfd::create("unshrinkable", bytes).unwrap();
    let (empty, _writer) = rustix::pipe::pipe().unwrap();
    let short = memfd::create("short", 4096).unwrap();
    memfd::seal_writes(short.as_fd()).unwrap();
    let refused_with = |place: usize, descriptor: &OwnedFd| {
        refusal(|parts| parts.descriptors[place] = descriptor.try_clone().unwrap())
    };
    for (place, descriptor, why) in [
        (0, &unsealed, "not sealed against shrinking"),
        (0, &unshrinkable, "not sealed against writing"),
        (0, &short, "has 4096 bytes where"),
        (0, &empty, "no memory file"),
        (1, &unsealed, "not sealed against shrinking"),
        (1, &unshrinkable, "not sealed against writing"),
        (2, &unsealed, "not sealed against shrinking"),
        (2, &empty, "no memory file"),
    ] {
        let refused = refused_with(place, descriptor);
        assert!(matches!(refused, ShareError::UnsafeMemory { .. }), "{place}, {why}: {refused}");
        assert!(refused.to_string().contains(why), "{place}: {refused} does not say {why}");
    }
    let refused = refused_with(3, &short);
    assert!(refused.to_string().contains("is no pipe"), "{refused}");
}

#[test]
fn a_size_that_the_file_does_not_have_is_refused_also_where_it_can_be() {
    let refused = refusal(|parts| parts.shape.slots -= 1);
    assert!(matches!(refused, ShareError::UnsafeMemory { .. }), "{refused}");
}

#[test]
fn a_hub_of_another_version_is_told_from_one_that_is_none() {
    let folder = Folder::new();
    let hub = folder.hub();
    let answered = |bytes: &[u8]| {
        std::thread::scope(|scope| {
            let answering = scope.spawn(|| {
                let (socket, ()) = accept(&hub, |_| ());
                packet::send(&socket, bytes, &[]).unwrap();
                socket
            });
            let refused = Reader::connect(folder.endpoint()).unwrap_err();
            drop(answering.join().unwrap());
            refused
        })
    };
    let mut other = Packet::from(&FromHub::Listed { streams: 0 }).bytes().to_vec();
    other[2] = 9;
    let refused = answered(&other);
    assert!(matches!(refused, ShareError::Version { theirs: 9, ours: 1, .. }), "{refused}");
    let refused = answered(b"HTTP/1.1 400 Bad Request");
    assert!(matches!(refused, ShareError::Nonsense { .. }), "{refused}");
    let refused = answered(Packet::from(&FromHub::Preparing).bytes());
    assert!(matches!(refused, ShareError::Nonsense { .. }), "{refused}");
}

#[test]
fn a_hub_that_is_not_there_and_a_socket_that_nobody_answers_on_are_no_hub() {
    let folder = Folder::new();
    let refused = Reader::connect(folder.endpoint()).unwrap_err();
    assert!(matches!(refused, ShareError::NoHub { .. }), "{refused}");
    let left = std::os::unix::net::UnixListener::bind(folder.endpoint().as_path()).unwrap();
    let refused = Reader::connect(folder.endpoint()).unwrap_err();
    assert!(matches!(refused, ShareError::Connect { .. }), "a stream socket: {refused}");
    drop(left);
}

#[test]
fn who_waits_for_a_stream_is_told_which_there_are_and_gets_it_when_it_comes() {
    let folder = Folder::new();
    let hub = folder.hub();
    let say = |socket: &OwnedFd, said: FromHub<'_>| packet::send(socket, Packet::from(&said).bytes(), &[]).unwrap();
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let (first, watches) = accept(&hub, |asked| asked == ToHub::List { watch: true });
            assert!(watches);
            say(&first, FromHub::Stream(stream("rear")));
            say(&first, FromHub::Listed { streams: 1 });
            let (second, _) = accept(&hub, |_| ());
            say(&second, FromHub::Stream(stream("rear")));
            say(&second, FromHub::Listed { streams: 1 });
            say(&second, FromHub::Gone { name: Name::new("rear").unwrap() });
            say(&second, FromHub::Stream(stream("front")));
            (first, second)
        });
        let reader = folder.reader();
        let refused = reader.wait_for("front", Duration::ZERO).unwrap_err();
        assert!(matches!(&refused, ShareError::NoStreamYet { streams, .. } if *streams == ["rear"]), "{refused}");
        let found = reader.wait_for("front", PATIENCE).unwrap();
        assert_eq!((found.name.as_str(), found.format, found.readers), ("front", format(), 1));
        serving.join().unwrap();
    });
}

#[test]
fn frames_are_taken_in_their_order_and_accounted_for_exactly() {
    let folder = Folder::new();
    let config = SubscriptionConfig::new().policy(ConsumerPolicy::Queue(4));
    let (_hub, mut granted, subscription) = subscribed(&folder, config);
    for _ in 0..6 {
        granted.offer();
    }
    let taken: Vec<_> = (0..4).map(|_| number(&subscription.recv().unwrap())).collect();
    assert_eq!(taken, [2, 3, 4, 5]);
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
    let stats = subscription.stats();
    assert_eq!((stats.offered, stats.taken, stats.dropped, stats.held), (6, 4, 2, 0));
    granted.end(End::Closed);
    assert_eq!(subscription.recv().unwrap_err(), RecvError::Ended);
    assert_eq!(subscription.recv().unwrap_err(), RecvError::Ended);
}

#[test]
fn frames_that_waited_at_the_end_are_taken_before_it() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) =
        subscribed(&folder, SubscriptionConfig::new().policy(ConsumerPolicy::Queue(3)));
    granted.offer();
    granted.offer();
    granted.end(End::Closed);
    let taken: Vec<_> = subscription.frames().map(|frame| number(&frame.unwrap())).collect();
    assert_eq!(taken, [0, 1]);
}

#[test]
fn a_thread_that_sleeps_is_woken_by_each_frame() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    std::thread::scope(|scope| {
        let (told, taken) = std::sync::mpsc::channel();
        let reading = scope.spawn(|| {
            for frame in subscription.frames() {
                told.send(number(&frame.unwrap())).unwrap();
            }
            drop(told);
        });
        for expected in 0..1_000 {
            granted.offer();
            assert_eq!(taken.recv_timeout(PATIENCE), Ok(expected));
        }
        granted.end(End::Closed);
        reading.join().unwrap();
    });
}

#[test]
fn several_threads_share_a_subscription_and_each_frame_goes_to_one() {
    let folder = Folder::new();
    let config = SubscriptionConfig::new().policy(ConsumerPolicy::Block).hold(3);
    let (_hub, mut granted, subscription) = subscribed(&folder, config);
    std::thread::scope(|scope| {
        let reading: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| subscription.frames().map(|frame| number(&frame.unwrap())).collect::<Vec<_>>()))
            .collect();
        for _ in 0..2_000 {
            while granted.pool.free_count() == 0 {
                if granted.lender.starve(&granted.control[0]) {
                    granted.wake();
                }
                std::thread::yield_now();
            }
            granted.offer();
        }
        while granted.lender.has_waiting() {
            if granted.lender.collect(&granted.control[0]) {
                granted.wake();
            }
            std::thread::yield_now();
        }
        granted.end(End::Closed);
        let mut taken: Vec<_> = reading.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        taken.sort_unstable();
        assert_eq!(taken, (0..2_000).collect::<Vec<_>>());
    });
}

#[test]
fn the_descriptor_is_readable_while_there_is_something_to_take_and_not_else() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) =
        subscribed(&folder, SubscriptionConfig::new().policy(ConsumerPolicy::Queue(2)));
    granted.offer();
    let is_readable = || is_readable(&subscription, Duration::ZERO);
    assert!(is_readable(), "a frame that was there before it was asked for");
    assert_eq!(number(&subscription.try_recv().unwrap()), 0);
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
    assert!(!is_readable());
    for _ in 0..3 {
        granted.offer();
        granted.offer();
        assert!(is_readable());
        subscription.try_recv().unwrap();
        assert!(is_readable(), "one still waits");
        subscription.try_recv().unwrap();
        assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
        assert!(!is_readable());
    }
    granted.end(End::Closed);
    assert!(is_readable());
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Ended);
    assert!(is_readable(), "for good");
}

#[test]
fn who_holds_every_slot_that_it_may_is_told_and_who_gives_one_back_reads_on() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new().hold(2));
    let mut held = Vec::new();
    for _ in 0..3 {
        granted.offer();
        held.push(subscription.recv().unwrap());
    }
    granted.offer();
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::HoldsAllSlots { slots: 3 });
    assert_eq!(subscription.recv().unwrap_err(), RecvError::HoldsAllSlots { slots: 3 });
    assert_eq!(subscription.slots_held(), 3);
    held.remove(0);
    granted.offer();
    assert_eq!(number(&subscription.recv().unwrap()), 4);
    assert_eq!(held.iter().map(number).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_hub_that_waits_for_a_slot_is_told_when_one_is_given_back() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    granted.offer();
    let frame = subscription.recv().unwrap();
    assert!(!granted.is_told());
    granted.lender.starve(&granted.control[0]);
    let twin = frame.clone();
    drop(frame);
    assert!(!granted.is_told(), "its twin is still held");
    drop(twin);
    assert!(granted.is_told());
    granted.lender.collect(&granted.control[0]);
    assert_eq!((granted.lender.held(), granted.pool.free_count()), (0, SLOTS));
}

#[test]
fn a_hub_that_is_gone_is_told_of_once_and_read_on_from_when_it_is_back() {
    let folder = Folder::new();
    let (hub, mut granted, subscription) =
        subscribed(&folder, SubscriptionConfig::new().policy(ConsumerPolicy::Queue(2)));
    granted.offer();
    granted.offer();
    let held = subscription.recv().unwrap();
    drop((granted, hub));
    // What was on offer is still to be had: nobody writes to it any more.
    assert_eq!(number(&subscription.recv().unwrap()), 1);
    assert_eq!(subscription.recv().unwrap_err(), RecvError::HubGone);
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
    assert!(!subscription.is_connected());
    let hub = folder.hub();
    std::thread::scope(|scope| {
        let granting = scope.spawn(|| {
            // The first one that it asks again is a hub that has no such stream yet.
            let (socket, _) = accept_subscription(&hub);
            let refused =
                FromHub::Refused { refusal: crate::share::messages::Refusal::NoSuchStream, number: 0, limit: 0 };
            packet::send(&socket, Packet::from(&refused).bytes(), &[]).unwrap();
            drop(socket);
            let mut granted = Granted::accept(&hub);
            granted.number = 7;
            granted.offer();
            granted
        });
        assert_eq!(number(&subscription.frames().next().unwrap().unwrap()), 7);
        drop(granting.join().unwrap());
    });
    assert_eq!(number(&held), 0, "what is held stays as it is");
    let stats = subscription.stats();
    assert_eq!((stats.offered, stats.taken, stats.dropped, stats.reconnects), (3, 3, 0, 1));
}

#[test]
fn the_descriptor_tells_of_a_hub_that_is_gone_and_of_one_that_is_back() {
    let folder = Folder::new();
    let (hub, granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::Timeout);
    let before = std::os::fd::AsRawFd::as_raw_fd(&subscription);
    assert!(!is_readable(&subscription, Duration::ZERO));
    drop((granted, hub));
    wait_until_readable(&subscription);
    assert_eq!(subscription.try_recv().unwrap_err(), RecvError::HubGone);
    let hub = folder.hub();
    std::thread::scope(|scope| {
        let granting = scope.spawn(|| {
            let mut granted = Granted::accept(&hub);
            granted.offer();
            granted
        });
        let frame = loop {
            wait_until_readable(&subscription);
            match subscription.try_recv() {
                Err(RecvError::Timeout) => {}
                taken => break taken.unwrap(),
            }
        };
        assert_eq!(number(&frame), 0);
        drop(granting.join().unwrap());
    });
    assert_eq!(std::os::fd::AsRawFd::as_raw_fd(&subscription), before, "the same descriptor for good");
}

#[test]
fn frames_outlive_their_subscription_and_its_connection_with_them() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    granted.offer();
    let frame = subscription.recv().unwrap();
    drop(subscription);
    assert!(!is_readable(&granted.socket, Duration::ZERO), "the hub would take the slot for free");
    assert_eq!(number(&frame), 0);
    drop(frame);
    wait_until_readable(&granted.socket);
    assert!(matches!(packet::receive(&granted.socket, &mut [0; 8]), Err(packet::PacketError::Closed)));
}

#[test]
fn what_is_no_frame_is_not_taken_for_one() {
    let folder = Folder::new();
    let long = |granted: &mut Granted| {
        granted.offer();
        let mut parts = granted.pool.try_acquire().unwrap().freeze().parts();
        parts.len = granted.pool.slot_bytes() + 1;
        granted.records.iter().for_each(|record| record.write(&parts));
    };
    let nowhere = |granted: &mut Granted| {
        let word = crate::share::layout::Offer { sequence: 1, slot: SLOTS as u32 }.to_word();
        granted.control[0].offers[0].store(word, Ordering::Release);
    };
    let wrongs: [&dyn Fn(&mut Granted); 2] = [&long, &nowhere];
    for wrong in wrongs {
        let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
        wrong(&mut granted);
        assert_eq!(subscription.recv().unwrap_err(), RecvError::HubGone);
        assert!(!subscription.is_connected());
    }
}

#[test]
fn a_reader_that_is_cut_off_is_told_why_and_keeps_what_it_has() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    granted.offer();
    let frame = subscription.recv().unwrap();
    granted.end(End::TooSlow);
    let error = subscription.recv().unwrap_err();
    assert!(matches!(error, RecvError::CutOff { why } if why.contains("too long")), "{error}");
    assert_eq!(number(&frame), 0);
}

#[test]
fn busy_polling_finds_frames_and_the_end_without_being_woken() {
    let folder = Folder::new();
    let config = SubscriptionConfig::new().policy(ConsumerPolicy::Queue(2)).busy_poll(PATIENCE);
    let (_hub, mut granted, subscription) = subscribed(&folder, config);
    std::thread::scope(|scope| {
        let (told, taken) = std::sync::mpsc::channel();
        let subscription = &subscription;
        scope.spawn(move || {
            for frame in subscription.frames() {
                told.send(number(&frame.unwrap())).unwrap();
            }
        });
        for expected in 0..100 {
            granted.offer();
            assert_eq!(taken.recv_timeout(PATIENCE), Ok(expected));
        }
        granted.control[0].told.ended.store(End::Closed as u32, Ordering::Release);
        assert!(taken.recv_timeout(PATIENCE).is_err());
    });
}

#[test]
fn a_child_process_that_uses_a_reader_is_refused_and_gives_nothing_back() {
    let folder = Folder::new();
    let (_hub, mut granted, subscription) = subscribed(&folder, SubscriptionConfig::new());
    granted.offer();
    let frame = subscription.recv().unwrap();
    granted.offer();
    let reader = folder.reader();
    // SAFETY: the child calls what is tested, which takes no lock and allocates little, and ends without running anything else.
    match unsafe { libc::fork() } {
        0 => {
            let refused = [
                matches!(subscription.try_recv(), Err(RecvError::Forked)),
                matches!(subscription.recv(), Err(RecvError::Forked)),
                matches!(reader.streams(), Err(ShareError::Forked { .. })),
                matches!(reader.subscribe("front", ConsumerPolicy::Latest), Err(ShareError::Forked { .. })),
            ];
            drop(frame);
            drop(subscription);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(refused.contains(&false))) };
        }
        child => {
            let mut status = 0;
            // SAFETY: the pointer is to an int.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!((waited, status), (child, 0));
        }
    }
    granted.lender.collect(&granted.control[0]);
    assert_eq!((granted.lender.held(), granted.lender.misconduct()), (1, None));
    assert_eq!((number(&frame), number(&subscription.recv().unwrap())), (0, 1));
}

/// Numbers that look random, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn whatever_is_done_in_whatever_order_the_descriptor_is_readable_while_a_frame_waits() {
    for seed in 0..20 {
        let folder = Folder::new();
        let policy = if seed % 2 == 0 { ConsumerPolicy::Latest } else { ConsumerPolicy::Queue(3) };
        let (_hub, mut granted, subscription) =
            subscribed(&folder, SubscriptionConfig::new().policy(policy).busy_poll(Duration::from_nanos(seed % 3)));
        let (mut dice, mut held) = (Dice(seed), Vec::new());
        for _ in 0..500 {
            match dice.roll(5) {
                0 | 1 => granted.offer(),
                2 => held.extend(subscription.try_recv()),
                3 => held.extend(subscription.recv_timeout(Duration::ZERO)),
                _ => drop(held.pop()),
            }
            granted.lender.collect(&granted.control[0]);
            let waits = granted.lender.counts().waiting > 0;
            assert!(!waits || is_readable(&subscription, Duration::ZERO), "seed {seed}");
            let (counts, stats) = (granted.lender.counts(), subscription.stats());
            assert_eq!((stats.taken, stats.held), (counts.taken, held.len()));
            assert_eq!(stats.offered, stats.taken + stats.dropped + counts.waiting);
        }
        assert_eq!(granted.lender.misconduct(), None);
    }
}

#[test]
fn whoever_waits_for_the_descriptor_misses_no_frame_however_the_two_processes_interleave() {
    const FRAMES: u64 = 20_000;
    let folder = Folder::new();
    let (_hub, mut granted, subscription) =
        subscribed(&folder, SubscriptionConfig::new().policy(ConsumerPolicy::Block).hold(1));
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut next = 0;
            while next < FRAMES {
                wait_until_readable(&subscription);
                // One a wait: it must stay readable for the others.
                match subscription.try_recv() {
                    Ok(frame) => {
                        assert_eq!(number(&frame), next);
                        next += 1;
                    }
                    Err(error) => assert_eq!(error, RecvError::Timeout),
                }
            }
        });
        let mut dice = Dice(1);
        for _ in 0..FRAMES {
            while granted.pool.free_count() == 0 || granted.lender.has_waiting() {
                if granted.lender.starve(&granted.control[0]) {
                    granted.wake();
                }
                std::thread::yield_now();
            }
            granted.offer();
            (0..dice.roll(200)).for_each(|_| std::hint::spin_loop());
        }
        while granted.lender.has_waiting() {
            if granted.lender.collect(&granted.control[0]) {
                granted.wake();
            }
            std::thread::yield_now();
        }
        reading.join().unwrap();
    });
}
