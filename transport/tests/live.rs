//! Sender and receiver over real sockets, every backend.
#![allow(missing_docs)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use framewire_testing::{PATIENCE, wait_for};
use framewire_transport::driver::{Admission, BindError, SendError, SliceSize};
use framewire_transport::frame::{ConsumerPolicy, RecvError};
use framewire_transport::send::{Publication, SendConfig, SendState, Subscriber};
use framewire_transport::wire::{RefuseReason, SLICE_HEADER_LEN};
use framewire_transport::{
    BackendKind, Delivery, FrameFormat, PixelFormat, Protection, Receiver, ReceiverConfig, Sender, SenderConfig, Time,
    send,
};

fn backends() -> impl Iterator<Item = BackendKind> {
    BackendKind::ALL.iter().copied()
}

fn gray(width: u32, height: u32) -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, width, height).unwrap()
}

fn receiver(backend: BackendKind) -> Receiver {
    Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::new().backend(backend)).unwrap()
}

fn fill(bytes: &mut [u8], number: u64) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = (number as usize * 31 + at * 7 + at / 251) as u8;
    }
}

fn is_filled(bytes: &[u8], number: u64) -> bool {
    bytes.iter().enumerate().all(|(at, byte)| *byte == (number as usize * 31 + at * 7 + at / 251) as u8)
}

fn send_frames(sender: &Sender, count: u64) {
    for _ in 0..count {
        let mut frame = sender.frame().unwrap();
        fill(&mut frame, sender.stats().frames);
        sender.send(frame).unwrap();
    }
}

#[test]
fn a_receiver_knows_when_a_frame_was_taken_on_its_senders_clock() {
    let receiver = receiver(BackendKind::Auto);
    let config = SenderConfig::new(gray(64, 48)).delivery(Delivery::Every);
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    let times = [3, 5_000_000_000, 5_000_000_001].map(Time::from_nanos);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for time in times {
                let mut frame = sender.frame().unwrap();
                frame.info.captured = time;
                sender.send(frame).unwrap();
            }
            sender.close(PATIENCE).unwrap()
        });
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        let seen: Vec<_> = stream.frames().map(Result::unwrap).map(|frame| frame.info().captured_there).collect();
        assert_eq!(seen, times);
    });
}

#[test]
fn every_frame_crosses_every_backend_byte_for_byte_at_every_slice_size() {
    for backend in backends() {
        for (format, count) in [(gray(37, 3), 200), (gray(640, 480), 60), (gray(2000, 1500), 12)] {
            for slice in [SliceSize::Auto, SliceSize::Bytes(1_472), SliceSize::Bytes(548)] {
                let receiver = receiver(backend);
                let config = SenderConfig::new(format).delivery(Delivery::Every).slice(slice).backend(backend);
                let sender = Sender::connect(receiver.local_addr(), config).unwrap();
                std::thread::scope(|scope| {
                    let sending = scope.spawn(|| {
                        send_frames(&sender, count);
                        sender.close(PATIENCE).unwrap()
                    });
                    let stream = receiver.accept_timeout(PATIENCE).unwrap();
                    let numbers: Vec<_> = stream
                        .frames()
                        .map(Result::unwrap)
                        .map(|frame| {
                            assert!(is_filled(&frame, frame.info().number));
                            frame.info().number
                        })
                        .collect();
                    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
                    assert_eq!(sending.join().unwrap().delivered, count);
                    let (sent, seen) = (sender.stats(), stream.stats());
                    assert_eq!((sent.slices_resent, seen.rejected.total()), (0, 0), "{backend} {format} {slice:?}");
                });
            }
        }
    }
}

#[test]
fn frames_of_25_megabytes_cross_every_backend() {
    for backend in backends() {
        let receiver = receiver(backend);
        let format = FrameFormat::new(PixelFormat::Yuv444p, 3840, 2160).unwrap();
        let config = SenderConfig::new(format).delivery(Delivery::Every).backend(backend);
        let sender = Sender::connect(receiver.local_addr(), config).unwrap();
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                send_frames(&sender, 4);
                sender.close(PATIENCE).unwrap()
            });
            let stream = receiver.accept_timeout(PATIENCE).unwrap();
            assert_eq!(
                stream.frames().map(Result::unwrap).filter(|frame| is_filled(frame, frame.info().number)).count(),
                4
            );
            assert_eq!(sending.join().unwrap().delivered, 4);
        });
    }
}

#[test]
fn a_slow_consumer_makes_the_sender_of_every_frame_wait_and_loses_nothing() {
    let receiver = receiver(BackendKind::Auto);
    let config = SenderConfig::new(gray(320, 240)).delivery(Delivery::Every);
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            send_frames(&sender, 100);
            sender.close(PATIENCE).unwrap()
        });
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        // Holds as many frames as there are slots for before it lets any go.
        let mut held = Vec::new();
        let mut seen = 0;
        loop {
            match stream.recv_timeout(Duration::from_millis(200)) {
                Ok(frame) => {
                    assert_eq!(frame.info().number, seen);
                    seen += 1;
                    held.push(frame);
                }
                Err(RecvError::Ended) => break,
                Err(_) => held.clear(),
            }
        }
        assert_eq!(seen, 100);
        assert_eq!(sending.join().unwrap().delivered, 100);
    });
}

#[test]
fn latest_keeps_the_newest_frame_for_a_consumer_that_looks_rarely() {
    let receiver = receiver(BackendKind::Auto);
    let sender = Sender::connect(receiver.local_addr(), SenderConfig::new(gray(320, 240))).unwrap();
    sender.wait_until_open(PATIENCE).unwrap();
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    let every = stream.subscribe(ConsumerPolicy::Queue(2));
    for _ in 0..50 {
        send_frames(&sender, 1);
        sender.wait_until_settled(PATIENCE).unwrap();
    }
    let report = sender.close(PATIENCE).unwrap();
    assert_eq!(report.delivered, 50);
    let taken: Vec<_> = stream.frames().map(Result::unwrap).map(|frame| frame.info().number).collect();
    assert_eq!(taken, [49]);
    assert_eq!(stream.dropped(), 49);
    assert_eq!(every.frames().map(Result::unwrap).map(|frame| frame.info().number).collect::<Vec<_>>(), [48, 49]);
}

#[test]
fn the_stream_goes_on_by_itself_when_the_receiver_comes_back() {
    for backend in backends() {
        let first = receiver(backend);
        let address = first.local_addr();
        let config = SenderConfig::new(gray(320, 240)).delivery(Delivery::Every).backend(backend);
        let sender = Sender::connect(address, config).unwrap();
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                send_frames(&sender, 200);
                sender.close(PATIENCE).unwrap()
            });
            let stream = first.accept_timeout(PATIENCE).unwrap();
            let mut seen = 0;
            while seen < 50 {
                assert_eq!(stream.recv_timeout(PATIENCE).unwrap().info().number, seen);
                seen += 1;
            }
            drop(stream);
            drop(first);
            let again = Receiver::bind(address, ReceiverConfig::new().backend(backend)).unwrap();
            let stream = again.accept_timeout(PATIENCE).unwrap();
            let numbers: Vec<_> = stream.frames().map(Result::unwrap).map(|frame| frame.info().number).collect();
            // What the first receiver had taken in but not handed out went with it; nothing is out of order.
            assert!(numbers[0] <= 50 + 2 * 8, "{numbers:?}");
            assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
            assert_eq!(numbers.last(), Some(&199));
            sending.join().unwrap();
        });
        assert_eq!(sender.stats().restarts, 1);
    }
}

#[test]
fn many_streams_share_the_port_and_none_disturbs_another() {
    let receiver = receiver(BackendKind::Auto);
    std::thread::scope(|scope| {
        for size in 1..=6 {
            let address = receiver.local_addr();
            scope.spawn(move || {
                let format = gray(100 * size, 100);
                let config = SenderConfig::new(format).delivery(Delivery::Every);
                let sender = Sender::connect(address, config).unwrap();
                send_frames(&sender, 40);
                assert_eq!(sender.close(PATIENCE).unwrap().delivered, 40);
            });
        }
        for _ in 0..6 {
            let stream = receiver.accept_timeout(PATIENCE).unwrap();
            scope.spawn(move || {
                let whole =
                    stream.frames().map(Result::unwrap).filter(|frame| is_filled(frame, frame.info().number)).count();
                assert_eq!(whole, 40);
                // One of another stream may come between the bind and the connect of a stream's socket.
                let rejected = stream.stats().rejected;
                assert_eq!(rejected.total(), rejected.stream, "{rejected:?}");
            });
        }
    });
    assert_eq!(receiver.stats().opened, 6);
}

/// A random datagram: noise, or one that almost belongs.
fn noise(random: &mut u64, template: &[u8]) -> Vec<u8> {
    let mut next = || {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random
    };
    let shape = next();
    let len = match shape % 200 {
        0 => next() % 65_508,
        1..=9 => next() % 1_500,
        _ => next() % 80,
    } as usize;
    let mut bytes: Vec<u8> =
        std::iter::repeat_with(|| next().to_be_bytes()).take(len / 8 + 1).flatten().take(len).collect();
    if shape.is_multiple_of(3) {
        // A true header, true stream, and a few bytes bent.
        let head = template.len().min(len);
        bytes[..head].copy_from_slice(&template[..head]);
        for _ in 0..next() % 4 {
            if head > 0 {
                bytes[next() as usize % head] = next() as u8;
            }
        }
    }
    bytes
}

#[test]
fn a_million_random_datagrams_harm_no_frame_of_a_running_stream() {
    let receiver = receiver(BackendKind::Auto);
    let address = receiver.local_addr();
    let config = SenderConfig::new(gray(640, 480)).delivery(Delivery::Every);
    let sender = Sender::connect(address, config).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // From foreign addresses: half of it reaches the listening socket while the stream runs.
        let flood = scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut random = 0x1234_5678_9abc_def1;
            let template = hostile_stream().open_bytes();
            for _ in 0..500_000 {
                let _ = socket.send_to(&noise(&mut random, &template), address);
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                send_frames(&sender, 20);
            }
            send_frames(&sender, 20);
            let report = sender.close(PATIENCE).unwrap();
            assert_eq!(report.delivered, sender.stats().frames);
        });
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        for (frame, number) in stream.frames().map(Result::unwrap).zip(0..) {
            assert_eq!(frame.info().number, number);
            assert!(is_filled(&frame, number));
        }
        flood.join().unwrap();
        assert!(receiver.stats().strays > 10_000, "{:?}", receiver.stats());
        assert_eq!(receiver.stats().opened, 1);
    });
    the_other_half_from_the_streams_own_address(&receiver);
}

/// A sender's core on a socket of the test's, so that noise comes from the stream's own address.
struct HostileStream {
    publication: Publication,
    core: Subscriber,
    socket: UdpSocket,
}

fn hostile_stream() -> HostileStream {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let config = SendConfig::new(4711, 5, gray(300, 200), Delivery::Every, 1_472);
    let publication = Publication::new(config.format, config.delivery);
    let core = publication.subscribe(config, Time::now());
    HostileStream { publication, core, socket }
}

impl HostileStream {
    fn open_bytes(mut self) -> Vec<u8> {
        let mut bytes = [0; send::CONTROL_MAX];
        let len = self.core.poll_transmit(Time::MAX, &mut bytes).unwrap();
        bytes[..len].to_vec()
    }

    fn turn(&mut self, address: SocketAddr, template: &mut Vec<u8>) {
        let mut bytes = [0; 2048];
        self.socket.set_nonblocking(true).unwrap();
        while let Ok((len, _)) = self.socket.recv_from(&mut bytes) {
            self.core.handle_datagram(&bytes[..len], Time::now());
        }
        let now = Time::now();
        let mut control = [0; send::CONTROL_MAX];
        while let Some(len) = self.core.poll_transmit(now, &mut control) {
            let _ = self.socket.send_to(&control[..len], address);
        }
        while let Some(mut run) = self.core.poll_slices(&mut self.publication, 4, now) {
            for nth in 0..run.count {
                let datagram = run.to_datagram(nth);
                *template = datagram[..SLICE_HEADER_LEN].to_vec();
                let _ = self.socket.send_to(&datagram, address);
            }
        }
    }
}

fn the_other_half_from_the_streams_own_address(receiver: &Receiver) {
    let address = receiver.local_addr();
    let mut hostile = hostile_stream();
    let pool = framewire_transport::frame::FramePool::new(4, gray(300, 200).frame_bytes()).unwrap();
    let mut random = 0xfeed_beef_0bad_cafe;
    let mut template = Vec::new();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let stream = receiver.accept_timeout(PATIENCE).unwrap();
            let mut next = 0;
            for frame in stream.frames().map(Result::unwrap) {
                assert_eq!(frame.info().number, next);
                assert!(is_filled(&frame, next), "frame {next} was harmed");
                next += 1;
            }
            (next, stream.stats())
        });
        for sent in 0..500_000_u64 {
            if sent.is_multiple_of(20) {
                if let Some(mut frame) = pool.try_acquire() {
                    fill(&mut frame, hostile.publication.next_number());
                    let published = hostile.publication.publish(frame.freeze()).unwrap();
                    hostile.core.handle_frame(&published, Time::now()).unwrap();
                }
                hostile.turn(address, &mut template);
            }
            // Not bent slices of the frame under way: only a key can tell those from true ones.
            let bytes = noise(&mut random, &template[..template.len().min(24)]);
            let _ = hostile.socket.send_to(&bytes, address);
        }
        hostile.core.close(Time::now());
        wait_for("its end", || {
            hostile.turn(address, &mut template);
            let is_closed = matches!(hostile.core.state(), SendState::Closed(_));
            if is_closed { Ok(()) } else { Err(format!("{:?}", hostile.core)) }
        });
        let (frames, stats) = reader.join().unwrap();
        assert!(frames > 20, "{frames} frames, {stats:?}");
        assert!(stats.rejected.malformed > 10_000, "{stats:?}");
    });
}

#[test]
fn a_port_in_use_is_refused_with_its_number() {
    let first = receiver(BackendKind::Auto);
    let address = first.local_addr();
    let error = Receiver::bind(address, ReceiverConfig::default()).err().unwrap();
    assert!(matches!(error, BindError::InUse(taken) if taken == address));
    assert!(error.to_string().contains(&address.port().to_string()));
    let plain = ReceiverConfig::new().protection(Protection::Off);
    let elsewhere = Receiver::bind("192.0.2.1:9".parse().unwrap(), plain).err().unwrap();
    assert!(matches!(elsewhere, BindError::Address { .. }), "{elsewhere}");
}

#[test]
fn streams_that_are_not_allowed_are_refused_with_the_reason() {
    let config = ReceiverConfig::new().admission(Admission::Announced).stream_bytes_max(1 << 20).streams_max(1);
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let small = gray(64, 64);
    let connect = |stream, format| {
        let config = SenderConfig::new(format).stream(stream).slice(SliceSize::Bytes(1_472));
        Sender::connect(receiver.local_addr(), config).unwrap()
    };
    let reason = |sender: &Sender| match sender.wait_until_open(PATIENCE) {
        Err(SendError::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(&connect(1, small)), Some(RefuseReason::Unknown));
    receiver.announce(2, small).unwrap();
    assert_eq!(reason(&connect(2, gray(64, 65))), Some(RefuseReason::Format));
    let error = receiver.announce(3, gray(1000, 1000)).unwrap_err().to_string();
    assert!(error.contains("1048576") && error.contains("--stream-memory"), "{error}");
    let open = connect(2, small);
    open.wait_until_open(PATIENCE).unwrap();
    receiver.announce(4, small).unwrap();
    assert_eq!(reason(&connect(4, small)), Some(RefuseReason::TooManyStreams));
}

#[test]
fn a_sender_that_nobody_answers_says_so_and_goes_on_trying() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    let sender = Sender::connect(address, SenderConfig::new(gray(64, 64))).unwrap();
    let error = sender.wait_until_open(Duration::from_millis(50)).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    drop(nobody);
    let late = Receiver::bind(address, ReceiverConfig::default()).unwrap();
    sender.wait_until_open(PATIENCE).unwrap();
    assert!(late.accept_timeout(PATIENCE).is_ok());
}

#[test]
fn a_receiver_that_stops_ends_its_streams() {
    let receiver = receiver(BackendKind::Auto);
    let sender = Sender::connect(receiver.local_addr(), SenderConfig::new(gray(64, 64))).unwrap();
    sender.wait_until_open(PATIENCE).unwrap();
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| stream.frames().count());
        receiver.stop();
        assert_eq!(reader.join().unwrap(), 0);
    });
    assert!(receiver.accept().is_err());
}

#[test]
fn a_sender_that_was_killed_makes_room_for_one_that_speaks() {
    let config = ReceiverConfig::new().streams_max(2);
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let connect = || {
        let config = SenderConfig::new(gray(320, 240)).linger(Duration::ZERO);
        Sender::connect(receiver.local_addr(), config).unwrap()
    };
    let killed = connect();
    killed.wait_until_open(PATIENCE).unwrap();
    let first = receiver.accept_timeout(PATIENCE).unwrap();
    let living = connect();
    living.wait_until_open(PATIENCE).unwrap();
    let _living = receiver.accept_timeout(PATIENCE).unwrap();
    // Without a word, as a process that is killed.
    drop(killed);
    let second = connect();
    wait_for("the second is open", || {
        second.wait_until_open(PATIENCE).inspect_err(|error| {
            assert!(matches!(error, SendError::Refused { reason: Some(RefuseReason::TooManyStreams), .. }), "{error}");
        })
    });
    assert_eq!(first.recv_timeout(PATIENCE).unwrap_err(), RecvError::Ended);
    assert_eq!(first.end_reason(), Some(framewire_transport::receive::EndReason::Silent));
    receiver.accept_timeout(PATIENCE).unwrap();
}
