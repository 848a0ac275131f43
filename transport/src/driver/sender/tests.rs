//! From one way to the next: what a program sends, skips and wishes meanwhile, and hubs that answer late or not at all.

use std::fs;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Instant;

use framewire_testing::PATIENCE;
use rustix::event::{PollFd, PollFlags};

use super::udp::UdpWay;
use super::way::Way;
use super::*;
use crate::frame::PixelFormat;
use crate::share::Endpoint;
use crate::share::messages::{FromHub, PACKET_MAX, Packet, ToHub};
use crate::share::socket::listening::{Listening, Place};
use crate::share::socket::packet::{self, PacketError};
use crate::wire::Delivery;
use crate::{Receiver, ReceiverConfig};

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap()
}

fn frame(pool: &FramePool) -> Frame {
    let mut frame = pool.try_acquire().unwrap();
    frame.set_len(format().frame_bytes()).unwrap();
    frame.freeze()
}

/// A place for a hub, at which the test itself listens.
struct Door {
    listening: Listening,
    endpoint: Endpoint,
    folder: PathBuf,
}

impl Door {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("framewire-ways-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("hub.sock");
        let listening = Listening::bind(Place { path: &path, is_default: false, group: None }).unwrap();
        Self { listening, endpoint: Endpoint::path(&path).unwrap(), folder }
    }

    /// The next sender that comes, whose first message has been read.
    fn entering(&self) -> (OwnedFd, crate::share::hub::Entering) {
        let begun = Instant::now();
        let mut socket = None;
        let mut buffer = [0; PACKET_MAX];
        loop {
            assert!(begun.elapsed() < PATIENCE, "nobody comes");
            std::thread::yield_now();
            let Some(connected) = &socket else {
                socket = self.listening.accept().unwrap();
                continue;
            };
            match packet::receive(connected, &mut buffer) {
                Ok(received) => {
                    let Ok(ToHub::Enter { open, nonce, network }) = ToHub::parse(&buffer[..received.len]) else {
                        panic!("something else was said")
                    };
                    let copy = connected.try_clone().unwrap();
                    let peer = crate::share::socket::peer::Peer::of(connected).unwrap().unwrap();
                    let socket = socket.unwrap();
                    return (copy, crate::share::hub::Entering { socket, peer, open, nonce, network });
                }
                Err(PacketError::WouldBlock) => {}
                Err(_) => socket = None,
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_hub_that_does_nothing_leaves_the_attempt_by_datagrams_as_it_is() {
    // It is connected to, as is one whose process is stopped.
    let door = Door::new("nothing");
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    let config = SenderConfig::new(format()).share(door.endpoint.clone()).linger(Duration::ZERO);
    let sender = Sender::connect(receiver.local_addr().unwrap(), config).unwrap();
    let mut bytes = [0; 2048];
    let mut heard = || receiver.recv_from(&mut bytes).unwrap().1;
    let first = heard();
    // The same socket asks on, while the hub is asked again and again.
    assert!((0..6).all(|_| heard() == first));
    assert_eq!(sender.path(), PathKind::Udp);
    assert!(sender.path_trouble().unwrap().contains("has not answered"));
}

#[test]
fn a_sender_is_dropped_at_once_while_a_hub_makes_its_slots() {
    let door = Door::new("preparing");
    let config = SenderConfig::new(format()).path(PathChoice::Shm).share(door.endpoint.clone());
    let sender = Sender::connect("127.0.0.1:9".parse().unwrap(), config.linger(Duration::ZERO)).unwrap();
    let (socket, _entering) = door.entering();
    packet::send(&socket, Packet::from(&FromHub::Preparing).bytes(), &[]).unwrap();
    let dropping = std::thread::spawn(move || drop(sender));
    // Long before a hub would have made them.
    let mut descriptors = [PollFd::new(&socket, PollFlags::IN)];
    crate::share::inlet::source::poll(&mut descriptors, Duration::from_secs(5)).unwrap();
    assert!(!descriptors[0].revents().is_empty());
    dropping.join().unwrap();
}

#[test]
fn what_is_sent_and_skipped_while_a_way_is_entered_is_accounted_for_at_both_ends_and_no_number_comes_twice() {
    let door = Door::new("between");
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::new().slots(4)).unwrap();
    let config = SenderConfig::new(format()).path(PathChoice::Shm).share(door.endpoint.clone());
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    let pool = FramePool::for_format(8, format()).unwrap();
    // A first one, before anybody is asked for a second time.
    let (_socket, entering) = door.entering();
    assert_eq!(sender.send_shared(frame(&pool)).unwrap(), 0);
    sender.skip();
    assert_eq!(sender.send_shared(frame(&pool)).unwrap(), 2);
    sender.skip();
    let stats = sender.stats();
    assert_eq!((stats.frames, stats.frames_skipped, stats.frames_sent), (4, 3, 0));
    crate::driver::inlet::enter(receiver.shared(), entering);
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    assert_eq!(stream.recv_timeout(PATIENCE).unwrap().info().number, 2);
    sender.wait_until_open(PATIENCE).unwrap();
    assert_eq!(sender.send_shared(frame(&pool)).unwrap(), 4);
    assert_eq!(stream.recv_timeout(PATIENCE).unwrap().info().number, 4);
    sender.skip();
    let report = sender.close(PATIENCE).unwrap();
    let stats = sender.stats();
    assert_eq!((stats.frames, stats.frames_sent, stats.frames_skipped, report.delivered), (6, 2, 4, 2));
    let there = stream.stats();
    assert_eq!((there.frames_passed + there.first_frame, there.frames_delivered), (6, 2));
}

#[test]
fn a_receiver_that_moves_between_two_ways_is_followed() {
    let [former, later] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    later.set_read_timeout(Some(PATIENCE)).unwrap();
    let (from, to) = (former.local_addr().unwrap(), later.local_addr().unwrap());
    let ways = Arc::new(Ways::new(from, SenderConfig::new(format()), 1).unwrap());
    let (way, peer) = keeper::by_datagrams(&ways).unwrap();
    ways.lock().peer = to;
    ways.go_on_with(way, peer);
    later.recv_from(&mut [0; 2048]).unwrap();
    ways.stop();
}

#[test]
fn a_stream_that_is_sent_to_another_receiver_does_not_go_back_to_the_former_ones_hub() {
    let door = Door::new("former");
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::new()).unwrap();
    let other = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::new()).unwrap();
    let config = SenderConfig::new(format()).delivery(Delivery::Every).share(door.endpoint.clone());
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    crate::driver::inlet::enter(receiver.shared(), door.entering().1);
    sender.wait_until_open(PATIENCE).unwrap();
    assert_eq!(sender.path(), PathKind::Shm);
    sender.redirect(other.local_addr());
    let stream = other.accept_timeout(PATIENCE).unwrap();
    assert_eq!(stream.info().path, PathKind::Udp);
}

/// Sees that something ends.
fn ends<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (told, tells) = mpsc::channel();
    std::thread::spawn(move || told.send(what()));
    tells.recv_timeout(PATIENCE).expect("it never ends")
}

fn unanswered(delivery: Delivery) -> (UdpSocket, Arc<UdpWay>) {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = SenderConfig::new(format()).delivery(delivery);
    let way = UdpWay::start(nobody.local_addr().unwrap(), &config, None, (1, 0, 7), || {}).unwrap();
    (nobody, Arc::new(way))
}

#[test]
fn a_way_that_has_given_back_what_it_had_can_be_asked_again_and_ended() {
    let (_nobody, way) = unanswered(Delivery::Every);
    let pool = FramePool::for_format(2, format()).unwrap();
    assert_eq!(way.send_shared(frame(&pool)).unwrap(), 0);
    assert_eq!(way.pause(), Some(0));
    // Taken as ever.
    assert_eq!(way.send_shared(frame(&pool)).unwrap(), 1);
    let carried = way.retire().unwrap();
    assert_eq!((carried.frames.len(), carried.next_number, carried.epoch), (2, 2, Some(7)));
    let again = way.clone();
    assert!(ends(move || again.retire().is_none()));
    ends(move || drop(way));
}

#[test]
fn whoever_waits_for_a_way_to_take_a_frame_returns_when_it_is_stopped() {
    let (_nobody, way) = unanswered(Delivery::Every);
    let pool = FramePool::for_format(1, format()).unwrap();
    let one = frame(&pool);
    // As many as it takes, all of the same memory.
    (0..64).for_each(|number| assert_eq!(way.send_shared(one.clone()).unwrap(), number));
    let waiting = way.clone();
    let (began, begins) = mpsc::channel();
    let sending = std::thread::spawn(move || {
        began.send(()).unwrap();
        waiting.send_shared(one).is_err()
    });
    begins.recv_timeout(PATIENCE).unwrap();
    way.stop();
    assert!(ends(move || sending.join().unwrap()));
}
