//! Paths that are, or become, narrower than the slices: over the simulated network, nothing is lost.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::send::SendState;
use framewire_transport::wire::Delivery;
use network::{Pair, Weather};

const FRAMES: u64 = 30;

fn stream(slice_bytes: u16, seed: u64, weather: Weather) -> Pair {
    Pair::with_slices(seed, Delivery::Every, 100_000, slice_bytes, weather)
}

/// Until `done`, offering frames as fast as the sender takes them.
fn run(pair: &mut Pair, frames: u64, done: impl Fn(&Pair) -> bool) {
    let give_up = pair.now + Duration::from_secs(60);
    while !done(pair) {
        while pair.sender.next_number() < frames && pair.offer_frame() {}
        if pair.sender.next_number() == FRAMES {
            pair.peer.sender.close(pair.peer.now);
        }
        assert!(!pair.sender.is_blocked() && pair.step(give_up), "stalled: {:?}", pair.sender);
    }
}

fn assert_whole(pair: &Pair, context: &str) {
    assert_eq!(pair.delivered, (0..FRAMES).collect::<Vec<_>>(), "{context}");
}

#[test]
fn no_slice_leaves_before_one_of_its_size_is_known_to_arrive() {
    for (datagram_max, fits) in [(9_000, 8_952), (8_951, 1_452), (1_400, 1_372), (1_300, 1_232), (600, 548)] {
        for seed in 0..20 {
            let mut pair = stream(65_507, seed, Weather { datagram_max, ..Weather::FAIR });
            let begun = pair.now;
            run(&mut pair, FRAMES, |pair| pair.is_closed());
            assert_whole(&pair, "opened over a narrow path");
            assert_eq!(pair.sender.slice_bytes(), fits, "{datagram_max}");
            let lowered = [8_952, 1_452, 1_372, 1_232, 548].iter().filter(|size| **size >= fits).count() as u64;
            let stats = pair.sender.stats();
            assert_eq!((stats.slices_resent, stats.restarts), (0, lowered));
            assert_eq!(pair.receiver.as_ref().unwrap().stats().rejected.total(), 0);
            assert!(pair.now.since(begun) < Duration::from_secs(2), "{:?}", pair.now.since(begun));
        }
    }
}

#[test]
fn a_path_that_carries_the_slices_is_asked_once_and_no_frame_waits_for_more_than_a_round_trip() {
    let mut pair = stream(65_507, 1, Weather::FAIR);
    let begun = pair.now;
    run(&mut pair, FRAMES, |pair| pair.sender.state() == SendState::Open);
    // The network has no challenge: opening and acceptance.
    assert_eq!(pair.now.since(begun), 2 * Weather::FAIR.latency);
    run(&mut pair, FRAMES, |pair| pair.is_closed());
    assert_eq!((pair.sender.slice_bytes(), pair.sender.stats().restarts), (65_507, 0));
}

#[test]
fn a_path_that_becomes_narrow_in_the_middle_costs_time_and_no_frame() {
    for lost in [0, 10, 50] {
        for seed in 0..20 {
            let mut pair = stream(8_972, seed, Weather { lost, ..Weather::FAIR });
            run(&mut pair, FRAMES, |pair| pair.delivered.len() > 7);
            let narrowed = pair.now;
            pair.weather.datagram_max = 1_472;
            run(&mut pair, FRAMES, |pair| pair.is_closed());
            assert_whole(&pair, &format!("seed {seed}, {lost} per thousand lost"));
            assert!(pair.sender.slice_bytes() <= 1_452);
            assert!(pair.now.since(narrowed) < Duration::from_secs(5), "{:?}", pair.now.since(narrowed));
        }
    }
}

#[test]
fn latest_goes_on_over_a_path_that_became_narrow() {
    let mut pair = Pair::with_slices(3, Delivery::Latest, 100_000, 8_972, Weather::FAIR);
    let offer = |pair: &mut Pair, frames| {
        for _ in 0..frames {
            pair.sender.drop_replaceable();
            pair.offer_frame();
            pair.run_for(Duration::from_millis(10));
        }
        pair.delivered.len()
    };
    assert_eq!(offer(&mut pair, 20), 20);
    pair.weather.datagram_max = 1_472;
    let before = offer(&mut pair, 150);
    assert!(offer(&mut pair, 20) - before >= 19, "{:?}", pair.sender);
    assert_eq!(pair.sender.slice_bytes(), 1_452);
}

#[test]
fn what_the_system_says_of_the_path_is_taken_at_its_word_and_at_once() {
    let mut pair = stream(8_972, 1, Weather::FAIR);
    run(&mut pair, FRAMES, |pair| pair.delivered.len() > 7);
    pair.weather.datagram_max = 1_472;
    pair.peer.sender.handle_too_large(Some(1_472), pair.peer.now);
    assert_eq!(pair.sender.slice_bytes(), 1_472);
    // Reports of earlier slices come late.
    for _ in 0..10 {
        pair.peer.sender.handle_too_large(Some(1_472), pair.peer.now);
    }
    run(&mut pair, FRAMES, |pair| pair.is_closed());
    assert_whole(&pair, "told by the system");
    assert_eq!((pair.sender.slice_bytes(), pair.sender.stats().restarts), (1_472, 1));
}

#[test]
fn a_receiver_that_was_stopped_for_long_does_not_make_the_slices_small() {
    for seed in 0..20 {
        let mut pair = stream(8_972, seed, Weather::FAIR);
        run(&mut pair, FRAMES, |pair| pair.delivered.len() > 7);
        // Whatever is sent meanwhile waits for it, and it answers all of it in one go.
        pair.stop_receiver_for(Duration::from_millis(100) * (seed as u32 * 3 + 1));
        run(&mut pair, FRAMES, |pair| pair.is_closed());
        assert_whole(&pair, "stopped");
        assert_eq!(pair.sender.slice_bytes(), 8_972, "seed {seed}");
    }
}

#[test]
fn loss_alone_makes_the_slices_smaller_rarely() {
    let mut lowered = 0;
    for seed in 0..200 {
        let mut pair = stream(8_972, seed, Weather { lost: 100, ..Weather::FAIR });
        run(&mut pair, FRAMES, |pair| pair.is_closed());
        assert_whole(&pair, "a tenth lost");
        lowered += usize::from(pair.sender.slice_bytes() < 8_972);
    }
    assert!(lowered <= 3, "{lowered} of 200");
}

#[test]
fn loss_alone_never_ends_a_stream_of_fixed_slices() {
    for seed in 0..200 {
        let mut pair = stream(8_972, seed, Weather { lost: 200, ..Weather::FAIR });
        pair.fix_slices();
        run(&mut pair, FRAMES, |pair| pair.is_closed());
        assert_whole(&pair, "a fifth lost");
    }
}

#[test]
fn a_last_frame_that_was_lost_is_no_reason_to_try_an_idle_path_for_ever() {
    let mut pair = Pair::with_slices(1, Delivery::Latest, 100_000, 8_972, Weather::FAIR);
    pair.offer_frame();
    pair.run_for(Duration::from_millis(100));
    pair.weather.lost = 1_000;
    pair.offer_frame();
    pair.run_for(Duration::from_millis(300));
    pair.weather.lost = 0;
    pair.run_for(Duration::from_secs(5));
    let before = pair.bytes_sent();
    pair.run_for(Duration::from_secs(60));
    // Four bare pings a second, and what answers them.
    assert!(pair.bytes_sent() - before < 60 * 4 * 200, "{}", pair.bytes_sent() - before);
}

#[test]
fn slices_of_a_fixed_size_that_do_not_fit_are_said_to_be_too_large() {
    let mut pair = stream(1_472, 1, Weather { datagram_max: 1_400, ..Weather::FAIR });
    pair.fix_slices();
    let give_up = pair.now + Duration::from_secs(5);
    while !pair.sender.is_blocked() {
        assert!(pair.step(give_up), "not noticed: {:?}", pair.sender);
    }
    assert!(pair.now < Time::ZERO + Duration::from_secs(4), "{:?}", pair.now);
    assert_eq!(pair.sender.slice_bytes(), 1_472);
}
