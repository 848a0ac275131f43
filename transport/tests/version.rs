//! Two releases that speak different versions of the protocol: each is told both numbers. And what Open says comes out as it went in.
#![allow(missing_docs)]

use std::net::UdpSocket;
use std::time::Duration;

use framewire_testing::{PATIENCE, wait_until};
use framewire_transport::driver::{Receiver, SendError, SliceSize};
use framewire_transport::frame::{ChromaPlace, ColourRange, FrameRate, Presentation, SampleAspect, Scan};
use framewire_transport::send::{Publication, SendConfig, SendState};
use framewire_transport::wire::{Kind, Open, PRELUDE_LEN, Prelude, Refuse, RefuseReason, VERSION, WireError};
use framewire_transport::{Delivery, FrameFormat, PixelFormat, ReceiverConfig, Sender, SenderConfig, Time};

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 20, 25).unwrap()
}

/// A sender's first Open.
fn open(config: SendConfig) -> Vec<u8> {
    let mut bytes = Box::new([0; framewire_transport::send::CONTROL_MAX]);
    let len = Publication::new(config.format, config.delivery)
        .subscribe(config, Time::ZERO)
        .poll_transmit(Time::ZERO, &mut bytes)
        .unwrap();
    bytes[..len].to_vec()
}

fn config() -> SendConfig {
    SendConfig::new(0x0bad_cafe, 7, format(), Delivery::Every, 548)
}

fn of_version(version: u8, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[2] = version;
    bytes
}

/// A sender of another version, in front of a receiver of this one.
struct Stranger {
    receiver: Receiver,
    socket: UdpSocket,
}

impl Stranger {
    fn new() -> Self {
        let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::default()).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(receiver.local_addr()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { receiver, socket }
    }

    /// Datagrams that opened nothing.
    fn looked_at(&self) -> u64 {
        let stats = self.receiver.stats();
        stats.strays + stats.other_version
    }

    /// What comes back for the last of these: an Open of this version shows that those before it were not answered.
    fn answer(&self, datagrams: &[Vec<u8>]) -> Vec<u8> {
        for (nth, datagram) in datagrams.iter().enumerate() {
            self.socket.send(datagram).unwrap();
            // Fewer wait at once than a socket of the system's default size has room for.
            if nth % 64 == 63 {
                wait_until(format_args!("{nth} are looked at"), || self.looked_at() > nth as u64);
            }
        }
        let mut bytes = [0; 2048];
        let len = self.socket.recv(&mut bytes).unwrap();
        bytes[..len].to_vec()
    }
}

#[test]
fn an_opening_of_another_version_is_refused_with_the_receivers_own() {
    for version in [0, 1, VERSION + 1, u8::MAX] {
        let far = Stranger::new();
        // It need be no longer than the answer, whatever that version has in it.
        for len in [Refuse::LEN, Open::LEN, 548] {
            let mut asked = of_version(version, open(config()));
            asked.resize(len, 0);
            let refuse = loop {
                // The one before may have been answered less than a moment ago.
                let bytes = far.answer(&[asked.clone(), open(config())]);
                if let Ok(refuse) = Refuse::parse(&bytes) {
                    assert!(bytes.len() <= len);
                    break refuse;
                }
            };
            assert_eq!((refuse.stream, refuse.epoch), (0x0bad_cafe, 7));
            assert_eq!((refuse.reason, refuse.limit), (RefuseReason::Version as u16, VERSION.into()));
            // Leaves nothing behind of what was asked besides.
            far.socket.set_nonblocking(true).unwrap();
            while far.socket.recv(&mut [0; 2048]).is_ok() {}
            far.socket.set_nonblocking(false).unwrap();
        }
        assert_eq!(far.receiver.stats().opened, 0);
        assert!(far.receiver.stats().other_version >= 3);
    }
}

#[test]
fn no_other_datagram_of_another_version_is_answered_nor_one_shorter_than_the_answer() {
    let far = Stranger::new();
    let mut datagrams: Vec<_> = (0..=u8::MAX)
        .filter(|kind| *kind != Kind::Open as u8)
        .map(|kind| {
            let mut bytes = of_version(VERSION + 1, open(config()));
            bytes[3] = kind;
            bytes
        })
        .collect();
    let asked = of_version(VERSION + 1, open(config()));
    datagrams.extend((PRELUDE_LEN..Refuse::LEN).map(|len| asked[..len].to_vec()));
    datagrams.push(open(config()));
    let answer = far.answer(&datagrams);
    assert_eq!(Prelude::parse(&answer).map(|prelude| prelude.kind), Ok(Kind::Challenge));
}

#[test]
fn a_sender_that_opens_takes_another_version_for_a_refusal_and_goes_on_asking() {
    let mut sender = Publication::new(config().format, config().delivery).subscribe(config(), Time::ZERO);
    let foreign = |stream, epoch| {
        let refuse = Refuse { stream, epoch, flags: 0, reason: RefuseReason::Version as u16, limit: 9 };
        of_version(9, refuse.emit().to_vec())
    };
    for other in [foreign(1, 7), foreign(0x0bad_cafe, 8)] {
        sender.handle_datagram(&other, Time::ZERO);
        assert!(matches!(sender.state(), SendState::Opening { .. }));
    }
    sender.handle_datagram(&foreign(0x0bad_cafe, 7), Time::ZERO);
    assert_eq!(sender.state(), SendState::Refused { reason: Some(RefuseReason::Version), limit: 9 });
    let mut bytes = Box::new([0; framewire_transport::send::CONTROL_MAX]);
    let due = sender.poll_timeout();
    assert!(due > Time::ZERO && sender.poll_transmit(due, &mut bytes).is_some());
}

#[test]
fn a_sender_tells_both_numbers_of_a_receiver_of_another_version() {
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    let config = SenderConfig::new(format()).slice(SliceSize::Bytes(548));
    let sender = Sender::connect(far.local_addr().unwrap(), config).unwrap();
    let mut bytes = [0; 2048];
    let (len, peer) = far.recv_from(&mut bytes).unwrap();
    let Open { stream, epoch, .. } = Open::parse(&bytes[..len]).unwrap();
    let refuse = Refuse { stream, epoch, flags: 0, reason: RefuseReason::Version as u16, limit: 9 };
    far.send_to(&of_version(9, refuse.emit().to_vec()), peer).unwrap();
    let error = loop {
        match sender.wait_until_open(PATIENCE) {
            Err(error @ SendError::Refused { .. }) => break error.to_string(),
            other => other.unwrap(),
        }
    };
    assert!(
        error.contains(&format!("speaks version 9, this is {VERSION}; use the same release on both sides")),
        "{error}"
    );
}

#[test]
fn what_a_source_says_of_its_pictures_reaches_the_receiver_as_it_was_said() {
    let rates = [(120_000, 1001), (240_000, 1001), (50, 3), (1000, 3), (90_000, 1), (1_200_000, 1), (1, 86_401)];
    let rate = |(num, den)| FrameRate::new(num, den).unwrap();
    let full = Presentation::UNKNOWN
        .rate(rate((25, 1)))
        .scan(Scan::TopFirst)
        .aspect(SampleAspect::new(64, 45))
        .chroma(ChromaPlace::Left)
        .range(ColourRange::Full);
    let said = rates.map(|fraction| Presentation::UNKNOWN.rate(rate(fraction)));
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::default()).unwrap();
    for presentation in said.into_iter().chain([full, Presentation::UNKNOWN]) {
        let config = SenderConfig::new(format()).presentation(presentation);
        let sender = Sender::connect(receiver.local_addr(), config).unwrap();
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        assert_eq!(stream.info().presentation, presentation);
        drop(sender);
    }
}

#[test]
fn a_rate_is_a_pace_only_where_frames_come_at_it() {
    let presentation = Presentation::UNKNOWN.rate(FrameRate::per_second(25).ok());
    let interval = |paced| Open::parse(&open(SendConfig { presentation, paced, ..config() })).unwrap().interval();
    assert_eq!((interval(true), interval(false)), (Duration::from_millis(40), Duration::ZERO));
}

#[test]
fn an_opening_that_says_what_nothing_stands_for_is_refused() {
    let said = Open::parse(&open(config())).unwrap();
    let refused = |open: Open| open.presentation().unwrap_err();
    assert_eq!(refused(Open { rate_num: 1, ..said }), WireError::Value("rate_den"));
    assert_eq!(refused(Open { aspect_num: 1, ..said }), WireError::Value("aspect_den"));
    assert_eq!(refused(Open { scan: 5, ..said }), WireError::Value("scan"));
    assert_eq!(refused(Open { chroma: 4, ..said }), WireError::Value("chroma"));
    assert_eq!(refused(Open { range: 3, ..said }), WireError::Value("range"));
    assert_eq!(said.presentation(), Ok(Presentation::UNKNOWN));
}
