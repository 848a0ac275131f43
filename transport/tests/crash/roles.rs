//! What the other processes do.

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use framewire_transport::frame::{ConsumerPolicy, RecvError};
#[cfg(feature = "crash-points")]
use framewire_transport::share::points::{self, Point};
use framewire_transport::{
    Delivery, Endpoint, PathChoice, PublishConfig, Publisher, Reader, Receiver, ReceiverConfig, Sender, SenderConfig,
    ShareConfig, SubscriptionConfig,
};

use super::children::{FRAMES, POLICY, ROLE, SOCKET};
use super::stamped;

pub(crate) fn policy(name: &str) -> ConsumerPolicy {
    match name {
        "queue" => ConsumerPolicy::Queue(3),
        "block" => ConsumerPolicy::Block,
        _ => ConsumerPolicy::Latest,
    }
}

/// What the environment says, if it says anything.
pub(crate) fn play() {
    let Ok(role) = std::env::var(ROLE) else { return };
    // Whoever started it may be gone: then nobody wants this one either.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0; 1]);
        std::process::exit(0);
    });
    let setting = |name: &str| std::env::var(name).ok();
    #[cfg(feature = "crash-points")]
    arm(setting);
    let socket = PathBuf::from(setting(SOCKET).expect("a socket"));
    let endpoint = Endpoint::path(socket).expect("a path for a socket");
    let frames = setting(FRAMES).and_then(|frames| frames.parse().ok()).unwrap_or(u64::MAX);
    match role.as_str() {
        "hub" => hub(endpoint, frames),
        "reader" => reader(endpoint, policy(&setting(POLICY).unwrap_or_default()), frames),
        "sender" => sender(endpoint, delivery(&setting(POLICY).unwrap_or_default()), frames),
        "receiver" => receiver(endpoint),
        role => panic!("there is no role {role}"),
    }
}

pub(crate) fn delivery(name: &str) -> Delivery {
    if name == "every" { Delivery::Every } else { Delivery::Latest }
}

/// A sender by shared memory alone, to whoever takes streams there.
pub(crate) fn local_sender(endpoint: Endpoint, delivery: Delivery) -> Sender {
    let config = SenderConfig::new(stamped::format()).delivery(delivery).path(PathChoice::Shm).share(endpoint);
    // Nobody is there: the way is by the socket.
    Sender::connect("127.0.0.1:9".parse().expect("an address"), config).expect("a sender")
}

/// Where this process is to be killed, and what it is to do wrong.
#[cfg(feature = "crash-points")]
fn arm(setting: impl Fn(&str) -> Option<String>) {
    use super::children::{FORGETS, PASSES, POINT};
    if let Some(point) = setting(POINT).and_then(|name| Point::ALL.iter().find(|point| format!("{point:?}") == name)) {
        points::arm(*point, setting(PASSES).and_then(|passes| passes.parse().ok()).unwrap_or(0));
    }
    if setting(FORGETS).is_some() {
        points::forget_leases();
    }
}

fn hub(endpoint: Endpoint, frames: u64) {
    let publisher = Publisher::bind(ShareConfig::new(endpoint).block(true)).expect("a hub");
    let stream = publisher.stream("front", PublishConfig::new(stamped::format()).slots(6)).expect("a stream");
    println!("ready");
    for number in 0..frames {
        let mut frame = loop {
            if let Some(frame) = stream.frame_timeout(Duration::from_secs(1)).expect("a stream") {
                break frame;
            }
        };
        stamped::write(&mut frame, number);
        stream.send(frame).expect("a stream");
        std::thread::sleep(Duration::from_micros(300));
    }
    println!("done");
}

fn reader(endpoint: Endpoint, policy: ConsumerPolicy, frames: u64) {
    let reader = Reader::connect(endpoint).expect("a hub");
    let subscription =
        reader.subscribe_with("front", SubscriptionConfig::new().policy(policy).hold(3)).expect("a stream");
    println!("reading");
    let mut kept = VecDeque::new();
    for taken in 0..frames {
        let frame = loop {
            match subscription.recv() {
                // It comes back.
                Err(RecvError::HubGone) => {}
                frame => break frame.expect("a frame"),
            }
        };
        let number = stamped::read(&frame).expect("a whole frame");
        kept.push_back((number, frame));
        if policy == ConsumerPolicy::Block && taken > 50 {
            // At first it waits for frames; from here on they come faster than it takes them, and wait for it.
            std::thread::sleep(Duration::from_millis(1));
        }
        if kept.len() > 2
            && let Some((number, frame)) = kept.pop_front()
        {
            assert_eq!(stamped::read(&frame), Some(number));
        }
    }
    println!("done");
}

fn sender(endpoint: Endpoint, delivery: Delivery, frames: u64) {
    let sender = local_sender(endpoint, delivery);
    for number in 0..frames {
        let mut frame = sender.frame().expect("a stream");
        stamped::write(&mut frame, number);
        sender.send(frame).expect("a stream");
        std::thread::sleep(Duration::from_micros(300));
    }
    sender.close(Duration::from_secs(60)).expect("a receiver that takes all");
    println!("done");
}

/// Takes the streams of senders one after the other, and says which frames come.
fn receiver(endpoint: Endpoint) {
    let config = ReceiverConfig::new().share(ShareConfig::new(endpoint));
    let receiver = Receiver::bind("127.0.0.1:0".parse().expect("an address"), config).expect("a receiver");
    println!("ready");
    while let Ok(stream) = receiver.accept() {
        for frame in stream.frames() {
            let frame = frame.expect("a frame");
            println!("frame {}", stamped::read(&frame).expect("a whole frame"));
        }
        println!("ended");
    }
}
