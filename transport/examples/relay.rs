//! Sends the frames of one stream on to another receiver, from the memory that they were received into: nothing is copied.
//!
//! `relay LISTEN RECEIVER`, such as `relay 127.0.0.1:9000 127.0.0.1:9001`; beyond this machine all ends are given a key
//! ([`ReceiverConfig::keys`], [`SenderConfig::key`]). Without arguments it has a camera and a receiver of its own.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use framewire_transport::{Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => by_itself(),
        [listen, receiver] => {
            println!("{} frames", relay(&Receiver::bind(listen.parse()?, ReceiverConfig::new())?, receiver.parse()?)?);
            Ok(())
        }
        _ => Err("usage: relay LISTEN RECEIVER".into()),
    }
}

fn relay(from: &Receiver, to: SocketAddr) -> Result<u64, Box<dyn Error>> {
    let incoming = from.accept()?;
    let info = incoming.info();
    let config = SenderConfig::new(info.format).delivery(info.delivery).presentation(info.presentation);
    let outgoing = Sender::connect(to, config)?;
    for frame in incoming.frames() {
        // Its slot is held until the far receiver has it.
        outgoing.send_shared(frame?)?;
    }
    Ok(outgoing.finish(Duration::from_secs(10))?.delivered)
}

fn by_itself() -> Result<(), Box<dyn Error>> {
    const FRAMES: u64 = 30;
    let bind = || Receiver::bind(SocketAddr::from(([127, 0, 0, 1], 0)), ReceiverConfig::new());
    let (middle, end) = (bind()?, bind()?);
    let (middle_address, end_address) = (middle.local_addr(), end.local_addr());
    let camera = std::thread::spawn(move || {
        let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).expect("it has pixels");
        let config = SenderConfig::new(format).delivery(Delivery::Every);
        let sender = Sender::connect(middle_address, config).expect("a socket");
        for shade in 0..FRAMES {
            let mut frame = sender.frame().expect("the stream goes on");
            frame.fill(shade as u8);
            sender.send(frame).expect("the stream goes on");
        }
        sender.finish(Duration::from_secs(10)).expect("all frames are taken");
    });
    let last = std::thread::spawn(move || {
        let stream = end.accept().expect("the relay opens a stream");
        stream.frames().flatten().filter(|frame| u64::from(frame[0]) == frame.info().number).count()
    });
    let relayed = relay(&middle, end_address)?;
    camera.join().expect("the camera does not panic");
    let arrived = last.join().expect("it does not panic");
    println!("{relayed} frames were sent on, {arrived} arrived as they were");
    assert_eq!((relayed, arrived as u64), (FRAMES, FRAMES));
    Ok(())
}
