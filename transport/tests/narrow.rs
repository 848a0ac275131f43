//! Real senders and receivers over a relay that drops what is too long: slices become smaller, and no frame is lost.
#![allow(missing_docs)]

mod relay;

use std::sync::atomic::Ordering;

use framewire_testing::PATIENCE;
use framewire_transport::driver::{SendError, SliceSize};
use framewire_transport::{
    BackendKind, Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig,
};

use relay::{Relay, with_relay};

fn format() -> FrameFormat {
    FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap()
}

fn over_relay(backend: BackendKind, limit: usize, slice: SliceSize, test: impl FnOnce(&Relay, &Receiver, Sender)) {
    let receiver = ReceiverConfig::new().backend(backend);
    let sender = SenderConfig::new(format()).delivery(Delivery::Every).backend(backend).slice(slice);
    with_relay(receiver, limit, sender, test);
}

fn send(sender: &Sender, frames: std::ops::Range<u64>) {
    for number in frames {
        let mut frame = sender.frame().unwrap();
        frame.fill(number as u8);
        sender.send(frame).unwrap();
    }
}

#[test]
fn every_frame_arrives_over_a_path_that_is_narrow_or_becomes_so() {
    for backend in BackendKind::ALL {
        over_relay(*backend, 9_000, SliceSize::Auto, |relay, receiver, sender| {
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    let stream = receiver.accept().unwrap();
                    let whole = |number: u64, frame: &[u8]| frame.iter().all(|byte| *byte == number as u8);
                    let numbers: Vec<_> = stream
                        .frames()
                        .map(Result::unwrap)
                        .inspect(|frame| assert!(whole(frame.info().number, frame), "frame {}", frame.info().number))
                        .map(|frame| frame.info().number)
                        .collect();
                    (numbers, stream.slice_bytes())
                });
                send(&sender, 0..20);
                sender.wait_until_settled(PATIENCE).unwrap();
                assert_eq!(sender.slice_bytes(), 8_952, "{backend}");
                relay.limit.store(1_500, Ordering::Release);
                send(&sender, 20..60);
                let report = sender.close(PATIENCE).unwrap();
                let (numbers, slice_bytes) = reader.join().unwrap();
                assert_eq!(numbers, (0..60).collect::<Vec<_>>(), "{backend}");
                assert_eq!((report.delivered, sender.slice_bytes(), slice_bytes), (60, 1_452, 1_452), "{backend}");
            });
        });
    }
}

#[test]
fn slices_of_a_size_that_was_asked_for_and_does_not_get_through_end_the_stream_with_a_remedy() {
    over_relay(BackendKind::Auto, 9_000, SliceSize::Bytes(20_000), |_, _, sender| {
        let frame = sender.frame().unwrap();
        sender.send(frame).unwrap();
        let failed = sender.wait_until_settled(PATIENCE).unwrap_err();
        assert!(matches!(failed, SendError::Failed { .. }), "{failed}");
        let text = failed.to_string();
        assert!(text.contains("20000 bytes") && text.contains("--slice"), "{text}");
    });
}
