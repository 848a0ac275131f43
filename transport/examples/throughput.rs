//! How fast frames cross loopback on this machine: `cargo run --release --example throughput [std|mmsg] [frames]`.

use std::time::{Duration, Instant};

use framewire_transport::{
    BackendKind, Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let backend: BackendKind = arguments.next().unwrap_or_else(|| "auto".into()).parse()?;
    let frames: u64 = arguments.next().map_or(Ok(3000), |count| count.parse())?;
    let receiver = Receiver::bind("127.0.0.1:0".parse()?, ReceiverConfig { backend, ..ReceiverConfig::default() })?;
    let format = FrameFormat::new(PixelFormat::Gray8, 1920, 1080)?;
    let slice = arguments.next().unwrap_or_else(|| "auto".into()).parse()?;
    let config = SenderConfig { delivery: Delivery::Every, backend, slice, ..SenderConfig::new(format) };
    let sender = Sender::connect(receiver.local_addr(), config)?;
    let started = Instant::now();
    let sending = std::thread::spawn(move || {
        for _ in 0..frames {
            let frame = sender.frame()?;
            sender.send(frame)?;
        }
        let report = sender.close(Duration::from_secs(10));
        println!("{:?} {:?}", report, sender.stats());
        report
    });
    let stream = receiver.accept()?;
    let delivered = stream.frames().count();
    let seconds = started.elapsed().as_secs_f64();
    println!("{:?}\n{:?}", stream.info(), stream.stats());
    let bytes = delivered as f64 * format.frame_bytes() as f64;
    println!("{delivered} frames, {:.2} GB/s, {:.0} frames/s", bytes / seconds / 1e9, delivered as f64 / seconds);
    sending.join().expect("the sending thread does not panic")?;
    Ok(())
}
