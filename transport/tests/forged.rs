//! Datagrams of someone who can forge addresses and sees nothing: no stream is stopped, moved, ended or shrunk by them, at either end.
//! `FRAMEWIRE_FORGED` sets how many of each kind real sockets are told (2,000 by default).
#![allow(missing_docs)]

mod network;
mod relay;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use framewire_testing::PATIENCE;
use framewire_transport::wire::{
    Accept, Challenge, Close, Closed, Delivery, EPOCHS_AHEAD_MAX, Feedback, Nack, Open, Ping, Refuse, SliceHeader,
    TIME_UNKNOWN,
};
use framewire_transport::{Frame, FrameFormat, PixelFormat, ReceiverConfig, Sender, SenderConfig, Time};
use network::{Pair, Random, Weather};
use relay::with_relay;

fn open(format: &FrameFormat, delivery: Delivery, stream: u32, epoch: u32, cookie: u64) -> Open {
    Open {
        stream,
        epoch,
        flags: 0,
        slice_bytes: 548,
        cookie,
        first_frame: 1 << 40,
        width: format.width(),
        height: format.height(),
        stride: format.stride(),
        frame_bytes: format.frame_bytes() as u32,
        rate_num: 0,
        rate_den: 0,
        aspect_num: 0,
        aspect_den: 0,
        scan: 0,
        chroma: 0,
        range: 0,
        paced: 0,
        deadline_us: 0,
        pixel: format.pixel().code(),
        tail_max: 0,
        parity_max: 0,
        delivery: delivery as u8,
        reserved: 0,
        clock_id: 0,
        sender_ns: 0,
        skipped: 0,
        no_credit: 0,
        utc_ns: TIME_UNKNOWN,
        utc_error_us: 0,
    }
}

/// What a sender could say, in a run of its own.
fn of_a_sender(stream: u32, epoch: u32) -> Vec<Vec<u8>> {
    let frame = 1 << 40;
    let ping = Ping {
        stream,
        epoch,
        flags: 0,
        length: Ping::LEN as u16,
        sender_ns: 0,
        sequence: 1 << 40,
        frame,
        echo_ns: 0,
        echo_held_ns: 0,
        skipped: 0,
        no_credit: 0,
        utc_ns: TIME_UNKNOWN,
        utc_error_us: 0,
    };
    let slice = SliceHeader {
        stream,
        epoch,
        flags: 0,
        tail: 0,
        sequence: 0,
        frame,
        captured_ns: 0,
        frame_bytes: 496,
        index: 0,
        sent_after_us: 0,
    };
    let close = Close { stream, epoch, flags: 0, reserved: 0, frames: frame, skipped: 0, no_credit: 0 };
    vec![close.emit().to_vec(), ping.emit().to_vec(), [&slice.emit()[..], &[0xee; 496]].concat()]
}

/// What a receiver could say that ends, moves or shrinks a stream, or only to a stream of that run.
fn of_a_receiver(stream: u32, epoch: u32) -> Vec<Vec<u8>> {
    let challenge = |path_bytes| Challenge { stream, epoch, flags: 0, path_bytes, cookie: 1 }.emit().to_vec();
    let refuse = |reason| Refuse { stream, epoch, flags: 0, reason, limit: 0 }.emit().to_vec();
    let closed = Closed { stream, epoch, flags: 0, reserved: 0, delivered: 0, incomplete: 0, no_slot: 0 };
    vec![challenge(0), challenge(76), refuse(1), refuse(5), closed.emit().to_vec()]
}

/// The same, and what is believed of a receiver that knows the run.
fn of_a_receiver_of_another_run(stream: u32, epoch: u32) -> Vec<Vec<u8>> {
    let accept = Accept {
        stream,
        epoch,
        flags: 0,
        path_bytes: 76,
        frame_limit: u64::MAX,
        sequence_limit: u64::MAX,
        receiver_ns: 0,
        echo_ns: 0,
        delivered: 0,
        buffer_bytes: 0,
        slots: 0,
    };
    let feedback = Feedback {
        stream,
        epoch,
        flags: 0,
        path_bytes: 96,
        report: 1 << 60,
        settled: 1,
        frame_limit: 0,
        sequence_seen: 0,
        sequence_limit: 0,
        delivered: 0,
        arrived: 0,
        receiver_ns: 0,
        echo_ns: 0,
        echo_held_ns: 0,
    };
    let nack = Nack { stream, epoch, flags: 0, bitmap_bytes: 0, frame: 0, first: 0 };
    let mut all = of_a_receiver(stream, epoch);
    all.extend([accept.emit().to_vec(), feedback.emit().to_vec(), nack.emit().to_vec()]);
    all
}

/// A stream of the simulated network beside which `forge` speaks for each frame.
fn stream_beside(delivery: Delivery, mut forge: impl FnMut(&mut Pair, u64)) {
    const FRAMES: u64 = 120;
    let weather = Weather { latency: Duration::from_millis(1), ..Weather::FAIR };
    let mut pair = Pair::with_interval(1, delivery, 20_000, 1_472, Duration::from_millis(16), weather);
    pair.run_for(Duration::from_millis(50));
    let slice_bytes = pair.sender.slice_bytes();
    for nth in 0..FRAMES {
        assert!(pair.offer_frame(), "frame {nth}: {:?}", pair.sender);
        for _ in 0..4 {
            pair.run_for(Duration::from_millis(2));
            forge(&mut pair, nth);
            pair.run_for(Duration::from_millis(2));
        }
    }
    pair.run_for(Duration::from_millis(100));
    let (sent, seen) = (*pair.sender.stats(), *pair.receiver.as_ref().unwrap().stats());
    assert_eq!(pair.delivered, (0..FRAMES).collect::<Vec<_>>(), "{delivery:?}: {sent:?} {seen:?}");
    assert_eq!((sent.restarts, seen.restarts, pair.opened), (0, 0, 1), "{delivery:?}: {sent:?} {seen:?}");
    assert_eq!((pair.sender.slice_bytes(), pair.end_reason()), (slice_bytes, None));
    pair.peer.sender.close(pair.peer.now);
    pair.run_for(Duration::from_secs(1));
    pair.check_counters(false);
}

const STREAM: u32 = 77;
const EPOCH: u32 = u32::MAX;

#[test]
fn an_opening_without_a_good_cookie_changes_nothing_though_it_names_the_stream_and_even_the_run() {
    let format = FrameFormat::new(PixelFormat::Gray8, 20_000, 1).unwrap();
    let ahead = [0, 1, 2, EPOCHS_AHEAD_MAX, EPOCHS_AHEAD_MAX + 1, 1 << 30, u32::MAX / 2, u32::MAX / 2 + 2, u32::MAX];
    for delivery in [Delivery::Every, Delivery::Latest] {
        stream_beside(delivery, |pair, nth| {
            for ahead in ahead {
                let cookie = [0, 1, nth][nth as usize % 3];
                let open = open(&format, delivery, STREAM, EPOCH.wrapping_add(ahead), cookie);
                pair.forge_to_receiver(&open.emit());
                pair.forge_to_receiver(&Open { first_frame: 0, slice_bytes: 1_472, ..open }.emit());
            }
        });
    }
}

#[test]
fn what_is_said_in_another_run_changes_nothing_at_either_end() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        stream_beside(delivery, |pair, nth| {
            for epoch in [EPOCH - 1, EPOCH.wrapping_add(1), nth as u32] {
                of_a_sender(STREAM, epoch).iter().for_each(|bytes| pair.forge_to_receiver(bytes));
                of_a_receiver_of_another_run(STREAM, epoch).iter().for_each(|bytes| pair.forge_to_sender(bytes));
            }
        });
    }
}

#[test]
fn a_sender_that_is_told_that_it_is_unknown_or_has_moved_asks_before_it_believes_it() {
    for delivery in [Delivery::Every, Delivery::Latest] {
        stream_beside(delivery, |pair, _| {
            of_a_receiver(STREAM, EPOCH).iter().for_each(|bytes| pair.forge_to_sender(bytes));
        });
    }
}

fn forged() -> Option<u64> {
    std::env::var("FRAMEWIRE_FORGED").ok().map(|count| count.parse().expect("FRAMEWIRE_FORGED is a number"))
}

/// A camera of 60 frames a second, until `done`.
fn stream(sender: &Sender, done: &AtomicBool) -> u64 {
    let begun = Instant::now();
    let mut frames = 0;
    while !done.load(Ordering::Acquire) || frames < 20 {
        let mut frame = sender.frame_timeout(Duration::from_secs(60)).unwrap().expect("a slot within a minute");
        frame.fill(frames as u8);
        sender.send(frame).unwrap();
        frames += 1;
        std::thread::sleep((begun + Duration::from_secs(frames) / 60).saturating_duration_since(Instant::now()));
    }
    frames
}

#[test]
fn a_stream_goes_on_beside_forged_datagrams_of_every_kind_over_real_sockets() {
    const STREAM: u32 = 7;
    let (count, at_length) = forged().map_or((2_000, false), |count| (count, true));
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    for delivery in [Delivery::Every, Delivery::Latest] {
        let from = SenderConfig::new(format).delivery(delivery).stream(STREAM);
        with_relay(ReceiverConfig::default(), 65_507, from, |relay, receiver, sender| {
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let stream = receiver.accept_timeout(PATIENCE).unwrap();
                    let arrived = |frame: Frame| (frame.info().number, Time::now().since(frame.info().captured));
                    let (numbers, mut latencies): (BTreeSet<_>, Vec<_>) =
                        stream.frames().map(Result::unwrap).map(arrived).unzip();
                    latencies.sort_unstable();
                    let percentiles = [50, 99].map(|percent| latencies[latencies.len() * percent / 100]);
                    println!("{delivery:?}: latency, median and p99: {percentiles:?}");
                    (numbers, stream.stats(), stream.source(), stream.end_reason())
                });
                let sending = scope.spawn(|| stream(&sender, &done));
                sender.wait_until_open(PATIENCE).unwrap();
                let slice_bytes = sender.slice_bytes();
                let mut random = Random::new(1);
                for nth in 0..count {
                    // 32 bits that the attacker does not know. One in two is near, in case those are chosen badly.
                    let epoch = if nth % 2 == 0 { nth as u32 } else { random.next() as u32 };
                    let cookie = if nth % 3 == 0 { 0 } else { random.next() };
                    let mut to_receiver = of_a_sender(STREAM, epoch);
                    let open = open(&format, delivery, STREAM, epoch, cookie);
                    to_receiver.push(open.emit().to_vec());
                    to_receiver.push(Open { first_frame: 0, ..open }.emit().to_vec());
                    to_receiver.iter().for_each(|bytes| relay.forge_to_receiver(bytes));
                    let to_sender = of_a_receiver_of_another_run(STREAM, epoch);
                    to_sender.iter().for_each(|bytes| relay.forge_to_sender(bytes));
                    // At most as fast as the ends read: what is lost to a full buffer is no one's forgery.
                    std::thread::sleep(Duration::from_micros(if nth % 8 == 0 { 1_000 } else { 0 }));
                }
                assert_eq!(sender.slice_bytes(), slice_bytes, "{:?}", sender.stats());
                done.store(true, Ordering::Release);
                let frames = sending.join().unwrap();
                sender.close(PATIENCE).unwrap();
                let (numbers, seen, source, ended) = reader.join().unwrap();
                let (sent, all) = (sender.stats(), receiver.stats());
                println!(
                    "{delivery:?}: {frames} frames beside {count} of each kind: {sent:?} {seen:?} {source:?} {all:?}"
                );
                assert_eq!((sent.restarts, seen.restarts), (0, 0), "{sent:?} {seen:?}");
                assert_eq!(
                    (all.opened, all.moved, ended),
                    (1, 0, Some(framewire_transport::receive::EndReason::Closed))
                );
                assert!(all.challenged > 0, "no forged opening was judged: {all:?}");
                match delivery {
                    Delivery::Every => assert_eq!(numbers, (0..frames).collect(), "{sent:?} {seen:?} {source:?}"),
                    // What the source itself skips, a machine skips that is too busy for 60 frames a second.
                    Delivery::Latest if at_length => {
                        let lost = (seen.frames_incomplete, seen.frames_no_slot, source.lost);
                        assert_eq!(lost, (0, 0, 0), "{sent:?} {seen:?} {source:?}");
                        assert_eq!(numbers.len() as u64 + source.skipped, frames, "{sent:?} {seen:?} {source:?}");
                    }
                    Delivery::Latest => {}
                }
            });
        });
    }
}
