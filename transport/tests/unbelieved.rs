//! Numbers that the far end says of a stream and that cannot be, and answers that would have it asked for ever.
#![allow(missing_docs)]

use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};
use framewire_transport::receive::{self, Reassembler, ReceiveConfig, ReceiveStream};
use framewire_transport::send::{CONTROL_MAX, Publication, SendConfig, SendState, Subscriber};
use framewire_transport::wire::{
    Accept, Challenge, Close, Closed, Delivery, FRAME_NUMBER_END, Open, Ping, TIME_UNKNOWN,
};

const STREAM: u32 = 7;
const EPOCH: u32 = 1;

fn sender(delivery: Delivery) -> (Publication, Subscriber, FramePool) {
    let format = FrameFormat::new(PixelFormat::Gray8, 20, 1).unwrap();
    let config = SendConfig::new(STREAM, EPOCH, format, delivery, 548);
    let pool = FramePool::new(2, format.frame_bytes()).unwrap();
    let publication = Publication::new(format, delivery);
    let sender = publication.subscribe(config, Time::ZERO);
    (publication, sender, pool)
}

/// What it says until `end` of the network's time, where `answer` gives the far end's answer to each datagram 100 µs later.
fn talk(sender: &mut Subscriber, end: Duration, mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Vec<Vec<u8>> {
    let (mut now, mut said) = (Time::ZERO, Vec::new());
    let mut bytes = [0; CONTROL_MAX];
    while now < Time::ZERO + end {
        let mut answers = Vec::new();
        while let Some(len) = sender.poll_transmit(now, &mut bytes) {
            answers.extend(answer(&bytes[..len]));
            said.push(bytes[..len].to_vec());
        }
        let next = if answers.is_empty() { sender.poll_timeout() } else { now + Duration::from_micros(100) };
        now = next.max(now + Duration::from_micros(1));
        answers.iter().for_each(|answer| sender.handle_datagram(answer, now));
        sender.handle_timeout(now);
    }
    said
}

#[test]
fn a_receiver_with_another_cookie_for_every_opening_is_not_asked_as_fast_as_the_path_goes() {
    let (_, mut sender, _) = sender(Delivery::Every);
    let mut cookie = 0;
    let said = talk(&mut sender, Duration::from_secs(8), |bytes| {
        let open = Open::parse(bytes).ok()?;
        cookie += 1;
        assert!(open.cookie < cookie);
        let path_bytes = bytes.len() as u16;
        Some(Challenge { stream: STREAM, epoch: EPOCH, flags: 0, path_bytes, cookie }.emit().to_vec())
    });
    // Twice in 20 ms at most.
    assert!((16..=800).contains(&said.len()), "{} openings", said.len());
}

#[test]
fn the_first_challenge_is_answered_at_once() {
    let (_, mut sender, _) = sender(Delivery::Every);
    let challenge = Challenge { stream: STREAM, epoch: EPOCH, flags: 0, path_bytes: 0, cookie: 9 }.emit();
    let said = talk(&mut sender, Duration::from_millis(1), |_| Some(challenge.to_vec()));
    assert_eq!(said.iter().map(|open| Open::parse(open).unwrap().cookie).collect::<Vec<_>>(), [0, 9]);
}

#[test]
fn no_more_became_of_frames_than_there_were() {
    let (mut publication, mut sender, pool) = sender(Delivery::Latest);
    let said = talk(&mut sender, Duration::from_millis(1), |bytes| {
        let open = Open::parse(bytes).ok()?;
        let accept = Accept {
            stream: STREAM,
            epoch: EPOCH,
            flags: 0,
            path_bytes: bytes.len() as u16,
            frame_limit: 100,
            sequence_limit: 100,
            receiver_ns: 0,
            echo_ns: open.sender_ns,
            delivered: 0,
            buffer_bytes: 400_000,
            slots: 4,
        };
        Some(accept.emit().to_vec())
    });
    assert!(!said.is_empty() && sender.state() == SendState::Open, "{:?}", sender.state());
    let now = Time::ZERO + Duration::from_millis(2);
    let published = publication.publish(pool.try_acquire().unwrap().freeze()).unwrap();
    sender.handle_frame(&published, now).unwrap();
    sender.close(now);
    let mut bytes = [0; CONTROL_MAX];
    let mut said_to_close = false;
    for millis in 2..200 {
        let now = Time::ZERO + Duration::from_millis(millis);
        sender.handle_timeout(now);
        while sender.poll_slices(&mut publication, 64, now).is_some() {}
        while let Some(len) = sender.poll_transmit(now, &mut bytes) {
            said_to_close |= Close::parse(&bytes[..len]).is_ok();
        }
    }
    assert!(said_to_close);
    let closed = Closed {
        stream: STREAM,
        epoch: EPOCH,
        flags: 0,
        reserved: 0,
        delivered: u64::MAX,
        incomplete: u64::MAX,
        no_slot: u64::MAX,
    };
    sender.handle_datagram(&closed.emit(), now);
    let SendState::Closed(report) = sender.state() else { panic!("{:?}", sender.state()) };
    assert_eq!((report.delivered, report.incomplete, report.no_slot), (1, 1, 1));
}

fn receiver() -> ReceiveStream {
    let (_, mut sender, _) = sender(Delivery::Every);
    let mut bytes = [0; CONTROL_MAX];
    let len = sender.poll_transmit(Time::ZERO, &mut bytes).unwrap();
    let open = Open::parse(&bytes[..len]).unwrap();
    let config = ReceiveConfig {
        open,
        sealed: None,
        open_bytes: len,
        buffer_bytes: 400_000,
        batch_max: 16,
        partial: false,
        clock_id: 0,
    };
    let pool = FramePool::new(4, Reassembler::slot_bytes(&config.cut())).unwrap();
    ReceiveStream::new(config, pool, Time::ZERO).unwrap()
}

#[test]
fn a_ping_with_more_skipped_than_frames_changes_no_count() {
    let mut receiver = receiver();
    let ping = |frame, skipped, no_credit| Ping {
        stream: STREAM,
        epoch: EPOCH,
        flags: 0,
        length: Ping::LEN as u16,
        sender_ns: 0,
        sequence: 0,
        frame,
        echo_ns: TIME_UNKNOWN,
        echo_held_ns: 0,
        skipped,
        no_credit,
        utc_ns: TIME_UNKNOWN,
        utc_error_us: 0,
    };
    for (frame, skipped, no_credit) in [(2, u64::MAX, u64::MAX), (2, FRAME_NUMBER_END + 1, 0), (2, 1, 2)] {
        hear(&mut receiver, &ping(frame, skipped, no_credit));
    }
    assert_eq!((receiver.source().skipped, receiver.source().no_credit), (0, 0));
    assert_eq!(receiver.stats().rejected.malformed, 3);
    // What cannot have been skipped of these frames is not counted as if it had.
    hear(&mut receiver, &ping(2, FRAME_NUMBER_END, FRAME_NUMBER_END));
    assert_eq!((receiver.source().skipped, receiver.source().no_credit), (2, 2));
}

fn hear(receiver: &mut ReceiveStream, ping: &Ping) {
    receiver.predict(1);
    let (head, rest) = {
        let bytes = ping.emit();
        let at = bytes.len().min(receiver.cut().head_bytes());
        (bytes[..at].to_vec(), bytes[at..].to_vec())
    };
    receiver.land(0, &rest);
    receiver.handle_datagram(0, &head, head.len() + rest.len(), Time::ZERO);
    receiver.end_batch(Time::ZERO);
    let mut out = [0; receive::CONTROL_MAX];
    while receiver.poll_transmit(Time::ZERO, &mut out).is_some() {}
}
