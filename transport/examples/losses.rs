//! Accounts for every frame that did not come: how a program learns that some are missing, how many, and why.
//!
//! The source here skips pictures that it could not keep, and the consumer is too slow for some that came.

use std::error::Error;
use std::time::Duration;

use framewire_transport::{FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig};

const PICTURES: u64 = 90;

fn main() -> Result<(), Box<dyn Error>> {
    // `partial`: frames that did not become complete in time are handed on too, and say what they lack.
    let receiver = Receiver::bind("127.0.0.1:0".parse()?, ReceiverConfig::new().partial(true))?;
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480)?;
    let sender = Sender::connect(receiver.local_addr(), SenderConfig::new(format))?;
    sender.wait_until_open(Duration::from_secs(5))?;
    let stream = receiver.accept()?;

    for picture in 0..PICTURES {
        // Stands for the camera's interval.
        std::thread::sleep(Duration::from_millis(1));
        if picture % 9 == 0 {
            // It gets a number all the same, so that the receiver learns of it.
            sender.skip();
            continue;
        }
        let mut frame = sender.frame()?;
        frame.fill(picture as u8);
        sender.send(frame)?;
    }
    let report = sender.finish(Duration::from_secs(10))?;

    let (mut taken, mut next) = (0, 0);
    for frame in stream.frames() {
        let frame = frame?;
        let number = frame.info().number;
        if number > next {
            println!("frames {next} to {} are missing", number - 1);
        }
        if !frame.is_complete() {
            println!("frame {number} lacks {} bytes", frame.missing().map(|gap| gap.len()).sum::<usize>());
        }
        (taken, next) = (taken + 1, number + 1);
    }

    let (stats, source) = (stream.stats(), stream.source());
    println!("of {PICTURES} pictures:");
    println!("{taken:4} taken by this consumer");
    println!("{:4} it was too slow for", stream.dropped());
    println!("{:4} skipped at the source", source.skipped);
    println!("{:4} of which no slice came", source.lost);
    println!("{:4} not complete in time, {} of them handed on in part", stats.frames_incomplete, stats.frames_partial);
    println!("{:4} found no free slot", stats.frames_no_slot);
    // They add up: no frame is missing without a cause.
    assert_eq!(report.delivered, stats.frames_delivered);
    let accounted =
        stats.frames_delivered + stats.frames_incomplete + stats.frames_no_slot + source.skipped + source.lost;
    assert_eq!(accounted, PICTURES);
    assert_eq!(taken + stream.dropped(), stats.frames_delivered + stats.frames_partial);
    Ok(())
}
