//! Sender and receiver cores over a simulated network: what is lost is asked for again, and everything adds up.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::receive::{EndReason, SILENCE_MAX};
use framewire_transport::send::SendState;
use framewire_transport::wire::Delivery;
use network::{Pair, Weather};

const LATENCIES: [Duration; 3] = [Duration::from_micros(50), Duration::from_millis(1), Duration::from_millis(10)];

/// Offers `frames` frames as fast as the sender takes them, closes, and runs until the close is confirmed.
fn stream_every(pair: &mut Pair, frames: u64) {
    let give_up = pair.now + Duration::from_secs(600);
    while !pair.is_closed() {
        while pair.sender.next_number() < frames && pair.offer_frame() {}
        if pair.sender.next_number() == frames {
            pair.peer.sender.close(pair.peer.now);
        }
        assert!(pair.step(give_up), "stalled: {:?}", pair.sender);
    }
}

#[test]
fn every_frame_arrives_whatever_the_network_loses_doubles_or_delays() {
    for seed in 0..60 {
        for lost in [0, 1, 10, 50, 200] {
            let latency = LATENCIES[(seed % 3) as usize];
            let weather = Weather { lost, doubled: 20, delayed: 50, latency, ..Weather::FAIR };
            let frame_bytes = [900, 20_000, 60_000][(seed / 3 % 3) as usize];
            let mut pair = Pair::new(seed, Delivery::Every, frame_bytes, weather);
            stream_every(&mut pair, 12);
            assert_eq!(pair.delivered, (0..12).collect::<Vec<_>>(), "seed {seed}, {lost} per thousand lost");
            let SendState::Closed(report) = pair.sender.state() else { unreachable!() };
            assert_eq!((report.delivered, report.incomplete, report.no_slot), (12, 0, 0));
        }
    }
}

#[test]
fn without_loss_nothing_is_sent_twice_nor_asked_for() {
    for latency in LATENCIES {
        let mut pair = Pair::new(1, Delivery::Every, 60_000, Weather { latency, ..Weather::FAIR });
        stream_every(&mut pair, 50);
        assert_eq!(pair.sender.stats().slices_resent, 0);
        let stats = *pair.receiver.as_ref().unwrap().stats();
        assert_eq!((stats.nacks_sent, stats.rejected.total()), (0, 0));
    }
}

#[test]
fn what_a_frame_lacks_is_asked_for_while_the_rest_of_it_is_on_its_way() {
    let mut pair = Pair::new(1, Delivery::Every, 2_000_000, Weather { lost: 10, ..Weather::FAIR });
    assert!(pair.offer_frame());
    let stats = |pair: &Pair| *pair.receiver.as_ref().unwrap().stats();
    while pair.receiver.is_none() || stats(&pair).slices < 1_000 {
        assert!(pair.step(Time::MAX));
    }
    // 1,409 slices, and about 10 of the first 1,000 were lost.
    assert!(stats(&pair).slices_repaired > 5, "{:?}", stats(&pair));
}

#[test]
fn a_network_that_reorders_is_soon_asked_for_nothing_that_is_only_late() {
    let latency = Duration::from_micros(300);
    // One slice in twenty comes 0.9 ms later than those behind it.
    let mut pair = Pair::new(1, Delivery::Every, 60_000, Weather { delayed: 50, latency, ..Weather::FAIR });
    stream_every(&mut pair, 200);
    let (sent, seen) = (*pair.sender.stats(), *pair.receiver.as_ref().unwrap().stats());
    assert!(seen.slices_moved > 0 || sent.slices_resent > 0, "nothing was late");
    assert!(sent.slices_resent < 20, "{} of some 430 late slices were sent again", sent.slices_resent);
}

#[test]
fn latest_never_waits_and_every_frame_number_is_accounted_for() {
    for seed in 0..60 {
        for lost in [0, 10, 100] {
            let weather =
                Weather { lost, doubled: 10, delayed: 20, latency: LATENCIES[(seed % 2) as usize], ..Weather::FAIR };
            let mut pair = Pair::new(seed, Delivery::Latest, 30_000, weather);
            for _ in 0..60 {
                if !pair.offer_frame() {
                    pair.skip();
                }
                pair.run_for(Duration::from_millis(10));
            }
            pair.peer.sender.close(pair.peer.now);
            pair.run_for(Duration::from_secs(3));
            let SendState::Closed(report) = pair.sender.state() else { panic!("{:?}", pair.sender.state()) };
            let sent = *pair.sender.stats();
            let seen = *pair.receiver.as_ref().unwrap().stats();
            assert_eq!(sent.frames, 60);
            // From frame 0 on, though some were skipped before the receiver had heard of the stream.
            assert_eq!((seen.first_frame, seen.frames_passed), (0, 60), "seed {seed}");
            let source = pair.receiver.as_ref().unwrap().source();
            assert_eq!((source.skipped, source.no_credit), (sent.frames_skipped, sent.frames_no_credit), "seed {seed}");
            assert_eq!(report.delivered, pair.delivered.len() as u64);
            let accounted = seen.frames_delivered + seen.frames_incomplete + seen.frames_no_slot + seen.frames_unseen();
            assert_eq!(accounted, seen.frames_passed);
            assert!(pair.delivered.is_sorted_by(|one, next| one < next));
            if lost == 0 {
                assert_eq!(pair.delivered.len() as u64, 60 - sent.frames_skipped, "seed {seed}");
            }
        }
    }
}

#[test]
fn a_receiver_that_comes_back_gets_what_was_not_settled_and_nothing_of_the_old_epoch() {
    for seed in 0..40 {
        let weather = Weather { lost: 5, doubled: 10, delayed: 50, latency: LATENCIES[0], ..Weather::FAIR };
        let mut pair = Pair::new(seed, Delivery::Every, 40_000, weather);
        while pair.delivered.len() < 10 {
            while pair.offer_frame() {}
            assert!(pair.step(Time::MAX));
        }
        let died = pair.delivered.len();
        pair.kill_receiver();
        if seed % 2 == 0 {
            pair.peer.sender.handle_unreachable(pair.peer.now);
        }
        let before = pair.now;
        while pair.delivered.len() == died {
            assert!(pair.step(before + Duration::from_secs(3)), "seed {seed}: {:?}", pair.sender.state());
        }
        assert_eq!(pair.sender.stats().restarts, 1);
        // Those that the first receiver had completed but not yet reported come twice; none is left out.
        let again = pair.delivered[died];
        assert!(again <= died as u64 && again + 4 >= died as u64, "{:?}", pair.delivered);
        let end = pair.sender.next_number();
        stream_every(&mut pair, end);
        assert_eq!(pair.delivered[died..], (again..end).collect::<Vec<_>>());
    }
}

#[test]
fn a_network_that_is_silent_for_a_while_costs_nothing_in_every() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed, Delivery::Every, 40_000, Weather::FAIR);
        while pair.delivered.len() < 5 {
            while pair.offer_frame() {}
            pair.step(Time::MAX);
        }
        pair.weather.lost = 1000;
        pair.run_for(Duration::from_secs(4));
        pair.weather.lost = 0;
        let end = pair.sender.next_number();
        stream_every(&mut pair, end);
        assert_eq!(pair.delivered, (0..end).collect::<Vec<_>>(), "seed {seed}");
        assert!(pair.receiver.as_ref().unwrap().stats().restarts > 0);
    }
}

#[test]
fn a_sender_that_vanishes_ends_the_stream() {
    let mut pair = Pair::new(3, Delivery::Latest, 5_000, Weather::FAIR);
    pair.offer_frame();
    pair.run_for(Duration::from_millis(100));
    pair.weather.lost = 1000;
    pair.run_for(SILENCE_MAX / 2);
    assert_eq!(pair.end_reason(), None);
    pair.run_for(SILENCE_MAX);
    assert_eq!(pair.end_reason(), Some(EndReason::Silent));
}

#[test]
fn an_idle_stream_stays_open() {
    let mut pair = Pair::new(4, Delivery::Every, 5_000, Weather::FAIR);
    pair.offer_frame();
    pair.run_for(Duration::from_secs(60));
    assert_eq!((pair.sender.state(), pair.end_reason()), (SendState::Open, None));
    assert_eq!(pair.sender.stats().restarts, 0);
}

#[test]
fn latency_is_told_by_the_offset_of_the_clocks() {
    // Both ends read the same virtual clock but do not know it: the estimate must come out as the network's latency.
    let mut pair =
        Pair::new(5, Delivery::Latest, 1_000, Weather { latency: Duration::from_millis(1), ..Weather::FAIR });
    pair.run_for(Duration::from_millis(50));
    assert!(pair.offer_frame());
    pair.run_for(Duration::from_millis(50));
    assert_eq!(pair.delivered, [0]);
    let round_trip = pair.sender.round_trip();
    assert!((2_000..2_050).contains(&round_trip.as_micros()), "{round_trip:?}");
}

#[test]
fn what_did_not_come_in_time_is_handed_on_with_its_gaps_where_that_is_wanted() {
    let mut torn = 0;
    for seed in 0..20 {
        let weather = Weather { lost: 300, burst: 8, doubled: 20, delayed: 50, latency: LATENCIES[1], ..Weather::FAIR };
        let mut pair = Pair::new(seed, Delivery::Latest, 40_000, weather);
        pair.partial = true;
        for _ in 0..200 {
            pair.offer_frame();
            pair.run_for(Duration::from_millis(10));
        }
        let stats = *pair.receiver.as_ref().unwrap().stats();
        assert_eq!(stats.frames_partial, pair.torn.len() as u64);
        assert!(stats.frames_partial <= stats.frames_incomplete);
        assert!(pair.torn.iter().all(|(_, missing)| (1..40_000).contains(missing)), "{:?}", pair.torn);
        let mut numbers: Vec<_> = pair.torn.iter().map(|(number, _)| *number).chain(pair.delivered.clone()).collect();
        numbers.sort_unstable();
        assert!(numbers.is_sorted_by(|one, next| one < next), "a frame came twice");
        torn += pair.torn.len();
    }
    assert!(torn > 100, "{torn}");
}
