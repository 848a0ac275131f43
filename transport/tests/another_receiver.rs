//! A stream that goes on with another receiver, which has another key, when the one before it is gone: what a client does whose server dies. Each frame has one fate, and the accounts
//! of all three add up.
#![allow(missing_docs)]

use std::time::Duration;

use framewire_testing::{PATIENCE, wait_for, wait_until};
use framewire_transport::{
    ConsumerPolicy, Delivery, FrameFormat, IncomingStream, Key, PixelFormat, Receiver, ReceiverConfig, Sender,
    SenderConfig,
};

fn receiver(key: &Key) -> Receiver {
    let config = ReceiverConfig::new().keys(vec![key.clone()]).latest_policy(ConsumerPolicy::Queue(6)).slots(16);
    Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap()
}

fn send(sender: &Sender) {
    let mut frame = sender.frame().unwrap();
    let shade = sender.stats().frames as u8;
    frame.fill(shade);
    sender.send(frame).unwrap();
}

/// Takes a frame, where one comes in time; its number, after a look at the bytes.
fn take(stream: &IncomingStream, numbers: &mut Vec<u64>, timeout: Duration) -> bool {
    let Ok(frame) = stream.recv_timeout(timeout) else { return false };
    let number = frame.info().number;
    assert!(frame.iter().all(|byte| *byte == number as u8), "frame {number} is another");
    numbers.push(number);
    true
}

#[test]
fn the_accounts_of_both_receivers_and_the_sender_add_up_over_a_failover() {
    for delivery in [Delivery::Latest, Delivery::Every] {
        let keys = [Key::random().unwrap(), Key::random().unwrap()];
        let (first, second) = (receiver(&keys[0]), receiver(&keys[1]));
        let format = FrameFormat::new(PixelFormat::Gray8, 320, 240).unwrap();
        let config = SenderConfig::new(format).delivery(delivery).key(keys[0].clone()).stream(7);
        let sender = Sender::connect(first.local_addr(), config).unwrap();
        let here = first.accept_timeout(PATIENCE).unwrap();
        // In `latest` one may make room for the next.
        let soon = if delivery == Delivery::Every { PATIENCE } else { Duration::from_millis(5) };
        let mut numbers_here = Vec::new();
        wait_until("20 frames", || {
            send(&sender);
            take(&here, &mut numbers_here, soon);
            numbers_here.len() >= 20
        });
        sender.wait_until_settled(PATIENCE).unwrap();
        // It dies with a frame on its way.
        send(&sender);
        drop((here, first));
        sender.set_key(keys[1].clone());
        sender.redirect(second.local_addr());
        let there = second.accept_timeout(PATIENCE).unwrap();
        assert!(there.info().protection.is_some());
        let mut numbers_there = Vec::new();
        wait_for("20 frames there", || {
            send(&sender);
            while take(&there, &mut numbers_there, Duration::from_millis(5)) {}
            if numbers_there.len() >= 20 { Ok(()) } else { Err(format!("{:?}", sender.stats())) }
        });
        let report = std::thread::scope(|scope| {
            let closing = scope.spawn(|| sender.close(PATIENCE).unwrap());
            while take(&there, &mut numbers_there, PATIENCE) {}
            closing.join().unwrap()
        });
        let (sent, seen, source) = (sender.stats(), there.stats(), there.source());
        let context = format!("{delivery:?}: {sent:?} {seen:?} {source:?}");
        assert_eq!(sent.frames, sent.frames_sent + sent.frames_skipped + sent.frames_abandoned, "{context}");
        assert_eq!(seen.first_frame + seen.frames_passed, sent.frames, "{context}");
        assert_eq!(seen.frames_delivered, numbers_there.len() as u64, "{context}");
        let fates = seen.frames_delivered + seen.frames_incomplete + seen.frames_no_slot;
        assert_eq!(seen.frames_passed, fates + source.skipped + source.lost, "{context}");
        assert!(seen.first_frame > 0 && sent.restarts > 0, "{context}");
        assert_eq!(report.incomplete, seen.frames_incomplete, "{context}");
        // Nothing that the first one had handed on is lost or comes in another order at the second.
        assert!(numbers_there.is_sorted_by(|one, next| one < next), "{numbers_there:?}");
        if delivery == Delivery::Every {
            // What the first one has confirmed is not sent again, and everything else is there.
            assert_eq!(numbers_there, (seen.first_frame..sent.frames).collect::<Vec<_>>(), "{context}");
            assert!((20..=21).contains(&seen.first_frame) && numbers_here.len() == 20, "{context}: {numbers_here:?}");
        }
    }
}
