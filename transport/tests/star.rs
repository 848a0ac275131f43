//! A stream that is sent on to many over a switch, each with a network of its own behind it: everybody gets what his network carries, byte for byte, all else is accounted
//! for, and nobody is waited for. A failure names its seed, which replays exactly. `FRAMEWIRE_SEEDS` sets how many there are (1,000 by default).
#![allow(missing_docs)]

mod network;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use framewire_transport::frame::{Frame, FrameFormat, FramePool, FrameRate, PixelFormat, Presentation};
use framewire_transport::send::{Distribution, SendConfig};
use framewire_transport::wire::Delivery;
use framewire_transport::{Bitrate, Pace, Time};
use network::{Peer, Random, Rate, Switch, Weather};

/// 21 small slices, or one large one.
const FRAME_BYTES: usize = 30_000;
const INTERVAL: Duration = Duration::from_millis(10);
/// Each network runs so long on its own before the next one has its turn.
const TURN: Duration = Duration::from_micros(250);
/// A receiver's default.
const SLOTS: usize = 8;
/// What all subscribers together may hold.
const HELD_MAX: usize = 5;

fn seeds() -> u64 {
    std::env::var("FRAMEWIRE_SEEDS").map_or(1_000, |seeds| seeds.parse().expect("FRAMEWIRE_SEEDS is a number"))
}

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, FRAME_BYTES as u32, 1).unwrap()
}

/// What a relay has of one stream, and whom it sends it to.
struct Star {
    distribution: Distribution,
    peers: Vec<Peer>,
    now: Time,
}

impl Star {
    fn new(first: u64) -> Self {
        Self {
            distribution: Distribution::new(format(), 0, first),
            peers: Vec::new(),
            now: Time::from_nanos(1_000_000_000),
        }
    }

    fn add(
        &mut self,
        seed: u64,
        (slices, delivery): (u16, Delivery),
        weather: Weather,
        switch: Option<&Rc<RefCell<Switch>>>,
    ) {
        let presentation = Presentation::UNKNOWN.rate(FrameRate::from_interval(INTERVAL));
        let config = SendConfig { presentation, ..SendConfig::new(77, 1, format(), delivery, slices) };
        let subscriber = self.distribution.subscribe(config, self.now);
        let mut peer = Peer::of(seed, subscriber, config, self.now, weather);
        peer.port = switch.map(Switch::port);
        peer.has_joined = true;
        self.peers.push(peer);
    }

    /// A frame comes.
    fn take(&mut self, frame: Frame) -> u64 {
        let subscribers = self.peers.iter_mut().map(|peer| (&mut peer.sender, None));
        self.distribution.publish(frame, subscribers, self.now).unwrap()
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now = until.min(self.now + TURN);
            for peer in &mut self.peers {
                while peer.step(self.distribution.publication(), self.now) {}
            }
        }
    }

    fn close(&mut self, which: impl Fn(usize) -> bool, who: &dyn Fn() -> String) {
        let now = self.now;
        for (_, peer) in self.peers.iter_mut().enumerate().filter(|(nth, _)| which(*nth)) {
            peer.sender.close(now);
        }
        let give_up = self.now + Duration::from_secs(600);
        while !self.peers.iter().enumerate().all(|(nth, peer)| !which(nth) || peer.is_closed()) {
            self.run_for(TURN);
            assert!(self.now < give_up, "not closed: {}", who());
        }
    }
}

/// A camera whose frames have numbers, of which some do not come.
struct Camera {
    pool: FramePool,
    next: u64,
}

impl Camera {
    fn new() -> Self {
        Self { pool: FramePool::new(SLOTS, FRAME_BYTES).unwrap(), next: 0 }
    }

    fn film(&mut self, now: Time) -> Frame {
        let number = self.next;
        self.next += 1;
        let mut frame = self.pool.try_acquire().expect("nobody holds more than he may");
        frame.iter_mut().enumerate().for_each(|(at, byte)| *byte = Peer::byte_of(number, at));
        (frame.info.number, frame.info.captured) = (number, now);
        frame.freeze()
    }

    /// Films so many frames for a star, of whom a tenth are lost before they come there where `random` is given.
    fn film_for(
        &mut self,
        star: &mut Star,
        frames: u64,
        mut random: Option<&mut Random>,
        who: &dyn Fn() -> String,
    ) -> u64 {
        let mut missing = 0;
        for _ in 0..frames {
            // The first says where the numbers begin.
            if self.next > 0 && random.as_mut().is_some_and(|random| random.chance(100)) {
                self.next += 1;
            } else {
                missing += star.take(self.film(star.now));
            }
            star.run_for(INTERVAL);
            assert!(self.pool.held_count() <= HELD_MAX, "{} slots are held: {}", self.pool.held_count(), who());
        }
        missing
    }
}

fn weather(random: &mut Random) -> Weather {
    let rough = [0, 20][random.below(2) as usize];
    let slow =
        Rate { bytes_per_second: [1_500_000, 5_000_000][random.below(2) as usize], queue: Duration::from_millis(50) };
    Weather {
        lost: [0, 0, 10, 50, 200][random.below(5) as usize],
        burst: [1, 8][random.below(2) as usize],
        doubled: rough,
        cut: rough,
        delayed: rough,
        latency: Duration::from_micros([50, 1_000, 10_000, 60_000][random.below(4) as usize]),
        rate: [None, Some(slow)][random.below(2) as usize],
        interrupts: Duration::from_micros([0, 150][random.below(2) as usize]),
        ..Weather::FAIR
    }
}

fn asked(random: &mut Random) -> (u16, Delivery) {
    let slices = [1_472, 9_000, 65_507][random.below(3) as usize];
    (slices, [Delivery::Latest, Delivery::Every][random.below(2) as usize])
}

#[test]
fn whatever_the_weather_of_each_all_that_does_not_arrive_is_accounted_for_and_nobody_holds_more_than_he_may() {
    const FRAMES: u64 = 14;
    let (mut delivered, mut all, mut dropped) = (0, 0, 0);
    for seed in 0..seeds() {
        let mut random = Random::new(seed);
        let (mut star, mut camera) = (Star::new(0), Camera::new());
        // From a port as fast as its receivers' to a wide one, with the buffer of a small switch.
        let switch = Switch::new([12_500_000, 125_000_000][random.below(2) as usize], 256 << 10);
        for nth in 0..=random.below(16) {
            let (asked, weather) = (asked(&mut random), weather(&mut random));
            star.add(seed * 16 + nth, asked, weather, Some(&switch));
            if random.chance(200) {
                star.peers.last_mut().unwrap().sender.set_interval_min(INTERVAL * 3);
            }
        }
        let count = star.peers.len();
        let who = || format!("seed {seed} of {count} subscribers");
        let missing = camera.film_for(&mut star, FRAMES, Some(&mut random), &who);
        let numbers = star.distribution.next_number();
        star.close(|_| true, &who);
        for (nth, peer) in star.peers.iter().enumerate() {
            assert_eq!(peer.sender.next_number(), numbers, "{nth} of {}", who());
            assert!(peer.sender.stats().frames_skipped >= missing, "{nth} of {}", who());
            peer.check_counters(false);
            delivered += peer.delivered.len() as u64;
            all += numbers - missing;
        }
        dropped += switch.borrow().dropped;
        assert_eq!(camera.pool.held_count(), 0, "{}", who());
    }
    assert!(delivered * 5 > all, "{delivered} of {all} frames arrived");
    assert!(dropped > 0 || seeds() < 100, "the switch was never full");
}

/// What one bad subscriber does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bad {
    Absent,
    Unreachable,
    Stopped,
    CutOff,
    Losing,
    Slow,
}

#[test]
fn a_bad_subscriber_takes_nothing_from_the_others_and_does_not_make_them_later() {
    const FRAMES: u64 = 300;
    let mut oldest = Duration::ZERO;
    for bad in [Bad::Absent, Bad::Unreachable, Bad::Stopped, Bad::CutOff, Bad::Losing, Bad::Slow] {
        let who = || format!("{bad:?}");
        let (mut star, mut camera) = (Star::new(0), Camera::new());
        for nth in 0..3 {
            star.add(nth, (1_472, [Delivery::Latest, Delivery::Every][nth as usize % 2]), Weather::FAIR, None);
        }
        if bad != Bad::Absent {
            star.add(3, (1_472, Delivery::Every), Weather::FAIR, None);
        }
        star.run_for(Duration::from_millis(100));
        for half in 0..2 {
            if let Some(peer) = star.peers.get_mut(3) {
                match bad {
                    Bad::Unreachable => peer.weather.lost = 1_000,
                    Bad::CutOff if half == 1 => peer.weather.lost = 1_000,
                    Bad::Stopped if half == 1 => peer.stop(),
                    Bad::Losing if half == 1 => peer.weather.lost = 500,
                    Bad::Slow => {
                        peer.weather.latency = Duration::from_millis(150);
                        peer.weather.rate = Some(Rate { bytes_per_second: 150_000, queue: Duration::from_secs(1) });
                    }
                    _ => {}
                }
            }
            camera.film_for(&mut star, FRAMES / 2, None, &who);
        }
        star.close(|nth| nth < 3, &who);
        for peer in &star.peers[..3] {
            assert_eq!(peer.delivered.len() as u64, FRAMES, "{}: {:?}", who(), peer.sender.stats());
            peer.check_counters(false);
            let age = *peer.ages.iter().max().unwrap();
            match bad {
                Bad::Absent => oldest = oldest.max(age),
                _ => assert!(age <= oldest * 21 / 20, "{}: {age:?}, and {oldest:?} without", who()),
            }
        }
    }
}

#[test]
fn links_that_take_longer_for_a_frame_than_three_come_in_are_sent_some_all_the_same_however_many_they_are() {
    const FRAMES: u64 = 600;
    let (mut star, mut camera) = (Star::new(0), Camera::new());
    // A frame takes from 5 to 12 intervals, each at another time than the others'.
    let links = [600_000, 500_000, 400_000, 350_000, 300_000, 250_000];
    for (nth, bytes_per_second) in (0..).zip(links) {
        let rate = Some(Rate { bytes_per_second, queue: Duration::from_millis(150) });
        star.add(nth, (1_472, Delivery::Latest), Weather { rate, ..Weather::FAIR }, None);
    }
    star.run_for(Duration::from_millis(100));
    camera.film_for(&mut star, FRAMES, None, &|| "slow links".into());
    star.close(|_| true, &|| "slow links".into());
    for (peer, bytes_per_second) in star.peers.iter().zip(links) {
        let carries = INTERVAL.as_secs_f64() * FRAMES as f64 * bytes_per_second as f64 / FRAME_BYTES as f64;
        let delivered = peer.delivered.len() as f64;
        assert!(delivered > carries / 5.0, "{delivered} frames over a link that carries {carries}");
        peer.check_counters(false);
    }
}

#[test]
fn whoever_is_granted_so_little_that_frames_take_longer_to_leave_than_three_come_in_is_sent_whole_ones_all_the_same() {
    const FRAMES: u64 = 600;
    let (mut star, mut camera) = (Star::new(0), Camera::new());
    // Each leaves two slices at a time, over 5 to 10 intervals: it is held until its last slice has left, however many newer ones there are.
    let granted = [("5M", 625_000), ("3M", 375_000), ("2500K", 312_500)];
    for (nth, (rate, _)) in (0..).zip(granted) {
        star.add(nth, (1_472, Delivery::Latest), Weather::FAIR, None);
        star.peers[nth as usize]
            .sender
            .set_pace(Pace::new().rate_max(rate.parse::<Bitrate>().unwrap()).burst_bytes(3_000));
    }
    star.run_for(Duration::from_millis(100));
    camera.film_for(&mut star, FRAMES, None, &|| "granted little".into());
    star.close(|_| true, &|| "granted little".into());
    for (peer, (rate, bytes_per_second)) in star.peers.iter().zip(granted) {
        let granted = INTERVAL.as_secs_f64() * FRAMES as f64 * bytes_per_second as f64 / FRAME_BYTES as f64;
        let delivered = peer.delivered.len() as f64;
        assert!(delivered > granted / 5.0, "{delivered} frames at {rate}, which lets {granted} leave");
        peer.check_counters(false);
    }
}

#[test]
fn over_three_hops_frames_keep_their_numbers_and_their_times_move_by_no_more_than_the_way() {
    const FRAMES: u64 = 60;
    let latency = Duration::from_micros(200);
    for seed in 0..seeds() / 20 {
        let who = || format!("seed {seed}");
        let mut random = Random::new(seed);
        let lost = [0, 10][random.below(2) as usize];
        let mut camera = Camera::new();
        // So that no number is what it would be without.
        camera.next = 1_000;
        let mut hops: [Star; 3] = std::array::from_fn(|_| Star::new(1_000));
        for (nth, star) in (0..).zip(&mut hops) {
            star.add(seed * 3 + nth, asked(&mut random), Weather { latency, lost, ..Weather::FAIR }, None);
            star.peers[0].holds = 4;
            star.run_for(Duration::from_millis(20));
        }
        let mut captured = Vec::new();
        let mut passed_on = [0; 3];
        for _ in 0..FRAMES {
            let now = hops[0].now;
            captured.push(now);
            hops[0].take(camera.film(now));
            for _ in 0..INTERVAL.as_micros() / TURN.as_micros() {
                for nth in 0..hops.len() {
                    hops[nth].run_for(TURN);
                    let new: Vec<Frame> = hops[nth].peers[0]
                        .held()
                        .filter(|frame| frame.info().number >= passed_on[nth])
                        .cloned()
                        .collect();
                    for frame in new {
                        passed_on[nth] = frame.info().number + 1;
                        let number = (frame.info().number - 1_000) as usize;
                        if number >= 20 && lost == 0 {
                            // Until then the clocks are compared; with losses that may take longer.
                            let (told, true_time) = (frame.info().captured, captured[number]);
                            let wrong = told.since(true_time).max(true_time.since(told));
                            assert!(wrong <= latency * 2 * (nth as u32 + 1), "hop {nth}: {wrong:?}, {}", who());
                        }
                        if let Some(next) = hops.get_mut(nth + 1) {
                            next.take(frame);
                        }
                    }
                }
            }
        }
        let [first, _, last] = hops.each_ref().map(|star| &star.peers[0].delivered);
        assert!(last.iter().all(|number| first.contains(number) && *number >= 1_000), "{}", who());
        assert!(last.len() as u64 >= FRAMES * 3 / 4, "{} of {FRAMES}, {}", last.len(), who());
    }
}
