//! One publication with many subscribers, each with a network of its own: what one of them suffers is no other's affair. A failure
//! names its seed, which replays exactly. `FRAMEWIRE_SEEDS` sets how many there are in all (2,000 by default).
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::frame::{FrameFormat, FramePool, FrameRate, PixelFormat, Presentation};
use framewire_transport::send::{Publication, SendConfig, make_room, share_of};
use framewire_transport::wire::Delivery;
use framewire_transport::{Time, send};
use network::{Peer, Random, Rate, Weather, picture};

/// 21 small slices, or one large one.
const FRAME_BYTES: usize = 30_000;
const SLOTS: usize = 8;
const INTERVAL: Duration = Duration::from_millis(10);
/// Each network runs so long on its own before the next one has its turn.
const TURN: Duration = Duration::from_micros(250);

fn seeds() -> u64 {
    std::env::var("FRAMEWIRE_SEEDS").map_or(2_000, |seeds| seeds.parse().expect("FRAMEWIRE_SEEDS is a number"))
}

/// A source with its subscribers.
struct Fanout {
    publication: Publication,
    source: FramePool,
    peers: Vec<Peer>,
    delivery: Delivery,
    now: Time,
}

impl Fanout {
    fn new(delivery: Delivery) -> Self {
        let format = FrameFormat::new(PixelFormat::Gray8, FRAME_BYTES as u32, 1).unwrap();
        Self {
            publication: Publication::new(format, delivery),
            source: FramePool::with_spares(SLOTS, send::slots_ready(FRAME_BYTES), FRAME_BYTES).unwrap(),
            peers: Vec::new(),
            delivery,
            now: Time::from_nanos(1_000_000_000),
        }
    }

    /// One more receiver. The others are told that they are not alone.
    fn subscribe(&mut self, seed: u64, slice_bytes: u16, weather: Weather) {
        let format = FrameFormat::new(PixelFormat::Gray8, FRAME_BYTES as u32, 1).unwrap();
        let presentation = Presentation::UNKNOWN.rate(FrameRate::from_interval(INTERVAL));
        let config = SendConfig { presentation, ..SendConfig::new(77, 1, format, self.delivery, slice_bytes) };
        self.peers.push(Peer::new(seed, &self.publication, config, self.now, weather));
        if self.peers.len() > 1 {
            self.peers.iter_mut().for_each(|peer| peer.sender.set_share(share_of(SLOTS, FRAME_BYTES)));
        }
    }

    /// Hands everybody the next frame, if a slot is free for it and all have room.
    fn offer(&mut self) -> bool {
        if self.source.free_count() == 0 {
            let held = self.source.held_count();
            let wanted = self.peers.iter().map(|peer| peer.sender.slots_wanted(held)).max();
            self.source.set_usable(wanted.unwrap_or(0));
        }
        if self.source.free_count() == 0 {
            make_room(self.peers.iter_mut().map(|peer| &mut peer.sender), self.now);
        }
        if !self.peers.iter().all(|peer| peer.sender.has_room()) {
            return false;
        }
        let Some(frame) = picture(&self.source, self.publication.next_number(), self.now) else { return false };
        let published = self.publication.publish(frame).unwrap();
        for peer in &mut self.peers {
            peer.sender.handle_frame(&published, self.now).unwrap();
        }
        true
    }

    /// A camera's frame is due.
    fn capture(&mut self) {
        if !self.offer() && self.publication.skip() {
            self.peers.iter_mut().for_each(|peer| peer.sender.handle_skipped());
        }
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now = until.min(self.now + TURN);
            for peer in &mut self.peers {
                while peer.step(&mut self.publication, self.now) {}
            }
        }
    }

    /// A camera films for so many frames.
    fn film(&mut self, frames: u64) {
        for _ in 0..frames {
            self.capture();
            self.run_for(INTERVAL);
        }
    }

    /// A file is sent, so many frames, as fast as all take it.
    fn read_out(&mut self, frames: u64, who: &dyn Fn() -> String) {
        let end = self.publication.next_number() + frames;
        let give_up = self.now + Duration::from_secs(600);
        while self.publication.next_number() < end {
            while self.publication.next_number() < end && self.offer() {}
            self.run_for(TURN);
            assert!(self.now < give_up, "stalled at frame {}: {}", self.publication.next_number(), who());
        }
    }

    /// Closes the streams of these, and runs until all are closed.
    fn close(&mut self, which: impl Fn(usize) -> bool, who: &dyn Fn() -> String) {
        let now = self.now;
        let is_meant = |(nth, peer)| which(nth).then_some(peer);
        self.peers.iter_mut().enumerate().filter_map(is_meant).for_each(|peer: &mut Peer| peer.sender.close(now));
        let give_up = self.now + Duration::from_secs(600);
        while !self.peers.iter().enumerate().all(|(nth, peer)| !which(nth) || peer.is_closed()) {
            self.run_for(TURN);
            assert!(self.now < give_up, "not closed: {}", who());
        }
    }
}

fn weather(random: &mut Random) -> Weather {
    let rough = [0, 20][random.below(2) as usize];
    Weather {
        lost: [0, 0, 10, 50, 200][random.below(5) as usize],
        burst: [1, 8][random.below(2) as usize],
        doubled: rough,
        cut: rough,
        delayed: rough,
        latency: Duration::from_micros([50, 1_000, 10_000][random.below(3) as usize]),
        rate: [None, Some(Rate { bytes_per_second: 5_000_000, queue: Duration::from_millis(50) })]
            [random.below(2) as usize],
        interrupts: Duration::from_micros([0, 150][random.below(2) as usize]),
        ..Weather::FAIR
    }
}

fn slices(random: &mut Random) -> u16 {
    [1_472, 9_000, 65_507][random.below(3) as usize]
}

#[test]
fn in_every_weather_each_of_many_subscribers_gets_all_frames_or_the_newest_and_the_counters_of_both_ends_add_up() {
    const FRAMES: u64 = 12;
    let (mut late, mut all) = (0, 0);
    for seed in 0..seeds() / 2 {
        let mut random = Random::new(seed);
        for delivery in [Delivery::Every, Delivery::Latest] {
            let mut fanout = Fanout::new(delivery);
            for nth in 0..=random.below(16) {
                let (slices, weather) = (slices(&mut random), weather(&mut random));
                fanout.subscribe(seed * 16 + nth, slices, weather);
            }
            let who = || format!("seed {seed}, {delivery:?}, of {} subscribers", fanout.peers.len());
            let who = who();
            match delivery {
                Delivery::Every => fanout.read_out(FRAMES, &|| who.clone()),
                Delivery::Latest => fanout.film(FRAMES),
            }
            fanout.close(|_| true, &|| who.clone());
            for (nth, peer) in fanout.peers.iter().enumerate() {
                if delivery == Delivery::Every {
                    // One that is silent for a second keeps nobody waiting; it is told what it missed.
                    let stats = peer.sender.stats();
                    let missed = stats.frames_skipped + stats.frames_abandoned;
                    assert_eq!(peer.delivered, (missed..FRAMES).collect::<Vec<_>>(), "{nth} of {who}");
                    late += u64::from(missed > 0);
                    all += 1;
                }
                assert_eq!(peer.sender.next_number(), FRAMES, "{nth} of {who}");
                peer.check_counters(delivery == Delivery::Every && peer.delivered.len() as u64 != FRAMES);
            }
            assert_eq!(fanout.source.held_count(), 0, "{who}");
        }
    }
    assert!(late * 50 <= all, "{late} of {all} subscribers missed frames of a stream that loses none");
}

/// What one bad subscriber does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bad {
    /// There is none.
    Absent,
    /// Its receiver was never there.
    Unreachable,
    /// Its receiver's process stops in the middle.
    Stopped,
    /// Nothing gets through any more.
    CutOff,
    /// Half of the datagrams are lost.
    Losing,
    /// It is far away, over a link that carries a twentieth of the frames.
    Slow,
}

#[test]
fn a_bad_subscriber_takes_nothing_from_the_others() {
    const FRAMES: u64 = 300;
    for delivery in [Delivery::Every, Delivery::Latest] {
        for bad in [Bad::Absent, Bad::Unreachable, Bad::Stopped, Bad::CutOff, Bad::Losing, Bad::Slow] {
            if delivery == Delivery::Every && bad == Bad::Slow {
                // All wait for one that is slow: that is what they asked for.
                continue;
            }
            let who = || format!("{delivery:?}, {bad:?}");
            let mut fanout = Fanout::new(delivery);
            for nth in 0..3 {
                fanout.subscribe(nth, 1_472, Weather::FAIR);
            }
            if bad != Bad::Absent {
                fanout.subscribe(3, 1_472, Weather::FAIR);
            }
            fanout.run_for(Duration::from_millis(100));
            let spoil = |peer: &mut Peer, lost, rate| {
                peer.weather.lost = lost;
                peer.weather.rate = rate;
            };
            for half in 0..2 {
                match (fanout.peers.get_mut(3), bad) {
                    (Some(peer), Bad::Unreachable) => spoil(peer, 1_000, None),
                    (Some(peer), Bad::CutOff) if half == 1 => spoil(peer, 1_000, None),
                    (Some(peer), Bad::Stopped) if half == 1 => peer.stop(),
                    (Some(peer), Bad::Losing) if half == 1 => spoil(peer, 500, None),
                    (Some(peer), Bad::Slow) => {
                        peer.weather.latency = Duration::from_millis(150);
                        spoil(peer, 0, Some(Rate { bytes_per_second: 150_000, queue: Duration::from_secs(1) }));
                    }
                    _ => {}
                }
                match delivery {
                    Delivery::Every => fanout.read_out(FRAMES / 2, &who),
                    Delivery::Latest => fanout.film(FRAMES / 2),
                }
            }
            fanout.close(|nth| nth < 3, &who);
            for peer in &fanout.peers[..3] {
                assert_eq!(peer.delivered.len() as u64, FRAMES, "{}: {:?}", who(), peer.sender.stats());
                peer.check_counters(false);
            }
        }
    }
}

#[test]
fn in_every_those_whose_receivers_come_late_get_what_comes_from_then_on_and_meanwhile_keep_nobody_waiting() {
    let who = || "late receivers".to_owned();
    let mut fanout = Fanout::new(Delivery::Every);
    for nth in 0..3 {
        let lost = if nth == 0 { 0 } else { 1_000 };
        fanout.subscribe(nth, 1_472, Weather { lost, ..Weather::FAIR });
    }
    fanout.read_out(100, &who);
    assert!(fanout.peers[0].delivered.len() > 80);
    fanout.peers.iter_mut().for_each(|peer| peer.weather.lost = 0);
    fanout.run_for(Duration::from_secs(2));
    fanout.read_out(100, &who);
    fanout.close(|_| true, &who);
    for (nth, peer) in fanout.peers.iter().enumerate() {
        let first = peer.delivered[0];
        assert_eq!(peer.delivered, (first..200).collect::<Vec<_>>());
        assert!(if nth == 0 { first == 0 } else { (50..=100).contains(&first) }, "{nth} begins with {first}");
        peer.check_counters(nth > 0);
    }
}

#[test]
fn one_that_comes_later_begins_with_the_next_frame_and_is_not_told_of_what_was_before() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        let who = || format!("{delivery:?}");
        let mut fanout = Fanout::new(delivery);
        fanout.subscribe(1, 1_472, Weather::FAIR);
        fanout.run_for(Duration::from_millis(100));
        fanout.film(20);
        fanout.subscribe(2, 65_507, Weather::FAIR);
        fanout.run_for(Duration::from_millis(100));
        fanout.film(20);
        fanout.close(|_| true, &who);
        for (peer, first) in fanout.peers.iter().zip([0, 20]) {
            assert_eq!(peer.delivered, (first..40).collect::<Vec<_>>(), "{}", who());
            let stats = peer.receiver.as_ref().unwrap().stats();
            assert_eq!((stats.first_frame, stats.frames_passed), (first, 40 - first), "{}", who());
            assert_eq!((peer.sender.stats().frames, peer.sender.stats().frames_delivered), (40 - first, 40 - first));
        }
    }
}
