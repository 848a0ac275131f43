//! Reports of the network (ICMP) that somebody forges who knows the ports, and nothing else: they stop, move and shrink no stream.
//! Needs root and `ip`. A few of them; at length: `FRAMEWIRE_REPORTS=100000 cargo test --release -p framewire-transport --test
//! forged_reports -- --nocapture`.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod hosts;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use framewire_testing::PATIENCE;
use framewire_transport::frame::{ConsumerPolicy, FrameRate, Presentation};
use framewire_transport::{
    Delivery, FrameFormat, PixelFormat, Protection, Receiver, ReceiverConfig, Sender, SenderConfig, Time,
};
use hosts::Hosts;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 60);
const FRAMES: u64 = 180;
const FAR: Ipv4Addr = Ipv4Addr::new(10, 87, 0, 1);
/// ICMP type 3, "destination unreachable".
const UNREACHABLE: u8 = 3;
/// Its codes: network, host, protocol, port unreachable, host unknown, forbidden by a firewall.
const CODES: [u8; 6] = [0, 1, 2, 3, 7, 13];
/// Its code for "fragmentation needed", and the least that Linux takes for a path's MTU.
const FRAGMENTATION_NEEDED: u8 = 4;
const MTU_MIN: u16 = 552;

fn reports() -> u64 {
    std::env::var("FRAMEWIRE_REPORTS").ok().map_or(2_000, |count| count.parse().unwrap())
}

/// The sum that IP and ICMP headers carry.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// A report that a datagram from `from` did not get to `to`.
fn report(code: u8, mtu: u16, from: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0x05, 0xdc, 0, 1, 0x40, 0, 64, 17, 0, 0];
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum);
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend([0x05, 0xc8, 0, 0]);
    let mut bytes = vec![UNREACHABLE, code, 0, 0, 0, 0];
    bytes.extend(mtu.to_be_bytes());
    bytes.extend(packet);
    let sum = checksum(&bytes);
    bytes[2..4].copy_from_slice(&sum);
    bytes
}

/// Reports that this thread's host has taken in.
fn reports_heard() -> u64 {
    let said = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = said.lines().filter(|line| line.starts_with("Icmp:")).map(str::split_whitespace);
    let (names, counts) = (lines.next().unwrap(), lines.next().unwrap());
    let unreachable = names.zip(counts).find(|(name, _)| *name == "InDestUnreachs").unwrap().1;
    unreachable.parse().unwrap()
}

fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(address) => panic!("{address} is no IPv4 address"),
    }
}

/// Streams while `forge(frame, from, to)` makes reports after each frame; returns how many reports were made.
fn stream_among(delivery: Delivery, codes: &[u8]) {
    let Some(hosts) = Hosts::new(&[]) else { return };
    let raw = match hosts.far.on(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))) {
        Ok(raw) => raw,
        Err(error) => return framewire_testing::skip(format_args!("no raw socket ({error}); run as root")),
    };
    let config = ReceiverConfig::new().latest_policy(ConsumerPolicy::Block).protection(Protection::Off);
    let receiver = hosts.far.on(|| Receiver::bind("0.0.0.0:0".parse().unwrap(), config).unwrap());
    let far = SocketAddrV4::new(FAR, receiver.local_addr().port());
    let format = FrameFormat::new(PixelFormat::Gray8, 320, 240).unwrap();
    let presentation = Presentation::UNKNOWN.rate(FrameRate::from_interval(INTERVAL));
    let config = SenderConfig::new(format).delivery(delivery).presentation(presentation).protection(Protection::Off);
    let sender = hosts.near.on(|| Sender::connect(far.into(), config).unwrap());
    sender.wait_until_open(PATIENCE).unwrap();
    let slice_bytes = sender.slice_bytes();
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    let near = v4(stream.info().peer);
    let heard = || hosts.near.on(reports_heard);
    let (mut made, heard_before) = (0, heard());
    let mut latencies = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let arrived = |frame: framewire_transport::Frame| Time::now().since(frame.info().captured);
            stream.frames().map(Result::unwrap).map(arrived).collect::<Vec<_>>()
        });
        let mut due = Instant::now();
        for nth in 1..=FRAMES {
            let frame = sender.frame().unwrap();
            sender.send(frame).unwrap();
            while made < reports() * nth / FRAMES {
                let code = codes[made as usize % codes.len()];
                // To the sender, of what it sends, and to the receiver, of its answers.
                for (from, to) in [(near, far), (far, near)] {
                    let mtu = if code == FRAGMENTATION_NEEDED { MTU_MIN } else { 0 };
                    let to_whom = SockAddr::from(SocketAddrV4::new(*from.ip(), 0));
                    // What the network does not take is not made again.
                    let _ = raw.send_to(&report(code, mtu, from, to), &to_whom);
                }
                made += 1;
            }
            due += INTERVAL;
            // A camera's pace, not synchronisation.
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let report = sender.close(PATIENCE).unwrap();
        let stats = sender.stats();
        let fates = report.delivered + stats.frames_skipped;
        match delivery {
            Delivery::Every => assert_eq!(fates, FRAMES, "{report:?}"),
            // Of one that was given up half sent, as a report was believed, all may have been there.
            Delivery::Latest => {
                assert!(fates <= FRAMES && fates + stats.frames_abandoned >= FRAMES, "{report:?}, {stats:?}")
            }
        }
        reader.join().unwrap()
    });
    latencies.sort_unstable();
    let stats = sender.stats();
    println!(
        "{}, ICMP codes {codes:?}: {made} reports to each end, {} of {FRAMES} frames, median {:?}, p99 {:?}, {stats:?}",
        delivery.name(),
        latencies.len(),
        latencies[latencies.len() / 2],
        latencies[latencies.len() * 99 / 100],
    );
    let heard = heard() - heard_before;
    assert!(heard > made / 2, "the sender's system has heard {heard} of {made} reports");
    assert_eq!((receiver.stats().opened, receiver.stats().moved), (1, 0), "nobody moved or opened another stream");
    // A report is believed where the receiver is silent for 20 ms then, as one may be on a busy machine.
    assert!(stats.restarts * 100 < made, "{} of {made} reports were believed", stats.restarts);
    assert_eq!((sender.slice_bytes(), v4(stream.info().peer)), (slice_bytes, near));
    if delivery == Delivery::Every {
        assert_eq!(latencies.len() as u64, FRAMES);
    }
}

#[test]
fn forged_reports_that_nobody_listens_stop_no_stream() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        stream_among(delivery, &CODES);
    }
}

#[test]
fn forged_reports_of_a_narrow_path_make_no_slice_smaller() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        stream_among(delivery, &[FRAGMENTATION_NEEDED]);
    }
}
