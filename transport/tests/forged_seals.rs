//! Datagrams of protected streams, changed by one bit or one byte in length, and made up by the million: neither end's state changes by
//! them, nothing is allocated for them, and what the far end says is taken in beside them.
//!
//! `FRAMEWIRE_FORGED` says how many are made up, 20,000 by default.
#![allow(missing_docs)]

mod network;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use framewire_transport::crypto::SEAL_LEN;
use framewire_transport::receive::ReceiveStream;
use framewire_transport::send::Fec;
use framewire_transport::wire::{Delivery, Flags, Kind, Prelude, SLICE_HEADER_LEN, SliceHeader, TAG_LEN, fields_len};
use network::{Pair, Peer, Random, Towards, Weather};

const FRAME_BYTES: usize = 3_000;
const INTERVAL: Duration = Duration::from_millis(20);

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread asks it for.
struct Counting;

impl Counting {
    fn note() {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: every call goes to `System` as it came, which is a correct allocator; counting touches none of the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note();
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::note();
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        Self::note();
        // SAFETY: the caller's promises are those that `System` asks for, and all memory here is from it.
        unsafe { System.realloc(memory, layout, new_bytes) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are those that `System` asks for, and all memory here is from it.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn protected(delivery: Delivery, weather: Weather) -> Pair {
    let mut pair = Pair::with_interval(3, delivery, FRAME_BYTES, 548, INTERVAL, weather);
    pair.set_fec(Fec::Percent(30));
    pair.set_protected();
    pair
}

fn stream(pair: &mut Pair, frames: usize) {
    pair.film(frames, INTERVAL);
}

/// All that is known of an end, but for what it has refused: that is counted.
fn state(end: &impl std::fmt::Debug) -> String {
    let text = format!("{end:?}");
    let (before, rest) = text.split_once("rejected: ").expect("both ends count what they refuse");
    let rest = rest.trim_start_matches(|sign: char| sign.is_ascii_digit());
    let rest = if rest.starts_with("RejectedCounts") { rest.split_once('}').expect("it ends").1 } else { rest };
    format!("{before}{rest}")
}

/// Has a receiver take in one datagram as its thread does, and do nothing that is due.
fn give(receiver: &mut ReceiveStream, bytes: &[u8], peer_now: framewire_transport::Time) {
    let head_bytes = receiver.cut().head_bytes().min(bytes.len());
    receiver.land(0, &bytes[head_bytes..]);
    receiver.handle_datagram(0, &bytes[..head_bytes], bytes.len(), peer_now);
}

/// A pair whose stream is open, and what one end says that has not come to the other: `act` has it say that.
fn withheld(towards: Towards, weather: Weather, act: impl Fn(&mut Pair)) -> (Pair, Vec<Vec<u8>>) {
    let mut pair = protected(Delivery::Every, Weather::FAIR);
    stream(&mut pair, 10);
    pair.weather = weather;
    pair.withhold(Some(towards));
    act(&mut pair);
    // Less than what is taken for silence.
    pair.run_for(INTERVAL * 10);
    let withheld = pair.withhold(None);
    (pair, withheld)
}

/// Every bit of a datagram that its seal covers, and every length beside its own.
fn changed(kind: Kind, datagram: &[u8]) -> Vec<Vec<u8>> {
    let is_slice = matches!(kind, Kind::Slice | Kind::Parity);
    let covered = fields_len(kind, datagram).map_or(datagram.len(), |fields| fields + SEAL_LEN);
    let flipped = (0..8 * covered).map(|bit| {
        let mut flipped = datagram.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    });
    let shorter = (0..covered).map(|len| datagram[..len].to_vec());
    // What is behind the seal of others pads them.
    let longer = is_slice.then(|| [datagram, &[0]].concat());
    let changed: Vec<_> = flipped.chain(shorter).chain(longer).collect();
    // What comes of it may be an opening, or a hint, which whoever has no key may send: others judge these.
    let is_a_hint = |kind| matches!(kind, Kind::Open | Kind::Refuse | Kind::Challenge);
    changed
        .into_iter()
        .filter(|datagram| !Prelude::parse(datagram).is_ok_and(|prelude| is_a_hint(prelude.kind)))
        .collect()
}

#[test]
fn no_bit_of_what_is_sealed_can_be_changed_and_no_byte_left_out_or_added() {
    let lossy = Weather { lost: 300, ..Weather::FAIR };
    let offers = |pair: &mut Pair| assert!(pair.offer_frame() && pair.offer_frame());
    let closes = |pair: &mut Pair| {
        let now = pair.now;
        pair.sender.close(now);
    };
    let mut kinds = BTreeSet::new();
    for (towards, weather, act) in [
        (Towards::Receiver, Weather::FAIR, &offers as &dyn Fn(&mut Pair)),
        (Towards::Receiver, Weather::FAIR, &closes),
        (Towards::Sender, lossy, &offers),
        (Towards::Sender, Weather::FAIR, &closes),
    ] {
        let (mut pair, withheld) = withheld(towards, weather, act);
        for datagram in withheld {
            let kind = Prelude::parse(&datagram).unwrap().kind;
            let is_tagged = u16::from_be_bytes([datagram[12], datagram[13]]) & Flags::TAGGED != 0;
            assert!(is_tagged, "{kind:?} travels in clear");
            if !kinds.insert(kind as u8) {
                continue;
            }
            let Peer { sender, receiver, now, .. } = &mut pair.peer;
            let receiver = receiver.as_mut().expect("the stream is open");
            receiver.predict(4);
            let known = (state(sender), state(receiver));
            for changed in changed(kind, &datagram).chunks(64) {
                for changed in changed {
                    match towards {
                        Towards::Receiver => give(receiver, changed, *now),
                        Towards::Sender => sender.handle_datagram(changed, *now),
                    }
                }
                assert!(known == (state(sender), state(receiver)), "{kind:?} was believed: {changed:?}");
            }
            // As it was it is.
            match towards {
                Towards::Receiver => give(receiver, &datagram, *now),
                Towards::Sender => sender.handle_datagram(&datagram, *now),
            }
            assert!(known != (state(sender), state(receiver)), "{kind:?} was not believed");
            receiver.end_batch(*now);
        }
    }
    let all = [Kind::Slice, Kind::Parity, Kind::Ping, Kind::Close, Kind::Feedback, Kind::Nack, Kind::Closed];
    assert_eq!(kinds, all.into_iter().map(|kind| kind as u8).collect());
}

#[test]
fn what_is_made_up_by_the_million_changes_nothing_costs_no_memory_and_keeps_nothing_out() {
    let forged = std::env::var("FRAMEWIRE_FORGED").map_or(20_000, |count| count.parse().unwrap());
    let mut pair = protected(Delivery::Latest, Weather::FAIR);
    stream(&mut pair, 20);
    let mut random = Random::new(9);
    let (frames, before) = (200, pair.delivered.len());
    let each = (forged / frames).max(1);
    for _ in 0..frames {
        let Peer { receiver, now, .. } = &mut pair.peer;
        let receiver = receiver.as_mut().expect("the stream is open");
        let (id, epoch, cut, next) = (77, receiver.epoch(), *receiver.cut(), receiver.settled());
        receiver.predict(4);
        // Behind what has come, and most of it within what was granted.
        let stats = receiver.stats();
        let seen = stats.slices + stats.slices_parity + stats.rejected.late + stats.rejected.duplicate;
        let window = receiver.window();
        let (known, allocations) = (state(receiver), ALLOCATIONS.get());
        for _ in 0..each {
            let mut datagram = [0_u8; 548];
            datagram[SLICE_HEADER_LEN..].iter_mut().for_each(|byte| *byte = random.next() as u8);
            let head = SliceHeader {
                stream: id,
                epoch,
                flags: Flags::TAGGED,
                tail: 0,
                sequence: seen + random.below(window * 5 / 4),
                frame: next + random.below(3),
                captured_ns: random.next(),
                frame_bytes: FRAME_BYTES as u32,
                index: random.below(u64::from(cut.slices()) - 1) as u32,
                sent_after_us: 0,
            };
            datagram[..SLICE_HEADER_LEN].copy_from_slice(&head.emit());
            receiver.land(0, &datagram[SLICE_HEADER_LEN + TAG_LEN..]);
            receiver.handle_datagram(0, &datagram[..SLICE_HEADER_LEN + TAG_LEN], 548, *now);
        }
        assert_eq!(ALLOCATIONS.get(), allocations, "something was allocated for what was made up");
        assert_eq!(state(receiver), known);
        receiver.end_batch(*now);
        stream(&mut pair, 1);
    }
    let delivered = pair.delivered.len() - before;
    assert!(delivered * 100 >= frames as usize * 99, "{delivered} of {frames} frames");
    let rejected = pair.receiver.as_ref().unwrap().stats().rejected;
    assert!(rejected.forged > each * frames / 4, "{rejected:?}");
}
