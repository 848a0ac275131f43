//! A UDP port that the system gives from a program that was killed to another: its stream opens at once, and the one before it
//! ends; but only for a sender that is heard at that address, and that the receiver lets in.
#![allow(missing_docs)]

use std::net::UdpSocket;
use std::time::Duration;

use framewire_testing::{PATIENCE, wait_for};
use framewire_transport::driver::{Admission, IncomingStream};
use framewire_transport::frame::RecvError;
use framewire_transport::receive::EndReason;
use framewire_transport::send::{self, Publication, SendConfig, SendState, Subscriber};
use framewire_transport::wire::{Challenge, Kind, Prelude};
use framewire_transport::{Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Time};

/// Two addresses that senders speak from, the second of which they may take over.
struct Addresses {
    receiver: Receiver,
    sockets: [UdpSocket; 2],
    /// What challenges of each stream said of the path.
    path_bytes: Vec<(u32, u16)>,
    deadline: Time,
}

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 300, 200).unwrap()
}

fn sender(stream: u32, slice_bytes: u16) -> Subscriber {
    let config = SendConfig::new(stream, 5, format(), Delivery::Every, slice_bytes);
    Publication::new(config.format, config.delivery).subscribe(config, Time::now())
}

impl Addresses {
    fn new(config: ReceiverConfig) -> Self {
        let sockets = [(); 2].map(|()| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            socket
        });
        Self {
            receiver: Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap(),
            sockets,
            path_bytes: Vec::new(),
            deadline: Time::now() + PATIENCE,
        }
    }

    /// Has the senders speak from the addresses that they are at, until the last one is where it should be.
    fn run_until(&mut self, senders: &mut [(&mut Subscriber, usize)], is_reached: impl Fn(SendState) -> bool) {
        let mut bytes = [0; send::CONTROL_MAX];
        while !is_reached(senders.last().unwrap().0.state()) {
            assert!(Time::now() < self.deadline, "{senders:?}");
            for at in 0..self.sockets.len() {
                let Ok(len) = self.sockets[at].recv(&mut bytes) else { continue };
                if let Ok(challenge) = Challenge::parse(&bytes[..len]) {
                    self.path_bytes.push((challenge.stream, challenge.path_bytes));
                }
                for (sender, _) in senders.iter_mut().filter(|(_, theirs)| *theirs == at) {
                    sender.handle_datagram(&bytes[..len], Time::now());
                }
            }
            for (sender, at) in senders.iter_mut() {
                let now = Time::now();
                sender.handle_timeout(now);
                while let Some(len) = sender.poll_transmit(now, &mut bytes) {
                    self.sockets[*at].send_to(&bytes[..len], self.receiver.local_addr()).unwrap();
                }
            }
        }
    }

    fn open(&mut self, sender: &mut Subscriber, at: usize) -> IncomingStream {
        self.run_until(&mut [(sender, at)], |state| state == SendState::Open);
        self.receiver.accept_timeout(PATIENCE).unwrap()
    }
}

fn await_end(stream: &IncomingStream, reason: EndReason) {
    assert_eq!(stream.recv_timeout(PATIENCE).unwrap_err(), RecvError::Ended);
    assert_eq!(stream.end_reason(), Some(reason));
}

#[test]
fn another_sender_on_the_port_opens_its_stream_though_the_one_before_has_not_fallen_silent() {
    let mut addresses = Addresses::new(ReceiverConfig::default());
    // Its slices are smaller: the next one's opening, as long as one of its own, is cut off where it lands.
    let (mut past, mut next) = (sender(1, 548), sender(2, 1_472));
    let first = addresses.open(&mut past, 0);
    // The past one goes on to speak: it never counts as silent.
    addresses.run_until(&mut [(&mut past, 0), (&mut next, 0)], |state| state == SendState::Open);
    assert_eq!(addresses.receiver.accept_timeout(PATIENCE).unwrap().info().stream, 2);
    await_end(&first, EndReason::Replaced);
    assert_eq!((next.slice_bytes(), next.stats().restarts), (1_472, 0));
    let of_next = |(stream, path_bytes): &(u32, u16)| (*stream == 2).then_some(*path_bytes);
    let heard: Vec<u16> = addresses.path_bytes.iter().filter_map(of_next).collect();
    assert!(heard.contains(&1_472), "{heard:?}");
}

#[test]
fn another_sender_on_the_port_opens_its_stream_while_a_closed_one_still_answers() {
    let mut addresses = Addresses::new(ReceiverConfig::default());
    let (mut past, mut next) = (sender(1, 1_472), sender(2, 1_472));
    let first = addresses.open(&mut past, 0);
    past.close(Time::now());
    addresses.run_until(&mut [(&mut past, 0)], |state| matches!(state, SendState::Closed(_)));
    assert_eq!(addresses.open(&mut next, 0).info().stream, 2);
    await_end(&first, EndReason::Closed);
}

#[test]
fn an_opening_that_has_not_proved_its_address_or_is_refused_leaves_the_stream_that_is_there() {
    let mut addresses = Addresses::new(ReceiverConfig::new().admission(Admission::Announced));
    addresses.receiver.announce(1, format()).unwrap();
    let (mut living, mut stranger) = (sender(1, 1_472), sender(2, 1_472));
    let stream = addresses.open(&mut living, 0);
    // As one that forges the address would send it: the challenge goes to the true sender, who has no use for it.
    let mut bytes = [0; send::CONTROL_MAX];
    let len = stranger.poll_transmit(Time::now(), &mut bytes).unwrap();
    addresses.sockets[0].send_to(&bytes[..len], addresses.receiver.local_addr()).unwrap();
    wait_for("a challenge to the stranger", || {
        let stats = addresses.receiver.stats();
        if stats.challenged >= 2 { Ok(()) } else { Err(format!("{stats:?}")) }
    });
    assert_eq!((addresses.receiver.stats().opened, stream.end_reason()), (1, None));
    // With its cookie, but not announced.
    let mut senders = [(&mut living, 0), (&mut stranger, 0)];
    addresses.run_until(&mut senders, |state| matches!(state, SendState::Refused { .. }));
    assert_eq!((addresses.receiver.stats().opened, stream.end_reason()), (1, None));
    living.close(Time::now());
    addresses.run_until(&mut [(&mut living, 0)], |state| matches!(state, SendState::Closed(_)));
    await_end(&stream, EndReason::Closed);
}

#[test]
fn a_copy_of_what_opened_the_stream_before_does_not_end_the_one_after_it() {
    let mut addresses = Addresses::new(ReceiverConfig::default());
    let (mut past, mut next) = (sender(1, 1_472), sender(2, 1_472));
    let mut bytes = [0; send::CONTROL_MAX];
    let first_len = past.poll_transmit(Time::now(), &mut bytes).unwrap();
    addresses.sockets[0].send_to(&bytes[..first_len], addresses.receiver.local_addr()).unwrap();
    // Its second opening, with the cookie, is kept.
    addresses.sockets[0].set_read_timeout(Some(PATIENCE)).unwrap();
    let len = addresses.sockets[0].recv(&mut bytes).unwrap();
    past.handle_datagram(&bytes[..len], Time::now());
    let len = past.poll_transmit(Time::now(), &mut bytes).unwrap();
    let copy = bytes[..len].to_vec();
    assert_eq!(Prelude::parse(&copy).unwrap().kind, Kind::Open);
    addresses.sockets[0].send_to(&copy, addresses.receiver.local_addr()).unwrap();
    addresses.sockets[0].set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let first = addresses.open(&mut past, 0);
    let stream = addresses.open(&mut next, 0);
    await_end(&first, EndReason::Replaced);
    addresses.sockets[0].send_to(&copy, addresses.receiver.local_addr()).unwrap();
    // Whatever the copy does is done once what comes behind it has been answered.
    next.close(Time::now());
    addresses.run_until(&mut [(&mut next, 0)], |state| matches!(state, SendState::Closed(_)));
    await_end(&stream, EndReason::Closed);
    assert_eq!(addresses.receiver.stats().opened, 2);
}

#[test]
fn a_stream_that_goes_on_from_the_port_of_one_that_is_gone_takes_its_place() {
    let mut addresses = Addresses::new(ReceiverConfig::default());
    let (mut moving, mut past) = (sender(1, 1_472), sender(2, 1_472));
    let stream = addresses.open(&mut moving, 0);
    let gone = addresses.open(&mut past, 1);
    let restarts = moving.stats().restarts;
    // What it says from there reaches the other stream's socket, until it takes the silence for a restart.
    while moving.stats().restarts == restarts {
        addresses.run_until(&mut [(&mut moving, 1)], |state| state != SendState::Open);
    }
    addresses.run_until(&mut [(&mut moving, 1)], |state| state == SendState::Open);
    await_end(&gone, EndReason::Replaced);
    assert_eq!((stream.end_reason(), addresses.receiver.stats().moved), (None, 1));
}

#[test]
fn streams_that_replace_each_other_faster_than_they_are_accepted_do_not_pile_up() {
    let mut addresses = Addresses::new(ReceiverConfig::new().streams_max(2));
    let mut senders = [1, 2, 3].map(|stream| sender(stream, 1_472));
    for sender in &mut senders[..2] {
        addresses.run_until(&mut [(sender, 0)], |state| state == SendState::Open);
    }
    let last = &mut senders[2];
    addresses.run_until(&mut [(last, 0)], |state| matches!(state, SendState::Refused { limit: 2, .. }));
    await_end(&addresses.receiver.accept_timeout(PATIENCE).unwrap(), EndReason::Replaced);
    addresses.run_until(&mut [(last, 0)], |state| state == SendState::Open);
    assert_eq!(addresses.receiver.accept_timeout(PATIENCE).unwrap().info().stream, 2);
}
