//! A sender that is dropped: what it took arrives, and its stream is closed, within the time it has.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use framewire_testing::PATIENCE;
use framewire_transport::receive::EndReason;
use framewire_transport::{Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig};

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap()
}

fn send(sender: &Sender, frames: u8) {
    for shade in 0..frames {
        let mut frame = sender.frame().unwrap();
        frame.fill(shade);
        sender.send(frame).unwrap();
    }
}

#[test]
fn every_frame_that_a_dropped_sender_took_arrives_and_the_receiver_hears_of_the_close() {
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::default()).unwrap();
    let config = SenderConfig::new(format()).delivery(Delivery::Every).linger(PATIENCE);
    // At once, before the stream is open.
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    send(&sender, 3);
    drop(sender);
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    let shades: Vec<u8> = stream.frames().map(Result::unwrap).map(|frame| frame[0]).collect();
    assert_eq!(shades, [0, 1, 2]);
    assert_eq!(stream.end_reason(), Some(EndReason::Closed));
}

#[test]
fn a_sender_dropped_with_an_open_stream_and_nothing_to_send_closes_it() {
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::default()).unwrap();
    let config = SenderConfig::new(format()).linger(PATIENCE);
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    sender.wait_until_open(PATIENCE).unwrap();
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    drop(sender);
    assert_eq!(stream.frames().count(), 0);
    assert_eq!(stream.end_reason(), Some(EndReason::Closed));
}

#[test]
fn with_no_time_to_linger_a_sender_is_dropped_without_a_word() {
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::default()).unwrap();
    let config = SenderConfig::new(format()).linger(Duration::ZERO);
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    sender.wait_until_open(PATIENCE).unwrap();
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    drop(sender);
    assert_eq!(stream.frames().count(), 0);
    assert_eq!(stream.end_reason(), Some(EndReason::Silent));
}

#[test]
fn a_sender_that_nobody_answers_is_dropped_when_its_time_is_over_and_at_once_where_it_was_told_to_close() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let connect = |linger| {
        let config = SenderConfig::new(format()).linger(linger);
        Sender::connect(nobody.local_addr().unwrap(), config).unwrap()
    };
    let sender = connect(Duration::from_millis(20));
    send(&sender, 1);
    let began = Instant::now();
    drop(sender);
    // No sooner: the time is there to be used.
    assert!(began.elapsed() >= Duration::from_millis(20));
    // Else these would hang.
    let sender = connect(Duration::MAX);
    send(&sender, 1);
    assert!(sender.close(Duration::from_millis(1)).is_err());
    drop(sender);
    drop(connect(Duration::MAX));
}
