//! The end of a stream: however long its confirmation is lost, asking for it opens nothing.
#![allow(missing_docs)]

mod network;
mod relay;

use std::sync::atomic::Ordering;
use std::time::Duration;

use framewire_testing::PATIENCE;
use framewire_transport::send::SendState;
use framewire_transport::{Delivery, FrameFormat, PixelFormat, ReceiverConfig, SenderConfig};
use network::{Pair, Weather};
use relay::with_relay;

/// Streams some frames and closes.
fn closing(delivery: Delivery, seed: u64) -> Pair {
    let mut pair = Pair::new(seed, delivery, 20_000, Weather::FAIR);
    for _ in 0..5 {
        pair.offer_frame();
        pair.run_for(Duration::from_millis(10));
    }
    pair.offer_frame();
    pair.peer.sender.close(pair.peer.now);
    pair
}

#[test]
fn a_close_that_is_repeated_after_the_stream_is_gone_opens_no_other() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        for seed in 0..60 {
            let mut pair = closing(delivery, seed);
            // Somewhere between the close and its confirmation nothing travels any more, until the receiver's socket is gone.
            let give_up = pair.now + Duration::from_secs(1);
            for _ in 0..seed {
                pair.step(give_up);
            }
            pair.weather.lost = 1_000;
            pair.drop_what_flies();
            pair.run_for(Duration::from_millis(4_000));
            pair.weather.lost = 0;
            pair.run_for(Duration::from_secs(5));
            let SendState::Closed(report) = pair.sender.state() else {
                panic!("{delivery:?}, {seed}: {:?}", pair.sender)
            };
            assert_eq!((pair.opened, report.is_forgotten), (1, false), "{delivery:?}, {seed}: {:?}", pair.sender);
            if delivery == Delivery::Every {
                assert_eq!((report.delivered, pair.delivered.len()), (6, 6), "{seed}");
            }
            pair.check_counters(false);
        }
    }
}

#[test]
fn a_receiver_that_is_another_one_by_the_close_is_not_made_to_open_an_empty_stream() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        let mut pair = closing(delivery, 1);
        while !pair.sender.is_settled() {
            assert!(pair.step(framewire_transport::Time::MAX));
        }
        pair.kill_receiver();
        pair.run_for(Duration::from_secs(3));
        let SendState::Closed(report) = pair.sender.state() else { panic!("{delivery:?}: {:?}", pair.sender) };
        assert_eq!((report.delivered, report.is_forgotten, pair.opened), (6, true, 1), "{delivery:?}");
    }
}

#[test]
fn a_stream_with_the_number_of_one_that_was_closed_opens_in_an_epoch_of_its_own() {
    let mut pair = closing(Delivery::Every, 2);
    pair.run_for(Duration::from_secs(1));
    assert!(pair.is_closed());
    pair.restart_sender();
    pair.offer_frame();
    pair.run_for(Duration::from_secs(5));
    assert_eq!((pair.sender.state(), pair.opened, pair.delivered.len()), (SendState::Open, 2, 7));
}

#[test]
fn a_closed_stream_is_answered_for_by_the_listener_when_its_own_socket_is_gone() {
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    let from = SenderConfig::new(format).delivery(Delivery::Every).stream(7);
    with_relay(ReceiverConfig::default(), 9_000, from, |relay, receiver, sender| {
        // One each 50 ms: the stream's socket is there for 2 s.
        relay.closed_lost.store(48, Ordering::Release);
        sender.send(sender.frame().unwrap()).unwrap();
        let stream = receiver.accept_timeout(PATIENCE).unwrap();
        assert!(stream.recv_timeout(PATIENCE).is_ok());
        let report = sender.close(PATIENCE).unwrap();
        assert_eq!((report.delivered, report.is_forgotten, receiver.stats().opened), (1, false, 1));
        assert_eq!(relay.closed_lost.load(Ordering::Acquire), 0);
    });
}
