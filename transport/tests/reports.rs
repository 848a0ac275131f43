//! What a sender makes of its system's and the network's reports, over the simulated network: hints that lead to a question.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::wire::Delivery;
use network::{Pair, Weather};

const SECOND: Duration = Duration::from_secs(1);

fn streaming(delivery: Delivery, slice_bytes: u16, weather: Weather) -> Pair {
    let mut pair = Pair::with_slices(1, delivery, 100_000, slice_bytes, weather);
    for _ in 0..10 {
        pair.offer_frame();
        pair.run_for(Duration::from_millis(200));
    }
    assert_eq!(pair.delivered.len(), 10);
    pair
}

#[test]
fn reports_that_nobody_listens_are_asked_about_now_and_then_and_refuted_by_an_answer() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        for latency in [Duration::from_micros(50), Duration::from_millis(25)] {
            let mut pair = streaming(delivery, 8_952, Weather { latency, ..Weather::FAIR });
            let (quiet, before) = (pair.now, pair.datagrams_sent());
            for _ in 0..10_000 {
                pair.peer.sender.handle_unreachable(pair.peer.now);
                pair.run_for(Duration::from_micros(100));
            }
            assert_eq!(pair.now.since(quiet), SECOND);
            assert_eq!(pair.sender.stats().restarts, 0, "{delivery:?}, {latency:?}");
            // One question and one answer each 20 ms, and those of an idle stream.
            let more = pair.datagrams_sent() - before;
            assert!(more <= 2 * (50 + 10), "{more} datagrams in a second");
        }
    }
}

#[test]
fn a_receiver_that_is_gone_is_given_up_soon_after_it_is_reported() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        let mut pair = streaming(delivery, 8_952, Weather::FAIR);
        pair.run_for(SECOND);
        pair.kill_receiver();
        let reported = pair.now;
        pair.sender.handle_unreachable(reported);
        pair.run_for(Duration::from_millis(19));
        assert_eq!(pair.sender.stats().restarts, 0, "it may yet answer");
        pair.run_for(Duration::from_millis(2));
        assert_eq!(pair.sender.stats().restarts, 1);
    }
}

#[test]
fn reports_of_a_narrow_path_make_no_slice_smaller_while_slices_get_through() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        let mut pair = streaming(delivery, 8_952, Weather::FAIR);
        let offered = pair.delivered.len();
        for nth in 0..500 {
            for size in [None, Some(20), Some(548), Some(1_372), Some(usize::MAX)] {
                pair.peer.sender.handle_narrow_report(size, pair.peer.now);
            }
            if nth % 10 == 0 {
                pair.offer_frame();
            }
            pair.run_for(Duration::from_millis(2));
        }
        pair.run_for(SECOND);
        assert_eq!((pair.sender.slice_bytes(), pair.sender.stats().restarts), (8_952, 0));
        assert_eq!(pair.delivered.len(), offered + 50, "{delivery:?}");
    }
}

#[test]
fn a_path_that_is_reported_to_be_narrow_and_is_so_gets_slices_of_the_size_that_was_reported() {
    for (carries, reported, fits) in [(1_400, 1_400, 1_400), (1_400, 600, 1_372), (1_000, 1_000, 548)] {
        let mut pair = streaming(Delivery::Every, 8_952, Weather::FAIR);
        pair.weather.datagram_max = carries;
        let end = pair.now + 20 * SECOND;
        let mut left = 30;
        while pair.now < end {
            left -= i32::from(left > 0 && pair.offer_frame());
            // Routers report each slice that is too long.
            if usize::from(pair.sender.slice_bytes()) > carries {
                pair.peer.sender.handle_narrow_report(Some(reported), pair.peer.now);
            }
            pair.run_for(Duration::from_millis(5));
        }
        assert_eq!(pair.sender.slice_bytes(), fits, "carries {carries}, said to carry {reported}");
        assert_eq!(pair.delivered, (0..40).collect::<Vec<_>>());
    }
}

#[test]
fn a_size_that_the_system_itself_refuses_is_given_up_at_once_but_not_for_less_than_any_path_carries() {
    let mut pair = streaming(Delivery::Every, 8_952, Weather::FAIR);
    // It may have been told so by a report.
    pair.peer.sender.handle_too_large(Some(548), pair.peer.now);
    assert_eq!(pair.sender.slice_bytes(), 1_232);
    // Now it is the interface that says so.
    pair.peer.sender.handle_too_large(Some(972), pair.peer.now);
    assert_eq!(pair.sender.slice_bytes(), 972);
}

#[test]
fn another_way_to_the_receiver_begins_a_new_epoch_whatever_the_stream_was_doing() {
    let mut pair = streaming(Delivery::Every, 8_952, Weather::FAIR);
    for restarts in 1..=3 {
        // The second comes while the first is on its way.
        pair.peer.sender.handle_redirect(28, pair.peer.now);
        assert_eq!(pair.sender.stats().restarts, restarts);
    }
    while pair.sender.next_number() < 20 {
        pair.offer_frame();
        pair.run_for(Duration::from_millis(5));
    }
    pair.peer.sender.close(pair.peer.now);
    pair.run_for(SECOND);
    assert_eq!(pair.delivered, (0..20).collect::<Vec<_>>());
    assert_eq!(pair.sender.heard(), None, "a closed stream waits for nobody");
    pair.peer.sender.handle_redirect(28, pair.peer.now);
    assert_eq!(pair.sender.stats().restarts, 3);
}

#[test]
fn a_size_that_was_reported_is_forgotten_once_larger_slices_have_come_through() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        let mut pair = streaming(delivery, 8_952, Weather::FAIR);
        pair.peer.sender.handle_narrow_report(Some(1_300), pair.peer.now);
        pair.run_for(SECOND);
        assert_eq!(pair.sender.slice_bytes(), 8_952);
        // Later the path does become narrow, and nobody reports it.
        assert_eq!(narrowed(&mut pair, 1_460), 1_452, "{delivery:?}: not what was said of the path before");
    }
}

#[test]
fn a_size_that_was_reported_of_one_way_is_nothing_to_another() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        let mut pair = streaming(delivery, 8_952, Weather::FAIR);
        pair.peer.sender.handle_narrow_report(Some(1_300), pair.peer.now);
        pair.peer.sender.handle_redirect(28, pair.peer.now);
        assert_eq!(narrowed(&mut pair, 1_460), 1_452, "{delivery:?}: not what was said of the way before");
    }
}

/// From now on the path carries so much; the size of the slices as soon as they are smaller.
fn narrowed(pair: &mut Pair, datagram_max: usize) -> u16 {
    pair.weather.datagram_max = datagram_max;
    let (before, give_up) = (pair.sender.slice_bytes(), pair.now + 20 * SECOND);
    while pair.sender.slice_bytes() == before {
        assert!(pair.now < give_up, "{:?}", pair.sender);
        if pair.sender.has_room() {
            pair.offer_frame();
        }
        pair.run_for(Duration::from_millis(5));
    }
    pair.sender.slice_bytes()
}
