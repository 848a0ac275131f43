//! One stream, two consumers of it in one process: a recorder that gets every frame and a display that gets the newest. They share
//! the frames' memory, and neither slows the other down.

use std::error::Error;
use std::time::Duration;

use framewire_transport::{
    Consumer, ConsumerPolicy, Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig,
};

const FRAMES: u64 = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let receiver = Receiver::bind("127.0.0.1:0".parse()?, ReceiverConfig::new())?;
    let format = FrameFormat::new(PixelFormat::Bgr24, 320, 240)?;
    let sender = Sender::connect(receiver.local_addr(), SenderConfig::new(format).delivery(Delivery::Every))?;

    let stream = receiver.accept()?;
    // Before the first frame is sent, so that it misses none.
    let display = stream.subscribe(ConsumerPolicy::Latest);
    let (recorded, shown) = std::thread::scope(|scope| {
        let recorder = scope.spawn(|| record(stream.frames()));
        let display = scope.spawn(|| show(&display));
        scope.spawn(move || {
            for number in 0..FRAMES {
                let mut frame = sender.frame().expect("the stream goes on");
                frame.fill(number as u8);
                sender.send(frame).expect("the stream goes on");
            }
            sender.finish(Duration::from_secs(10)).expect("all frames are taken");
        });
        (recorder.join().expect("it does not panic"), display.join().expect("it does not panic"))
    });
    println!("recorded {recorded}, shown {shown} of {FRAMES}; {} were replaced by newer ones", display.dropped());
    assert_eq!((recorded, shown + display.dropped()), (FRAMES, FRAMES));
    Ok(())
}

/// Takes every frame, in order: while it has them wait, the sender waits.
fn record<T, E>(frames: impl Iterator<Item = Result<T, E>>) -> u64 {
    frames.filter(Result::is_ok).count() as u64
}

/// Takes the newest frame, as slowly as it likes.
fn show(consumer: &Consumer) -> u64 {
    let mut shown = 0;
    for frame in consumer.frames().flatten() {
        // Stands for drawing it.
        std::hint::black_box(frame.iter().map(|byte| u64::from(*byte)).sum::<u64>());
        shown += 1;
    }
    shown
}
