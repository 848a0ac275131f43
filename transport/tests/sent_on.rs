//! Frames that are sent on by the process that receives them, from the slots that they landed in.
#![allow(missing_docs)]

use std::time::Duration;

use framewire_testing::PATIENCE;
use framewire_transport::driver::SendError;
use framewire_transport::{Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig};

const FRAMES: u64 = 60;

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap()
}

fn every() -> SenderConfig {
    SenderConfig::new(format()).delivery(Delivery::Every)
}

#[test]
fn what_is_received_is_sent_on_from_where_it_is_under_numbers_of_the_streams_own() {
    let [here, there] = [(); 2].map(|()| Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::default()));
    let (here, there) = (here.unwrap(), there.unwrap());
    let camera = Sender::connect(here.local_addr(), every()).unwrap();
    let relay = Sender::connect(there.local_addr(), every()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..FRAMES {
                let mut frame = camera.frame().unwrap();
                frame.fill(number as u8);
                camera.send(frame).unwrap();
            }
            camera.close(PATIENCE).unwrap();
        });
        let relaying = scope.spawn(|| {
            let incoming = here.accept_timeout(PATIENCE).unwrap();
            let mut numbers = Vec::new();
            // It begins in the middle, so that its numbers are not those of what it sends.
            for frame in incoming.frames().map(Result::unwrap).filter(|frame| frame.info().number >= 10) {
                let number = frame.info().number;
                numbers.push((number, relay.send_shared(frame).unwrap()));
            }
            assert_eq!(relay.close(PATIENCE).unwrap().delivered, FRAMES - 10);
            numbers
        });
        let outgoing = there.accept_timeout(PATIENCE).unwrap();
        let mut next = 0;
        for frame in outgoing.frames().map(Result::unwrap) {
            assert_eq!(frame.info().number, next);
            assert!(frame.iter().all(|byte| u64::from(*byte) == next + 10), "frame {next}");
            next += 1;
        }
        assert_eq!(next, FRAMES - 10);
        let numbers = relaying.join().unwrap();
        assert_eq!(numbers, (10..FRAMES).map(|number| (number, number - 10)).collect::<Vec<_>>());
    });
}

#[test]
fn more_frames_than_a_pool_has_slots_are_skipped_in_latest_and_the_stream_goes_on() {
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::default()).unwrap();
    let sender = Sender::connect(receiver.local_addr(), SenderConfig::new(format())).unwrap();
    let frame = sender.frame().unwrap().freeze();
    for number in 0..1_000 {
        assert_eq!(sender.send_shared(frame.clone()).unwrap(), number);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| receiver.accept_timeout(PATIENCE).unwrap().frames().count());
        sender.skip();
        sender.wait_until_settled(PATIENCE).unwrap();
        let report = sender.close(PATIENCE).unwrap();
        let stats = sender.stats();
        assert_eq!((stats.frames, stats.frames_delivered), (1_001, report.delivered));
        assert_eq!(stats.frames, stats.frames_sent + stats.frames_skipped + stats.frames_abandoned);
    });
}

#[test]
fn a_frame_of_another_length_is_not_sent_on() {
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), ReceiverConfig::default()).unwrap();
    let small = FrameFormat::new(PixelFormat::Gray8, 64, 48).unwrap();
    let other = Sender::connect(receiver.local_addr(), SenderConfig::new(small).linger(Duration::ZERO));
    let sender = Sender::connect(receiver.local_addr(), every().linger(Duration::ZERO)).unwrap();
    let frame = other.unwrap().frame().unwrap().freeze();
    let error = sender.send_shared(frame).unwrap_err();
    assert!(matches!(error, SendError::Length { bytes: 3_072, .. }), "{error}");
}
