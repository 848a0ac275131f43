//! What the tests share: a host that remembers, a server on a free port, clients that wait for what they expect.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it, as a module of its own")]

pub mod raw;

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use framewire_signal::message::{
    Delivery, Feedback, OpenRequest, Opened, Refused, Statistics, Timestamp, Waiting, WatchAnswer, WatchRequest,
    Watching,
};
use framewire_signal::{
    Asker, ClientConfig, ClientEvent, Identity, Join, ServerConfig, SignalClient, SignalServer, StreamHost, Token,
};
use framewire_transport::{FrameFormat, Key, PixelFormat};

/// The token of servers here that have one.
pub const TOKEN: &str = "kCpVUAk0lZlcKPXqdcE7gQ";

pub fn token() -> Token {
    Token::new(TOKEN).unwrap()
}

/// A key and a certificate that nobody has signed.
pub fn identity() -> Identity {
    let (certificate, key) = Identity::generate(&["localhost".into(), "127.0.0.1".into()]).unwrap();
    Identity::from_pem(&certificate, &key).unwrap()
}

/// A server with a token that speaks TLS and nothing else.
pub fn protected() -> ServerConfig {
    loopback().token(token()).tls(identity())
}

/// What such a server prints at its start.
pub fn join_string(server: &SignalServer) -> Join {
    let address = server.local_addr();
    Join::new(address.ip().to_string(), address.port(), token(), server.pin().unwrap()).unwrap()
}

/// The key of every stream whose name is "sealed".
pub fn stream_key() -> Key {
    Key::from_bytes([7; 32])
}

pub use framewire_testing::PATIENCE;

/// What the host was asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    Open(OpenRequest),
    Close(u32),
    Gone(Vec<u32>),
    Replaced(u32, u32),
    Watch(Asker, WatchRequest),
    Unwatch(u32),
}

/// A host that opens everything but what is named "refuse me" or "panic", has every stream but those and what is named "not yet", and tells the test.
pub struct Host(Mutex<Sender<Asked>>);

impl Host {
    pub fn new() -> (Arc<Self>, Receiver<Asked>) {
        let (sender, asked) = mpsc::channel();
        (Arc::new(Self(Mutex::new(sender))), asked)
    }

    fn tell(&self, asked: Asked) {
        // A test that does not listen has dropped its end.
        let _ = self.0.lock().unwrap().send(asked);
    }
}

impl StreamHost for Host {
    fn open(&self, request: &OpenRequest) -> Result<Opened, Refused> {
        self.tell(Asked::Open(request.clone()));
        match request.name.as_str() {
            "refuse me" => Err(Refused::new("unknown-pixel", "gray9 is not a pixel format; use gray8")),
            "sealed" => Ok(Opened::new(request.stream, 12_345).key(stream_key())),
            "panic" => panic!("the host panics as the test wants it"),
            _ => Ok(Opened::new(request.stream, 12_345)),
        }
    }

    fn close(&self, stream: u32) {
        self.tell(Asked::Close(stream));
    }

    fn client_gone(&self, streams: &[u32]) {
        self.tell(Asked::Gone(streams.to_vec()));
    }

    fn replaced(&self, stream: u32, by: u32) {
        self.tell(Asked::Replaced(stream, by));
    }

    fn watch(&self, asker: &Asker, request: &WatchRequest) -> Result<WatchAnswer, Refused> {
        self.tell(Asked::Watch(*asker, request.clone()));
        let watching = watching(request.stream, &request.name);
        match request.name.as_str() {
            "refuse me" => Err(Refused::new("no", "not this one")),
            "not yet" => {
                Ok(WatchAnswer::Waiting(Waiting::new(request.stream, "it is not there").nearest("not yes".to_owned())))
            }
            "sealed" => Ok(WatchAnswer::Watching(watching.key(stream_key()))),
            "panic" => panic!("the host panics as the test wants it"),
            _ => Ok(WatchAnswer::Watching(watching)),
        }
    }

    fn unwatch(&self, stream: u32) {
        self.tell(Asked::Unwatch(stream));
    }
}

pub fn loopback() -> ServerConfig {
    ServerConfig::new().listen(SocketAddr::from(([127, 0, 0, 1], 0)))
}

pub fn serve(config: ServerConfig) -> (SignalServer, Receiver<Asked>) {
    let (host, asked) = Host::new();
    (SignalServer::start(config, host).unwrap(), asked)
}

pub fn request(stream: u32) -> OpenRequest {
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    OpenRequest::new(stream, &format, Delivery::Every).name("test").frames_per_second(60.0)
}

/// What the host says of a stream that it has.
pub fn watching(stream: u32, name: &str) -> Watching {
    let format = FrameFormat::new(PixelFormat::Gray8, 640, 480).unwrap();
    Watching::new(stream, name, &format, Delivery::Latest).frames_per_second(60.0)
}

/// The next thing that the host was asked that `wanted` takes.
pub fn await_asked<T>(asked: &Receiver<Asked>, mut wanted: impl FnMut(Asked) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    while let Ok(asked) = asked.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if let Some(found) = wanted(asked) {
            return found;
        }
    }
    panic!("the host was not asked what was expected within {PATIENCE:?}");
}

pub fn listener(address: SocketAddr) -> ClientConfig {
    ClientConfig::new(format!("http://{address}"))
}

pub fn connect(config: ClientConfig) -> SignalClient {
    SignalClient::start(config).unwrap()
}

/// The first event that `wanted` takes; the others are passed over.
pub fn await_event<T>(client: &SignalClient, mut wanted: impl FnMut(&ClientEvent) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while let Some(event) = client.next_event(deadline.saturating_duration_since(Instant::now())) {
        if let Some(found) = wanted(&event) {
            return found;
        }
        seen.push(event);
    }
    panic!("what was expected did not come within {PATIENCE:?}; what came: {seen:?}");
}

pub fn await_connected(client: &SignalClient) {
    await_event(client, |event| matches!(event, ClientEvent::Connected).then_some(()));
}

/// Waits until what is for everybody reaches the client: Socket.IO says that it is connected a moment before.
pub fn await_listening(server: &SignalServer, client: &SignalClient) {
    await_connected(client);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        server.statistics(Statistics::new(Vec::new()));
        if let Some(ClientEvent::Statistics(_)) = client.next_event(Duration::from_millis(50)) {
            return;
        }
    }
    panic!("nothing that is for everybody reached a client within {PATIENCE:?}");
}

pub fn await_opened(client: &SignalClient) -> Opened {
    await_event(client, |event| match event {
        ClientEvent::Opened(opened) => Some(opened.clone()),
        _ => None,
    })
}

pub fn await_refused(client: &SignalClient) -> Refused {
    await_event(client, |event| match event {
        ClientEvent::Refused(refused) => Some(refused.clone()),
        _ => None,
    })
}

pub fn await_feedback(client: &SignalClient) -> Feedback {
    await_event(client, |event| match event {
        ClientEvent::Feedback(feedback) => Some(*feedback),
        _ => None,
    })
}

pub fn feedback(stream: u32, frame: u64) -> Feedback {
    let mut feedback = Feedback::new(stream, frame, 307_200);
    feedback.timestamp = Timestamp::from_unix_millis(1_795_330_822_007);
    feedback.latency_ms = Some(0.75);
    feedback.frames_delivered = frame + 1;
    feedback
}
