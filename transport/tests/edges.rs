//! Corners of the protocol: outages, restarts in the middle of something, absurd fields.
#![allow(missing_docs)]

mod network;

use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};
use framewire_transport::receive::{self, Reassembler, ReassemblerConfig, ReceiveConfig, ReceiveStream};
use framewire_transport::send::{Publication, SendConfig, Subscriber};
use framewire_transport::wire::{Accept, Cut, Delivery, Feedback, Nack, Open, Ping, SliceHeader, TIME_UNKNOWN};
use network::{Pair, Weather};

fn open(delivery: Delivery, frame_bytes: u32) -> Open {
    Open {
        stream: 7,
        epoch: 1,
        flags: 0,
        slice_bytes: 1472,
        cookie: 0,
        first_frame: 0,
        width: frame_bytes,
        height: 1,
        stride: frame_bytes,
        frame_bytes,
        rate_num: 0,
        rate_den: 0,
        aspect_num: 0,
        aspect_den: 0,
        scan: 0,
        chroma: 0,
        range: 0,
        paced: 0,
        deadline_us: 0,
        pixel: PixelFormat::Gray8.code(),
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

fn open_receiver(open: Open) -> ReceiveStream {
    let slot_bytes = Reassembler::slot_bytes(&open.cut());
    let config = ReceiveConfig {
        open,
        sealed: None,
        open_bytes: Open::LEN,
        buffer_bytes: 400_000,
        batch_max: 16,
        partial: false,
        clock_id: 0,
    };
    ReceiveStream::new(config, FramePool::new(4, slot_bytes).unwrap(), Time::ZERO).unwrap()
}

fn give(receiver: &mut ReceiveStream, bytes: &[u8], now: Time) {
    receiver.predict(1);
    let head = &bytes[..bytes.len().min(receiver.cut().head_bytes())];
    receiver.land(0, &bytes[head.len()..]);
    receiver.handle_datagram(0, head, bytes.len(), now);
    receiver.end_batch(now);
    let mut out = [0; receive::CONTROL_MAX];
    while receiver.poll_transmit(now, &mut out).is_some() {}
}

#[test]
fn latest_goes_on_after_an_outage_in_which_every_frame_was_lost() {
    let mut pair = Pair::new(1, Delivery::Latest, 5_000, Weather::FAIR);
    for _ in 0..10 {
        pair.offer_frame();
        pair.run_for(Duration::from_millis(10));
    }
    pair.weather.lost = 1000;
    for _ in 0..10 {
        pair.sender.drop_replaceable();
        pair.offer_frame();
        pair.run_for(Duration::from_millis(10));
    }
    pair.weather.lost = 0;
    let mut offered = 0;
    for _ in 0..3000 {
        pair.sender.drop_replaceable();
        offered += u32::from(pair.offer_frame());
        pair.run_for(Duration::from_millis(10));
    }
    assert!(offered > 100, "deadlock");
}

#[test]
fn a_frame_skipped_in_every_leaves_no_gap_that_is_waited_for() {
    let mut pair = Pair::new(1, Delivery::Every, 5_000, Weather::FAIR);
    pair.offer_frame();
    pair.run_for(Duration::from_millis(50));
    pair.skip();
    for _ in 0..500 {
        pair.offer_frame();
        pair.run_for(Duration::from_millis(10));
    }
    assert!(pair.delivered.len() > 10, "deadlock");
}

#[test]
fn an_opening_with_an_absurd_first_frame_changes_nothing_and_is_the_listeners_to_judge() {
    let o = open(Delivery::Every, 3000);
    let mut receiver = open_receiver(o);
    give(&mut receiver, &Open { epoch: 2, first_frame: u64::MAX, ..o }.emit(), Time::ZERO);
    assert_eq!((receiver.epoch(), receiver.settled(), receiver.ended()), (1, 0, None));
    assert_eq!(receiver.poll_stray().map(|stray| stray.open.epoch()), Some(2));
}

#[test]
fn a_frame_that_is_lost_whole_is_given_up_a_deadline_after_its_own_ping() {
    let mut receiver = open_receiver(Open { deadline_us: 30_000, ..open(Delivery::Latest, 100) });
    let ping = |frame| Ping {
        stream: 7,
        epoch: 1,
        flags: 0,
        length: Ping::LEN as u16,
        sender_ns: 0,
        sequence: frame,
        frame,
        echo_ns: TIME_UNKNOWN,
        echo_held_ns: 0,
        skipped: 0,
        no_credit: 0,
        utc_ns: TIME_UNKNOWN,
        utc_error_us: 0,
    };
    let slice = SliceHeader {
        stream: 7,
        epoch: 1,
        flags: 0,
        tail: 0,
        sequence: 0,
        frame: 0,
        captured_ns: 0,
        frame_bytes: 100,
        index: 0,
        sent_after_us: 0,
    };
    let at = |millis| Time::ZERO + Duration::from_millis(millis);
    // Frame 0 comes behind the ping that tells of it; frame 1 never does.
    give(&mut receiver, &ping(1).emit(), at(0));
    give(&mut receiver, &[&slice.emit()[..], &[0; 100]].concat(), at(1));
    assert_eq!(receiver.settled(), 1);
    give(&mut receiver, &ping(2).emit(), at(10));
    for (millis, settled) in [(39, 1), (40, 2)] {
        receiver.handle_timeout(at(millis));
        assert_eq!(receiver.settled(), settled, "at {millis} ms");
    }
}

#[test]
fn a_frame_sent_before_a_restart_and_replaced_after_it_is_counted_once() {
    let mut pair = Pair::new(1, Delivery::Latest, 5_000, Weather::FAIR);
    pair.run_for(Duration::from_millis(50));
    pair.weather.lost = 1000;
    pair.offer_frame();
    pair.run_for(Duration::from_millis(5));
    pair.kill_receiver();
    pair.peer.sender.handle_unreachable(pair.peer.now);
    pair.offer_frame();
    pair.weather.lost = 0;
    pair.run_for(Duration::from_millis(500));
    let s = *pair.sender.stats();
    assert!(s.frames_sent + s.frames_skipped + s.frames_abandoned <= s.frames, "double count");
}

/// A sender whose receiver has accepted the stream and given it all credit.
fn open_sender(format: FrameFormat, delivery: Delivery) -> (Publication, Subscriber) {
    let config = SendConfig::new(7, 1, format, delivery, 548);
    let publication = Publication::new(format, delivery);
    let mut sender = publication.subscribe(config, Time::ZERO);
    let accept = Accept {
        stream: 7,
        epoch: 1,
        flags: 0,
        path_bytes: u16::MAX,
        frame_limit: 9,
        sequence_limit: 60_000,
        receiver_ns: 0,
        echo_ns: 0,
        delivered: 0,
        buffer_bytes: 0,
        slots: 0,
    };
    sender.handle_datagram(&accept.emit(), Time::ZERO);
    (publication, sender)
}

#[test]
fn a_close_that_nobody_answers_is_repeated_at_its_pace_and_no_faster_and_more_seldom_after_a_second() {
    let (_, mut sender) = open_sender(FrameFormat::new(PixelFormat::Gray8, 20, 1).unwrap(), Delivery::Every);
    let mut now = Time::ZERO;
    sender.close(now);
    let mut closes = 0;
    let mut bytes = [0; framewire_transport::send::CONTROL_MAX];
    // Past the time at which an open stream would send a ping for the clocks.
    while now < Time::ZERO + Duration::from_secs(3) {
        let mut at_once = 0;
        while sender.poll_transmit(now, &mut bytes).is_some() {
            at_once += 1;
            assert_eq!(at_once, 1, "at {now:?}");
        }
        closes += at_once;
        now = now + Duration::from_millis(10);
    }
    assert_eq!(closes, 1_000 / 50 + 2_000 / 500);
}

#[test]
fn where_slices_are_lost_a_ping_follows_a_frame_at_once_whatever_is_heard_of_its_first_slices() {
    const SLICES: u32 = 300;
    let format = FrameFormat::new(PixelFormat::Gray8, 496 * SLICES, 1).unwrap();
    let (mut publication, mut sender) = open_sender(format, Delivery::Latest);
    let pool = FramePool::new(1, format.frame_bytes()).unwrap();
    let feedback = |report, settled, slices: u32, lost: u32| Feedback {
        stream: 7,
        epoch: 1,
        flags: 0,
        path_bytes: 0,
        report,
        settled,
        frame_limit: u64::MAX,
        sequence_seen: slices.into(),
        sequence_limit: 60_000,
        delivered: settled,
        arrived: (slices - lost).into(),
        receiver_ns: 0,
        echo_ns: TIME_UNKNOWN,
        echo_held_ns: 0,
    };
    let mut bytes = [0; framewire_transport::send::CONTROL_MAX];
    let mut pings_at_once = Vec::new();
    for (nth, lost) in (0_u32..6).zip([0, 0, 0, 9, 9, 9]) {
        let now = Time::ZERO + Duration::from_millis(100) * nth;
        while sender.poll_transmit(now, &mut bytes).is_some() {}
        let published = publication.publish(pool.try_acquire().unwrap().freeze()).unwrap();
        sender.handle_frame(&published, now).unwrap();
        drop(published);
        while sender.poll_slices(&mut publication, 1024, now).is_some() {}
        // It speaks of the half that had come by then.
        let report = u64::from(nth) * 2;
        sender.handle_datagram(&feedback(report, nth.into(), SLICES * nth + SLICES / 2, lost).emit(), now);
        let len = sender.poll_transmit(now, &mut bytes);
        pings_at_once.push(len.is_some_and(|len| Ping::parse(&bytes[..len]).is_ok()));
        sender.handle_datagram(&feedback(report + 1, u64::from(nth) + 1, SLICES * (nth + 1), lost).emit(), now);
    }
    // The loss shows in the feedback on the first frame that lacked some; what was asked before is of the others.
    assert_eq!(pings_at_once, [false, false, false, false, true, true]);
}

#[test]
fn a_request_that_takes_two_datagrams_is_answered_whole() {
    // 6000 slices, all lost but the last.
    let format = FrameFormat::new(PixelFormat::Gray8, 496 * 9000, 1).unwrap();
    let (mut publication, mut s) = open_sender(format, Delivery::Every);
    let pool = FramePool::new(1, format.frame_bytes()).unwrap();
    let published = publication.publish(pool.try_acquire().unwrap().freeze()).unwrap();
    s.handle_frame(&published, Time::ZERO).unwrap();
    while s.poll_slices(&mut publication, 1024, Time::ZERO).is_some() {}
    for first in [0u32, 3968] {
        let mut bytes = Nack { stream: 7, epoch: 1, flags: 0, bitmap_bytes: 496, frame: 0, first }.emit().to_vec();
        bytes.extend([0xff; 496]);
        s.handle_datagram(&bytes, Time::ZERO);
    }
    let mut n = 0;
    while let Some(run) = s.poll_slices(&mut publication, 1024, Time::ZERO) {
        n += run.count;
    }
    assert_eq!(n, 7936, "the second half of the request was dropped");
}

#[test]
fn frames_four_apart_are_both_asked_for() {
    let o = open(Delivery::Latest, 3000);
    let pool = FramePool::new(8, Reassembler::slot_bytes(&Cut::new(3000, 1472))).unwrap();
    let mut receiver = ReceiveStream::new(
        ReceiveConfig {
            open: Open { rate_num: 1, rate_den: 10, paced: 1, ..o },
            sealed: None,
            open_bytes: Open::LEN,
            buffer_bytes: 400_000,
            batch_max: 16,
            partial: false,
            clock_id: 0,
        },
        pool,
        Time::ZERO,
    )
    .unwrap();
    let slice = |frame, sequence| {
        let h = SliceHeader {
            stream: 7,
            epoch: 1,
            flags: 0,
            tail: 0,
            sequence,
            frame,
            captured_ns: 0,
            frame_bytes: 3000,
            index: 0,
            sent_after_us: 0,
        };
        let mut b = h.emit().to_vec();
        b.extend([0; 1420]);
        b
    };
    let mut now = Time::from_nanos(1_000_000_000);
    give(&mut receiver, &slice(3, 0), now);
    give(&mut receiver, &slice(7, 1), now);
    let ping = Ping {
        stream: 7,
        epoch: 1,
        flags: 0,
        length: Ping::LEN as u16,
        sender_ns: 0,
        sequence: 6,
        frame: 8,
        echo_ns: TIME_UNKNOWN,
        echo_held_ns: 0,
        skipped: 0,
        no_credit: 0,
        utc_ns: TIME_UNKNOWN,
        utc_error_us: 0,
    };
    give(&mut receiver, &ping.emit(), now);
    for _ in 0..2000 {
        let next = receiver.poll_timeout(now);
        now = if next > now { next.min(now + Duration::from_millis(1)) } else { now + Duration::from_micros(100) };
        receiver.handle_timeout(now);
        let mut out = [0; receive::CONTROL_MAX];
        while receiver.poll_transmit(now, &mut out).is_some() {}
    }
    assert!(receiver.stats().nacks_sent > 0, "never asked");
}

#[test]
fn frames_that_found_no_slot_are_settled_in_the_end() {
    // consumers hold every slot while four frames arrive
    let o = open(Delivery::Latest, 1000);
    let pool = FramePool::new(1, Reassembler::slot_bytes(&Cut::new(1000, 1472))).unwrap();
    let held = pool.try_arrival();
    let mut receiver = ReceiveStream::new(
        ReceiveConfig {
            open: o,
            sealed: None,
            open_bytes: Open::LEN,
            buffer_bytes: 400_000,
            batch_max: 16,
            partial: false,
            clock_id: 0,
        },
        pool,
        Time::ZERO,
    )
    .unwrap();
    let now = Time::from_nanos(5);
    for f in 0..4 {
        let h = SliceHeader {
            stream: 7,
            epoch: 1,
            flags: 0,
            tail: 0,
            sequence: f,
            frame: f,
            captured_ns: 0,
            frame_bytes: 1000,
            index: 0,
            sent_after_us: 0,
        };
        let mut b = h.emit().to_vec();
        b.extend([0; 1000]);
        give(&mut receiver, &b, now);
    }
    drop(held);
    let ping = Ping {
        stream: 7,
        epoch: 1,
        flags: 0,
        length: Ping::LEN as u16,
        sender_ns: 0,
        sequence: 4,
        frame: 4,
        echo_ns: TIME_UNKNOWN,
        echo_held_ns: 0,
        skipped: 0,
        no_credit: 0,
        utc_ns: TIME_UNKNOWN,
        utc_error_us: 0,
    };
    let mut settled = 0;
    let mut t = now;
    for _ in 0..100 {
        t = t + Duration::from_millis(100);
        receiver.predict(1);
        receiver.handle_datagram(0, &ping.emit()[..52], Ping::LEN, t);
        receiver.end_batch(t);
        receiver.handle_timeout(t);
        let mut out = [0; receive::CONTROL_MAX];
        while let Some(n) = receiver.poll_transmit(t, &mut out) {
            if let Ok(f) = Feedback::parse(&out[..n]) {
                settled = f.settled;
            }
        }
    }
    assert_eq!(settled, 4, "never settled: a sender with four slots waits for ever");
}

#[test]
fn the_last_frame_of_a_latest_stream_is_repaired_before_the_close() {
    let mut asked = 0;
    let mut lost = 0;
    for seed in 0..200 {
        let mut pair = Pair::new(seed, Delivery::Latest, 30_000, Weather { lost: 30, ..Weather::FAIR });
        pair.run_for(Duration::from_millis(200));
        pair.offer_frame();
        pair.peer.sender.close(pair.peer.now);
        pair.run_for(Duration::from_secs(2));
        if pair.delivered.is_empty() {
            lost += 1;
        }
        asked += pair.receiver.as_ref().map_or(0, |receiver| receiver.stats().nacks_sent);
    }
    assert!(lost < 20, "asked {asked} lost {lost}");
}

#[test]
fn a_frame_given_up_in_the_middle_of_a_batch_leaves_nothing_in_its_slot() {
    let slice_bytes = 600;
    let payload = 548;
    let frame_bytes = 6 * payload;
    let pool = FramePool::new(8, Reassembler::slot_bytes(&Cut::new(frame_bytes, slice_bytes))).unwrap();
    let mut receiver = Reassembler::new(
        ReassemblerConfig {
            format: FrameFormat::new(PixelFormat::Gray8, frame_bytes, 1).unwrap(),
            cut: Cut::new(frame_bytes, slice_bytes),
            delivery: Delivery::Latest,
            first_frame: 5,
            parity_max: 0,
            partial: false,
            batch_max: 16,
        },
        pool,
    )
    .unwrap();
    let now = Time::from_nanos(1);
    let batch = |receiver: &mut Reassembler, slices: &[(u64, u32)]| {
        receiver.predict(16);
        for (spot, (frame, index)) in slices.iter().enumerate() {
            receiver.land(spot, &vec![(*frame * 10 + u64::from(*index)) as u8; payload as usize]);
            let h = SliceHeader {
                stream: 1,
                epoch: 1,
                flags: 0,
                tail: 0,
                sequence: 0,
                frame: *frame,
                captured_ns: 0,
                frame_bytes,
                index: *index,
                sent_after_us: 0,
            };
            receiver.handle_slice(&h, spot, now);
        }
        receiver.end_batch(now, |far_ns| Some(Time::from_nanos(far_ns)));
    };
    for s in [(5, 1), (6, 0), (7, 0), (8, 0)] {
        batch(&mut receiver, &[s]);
    }
    batch(&mut receiver, &[(8, 3), (5, 0), (9, 0)]);
    for i in 1..6 {
        batch(&mut receiver, &[(9, i)]);
    }
    let f = receiver.poll_frame().unwrap();
    assert_eq!(f.info().number, 9);
    let got: Vec<u8> = f.chunks(payload as usize).map(|c| c[0]).collect();
    assert_eq!(got, [90, 91, 92, 93, 94, 95]);
}

#[test]
fn frames_delivered_to_a_receiver_that_died_still_count() {
    // receiver restart: what the sender says was delivered
    let mut pair = Pair::new(1, Delivery::Every, 5_000, Weather::FAIR);
    for _ in 0..50 {
        pair.offer_frame();
        pair.run_for(Duration::from_millis(10));
    }
    pair.kill_receiver();
    pair.peer.sender.handle_unreachable(pair.peer.now);
    for _ in 0..20 {
        pair.offer_frame();
        pair.run_for(Duration::from_millis(10));
    }
    pair.peer.sender.close(pair.peer.now);
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.sender.stats().frames_delivered, 70);
}

#[test]
fn an_idle_stream_says_something_four_times_a_second() {
    let mut pair = Pair::new(1, Delivery::Every, 5_000, Weather::FAIR);
    pair.run_for(Duration::from_secs(10));
    let idle = pair.datagrams_sent();
    // A ping and its feedback, four times a second, and the opening.
    assert!((75..=95).contains(&idle), "{idle} datagrams in ten seconds");
}

#[test]
fn a_sender_that_did_not_hear_of_the_close_hears_of_it_later() {
    for delivery in [Delivery::Latest, Delivery::Every] {
        let mut pair = Pair::new(1, delivery, 5_000, Weather::FAIR);
        for _ in 0..5 {
            pair.offer_frame();
            pair.run_for(Duration::from_millis(10));
        }
        pair.peer.sender.close(pair.peer.now);
        while pair.end_reason().is_none() {
            assert!(pair.step(Time::MAX));
        }
        // Its answer, and those to all repetitions.
        pair.weather.lost = 1000;
        pair.drop_what_flies();
        pair.run_for(Duration::from_millis(1_500));
        assert!(!pair.is_closed());
        pair.weather.lost = 0;
        pair.run_for(Duration::from_secs(1));
        assert!(pair.is_closed(), "{delivery:?}: {:?}", pair.sender.state());
        assert_eq!(pair.sender.stats().frames_delivered, 5);
    }
}

#[test]
fn a_frame_that_comes_before_the_clocks_are_known_has_no_latency_and_the_next_one_has() {
    let mut receiver = open_receiver(open(Delivery::Latest, 100));
    // The sender's machine has been up for ten days longer.
    let ahead = Duration::from_secs(10 * 86_400);
    let frame = |receiver: &mut ReceiveStream, number: u64, now: Time| {
        let slice = SliceHeader {
            stream: 7,
            epoch: 1,
            flags: 0,
            tail: 0,
            sequence: number,
            frame: number,
            captured_ns: (now + ahead).as_nanos() - 2_000_000,
            frame_bytes: 100,
            index: 0,
            sent_after_us: 500,
        };
        give(receiver, &[&slice.emit()[..], &[0; 100]].concat(), now);
        *receiver.poll_frame().unwrap().info()
    };
    let now = Time::from_nanos(1_000_000_000);
    let unknown = frame(&mut receiver, 0, now);
    assert_eq!((unknown.latency, unknown.sent, unknown.captured), (None, None, Time::ZERO));
    let ping = Ping {
        stream: 7,
        epoch: 1,
        flags: 0,
        length: Ping::LEN as u16,
        sender_ns: (now + ahead).as_nanos(),
        sequence: 1,
        frame: 1,
        echo_ns: now.as_nanos(),
        echo_held_ns: 0,
        skipped: 0,
        no_credit: 0,
        utc_ns: TIME_UNKNOWN,
        utc_error_us: 0,
    };
    give(&mut receiver, &ping.emit(), now);
    let known = frame(&mut receiver, 1, now);
    assert_eq!(known.latency, Some(Duration::from_millis(2)));
    assert_eq!(known.sent, Some(known.captured + Duration::from_micros(500)));
}
