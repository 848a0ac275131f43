//! Protected streams over real sockets: what comes is what was sent, whoever moves it; who has not the key opens nothing, and who
//! recorded an opening opens nothing by it.
#![allow(missing_docs)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use framewire_testing::{PATIENCE, wait_until};
use framewire_transport::crypto::{MESSAGE_1_LEN, Recording};
use framewire_transport::wire::{Challenge, SealedAccept, SealedOpen};
use framewire_transport::{
    Admission, Announcement, BackendKind, ConnectError, Delivery, FrameFormat, IncomingStream, Key, PathChoice,
    PixelFormat, Protection, Receiver, ReceiverConfig, RefuseReason, SendError, Sender, SenderConfig, SliceSize,
};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap()
}

fn plain() -> SenderConfig {
    SenderConfig::new(format()).delivery(Delivery::Every).path(PathChoice::Udp).linger(Duration::ZERO)
}

fn key() -> Key {
    Key::random().unwrap()
}

/// A receiver that takes streams under these keys.
fn receiver(keys: &[&Key]) -> Receiver {
    receiver_at(loopback(), keys)
}

fn receiver_at(address: SocketAddr, keys: &[&Key]) -> Receiver {
    let keys: Vec<Key> = keys.iter().copied().cloned().collect();
    Receiver::bind(address, ReceiverConfig::new().keys(keys)).unwrap()
}

fn sender(to: SocketAddr, key: &Key) -> Sender {
    Sender::connect(to, plain().key(key.clone())).unwrap()
}

fn send(sender: &Sender, number: u64) {
    let mut frame = sender.frame_timeout(PATIENCE).unwrap().expect("a slot comes free");
    frame.iter_mut().enumerate().for_each(|(at, byte)| *byte = byte_of(number, at));
    sender.send(frame).unwrap();
}

fn byte_of(number: u64, at: usize) -> u8 {
    (number as usize * 31 + at * 7 % 251) as u8
}

/// Takes the next frame, which is to be this one.
fn take(stream: &IncomingStream, number: u64) {
    let frame = stream.recv_timeout(PATIENCE).unwrap();
    let is_right = frame.iter().enumerate().all(|(at, byte)| *byte == byte_of(number, at));
    assert!(is_right, "frame {number} is not what was sent");
}

fn accept(receiver: &Receiver) -> IncomingStream {
    receiver.accept_timeout(PATIENCE).unwrap()
}

/// Why the receiver does not open a stream.
fn refusal(sender: &Sender) -> RefuseReason {
    let mut error = sender.wait_until_open(PATIENCE).unwrap_err();
    wait_until("a refusal", || {
        if let Err(again) = sender.wait_until_open(Duration::from_millis(10)) {
            error = again;
        }
        matches!(error, SendError::Refused { .. })
    });
    match error {
        SendError::Refused { reason: Some(reason), .. } => {
            // Both ends are named, or what they have.
            let text = SendError::Refused { peer: loopback(), reason: Some(reason), limit: 0 }.to_string();
            assert!(text.contains("key"), "{text}");
            reason
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_frame_comes_as_it_was_sent_by_every_backend_in_slices_of_every_size_and_no_nonce_serves_twice() {
    let recording = Recording::begin();
    for backend in BackendKind::ALL {
        for slice in [SliceSize::Auto, SliceSize::Bytes(1_472), SliceSize::Bytes(548)] {
            let key = key();
            let config = ReceiverConfig::new().keys(vec![key.clone()]).backend(*backend);
            let receiver = Receiver::bind(loopback(), config).unwrap();
            let config = plain().key(key).backend(*backend).slice(slice);
            let sender = Sender::connect(receiver.local_addr(), config).unwrap();
            let stream = accept(&receiver);
            assert!(stream.info().protection.is_some());
            std::thread::scope(|scope| {
                scope.spawn(|| (0..30).for_each(|number| send(&sender, number)));
                (0..30).for_each(|number| take(&stream, number));
            });
            assert_eq!(sender.protection(), stream.info().protection, "{backend} {slice:?}");
            assert_eq!(sender.close(PATIENCE).unwrap().delivered, 30, "{backend} {slice:?}");
            // A late answer has its opening sent again, which may come when the stream is in use.
            let rejected = stream.stats().rejected;
            assert_eq!(rejected.total(), rejected.replayed, "{rejected:?}");
        }
    }
    let (sealed, again) = recording.seen();
    assert!(again == 0 && (sealed > 10_000 || !Recording::IS_LIVE), "{again} of {sealed}");
}

#[test]
fn the_newest_frames_come_protected_too() {
    let key = key();
    let receiver = receiver(&[&key]);
    let sender = Sender::connect(receiver.local_addr(), plain().delivery(Delivery::Latest).key(key)).unwrap();
    let stream = accept(&receiver);
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..).take_while(|_| !enough.load(Ordering::Relaxed)).for_each(|number| send(&sender, number));
        });
        for _ in 0..50 {
            let frame = stream.recv_timeout(PATIENCE).unwrap();
            let number = frame.info().number;
            assert!(frame.iter().enumerate().all(|(at, byte)| *byte == byte_of(number, at)), "{number}");
        }
        enough.store(true, Ordering::Relaxed);
    });
}

#[test]
fn who_has_no_key_or_another_one_is_refused_and_told_why_and_opens_nothing() {
    let (ours, other) = (key(), key());
    let protected = receiver(&[&ours]);
    let open = receiver(&[]);
    let refused = Sender::connect(protected.local_addr(), plain()).unwrap();
    assert_eq!(refusal(&refused), RefuseReason::NeedsKey);
    assert_eq!(refusal(&sender(protected.local_addr(), &other)), RefuseReason::WrongKey);
    assert_eq!(refusal(&sender(open.local_addr(), &ours)), RefuseReason::NoKeys);
    assert_eq!((protected.stats().opened, open.stats().opened), (0, 0));
    // The right one, of several.
    let several = receiver(&[&other, &ours]);
    let sender = sender(several.local_addr(), &ours);
    send(&sender, 0);
    take(&accept(&several), 0);
}

#[test]
fn an_announced_stream_is_taken_under_its_own_key_and_no_other() {
    let (own, any) = (key(), key());
    let config = ReceiverConfig::new().admission(Admission::Announced).keys(vec![any.clone()]);
    let receiver = Receiver::bind(loopback(), config).unwrap();
    receiver.announce(1, Announcement::new(format()).key(own.clone())).unwrap();
    receiver.announce(2, format()).unwrap();
    let connect = |stream: u32, key: Option<&Key>| {
        Sender::connect(receiver.local_addr(), plain().stream(stream).key(key.cloned())).unwrap()
    };
    assert_eq!(refusal(&connect(1, Some(&any))), RefuseReason::WrongKey);
    assert_eq!(refusal(&connect(1, None)), RefuseReason::NeedsKey);
    assert_eq!(refusal(&connect(2, Some(&own))), RefuseReason::WrongKey);
    assert_eq!(connect(3, Some(&own)).wait_until_open(PATIENCE).unwrap_err().code(), "refused-not-announced");
    for (stream, key) in [(1, &own), (2, &any)] {
        let sender = connect(stream, Some(key));
        sender.wait_until_open(PATIENCE).unwrap();
        assert_eq!(accept(&receiver).info().stream, stream);
    }
}

#[test]
fn a_receiver_that_begins_anew_opens_the_stream_again_under_the_same_key_or_the_one_that_the_sender_is_given() {
    let (first, second) = (key(), key());
    let before = receiver(&[&first]);
    let address = before.local_addr();
    let sender = sender(address, &first);
    send(&sender, 0);
    take(&accept(&before), 0);
    drop(before);
    let same = receiver_at(address, &[&first]);
    send(&sender, 1);
    take(&accept(&same), 1);
    drop(same);
    let other = receiver_at(address, &[&second]);
    send(&sender, 2);
    wait_until("a refusal", || other.stats().refused > 0);
    assert_eq!(other.stats().opened, 0);
    sender.set_key(second.clone());
    let stream = accept(&other);
    take(&stream, 2);
    // The same key once more changes nothing.
    sender.set_key(second);
    send(&sender, 3);
    take(&stream, 3);
    assert_eq!(sender.close(PATIENCE).unwrap().delivered, 4, "by all of them");
}

#[test]
fn a_sender_that_is_given_a_key_goes_on_protected_and_a_stream_that_is_announced_anew_takes_its_new_one() {
    let config = ReceiverConfig::new().admission(Admission::Announced);
    let receiver = Receiver::bind(loopback(), config).unwrap();
    receiver.announce(1, format()).unwrap();
    let sender = Sender::connect(receiver.local_addr(), plain().stream(1)).unwrap();
    send(&sender, 0);
    let stream = accept(&receiver);
    take(&stream, 0);
    assert_eq!((sender.protection(), stream.info().protection), (None, None));
    // What is not would come once more, in a stream that has not had it.
    sender.wait_until_settled(PATIENCE).unwrap();
    let (first, second) = (key(), key());
    receiver.announce(1, Announcement::new(format()).key(first.clone())).unwrap();
    sender.set_key(first);
    send(&sender, 1);
    // Slots of another cut, so another stream for whoever reads it.
    let stream = accept(&receiver);
    take(&stream, 1);
    assert!(stream.info().protection.is_some());
    receiver.announce(1, Announcement::new(format()).key(second.clone())).unwrap();
    sender.set_key(second);
    send(&sender, 2);
    take(&stream, 2);
    assert_eq!(stream.stats().restarts, 1, "the same stream goes on");
}

#[test]
fn a_sender_that_begins_anew_goes_on_with_its_stream_under_its_key_and_nobody_takes_it_over_without() {
    let (ours, other) = (key(), key());
    let receiver = receiver(&[&ours, &other]);
    let connect =
        |key: Option<&Key>| Sender::connect(receiver.local_addr(), plain().stream(7).key(key.cloned())).unwrap();
    let first = connect(Some(&ours));
    send(&first, 0);
    let stream = accept(&receiver);
    take(&stream, 0);
    assert_eq!(refusal(&connect(None)), RefuseReason::NeedsKey);
    send(&first, 1);
    take(&stream, 1);
    drop(first);
    // As a program that was started anew does, with an epoch of its own.
    let second = connect(Some(&ours));
    send(&second, 0);
    let stream = accept(&receiver);
    take(&stream, 0);
    assert_eq!(second.close(PATIENCE).unwrap().delivered, 1);
}

/// Passes datagrams on between a sender and a receiver, and keeps the openings that had a cookie.
struct Recorder {
    front: UdpSocket,
    back: UdpSocket,
    openings: Mutex<Vec<Vec<u8>>>,
    /// What the receiver answers openings with is lost.
    loses_accepts: AtomicBool,
    done: AtomicBool,
}

impl Recorder {
    fn new(receiver: SocketAddr) -> Arc<Self> {
        let socket = || {
            let socket = UdpSocket::bind(loopback()).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            socket
        };
        let recorder = Self {
            front: socket(),
            back: socket(),
            openings: Mutex::default(),
            loses_accepts: AtomicBool::new(false),
            done: AtomicBool::new(false),
        };
        recorder.back.connect(receiver).unwrap();
        let recorder = Arc::new(recorder);
        for is_forth in [true, false] {
            let recorder = recorder.clone();
            std::thread::spawn(move || recorder.pass(is_forth));
        }
        recorder
    }

    fn address(&self) -> SocketAddr {
        self.front.local_addr().unwrap()
    }

    fn pass(&self, is_forth: bool) {
        let mut bytes = vec![0; 65_536];
        let mut sender = None;
        while !self.done.load(Ordering::Acquire) {
            if is_forth {
                let Ok((len, from)) = self.front.recv_from(&mut bytes) else { continue };
                if sender != Some(from) {
                    self.front.connect(from).unwrap();
                    sender = Some(from);
                }
                if SealedOpen::parse(&bytes[..len]).is_ok_and(|open| open.cookie != 0) {
                    self.openings.lock().unwrap().push(bytes[..len].to_vec());
                }
                let _ = self.back.send(&bytes[..len]);
            } else if let Ok(len) = self.back.recv(&mut bytes) {
                let is_lost = self.loses_accepts.load(Ordering::Acquire) && SealedAccept::parse(&bytes[..len]).is_ok();
                if !is_lost {
                    let _ = self.front.send(&bytes[..len]);
                }
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
    }
}

#[test]
fn an_opening_that_was_recorded_opens_nothing_neither_while_its_stream_is_open_nor_after_its_end() {
    let key = key();
    let receiver = receiver(&[&key]);
    let recorder = Recorder::new(receiver.local_addr());
    let sender = sender(recorder.address(), &key);
    send(&sender, 0);
    let stream = accept(&receiver);
    take(&stream, 0);
    let recorded = recorder.openings.lock().unwrap().first().cloned().expect("the stream was opened by one");
    // Repeated, it is the sender that has not heard: it disturbs nothing.
    for number in 1..20 {
        recorder.back.send(&recorded).unwrap();
        send(&sender, number);
        take(&stream, number);
    }
    assert_eq!((stream.stats().restarts, receiver.stats().opened, receiver.stats().replayed), (0, 1, 0));
    // The sender is gone without a word, and the receiver ends the stream.
    drop((sender, stream));
    let begun = Instant::now();
    wait_until("openings that come too late", || {
        recorder.back.send(&recorded).unwrap();
        receiver.stats().replayed >= 20 && begun.elapsed() > Duration::from_millis(1_500)
    });
    assert_eq!(receiver.stats().opened, 1);
    assert!(receiver.accept_timeout(Duration::ZERO).is_err());
    recorder.done.store(true, Ordering::Release);
}

#[test]
fn a_sender_whose_stream_was_ended_before_it_heard_of_it_opens_it_by_another_opening() {
    let key = key();
    let receiver = receiver(&[&key]);
    let recorder = Recorder::new(receiver.local_addr());
    recorder.loses_accepts.store(true, Ordering::Release);
    let sender = sender(recorder.address(), &key);
    drop(accept(&receiver));
    // It repeats what has opened something already.
    wait_until("an opening that is known", || receiver.stats().replayed > 0);
    recorder.loses_accepts.store(false, Ordering::Release);
    send(&sender, 0);
    take(&accept(&receiver), 0);
    recorder.done.store(true, Ordering::Release);
}

#[test]
fn openings_that_were_not_made_under_the_key_are_read_a_few_times_a_second_and_the_sender_comes_through() {
    let key = key();
    let receiver = receiver(&[&key]);
    let socket = UdpSocket::bind(loopback()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(receiver.local_addr()).unwrap();
    let open = |cookie, nth: u64| {
        let mut message = [7; MESSAGE_1_LEN];
        message[..8].copy_from_slice(&nth.to_be_bytes());
        let (flags, suites) = (1, 3);
        let key_id = key.id().bytes();
        SealedOpen { stream: 9, epoch: 1, flags, slice_bytes: 1_472, cookie, key_id, suites, reserved: 0, message }
            .emit()
    };
    let mut bytes = [0; 256];
    socket.send(&open(0, 0)).unwrap();
    let len = socket.recv(&mut bytes).unwrap();
    let cookie = Challenge::parse(&bytes[..len]).unwrap().cookie;
    let before = receiver.memory_bytes();
    let begun = Instant::now();
    let mut sent = 0;
    while receiver.stats().unread < 1_000 {
        assert!(begun.elapsed() < PATIENCE);
        for _ in 0..100 {
            sent += 1;
            let _ = socket.send(&open(cookie, sent));
        }
    }
    let stats = receiver.stats();
    let windows = begun.elapsed().as_secs() + 2;
    // And of all addresses one each 4 ms.
    assert!(stats.forged <= (32 + 250) * windows, "{stats:?} in {windows} s");
    assert_eq!((stats.opened, stats.refused, receiver.memory_bytes()), (0, stats.forged, before));
    // From the same address.
    let sender = sender(receiver.local_addr(), &key);
    send(&sender, 0);
    take(&accept(&receiver), 0);
}

#[test]
fn beyond_this_machine_nothing_is_plain_unless_that_was_said_and_the_errors_name_both_ways() {
    let there = "192.0.2.1:7".parse().unwrap();
    let connect = |config: SenderConfig| Sender::connect(there, config).map(drop);
    let both = |error: &dyn std::error::Error| {
        let text = error.to_string();
        assert!(text.contains("key") && text.contains("Protection::"), "{text}");
    };
    let unprotected = connect(plain()).unwrap_err();
    both(&unprotected);
    assert!(matches!(unprotected, ConnectError::Unprotected { peer } if peer == there));
    assert!(connect(plain().protection(Protection::Off)).is_ok() && connect(plain().key(key())).is_ok());
    for (config, code) in
        [(plain().protection(Protection::On), "no-key"), (plain().protection(Protection::Off).key(key()), "key-unused")]
    {
        let error = Sender::connect("127.0.0.1:9".parse().unwrap(), config).map(drop).unwrap_err();
        both(&error);
        assert_eq!(error.code(), code);
    }
    let bind = |address: &str, config: ReceiverConfig| Receiver::bind(address.parse().unwrap(), config);
    for (address, config, code) in [
        ("0.0.0.0:0", ReceiverConfig::new(), "receiver-unprotected"),
        ("127.0.0.1:0", ReceiverConfig::new().protection(Protection::On), "receiver-without-keys"),
        ("127.0.0.1:0", ReceiverConfig::new().protection(Protection::Off).keys(vec![key()]), "receiver-keys-unused"),
        ("127.0.0.1:0", ReceiverConfig::new().keys(vec![key(); 257]), "config-out-of-range"),
    ] {
        let error = bind(address, config).map(drop).unwrap_err();
        assert_eq!(error.code(), code);
        if code != "config-out-of-range" {
            both(&error);
        }
    }
    assert!(bind("0.0.0.0:0", ReceiverConfig::new().protection(Protection::Off)).is_ok());
    assert!(bind("0.0.0.0:0", ReceiverConfig::new().keys(vec![key()])).is_ok());
    let announced = ReceiverConfig::new().admission(Admission::Announced);
    for (config, key, code) in [
        (announced.clone(), None, "announced-unprotected"),
        (announced.clone().protection(Protection::On), None, "announced-without-key"),
        (announced.clone().protection(Protection::Off), Some(key()), "announced-key-unused"),
    ] {
        let receiver = bind("0.0.0.0:0", config).unwrap();
        let error = receiver.announce(1, Announcement::new(format()).key(key)).map(drop).unwrap_err();
        both(&error);
        assert_eq!(error.code(), code);
    }
    let receiver = bind("0.0.0.0:0", announced).unwrap();
    assert!(receiver.announce(1, Announcement::new(format()).key(key())).is_ok());
}

#[test]
fn a_plain_sender_is_not_led_off_this_machine_by_whoever_says_where_the_receiver_is() {
    let receiver = receiver(&[]);
    let sender = Sender::connect(receiver.local_addr(), plain()).unwrap();
    send(&sender, 0);
    let stream = accept(&receiver);
    take(&stream, 0);
    // Else it is soon heard again, and the stream goes on where it is.
    drop((stream, receiver));
    sender.redirect("192.0.2.1:7".parse().unwrap());
    let mut failure = None;
    wait_until("a failure", || {
        failure = sender.frame_timeout(Duration::ZERO).err();
        failure.is_some()
    });
    let text = failure.unwrap().to_string();
    assert!(text.contains("192.0.2.1:7") && text.contains("plain text"), "{text}");
}
