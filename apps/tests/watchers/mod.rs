//! Programs that watch a server's streams, and cameras that a test moves by hand.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::{Duration, Instant};

use framewire_capture::pattern;
use framewire_signal::message::{Delivery, OpenRequest, Opened, WatchRequest, Watching};
use framewire_signal::{ClientConfig, ClientEvent, SignalClient};
use framewire_transport::{
    Admission, Announcement, FrameFormat, IncomingStream, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig,
};

use crate::running::PATIENCE;

/// Somebody who has asked for a stream.
pub(crate) struct Onlooker {
    pub(crate) client: SignalClient,
    pub(crate) receiver: Receiver,
    id: u32,
}

impl Onlooker {
    /// Asks this server for the stream of this name.
    pub(crate) fn of(server: ClientConfig, name: &str) -> Self {
        Self::asking(server, name, |request| request)
    }

    /// The same, in other words.
    pub(crate) fn asking(server: ClientConfig, name: &str, change: impl FnOnce(WatchRequest) -> WatchRequest) -> Self {
        let config = ReceiverConfig::new().admission(Admission::Announced);
        let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        let id = getrandom::u32().unwrap();
        let request = change(WatchRequest::new(id, name, receiver.local_addr().port()));
        let client = SignalClient::start(server.watch(request)).unwrap();
        Self { client, receiver, id }
    }

    /// What it is told of its wish next.
    pub(crate) fn told(&self) -> ClientEvent {
        next(&self.client, |event| {
            matches!(
                event,
                ClientEvent::Watching(_)
                    | ClientEvent::Waiting(_)
                    | ClientEvent::Unwatched(_)
                    | ClientEvent::WatchRefused { .. }
            )
        })
    }

    /// Until the stream is sent: announces it.
    pub(crate) fn watching(&self) -> Watching {
        let event = next(&self.client, |event| matches!(event, ClientEvent::Watching(_)));
        let ClientEvent::Watching(watching) = event else { unreachable!("it was looked for") };
        assert_eq!(watching.stream, self.id);
        let announced = Announcement::new(watching.format().unwrap()).key(watching.key.clone());
        self.receiver.announce(self.id, announced).unwrap();
        watching
    }

    pub(crate) fn accept(&self) -> IncomingStream {
        self.receiver.accept_timeout(PATIENCE).unwrap()
    }
}

/// The next event that is meant; others are passed over.
pub(crate) fn next(client: &SignalClient, is_meant: impl Fn(&ClientEvent) -> bool) -> ClientEvent {
    let (deadline, mut passed) = (Instant::now() + PATIENCE, Vec::new());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match client.next_event(left) {
            Some(event) if is_meant(&event) => return event,
            Some(event @ (ClientEvent::Feedback(_) | ClientEvent::Statistics(_))) => drop(event),
            Some(event) => passed.push(event),
            None => panic!("it was not told; what was: {passed:#?}"),
        }
    }
}

/// Takes so many frames of the pattern; each has the number that is drawn in it, and they follow each other.
pub(crate) fn take_pattern(stream: &IncomingStream, frames: usize) -> Vec<u64> {
    let format = stream.info().format;
    let mut numbers = Vec::new();
    while numbers.len() < frames {
        let frame = stream.recv_timeout(PATIENCE).unwrap();
        let drawn = pattern::read_frame_number(&frame, &format).expect("a whole frame has its number");
        assert_eq!(drawn, frame.info().number);
        assert!(numbers.last().is_none_or(|last| *last < drawn), "{numbers:?}, {drawn}");
        numbers.push(drawn);
    }
    numbers
}

/// A camera of VGA in gray that a test moves by hand.
pub(crate) struct Camera {
    pub(crate) client: SignalClient,
    pub(crate) opened: Opened,
    pub(crate) sender: Sender,
}

/// What it asks for, by this name.
pub(crate) fn opening(name: &str) -> OpenRequest {
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    OpenRequest::new(getrandom::u32().unwrap(), &format, Delivery::Latest).name(name)
}

impl Camera {
    /// Opens a stream at a server that is open to anyone.
    pub(crate) fn open(url: &str, request: OpenRequest) -> Self {
        let (stream, format) = (request.stream, request.format().unwrap());
        let client = SignalClient::start(ClientConfig::new(url).open(request)).unwrap();
        let event = next(&client, |event| matches!(event, ClientEvent::Opened(_)));
        let ClientEvent::Opened(opened) = event else { unreachable!("it was looked for") };
        let to = format!("{}:{}", opened.udp_host.as_deref().unwrap_or("127.0.0.1"), opened.udp_port);
        let sender = Sender::connect(to.parse().unwrap(), SenderConfig::new(format).stream(stream)).unwrap();
        Self { client, opened, sender }
    }

    /// One more frame, all of one value.
    pub(crate) fn send(&self, value: u8) {
        let mut frame = self.sender.frame_timeout(PATIENCE).unwrap().expect("slots come back");
        frame.fill(value);
        self.sender.send(frame).unwrap();
    }

    /// Sends until the event comes, a frame each 10 ms.
    pub(crate) fn send_until(&self, is_meant: impl Fn(&ClientEvent) -> bool) -> ClientEvent {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "it was not told");
            self.send(7);
            let told = Instant::now() + Duration::from_millis(10);
            while let Some(event) = self.client.next_event(told.saturating_duration_since(Instant::now())) {
                if is_meant(&event) {
                    return event;
                }
            }
        }
    }
}
