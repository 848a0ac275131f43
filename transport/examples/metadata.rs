//! Point clouds of differing length, each with an exposure beside it, at the time that the source gives them: what else a frame may be,
//! and what travels with it.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use framewire_transport::{
    Delivery, FrameFormat, MetadataKind, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig,
};

type Failure = Box<dyn Error + Send + Sync>;

/// Bytes of the longest cloud.
const LONGEST: u32 = 1_200_000;

fn main() -> Result<(), Failure> {
    let receiver = Receiver::bind("127.0.0.1:0".parse()?, ReceiverConfig::new())?;
    let scanner = scanner(receiver.local_addr());
    let stream = receiver.accept()?;
    for frame in stream.frames() {
        let frame = frame?;
        let metadata = frame.metadata().map(|metadata| (metadata.kind.name(), String::from_utf8_lossy(metadata.bytes)));
        let since_1970 = frame.captured_utc().map(|utc| utc.duration_since(SystemTime::UNIX_EPOCH)).transpose()?;
        println!("frame {}: {} bytes, {metadata:?}, taken at {since_1970:?}", frame.info().number, frame.len());
    }
    scanner.join().expect("the scanner does not panic")?;
    Ok(())
}

fn scanner(receiver: SocketAddr) -> std::thread::JoinHandle<Result<(), Failure>> {
    std::thread::spawn(move || {
        // Frames of `bytes` have up to so many; in all other formats they are of one length.
        let format = FrameFormat::new(PixelFormat::Bytes, LONGEST, 1)?;
        let sender = Sender::connect(receiver, SenderConfig::new(format).delivery(Delivery::Every))?;
        let begin = SystemTime::now();
        for number in 0..5_u32 {
            let mut frame = sender.frame()?;
            frame.set_len(100_000 + 200_000 * number as usize)?;
            frame.fill(number as u8);
            frame.set_metadata(MetadataKind::Json, format!("{{\"exposure_us\":{}}}", 8_000 + number).as_bytes())?;
            // Left out, it is when the frame was sent, by this machine's clock.
            frame.info.captured_utc = Some(begin + Duration::from_millis(100) * number);
            sender.send(frame)?;
        }
        sender.finish(Duration::from_secs(5))?;
        Ok(())
    })
}
