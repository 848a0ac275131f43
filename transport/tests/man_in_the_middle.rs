//! Protected streams with a man in the middle who drops, doubles, changes, replays, splices, makes up and downgrades what passes him:
//! nothing that he made or kept is handed on, and once he stops, frames arrive again.
//!
//! `FRAMEWIRE_SEEDS` says how many weathers there are, 400 by default.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::send::{Fec, SendState};
use framewire_transport::wire::Delivery;
use network::{Middle, Pair, Weather};

const FRAME_BYTES: usize = 3_000;
/// An opening that was held up by a lie is asked again half a second later, so a third frame finds it open.
const INTERVAL: Duration = Duration::from_millis(250);

fn weather(seed: u64) -> Weather {
    let weathers = [
        Weather::FAIR,
        Weather { lost: 50, burst: 4, doubled: 50, delayed: 100, ..Weather::FAIR },
        Weather { lost: 10, cut: 20, doubled: 200, delayed: 300, ..Weather::FAIR },
        Weather { latency: Duration::from_millis(20), ..Weather::FAIR },
    ];
    weathers[seed as usize % weathers.len()]
}

fn pair(seed: u64) -> Pair {
    let delivery = if seed.is_multiple_of(2) { Delivery::Latest } else { Delivery::Every };
    let mut pair = Pair::with_interval(seed, delivery, FRAME_BYTES, 548, INTERVAL, weather(seed / 2));
    if seed.is_multiple_of(3) {
        pair.set_fec(Fec::Percent(30));
    }
    pair.set_protected();
    pair
}

/// Frames at their interval, and what may happen between them: whatever arrives is looked at byte by byte as it comes.
fn stream(pair: &mut Pair, frames: usize) {
    pair.film(frames, INTERVAL);
}

fn run(seed: u64) -> u64 {
    let mut pair = pair(seed);
    pair.middle = Some(Middle::new(seed));
    stream(&mut pair, 4);
    match seed % 8 {
        // The sender's address changes, its program dies, or the receiver's.
        5 => {
            let now = pair.now;
            pair.sender.handle_redirect(28, now);
        }
        6 => pair.restart_sender(),
        7 => pair.kill_receiver(),
        _ => {}
    }
    stream(&mut pair, 6);
    let done = pair.middle.take().map_or(0, |middle| middle.done);
    pair.weather = Weather::FAIR;
    let (before, first) = (pair.delivered.len(), pair.publication.next_number());
    stream(&mut pair, 3);
    // What was offered while he was there may still come, and says nothing.
    let arrived = &pair.delivered[before..];
    let is_offered_since = |number: &u64| (first..first + 3).contains(number);
    assert!(arrived.iter().any(is_offered_since), "seed {seed}: {arrived:?} after {first}, {:?}", pair.sender);
    assert_eq!(pair.sender.state(), SendState::Open, "seed {seed}");
    done
}

#[test]
fn nothing_forged_or_stale_is_handed_on_and_frames_arrive_again_once_he_stops() {
    let seeds = std::env::var("FRAMEWIRE_SEEDS").map_or(400, |seeds| seeds.parse().unwrap());
    let done: u64 = (0..seeds).map(run).sum();
    assert!(done > seeds, "he did {done} things in {seeds} weathers");
}

#[test]
fn on_a_stream_that_is_not_protected_what_he_made_is_handed_on() {
    let fooled = (0..40).filter(|seed| {
        let unprotected = || {
            let mut pair = Pair::with_interval(*seed, Delivery::Latest, FRAME_BYTES, 548, INTERVAL, Weather::FAIR);
            pair.middle = Some(Middle::new(*seed));
            // Each byte is looked at as it comes.
            stream(&mut pair, 10);
        };
        std::panic::catch_unwind(unprotected).is_err()
    });
    assert!(fooled.count() > 20, "so these tests can fail");
}

#[test]
fn keys_are_renewed_after_an_hour_and_no_frame_is_lost_by_it() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        let mut pair = Pair::with_interval(1, delivery, FRAME_BYTES, 548, INTERVAL, Weather::FAIR);
        pair.set_protected();
        stream(&mut pair, 4);
        assert_eq!(pair.sender.stats().restarts, 0);
        let hour = Duration::from_secs(3_600);
        let until = pair.now + hour;
        // Idle: only pings, for an hour.
        while pair.now < until && pair.step(until) {}
        stream(&mut pair, 8);
        assert_eq!(pair.sender.stats().restarts, 1);
        assert_eq!(pair.delivered, (0..12).collect::<Vec<_>>());
        assert!(pair.now > Time::ZERO + hour);
    }
}
