//! Reads a stream of another process of this machine in place: its frames lie in memory that both have mapped, and none is copied.
//!
//! `read_shared SOCKET STREAM`, such as `read_shared /run/framewire/7001.sock front`, until the stream ends. Without arguments it shares a
//! stream of its own, and reads that.

use std::error::Error;
use std::time::Duration;

use framewire_transport::share::ShareConfig;
use framewire_transport::{
    ConsumerPolicy, Delivery, Endpoint, FrameFormat, PixelFormat, PublishConfig, Publisher, Reader,
};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(socket), Some(stream)) => read(socket.parse()?, &stream),
        _ => by_itself(),
    }
}

fn read(endpoint: Endpoint, stream: &str) -> Result<(), Failure> {
    let reader = Reader::connect(endpoint)?;
    // It may be there already, or come in a moment. Of a `latest` stream, the newest frame is there at once.
    let info = reader.wait_for(stream, Duration::from_secs(60))?;
    println!("{}: {}, {} readers beside this one", info.name, info.format, info.readers);
    let subscription = reader.subscribe(stream, ConsumerPolicy::Queue(4))?;
    for frame in subscription.frames() {
        // The same type as everywhere, over the other process's memory: it can be read and kept, and not be written.
        let frame = frame?;
        println!("frame {}: mean {}", frame.info().number, mean(&frame));
        // Its slot is the hub's again from here on. Whoever keeps more frames than `hold` says is sent no others.
    }
    let stats = subscription.stats();
    println!("{} offered, {} taken, {} too old by then", stats.offered, stats.taken, stats.dropped);
    Ok(())
}

fn mean(pixels: &[u8]) -> u64 {
    pixels.iter().map(|pixel| u64::from(*pixel)).sum::<u64>() / pixels.len() as u64
}

/// A program that shares what it makes: most often another process.
fn by_itself() -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("read-shared-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let endpoint = Endpoint::path(folder.join("hub.sock"))?;
    let publisher = Publisher::bind(ShareConfig::new(endpoint.clone()))?;
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480)?;
    let stream = publisher.stream("front", PublishConfig::new(format).delivery(Delivery::Latest))?;
    let reading = std::thread::spawn(move || read(endpoint, "front"));
    while stream.readers().is_empty() && !reading.is_finished() {
        std::thread::sleep(Duration::from_millis(1));
    }
    for shade in 0..50 {
        let mut frame = stream.frame()?;
        frame.fill(shade);
        stream.send(frame)?;
        // Stands for the camera's interval.
        std::thread::sleep(Duration::from_millis(1));
    }
    stream.close();
    let read = reading.join().expect("the reader does not panic");
    drop(publisher);
    std::fs::remove_dir_all(folder)?;
    read
}
