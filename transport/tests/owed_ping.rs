//! The ping that measures the round trip on an empty way, ahead of a frame: where the socket does not take it, it is owed.
#![allow(missing_docs)]

use std::time::Duration;

use framewire_transport::frame::{FramePool, FrameRate, Presentation};
use framewire_transport::send::{CONTROL_MAX, Publication, SendConfig, SendState, Subscriber};
use framewire_transport::wire::{Accept, Delivery, Feedback, Kind, Prelude, SLICE_BYTES_MIN, TIME_UNKNOWN};
use framewire_transport::{FrameFormat, PixelFormat, Time};

const FRAME_BYTES: u32 = 2_000;
const ROUND_TRIP: Duration = Duration::from_millis(50);
/// As the sender's own: so soon what is owed is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// What the sender says now.
fn says(sender: &mut Subscriber, now: Time) -> Vec<Kind> {
    let mut bytes = [0; CONTROL_MAX];
    let mut kinds = Vec::new();
    while let Some(len) = sender.poll_transmit(now, &mut bytes) {
        kinds.push(Prelude::parse(&bytes[..len]).unwrap().kind);
    }
    kinds
}

/// A stream over a way of [`ROUND_TRIP`] which was measured so long ago that it is measured anew: with its next frame, that is held
/// for it.
fn measuring() -> (Publication, Subscriber, Time) {
    let (stream, epoch, delivery) = (7, 1, Delivery::Latest);
    let opened = Time::from_nanos(10_000_000_000);
    let format = FrameFormat::new(PixelFormat::Gray8, FRAME_BYTES, 1).unwrap();
    let mut publication = Publication::new(format, delivery);
    let presentation = Presentation::UNKNOWN.rate(FrameRate::per_second(10).ok());
    let slice_bytes = SLICE_BYTES_MIN as u16;
    let config = SendConfig { presentation, ..SendConfig::new(stream, epoch, format, delivery, slice_bytes) };
    let mut sender = publication.subscribe(config, opened);
    assert_eq!(says(&mut sender, opened), [Kind::Open]);
    let accept = Accept {
        stream,
        epoch,
        flags: 0,
        path_bytes: slice_bytes,
        frame_limit: 100,
        sequence_limit: 100,
        receiver_ns: 1,
        echo_ns: opened.as_nanos(),
        delivered: 0,
        buffer_bytes: 100_000,
        slots: 4,
    };
    sender.handle_datagram(&accept.emit(), opened + ROUND_TRIP);
    assert_eq!((sender.state(), sender.round_trip()), (SendState::Open, ROUND_TRIP));
    // It is heard all the while, but nothing that it says tells how long the way is.
    let mut now = opened + ROUND_TRIP;
    for report in 0..45 {
        now = now + Duration::from_millis(100);
        sender.handle_timeout(now);
        says(&mut sender, now);
        let feedback = Feedback {
            stream,
            epoch,
            flags: 0,
            path_bytes: slice_bytes,
            report,
            settled: 0,
            frame_limit: 100,
            sequence_seen: 0,
            sequence_limit: 100,
            delivered: 0,
            arrived: 0,
            receiver_ns: 1,
            echo_ns: TIME_UNKNOWN,
            echo_held_ns: 0,
        };
        sender.handle_datagram(&feedback.emit(), now);
    }
    assert_eq!((sender.state(), sender.round_trip()), (SendState::Open, ROUND_TRIP));
    let pool = FramePool::new(1, FRAME_BYTES as usize).unwrap();
    let published = publication.publish(pool.try_acquire().unwrap().freeze()).unwrap();
    sender.handle_frame(&published, now).unwrap();
    assert!(sender.poll_slices(&mut publication, 100, now).is_none(), "the frame waits for the ping");
    (publication, sender, now)
}

#[test]
fn a_measuring_ping_that_did_not_leave_is_tried_again_at_once_until_it_does() {
    let (mut publication, mut sender, mut now) = measuring();
    for _ in 0..3 {
        assert_eq!(says(&mut sender, now), [Kind::Ping]);
        sender.handle_not_sent();
        assert!(sender.poll_timeout() <= now + TRIED_AGAIN_AFTER);
        assert_eq!(says(&mut sender, now), [], "a socket that fails is not asked over and over");
        now = now + TRIED_AGAIN_AFTER;
    }
    assert_eq!(says(&mut sender, now), [Kind::Ping]);
    assert_eq!(says(&mut sender, now + 2 * TRIED_AGAIN_AFTER), [], "it has left");
    assert!(sender.poll_slices(&mut publication, 100, now).is_some(), "the frame is held by nothing any more");
}

#[test]
fn a_measuring_ping_that_left_is_not_sent_again() {
    let (_, mut sender, now) = measuring();
    assert_eq!(says(&mut sender, now), [Kind::Ping]);
    assert_eq!(says(&mut sender, now + 2 * TRIED_AGAIN_AFTER), []);
}
