//! Senders that keep to no rule, beside a receiver that is as it is.

use std::os::fd::AsFd;
use std::time::Instant;

use rustix::fs::{SealFlags, fcntl_add_seals};

use super::*;
use crate::frame::memfd::Right;
use crate::share::layout::{Inlet, InletCounts};
use crate::share::memory::Shared;
use crate::share::messages::MessageError;
use crate::share::socket::listening;

/// A process that was granted a stream, and has said nothing since.
pub(super) struct Granted {
    socket: OwnedFd,
    pool: OwnedFd,
    inlet: OwnedFd,
    _pipes: [OwnedFd; 2],
}

/// What the hub says next that is more than that it makes slots.
fn answer<T>(socket: &OwnedFd, take: impl FnOnce(Result<FromHub<'_>, MessageError>, packet::Packet) -> T) -> Option<T> {
    let mut buffer = [0; PACKET_MAX];
    let begun = Instant::now();
    loop {
        match packet::receive(socket, &mut buffer) {
            Ok(received) => match FromHub::parse(&buffer[..received.len]) {
                Ok(FromHub::Preparing) => {}
                said => {
                    let received = packet::Packet { len: received.len, descriptors: received.descriptors };
                    return Some(take(said, received));
                }
            },
            Err(packet::PacketError::WouldBlock) => {
                assert!(begun.elapsed() < PATIENCE, "the hub says nothing");
                std::thread::yield_now();
            }
            Err(_) => return None,
        }
    }
}

fn say(socket: &OwnedFd, message: &ToHub<'_>) {
    packet::send(socket, Packet::from(message).bytes(), &[]).unwrap();
}

/// Why the hub refuses, where it does before it hangs up.
fn refusal(socket: &OwnedFd) -> Option<(Refusal, u64)> {
    answer(socket, |said, _| match said {
        Ok(FromHub::Refused { refusal, number, .. }) => Some((refusal, number)),
        _ => None,
    })
    .flatten()
}

impl Granted {
    pub(super) fn new(host: &Host, stream: u32, delivery: Delivery) -> Result<Self, (Refusal, u64)> {
        let socket = listening::connect(host.endpoint.as_path()).unwrap();
        let mut open = crate::wire::open_of(&format(), delivery, &Default::default(), 4104);
        (open.stream, open.epoch) = (stream, 1);
        say(&socket, &ToHub::Enter { open, nonce: 0, network: 0 });
        let taken = answer(&socket, |said, mut received| match said {
            Ok(FromHub::Refused { refusal, number, .. }) => Err((refusal, number)),
            Ok(FromHub::Entered { .. }) => {
                let mut next = || received.descriptors.take().unwrap();
                Ok((next(), next(), [next(), next()]))
            }
            other => panic!("{other:?}"),
        });
        let (pool, inlet, pipes) = taken.unwrap()?;
        Ok(Self { socket, pool, inlet, _pipes: pipes })
    }

    /// Maps its inlet, takes what it was granted and says so.
    fn mapped(&self) -> (Shared<Inlet>, u64) {
        let inlet = Shared::<Inlet>::received(self.inlet.try_clone().unwrap(), 1, Right::Write).unwrap();
        let granted = inlet[0].granted.swap(0, Ordering::AcqRel);
        say(&self.socket, &ToHub::Mapped);
        (inlet, granted)
    }
}

fn opened(host: &Host) -> u64 {
    host.receiver.stats().opened
}

#[test]
fn no_stream_is_opened_for_who_says_that_it_has_everything_and_has_taken_nothing() {
    let host = Host::new("unmapped", ReceiverConfig::new());
    let granted = Granted::new(&host, 1, Delivery::Every).unwrap();
    say(&granted.socket, &ToHub::Mapped);
    assert_eq!(refusal(&granted.socket), Some((Refusal::NotMapped, 0)));
    let granted = Granted::new(&host, 1, Delivery::Every).unwrap();
    drop(granted);
    let granted = Granted::new(&host, 1, Delivery::Every).unwrap();
    say(&granted.socket, &ToHub::Close);
    assert_eq!(refusal(&granted.socket), Some((Refusal::Message, 0)));
    assert_eq!(opened(&host), 0);
    assert!(host.receiver.accept_timeout(Duration::ZERO).is_err());
    let granted = Granted::new(&host, 1, Delivery::Every).unwrap();
    let _mapped = granted.mapped();
    assert_eq!(host.accept().info().path, PathKind::Shm);
}

#[test]
fn who_seals_what_it_was_handed_is_told_that_this_is_why() {
    let host = Host::new("sealed", ReceiverConfig::new());
    for seals_pool in [true, false] {
        let granted = Granted::new(&host, 1, Delivery::Every).unwrap();
        let file = if seals_pool { &granted.pool } else { &granted.inlet };
        let _mapped = Shared::<Inlet>::received(granted.inlet.try_clone().unwrap(), 1, Right::Write).unwrap();
        fcntl_add_seals(file.as_fd(), SealFlags::SEAL).unwrap();
        granted.mapped();
        assert_eq!(refusal(&granted.socket), Some((Refusal::SealedBySender, 0)));
    }
    assert_eq!(opened(&host), 0);
}

#[test]
fn streams_that_come_to_nothing_come_at_a_bounded_rate_and_no_other_way_is_closed_by_them() {
    let host = Host::new("churn", ReceiverConfig::new());
    let begun = Instant::now();
    let mut streams = 0;
    // Where the time for one more comes just before the sender does, that one is let in.
    loop {
        let wait = spend_all(&host, &mut streams, begun);
        assert!((1..=501).contains(&wait), "{wait} ms");
        let sender = host.connect(config(Delivery::Every).path(PathChoice::Auto));
        send(&sender, 1);
        sender.wait_until_open(PATIENCE).unwrap();
        if sender.path() == PathKind::Udp && sender.path_trouble().is_some_and(|why| why.contains("came to nothing")) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it is let in each time");
    }
    while host.accept().info().path == PathKind::Shm {
        assert!(begun.elapsed() < PATIENCE, "no stream by datagrams");
    }
}

/// Opens streams that come to nothing until the next one would have to wait for long, and returns for how long, milliseconds.
fn spend_all(host: &Host, streams: &mut u32, begun: Instant) -> u64 {
    loop {
        assert!(begun.elapsed() < PATIENCE, "{streams} streams, and none comes too often");
        *streams += 1;
        match Granted::new(host, *streams, Delivery::Latest) {
            // Some say that they have everything, and are gone with that.
            Ok(granted) if streams.is_multiple_of(2) => drop(granted.mapped()),
            Ok(_) => {}
            Err((Refusal::TooOften, wait)) if wait > 300 => return wait,
            Err((Refusal::TooOften, _)) => std::thread::yield_now(),
            // Those that are over are still being put away.
            Err((refusal, _)) => assert_eq!(refusal, Refusal::Streams),
        }
        while host.receiver.accept_timeout(Duration::ZERO).is_ok() {}
    }
}

#[test]
fn what_does_not_belong_where_a_sender_says_it_is_refused_whenever_that_is() {
    let host = Host::new("nonsense", ReceiverConfig::new());
    let mapped = Packet::from(&ToHub::Mapped);
    let nonsense: [&[u8]; 3] = [b"nonsense", mapped.bytes(), &[7; PACKET_MAX + 1]];
    for (nth, bytes) in nonsense.into_iter().enumerate() {
        for is_open in [false, true] {
            if bytes.starts_with(b"FS") && !is_open {
                continue;
            }
            let granted = Granted::new(&host, 1, Delivery::Every).unwrap();
            let stream = is_open.then(|| {
                let _mapped = granted.mapped();
                host.accept()
            });
            packet::send(&granted.socket, bytes, &[]).unwrap();
            assert_eq!(refusal(&granted.socket), Some((Refusal::Message, 0)), "{nth} {is_open}");
            if let Some(stream) = stream {
                assert_eq!(stream.recv_timeout(PATIENCE).unwrap_err(), RecvError::Ended);
            }
        }
    }
}

#[test]
fn a_sender_whose_numbers_jump_loses_its_stream_and_spoils_no_sum() {
    for delivery in [Delivery::Latest, Delivery::Every] {
        let host = Host::new(&format!("jump-{}", delivery.name()), ReceiverConfig::new());
        let granted = Granted::new(&host, 1, delivery).unwrap();
        let (inlet, _) = granted.mapped();
        let stream = host.accept();
        inlet[0].source.write(InletCounts { next: (1 << 63) - 1, no_credit: u64::MAX });
        // The hub looks, and finds it.
        let _ = rustix::net::shutdown(&granted.socket, rustix::net::Shutdown::Write);
        assert_eq!(refusal(&granted.socket), Some((Refusal::Message, 0)), "{delivery:?}");
        assert_eq!(stream.recv_timeout(PATIENCE).unwrap_err(), RecvError::Ended);
        let (stats, source) = (stream.stats(), stream.source());
        assert_eq!((stats.frames_passed, source), (0, Default::default()), "{delivery:?}");
        assert_eq!(stream.end_reason(), Some(EndReason::Silent));
    }
}
