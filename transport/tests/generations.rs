//! Keys of slices that change each 16 of them, in every weather, over cuts and restarts, with a man in the middle: what is handed on is what was
//! sent, and no key seals two things under one nonce. It is a program of its own, for all of it is of the whole process.
//!
//! `FRAMEWIRE_SEEDS` says how many weathers there are, 300 by default.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::crypto::{Recording, shorten_generations};
use framewire_transport::send::{Fec, SendState};
use framewire_transport::wire::Delivery;
use network::{Middle, Pair, Weather};

const FRAME_BYTES: usize = 20_000;
const INTERVAL: Duration = Duration::from_millis(250);

#[test]
fn no_key_seals_twice_under_one_nonce_however_often_it_changes_and_frames_arrive_all_the_same() {
    shorten_generations(4);
    let seeds: u64 = std::env::var("FRAMEWIRE_SEEDS").map_or(300, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let recording = Recording::begin();
        let restarts = run(seed);
        if Recording::IS_LIVE {
            let (seals, twice) = recording.seen();
            assert_eq!(twice, 0, "seed {seed}: of {seals} seals");
            // Two of each epoch are for all else.
            let (keys, of_epochs) = (recording.keys() as u64, 3 * (restarts + 1));
            assert!(seals > 300 && keys > of_epochs + 10, "seed {seed}: {keys} keys sealed {seals} times");
        }
    }
}

/// How many epochs there were but the first, at most.
fn run(seed: u64) -> u64 {
    let weathers = [
        Weather::FAIR,
        Weather { lost: 50, burst: 4, doubled: 50, delayed: 100, ..Weather::FAIR },
        // Whole generations are lost at once.
        Weather { lost: 30, burst: 60, ..Weather::FAIR },
        Weather { lost: 10, cut: 20, doubled: 200, delayed: 300, ..Weather::FAIR },
        Weather { latency: Duration::from_millis(20), ..Weather::FAIR },
    ];
    let delivery = if seed.is_multiple_of(2) { Delivery::Latest } else { Delivery::Every };
    let weather = weathers[(seed / 2) as usize % weathers.len()];
    let mut pair = Pair::with_interval(seed, delivery, FRAME_BYTES, 548, INTERVAL, weather);
    if seed.is_multiple_of(3) {
        pair.set_fec(Fec::Percent(30));
    }
    pair.set_protected();
    pair.middle = (seed % 4 == 3).then(|| Middle::new(seed));
    stream(&mut pair, 6);
    let mut begun_anew = 0;
    match seed % 7 {
        3 => {
            let now = pair.now;
            pair.sender.handle_redirect(28, now);
        }
        4 => {
            begun_anew = pair.sender.stats().restarts + 1;
            pair.restart_sender();
        }
        5 => pair.kill_receiver(),
        6 => {
            // Nothing at all passes for a while.
            pair.weather.lost = 1_000;
            pair.run_for(Duration::from_millis(700));
        }
        _ => {}
    }
    pair.weather = weather;
    stream(&mut pair, 6);
    pair.middle = None;
    pair.weather = Weather::FAIR;
    let (before, first) = (pair.delivered.len(), pair.publication.next_number());
    stream(&mut pair, 4);
    let newest = pair.delivered[before..].iter().copied().max();
    assert!(newest.is_some_and(|newest| newest + 1 >= first), "seed {seed}: {:?}", pair.sender);
    assert_eq!(pair.sender.state(), SendState::Open, "seed {seed}");
    begun_anew + pair.sender.stats().restarts
}

/// Frames at their interval; whatever arrives is looked at byte by byte as it comes.
fn stream(pair: &mut Pair, frames: usize) {
    pair.film(frames, INTERVAL);
}
