//! The client's side: one connection that is kept up, and what happens on it.

mod address;
mod backoff;
mod dial;
mod events;
mod incarnation;
mod proving;
mod refusals;
mod server_list;
mod server_target;
mod servers;
mod session;
mod socket;
mod supervisor;
mod tls;
mod udp_watch;
mod watch_port;
mod watches;
mod wishes;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use framewire_transport::setters;
use thiserror::Error;

pub use self::address::UrlError;
use self::dial::Line;
pub use self::events::ClientEvent;
use self::events::EventQueue;
use self::server_list::{ServerList, Whereabouts};
pub use self::server_target::ServerTarget;
use self::supervisor::Supervisor;
pub use self::tls::tls_config;
#[cfg(feature = "mdns")]
pub(crate) use self::tls::{pin_of, tls_config_for_anyone};
pub use self::udp_watch::UdpWatch;
pub use self::watch_port::{Unexpected, WatchPort};
use self::wishes::Wishes;
use crate::auth::Token;
use crate::join::Join;
use crate::limit;
use crate::message::{OpenRequest, Refused, Role, WatchRequest};
use crate::pin::Pin;

/// How a signal client is set up: [`ClientConfig::new`], and what is to be different from that.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The server, as `http://HOST:PORT` or `https://HOST:PORT`. Of a name, all addresses are
    /// tried; without a port it is 80, or 443. A link-local IPv6 address has its interface behind it, as in `http://[fe80::1%eth0]:8080`.
    ///
    /// With a token, a pin or an authority TLS is spoken, whichever of the two is written. Without any of them `http://` is spoken plainly, and
    /// `https://` is trusted with a certificate of an authority that this machine trusts.
    pub server_url: String,
    /// The server's token, if it asks for one; none by default. Only a proof of it is sent, and a server that does not prove the same is given nothing.
    pub token: Option<Token>,
    /// What to be to a server that asks for a token: by default one that streams.
    pub role: Role,
    /// The key that the server must have; none by default. Nothing else of its certificate is looked at.
    pub pin: Option<Pin>,
    /// A file of certificates (PEM) of which one has signed the server's, or is it, in place of those that this machine trusts; none by
    /// default. Not looked at where there is a pin.
    pub ca: Option<PathBuf>,
    /// Whether `http://` is spoken plainly though there is a token, so that who listens in may follow all that is said, and change it. False by default.
    pub insecure: bool,
    /// The stream to open at each connect; none, the default, for a client that only listens. Where it has an
    /// [`incarnation`](OpenRequest::incarnation), a newer one is said at each of the [`others`](Self::others) that it goes to: the time of then, and
    /// more than before in any case.
    pub open: Option<OpenRequest>,
    /// The streams to watch, asked for at each connect; none by default. A server grants at most 16 to one client.
    pub watches: Vec<WatchRequest>,
    /// Other servers, for when this one is away: none by default. The client stays where it is as long as that server answers. It goes to the next of the
    /// list, and from the last to the first, when its connection is lost and not back within half a second and up to half a second more at random, when
    /// the server says that it [moves](crate::message::Moved), when it refuses the connection, the stream or what is to be watched, and when it does not
    /// answer one of these within 10 s.
    pub others: Vec<ServerTarget>,
    /// Whether the client goes to servers that its own tells it of ([`Elsewhere`](crate::message::Elsewhere)), such as the others of its cluster, as it goes to
    /// the [`others`](Self::others), which come first. False by default.
    ///
    /// They get the token that the server got which tells of them, and are known by the pin that it says. A client that has a token, a pin, an authority or an
    /// address of `https` goes to none without a pin, and one that has nothing of these to none with one. One that refuses the client, or does not
    /// prove itself, is left out until it is told of again, without a word to the program. Nothing is believed of a server before it has let the client in.
    pub roams: bool,
    /// Whether the server speaks the plain wire, the headerless datagrams of the original system: feedback has two fields then, one event a datagram; [`ClientEvent::PlainFeedback`] comes instead of
    /// [`ClientEvent::Feedback`]. False by default.
    pub plain: bool,
}

impl ClientConfig {
    /// A client that listens at this server, has no token and opens nothing.
    pub fn new(server_url: impl Into<String>) -> Self {
        Self {
            server_url: server_url.into(),
            token: None,
            role: Role::Stream,
            pin: None,
            ca: None,
            insecure: false,
            open: None,
            watches: Vec::new(),
            others: Vec::new(),
            roams: false,
            plain: false,
        }
    }

    /// A client that listens at the server of this join string.
    pub fn join(join: &Join) -> Self {
        Self::new(format!("https://{}", join.authority())).token(join.token.clone()).pin(join.pin)
    }

    setters! {
        token: impl Into<Option<Token>>,
        role: Role,
        pin: impl Into<Option<Pin>>,
        ca: impl Into<Option<PathBuf>>,
        insecure: bool,
        open: impl Into<Option<OpenRequest>>,
        others: impl Into<Vec<ServerTarget>>,
        roams: bool,
        plain: bool,
    }

    /// Watches this stream, too.
    #[must_use]
    pub fn watch(mut self, request: WatchRequest) -> Self {
        self.watches.push(request);
        self
    }
}

/// Why a signal client did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server's address is none: a usage error.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The stream to open is out of bounds.
    #[error("the stream cannot be opened: {}", .0.message)]
    Open(Refused),
    /// A stream to watch is out of bounds.
    #[error("the stream cannot be watched: {}", .0.message)]
    Watch(Refused),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes ({0}); wait until it has started up")]
    Random(io::Error),
    /// The system gave no thread.
    #[error("the signal client's thread did not start ({source}); {remedy}", source = .0, remedy = limit::remedy_for_thread(.0))]
    Thread(io::Error),
}

/// A Socket.IO client on a thread of its own. It connects, opens its stream, and does both again with growing waits for as
/// long as it lives; a server that is away is no error but an event. The waits double from 0.1 s to 0.4 s, or to 2 s
/// where the server refuses, less up to a half at random.
///
/// Dropping it is [`shutdown`](Self::shutdown).
pub struct SignalClient {
    events: Arc<EventQueue>,
    wishes: Arc<Wishes>,
    line: Arc<Line>,
    thread: Option<JoinHandle<()>>,
    whereabouts: Arc<Whereabouts>,
}

impl SignalClient {
    /// Starts to connect, and returns at once.
    ///
    /// # Errors
    /// The address or the request to open is not of the form or range it must be; the system gives no thread or no random number. That the
    /// server is away is none: [`ClientEvent::Retrying`] tells.
    pub fn start(config: ClientConfig) -> Result<Self, ClientError> {
        if let Some(open) = &config.open {
            open.check().map_err(ClientError::Open)?;
        }
        config.watches.iter().try_for_each(WatchRequest::check).map_err(ClientError::Watch)?;
        let wishes = Arc::new(Wishes::default());
        config.watches.iter().for_each(|request| wishes.watch(request.clone()));
        let list = ServerList::new(&config)?;
        let whereabouts = Arc::new(Whereabouts::new(list.at(0).clone()));
        let (events, line) = (Arc::new(EventQueue::default()), Arc::new(Line::default()));
        let supervisor = Supervisor {
            list,
            whereabouts: whereabouts.clone(),
            events: events.clone(),
            wishes: wishes.clone(),
            line: line.clone(),
        };
        let thread = thread::Builder::new()
            .name("framewire-signal".into())
            .spawn(move || supervisor.run())
            .map_err(ClientError::Thread)?;
        Ok(Self { events, wishes, line, thread: Some(thread), whereabouts })
    }

    /// What happened next; waits for it. `None` when nothing did within `timeout`. Up to 4096 events wait; above that the oldest
    /// feedback or statistics is dropped, or the oldest of any where there is none, and counted in [`events_dropped`](Self::events_dropped).
    pub fn next_event(&self, timeout: Duration) -> Option<ClientEvent> {
        self.events.next(timeout)
    }

    /// Events dropped because nobody fetched them.
    pub fn events_dropped(&self) -> u64 {
        self.events.dropped()
    }

    /// The address at which the server answered last, with the zone of a link-local one: of a name's addresses the one that
    /// works. Datagrams go there when [`Opened::udp_host`](crate::message::Opened::udp_host) is absent. `None` before the first
    /// connection.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.line.peer()
    }

    /// The address of this machine that the connection goes out from: what is watched is sent there, as far as nothing on the way changes addresses
    /// ([`WatchPort::follow`]). `None` before the first connection.
    pub fn own_ip(&self) -> Option<IpAddr> {
        self.line.own()
    }

    /// The pin of the key that the server has proved to have over the last connection. `None` before the first one, and where everything is said plainly,
    /// so that who listens in may follow: as to a server that offers nothing else, where the client has no secret.
    pub fn server_pin(&self) -> Option<Pin> {
        self.line.key()
    }

    /// When the server said anything last; `None` while there is no connection, or nothing has been said on it. A server of
    /// this project says something at least every 250 ms or so.
    pub fn last_heard(&self) -> Option<Instant> {
        self.line.last_heard()
    }

    /// Asks the server to end the stream, and does not open it again. Returns at once. [`ClientEvent::Closed`] follows where the
    /// server closes it; without a connection or a stream, or where the server refuses, nothing does.
    pub fn close_stream(&self) {
        self.wishes.close_stream();
    }

    /// The server that it is connected to, or connects to next: the URL of [`ClientConfig::server_url`], or of one of the
    /// [others](ClientConfig::others), or of one that it [was told of](ClientConfig::roams).
    pub fn server(&self) -> String {
        self.whereabouts.url().to_string()
    }

    /// Watches this stream, too, now and after each reconnect; in place of what was wished with the same [`stream`](WatchRequest::stream), where
    /// there was anything. Returns at once; [`ClientEvent::Watching`], [`ClientEvent::Waiting`] or [`ClientEvent::WatchRefused`] follows.
    ///
    /// # Errors
    /// The request is out of its bounds.
    pub fn watch(&self, request: WatchRequest) -> Result<(), ClientError> {
        request.check().map_err(ClientError::Watch)?;
        self.wishes.watch(request);
        Ok(())
    }

    /// Watches the stream of this id no more. Returns at once; [`ClientEvent::Unwatched`] follows where there is a connection.
    pub fn unwatch(&self, stream: u32) {
        self.wishes.unwatch(stream);
    }

    /// Disconnects and ends the thread. A wish to close the stream goes out before. Takes at most a second or so.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.wishes.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the signal client's thread panicked");
        }
    }
}

impl Drop for SignalClient {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for SignalClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalClient").field("server", &self.whereabouts.url()).finish_non_exhaustive()
    }
}
