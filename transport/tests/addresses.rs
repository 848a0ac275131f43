//! This machine's addresses: answers leave from the one that was asked, and a stream outlives its own.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod hosts;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use framewire_testing::PATIENCE;
use framewire_transport::driver::{PlainReceiver, PlainReceiverConfig, PlainSender, PlainSenderConfig};
use framewire_transport::frame::{ConsumerPolicy, FrameRate, Presentation};
use framewire_transport::{
    BackendKind, Delivery, FrameFormat, PixelFormat, Protection, Receiver, ReceiverConfig, Sender, SenderConfig,
};
use hosts::Hosts;

const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 60);
const DELIVERIES: [Delivery; 2] = [Delivery::Every, Delivery::Latest];

fn config(delivery: Delivery) -> SenderConfig {
    let format = FrameFormat::new(PixelFormat::Gray8, 320, 240).unwrap();
    let presentation = Presentation::UNKNOWN.rate(FrameRate::from_interval(INTERVAL));
    SenderConfig::new(format).delivery(delivery).presentation(presentation).protection(Protection::Off)
}

fn bind(address: &str) -> Receiver {
    let config = ReceiverConfig::new().latest_policy(ConsumerPolicy::Block).protection(Protection::Off);
    Receiver::bind(address.parse().unwrap(), config).unwrap()
}

fn at(address: &str, receiver: &Receiver) -> SocketAddr {
    let mut address: SocketAddr = address.parse().unwrap();
    address.set_port(receiver.local_addr().port());
    address
}

/// Sends three frames, which must arrive.
fn assert_answers(receiver: &Receiver, sender: &Sender, what: &str) {
    std::thread::scope(|scope| {
        let frames = scope.spawn(|| {
            let stream = receiver.accept_timeout(PATIENCE).unwrap_or_else(|error| panic!("{what}: {error}"));
            stream.frames().count()
        });
        for _ in 0..3 {
            sender.send(sender.frame().unwrap()).unwrap();
        }
        let report = sender.close(PATIENCE).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((report.delivered, frames.join().unwrap()), (3, 3), "{what}");
    });
}

#[test]
fn a_receiver_on_a_wildcard_address_answers_from_the_loopback_address_that_was_asked() {
    for (listen, asked) in [
        ("0.0.0.0:0", "127.0.0.1:1"),
        ("0.0.0.0:0", "127.0.0.2:1"),
        ("[::]:0", "127.0.0.2:1"),
        ("[::]:0", "[::ffff:127.0.0.2]:1"),
        ("[::]:0", "[::1]:1"),
    ] {
        if asked.starts_with("[::1]") && std::net::UdpSocket::bind("[::1]:0").is_err() {
            framewire_testing::skip("this machine has no IPv6 loopback");
            continue;
        }
        for backend in BackendKind::ALL.iter().copied() {
            let here = ReceiverConfig::new().backend(backend).protection(Protection::Off);
            let receiver = Receiver::bind(listen.parse().unwrap(), here).unwrap();
            let sender = Sender::connect(at(asked, &receiver), config(Delivery::Every)).unwrap();
            assert_answers(&receiver, &sender, &format!("{listen} asked at {asked}, {backend}"));
        }
    }
}

#[test]
fn every_address_of_an_interface_is_answered_from() {
    let Some(hosts) = Hosts::new(&[]) else { return };
    let link_local = {
        let said = hosts.far.on(|| std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
        let line = said.lines().find(|line| line.starts_with("fe80") && line.ends_with("lan")).unwrap().to_owned();
        let groups: Vec<_> = (0..8).map(|group| &line[4 * group..4 * group + 4]).collect();
        let near = hosts.near.on(|| std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
        let line = near.lines().find(|line| line.starts_with("fe80") && line.ends_with("lan")).unwrap();
        let scope = u32::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        format!("[{}%{scope}]:1", groups.join(":"))
    };
    for listen in ["0.0.0.0:0", "[::]:0"] {
        for asked in ["10.87.0.1:1", "10.87.0.100:1", "[fd87::1]:1", "[fd87::100]:1", &link_local] {
            if listen.starts_with('0') && asked.starts_with('[') {
                continue;
            }
            let receiver = hosts.far.on(|| bind(listen));
            let sender = hosts.near.on(|| Sender::connect(at(asked, &receiver), config(Delivery::Every)).unwrap());
            assert_answers(&receiver, &sender, &format!("{listen} asked at {asked}"));
        }
    }
}

#[test]
fn a_sender_that_asks_a_receiver_at_another_of_its_addresses_goes_on_with_the_same_stream() {
    let receiver = bind("0.0.0.0:0");
    for delivery in DELIVERIES {
        let opened = receiver.stats().opened;
        let sender = Sender::connect(at("127.0.0.1:1", &receiver), config(delivery)).unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let stream = receiver.accept_timeout(PATIENCE).unwrap();
                stream.frames().map(Result::unwrap).map(|frame| frame.info().number).collect::<Vec<_>>()
            });
            for (nth, address) in ["127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"].into_iter().enumerate() {
                sender.redirect(at(address, &receiver));
                for _ in 0..5 {
                    sender.send(sender.frame().unwrap()).unwrap();
                    sender.wait_until_settled(PATIENCE).unwrap();
                }
                assert_eq!(sender.stats().restarts, nth as u64, "a new epoch for each address");
            }
            sender.close(PATIENCE).unwrap();
            assert_eq!(reader.join().unwrap(), (0..15).collect::<Vec<_>>());
        });
        assert_eq!(receiver.stats().opened, opened + 1);
    }
}

/// What befalls one of the hosts, until it is over.
type Cause = (&'static str, fn(&Hosts, &Sender, SocketAddr));

/// How long what passes takes.
fn pass() {
    std::thread::sleep(Duration::from_millis(300));
}

const CAUSES: [Cause; 10] = [
    ("the sender's address changes", |hosts, _, _| {
        hosts.near.run("ip addr flush dev lan");
        hosts.near.run("ip addr add 10.87.0.3/24 dev lan");
    }),
    ("the sender's address goes and another comes", |hosts, _, _| {
        hosts.near.run("ip addr flush dev lan");
        pass();
        hosts.near.run("ip addr add 10.87.0.4/24 dev lan");
    }),
    ("the sender's address goes and comes back", |hosts, _, _| {
        hosts.near.run("ip addr flush dev lan");
        pass();
        hosts.near.run("ip addr add 10.87.0.2/24 dev lan");
    }),
    ("the sender's interface goes down and up", |hosts, _, _| {
        hosts.near.run("ip link set lan down");
        pass();
        hosts.near.run("ip link set lan up");
    }),
    ("the interfaces are taken out, and others put in", |hosts, _, _| {
        hosts.near.run("ip link del lan");
        pass();
        hosts.join();
        hosts.near.run("ip addr add 10.87.0.5/24 dev lan");
        hosts.far.run("ip addr add 10.87.0.1/24 dev lan");
    }),
    ("a firewall drops what the sender sends", |hosts, _, _| {
        hosts.near.filter_output(Some("meta l4proto udp drop;"));
        pass();
        hosts.near.filter_output(None);
    }),
    ("a firewall drops some of what the sender sends", |hosts, _, _| {
        hosts.near.filter_output(Some("meta l4proto udp numgen random mod 100 < 20 drop;"));
        pass();
        hosts.near.filter_output(None);
    }),
    ("a firewall drops what the receiver sends", |hosts, _, _| {
        hosts.far.filter_output(Some("meta l4proto udp drop;"));
        pass();
        hosts.far.filter_output(None);
    }),
    ("the receiver's interface goes down and up", |hosts, _, _| {
        hosts.far.run("ip link set lan down");
        pass();
        hosts.far.run("ip link set lan up");
    }),
    ("the receiver's address changes, and the sender is told", |hosts, sender, receiver| {
        hosts.far.run("ip addr flush dev lan");
        pass();
        hosts.far.run("ip addr add 10.87.0.9/24 dev lan");
        sender.redirect(SocketAddr::new("10.87.0.9".parse().unwrap(), receiver.port()));
    }),
];

/// Streams at 60 frames a second, does `meanwhile`, and returns how long after it a frame that was given later arrived, and the
/// numbers of all that did.
fn survive(
    receiver: &Receiver,
    sender: &Sender,
    delivery: Delivery,
    meanwhile: impl FnOnce(),
    what: &str,
) -> (Duration, Vec<u64>, u64) {
    let (next, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (arrived, arrivals) = mpsc::channel();
        scope.spawn(move || {
            let stream = receiver.accept_timeout(PATIENCE).unwrap();
            for frame in stream.frames().map(Result::unwrap) {
                assert!(frame.iter().all(|byte| *byte == frame.info().number as u8), "frame {}", frame.info().number);
                arrived.send(frame.info().number).unwrap();
            }
        });
        let sending = scope.spawn(|| {
            let mut due = Instant::now();
            while !done.load(Ordering::Acquire) {
                // A camera's pace, not synchronisation.
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                due += INTERVAL;
                let Some(mut frame) = sender.frame_timeout(INTERVAL).unwrap() else {
                    if delivery == Delivery::Latest {
                        sender.skip();
                        next.fetch_add(1, Ordering::AcqRel);
                    }
                    continue;
                };
                frame.fill(next.load(Ordering::Acquire) as u8);
                next.store(sender.send(frame).unwrap() + 1, Ordering::Release);
            }
            sender.close(PATIENCE).unwrap()
        });
        let mut numbers = Vec::new();
        let mut wait_for = |number: u64| {
            while numbers.last().is_none_or(|last| *last < number) {
                match arrivals.recv_timeout(PATIENCE) {
                    Ok(number) => numbers.push(number),
                    Err(error) => {
                        done.store(true, Ordering::Release);
                        panic!("{what}: no frame {number} ({error}): {:?} {:?}", sender.stats(), receiver.stats());
                    }
                }
            }
        };
        wait_for(20);
        meanwhile();
        let (over, given) = (Instant::now(), next.load(Ordering::Acquire));
        wait_for(given);
        let again = over.elapsed();
        wait_for(given + 20);
        done.store(true, Ordering::Release);
        let report = sending.join().unwrap();
        numbers.extend(arrivals.iter());
        (again, numbers, report.delivered)
    })
}

#[test]
fn a_stream_goes_on_by_itself_when_its_address_interface_or_firewall_lets_it_again_and_in_every_nothing_is_lost() {
    for delivery in DELIVERIES {
        for (what, befall) in CAUSES {
            let Some(hosts) = Hosts::new(&["nft"]) else { return };
            let receiver = hosts.far.on(|| bind("0.0.0.0:0"));
            let to = at("10.87.0.1:1", &receiver);
            let sender = hosts.near.on(|| Sender::connect(to, config(delivery)).unwrap());
            let (again, numbers, delivered) =
                survive(&receiver, &sender, delivery, || befall(&hosts, &sender, to), what);
            println!("{}: {what}: frames again after {again:?}, {:?}", delivery.name(), sender.stats());
            assert_eq!(receiver.stats().opened, 1, "{what}: it is the same stream");
            assert_eq!(delivered, numbers.len() as u64, "{what}");
            if delivery == Delivery::Every {
                assert_eq!(numbers, (0..delivered).collect::<Vec<_>>(), "{what}");
                assert_eq!(sender.stats().frames, delivered, "{what}");
            }
        }
    }
}

#[test]
fn a_sender_whose_ipv6_address_changes_goes_on() {
    for delivery in DELIVERIES {
        let Some(hosts) = Hosts::new(&[]) else { return };
        let receiver = hosts.far.on(|| bind("[::]:0"));
        let sender = hosts.near.on(|| Sender::connect(at("[fd87::1]:1", &receiver), config(delivery)).unwrap());
        let change = || {
            hosts.near.run("ip addr add fd87::3/64 dev lan nodad");
            hosts.near.run("ip addr del fd87::2/64 dev lan");
        };
        let (again, numbers, delivered) = survive(&receiver, &sender, delivery, change, "IPv6");
        println!("{}: IPv6: frames again after {again:?}, {:?}", delivery.name(), sender.stats());
        assert_eq!(delivered, numbers.len() as u64);
        if delivery == Delivery::Every {
            assert_eq!(numbers, (0..delivered).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_sender_whose_machine_prefers_another_address_keeps_the_one_that_still_works() {
    let Some(hosts) = Hosts::new(&["nft"]) else { return };
    let receiver = hosts.far.on(|| bind("[::]:0"));
    let to = at("[fd87::1]:1", &receiver);
    let sender = hosts.near.on(|| Sender::connect(to, config(Delivery::Every)).unwrap());
    let mut silence = Duration::ZERO;
    let change = || {
        hosts.near.run("ip addr add fd87::3/64 dev lan nodad");
        hosts.near.run("ip addr change fd87::2/64 dev lan preferred_lft 0");
        // New sockets speak from the new one.
        let preferred =
            hosts.near.on(|| framewire_transport::backend::ConnectedSocket::connect(to).unwrap().local().unwrap());
        assert_eq!(preferred.ip().to_string(), "fd87::3");
        // So long that the sender looks which address to speak from.
        let begun = Instant::now();
        hosts.far.filter_output(Some("meta l4proto udp drop;"));
        pass();
        pass();
        hosts.far.filter_output(None);
        silence = begun.elapsed();
    };
    let (_, numbers, delivered) = survive(&receiver, &sender, Delivery::Every, change, "another address is preferred");
    assert_eq!(numbers, (0..delivered).collect::<Vec<_>>());
    assert_eq!(receiver.stats().moved, 0, "it goes on from the address that it has");
    // A sender that has heard nothing for a second begins anew, from there too, as on a machine that takes so long to let answers pass again: its last question in that
    // second may have been a quarter before its end.
    assert!(silence > Duration::from_millis(750) || sender.stats().restarts == 0, "after {silence:?}");
}

/// Sends frames of three datagrams on the plain wire, each once the one before has been acknowledged; all must arrive.
fn assert_plain(
    receiver: &PlainReceiver,
    sender: &PlainSender,
    acknowledged: &Mutex<mpsc::Receiver<usize>>,
    what: &str,
) {
    std::thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        scope.spawn(move || {
            while let Err(mpsc::TryRecvError::Empty) = is_done.try_recv() {
                if acknowledged.lock().unwrap().recv_timeout(INTERVAL).is_ok() {
                    sender.acknowledge(1);
                }
            }
        });
        for shade in 0..3 {
            let mut frame = sender.frame_timeout(PATIENCE).unwrap();
            frame.fill(shade);
            sender.send(frame).unwrap();
            let frame = receiver.consumer().recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(frame.iter().all(|byte| *byte == shade), "{what}");
        }
        drop(done);
    });
}

#[test]
fn the_plain_wire_hears_a_sender_at_whichever_address_it_asks_and_outlives_a_firewalls_moment() {
    let format = FrameFormat::new(PixelFormat::Gray8, 500, 300).unwrap();
    let to = PlainReceiverConfig::new(format);
    let from = PlainSenderConfig::new(format);
    let bind = |address: &str| {
        let (acknowledge, acknowledged) = mpsc::channel();
        let on_datagram = move |len| _ = acknowledge.send(len);
        (PlainReceiver::bind(address.parse().unwrap(), &to, on_datagram).unwrap(), Mutex::new(acknowledged))
    };
    for (listen, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "127.0.0.2"), ("127.0.0.1:0", "127.0.0.1")] {
        let (receiver, acknowledged) = bind(listen);
        let asked = SocketAddr::new(asked.parse().unwrap(), receiver.local_addr().port());
        let sender = PlainSender::connect(asked, &from).unwrap();
        assert_plain(&receiver, &sender, &acknowledged, listen);
    }
    let Some(hosts) = Hosts::new(&["nft"]) else { return };
    let (receiver, acknowledged) = hosts.far.on(|| bind("0.0.0.0:0"));
    let asked = SocketAddr::new("10.87.0.100".parse().unwrap(), receiver.local_addr().port());
    let sender = hosts.near.on(|| PlainSender::connect(asked, &from).unwrap());
    assert_plain(&receiver, &sender, &acknowledged, "the second address");
    hosts.near.filter_output(Some("meta l4proto udp drop;"));
    // Lost, as datagrams are on this wire; but not the end.
    sender.send(sender.frame_timeout(PATIENCE).unwrap()).unwrap();
    hosts.near.filter_output(None);
    assert_plain(&receiver, &sender, &acknowledged, "after a firewall's moment");
}
