//! A stream of a server, asked for by its name: over a connection of its own the server says in what format and under which key its frames come, as long as they
//! are wished.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use framewire_signal::message::{Refused, Role, WatchRequest, Watching};
use framewire_signal::{ClientConfig, ClientEvent, Join, SignalClient};
use framewire_transport::crypto::KeyId;
use framewire_transport::{
    AnnounceError, Announcement, BindError, Delivery, FrameFormat, Protection, Receiver, ReceiverConfig,
};

use crate::STEP;
use crate::error::{Class, Error};
use crate::joined::{self, random_stream};
use crate::source::WatchOptions;

/// How long the server may take to say that it sends no more.
const FAREWELL: Duration = Duration::from_millis(500);

/// The server that a stream is asked of.
#[derive(Debug, Clone)]
pub enum ServerPlace {
    /// A protected one: the line that it prints at its start, or the file that has it.
    Join(String),
    /// One that nothing protects, or whose certificate this machine trusts, by its address: `http://HOST:PORT`, `https://HOST:PORT`.
    Url(String),
}

/// The wish, and the thread that hears what the server says of it.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ends: AtomicBool,
}

#[derive(Default)]
struct State {
    /// What the stream is called at the server, and how it is sent, once it is.
    told: Option<(String, Delivery)>,
    /// Why nothing comes any more.
    failure: Option<Error>,
    /// Why nothing comes yet, or for now.
    trouble: Option<String>,
}

impl Watch {
    /// Listens for the stream of this name, and begins to connect; returns at once.
    ///
    /// # Errors
    /// The name, the place or a number cannot be; the system has no port, no thread or no random numbers.
    pub(crate) fn begin(
        name: &str,
        server: &ServerPlace,
        options: &WatchOptions,
        config: ReceiverConfig,
    ) -> Result<(Self, Arc<Receiver>), Error> {
        let (client, authority, has_secret) = match server {
            ServerPlace::Join(join) => {
                let join: Join = joined::read(join)?;
                // Who only looks needs no more; the token for streaming is proof of that, too.
                (ClientConfig::join(&join).role(Role::View), join.authority(), true)
            }
            ServerPlace::Url(url) => (ClientConfig::new(url).role(Role::View), authority_of(url).to_owned(), false),
        };
        if has_secret && config.protection == Protection::Off {
            let text = "a server that is joined protects the stream; leave protection out";
            return Err(Error::new(Class::Argument, "joined-key", text));
        }
        let stream = random_stream()?;
        let receiver = Arc::new(listening(&authority, config)?);
        let request = WatchRequest::new(stream, name, receiver.local_addr().port())
            .delivery(options.delivery)
            .frames_per_second_max(options.frames_per_second_max);
        let signal = SignalClient::start(client.watch(request))?;
        let shared = Arc::new(Shared::default());
        let following = Following {
            signal,
            stream,
            server: authority,
            has_secret,
            receiver: receiver.clone(),
            announced: None,
            shared: shared.clone(),
        };
        let thread = thread::Builder::new().name("framewire-watch".into()).spawn(move || following.run());
        let thread = thread.map_err(|error| {
            let text =
                format!("the thread that watches did not start ({error}); have fewer threads, or raise `ulimit -u`");
            Error::new(Class::System, "client-resources", text)
        })?;
        Ok((Self { shared, thread: Some(thread) }, receiver))
    }

    /// What the stream is called at the server, and how it is sent, once it is.
    pub(crate) fn told(&self) -> Option<(String, Delivery)> {
        self.shared.lock().told.clone()
    }

    /// # Errors
    /// Why nothing comes any more.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.shared.lock().failure.clone().map_or(Ok(()), Err)
    }

    /// Why nothing comes yet, or for now.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // One that has panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread has.
struct Following {
    signal: SignalClient,
    stream: u32,
    server: String,
    has_secret: bool,
    receiver: Arc<Receiver>,
    /// What the receiver expects.
    announced: Option<(FrameFormat, Option<KeyId>)>,
    shared: Arc<Shared>,
}

impl Following {
    fn run(mut self) {
        while !self.shared.ends.load(Ordering::Acquire) {
            match self.signal.next_event(STEP) {
                Some(ClientEvent::Watching(watching)) => self.watching(&watching),
                Some(ClientEvent::Waiting(waiting)) => {
                    let nearest = waiting.nearest.map(|name| format!("; the nearest is '{}'", name.escape_debug()));
                    self.trouble(format!("{}{}", waiting.message, nearest.unwrap_or_default()));
                }
                Some(ClientEvent::Unwatched(unwatched)) => self.trouble(unwatched.message),
                Some(ClientEvent::WatchRefused { refused, .. } | ClientEvent::Refused(refused)) => {
                    self.refused(&refused)
                }
                Some(ClientEvent::Retrying { reason, .. } | ClientEvent::Disconnected { reason }) => {
                    self.trouble(reason)
                }
                _ => {}
            }
        }
        self.signal.unwatch(self.stream);
        let deadline = Instant::now() + FAREWELL;
        while let Some(event) = self.signal.next_event(deadline.saturating_duration_since(Instant::now())) {
            if matches!(event, ClientEvent::Unwatched(_)) {
                break;
            }
        }
        self.signal.shutdown();
    }

    /// Has the receiver take the stream as the server sends it.
    fn watching(&mut self, watching: &Watching) {
        let format = match watching.format() {
            Ok(format) => format,
            Err(refused) => return self.refused(&refused),
        };
        if self.has_secret && watching.key.is_none() {
            let text = format!(
                "{} gives no key for the frames, so that anyone on the way could read and change them; start it without --insecure",
                self.server
            );
            return self.fail(Error::new(Class::Refused, "server-unprotected", text));
        }
        let expected = (format, watching.key.as_ref().map(|key| key.id()));
        if self.announced.replace(expected).is_some_and(|before| before != expected) {
            // It comes from a server that was started anew, or is another stream.
            self.receiver.withdraw(self.stream);
        }
        let metadata_max = watching.metadata_bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
        // How it is delivered is between this program and the server: on the wire, frames of a queue that may be cut short are those of `latest`.
        let announced = Announcement::new(format).metadata_max(metadata_max);
        match self.receiver.announce(self.stream, announced.key(watching.key.clone())) {
            Ok(_) => {
                let mut state = self.shared.lock();
                (state.told, state.trouble) = (Some((watching.name.clone(), watching.delivery)), None);
            }
            Err(error) => self.fail(self.unexpected(error)),
        }
    }

    /// What the receiver does not take.
    fn unexpected(&self, error: AnnounceError) -> Error {
        let text = match error {
            AnnounceError::Unprotected { .. } => format!(
                "{} sends frames in plain text, which anyone on the way could read and change; join one that is protected, or, on a \
                 network that you trust, say Protection::Off",
                self.server
            ),
            AnnounceError::NoKey => {
                format!(
                    "{} gives no key for the frames, and they are to be protected (Protection::On); join one that does",
                    self.server
                )
            }
            AnnounceError::KeyUnused => {
                format!("{} protects the frames, and they are not to be (Protection::Off); leave that out", self.server)
            }
            other => other.to_string(),
        };
        Error::new(Class::Refused, error.code(), text)
    }

    /// A stream that was sent once is asked for again while the server refuses it for now, or another answers; before that a refusal is the answer.
    fn refused(&self, refused: &Refused) {
        let text = format!("the server {} refuses: {}", self.server, refused.message);
        // Who answers in a server's place for a moment is given nothing, and ends no stream.
        if self.announced.is_some() && (refused.is_for_now() || refused.is_of_another()) {
            self.trouble(text);
        } else {
            self.fail(Error::new(Class::Refused, "server-refuses", text));
        }
    }

    fn trouble(&self, why: String) {
        self.shared.lock().trouble = Some(why);
    }

    /// Whoever waits for frames is woken, and told.
    fn fail(&self, error: Error) {
        self.shared.lock().failure.get_or_insert(error);
        self.receiver.stop();
    }
}

/// A receiver at the address that the server's frames come to: on loopback where the server is there, so that nobody else sends there, else on all of this machine.
fn listening(server: &str, config: ReceiverConfig) -> Result<Receiver, Error> {
    // A name that is not known yet may be of any machine.
    let found = server.to_socket_addrs().ok().and_then(|mut addresses| addresses.next()).map(|address| address.ip());
    let loopback = found.filter(IpAddr::is_loopback);
    let at = |ip: IpAddr| Receiver::bind(SocketAddr::new(ip, 0), config.clone());
    match loopback {
        Some(ip) => Ok(at(ip)?),
        // Without IPv6 there is no address of it to listen on.
        None => Ok(at(Ipv6Addr::UNSPECIFIED.into()).or_else(|error| match error {
            BindError::Address { .. } => at(Ipv4Addr::UNSPECIFIED.into()),
            error => Err(error),
        })?),
    }
}

/// Host and port of a server's URL, as far as it has them.
fn authority_of(url: &str) -> &str {
    let (_, behind) = url.split_once("://").unwrap_or(("", url));
    behind.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_this_machine_is_listened_to_on_loopback_alone() {
        let config = || ReceiverConfig::new().admission(framewire_transport::Admission::Announced);
        assert!(listening("127.0.0.1:8080", config()).unwrap().local_addr().ip().is_loopback());
        let everywhere = listening("192.0.2.7:8080", config()).unwrap();
        assert!(everywhere.local_addr().ip().is_unspecified());
        assert!(listening("no such host:1", config()).unwrap().local_addr().ip().is_unspecified());
    }

    #[test]
    fn of_a_url_host_and_port_are_read() {
        assert_eq!(authority_of("http://127.0.0.1:8080/cams"), "127.0.0.1:8080");
        assert_eq!(authority_of("https://[fe80::1%eth0]:8080"), "[fe80::1%eth0]:8080");
        assert_eq!(authority_of("camera:9"), "camera:9");
    }
}
