//! Parity: what is lost is restored without being asked for, and a way that loses nothing carries none.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::send::{Fec, SendStats};
use framewire_transport::wire::Delivery;
use network::{Pair, Weather};

const FRAME_BYTES: usize = 100_000;
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);

fn latest(seed: u64, slice_bytes: u16, fec: Fec, weather: Weather) -> Pair {
    let fair = Weather { latency: weather.latency, ..Weather::FAIR };
    let mut pair = Pair::with_interval(seed, Delivery::Latest, FRAME_BYTES, slice_bytes, INTERVAL, fair);
    pair.set_fec(fec);
    // A frame leaves at once.
    pair.buffer_bytes = 2_000_000;
    pair.run_for(INTERVAL * 2);
    pair.weather = weather;
    pair
}

/// Sends frames as a camera does; returns how many of them arrive.
fn send(pair: &mut Pair, frames: usize) -> usize {
    pair.film(frames, INTERVAL)
}

fn sent(pair: &Pair) -> SendStats {
    *pair.sender.stats()
}

#[test]
fn in_every_all_frames_arrive_byte_for_byte_whatever_the_share_and_the_loss() {
    let mut parity = 0;
    for (seed, lost) in (0..).zip([0, 1, 10, 50, 100, 200]) {
        for burst in [1, 8, 64] {
            for (slice_bytes, percent) in [(1_472, 20), (1_471, 100), (65_507, 30), (548, 1)] {
                let weather = Weather { lost, burst, doubled: 20, cut: 20, delayed: 20, ..Weather::FAIR };
                let mut pair = Pair::with_slices(seed, Delivery::Every, FRAME_BYTES, slice_bytes, weather);
                pair.set_fec(Fec::Percent(percent));
                let give_up = pair.now + Duration::from_secs(600);
                while !pair.is_closed() {
                    while pair.sender.next_number() < 12 && pair.offer_frame() {}
                    if pair.sender.next_number() == 12 {
                        pair.peer.sender.close(pair.peer.now);
                    }
                    assert!(pair.step(give_up), "seed {seed}, {percent} % on {slice_bytes}, {weather:?}");
                }
                assert_eq!(pair.delivered, (0..12).collect::<Vec<_>>());
                parity += sent(&pair).slices_parity;
            }
        }
    }
    // A frame that is complete before its parity has left needs none.
    assert!(parity > 4_000, "{parity}");
}

#[test]
fn a_way_that_loses_nothing_carries_no_parity() {
    for (latency, slice_bytes) in [(50, 1_472), (10_000, 1_472), (10_000, 65_507)] {
        let weather = Weather { latency: Duration::from_micros(latency), ..Weather::FAIR };
        let mut pair = latest(1, slice_bytes, Fec::Auto, weather);
        assert_eq!(send(&mut pair, 300), 300);
        assert_eq!((sent(&pair).slices_parity, sent(&pair).slices_resent), (0, 0));
    }
}

#[test]
fn parity_begins_with_the_loss_and_ends_with_it() {
    let fair = Weather { latency: Duration::from_millis(1), ..Weather::FAIR };
    let mut pair = latest(1, 1_472, Fec::Auto, Weather { lost: 50, ..fair });
    send(&mut pair, 120);
    let during = sent(&pair);
    // 13 % of 71 slices, for most of the frames.
    assert!((700..1_300).contains(&during.slices_parity), "{during:?}");
    pair.weather = fair;
    send(&mut pair, 120);
    let after = sent(&pair).slices_parity;
    send(&mut pair, 60);
    assert_eq!(sent(&pair).slices_parity, after);
}

#[test]
fn where_asking_is_faster_than_restoring_there_is_no_parity() {
    let mut pair = latest(1, 1_472, Fec::Auto, Weather { lost: 50, ..Weather::FAIR });
    assert_eq!(send(&mut pair, 300), 300);
    assert_eq!(sent(&pair).slices_parity, 0);
    // From the capture to the last slice, at 0.1 ms from one end to the other and back.
    pair.ages.sort_unstable();
    let [middle, late] = [150, 297].map(|rank| pair.ages[rank]);
    assert!(middle < Duration::from_millis(1) && late < Duration::from_millis(3), "{middle:?}, {late:?}");
}

#[test]
fn what_parity_restores_is_not_asked_for() {
    let weather = Weather { lost: 50, latency: Duration::from_millis(1), ..Weather::FAIR };
    let resent = |fec| {
        let mut pair = latest(3, 1_472, fec, weather);
        let delivered = send(&mut pair, 500);
        let stats = *pair.receiver.as_ref().unwrap().stats();
        assert!(delivered >= 499, "{fec:?}: {delivered}");
        assert_eq!(stats.frames_restored > 0, fec != Fec::Off, "{stats:?}");
        sent(&pair).slices_resent
    };
    let (without, with) = (resent(Fec::Off), resent(Fec::Percent(20)));
    assert!(with * 20 < without, "{with} with parity, {without} without");
}

#[test]
fn on_a_long_way_parity_is_there_before_the_next_frame_is() {
    // Asking takes 20 of the 33 ms: there is time to ask once.
    let weather = Weather { lost: 50, latency: Duration::from_millis(10), ..Weather::FAIR };
    let age = |fec| {
        let mut pair = latest(5, 1_472, fec, weather);
        send(&mut pair, 120);
        pair.ages.clear();
        let delivered = send(&mut pair, 1_000);
        pair.ages.sort_unstable();
        (delivered, pair.ages[pair.ages.len() * 99 / 100])
    };
    let ((_, asked), (delivered, restored)) = (age(Fec::Off), age(Fec::Auto));
    assert!(delivered >= 995, "{delivered}");
    assert!(asked >= Duration::from_millis(30) && restored <= Duration::from_millis(12), "{asked:?}, {restored:?}");
}

#[test]
fn a_path_that_becomes_narrow_has_parity_of_the_smaller_slices() {
    let weather = Weather { lost: 50, ..Weather::FAIR };
    let mut pair = latest(7, 9_000, Fec::Percent(30), weather);
    send(&mut pair, 30);
    pair.weather.datagram_max = 1_500;
    send(&mut pair, 200);
    let before = *pair.receiver.as_ref().unwrap().stats();
    send(&mut pair, 200);
    let after = *pair.receiver.as_ref().unwrap().stats();
    assert!(pair.sender.slice_bytes() < 1_500);
    assert!(after.frames_restored - before.frames_restored > 150, "{after:?}");
}

#[test]
fn a_frame_of_several_blocks_is_whole_wherever_its_losses_are() {
    // 704 slices in four blocks.
    const BYTES: usize = 1_000_000;
    let mut restored = 0;
    for seed in 0..3 {
        for (delivery, partial) in [(Delivery::Every, false), (Delivery::Latest, false), (Delivery::Latest, true)] {
            let weather = Weather { lost: 60, burst: 1 + seed % 3 * 4, delayed: 20, ..Weather::FAIR };
            let mut pair = Pair::with_interval(seed, delivery, BYTES, 1_472, INTERVAL, weather);
            pair.set_fec(Fec::Percent(15));
            (pair.buffer_bytes, pair.partial) = (20_000_000, partial);
            for _ in 0..20 {
                pair.offer_frame();
                pair.run_for(INTERVAL);
            }
            // Their bytes were checked on arrival.
            assert!(pair.delivered.len() >= 15, "seed {seed}, {delivery:?}: {:?}", sent(&pair));
            restored += pair.receiver.as_ref().unwrap().stats().frames_restored;
        }
    }
    assert!(restored > 50, "{restored}");
}
