//! A way that becomes longer, over the simulated network: what was measured on the shorter one is forgotten in time.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::wire::Delivery;
use network::{Pair, Rate, Weather};

const CAMERA: Duration = Duration::from_nanos(1_000_000_000 / 60);
const SHORT: Duration = Duration::from_micros(100);
/// Of a [`framewire_transport::SenderConfig`], by default.
const SLOTS: usize = 8;
const LONG: Duration = Duration::from_millis(25);

/// A camera's frames for so long; returns how many arrived of them.
fn film(pair: &mut Pair, time: Duration) -> u64 {
    let (before, until) = (pair.delivered.len(), pair.now + time);
    while pair.now < until {
        pair.capture();
        pair.run_for(CAMERA);
    }
    (pair.delivered.len() - before) as u64
}

#[test]
fn latest_is_at_its_full_rate_again_soon_after_the_way_became_longer() {
    for slice_bytes in [1_472, 65_507] {
        for longer in [Duration::from_millis(5), Duration::from_millis(10), LONG] {
            let weather = Weather { latency: SHORT, ..Weather::FAIR };
            let mut pair = Pair::with_interval(1, Delivery::Latest, 20_000, slice_bytes, CAMERA, weather);
            film(&mut pair, Duration::from_secs(20));
            pair.weather.latency = longer;
            film(&mut pair, Duration::from_secs(15));
            let arrived = film(&mut pair, Duration::from_secs(10));
            assert!(arrived >= 598, "{longer:?}, slices of {slice_bytes}: {arrived} of 600, {:?}", pair.sender.stats());
        }
    }
}

#[test]
fn with_the_default_slots_latest_keeps_sixty_frames_a_second_over_a_round_trip_of_fifty_milliseconds() {
    for slice_bytes in [1_472, 65_507] {
        // Of 60,000 bytes four stay in cache; of 600,000 two.
        for frame_bytes in [60_000, 600_000] {
            let weather = Weather { latency: LONG, ..Weather::FAIR };
            let mut pair = Pair::with_interval(1, Delivery::Latest, frame_bytes, slice_bytes, CAMERA, weather);
            pair.buffer_bytes = 16 << 20;
            pair.set_slots(SLOTS);
            pair.run_for(Duration::from_millis(200));
            let before = pair.sender.next_number();
            for nth in 0..600 {
                assert!(pair.capture(), "frame {nth} of {frame_bytes} bytes found no slot");
                pair.run_for(CAMERA);
            }
            pair.run_for(Duration::from_millis(200));
            let sent = pair.sender.stats();
            assert_eq!(pair.delivered, (before..before + 600).collect::<Vec<_>>(), "{frame_bytes}: {sent:?}");
        }
    }
}

#[test]
fn while_the_way_is_short_a_camera_of_large_frames_lives_in_two_slots() {
    let weather = Weather { latency: SHORT, ..Weather::FAIR };
    let mut pair = Pair::with_interval(1, Delivery::Latest, 600_000, 65_507, CAMERA, weather);
    pair.set_slots(SLOTS);
    for _ in 0..600 {
        assert!(pair.capture());
        pair.run_for(CAMERA);
        assert!(pair.sender.slots_wanted(0) <= 2);
    }
}

#[test]
fn a_way_that_becomes_longer_and_shorter_over_and_over_costs_no_frame_in_every() {
    let weather = Weather { latency: SHORT, lost: 10, ..Weather::FAIR };
    let mut pair = Pair::with_interval(7, Delivery::Every, 50_000, 1_472, CAMERA, weather);
    for nth in 0..12 {
        pair.weather.latency = if nth % 2 == 0 { LONG } else { SHORT };
        let until = pair.now + Duration::from_secs(7);
        while pair.now < until {
            pair.offer_frame();
            pair.run_for(CAMERA);
        }
    }
    let sent = pair.sender.next_number();
    pair.peer.sender.close(pair.peer.now);
    let give_up = pair.now + Duration::from_secs(60);
    while !pair.is_closed() {
        assert!(pair.step(give_up), "{:?}", pair.sender.stats());
    }
    assert_eq!(pair.delivered, (0..sent).collect::<Vec<_>>());
    assert!(sent > 3_000, "{sent}");
    assert_eq!(pair.receiver.as_ref().unwrap().stats().rejected.ahead, 0, "credit was taken back");
}

#[test]
fn on_a_link_that_is_never_idle_the_round_trip_is_still_that_of_an_empty_one() {
    for (delivery, latency) in [
        (Delivery::Latest, SHORT),
        (Delivery::Every, SHORT),
        (Delivery::Latest, Duration::from_millis(5)),
        (Delivery::Every, Duration::from_millis(5)),
    ] {
        for slice_bytes in [1_472, 65_507] {
            // A frame takes 25 ms, half as long again as the camera.
            let rate = Rate { bytes_per_second: 800_000, queue: Duration::from_millis(500) };
            let weather = Weather { rate: Some(rate), latency, ..Weather::FAIR };
            let mut pair = Pair::with_interval(1, delivery, 20_000, slice_bytes, CAMERA, weather);
            for times in 1..=3 {
                film(&mut pair, Duration::from_secs(20));
                let round_trip = pair.sender.round_trip();
                // A ping takes 105 us on this link, an answer behind another one as much.
                assert!(
                    round_trip <= 2 * latency + Duration::from_millis(2),
                    "{delivery:?}, slices of {slice_bytes}, after {times} times 20 s: {round_trip:?}"
                );
            }
        }
    }
}
