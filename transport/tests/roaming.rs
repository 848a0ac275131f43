//! A sender whose address changes under it, as behind a router that has forgotten the connection: the stream goes on.
#![allow(missing_docs)]

mod relay;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use framewire_testing::PATIENCE;
use framewire_transport::driver::Admission;
use framewire_transport::{
    BackendKind, Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig,
};
use relay::with_relay;

const FRAMES_EACH: u64 = 20;
const ADDRESSES: u64 = 4;

fn send(sender: &Sender, frames: std::ops::Range<u64>) {
    for number in frames {
        let mut frame = sender.frame().unwrap();
        frame.fill(number as u8);
        sender.send(frame).unwrap();
    }
}

fn numbers(receiver: &Receiver) -> Vec<u64> {
    let stream = receiver.accept_timeout(PATIENCE).unwrap();
    let numbers = stream.frames().map(Result::unwrap).map(|frame| {
        assert!(frame.iter().all(|byte| *byte == frame.info().number as u8), "frame {}", frame.info().number);
        frame.info().number
    });
    numbers.collect()
}

#[test]
fn in_every_all_frames_arrive_on_the_same_stream_whichever_port_they_come_from() {
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    for backend in BackendKind::ALL.iter().copied() {
        let to = ReceiverConfig::new().backend(backend);
        let from = SenderConfig::new(format).delivery(Delivery::Every).backend(backend);
        with_relay(to, 9_000, from, |relay, receiver, sender| {
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| numbers(receiver));
                let mut longest = Duration::ZERO;
                for nth in 0..ADDRESSES {
                    let changed = Instant::now();
                    send(&sender, nth * FRAMES_EACH..(nth + 1) * FRAMES_EACH);
                    sender.wait_until_settled(PATIENCE).unwrap();
                    if nth > 0 {
                        longest = longest.max(changed.elapsed());
                    }
                    relay.rebind();
                }
                let report = sender.close(PATIENCE).unwrap();
                assert_eq!(reader.join().unwrap(), (0..ADDRESSES * FRAMES_EACH).collect::<Vec<_>>(), "{backend}");
                assert_eq!(report.delivered, ADDRESSES * FRAMES_EACH, "{backend}");
                let (stats, moved) = (sender.stats(), receiver.stats());
                assert_eq!((moved.opened, moved.moved), (1, ADDRESSES), "{backend}: {moved:?} {stats:?}");
                println!("{backend}: at most {longest:?} for {FRAMES_EACH} frames from a new port");
            });
        });
    }
}

#[test]
fn a_close_whose_answers_are_lost_is_answered_again_though_the_consumer_is_gone() {
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    for delivery in [Delivery::Every, Delivery::Latest] {
        let to = ReceiverConfig::new().admission(Admission::Announced);
        let from = SenderConfig::new(format).delivery(delivery).stream(7);
        with_relay(to, 9_000, from, |relay, receiver, sender| {
            receiver.announce(7, format).unwrap();
            relay.closed_lost.store(4, Ordering::Release);
            std::thread::scope(|scope| {
                // It drops the stream at its end, and would not take it again.
                let reader = scope.spawn(|| {
                    let frames = numbers(receiver).len();
                    receiver.retract(7);
                    frames
                });
                send(&sender, 0..1);
                sender.wait_until_settled(PATIENCE).unwrap();
                let report = sender.close(PATIENCE).unwrap();
                assert_eq!((report.delivered, reader.join().unwrap()), (1, 1));
                assert_eq!(relay.closed_lost.load(Ordering::Acquire), 0);
            });
        });
    }
}
