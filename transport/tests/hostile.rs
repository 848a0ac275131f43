//! What a peer or a stranger should not say: it is counted by cause, costs bounded work, and does the stream no harm.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::receive::ReceiveStats;
use framewire_transport::wire::{
    Close, Delivery, FRAME_NUMBER_END, Feedback, NACK_BITMAP_MAX, Nack, Ping, SliceHeader, TIME_UNKNOWN,
};
use network::{Pair, Weather};

const FRAME_BYTES: usize = 100_000;
const FRAMES: u64 = 40;
/// As the simulated network begins.
const STREAM: u32 = 77;
const EPOCH: u32 = u32::MAX;

/// Streams frames, with `says` speaking to both ends before each; returns what the receiver counted.
fn stream_beside(delivery: Delivery, weather: Weather, mut says: impl FnMut(&mut Pair)) -> (Pair, ReceiveStats) {
    let mut pair = Pair::new(1, delivery, FRAME_BYTES, weather);
    pair.run_for(Duration::from_millis(10));
    for number in 0..FRAMES {
        pair.offer_frame();
        assert_eq!(pair.sender.next_number(), number + 1);
        says(&mut pair);
        pair.run_for(Duration::from_millis(10));
        says(&mut pair);
    }
    pair.run_for(Duration::from_secs(1));
    let stats = *pair.receiver.as_ref().unwrap().stats();
    assert_eq!(pair.delivered, (0..FRAMES).collect::<Vec<_>>());
    assert_eq!((pair.sender.stats().restarts, stats.restarts), (0, 0));
    (pair, stats)
}

fn nack(frame: u64, first: u32, bitmap: &[u8]) -> Vec<u8> {
    let bitmap_bytes = bitmap.len() as u16;
    let nack = Nack { stream: STREAM, epoch: EPOCH, flags: 0, bitmap_bytes, frame, first };
    [&nack.emit()[..], bitmap].concat()
}

fn feedback() -> Feedback {
    Feedback {
        stream: STREAM,
        epoch: EPOCH,
        flags: 0,
        path_bytes: 0,
        // The newest of all, so that it is looked at.
        report: u64::MAX,
        settled: 0,
        frame_limit: 0,
        sequence_seen: 0,
        sequence_limit: 0,
        delivered: 0,
        arrived: 0,
        receiver_ns: 0,
        echo_ns: TIME_UNKNOWN,
        echo_held_ns: 0,
    }
}

#[test]
fn a_flood_of_requests_has_no_more_sent_again_than_the_budget_and_the_credit_allow() {
    for delivery in [Delivery::Latest, Delivery::Every] {
        let (pair, _) = stream_beside(delivery, Weather::FAIR, |pair| {
            let now = pair.now;
            let newest = pair.sender.next_number() - 1;
            for nth in 0..2_000 {
                let bitmap = [0xff; NACK_BITMAP_MAX];
                pair.sender.handle_datagram(&nack(newest, nth % 100, &bitmap[..nth as usize % NACK_BITMAP_MAX]), now);
            }
        });
        let stats = *pair.sender.stats();
        let new = stats.slices - stats.slices_resent;
        match delivery {
            Delivery::Latest => assert!(stats.slices_resent <= new / 4 + 71, "{stats:?}"),
            // Each batch of requests is one request, for a frame that is still there.
            Delivery::Every => assert!(stats.slices_resent <= 4 * new, "{stats:?}"),
        }
    }
}

#[test]
fn requests_for_frames_and_slices_that_never_were_are_not_answered() {
    let (pair, _) = stream_beside(Delivery::Every, Weather::FAIR, |pair| {
        let (now, next) = (pair.now, pair.sender.next_number());
        for frame in [next, next + 1, next + 1_000, FRAME_NUMBER_END - 1, FRAME_NUMBER_END, u64::MAX] {
            pair.sender.handle_datagram(&nack(frame, 0, &[]), now);
            pair.sender.handle_datagram(&nack(frame, u32::MAX, &[0xff; 8]), now);
        }
        // Beyond the frame's slices, and beyond all numbers.
        for first in [71, 1 << 20, u32::MAX - 3, u32::MAX] {
            pair.sender.handle_datagram(&nack(next - 1, first, &[0xff; NACK_BITMAP_MAX]), now);
        }
    });
    assert_eq!(pair.sender.stats().slices_resent, 0);
}

#[test]
fn feedback_on_what_was_never_sent_is_refused() {
    let mut said = 0;
    let (pair, _) = stream_beside(Delivery::Every, Weather::FAIR, |pair| {
        for absurd in [Feedback { settled: u64::MAX, ..feedback() }, Feedback { sequence_seen: u64::MAX, ..feedback() }]
        {
            pair.peer.sender.handle_datagram(&absurd.emit(), pair.peer.now);
            said += 1;
        }
    });
    assert_eq!(pair.sender.stats().rejected, said);
}

/// Has a receiver's feedback say something absurd besides.
fn bent(bytes: Vec<u8>, bend: impl FnOnce(Feedback) -> Feedback) -> Vec<u8> {
    Feedback::parse(&bytes).map_or(bytes, |feedback| bend(feedback).emit().to_vec())
}

#[test]
fn absurd_credit_and_times_do_the_stream_no_harm() {
    let bends: [fn(Vec<u8>) -> Vec<u8>; 5] = [
        |bytes| bent(bytes, |said| Feedback { frame_limit: u64::MAX, sequence_limit: u64::MAX, ..said }),
        |bytes| bent(bytes, |said| Feedback { echo_ns: u64::MAX - 1, receiver_ns: u64::MAX, ..said }),
        |bytes| bent(bytes, |said| Feedback { echo_ns: 0, echo_held_ns: u64::MAX, receiver_ns: 0, ..said }),
        |bytes| bent(bytes, |said| Feedback { delivered: u64::MAX, arrived: u64::MAX, ..said }),
        |bytes| bent(bytes, |said| Feedback { arrived: 0, path_bytes: u16::MAX, ..said }),
    ];
    for bend in bends {
        for delivery in [Delivery::Latest, Delivery::Every] {
            let mut is_bent = false;
            let (pair, _) = stream_beside(delivery, Weather::FAIR, |pair| {
                is_bent = pair.bend.replace(bend).is_some();
            });
            assert!(is_bent);
            assert_eq!(pair.sender.stats().frames_delivered, FRAMES);
        }
    }
}

#[test]
fn a_receiver_that_lies_about_its_buffer_gets_the_frames_all_the_same() {
    for buffer_bytes in [0, 1, 5_000, u32::MAX as usize, usize::MAX] {
        for delivery in [Delivery::Latest, Delivery::Every] {
            let mut pair = Pair::new(1, delivery, FRAME_BYTES, Weather::FAIR);
            // What it says in Accept, and goes by itself.
            pair.buffer_bytes = buffer_bytes;
            pair.run_for(Duration::from_millis(10));
            for _ in 0..FRAMES {
                while !pair.offer_frame() {
                    pair.run_for(Duration::from_millis(10));
                }
                pair.run_for(Duration::from_millis(50));
            }
            pair.run_for(Duration::from_secs(1));
            assert_eq!(pair.delivered, (0..FRAMES).collect::<Vec<_>>(), "{buffer_bytes}, {delivery:?}");
        }
    }
}

#[test]
fn when_every_datagram_comes_twice_each_is_taken_once_and_the_other_counted() {
    for delivery in [Delivery::Latest, Delivery::Every] {
        let weather = Weather { doubled: 1_000, ..Weather::FAIR };
        let (pair, stats) = stream_beside(delivery, weather, |_| ());
        assert_eq!(stats.slices, FRAMES * 71);
        // The second copy of a frame's last slice finds the frame settled.
        assert_eq!(stats.rejected.duplicate + stats.rejected.late, FRAMES * 71, "{stats:?}");
        assert_eq!(pair.sender.stats().slices_resent, 0);
    }
}

#[test]
fn datagrams_of_another_stream_or_epoch_are_counted_and_change_nothing() {
    let mut said = 0;
    let (pair, stats) = stream_beside(Delivery::Every, Weather::FAIR, |pair| {
        let now = pair.now;
        let number = pair.sender.next_number() - 1;
        for (stream, epoch) in [(STREAM + 1, EPOCH), (STREAM, EPOCH - 1), (STREAM, 0)] {
            let slice = SliceHeader {
                stream,
                epoch,
                flags: 0,
                tail: 0,
                sequence: 0,
                frame: number,
                captured_ns: 0,
                frame_bytes: FRAME_BYTES as u32,
                index: 0,
                sent_after_us: 0,
            };
            pair.take_in(&[&slice.emit()[..], &[0xee; 1_420]].concat());
            let close = Close { stream, epoch, flags: 0, reserved: 0, frames: 1, skipped: 0, no_credit: 0 };
            pair.take_in(&close.emit());
            pair.sender.handle_datagram(&Feedback { stream, epoch, ..feedback() }.emit(), now);
            said += 1;
        }
    });
    assert_eq!((stats.rejected.stream, stats.rejected.epoch), (2 * said / 3, 4 * said / 3));
    assert_eq!(pair.sender.stats().rejected, said);
}

#[test]
fn pings_and_closes_with_numbers_at_the_ends_of_their_types_change_nothing() {
    let (_, stats) = stream_beside(Delivery::Latest, Weather::FAIR, |pair| {
        for number in [FRAME_NUMBER_END - 1, FRAME_NUMBER_END, u64::MAX] {
            let ping = Ping {
                stream: STREAM,
                epoch: EPOCH,
                flags: 0,
                length: Ping::LEN as u16,
                sender_ns: number,
                sequence: number,
                // A frame that could be is believed to have been sent.
                frame: number.max(FRAME_NUMBER_END),
                echo_ns: number,
                echo_held_ns: number,
                skipped: number,
                no_credit: number,
                utc_ns: TIME_UNKNOWN,
                utc_error_us: 0,
            };
            pair.take_in(&ping.emit());
            let frames = number.max(FRAME_NUMBER_END);
            let close = Close {
                stream: STREAM,
                epoch: EPOCH,
                flags: 0,
                reserved: 0,
                frames,
                skipped: number,
                no_credit: number,
            };
            pair.take_in(&close.emit());
        }
    });
    assert_eq!(stats.rejected.malformed, FRAMES * 2 * 6, "{stats:?}");
}
