//! Sends a stream on to other receivers, as many as there are, from the memory that it was received into: nothing is copied, and none of them is waited for.
//!
//! `relay LISTEN RECEIVER...`, such as `relay 127.0.0.1:9000 127.0.0.1:9001 127.0.0.1:9002`; beyond this machine all ends are given a key
//! ([`ReceiverConfig::keys`], [`RelayTo::key`]). Without arguments it has a camera and two receivers of its own.

use std::error::Error;
use std::net::SocketAddr;

use framewire_transport::{
    ConsumerPolicy, Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Relay, RelayConfig,
    RelayStreamConfig, RelayTo, Sender, SenderConfig,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => by_itself(),
        [listen, receivers @ ..] if !receivers.is_empty() => {
            let listen = Receiver::bind(listen.parse()?, ReceiverConfig::new())?;
            relay(&listen, &receivers.iter().map(|receiver| receiver.parse()).collect::<Result<Vec<_>, _>>()?)
        }
        _ => Err("usage: relay LISTEN RECEIVER...".into()),
    }
}

fn relay(from: &Receiver, to: &[SocketAddr]) -> Result<(), Box<dyn Error>> {
    let incoming = from.accept()?;
    let relay = Relay::start(RelayConfig::new())?;
    // The relay takes the frames from a consumer of its own; three of them may wait.
    let consumer = incoming.subscribe(ConsumerPolicy::Queue(3));
    let stream = relay.stream(consumer, RelayStreamConfig::of(incoming.info()))?;
    let watchers = (1..)
        .zip(to)
        .map(|(id, receiver)| stream.add(*receiver, RelayTo::new(id).delivery(Delivery::Every)))
        .collect::<Result<Vec<_>, _>>()?;
    // This program could look at the frames, too.
    let frames = incoming.frames().flatten().count();
    for watcher in &watchers {
        let stats = watcher.stats();
        println!("{}: {} of {} frames sent", watcher.peer(), stats.frames_sent, stats.frames);
    }
    println!("{frames} frames came");
    Ok(())
}

fn by_itself() -> Result<(), Box<dyn Error>> {
    const FRAMES: u64 = 30;
    let bind = || Receiver::bind(SocketAddr::from(([127, 0, 0, 1], 0)), ReceiverConfig::new());
    let (middle, ends) = (bind()?, [bind()?, bind()?]);
    let (middle_address, end_addresses) = (middle.local_addr(), ends.each_ref().map(Receiver::local_addr));
    let relaying = std::thread::spawn(move || relay(&middle, &end_addresses).map_err(|error| error.to_string()));
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480)?;
    let camera = Sender::connect(middle_address, SenderConfig::new(format))?;
    let film = || -> Result<u64, Box<dyn Error>> {
        let mut frame = camera.frame()?;
        frame.fill(7);
        Ok(camera.send(frame)?)
    };
    for end in ends {
        // A watcher begins with what comes once it is there.
        let watched = loop {
            film()?;
            if let Ok(watched) = end.accept_timeout(std::time::Duration::from_millis(10)) {
                break watched;
            }
        };
        let mut newest = 0;
        while newest < FRAMES {
            film()?;
            if let Ok(frame) = watched.recv_timeout(std::time::Duration::from_millis(10)) {
                newest = frame.info().number;
            }
        }
        println!("frame {newest} arrived under its own number");
    }
    drop(camera);
    relaying.join().expect("it does not panic")?;
    Ok(())
}
