//! A receiver and senders that share memory, in one process, with a door that knows nothing but senders.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use framewire_testing::PATIENCE;

use super::*;
use crate::driver::sender::PathChoice;
use crate::frame::{Frame, FrameFormat, MetadataKind, PixelFormat};
use crate::share::Endpoint;
use crate::share::messages::{PACKET_MAX, ToHub};
use crate::share::socket::listening::{Listening, Place};
use crate::share::socket::peer::Peer;
use crate::wire::{Delivery, PathKind};
use crate::{IncomingStream, Receiver, ReceiverConfig, RecvError, SendState, Sender, SenderConfig};

mod hostile;
mod lacking;

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap()
}

fn config(delivery: Delivery) -> SenderConfig {
    SenderConfig::new(format()).delivery(delivery).path(PathChoice::Shm)
}

/// A receiver with a door.
struct Host {
    receiver: Receiver,
    endpoint: Endpoint,
    folder: PathBuf,
    stop: Arc<AtomicBool>,
    door: Option<JoinHandle<()>>,
}

impl Host {
    fn new(name: &str, config: ReceiverConfig) -> Self {
        let folder = std::env::temp_dir().join(format!("framewire-inlet-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("hub.sock");
        let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        let listening = Listening::bind(Place { path: &path, is_default: false, group: None }).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (receiver.shared().clone(), stop.clone());
        let door = std::thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                match listening.accept().unwrap() {
                    Some(socket) => open_door(&shared, socket),
                    None => std::thread::yield_now(),
                }
            }
        });
        Self { receiver, endpoint: Endpoint::path(&path).unwrap(), folder, stop, door: Some(door) }
    }

    fn connect(&self, config: SenderConfig) -> Sender {
        Sender::connect(self.receiver.local_addr(), config.share(self.endpoint.clone())).unwrap()
    }

    fn accept(&self) -> IncomingStream {
        self.receiver.accept_timeout(PATIENCE).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.door.take().unwrap().join().unwrap();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits for the first message of a connection, and hands it on.
fn open_door(receiver: &Arc<ReceiverShared>, socket: OwnedFd) {
    let mut buffer = [0; PACKET_MAX];
    let received = loop {
        match packet::receive(&socket, &mut buffer) {
            Ok(received) => break received,
            Err(packet::PacketError::WouldBlock) => std::thread::yield_now(),
            Err(_) => return,
        }
    };
    if let Ok(ToHub::Enter { open, nonce, network }) = ToHub::parse(&buffer[..received.len]) {
        let peer = Peer::of(&socket).unwrap().unwrap();
        enter(receiver, Entering { socket, peer, open, nonce, network });
    }
}

fn send(sender: &Sender, value: u8) -> u64 {
    let mut frame = sender.frame().unwrap();
    frame.fill(value);
    sender.send(frame).unwrap()
}

fn is_whole(frame: &Frame, value: u8) -> bool {
    frame.len() == format().frame_bytes() && frame.iter().all(|byte| *byte == value)
}

#[test]
fn every_frame_of_a_local_sender_is_read_where_it_was_written_and_both_ends_account_for_it() {
    let host = Host::new("every", ReceiverConfig::new());
    let sender = host.connect(config(Delivery::Every));
    sender.wait_until_open(PATIENCE).unwrap();
    let stream = host.accept();
    assert_eq!((sender.path(), stream.info().path, sender.path_trouble()), (PathKind::Shm, PathKind::Shm, None));
    for number in 0..100_u64 {
        let mut frame = sender.frame().unwrap();
        frame.fill(number as u8);
        frame.set_metadata(MetadataKind::Json, number.to_string().as_bytes()).unwrap();
        frame.info.captured_utc = (number % 2 == 0).then(std::time::SystemTime::now);
        let (utc, address) = (frame.info.captured_utc, frame.as_ptr());
        assert_eq!(sender.send(frame).unwrap(), number);
        let got = stream.recv_timeout(PATIENCE).unwrap();
        assert!(is_whole(&got, number as u8));
        assert_eq!((got.info().number, got.metadata().unwrap().bytes), (number, number.to_string().as_bytes()));
        assert_eq!(got.has_own_time(), utc.is_some());
        assert!(utc.is_none_or(|utc| got.captured_utc() == Some(utc)) && got.captured_utc().is_some());
        assert!(got.info().latency.is_some() && got.info().sent >= Some(got.info().captured));
        // Two mappings of the same memory.
        assert_ne!(got.as_ptr(), address);
    }
    sender.wait_until_settled(PATIENCE).unwrap();
    let report = sender.close(PATIENCE).unwrap();
    let stats = sender.stats();
    assert_eq!((report.delivered, stats.frames, stats.frames_sent, stats.frames_delivered), (100, 100, 100, 100));
    assert!(matches!(sender.state(), SendState::Closed(_)));
    assert_eq!(stream.recv_timeout(PATIENCE).unwrap_err(), RecvError::Ended);
    let there = stream.stats();
    assert_eq!((there.frames_passed, there.frames_delivered, there.frames_unseen()), (100, 100, 0));
    assert_eq!((stream.source(), stream.end_reason()), (Default::default(), Some(EndReason::Closed)));
}

#[test]
fn a_sender_of_every_frame_waits_while_its_consumer_holds_all_slots() {
    let host = Host::new("credit", ReceiverConfig::new().slots(3));
    let sender = host.connect(config(Delivery::Every));
    sender.wait_until_open(PATIENCE).unwrap();
    let stream = host.accept();
    let held: Vec<_> = (0..3)
        .map(|value| {
            send(&sender, value);
            stream.recv_timeout(PATIENCE).unwrap()
        })
        .collect();
    assert!(sender.frame_timeout(Duration::from_millis(50)).unwrap().is_none());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| send(&sender, 3));
        drop(held);
        assert_eq!(waiting.join().unwrap(), 3);
    });
    assert!(is_whole(&stream.recv_timeout(PATIENCE).unwrap(), 3));
}

#[test]
fn a_latest_sender_never_waits_and_what_it_skipped_is_known_at_both_ends() {
    let host = Host::new("latest", ReceiverConfig::new().slots(4).latest_policy(crate::ConsumerPolicy::Block));
    let sender = host.connect(config(Delivery::Latest));
    sender.wait_until_open(PATIENCE).unwrap();
    let stream = host.accept();
    // Nobody takes a frame: three are handed over, and the newest waits in the last slot.
    let numbers: Vec<_> = (0..20).map(|value| send(&sender, value)).collect();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    sender.skip();
    let taken: Vec<_> =
        (0..4).map(|_| stream.recv_timeout(PATIENCE).unwrap()).map(|frame| frame.info().number).collect();
    assert_eq!(taken, [0, 1, 2, 19]);
    let report = sender.close(PATIENCE).unwrap();
    let stats = sender.stats();
    assert_eq!((stats.frames, stats.frames_sent, stats.frames_skipped, stats.frames_abandoned), (21, 4, 17, 0));
    assert_eq!((report.delivered, stats.frames_delivered, stats.frames_no_credit), (4, 4, 17));
    let (there, source) = (stream.stats(), stream.source());
    assert_eq!((there.frames_passed, there.frames_delivered, there.frames_unseen()), (21, 4, 17));
    assert_eq!((source.skipped, source.no_credit, source.lost), (17, 17, 0));
}

#[test]
fn a_sender_that_hangs_up_ends_its_stream_and_what_it_has_handed_over_is_there() {
    let host = Host::new("gone", ReceiverConfig::new());
    let sender = host.connect(config(Delivery::Every).linger(Duration::ZERO));
    sender.wait_until_open(PATIENCE).unwrap();
    let stream = host.accept();
    for value in 0..3 {
        send(&sender, value);
    }
    drop(sender);
    let frames: Vec<_> = (0..3).map(|_| stream.recv_timeout(PATIENCE).unwrap()).collect();
    assert_eq!(stream.recv_timeout(PATIENCE).unwrap_err(), RecvError::Ended);
    assert!(frames.iter().zip(0..).all(|(frame, value)| is_whole(frame, value)));
    assert_eq!(stream.end_reason(), Some(EndReason::Silent));
}

#[test]
fn a_stream_that_is_not_announced_is_refused_and_the_sender_says_so() {
    let host = Host::new("unknown", ReceiverConfig::new().admission(Admission::Announced));
    let sender = host.connect(config(Delivery::Every).linger(Duration::ZERO));
    let error = sender.wait_until_open(PATIENCE).unwrap_err();
    assert_eq!(error.code(), "refused-not-announced", "{error}");
    assert!(sender.path_trouble().unwrap().contains("was not announced"));
}

#[test]
fn a_hub_that_lets_a_stream_go_gets_it_by_datagrams_with_every_frame_once() {
    let host = Host::new("fallback", ReceiverConfig::new());
    let sender = host.connect(config(Delivery::Every).path(PathChoice::Auto));
    sender.wait_until_open(PATIENCE).unwrap();
    assert_eq!(sender.path(), PathKind::Shm);
    let stream = host.accept();
    send(&sender, 0);
    assert!(is_whole(&stream.recv_timeout(PATIENCE).unwrap(), 0));
    // Given before the way changes, sent after it.
    let mut frame = sender.frame().unwrap();
    frame.fill(1);
    drop(stream);
    let stream = host.accept();
    assert_eq!(stream.info().path, PathKind::Udp);
    assert_eq!(sender.send(frame).unwrap(), 1);
    assert_eq!(send(&sender, 2), 2);
    for value in 1..3 {
        let got = stream.recv_timeout(PATIENCE).unwrap();
        assert!(is_whole(&got, value as u8) && got.info().number == value);
    }
    assert_eq!(sender.path(), PathKind::Udp);
    assert!(sender.path_trouble().unwrap().contains("let the stream go"));
    let report = sender.close(PATIENCE).unwrap();
    let stats = sender.stats();
    assert_eq!((report.delivered, stats.frames, stats.frames_sent, stats.frames_delivered), (3, 3, 3, 3));
}

#[test]
fn frames_from_elsewhere_are_copied_into_the_receivers_slots() {
    let host = Host::new("shared", ReceiverConfig::new());
    let sender = host.connect(config(Delivery::Every));
    sender.wait_until_open(PATIENCE).unwrap();
    let stream = host.accept();
    let pool = FramePool::for_format(1, format()).unwrap();
    for value in 0..10 {
        let mut frame = pool.try_acquire().unwrap();
        frame.fill(value);
        frame.set_metadata(MetadataKind::Bytes, &[value]).unwrap();
        sender.send_shared(frame.freeze()).unwrap();
        let got = stream.recv_timeout(PATIENCE).unwrap();
        assert!(is_whole(&got, value) && got.metadata().unwrap().bytes == [value]);
    }
    let other = FramePool::for_format(1, format()).unwrap();
    assert_eq!(sender.send(other.try_acquire().unwrap()).unwrap_err().code(), "foreign-frame");
}

#[test]
fn a_stream_that_comes_again_for_more_memory_than_there_is_goes_on_as_it_was() {
    let small = FramePool::bytes(3, slot_bytes(&open_of_config(&format()))).unwrap();
    let host = Host::new("again", ReceiverConfig::new().slots(2).memory_bytes_max(small * 2));
    let sender = host.connect(config(Delivery::Every).stream(5));
    sender.wait_until_open(PATIENCE).unwrap();
    let stream = host.accept();
    let large = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    let other = SenderConfig::new(large).path(PathChoice::Shm).stream(5).linger(Duration::ZERO);
    let other = host.connect(other);
    let error = other.wait_until_open(PATIENCE).unwrap_err();
    assert!(error.code().starts_with("refused-"), "{error}");
    drop(other);
    send(&sender, 1);
    assert!(is_whole(&stream.recv_timeout(PATIENCE).unwrap(), 1));
    assert_eq!(stream.end_reason(), None);
}

/// The opening of a sender of such frames.
fn open_of_config(format: &FrameFormat) -> Open {
    let tail_max = config(Delivery::Every).format(*format).tail_max() as u16;
    crate::wire::open_of(format, Delivery::Every, &Default::default(), tail_max)
}
