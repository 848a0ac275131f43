//! Streams that are opened: what memory they may take together, when it is taken, and who waits for whom.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use framewire_testing::{PATIENCE, wait_for, wait_until};
use framewire_transport::driver::{AnnounceError, BindError, PlainReceiver, PlainReceiverConfig, SendError};
use framewire_transport::frame::ConsumerPolicy;
use framewire_transport::receive::EndReason;
use framewire_transport::send::{Publication, SendConfig, SendState, Subscriber};
use framewire_transport::wire::RefuseReason;
use framewire_transport::{
    BackendKind, Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig, Time,
};

fn gray(width: u32, height: u32) -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, width, height).unwrap()
}

fn receiver(config: ReceiverConfig) -> Receiver {
    Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap()
}

fn connect(receiver: &Receiver, format: FrameFormat) -> Sender {
    Sender::connect(receiver.local_addr(), SenderConfig::new(format)).unwrap()
}

/// What a stream of 8 slots of these frames reserves.
fn stream_bytes(format: FrameFormat) -> usize {
    let receiver = receiver(ReceiverConfig::new().memory_bytes_max(1 << 30));
    connect(&receiver, format).wait_until_open(PATIENCE).unwrap();
    receiver.memory_bytes()
}

fn refusal(sender: &Sender) -> SendError {
    wait_for("a refusal", || match sender.wait_until_open(PATIENCE) {
        Err(error @ SendError::Refused { .. }) => Ok(error),
        Ok(()) => panic!("it was opened"),
        Err(error) => Err(error),
    })
}

#[test]
fn all_streams_together_take_no_more_than_the_budget_and_the_refusal_names_flag_and_number() {
    let format = gray(640, 480);
    let one = stream_bytes(format);
    let limit = 2 * one + one / 2;
    let receiver = receiver(ReceiverConfig::new().memory_bytes_max(limit).stream_bytes_max(limit));
    let open = || {
        let sender = connect(&receiver, format);
        sender.wait_until_open(PATIENCE).unwrap();
        (sender, receiver.accept_timeout(PATIENCE).unwrap())
    };
    let ((sender, first), (other, second)) = (open(), open());
    assert_eq!(receiver.memory_bytes(), 2 * one);
    let third = connect(&receiver, format);
    let error = refusal(&third);
    assert!(
        matches!(error, SendError::Refused { reason: Some(RefuseReason::Memory), limit: said, .. } if said == limit as u64)
    );
    let text = error.to_string();
    assert!(text.contains("--memory") && text.contains(&limit.to_string()), "{text}");
    // A frame of a stream that is over still lies in its memory.
    sender.send(sender.frame().unwrap()).unwrap();
    let frame = first.recv_timeout(PATIENCE).unwrap();
    drop((first, sender));
    drop((second, other));
    wait_until("the third is open", || third.wait_until_open(Duration::ZERO).is_ok());
    assert_eq!(receiver.memory_bytes(), 2 * one);
    drop(frame);
    wait_until("the memory of all but one comes back", || receiver.memory_bytes() == one);
}

#[test]
fn a_stream_that_needs_more_than_one_may_have_is_refused_when_it_is_announced_and_when_it_is_opened() {
    let format = gray(1_000, 1_000);
    let limit = 1 << 20;
    let receiver = receiver(ReceiverConfig::new().stream_bytes_max(limit));
    let error = receiver.announce(1, format).unwrap_err();
    assert!(matches!(error, AnnounceError::StreamMemory { limit: said, bytes } if said == limit && bytes > 8_000_000));
    let error = refusal(&connect(&receiver, format));
    assert!(matches!(error, SendError::Refused { reason: Some(RefuseReason::FrameTooLarge), .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("--stream-memory") && text.contains("1048576"), "{text}");
    let tight = ReceiverConfig::new().memory_bytes_max(limit).stream_bytes_max(1 << 30);
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), tight).unwrap();
    let error = receiver.announce(1, format).unwrap_err().to_string();
    assert!(error.contains("--memory") && error.contains("1048576"), "{error}");
    assert!(refusal(&connect(&receiver, format)).to_string().contains("--memory"));
    assert_eq!(receiver.memory_bytes(), 0);
}

#[test]
fn a_frame_of_132_megapixels_passes_where_memory_is_allowed() {
    let format = gray(15_360, 8_640);
    // Two slots: the machine that tests may be small.
    let config = ReceiverConfig::new().slots(2).memory_bytes_max(1 << 30).stream_bytes_max(1 << 30);
    let receiver = receiver(config);
    let config = SenderConfig::new(format).delivery(Delivery::Every).slots(1);
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    let mut frame = sender.frame().unwrap();
    let last = frame.len() - 1;
    (frame[0], frame[last]) = (1, 2);
    sender.send(frame).unwrap();
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    let frame = stream.recv_timeout(PATIENCE).unwrap();
    assert_eq!((frame.len(), frame[0], frame[last]), (132_710_400, 1, 2));
}

#[test]
fn numbers_that_cannot_be_are_refused_where_they_are_given_with_the_value_and_the_range() {
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let config = ReceiverConfig::default;
    let refused = [
        (config().slots(0), "0 slots", "1 to 64"),
        (config().slots(65), "65 slots", "1 to 64"),
        (config().slots(usize::MAX), "18446744073709551615 slots", "1 to 64"),
        (config().streams_max(0), "0 streams", "1 to 4096"),
        (config().streams_max(usize::MAX), "18446744073709551615 streams", "1 to 4096"),
        (config().memory_bytes_max(0), "0 bytes of memory for all", "use 1 to"),
        (config().stream_bytes_max(0), "0 bytes of memory for a stream", "use 1 to"),
    ];
    for (config, value, range) in refused {
        let error = Receiver::bind(address, config).err().unwrap();
        assert!(matches!(error, BindError::OutOfRange { .. }));
        let error = error.to_string();
        assert!(error.contains(value) && error.contains(range), "{error}");
    }
    for slots in [0, 65, usize::MAX] {
        let config = SenderConfig::new(gray(64, 48)).slots(slots);
        let error = Sender::connect(address, config).err().unwrap().to_string();
        assert!(error.contains(&format!("{slots} slots")) && error.contains("1 to 64"), "{error}");
        let (format, policy, backend) = (gray(64, 48), ConsumerPolicy::Latest, BackendKind::Auto);
        let config = PlainReceiverConfig::new(format).slots(slots).backend(backend).policy(policy);
        let error = PlainReceiver::bind(address, &config, |_| {}).err().unwrap().to_string();
        assert!(error.contains(&format!("{slots} slots")) && error.contains("1 to 64"), "{error}");
    }
}

/// A sender's core on a socket of its own, which never goes beyond the opening.
struct Opener {
    socket: UdpSocket,
    core: Subscriber,
}

impl Opener {
    fn new(ip: Ipv4Addr, receiver: SocketAddr, stream: u32, format: FrameFormat) -> Self {
        let socket = UdpSocket::bind(SocketAddr::new(IpAddr::V4(ip), 0)).unwrap();
        socket.connect(receiver).unwrap();
        socket.set_nonblocking(true).unwrap();
        let config = SendConfig::new(stream, 7, format, Delivery::Latest, 1_472);
        let core = Publication::new(format, config.delivery).subscribe(config, Time::now());
        Self { socket, core }
    }

    fn step(&mut self) -> SendState {
        let mut bytes = [0; framewire_transport::send::CONTROL_MAX];
        while let Ok(len) = self.socket.recv(&mut bytes) {
            self.core.handle_datagram(&bytes[..len], Time::now());
        }
        self.core.handle_timeout(Time::now());
        while let Some(len) = self.core.poll_transmit(Time::now(), &mut bytes) {
            let _ = self.socket.send(&bytes[..len]);
        }
        self.core.state()
    }

    fn open(&mut self) {
        let began = Instant::now();
        while self.step() != SendState::Open {
            assert!(began.elapsed() < PATIENCE);
            // Spinning would take a core from the receiver.
            let due = self.core.poll_timeout().since(Time::now());
            self.socket.set_nonblocking(false).unwrap();
            self.socket.set_read_timeout(Some(due.clamp(Duration::from_millis(1), PATIENCE))).unwrap();
            let _ = self.socket.peek(&mut [0]);
            self.socket.set_nonblocking(true).unwrap();
        }
    }
}

#[test]
fn a_small_stream_is_open_before_the_large_ones_that_came_first() {
    // Of a size that takes the system longer than an opening does: 8 slots of 8 megapixels each.
    let (large, small) = (gray(4_000, 2_000), gray(64, 48));
    let receiver = receiver(ReceiverConfig::new().memory_bytes_max(1 << 30).stream_bytes_max(1 << 30));
    let address = receiver.local_addr();
    let mut openers: Vec<_> = (0..6).map(|stream| Opener::new(Ipv4Addr::LOCALHOST, address, stream, large)).collect();
    let mut late = Opener::new(Ipv4Addr::LOCALHOST, address, 100, small);
    // All of them are admitted: their memory is reserved, and most of it not there yet.
    wait_until("all are admitted", || {
        openers.iter_mut().for_each(|opener| _ = opener.step());
        receiver.memory_bytes() >= 6 * 8 * 8_000_000
    });
    late.open();
    openers.iter_mut().for_each(Opener::open);
    let order: Vec<_> = (0..7).map(|_| receiver.accept_timeout(PATIENCE).unwrap().info().stream).collect();
    let place = order.iter().position(|stream| *stream == 100).unwrap();
    assert!(place < 6, "the small one came last: {order:?}");
}

#[test]
fn an_opening_that_waits_and_is_withdrawn_or_followed_by_a_later_one_gives_its_memory_back() {
    let large = gray(4_000, 2_000);
    let receiver = receiver(ReceiverConfig::new().memory_bytes_max(1 << 30).stream_bytes_max(1 << 30));
    let mut past = Opener::new(Ipv4Addr::LOCALHOST, receiver.local_addr(), 1, large);
    wait_until("it is admitted", || {
        past.step();
        receiver.memory_bytes() > 0
    });
    let one = receiver.memory_bytes();
    // The program was started anew, with smaller frames: on the same port, in another stream.
    let config = SendConfig::new(2, 9, gray(64, 48), Delivery::Latest, 1_472);
    past.core = Publication::new(config.format, config.delivery).subscribe(config, Time::now());
    past.open();
    wait_until("the memory of both comes back", || receiver.memory_bytes() < one / 2);
    receiver.withdraw(2);
    wait_until("all memory comes back", || receiver.memory_bytes() == 0);
}

#[test]
fn of_the_streams_that_may_end_for_others_one_ends_whose_sender_is_silent_and_none_that_is_heard() {
    let receiver = receiver(ReceiverConfig::default());
    let mut gone = Opener::new(Ipv4Addr::LOCALHOST, receiver.local_addr(), 1, gray(64, 48));
    gone.open();
    let sender = Sender::connect(receiver.local_addr(), SenderConfig::new(gray(64, 48)).stream(2));
    let sender = sender.unwrap();
    sender.wait_until_open(PATIENCE).unwrap();
    assert_eq!((receiver.withdraw_silent(&[]), receiver.withdraw_silent(&[2, 3])), (None, None));
    let ended = wait_for("one is silent", || receiver.withdraw_silent(&[1, 2, 3]).ok_or("none is"));
    assert_eq!(ended, 1);
    let first = receiver.accept_timeout(PATIENCE).unwrap();
    assert_eq!((first.info().stream, first.recv().is_err(), first.end_reason()), (1, true, Some(EndReason::Silent)));
    sender.close(PATIENCE).unwrap();
}

/// By how much an opening is delayed while a hundred of streams of 120 MB go on, and how much memory they take. To be
/// looked at, in a release build:
/// `cargo test --release -p framewire-transport --test opening -- --ignored --nocapture`
#[test]
#[ignore = "measures; takes some gigabytes of memory"]
fn measure_the_delay_of_an_opening_while_a_hundred_large_ones_go_on() {
    const ROUNDS: usize = 20;
    let (large, small) = (gray(5_000, 3_000), gray(640, 480));
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let open_one = |receiver: &Receiver, stream: u32| {
        let mut opener = Opener::new(Ipv4Addr::new(127, 0, 0, 2), receiver.local_addr(), stream, small);
        let began = Instant::now();
        opener.open();
        let took = began.elapsed();
        receiver.withdraw(stream);
        took
    };
    let (mut alone, mut beside, mut most) = (Vec::new(), Vec::new(), 0);
    let limit = ReceiverConfig::default().memory_bytes_max;
    for round in 0..ROUNDS {
        let receiver = receiver(ReceiverConfig::default());
        alone.push(open_one(&receiver, 1_000));
        let mut openers: Vec<_> =
            (0..100).map(|stream| Opener::new(Ipv4Addr::LOCALHOST, receiver.local_addr(), stream, large)).collect();
        // Twice: the challenge, and the opening with its cookie.
        let began = Instant::now();
        while receiver.memory_bytes() < 120_000_000 && began.elapsed() < PATIENCE {
            openers.iter_mut().for_each(|opener| _ = opener.step());
        }
        openers.iter_mut().for_each(|opener| _ = opener.step());
        beside.push(open_one(&receiver, 1_001));
        most = most.max(receiver.memory_bytes());
        assert!(most <= limit, "round {round}: {most} bytes of {limit}");
    }
    println!("an opening, median of {ROUNDS}: alone {:?}, beside 100 of 120 MB {:?}", median(alone), median(beside));
    println!("memory reserved at most: {most} of {limit} bytes");
}
