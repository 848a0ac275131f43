//! Rings that fail half-way through a train, under the loops that drive them: whatever leaves again is what was sealed, to the byte, and no number seals two texts.

use std::time::{Duration, Instant};

use framewire_testing::PATIENCE;

use super::{
    PathChoice, Receiver, ReceiverConfig, Relay, RelayConfig, RelayStreamConfig, RelayTo, Sender, SenderConfig,
    SliceSize,
};
use crate::backend::uring::failing::{Fault, Ordeal, Seen};
use crate::backend::{BackendConfig, BackendKind, ConnectedSocket, UringBackend};
use crate::crypto::Key;
use crate::frame::{ConsumerPolicy, FrameFormat, FramePool, FrameRing, PixelFormat};
use crate::wire::Delivery;

/// Of 140 small slices, in four trains.
const FRAME_BYTES: u32 = 200_000;
const FRAMES: u64 = 30;

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, FRAME_BYTES, 1).unwrap()
}

fn byte_of(number: u64, at: usize) -> u8 {
    (number as usize * 31 + at * 7 % 251) as u8
}

fn write(number: u64, bytes: &mut [u8]) {
    bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = byte_of(number, at));
}

fn is_right(number: u64, bytes: &[u8]) -> bool {
    bytes.len() == FRAME_BYTES as usize && bytes.iter().enumerate().all(|(at, byte)| *byte == byte_of(number, at))
}

/// Whether there are rings here; else it is said that there are not.
fn are_rings_here() -> bool {
    let socket = ConnectedSocket::connect("127.0.0.1:9".parse().unwrap()).unwrap();
    let refused = UringBackend::new(socket, &BackendConfig::new(64, 1_472)).err();
    if let Some((_, error)) = &refused {
        framewire_testing::skip(error);
    }
    refused.is_none()
}

/// All ways of failing, each with as many rings as there may be: one, so that `mmsg` goes on where another one is needed, or any number.
fn ordeals() -> impl Iterator<Item = (u64, Fault, u32)> {
    (0..).zip(Fault::ALL).flat_map(|(seed, lasting)| [(2 * seed, lasting, 1), (2 * seed + 1, lasting, u32::MAX)])
}

fn receiver(key: &Key) -> Receiver {
    let config = ReceiverConfig::new().keys(vec![key.clone()]).latest_policy(ConsumerPolicy::Queue(6)).slots(16);
    Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap()
}

/// What holds of each; then what has come of all of them together.
#[derive(Default)]
struct Together {
    faults: Vec<Fault>,
    again: u64,
    fell_back: usize,
}

impl Together {
    fn add(&mut self, seen: &Seen, who: &str) {
        assert!(seen.twice.is_empty(), "{who}: sealed twice: {:?}", seen.twice);
        assert!(seen.sealed() > 100, "{who}: only {} datagrams were seen", seen.sealed());
        self.faults.extend(seen.faults.keys());
        self.again += seen.again;
        self.fell_back += usize::from(seen.backends.ends_with(&[BackendKind::Mmsg]));
        assert_eq!(seen.backends[0], BackendKind::Uring, "{who}");
    }

    fn check(&self) {
        for fault in Fault::ALL {
            assert!(self.faults.contains(&fault), "{fault:?} has befallen nobody");
        }
        assert!(self.again > 0, "nothing left again");
        assert!(self.fell_back > 0, "mmsg never took a ring's place");
    }
}

#[test]
fn a_sender_whose_ring_fails_half_way_seals_no_two_texts_under_one_number_and_every_frame_comes() {
    if !are_rings_here() {
        return;
    }
    let mut together = Together::default();
    for (seed, lasting, rings) in ordeals() {
        let slice = if seed % 4 < 2 { SliceSize::Bytes(1_472) } else { SliceSize::Bytes(9_000) };
        let who = format!("{lasting:?} lasts, {rings} rings, {slice:?}");
        let key = Key::random().unwrap();
        let receiver = receiver(&key);
        let ordeal = Ordeal::towards(receiver.local_addr(), seed, lasting, rings);
        let config = SenderConfig::new(format()).delivery(Delivery::Every).path(PathChoice::Udp).linger(Duration::ZERO);
        let config = config.key(key).slice(slice).backend(BackendKind::Uring);
        let sender = Sender::connect(receiver.local_addr(), config).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..FRAMES {
                    let mut frame = sender.frame_timeout(PATIENCE).unwrap().expect("a slot comes free");
                    write(number, &mut frame);
                    sender.send(frame).unwrap();
                }
            });
            let stream = receiver.accept_timeout(PATIENCE).unwrap();
            let mut next = 0;
            while next < FRAMES {
                let frame = stream.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{who}: {error}"));
                let number = frame.info().number;
                assert!(number >= next && is_right(number, &frame), "{who}: frame {number} after {next}");
                next = number + 1;
            }
            assert_eq!(stream.stats().frames_delivered, FRAMES, "{who}");
        });
        together.add(&ordeal.seen(), &who);
    }
    together.check();
}

#[test]
fn a_relay_whose_ring_fails_half_way_seals_no_two_texts_under_one_number_and_frames_come() {
    if !are_rings_here() {
        return;
    }
    let mut together = Together::default();
    for (seed, lasting, rings) in ordeals() {
        let who = format!("{lasting:?} lasts, {rings} rings");
        let key = Key::random().unwrap();
        let receiver = receiver(&key);
        let ordeal = Ordeal::towards(receiver.local_addr(), seed, lasting, rings);
        let relay = Relay::start(RelayConfig::new().backend(BackendKind::Uring)).unwrap();
        let (ring, pool) = (FrameRing::new(), FramePool::new(16, FRAME_BYTES as usize).unwrap());
        let config = RelayStreamConfig::new(format());
        let stream = relay.stream(ring.subscribe(ConsumerPolicy::Queue(3)), config).unwrap();
        let to = RelayTo::new(1).key(key).slice(SliceSize::Bytes(1_472)).delivery(Delivery::Every);
        let _watcher = stream.add(receiver.local_addr(), to).unwrap();
        let (begun, mut number, mut delivered, mut watched) = (Instant::now(), 0, 0, None);
        while delivered < FRAMES {
            assert!(begun.elapsed() < PATIENCE, "{who}: only {delivered} of {number} frames came");
            if let Some(mut frame) = pool.try_acquire() {
                frame.info.number = number;
                write(number, &mut frame);
                ring.publish(&frame.freeze());
                number += 1;
            }
            let wait = Duration::from_millis(10);
            let Some(stream) = &watched else {
                watched = receiver.accept_timeout(wait).ok();
                continue;
            };
            if let Ok(frame) = stream.recv_timeout(wait) {
                let number = frame.info().number;
                assert!(is_right(number, &frame), "{who}: frame {number} is another");
                delivered += 1;
            }
        }
        drop(relay);
        together.add(&ordeal.seen(), &who);
    }
    together.check();
}
