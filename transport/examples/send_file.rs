//! Sends the frames of a raw file, every whole one of them, and says what became of them.
//!
//! `send_file FILE PIXEL-FORMAT WIDTH HEIGHT RECEIVER`, such as `send_file film.yuv yuv420p 1920 1080 192.168.1.5:9000`. Without
//! arguments it makes a file and a receiver of its own.

use std::error::Error;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use framewire_transport::{Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => by_itself(),
        [file, pixel, width, height, receiver] => {
            let format = FrameFormat::new(pixel.parse::<PixelFormat>()?, width.parse()?, height.parse()?)?;
            send(Path::new(file), format, receiver.parse()?)
        }
        _ => Err("usage: send_file FILE PIXEL-FORMAT WIDTH HEIGHT RECEIVER".into()),
    }
}

fn send(file: &Path, format: FrameFormat, receiver: SocketAddr) -> Result<(), Box<dyn Error>> {
    let mut file = File::open(file)?;
    // `Every`: where the receiver is slower than the file, `frame` waits for it.
    let sender = Sender::connect(receiver, SenderConfig::new(format).delivery(Delivery::Every))?;
    sender.wait_until_open(Duration::from_secs(5))?;
    loop {
        // Read straight into the memory that the frame is sent from.
        let mut frame = sender.frame()?;
        match file.read_exact(&mut frame) {
            Ok(()) => sender.send(frame)?,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error.into()),
        };
    }
    let report = sender.finish(Duration::from_secs(10))?;
    println!("{} frames of {format} arrived", report.delivered);
    Ok(())
}

/// A file of ten frames, and a receiver that takes them.
fn by_itself() -> Result<(), Box<dyn Error>> {
    let format = FrameFormat::new(PixelFormat::Yuv420p, 320, 240)?;
    let path = std::env::temp_dir().join(format!("framewire-example-{}.yuv", std::process::id()));
    std::fs::write(&path, vec![128; 10 * format.frame_bytes()])?;
    let receiver = Receiver::bind("127.0.0.1:0".parse()?, ReceiverConfig::new())?;
    let address = receiver.local_addr();
    let sent = std::thread::scope(|scope| {
        scope.spawn(|| {
            let stream = receiver.accept().expect("the file is sent");
            assert_eq!(stream.frames().filter(Result::is_ok).count(), 10);
        });
        let sent = send(&path, format, address).map_err(|error| error.to_string());
        receiver.stop();
        sent
    });
    std::fs::remove_file(&path)?;
    Ok(sent?)
}
