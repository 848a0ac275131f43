//! What travels behind a frame's pixels, and when a picture was taken: over a network that loses, doubles and delays, whatever the
//! sender's wall clock does.
#![allow(missing_docs)]

mod network;

use std::time::{Duration, SystemTime};

use framewire_transport::frame::{FrameFormat, FramePool, METADATA_MAX, MetadataKind, PixelFormat, TAIL_MAX};
use framewire_transport::receive::{Reassembler, ReassemblerConfig};
use framewire_transport::send::{Fec, Publication};
use framewire_transport::utc::UtcOffset;
use framewire_transport::wire::{Cut, Delivery, Ping, SliceHeader, TIME_UNKNOWN};
use framewire_transport::{FrameInfo, Time};
use network::{Pair, Weather};

const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);
/// The sender's monotonic clock began here.
const BOOT: Duration = Duration::from_secs(1_794_999_000);

fn stormy() -> Weather {
    Weather { lost: 100, doubled: 20, delayed: 50, latency: Duration::from_micros(300), ..Weather::FAIR }
}

/// A camera's frames; returns what is known of each that has come when the next one is taken.
fn film(pair: &mut Pair, frames: usize) -> Vec<FrameInfo> {
    pair.holds = 1;
    let mut seen = Vec::new();
    for _ in 0..frames {
        pair.sender.drop_replaceable();
        pair.offer_frame();
        pair.run_for(INTERVAL);
        seen.extend(pair.newest().map(|frame| *frame.info()));
    }
    seen.dedup_by_key(|info| info.number);
    seen
}

#[test]
fn frames_of_any_length_with_metadata_of_any_length_arrive_exactly_at_ten_percent_loss_with_parity_and_repair() {
    for fec in [Fec::Off, Fec::Auto, Fec::Percent(20)] {
        for slice_bytes in [548, 1_472, 65_507] {
            for seed in 0..6 {
                let mut pair = Pair::with_slices(seed, Delivery::Every, 30_000, slice_bytes, stormy());
                pair.set_varied();
                pair.set_fec(fec);
                let give_up = pair.now + Duration::from_secs(600);
                while !pair.is_closed() {
                    while pair.sender.next_number() < 30 && pair.offer_frame() {}
                    if pair.sender.next_number() == 30 {
                        pair.peer.sender.close(pair.peer.now);
                    }
                    assert!(pair.step(give_up), "seed {seed}, {fec:?}, {slice_bytes}: {:?}", pair.sender);
                }
                // Their bytes, metadata and times are looked at as they come.
                assert_eq!(pair.delivered, (0..30).collect::<Vec<_>>(), "seed {seed}, {fec:?}, {slice_bytes}");
                pair.check_counters(false);
                let restored = pair.receiver.as_ref().unwrap().stats().slices_restored;
                assert!(restored > 0 || fec != Fec::Percent(20) || slice_bytes > 60_000, "seed {seed}, {slice_bytes}");
            }
        }
    }
}

#[test]
fn a_frame_without_its_metadata_is_not_complete_and_is_handed_on_without_any() {
    let mut pair = Pair::with_interval(5, Delivery::Latest, 30_000, 1_472, INTERVAL, stormy());
    pair.set_varied();
    pair.partial = true;
    pair.weather.lost = 300;
    let now = pair.now;
    pair.sender.set_utc(wall(now, 0));
    film(&mut pair, 300);
    // Whole ones are held against what was sent, torn ones have neither metadata nor a time of their own.
    assert!(pair.delivered.len() > 20 && pair.torn.len() > 20, "{} {}", pair.delivered.len(), pair.torn.len());
    assert!(pair.torn.iter().any(|(_, missing)| *missing == 0), "of none nothing but the metadata is missing");
}

/// Where the sender's wall clock stands at `now`, set by so much.
fn wall(now: Time, set_by: i64) -> Option<UtcOffset> {
    let right = SystemTime::UNIX_EPOCH + BOOT + now.since(Time::ZERO);
    let shown = match u64::try_from(set_by) {
        Ok(ahead) => right + Duration::from_secs(ahead),
        Err(_) => right - Duration::from_secs(set_by.unsigned_abs()),
    };
    UtcOffset::new(now, shown, Some(Duration::from_millis(2)))
}

#[test]
fn a_wall_clock_that_is_set_by_an_hour_moves_the_utc_of_frames_and_neither_their_order_nor_their_latency() {
    for set_by in [3_600, -3_600] {
        let weather = Weather { latency: Duration::from_millis(2), ..Weather::FAIR };
        let mut pair = Pair::with_interval(1, Delivery::Latest, 5_000, 1_472, INTERVAL, weather);
        let now = pair.now;
        pair.sender.set_utc(wall(now, 0));
        let before = film(&mut pair, 60);
        let now = pair.now;
        pair.sender.set_utc(wall(now, set_by));
        let after = film(&mut pair, 60);
        let all: Vec<_> = before.iter().chain(&after).collect();
        assert!(all.len() > 110, "{}", all.len());
        for pair in all.windows(2) {
            assert!(pair[0].number < pair[1].number);
            let apart = pair[1].captured_there.since(pair[0].captured_there);
            assert_eq!(apart.as_nanos() % INTERVAL.as_nanos(), 0);
        }
        // The first ones wait for the opening, and come before the clocks are known.
        let latencies: Vec<_> = all.iter().skip(10).filter_map(|frame| frame.latency).collect();
        let (least, most) = (latencies.iter().min().unwrap(), latencies.iter().max().unwrap());
        assert!(latencies.len() > 100 && *most - *least < Duration::from_millis(1), "{least:?} to {most:?}");
        let right = |frame: &FrameInfo| SystemTime::UNIX_EPOCH + BOOT + frame.captured_there.since(Time::ZERO);
        for frame in &before {
            assert_eq!(frame.captured_utc, Some(right(frame)));
            assert_eq!(frame.utc_error, Some(Duration::from_millis(2)));
        }
        // A ping tells of it, within a second.
        let last = after.last().unwrap();
        let shown = right(last).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().cast_signed() + set_by;
        let told = last.captured_utc.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(told.cast_signed(), shown);
    }
}

#[test]
fn a_ping_that_was_overtaken_tells_of_no_wall_clock_and_a_later_run_that_knows_none_of_none() {
    let mut pair = Pair::with_interval(1, Delivery::Latest, 5_000, 1_472, INTERVAL, Weather::FAIR);
    let now = pair.now;
    pair.sender.set_utc(wall(now, 0));
    film(&mut pair, 30);
    let ping = |sender_ns, utc_ns| Ping {
        stream: 77,
        epoch: pair.receiver.as_ref().unwrap().epoch(),
        flags: 0,
        length: Ping::LEN as u16,
        sender_ns,
        sequence: 0,
        frame: 0,
        echo_ns: TIME_UNKNOWN,
        echo_held_ns: 0,
        skipped: 0,
        no_credit: 0,
        utc_ns,
        utc_error_us: 0,
    };
    let overtaken = ping(pair.now.as_nanos() / 2, 1);
    pair.take_in(&overtaken.emit());
    let told = film(&mut pair, 3).last().unwrap().captured_utc.unwrap();
    assert!(told > SystemTime::UNIX_EPOCH + BOOT, "{told:?}");
    // To the same address, with a wall clock that is gone.
    pair.sender.set_utc(None);
    let now = pair.now;
    pair.sender.handle_redirect(28, now);
    assert_eq!(film(&mut pair, 10).last().unwrap().captured_utc, None);
}

#[test]
fn a_tail_longer_than_was_agreed_is_refused_though_the_frame_is_no_longer_than_the_longest() {
    let format = FrameFormat::new(PixelFormat::Bytes, 1_000, 1).unwrap();
    for (tail_max, tail, taken) in [(0, 1, false), (0, 0, true), (10, 10, true), (10, 11, false)] {
        let cut = Cut::new(1_000 + tail_max, 1_472);
        let pool = FramePool::new(2, Reassembler::slot_bytes(&cut)).unwrap();
        let config = ReassemblerConfig {
            format,
            cut,
            delivery: Delivery::Every,
            first_frame: 0,
            parity_max: 0,
            partial: false,
            batch_max: 4,
        };
        let mut reassembler = Reassembler::new(config, pool).unwrap();
        let slice = SliceHeader {
            stream: 77,
            epoch: 1,
            flags: 0,
            tail,
            sequence: 0,
            frame: 0,
            captured_ns: 0,
            frame_bytes: 500,
            index: 0,
            sent_after_us: 0,
        };
        reassembler.predict(1);
        assert_eq!(reassembler.handle_slice(&slice, 0, Time::ZERO), taken, "{tail} of {tail_max}");
    }
}

#[test]
fn a_frame_is_published_only_where_the_stream_has_room_for_all_of_it() {
    let format = FrameFormat::new(PixelFormat::Bytes, 100, 1).unwrap();
    let pool = FramePool::for_format(1, format).unwrap();
    let frame = |length, metadata: usize| {
        let mut frame = pool.try_acquire().unwrap();
        frame.set_len(length).unwrap();
        frame.set_metadata(MetadataKind::Json, &vec![b' '; metadata]).unwrap();
        frame.freeze()
    };
    let takes = |tail_max: usize, length, metadata| {
        let mut publication = Publication::new(format, Delivery::Every).with_tails(tail_max as u16);
        publication.publish(frame(length, metadata)).is_ok()
    };
    assert!(takes(0, 1, 0) && takes(0, 100, 0) && takes(TAIL_MAX, 50, METADATA_MAX) && takes(10, 50, 10));
    assert!(!takes(0, 0, 0) && !takes(0, 50, 1) && !takes(10, 50, 11));
}
