//! Protected streams: frames arrive as they do on others, over a simulated network and over real sockets.
#![allow(missing_docs)]

mod network;
#[path = "protected/sockets.rs"]
mod sockets;

use std::time::Duration;

use framewire_transport::Key;
use framewire_transport::send::{Fec, SendStats};
use framewire_transport::wire::{Cut, Delivery, SLICE_BYTES_MIN, SLICE_HEADER_LEN, SliceHeader, TAG_LEN};
use network::{Pair, Weather};

const FRAME_BYTES: usize = 100_000;
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// A protected stream.
fn protected(seed: u64, delivery: Delivery, slice_bytes: u16, fec: Fec, weather: Weather) -> Pair {
    let mut pair = Pair::with_interval(seed, delivery, FRAME_BYTES, slice_bytes, INTERVAL, weather);
    pair.set_fec(fec);
    pair.set_protected();
    pair
}

/// Streams in `every` and closes; every frame's bytes are looked at as they come.
fn stream(pair: &mut Pair, frames: u64) -> SendStats {
    let give_up = pair.now + Duration::from_secs(600);
    while !pair.is_closed() {
        while pair.sender.next_number() < frames && pair.offer_frame() {}
        if pair.sender.next_number() == frames {
            pair.peer.sender.close(pair.peer.now);
        }
        assert!(pair.step(give_up), "stalled: {:?}", pair.sender);
    }
    assert_eq!(pair.delivered, (0..frames).collect::<Vec<_>>());
    pair.check_counters(false);
    *pair.sender.stats()
}

/// A camera's frames; returns how many of them arrived.
fn capture(pair: &mut Pair, frames: usize) -> usize {
    pair.film(frames, INTERVAL)
}

fn head_bytes(pair: &Pair) -> (usize, usize) {
    (pair.sender.cut().head_bytes(), pair.receiver.as_ref().unwrap().cut().head_bytes())
}

#[test]
fn a_head_with_a_tag_has_68_bytes_and_the_slice_is_no_longer_for_it() {
    let mut pair = protected(1, Delivery::Every, 1_472, Fec::Off, Weather::FAIR);
    pair.run_for(Duration::from_millis(10));
    pair.offer_frame();
    let (now, peer) = (pair.peer.now, &mut pair.peer);
    let mut run = peer.sender.poll_slices(&mut pair.publication, 5, now).expect("the stream is open");
    assert_eq!((run.count, run.payload_bytes(), run.payload()), (5, 1_472 - 68, 0..5 * 1_404));
    let cut = Cut::with_tags(FRAME_BYTES as u32, 1_472);
    for nth in 0..run.count {
        let datagram = run.to_datagram(nth);
        let header = SliceHeader::parse(&datagram).unwrap();
        assert_eq!((datagram.len(), header.index, header.payload(&cut).len()), (1_472, nth, 1_404));
        assert_ne!(datagram[SLICE_HEADER_LEN..68], [0; TAG_LEN]);
        let first = nth as usize * 1_404;
        let same = (0..1_404).filter(|at| datagram[68 + at] == Pair::byte_of(0, first + at)).count();
        assert!(same < 40, "{same} of 1404 bytes travel as they are");
    }
}

#[test]
fn in_every_all_frames_arrive_byte_for_byte_whatever_the_share_and_the_loss() {
    let (mut parity, mut resent) = (0, 0);
    for (seed, lost) in (0..).zip([0, 10, 50, 200]) {
        for burst in [1, 8, 64] {
            for (slice_bytes, fec) in [
                (1_472, Fec::Percent(20)),
                (1_471, Fec::Percent(100)),
                (65_507, Fec::Percent(30)),
                (548, Fec::Off),
                (1_472, Fec::Off),
            ] {
                let weather = Weather { lost, burst, doubled: 20, cut: 20, delayed: 20, ..Weather::FAIR };
                let mut pair = protected(seed, Delivery::Every, slice_bytes, fec, weather);
                let sent = stream(&mut pair, 12);
                assert_eq!(head_bytes(&pair), (68, 68));
                (parity, resent) = (parity + sent.slices_parity, resent + sent.slices_resent);
            }
        }
    }
    assert!(parity > 1_000 && resent > 1_000, "{parity} of parity, {resent} sent again");
}

#[test]
fn without_loss_nothing_is_sent_again_and_a_tag_costs_its_bytes_alone() {
    let mut with = protected(1, Delivery::Every, 1_472, Fec::Off, Weather::FAIR);
    let mut without = Pair::with_interval(1, Delivery::Every, FRAME_BYTES, 1_472, INTERVAL, Weather::FAIR);
    let (tagged, bare) = (stream(&mut with, 20), stream(&mut without, 20));
    assert_eq!((tagged.slices_resent, tagged.bytes), (0, bare.bytes));
    let slices = |head: usize| 20 * (FRAME_BYTES as u64).div_ceil(1_472 - head as u64);
    assert_eq!((tagged.slices, bare.slices), (slices(68), slices(52)));
    let rejected = with.receiver.as_ref().unwrap().stats().rejected;
    assert_eq!(rejected, without.receiver.as_ref().unwrap().stats().rejected);
}

#[test]
fn in_latest_parity_restores_what_repair_is_too_late_for() {
    let fair = Weather { latency: Duration::from_millis(10), ..Weather::FAIR };
    for slice_bytes in [1_472, 1_471] {
        let mut pair = protected(3, Delivery::Latest, slice_bytes, Fec::Percent(30), fair);
        pair.buffer_bytes = 2_000_000;
        pair.run_for(INTERVAL * 3);
        pair.weather = Weather { lost: 50, delayed: 20, ..fair };
        assert!(capture(&mut pair, 200) >= 195, "{:?}", pair.sender.stats());
        let seen = *pair.receiver.as_ref().unwrap().stats();
        assert!(seen.frames_restored > 100, "{seen:?}");
    }
}

#[test]
fn in_latest_frames_that_are_given_up_have_what_came_and_zeroes_for_the_rest() {
    let weather = Weather { lost: 100, latency: Duration::from_millis(10), ..Weather::FAIR };
    let mut pair = protected(5, Delivery::Latest, 1_472, Fec::Off, weather);
    pair.partial = true;
    capture(&mut pair, 100);
    // Their bytes were looked at, too.
    assert!(!pair.torn.is_empty() && pair.torn.iter().all(|(_, missing)| *missing < FRAME_BYTES));
}

#[test]
fn slices_of_another_size_keep_their_tags() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        let mut pair = protected(7, delivery, 9_000, Fec::Percent(20), Weather { lost: 20, ..Weather::FAIR });
        capture(&mut pair, 20);
        assert_eq!(pair.sender.slice_bytes(), 9_000);
        pair.weather.datagram_max = 1_500;
        capture(&mut pair, 200);
        let narrow = pair.sender.slice_bytes();
        assert!((SLICE_BYTES_MIN..=1_500).contains(&narrow.into()), "{narrow}");
        assert_eq!(head_bytes(&pair), (68, 68));
        pair.weather = Weather::FAIR;
        capture(&mut pair, 3_000);
        assert!(pair.sender.slice_bytes() > narrow, "the path is wide again, slices are not");
        assert_eq!(head_bytes(&pair), (68, 68));
        let before = pair.delivered.len();
        assert!(capture(&mut pair, 60) >= 59, "{} frames before", before);
    }
}

#[test]
fn a_later_run_of_the_sender_keeps_them_too() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        let mut pair = protected(9, delivery, 1_472, Fec::Percent(20), Weather { lost: 20, ..Weather::FAIR });
        capture(&mut pair, 10);
        // To the same address.
        pair.peer.sender.handle_redirect(28, pair.peer.now);
        assert!(capture(&mut pair, 30) >= 28);
        assert_eq!((head_bytes(&pair), pair.receiver.as_ref().unwrap().stats().restarts), ((68, 68), 1));
    }
}

#[test]
fn the_first_slice_leaves_two_round_trips_after_a_sender_has_begun_to_open() {
    let latency = Duration::from_millis(20);
    let mut pair = protected(1, Delivery::Latest, 1_472, Fec::Off, Weather { latency, ..Weather::FAIR });
    capture(&mut pair, 10);
    // From another address, so that it has no cookie, as at the very first.
    let (begun, slices) = (pair.now, pair.sender.stats().slices);
    pair.peer.sender.handle_redirect(28, begun);
    assert!(pair.offer_frame());
    while pair.sender.stats().slices == slices {
        assert!(pair.step(begun + Duration::from_secs(1)), "nothing leaves: {:?}", pair.sender);
    }
    let (took, round_trip) = (pair.now.since(begun), 2 * latency);
    assert!((2 * round_trip..2 * round_trip + Duration::from_millis(1)).contains(&took), "{took:?}");
}

#[test]
fn ends_that_do_not_have_the_same_key_hand_no_frame_on() {
    let other = Key::from_bytes([7; 32]);
    for (is_protected, asked) in [(true, None), (true, Some(other.clone())), (false, Some(other))] {
        let mut pair = Pair::with_interval(1, Delivery::Latest, FRAME_BYTES, 1_472, INTERVAL, Weather::FAIR);
        if is_protected {
            pair.set_protected();
        }
        pair.disagree_on_the_key(asked);
        capture(&mut pair, 20);
        assert!(pair.delivered.is_empty() && pair.receiver.is_none() && pair.sender.stats().slices == 0);
    }
}
