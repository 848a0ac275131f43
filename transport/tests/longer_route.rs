//! Real senders and receivers over a relay that keeps datagrams for longer from one moment on, as when a route changes.
#![allow(missing_docs)]

mod relay;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use framewire_transport::frame::{FrameRate, Presentation};
use framewire_transport::{Delivery, FrameFormat, PixelFormat, ReceiverConfig, Sender, SenderConfig};
use relay::with_relay;

const CAMERA: Duration = Duration::from_nanos(1_000_000_000 / 60);
/// A camera's second.
const SECOND: u64 = 60;

/// A camera's next frame: due a camera's interval after the last, or now where this machine is late.
fn capture(sender: &Sender, due: &mut Instant) {
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
    *due = (*due + CAMERA).max(Instant::now());
    match sender.frame_timeout(Duration::ZERO).unwrap() {
        Some(frame) => drop(sender.send(frame).unwrap()),
        None => sender.skip(),
    }
}

#[test]
fn latest_is_at_its_full_rate_again_after_the_route_became_longer() {
    let format = FrameFormat::new(PixelFormat::Gray8, 160, 120).unwrap();
    let presentation = Presentation::UNKNOWN.rate(FrameRate::per_second(60).ok());
    let config = SenderConfig::new(format).delivery(Delivery::Latest).presentation(presentation);
    with_relay(ReceiverConfig::default(), 65_507, config, |relay, receiver, sender| {
        relay.delay_us.store(100, Ordering::Release);
        let arrived = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let stream = receiver.accept().unwrap();
                stream.frames().map(Result::unwrap).for_each(|_| {
                    arrived.fetch_add(1, Ordering::AcqRel);
                });
            });
            let mut due = Instant::now();
            (0..3 * SECOND).for_each(|_| capture(&sender, &mut due));
            relay.delay_us.store(25_000, Ordering::Release);
            // A second of frames in which nearly all arrive. Where the old route was remembered for ever, a third do, for ever. This
            // machine may be busy: there are many seconds to find one in, and how long they take is not looked at.
            let full = (0..60).find(|second| {
                let before = arrived.load(Ordering::Acquire);
                (0..SECOND).for_each(|_| capture(&sender, &mut due));
                let arrived = arrived.load(Ordering::Acquire) - before;
                println!("second {second}: {arrived} of {SECOND} frames");
                arrived >= SECOND * 9 / 10 && *second > 1
            });
            let stats = sender.stats();
            drop(sender);
            assert!(full.is_some(), "{stats:?}");
        });
    });
}
