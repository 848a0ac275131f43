//! Readers and hubs are killed and stopped at any moment, over and over: no frame is torn, no slot lost, the others read on.
//!
//! `FRAMEWIRE_CYCLES` says how often, by default 200.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

mod crash;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crash::children::{POLICY, Process};
use crash::parties::{
    Folder, PATIENCE, POLICIES, SLOTS, Seen, Stops, alone, descriptors, publish_on, publisher, read_on, subscribe,
    time_until,
};
use crash::{roles, stamped};
use framewire_transport::{Endpoint, Receiver, ReceiverConfig, ShareConfig};
use rustix::process::Signal;

/// Not a test of its own: what this program does when it is started by one.
#[test]
fn in_another_process() {
    roles::play();
}

fn cycles() -> u64 {
    std::env::var("FRAMEWIRE_CYCLES").ok().and_then(|cycles| cycles.parse().ok()).unwrap_or(200)
}

/// Numbers that look like chance, and are the same in every run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Up to two milliseconds: as long as a few frames.
    fn pause(&mut self) {
        std::thread::sleep(Duration::from_micros(self.below(2_000)));
    }
}

fn reader(folder: &Folder, policy: &str) -> Process {
    let mut reader = Process::start("reader", &folder.socket(), &[(POLICY, policy.to_owned())]);
    reader.wait_for("reading").expect("a reader that reads");
    reader
}

#[test]
fn readers_that_are_killed_and_stopped_at_any_moment_cost_nobody_a_frame_or_a_slot() {
    let _alone = alone();
    let folder = Folder::new("cycles");
    let before = descriptors();
    let (publisher, stream) = publisher(&folder.socket());
    let (stop, seen) = (AtomicBool::new(false), Seen::default());
    let bystander = subscribe(&folder.socket(), "latest");
    let mut chance = Chance(0x5eed);
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        let _stops = Stops([&stop, &seen.stop]);
        scope.spawn(|| publish_on(&stream, &stop));
        scope.spawn(|| read_on(&bystander, &seen));
        let mut readers: Vec<_> = POLICIES.map(|policy| (policy, reader(&folder, policy))).into();
        for _ in 0..cycles() {
            let (policy, victim) = &mut readers[chance.below(3) as usize];
            chance.pause();
            assert!(!victim.has_ended(), "a {policy} reader has ended by itself");
            if chance.below(2) == 0 {
                // Whoever has frames wait for him stops the stream with him, as he was allowed to: not for long.
                victim.signal(Signal::STOP);
                chance.pause();
                if chance.below(2) == 0 {
                    victim.signal(Signal::CONT);
                    continue;
                }
            }
            victim.signal(Signal::KILL);
            assert!(victim.wait_killed());
            let gone = || stream.readers().len() == POLICIES.len();
            slowest = slowest.max(time_until("a dead reader is gone", gone));
            *victim = reader(&folder, policy);
        }
        let frames = seen.frames.load(Ordering::Acquire);
        time_until("the bystander goes on", || seen.frames.load(Ordering::Acquire) > frames + 5);
        drop(readers);
        time_until("dead readers are gone", || stream.readers().len() == 1);
    });
    assert_eq!(seen.torn.load(Ordering::Acquire), 0);
    let figures = stream.readers();
    let own = &figures[0];
    assert_eq!(own.offered, own.taken + own.dropped + own.waiting as u64);
    drop(bystander);
    time_until("the last reader is gone", || stream.readers().is_empty());
    assert!(stream.slots_in_use() <= 1, "more than the newest frame's slot is in use");
    let free: Vec<_> = std::iter::from_fn(|| stream.frame_timeout(Duration::ZERO).unwrap()).collect();
    assert!(free.len() >= SLOTS, "{} of {SLOTS} slots came back", free.len());
    drop(free);
    drop((stream, publisher));
    assert_eq!(descriptors(), before, "descriptors are left");
    println!(
        "{} cycles, {} frames read beside; a dead reader was gone after at most {slowest:?}",
        cycles(),
        seen.frames.load(Ordering::Acquire)
    );
}

#[test]
fn hubs_that_are_killed_at_any_moment_leave_readers_their_frames_and_are_found_again() {
    let _alone = alone();
    let folder = Folder::new("hubs");
    let before = descriptors();
    let mut chance = Chance(0x0dd5);
    let start = || {
        let mut hub = Process::start("hub", &folder.socket(), &[]);
        hub.wait_for("ready").expect("a hub");
        hub
    };
    let mut hub = start();
    let subscriptions = POLICIES.map(|policy| subscribe(&folder.socket(), policy));
    let seen: [Seen; 3] = Default::default();
    let mut slowest = Duration::ZERO;
    std::thread::scope(|scope| {
        let _stops = Stops(seen.each_ref().map(|seen| &seen.stop));
        for (subscription, seen) in subscriptions.iter().zip(&seen) {
            scope.spawn(move || read_on(subscription, seen));
        }
        let frames = || seen.each_ref().map(|seen| seen.frames.load(Ordering::Acquire));
        for _ in 0..cycles().div_ceil(10) {
            chance.pause();
            hub.signal(Signal::KILL);
            assert!(hub.wait_killed());
            let then = frames();
            hub = start();
            let all_go_on = || frames().iter().zip(then).all(|(now, then)| *now > then + 2);
            slowest = slowest.max(time_until("each reader reads on", all_go_on));
        }
    });
    assert!(seen.iter().all(|seen| seen.torn.load(Ordering::Acquire) == 0));
    drop(subscriptions);
    drop(hub);
    assert_eq!(descriptors(), before, "descriptors are left");
    println!("readers read on at most {slowest:?} after a hub was back");
}

#[test]
fn senders_that_are_killed_and_stopped_at_any_moment_leave_whole_frames_and_their_memory() {
    let _alone = alone();
    let folder = Folder::new("senders");
    let before = descriptors();
    let endpoint = Endpoint::path(folder.socket()).unwrap();
    let receiver =
        Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::new().share(ShareConfig::new(endpoint)))
            .unwrap();
    let mut chance = Chance(0x5e4d);
    let mut frames = 0;
    for cycle in 0..cycles().div_ceil(2) {
        let delivery = ["every", "latest"][usize::from(cycle % 2 == 1)];
        let mut sender = Process::start("sender", &folder.socket(), &[(POLICY, delivery.to_owned())]);
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        let looked_at = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut last = None;
                let mut count = 0;
                for frame in stream.frames() {
                    let number = stamped::read(&frame.unwrap()).expect("a whole frame");
                    assert!(last < Some(number), "{number} came after {last:?}");
                    assert!(delivery == "latest" || number == count, "{number} came where {count} was due");
                    last = Some(number);
                    count += 1;
                }
                count
            });
            chance.pause();
            if chance.below(2) == 0 {
                sender.signal(Signal::STOP);
                chance.pause();
            }
            sender.signal(Signal::KILL);
            assert!(sender.wait_killed());
            reading.join().unwrap()
        });
        frames += looked_at;
        let stats = stream.stats();
        assert_eq!((stats.frames_delivered, stats.frames_incomplete), (looked_at + stream.dropped(), 0));
        drop(stream);
        time_until("the memory of a dead sender's stream comes back", || receiver.memory_bytes() == 0);
    }
    drop(receiver);
    assert_eq!(descriptors(), before, "descriptors are left");
    println!("{frames} whole frames of senders that were killed");
}
