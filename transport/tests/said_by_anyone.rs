//! What anybody on the way can say of a protected stream without its key, at any time and as often as he likes: an opening that was recorded,
//! a refusal, another version. None of it keeps up what is over, or off what is there.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::receive::{CONTROL_MAX, EndReason, ReceiveStream};
use framewire_transport::send::SendState;
use framewire_transport::wire::{Delivery, Kind, Prelude, Refuse, RefuseReason};
use network::{Pair, Towards, Weather};

const FRAME_BYTES: usize = 3_000;
const INTERVAL: Duration = Duration::from_millis(20);

fn protected() -> Pair {
    let mut pair = Pair::with_interval(3, Delivery::Latest, FRAME_BYTES, 548, INTERVAL, Weather::FAIR);
    pair.set_protected();
    pair
}

fn stream(pair: &mut Pair, frames: usize) -> usize {
    pair.film(frames, INTERVAL)
}

/// Has a receiver take in one datagram, and do nothing that is due.
fn give(receiver: &mut ReceiveStream, bytes: &[u8], now: Time) {
    let head_bytes = receiver.cut().head_bytes();
    receiver.predict(4);
    receiver.land(0, &bytes[head_bytes..]);
    receiver.handle_datagram(0, &bytes[..head_bytes], bytes.len(), now);
}

/// A stream that is open, and the opening that it was opened by.
fn recorded() -> (Pair, Vec<u8>) {
    let mut pair = protected();
    pair.withhold(Some(Towards::Receiver));
    pair.run_for(INTERVAL);
    let opening = pair.withhold(None).pop().expect("the sender asks");
    assert_eq!(Prelude::parse(&opening).unwrap().kind, Kind::Open);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(stream(&mut pair, 10), 10);
    (pair, opening)
}

#[test]
fn an_opening_that_was_recorded_keeps_no_stream_alive_whose_sender_is_gone() {
    let (mut pair, opening) = recorded();
    pair.withhold(Some(Towards::Receiver));
    let before = pair.receiver.as_ref().unwrap().heard();
    for _ in 0..9 {
        pair.run_for(Duration::from_millis(500));
        pair.forge_to_receiver(&opening);
        assert_eq!(pair.receiver.as_ref().unwrap().heard(), before, "it was taken for the sender's word");
    }
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.end_reason(), Some(EndReason::Silent));
    assert!(pair.receiver.as_ref().unwrap().stats().rejected.replayed >= 9);
}

#[test]
fn a_ping_that_was_made_longer_on_its_way_says_no_more_of_the_path_than_it_says_itself() {
    let (mut pair, _) = recorded();
    pair.withhold(Some(Towards::Receiver));
    pair.run_for(Duration::from_millis(300));
    let kind = |bytes: &[u8]| Prelude::parse(bytes).unwrap().kind;
    let mut ping = pair.withhold(None).into_iter().find(|bytes| kind(bytes) == Kind::Ping).expect("it keeps alive");
    let len = ping.len();
    ping.resize(2_000, 0);
    let mut receiver = pair.peer.receiver.take().unwrap();
    give(&mut receiver, &ping, pair.now);
    let known = format!("{receiver:?}");
    assert!(known.contains(&format!("path_bytes: {len},")) && !known.contains("path_bytes: 2000,"), "{known}");
}

#[test]
fn an_opening_that_was_recorded_and_made_longer_says_nothing_of_the_path_and_is_not_answered() {
    let (mut pair, mut opening) = recorded();
    opening.resize(60_000, 0);
    let mut receiver = pair.peer.receiver.take().unwrap();
    give(&mut receiver, &opening, pair.now);
    receiver.end_batch(pair.now);
    assert_eq!(receiver.poll_transmit(pair.now, &mut [0; CONTROL_MAX]), None);
    assert!(format!("{receiver:?}").contains("path_bytes: 0,"));
}

#[test]
fn a_sender_that_is_refused_again_and_again_by_whoever_likes_goes_on_asking() {
    for other_version in [false, true] {
        let mut pair = protected();
        pair.withhold(Some(Towards::Receiver));
        pair.run_for(INTERVAL);
        let opening = pair.withhold(Some(Towards::Receiver)).pop().expect("the sender asks");
        let Prelude { stream: id, epoch, .. } = Prelude::parse(&opening).unwrap();
        let mut lie = Refuse { stream: id, epoch, flags: 0, reason: RefuseReason::Unknown as u16, limit: 0 }.emit();
        lie[2] += u8::from(other_version);
        for _ in 0..50 {
            pair.forge_to_sender(&lie);
            pair.run_for(Duration::from_millis(100));
        }
        let asked = pair.withhold(None).len();
        assert!((8..=20).contains(&asked), "{asked} times in 5 s");
        for _ in 0..10 {
            pair.forge_to_sender(&lie);
            pair.run_for(Duration::from_millis(100));
        }
        assert_eq!(pair.sender.state(), SendState::Open);
        assert_eq!(stream(&mut pair, 10), 10);
    }
}
