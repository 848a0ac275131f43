//! Frames that are begun at moments of their own, where something goes wrong.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::send::Pace;
use framewire_transport::wire::Delivery;
use network::{Pair, Weather};

const INTERVAL: Duration = Duration::from_millis(20);

#[test]
fn what_had_to_wait_in_every_is_made_up_for_and_then_frames_are_begun_at_their_moment_again() {
    let latency = Duration::from_micros(100);
    let weather = Weather { latency, ..Weather::FAIR };
    let mut pair = Pair::with_interval(1, Delivery::Every, 100_000, 1_472, INTERVAL, weather);
    pair.run_for(Duration::from_millis(100));
    pair.sender.set_pace(Pace::new().phase(Duration::from_millis(15)));
    let behind = |pair: &Pair| pair.sender.next_number() - pair.delivered.len() as u64;
    let film = |pair: &mut Pair| {
        // A source waits for a slot.
        pair.offer_frame();
        pair.run_for(INTERVAL);
    };
    (0..10).for_each(|_| film(&mut pair));
    let usual = behind(&pair);
    pair.weather.lost = 1_000;
    (0..8).for_each(|_| film(&mut pair));
    assert!(behind(&pair) > usual + 1);
    pair.weather = weather;
    (0..20).for_each(|_| film(&mut pair));
    assert_eq!((behind(&pair), pair.sender.stats().restarts), (usual, 0));
    // A frame that comes at one time of the interval waits as long as before.
    pair.ages.clear();
    (0..10).for_each(|_| film(&mut pair));
    let (least, most) = (*pair.ages.iter().min().unwrap(), *pair.ages.iter().max().unwrap());
    assert!(most - least < INTERVAL / 8 && least > Duration::from_millis(1), "{least:?} to {most:?}");
}
