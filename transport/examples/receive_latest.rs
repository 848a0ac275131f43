//! Receives a live stream and looks at its newest frame whenever it has time for one, as a program that steers by what it sees.
//!
//! `receive_latest ADDRESS`, such as `receive_latest 127.0.0.1:9000`, until the stream ends; beyond this machine both ends are given a key
//! ([`ReceiverConfig::keys`], [`SenderConfig::key`]). Without arguments it makes a camera of its
//! own.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use framewire_transport::{
    Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, RecvError, Sender, SenderConfig,
};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    match std::env::args().nth(1) {
        Some(address) => receive(&Receiver::bind(address.parse()?, ReceiverConfig::new())?),
        None => by_itself(),
    }
}

fn receive(receiver: &Receiver) -> Result<(), Failure> {
    // The stream is its own first consumer. Of a `latest` stream it keeps the newest frame only.
    let stream = receiver.accept()?;
    println!("{} from {}", stream.info().format, stream.info().peer);
    loop {
        match stream.recv_timeout(Duration::from_secs(1)) {
            Ok(frame) => {
                let age = frame.info().latency.map_or("not known yet".into(), |latency| format!("{latency:?}"));
                println!("frame {}: mean {}, latency {age}", frame.info().number, mean(&frame));
                // Stands for what the program does with what it sees.
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(RecvError::Ended) => break,
            Err(error) => eprintln!("{error}"),
        }
    }
    println!("{} were too old to be looked at", stream.dropped());
    Ok(())
}

fn mean(pixels: &[u8]) -> u64 {
    pixels.iter().map(|pixel| u64::from(*pixel)).sum::<u64>() / pixels.len() as u64
}

/// A camera that takes a hundred pictures, more of them than are looked at.
fn by_itself() -> Result<(), Failure> {
    let receiver = Receiver::bind("127.0.0.1:0".parse()?, ReceiverConfig::new())?;
    let camera = camera(receiver.local_addr());
    receive(&receiver)?;
    camera.join().expect("the camera does not panic")?;
    Ok(())
}

fn camera(receiver: SocketAddr) -> std::thread::JoinHandle<Result<(), Failure>> {
    std::thread::spawn(move || {
        let format = FrameFormat::new(PixelFormat::Gray8, 640, 480)?;
        let sender = Sender::connect(receiver, SenderConfig::new(format).delivery(Delivery::Latest))?;
        sender.wait_until_open(Duration::from_secs(5))?;
        for shade in 0..100 {
            // Stands for the camera's interval.
            std::thread::sleep(Duration::from_millis(1));
            let mut frame = sender.frame()?;
            frame.fill(shade);
            sender.send(frame)?;
        }
        sender.finish(Duration::from_secs(5))?;
        Ok(())
    })
}
