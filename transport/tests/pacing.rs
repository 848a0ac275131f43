//! A sender that keeps to a rate, on networks that lose: nothing is lost to it, and the rate is kept.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::send::{Fec, LinkBudget, Pace};
use framewire_transport::wire::Delivery;
use network::{Pair, Rate, Weather};

const FRAME_BYTES: usize = 100_000;
const INTERVAL: Duration = Duration::from_millis(20);

#[test]
fn in_every_all_frames_arrive_within_the_rate_whatever_is_lost() {
    for (seed, lost) in (0..).zip([0, 10, 50, 200]) {
        for (fec, slice_bytes) in
            [(Fec::Off, 1_472), (Fec::Percent(20), 1_472), (Fec::Off, 65_507), (Fec::Percent(50), 548)]
        {
            let weather = Weather { lost, delayed: 20, doubled: 20, ..Weather::FAIR };
            let mut pair = Pair::with_interval(seed, Delivery::Every, FRAME_BYTES, slice_bytes, INTERVAL, weather);
            pair.set_fec(fec);
            // A frame takes 8 ms, with all that belongs to it about 10.
            pair.set_link(LinkBudget::new("100M".parse().unwrap()));
            let begun = pair.now;
            let give_up = begun + Duration::from_secs(600);
            while !pair.is_closed() {
                while pair.sender.next_number() < 30 && pair.offer_frame() {}
                if pair.sender.next_number() == 30 {
                    pair.peer.sender.close(pair.peer.now);
                }
                assert!(pair.step(give_up), "{fec:?}, {slice_bytes}, {weather:?}: {:?}", pair.sender.stats());
            }
            assert_eq!(pair.delivered, (0..30).collect::<Vec<_>>());
            let bits = pair.sender.stats().bytes * 8;
            let rate = bits as f64 / pair.now.since(begun).as_secs_f64();
            assert!(rate < 101e6, "{fec:?}, {slice_bytes}, {weather:?}: {rate}");
            assert!(lost > 0 || rate > 40e6, "{fec:?}, {slice_bytes}, {weather:?}: {rate}");
        }
    }
}

#[test]
fn a_rate_that_is_granted_while_a_stream_runs_is_kept_from_then_on_and_taken_back_again() {
    for (seed, lost) in (0..).zip([0, 20]) {
        let weather = Weather { lost, ..Weather::FAIR };
        let mut pair = Pair::with_interval(seed, Delivery::Latest, FRAME_BYTES, 1_472, INTERVAL, weather);
        let film = |pair: &mut Pair, pace: Pace| {
            pair.sender.set_pace(pace);
            let before = pair.bytes_sent();
            for _ in 0..250 {
                pair.sender.drop_replaceable();
                pair.offer_frame();
                pair.run_for(INTERVAL);
            }
            // Of both ways; what comes back is little.
            (pair.bytes_sent() - before) as f64 * 8.0 / (250.0 * INTERVAL.as_secs_f64())
        };
        // A camera's 40 Mbit/s and what belongs to them.
        let free = film(&mut pair, Pace::new());
        assert!((40e6..55e6).contains(&free), "{free}");
        let granted = film(
            &mut pair,
            Pace::new().rate_max("20M".parse::<framewire_transport::Bitrate>().unwrap()).burst_bytes(6_000),
        );
        assert!((14e6..21e6).contains(&granted), "{granted}");
        let frames = pair.delivered.len();
        let again = film(&mut pair, Pace::new());
        assert!((40e6..55e6).contains(&again), "{again}");
        assert!(pair.delivered.len() >= frames + if lost > 0 { 200 } else { 245 }, "{:?}", pair.sender.stats());
    }
}

#[test]
fn frames_are_begun_at_the_moment_that_was_granted_on_the_receivers_clock_and_none_is_lost_to_that() {
    let latency = Duration::from_micros(100);
    for (phase, cycle) in [(0, 20), (7, 20), (15, 20), (19, 20), (0, 4), (3, 4), (7, 4), (9, 30)] {
        let (phase, cycle) = (Duration::from_millis(phase), Duration::from_millis(cycle));
        for late in [0, 3, 11].map(Duration::from_millis) {
            let weather = Weather { latency, ..Weather::FAIR };
            let mut pair = Pair::with_interval(1, Delivery::Latest, FRAME_BYTES, 1_472, INTERVAL, weather);
            pair.run_for(late);
            pair.sender.set_pace(Pace::new().phase(phase).cycle(Some(cycle).filter(|cycle| *cycle != INTERVAL)));
            pair.peer.holds = 1;
            let mut begun = Vec::new();
            for _ in 0..200 {
                pair.sender.drop_replaceable();
                pair.offer_frame();
                pair.run_for(INTERVAL);
                begun.extend(pair.newest().map(|frame| (frame.info().number, frame.info().begun)));
            }
            begun.dedup();
            assert!(begun.len() >= 195, "{phase:?}, {late:?}: {} {:?}", begun.len(), pair.sender.stats());
            let period = cycle.min(INTERVAL).as_nanos() as u64;
            // Once the clocks have been compared.
            for (number, begun) in begun.into_iter().filter(|(number, _)| *number > 20) {
                let into = (begun - phase - latency).as_nanos() % period;
                let slack = period / 8 + latency.as_nanos() as u64;
                let is_near = into <= slack || into >= period - latency.as_nanos() as u64;
                assert!(is_near, "frame {number}, {phase:?} of {cycle:?}, {late:?}: {into} ns after its moment");
            }
        }
    }
}

#[test]
fn an_outage_in_the_middle_of_a_frame_on_a_slow_link_is_over_when_the_link_is_back() {
    for fec in [Fec::Off, Fec::Percent(30)] {
        // A frame takes 50 ms, two and a half times as long as the camera.
        let rate = Rate { bytes_per_second: 2_000_000, queue: Duration::from_millis(60) };
        let weather = Weather { rate: Some(rate), latency: Duration::from_micros(100), ..Weather::FAIR };
        let mut pair = Pair::with_interval(1, Delivery::Latest, FRAME_BYTES, 1_472, INTERVAL, weather);
        pair.set_fec(fec);
        let send = |pair: &mut Pair, frames: u32| {
            for _ in 0..frames {
                pair.sender.drop_replaceable();
                pair.offer_frame();
                pair.run_for(INTERVAL);
            }
        };
        send(&mut pair, 50);
        for nth in 0..20 {
            let before = pair.delivered.len();
            pair.weather.lost = 1_000;
            pair.run_for(Duration::from_millis(100 + 7 * nth));
            pair.weather.lost = 0;
            send(&mut pair, 50);
            assert!(pair.delivered.len() >= before + 10, "{fec:?}, outage {nth}: {:?}", pair.sender.stats());
        }
    }
}

#[test]
fn a_rate_below_the_cameras_lowers_the_frame_rate_and_keeps_frames_fresh() {
    for (fec, lost) in [(Fec::Off, 0), (Fec::Off, 30), (Fec::Auto, 50)] {
        let weather = Weather { lost, latency: Duration::from_micros(100), ..Weather::FAIR };
        let mut pair = Pair::with_interval(1, Delivery::Latest, FRAME_BYTES, 1_472, INTERVAL, weather);
        pair.set_fec(fec);
        // A frame takes 34 ms.
        pair.set_link(LinkBudget::new("24M".parse().unwrap()));
        for _ in 0..500 {
            pair.sender.drop_replaceable();
            pair.offer_frame();
            pair.run_for(INTERVAL);
        }
        pair.ages.sort_unstable();
        let (half, most) = (pair.ages[pair.ages.len() / 2], pair.ages[pair.ages.len() * 95 / 100]);
        assert!(pair.delivered.len() >= 180, "{fec:?}, {lost}: {} {:?}", pair.delivered.len(), pair.sender.stats());
        assert!(
            half <= Duration::from_millis(70) && most <= Duration::from_millis(110),
            "{fec:?}, {lost}: {half:?} {most:?}"
        );
    }
}

#[test]
fn a_receiver_knows_while_a_stream_goes_on_which_frames_were_skipped_and_which_the_way_lost() {
    // Frames of one slice, so that what is lost is lost whole; most datagrams are.
    let weather = Weather { lost: 600, latency: Duration::from_millis(1), ..Weather::FAIR };
    let mut pair = Pair::with_interval(1, Delivery::Latest, 1_000, 1_472, INTERVAL, weather);
    pair.set_fec(Fec::Off);
    pair.set_link(LinkBudget::new("500K".parse().unwrap()));
    let mut lost = 0;
    for _ in 0..2_000 {
        pair.sender.drop_replaceable();
        pair.offer_frame();
        pair.run_for(INTERVAL);
        let Some(receiver) = &pair.receiver else { continue };
        let source = receiver.source();
        assert!(source.lost >= lost, "a loss was taken back: {source:?}");
        lost = source.lost;
    }
    // The last report comes through, sooner or later.
    pair.run_for(Duration::from_secs(20));
    let (sender, receiver) = (*pair.sender.stats(), pair.receiver.as_ref().unwrap());
    let (source, stats) = (receiver.source(), *receiver.stats());
    assert_eq!(source.skipped, sender.frames_skipped + sender.frames_abandoned);
    assert!(source.skipped > 100 && source.lost > 0, "{sender:?} {source:?}");
    assert_eq!(source.skipped + source.lost, stats.frames_unseen(), "{sender:?} {stats:?}");
}
