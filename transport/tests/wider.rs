//! Paths that become wide again: slices grow back, and no frame is lost to it.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::wire::Delivery;
use network::{Pair, Weather};

const CAMERA: Duration = Duration::from_millis(20);
const FRAME_BYTES: usize = 100_000;

fn at_work(pair: &mut Pair, time: Duration, mut done: impl FnMut(&Pair) -> bool) -> Option<Time> {
    let until = pair.now + time;
    while pair.now < until {
        pair.capture();
        pair.run_for(CAMERA);
        if done(pair) {
            return Some(pair.now);
        }
    }
    None
}

/// A stream whose path was narrow for some seconds.
fn narrowed(delivery: Delivery, slice_bytes: u16, narrow: usize, weather: Weather) -> Pair {
    let mut pair = Pair::with_interval(1, delivery, FRAME_BYTES, slice_bytes, CAMERA, weather);
    // As much as small slices of the longer way need.
    pair.buffer_bytes = 8 << 20;
    at_work(&mut pair, Duration::from_secs(1), |_| false);
    pair.weather.datagram_max = narrow;
    at_work(&mut pair, Duration::from_secs(5), |_| false);
    assert!(usize::from(pair.sender.slice_bytes()) <= narrow);
    pair
}

#[test]
fn slices_are_of_full_size_within_a_minute_of_the_paths_being_wide_again_and_no_frame_is_lost() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        for (slice_bytes, narrow, latency) in [
            (65_507, 600, Weather::FAIR.latency),
            (65_507, 1_500, Duration::from_millis(8)),
            (8_972, 1_300, Weather::FAIR.latency),
            (1_472, 1_400, Duration::from_millis(8)),
        ] {
            let context = format!("{delivery:?}, {slice_bytes} after {narrow}, {latency:?}");
            let mut pair = narrowed(delivery, slice_bytes, narrow, Weather { latency, ..Weather::FAIR });
            // Not at the moment when larger ones are tried.
            at_work(&mut pair, Duration::from_secs(17), |_| false);
            pair.weather.datagram_max = usize::MAX;
            pair.run_for(CAMERA);
            let (from, widened, before) = (pair.delivered.len(), pair.now, *pair.sender.stats());
            let grown = at_work(&mut pair, Duration::from_secs(60), |pair| pair.sender.slice_bytes() == slice_bytes);
            assert!(grown.is_some(), "{context}: slices of {}", pair.sender.slice_bytes());
            at_work(&mut pair, Duration::from_secs(2), |_| false);
            pair.run_for(Duration::from_millis(200));
            let (after, taken) = (*pair.sender.stats(), pair.now.since(widened));
            assert_eq!(after.restarts, before.restarts + 1, "{context}: one change, not one a step");
            let delivered = &pair.delivered[from..];
            let in_a_row = delivered.windows(2).filter(|pair| pair[1] == pair[0] + 1).count() + 1;
            // What came in while the stream was opened anew was replaced at the source, over the longer way.
            let replaced = after.frames_skipped - before.frames_skipped;
            assert!(replaced <= if delivery == Delivery::Latest && latency > CAMERA / 10 { 3 } else { 0 }, "{context}");
            assert!(in_a_row as u64 + replaced >= delivered.len() as u64, "{context}: {after:?}");
            assert_eq!(after.frames_abandoned, before.frames_abandoned, "{context}");
            assert!(delivered.len() as u128 >= taken.as_millis() / CAMERA.as_millis() - 15, "{context}");
            let seen = *pair.receiver.as_ref().unwrap().stats();
            assert_eq!(seen.rejected.size, 0, "{context}: {seen:?}");
        }
    }
}

#[test]
fn slices_grow_back_also_where_the_receiver_was_opened_while_the_path_was_narrow() {
    let mut pair = narrowed(Delivery::Latest, 65_507, 1_300, Weather::FAIR);
    pair.kill_receiver();
    at_work(&mut pair, Duration::from_secs(5), |_| false);
    assert_eq!(pair.receiver.as_ref().unwrap().slice_bytes(), 1_232, "it has seen no larger ones");
    pair.weather.datagram_max = usize::MAX;
    let grown = at_work(&mut pair, Duration::from_secs(60), |pair| pair.sender.slice_bytes() == 65_507);
    assert!(grown.is_some(), "{}", pair.sender.slice_bytes());
    let before = pair.delivered.len();
    at_work(&mut pair, Duration::from_secs(2), |_| false);
    assert!(pair.delivered.len() >= before + 99);
}

#[test]
fn slices_grow_back_over_a_path_that_loses() {
    for seed in 0..10 {
        let weather = Weather { lost: 50, doubled: 10, delayed: 10, ..Weather::FAIR };
        let mut pair = narrowed(Delivery::Every, 8_972, 1_300, weather);
        pair.random = network::Random::new(seed);
        pair.weather.datagram_max = usize::MAX;
        // A search that losses ended is made again.
        let grown = at_work(&mut pair, Duration::from_secs(90), |pair| pair.sender.slice_bytes() == 8_972);
        assert!(grown.is_some(), "{}", pair.sender.slice_bytes());
        let sent = pair.sender.next_number();
        pair.peer.sender.close(pair.peer.now);
        let give_up = pair.now + Duration::from_secs(60);
        while !pair.is_closed() {
            assert!(pair.step(give_up), "{:?}", pair.sender.stats());
        }
        assert_eq!(pair.delivered, (0..sent).collect::<Vec<_>>());
    }
}

#[test]
fn a_path_that_is_wide_and_narrow_in_turn_does_not_make_the_slices_flap() {
    let mut pair = Pair::with_interval(1, Delivery::Latest, 20_000, 8_972, Duration::from_millis(100), Weather::FAIR);
    let (until, mut changes) = (pair.now + Duration::from_secs(1_800), Vec::new());
    let mut before = 8_972;
    while pair.now < until {
        // Wide for a search's pings, and narrow again soon after slices have become larger.
        pair.weather.datagram_max = if before == 1_452 { 9_000 } else { 1_500 };
        pair.capture();
        pair.run_for(Duration::from_millis(100));
        if pair.sender.slice_bytes() != before {
            before = pair.sender.slice_bytes();
            changes.push(before);
        }
    }
    // After 30, 60, 120, 240, 480 and 600 s.
    let grown = changes.iter().filter(|size| **size == 8_972).count();
    assert!((5..=6).contains(&grown), "{changes:?}");
}

#[test]
fn a_stream_that_is_as_large_as_it_began_tries_nothing() {
    let mut pair = Pair::with_interval(1, Delivery::Latest, 20_000, 1_472, CAMERA, Weather::FAIR);
    at_work(&mut pair, Duration::from_secs(1), |_| false);
    let of_frames = |pair: &Pair| {
        let stats = pair.sender.stats();
        stats.bytes + stats.slices * pair.sender.cut().head_bytes() as u64
    };
    let (all, before) = (pair.bytes_sent() as u64, of_frames(&pair));
    at_work(&mut pair, Duration::from_secs(120), |_| false);
    let others = pair.bytes_sent() as u64 - all - (of_frames(&pair) - before);
    // A feedback for each slice, at most, and a ping now and then.
    assert!(others < 6_000 * 16 * 100, "{others} bytes");
}
