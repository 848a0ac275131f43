//! A thousand watchers that come and go at once, most of whom are not there: in a program of its own, for what is counted is the process's.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use framewire_testing::wait_until;
use framewire_transport::frame::{FramePool, FrameRing};
use framewire_transport::{
    ConsumerPolicy, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Relay, RelayConfig, RelayStreamConfig, RelayTo,
    SliceSize, Watcher,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const CROWD: u32 = 1_000;
const ROUNDS: usize = 10;
/// As far as batches that are kept are touched one after the other, 34 MB are taken once, after the first crowd too; one that left 8 kB a watcher behind would
/// take more than this.
const BYTES_KEPT_MAX: usize = 64 << 20;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Bytes of memory that are this process's and in use.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn a_thousand_who_come_and_go_leave_nothing_behind_and_one_who_stays_gets_the_stream() {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < 4 * u64::from(CROWD)) {
        framewire_testing::skip(format_args!("this process may have {:?} files open", limit.maximum));
        return;
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let format = FrameFormat::new(PixelFormat::Gray8, 320, 240).unwrap();
    let (ring, pool) = (FrameRing::new(), FramePool::new(16, format.frame_bytes()).unwrap());
    let relay = Relay::start(RelayConfig::new().watchers_max(2 * CROWD as usize)).unwrap();
    let stream = relay.stream(ring.subscribe(ConsumerPolicy::Queue(3)), RelayStreamConfig::new(format)).unwrap();
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::new()).unwrap();
    // Somebody who never answers, and a port that nobody has.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let absent: [SocketAddr; 2] = [silent.local_addr().unwrap(), closed];
    let stays = stream.add(receiver.local_addr(), RelayTo::new(0)).unwrap();
    let mut number = 0;
    let mut film = || {
        if let Some(mut frame) = pool.try_acquire() {
            frame.info.number = number;
            frame.fill(number as u8);
            ring.publish(&frame.freeze());
            number += 1;
        }
    };
    let mut watched = None;
    wait_until("the stream is open", || {
        film();
        watched = receiver.accept_timeout(Duration::from_millis(10)).ok();
        watched.is_some()
    });
    let watched = watched.unwrap();
    let mut before = None;
    for round in 0..ROUNDS {
        let to = |nth: u32| RelayTo::new(nth + 1).slice(SliceSize::Bytes(1_472));
        let crowd: Vec<Watcher> =
            (0..CROWD).map(|nth| stream.add(absent[nth as usize % 2], to(nth)).unwrap()).collect();
        assert_eq!(relay.watchers(), CROWD as usize + 1);
        // While they are there, frames come to the one who takes them.
        let mut came = 0;
        wait_until("frames come", || {
            film();
            if let Ok(frame) = watched.recv_timeout(Duration::from_millis(10)) {
                assert!(frame.iter().all(|byte| *byte == frame.info().number as u8), "frame {}", frame.info().number);
                came += 1;
            }
            came >= 20
        });
        drop(crowd);
        wait_until("they are forgotten", || relay.watchers() == 1);
        let now = (descriptors(), resident_bytes());
        // What a crowd takes once, it takes.
        let (descriptors, bytes) = *before.get_or_insert(now);
        assert_eq!(now.0, descriptors, "round {round}");
        assert!(now.1 < bytes + BYTES_KEPT_MAX, "round {round}: {} bytes, {bytes} after the first", now.1);
    }
    assert!(!stays.has_ended() && stays.stats().frames_delivered > 0);
}
