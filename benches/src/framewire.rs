//! Framewire, from [`Sender`] to [`IncomingStream`].

use std::time::{Duration, Instant};

use framewire_transport::{BackendKind, Delivery, Key, Receiver, ReceiverConfig, Sender, SenderConfig};
use framewire_transport::{IncomingStream, SliceSize};

use crate::worker::Worker;
use crate::{Link, PATIENCE, Picture};

/// A stream over loopback in which every frame is delivered.
pub struct FramewireLink {
    // Dropped in this order: a sender that nobody listens to any more would try again.
    sending: Worker,
    stream: IncomingStream,
    _receiver: Receiver,
}

impl FramewireLink {
    /// Opens a stream and waits until frames can flow.
    ///
    /// # Panics
    /// Where loopback does not work.
    pub fn new(picture: &Picture, backend: BackendKind, slice_bytes: u16, trains: bool) -> Self {
        Self::open(picture, backend, slice_bytes, trains, None)
    }

    /// The same of a protected stream.
    ///
    /// # Panics
    /// Where loopback does not work.
    pub fn protected(picture: &Picture, backend: BackendKind, slice_bytes: u16, trains: bool) -> Self {
        let key = Key::random().expect("random numbers");
        Self::open(picture, backend, slice_bytes, trains, Some(key))
    }

    fn open(picture: &Picture, backend: BackendKind, slice_bytes: u16, trains: bool, key: Option<Key>) -> Self {
        let address = "127.0.0.1:0".parse().expect("an address");
        let config = ReceiverConfig::new().backend(backend).trains(trains);
        let keys: Vec<_> = key.iter().cloned().collect();
        let receiver = Receiver::bind(address, config.keys(keys)).expect("loopback has a port left");
        let slice = SliceSize::Bytes(slice_bytes);
        let config =
            SenderConfig::new(picture.format).delivery(Delivery::Every).slice(slice).backend(backend).trains(trains);
        let config = config.key(key);
        let sender = Sender::connect(receiver.local_addr(), config).expect("loopback can be reached");
        sender.wait_until_open(PATIENCE).expect("the receiver takes any stream");
        let stream = receiver.accept_timeout(PATIENCE).expect("the stream is open");
        let sending = Worker::start(move |frames| {
            for _ in 0..frames {
                let frame = sender.frame().expect("the stream goes on");
                sender.send(frame).expect("the stream goes on");
            }
        });
        Self { sending, stream, _receiver: receiver }
    }
}

impl Link for FramewireLink {
    fn transfer(&mut self, frames: u64) -> Duration {
        let started = Instant::now();
        self.sending.send(frames);
        for _ in 0..frames {
            self.stream.recv_timeout(PATIENCE).expect("every frame arrives");
        }
        started.elapsed()
    }
}
