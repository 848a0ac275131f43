//! Both ends' cores in all weathers: what the two modes promise, over many seeds. A failure names its seed, which replays
//! exactly. `FRAMEWIRE_SEEDS` sets how many there are in all (2,000 by default).
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::wire::Delivery;
use network::{BATCH_MAX, Pair, Rate, Weather};

/// In a thousand.
const LOST: [u64; 6] = [0, 1, 10, 50, 100, 200];
const BURSTS: [u64; 3] = [1, 8, 64];
const ROUND_TRIPS: [Duration; 3] = [Duration::from_micros(100), Duration::from_millis(2), Duration::from_millis(20)];
const SLICES: [u16; 2] = [1_472, 65_507];
/// 71 small slices, or two large ones.
const FRAME_BYTES: usize = 100_000;

/// How long a receiver does other things: what comes meanwhile shares a batch.
const BUSY: [Duration; 3] = [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(12)];

/// How far apart the network cards interrupt: datagrams that come one after the other share batches.
const INTERRUPTS: [Duration; 2] = [Duration::ZERO, Duration::from_micros(150)];

/// With so many seeds in every weather, batches of all kinds are read.
const ENOUGH_FOR_EVERY_BATCH: u64 = 12;

/// With so many seeds in every weather, every fate that a frame can have is one that some had.
const ENOUGH_FOR_EVERY_FATE: u64 = 3;

fn seeds() -> u64 {
    std::env::var("FRAMEWIRE_SEEDS").map_or(2_000, |seeds| seeds.parse().expect("FRAMEWIRE_SEEDS is a number"))
}

/// Every combination.
fn weathers() -> Vec<(u16, Weather)> {
    let mut all = Vec::new();
    for lost in LOST {
        for burst in BURSTS {
            for round_trip in ROUND_TRIPS {
                for slice_bytes in SLICES {
                    let weather = Weather { lost, burst, latency: round_trip / 2, ..Weather::FAIR };
                    all.push((slice_bytes, weather));
                }
            }
        }
    }
    all
}

#[test]
fn every_frame_arrives_byte_for_byte_in_every_weather() {
    const FRAMES: u64 = 6;
    let weathers = weathers();
    let seeds = seeds().div_ceil(weathers.len() as u64);
    let mut batches = [0; BATCH_MAX + 1];
    for (slice_bytes, weather) in weathers {
        for seed in 0..seeds {
            // Half of the seeds have what else a network does.
            let rough = if seed % 2 == 0 { 0 } else { 20 };
            let interrupts = INTERRUPTS[(seed / 6 % 2) as usize];
            let weather = Weather { doubled: rough, cut: rough, delayed: rough, interrupts, ..weather };
            let mut pair = Pair::with_slices(seed, Delivery::Every, FRAME_BYTES, slice_bytes, weather);
            if seed / 4 % 2 == 1 {
                pair.set_protected();
            }
            if seed / 8 % 2 == 1 {
                pair.set_varied();
            }
            pair.busy = BUSY[(seed / 2 % 3) as usize];
            let give_up = pair.now + Duration::from_secs(600);
            while !pair.is_closed() {
                while pair.sender.next_number() < FRAMES && pair.offer_frame() {}
                if pair.sender.next_number() == FRAMES {
                    pair.peer.sender.close(pair.peer.now);
                }
                assert!(pair.step(give_up), "seed {seed}, slices of {slice_bytes}, {weather:?}: {:?}", pair.sender);
            }
            assert_eq!(
                pair.delivered,
                (0..FRAMES).collect::<Vec<_>>(),
                "seed {seed}, slices of {slice_bytes}, {weather:?}"
            );
            batches.iter_mut().zip(pair.batches.read).for_each(|(all, one)| *all += one);
        }
    }
    println!("batches by their size: {batches:?}");
    let kinds = [1..=1, 2..=8, 9..=16, 17..=32, 33..=BATCH_MAX - 1, BATCH_MAX..=BATCH_MAX];
    assert!(
        seeds < ENOUGH_FOR_EVERY_BATCH || kinds.into_iter().all(|sizes| batches[sizes].iter().sum::<u64>() > 0),
        "no batch of some size was read: {batches:?}"
    );
}

/// What befalls a stream in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The sender begins a new epoch.
    Epoch,
    /// Nothing travels for so long that it does so by itself.
    Outage,
    /// Another process has the sender's place.
    SenderDies,
    /// Another process has the receiver's place.
    ReceiverDies,
}

/// By turns; most often the first.
const TROUBLES: [Trouble; 6] =
    [Trouble::None, Trouble::Epoch, Trouble::Outage, Trouble::SenderDies, Trouble::ReceiverDies, Trouble::Epoch];

fn befall(pair: &mut Pair, trouble: Trouble) {
    match trouble {
        Trouble::None => {}
        // To the same address: IPv4 and UDP take 28 bytes.
        Trouble::Epoch => pair.peer.sender.handle_redirect(28, pair.peer.now),
        Trouble::Outage => {
            let weather = pair.weather;
            pair.weather.lost = 1_000;
            pair.run_for(Duration::from_millis(1_300));
            pair.weather = weather;
        }
        Trouble::SenderDies => pair.restart_sender(),
        Trouble::ReceiverDies => pair.kill_receiver(),
    }
}

/// Sends some frames, has a trouble befall the stream, sends more and closes; then both ends' counters are held against each other.
fn stream_with(pair: &mut Pair, delivery: Delivery, trouble: Trouble) {
    const FRAMES: u64 = 9;
    let give_up = pair.now + Duration::from_secs(600);
    for half in 0..2 {
        if half == 1 {
            befall(pair, trouble);
        }
        let end = pair.sender.next_number() + FRAMES;
        while pair.sender.next_number() < end {
            match delivery {
                Delivery::Every => {
                    while pair.sender.next_number() < end && pair.offer_frame() {}
                    assert!(pair.step(give_up), "stalled: {:?}", pair.sender);
                }
                Delivery::Latest => {
                    pair.sender.drop_replaceable();
                    if !pair.offer_frame() {
                        pair.skip();
                    }
                    let pause = pair.random.below(15_000);
                    pair.run_for(Duration::from_micros(pause));
                }
            }
        }
    }
    pair.peer.sender.close(pair.peer.now);
    while !pair.is_closed() {
        assert!(pair.step(give_up), "stalled: {:?}", pair.sender);
    }
    pair.check_counters(trouble == Trouble::ReceiverDies);
}

#[test]
fn the_counters_of_both_ends_add_up_in_every_weather_and_over_restarts_of_either_end() {
    let weathers = weathers();
    let seeds = seeds().div_ceil(weathers.len() as u64);
    let mut fates = [0; 6];
    for (slice_bytes, weather) in weathers {
        for seed in 0..seeds {
            for delivery in [Delivery::Every, Delivery::Latest] {
                let rough = if seed % 2 == 0 { 0 } else { 20 };
                let interrupts = INTERRUPTS[(seed / 2 % 2) as usize];
                let weather = Weather { doubled: rough, cut: rough, delayed: 3 * rough, interrupts, ..weather };
                let mut pair = Pair::with_slices(seed, delivery, FRAME_BYTES / 4, slice_bytes, weather);
                if seed / 4 % 2 == 1 {
                    pair.set_protected();
                }
                if seed / 8 % 2 == 1 {
                    pair.set_varied();
                }
                pair.busy = BUSY[pair.random.below(3) as usize];
                // With so small a buffer a frame takes some round trips, and what befalls it finds it half sent.
                pair.buffer_bytes = [400_000, 12_000][pair.random.below(2) as usize];
                // Consumers that hold every slot there is would stall `every`.
                pair.holds = pair.random.below(if delivery == Delivery::Latest { 7 } else { 3 }) as usize;
                let trouble = TROUBLES[pair.random.below(TROUBLES.len() as u64) as usize];
                let what = format!("seed {seed}, {delivery:?}, {trouble:?}, slices of {slice_bytes}, {weather:?}");
                let run = std::panic::AssertUnwindSafe(|| stream_with(&mut pair, delivery, trouble));
                if let Err(panic) = std::panic::catch_unwind(run) {
                    println!("{what}");
                    std::panic::resume_unwind(panic);
                }
                let (sent, seen) = (*pair.sender.stats(), *pair.receiver.as_ref().unwrap().stats());
                for (all, one) in fates.iter_mut().zip([
                    seen.frames_delivered,
                    seen.frames_incomplete,
                    seen.frames_no_slot,
                    seen.frames_unseen(),
                    sent.frames_skipped,
                    sent.frames_abandoned,
                ]) {
                    *all += one;
                }
            }
        }
    }
    println!("delivered, incomplete, no slot, unseen, skipped, abandoned: {fates:?}");
    // Of few seeds, some fates are rare.
    let enough = seeds >= ENOUGH_FOR_EVERY_FATE;
    assert!(!enough || fates.iter().all(|fate| *fate > 0), "a fate that no frame had was not tested: {fates:?}");
}

/// Frames of ten thousand that arrive in `latest`, at 30 frames a second.
fn delivered_of_ten_thousand(slice_bytes: u16, weather: Weather, frames: u64) -> f64 {
    const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);
    const A_RUN: u64 = 500;
    let mut delivered = 0;
    for seed in 0..frames / A_RUN {
        let fair = Weather { latency: weather.latency, ..Weather::FAIR };
        let mut pair = Pair::with_interval(seed, Delivery::Latest, FRAME_BYTES, slice_bytes, INTERVAL, fair);
        pair.run_for(INTERVAL);
        pair.weather = weather;
        for _ in 0..A_RUN {
            if !pair.offer_frame() {
                pair.skip();
            }
            pair.run_for(INTERVAL);
        }
        pair.weather = fair;
        pair.run_for(2 * INTERVAL);
        delivered += pair.delivered.len() as u64;
        assert!(pair.delivered.is_sorted_by(|one, next| one < next), "seed {seed}");
    }
    delivered as f64 / frames as f64 * 10_000.0
}

#[test]
fn latest_delivers_nearly_all_within_an_interval() {
    // Enough to tell one frame in so many; ten times that for a whole run.
    let times = if seeds() >= 100_000 { 10 } else { 1 };
    for (lost, burst, least, frames) in [(10, 1, 9_999.0, 10_000), (50, 1, 9_990.0, 4_000), (100, 8, 9_950.0, 4_000)] {
        for round_trip in &ROUND_TRIPS[..2] {
            for slice_bytes in SLICES {
                let weather = Weather { lost, burst, latency: *round_trip / 2, ..Weather::FAIR };
                let delivered = delivered_of_ten_thousand(slice_bytes, weather, times * frames);
                println!(
                    "{lost} in 1000 lost, bursts of {burst}, {round_trip:?}, slices of {slice_bytes}: {delivered:.1}"
                );
                assert!(delivered >= least, "slices of {slice_bytes}, {weather:?}: {delivered} of 10,000, not {least}");
            }
        }
    }
}

#[test]
fn on_a_link_slower_than_the_camera_latest_lowers_the_frame_rate_and_not_the_freshness() {
    const CAMERA: Duration = Duration::from_nanos(1_000_000_000 / 60);
    for slice_bytes in SLICES {
        // The link carries a frame in 25 ms, so it carries 40 of the camera's 60 frames a second.
        let on_the_link = Duration::from_millis(25);
        let rate = Rate { bytes_per_second: 4_000_000, queue: Duration::from_millis(50) };
        let weather = Weather { rate: Some(rate), latency: Duration::from_micros(100), ..Weather::FAIR };
        let mut pair = Pair::with_interval(1, Delivery::Latest, FRAME_BYTES, slice_bytes, CAMERA, weather);
        for _ in 0..1_200 {
            if !pair.offer_frame() {
                pair.sender.drop_replaceable();
                assert!(pair.offer_frame(), "slices of {slice_bytes}: no frame could be replaced");
            }
            pair.run_for(CAMERA);
        }
        // What is on its way arrives.
        pair.run_for(Duration::from_millis(200));
        let (sent, seen) = (*pair.sender.stats(), *pair.receiver.as_ref().unwrap().stats());
        let carried = sent.bytes + sent.slices * pair.sender.cut().head_bytes() as u64;
        assert!(carried >= 20 * rate.bytes_per_second * 9 / 10, "slices of {slice_bytes}: {seen:?} {sent:?}");
        assert_eq!(pair.delivered.len() as u64, sent.frames_sent, "slices of {slice_bytes}: {seen:?} {sent:?}");
        assert_eq!((seen.frames_incomplete, sent.slices_resent), (0, 0), "slices of {slice_bytes}: {seen:?} {sent:?}");
        assert_eq!((pair.sender.slice_bytes(), sent.restarts), (slice_bytes, 0));
        // A camera's interval of waiting and a moment at most, the frame itself, and of the one before it the part that may be
        // queued: of two large slices, one.
        let age = *pair.ages.iter().max().unwrap();
        assert!(
            age <= CAMERA + on_the_link * if slice_bytes == 1_472 { 5 } else { 7 } / 4,
            "slices of {slice_bytes}: {age:?}"
        );
    }
}

#[test]
fn on_a_fast_link_with_a_long_way_latest_delivers_every_frame_of_the_camera() {
    const CAMERA: Duration = Duration::from_nanos(1_000_000_000 / 60);
    for slice_bytes in SLICES {
        let weather = Weather { latency: Duration::from_millis(25), ..Weather::FAIR };
        let mut pair = Pair::with_interval(1, Delivery::Latest, 20_000, slice_bytes, CAMERA, weather);
        pair.run_for(Duration::from_millis(200));
        let mut offered = 0;
        for _ in 0..600 {
            offered += u64::from(pair.offer_frame());
            pair.run_for(CAMERA);
        }
        pair.run_for(Duration::from_millis(200));
        let sent = *pair.sender.stats();
        // Four slots hold as many frames as are on their way in one round trip, and not more.
        assert!(offered >= 590, "slices of {slice_bytes}: {offered}, {sent:?}");
        assert_eq!(
            (pair.delivered.len() as u64, sent.frames_skipped),
            (offered, 0),
            "slices of {slice_bytes}: {sent:?}"
        );
    }
}

#[test]
fn a_slow_link_is_not_filled_with_questions() {
    for delivery in [Delivery::Latest, Delivery::Every] {
        // A frame takes 80 ms.
        let rate = Rate { bytes_per_second: 1_250_000, queue: Duration::from_millis(200) };
        let weather = Weather { rate: Some(rate), lost: 10, latency: Duration::from_micros(100), ..Weather::FAIR };
        let interval = Duration::from_millis(16);
        let mut pair = Pair::with_interval(1, delivery, FRAME_BYTES, 1_472, interval, weather);
        for _ in 0..1_000 {
            pair.sender.drop_replaceable();
            pair.offer_frame();
            pair.run_for(interval);
        }
        let (sent, seen) = (*pair.sender.stats(), *pair.receiver.as_ref().unwrap().stats());
        let others = pair.datagrams_sent() - sent.slices;
        assert!(others < 2 * sent.slices, "{delivery:?}: {others} beside {sent:?} {seen:?}");
        assert!(pair.delivered.len() >= 150, "{delivery:?}: {sent:?} {seen:?}");
    }
}
