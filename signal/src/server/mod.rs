//! The server's side: who streams, and feedback to everyone who listens.

mod ack;
mod admission;
mod coalescer;
mod connection;
mod conversation;
mod front;
mod hosts;
mod http;
mod identity;
mod news;
mod outbox;
mod places;
mod proving;
mod redirect;
mod seats;
mod shown;
mod speaker;
mod stream_host;
mod streams;
mod trouble;
mod unsaid;
mod versions;
mod watchers;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{fmt, io};

use axum::{Router, middleware, routing};
use framewire_transport::setters;
use socket2::{Domain, Protocol, Socket, Type};
use socketioxide::SocketIo;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

use self::admission::Gate;
use self::conversation::{CONNECT_TIMEOUT, Conversation};
#[doc(hidden)]
pub use self::front::outcome_at_the_front;
use self::http::Tls;
pub use self::identity::{Identity, IdentityError};
use self::news::News;
use self::outbox::Outbox;
pub use self::outbox::SignalCounters;
pub use self::places::{Full, Neighbour, Place, Places};
use self::proving::Proving;
use self::redirect::Redirect;
pub use self::seats::Connected;
use self::seats::Seats;
use self::shown::ShownIds;
use self::speaker::Speaker;
pub use self::stream_host::{Asker, StreamEnd, StreamHost};
use self::watchers::Word;
use crate::auth::{Token, Verifier};
use crate::limit;
use crate::message::{Closed, Elsewhere, Feedback, Grant, Idle, Moved, Statistics, Unwatched, Watching};
use crate::pin::Pin;

/// TCP port of [`ServerConfig::new`]. A client's URL names it: without a port it means 80, or 443 with `https`.
pub const DEFAULT_PORT: u16 = 8080;
/// Events a second and stream: twice 60 frames a second, the fastest that people watch. An event costs the server some
/// 10 µs a listener: 16 streams at this rate and a dozen listeners took a fifth of a core.
pub const DEFAULT_FEEDBACK_RATE: f64 = 120.0;
/// Places for clients, see [`ServerConfig::clients_max`]: far more than one machine streams, and at most some 30 MB of buffers if all of them stall.
pub const DEFAULT_CLIENTS_MAX: usize = 256;

/// Feedback rates that make sense, in events a second: one in ten minutes to one each 10 µs.
const FEEDBACK_RATES: std::ops::RangeInclusive<f64> = 1.0 / 600.0..=100_000.0;
/// Threads that host calls may hold; they take turns anyway.
const BLOCKING_THREADS: usize = 2;
/// How long [`SignalServer::shutdown`] waits for the last words to go out.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a signal server is set up: [`ServerConfig::new`], and what is to be different from that.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Address to listen on. Default 127.0.0.1:8080: off loopback, set a token and [`tls`](Self::tls), too. Port 0 picks a free one.
    /// `[::]` takes IPv4, too. Where this machine does not have it, it is left out as those of `listen_also` are; where none is left, that
    /// is an error.
    pub listen: SocketAddr,
    /// Further addresses to listen on, such as those of the other family that a name has. One that this machine does not have is
    /// left out; port 0 stands for the port of the first. Default none.
    pub listen_also: Vec<SocketAddr>,
    /// The token that clients must prove to have which stream; they may look, too. Default none: anyone who reaches the address may connect.
    pub token: Option<Token>,
    /// The token that clients must prove to have which look and open nothing. Default none: with a token for streaming they need that.
    pub view_token: Option<Token>,
    /// The token that other servers of a cluster must prove to have, [`Token::of_node`] of the cluster's key; they look and watch. Default none: no
    /// server is known as one.
    pub node_token: Option<Token>,
    /// The certificate and key with which TLS is spoken, and nothing else: plain HTTP is redirected. Default none: everything is said plainly,
    /// and no stream gets a key.
    pub tls: Option<Identity>,
    /// Web origins such as `https://monitor.example` whose pages may connect, besides pages of this very host. Clients
    /// that are not browsers send no origin and pass. Their hosts are names of this server, too: pages and polls are answered
    /// under those, under addresses, `localhost` and the machine's own names, and no other. Default none.
    pub allowed_origins: Vec<String>,
    /// Feedback events a second and stream, in the mean; frames above it are merged into the next event. Default
    /// [`DEFAULT_FEEDBACK_RATE`]; from one in ten minutes to 100,000.
    pub feedback_rate: f64,
    /// Whether the data path speaks the plain wire, the headerless datagrams of the original system: `open` is refused, and clients get larger buffers, for an event a
    /// datagram. Default false.
    pub plain: bool,
    /// Places for clients. Default [`DEFAULT_CLIENTS_MAX`]; at least 1. A quarter is kept for clients that have proved that they have the
    /// token, and one address may hold three quarters of the rest: of 256, without a token, 192 in all and 144 from one address, such as a
    /// proxy's. Who has proved it may have any of them.
    pub clients_max: usize,
}

impl ServerConfig {
    /// A server on 127.0.0.1:8080 that anyone on this machine may connect to.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        listen: SocketAddr,
        listen_also: impl Into<Vec<SocketAddr>>,
        token: impl Into<Option<Token>>,
        view_token: impl Into<Option<Token>>,
        node_token: impl Into<Option<Token>>,
        tls: impl Into<Option<Identity>>,
        allowed_origins: impl Into<Vec<String>>,
        feedback_rate: f64,
        plain: bool,
        clients_max: usize,
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)),
            listen_also: Vec::new(),
            token: None,
            view_token: None,
            node_token: None,
            tls: None,
            allowed_origins: Vec::new(),
            feedback_rate: DEFAULT_FEEDBACK_RATE,
            plain: false,
            clients_max: DEFAULT_CLIENTS_MAX,
        }
    }
}

/// Why a signal server did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program has the address.
    #[error("{0} is in use; stop the program that has it, or listen on another port (0 picks a free one)")]
    InUse(SocketAddr),
    /// The user may not use the port.
    #[error("listening on {0} is not permitted; use a port of 1024 or above")]
    NotPermitted(SocketAddr),
    /// The address is not of this machine.
    #[error("{0} is not an address of this machine; listen on one that is, on 127.0.0.1, or on 0.0.0.0 for all")]
    NotHere(SocketAddr),
    /// The system refused for another reason.
    #[error("listening on {address} failed ({source}); {}", limit::remedy(.source).unwrap_or("try another address"))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The feedback rate is out of range.
    #[error("a feedback rate of {0} events a second cannot be; use one in ten minutes (0.0017) to 100000")]
    FeedbackRate(f64),
    /// No client could ever connect.
    #[error("a server for 0 clients cannot be; use at least 1")]
    NoClients,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes ({0}); wait until it has started up")]
    Random(io::Error),
    /// The system gave no thread.
    #[error("the signal server's thread did not start ({source}); {remedy}", source = .0, remedy = limit::remedy_for_thread(.0))]
    Thread(io::Error),
}

impl StartError {
    /// Whether it says that this machine lacks the address, or all of its family.
    fn is_absence(&self) -> bool {
        use rustix::io::Errno;
        match self {
            Self::NotHere(_) => true,
            Self::Listen { source, .. } => Errno::from_io_error(source) == Some(Errno::AFNOSUPPORT),
            _ => false,
        }
    }
}

/// A Socket.IO server on a small runtime of its own. Any Socket.IO client (protocol 5, WebSocket or polling) may listen to
/// `feedback` in the namespace `/`; it gets nothing that it must answer.
///
/// Dropping it is [`shutdown`](Self::shutdown).
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// use framewire_signal::message::{OpenRequest, Opened, Refused};
/// use framewire_signal::{ClientConfig, ClientEvent, ServerConfig, SignalClient, SignalServer, StreamHost};
///
/// struct OnePort;
///
/// impl StreamHost for OnePort {
///     fn open(&self, request: &OpenRequest) -> Result<Opened, Refused> {
///         Ok(Opened::new(request.stream, 12345))
///     }
///     fn close(&self, _stream: u32) {}
/// }
///
/// let config = ServerConfig::new().listen("127.0.0.1:0".parse()?);
/// let server = SignalServer::start(config, Arc::new(OnePort))?;
///
/// let server_url = format!("http://{}", server.local_addr());
/// let client = SignalClient::start(ClientConfig::new(server_url))?;
/// assert_eq!(client.next_event(Duration::from_secs(10)), Some(ClientEvent::Connected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SignalServer {
    runtime: Option<Runtime>,
    conversation: Arc<Conversation>,
    io: SocketIo,
    accepting: Option<tokio::task::JoinHandle<()>>,
    local_addr: SocketAddr,
    tls: Option<Arc<Tls>>,
}

impl SignalServer {
    /// Listens, and returns when clients can connect.
    ///
    /// # Errors
    /// No address can be listened on, a value of `config` is out of range, or the system gives no thread or no random bytes.
    pub fn start(config: ServerConfig, host: Arc<dyn StreamHost>) -> Result<Self, StartError> {
        Self::start_with_pages(config, host, Router::new().route("/", routing::get(async || GREETING)))
    }

    /// As [`SignalServer::start`], and answers all requests that are not Socket.IO's with `pages`. They come to it from whom
    /// [`ServerConfig::allowed_origins`] lets pass, over a bounded number of connections, each of which is closed after 10 s
    /// without a whole request head, or 5 s in which its client takes nothing. Each request has [`Connected`] among its extensions. `pages` runs on the server's
    /// one thread: it must not block.
    ///
    /// # Errors
    /// As [`SignalServer::start`].
    pub fn start_with_pages(
        config: ServerConfig,
        host: Arc<dyn StreamHost>,
        pages: Router,
    ) -> Result<Self, StartError> {
        if !FEEDBACK_RATES.contains(&config.feedback_rate) {
            return Err(StartError::FeedbackRate(config.feedback_rate));
        }
        if config.clients_max == 0 {
            return Err(StartError::NoClients);
        }
        let listening = |source| StartError::Listen { address: config.listen, source };
        let (listeners, local_addr) = listen_on_all(config.listen, &config.listen_also)?;

        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("framewire-signal")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let entered = runtime.enter();
        let listeners: io::Result<Vec<_>> = listeners.into_iter().map(tokio::net::TcpListener::from_std).collect();
        let listeners = listeners.map_err(listening)?;

        let outbox = Arc::new(Outbox::new(config.feedback_rate));
        let proving = Arc::new(Proving::new(Verifier::new(config.token, config.view_token, config.node_token)));
        let shown = ShownIds::new().map_err(StartError::Random)?;
        let conversation =
            Arc::new(Conversation::new(host, shown, outbox.clone(), proving, config.clients_max, config.plain));
        let (layer, io) = conversation.begin();

        // A client that polls has two connections, and some are on their way in or out; a quarter is kept for the proven.
        let connections_max = config.clients_max.saturating_mul(2).saturating_add(64);
        let gate = Arc::new(Gate::new(&config.allowed_origins, connections_max, CONNECT_TIMEOUT));
        let app = pages
            .layer(layer)
            .layer(middleware::from_fn(versions::admit))
            .layer(middleware::from_fn_with_state(gate, admission::admit));
        let seats = Seats::new(connections_max.saturating_add(connections_max / 3));
        let redirect = Redirect::new(&config.allowed_origins);
        let tls = config.tls.map(|identity| Arc::new(Tls { identity, redirect, failed: AtomicU64::new(0) }));
        let accepting = runtime.spawn(http::serve(listeners, app, seats, tls.clone()));

        let (speaking, speaking_io) = (conversation.clone(), io.clone());
        runtime.spawn(async move { outbox.run(&Speaker { conversation: &speaking, io: &speaking_io }).await });
        let (speaking, speaking_io) = (conversation.clone(), io.clone());
        runtime.spawn(async move {
            let speaker = Speaker { conversation: &speaking, io: &speaking_io };
            speaking.unsaid.run(|client, saying| speaker.say(client, saying)).await;
        });
        drop(entered);
        Ok(Self { runtime: Some(runtime), conversation, io, accepting: Some(accepting), local_addr, tls })
    }

    /// The first of the addresses that it listens on, with the port that was picked.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The number that a stream is shown by to everyone but the client that opened it: who knows its id can send its datagrams.
    /// It is the same for the same id as long as the server lives.
    pub fn shown_id(&self, stream: u32) -> u32 {
        self.conversation.shown.shown(stream)
    }

    /// Reports a frame of the stream of this id to every client, up to the set rate; above it, frames are merged and the newest is reported, at the
    /// latest when the rate allows or the stream ends. Made for the thread that receives frames: does no I/O, does not
    /// wait for clients, and allocates only when a stream is new.
    pub fn feedback(&self, feedback: Feedback) {
        self.conversation.outbox.feedback(feedback, Instant::now());
    }

    /// Reports a datagram of the plain wire to every client: one event each, never merged, with the local time now. If
    /// more than 8192 wait, which takes a rate that no listener could follow, further ones are dropped and counted in
    /// [`SignalCounters::plain_dropped`].
    pub fn plain_feedback(&self, frame_size: u64) {
        self.conversation.outbox.plain(frame_size);
    }

    /// Shows statistics to every client, of streams by their ids. Each replaces the one before: a slow client sees the newest only.
    pub fn statistics(&self, statistics: Statistics) {
        self.conversation.outbox.statistics(statistics);
    }

    /// A stream ended on the data path: its last feedback goes out at once, and the client that opened it is told why.
    /// Returns without waiting; the host is not called.
    pub fn end_stream(&self, stream: u32, end: StreamEnd, message: impl Into<String>) {
        self.conversation.outbox.end_stream(Closed { stream, message: message.into() }, end);
    }

    /// Tells the watcher of this wish that its stream is sent, after the host had it wait, or the stream was gone, or is another one than before. Said after the
    /// answer to a [`watch`](StreamHost::watch) that is under way. Returns without waiting; a wish that nobody has any more is passed over.
    pub fn tell_watching(&self, watching: Watching) {
        self.conversation.tell_watcher(Word::Watching(watching));
    }

    /// Tells the watcher of this wish that its stream is sent no more for now; the wish stands. As [`tell_watching`](Self::tell_watching).
    pub fn tell_unwatched(&self, stream: u32, message: impl Into<String>) {
        self.conversation.tell_watcher(Word::Unwatched(Unwatched::new(stream, message)));
    }

    /// The same, of a stream that its sender has closed: who watches it to its end has reached that.
    pub fn tell_watched_to_its_end(&self, stream: u32, message: impl Into<String>) {
        self.conversation.tell_watcher(Word::Unwatched(Unwatched::new(stream, message).over(true)));
    }

    /// Tells the client that opened a stream whether anybody wants it, and tells it again when it comes back. Returns without waiting.
    pub fn tell_idle(&self, stream: u32, idle: bool) {
        self.conversation.tell_owner(News::Idle(Idle::new(stream, idle)));
    }

    /// Tells the client that opened a stream how much of a link it has, and tells it again when it comes back. Returns without waiting.
    pub fn tell_grant(&self, grant: Grant) {
        self.conversation.tell_owner(News::Grant(grant));
    }

    /// Tells every client, now and as it comes in, of the servers that it may go to when this one is away; other servers of a cluster are not told. It
    /// replaces what was told before, so that an empty one takes all of it back. Returns without waiting.
    pub fn tell_elsewhere(&self, elsewhere: Elsewhere) {
        self.conversation.set_elsewhere(elsewhere);
    }

    /// Tells every client to go to another server, if it knows one; those that do not stay. Returns without waiting.
    pub fn tell_moved(&self, message: impl Into<String>) {
        self.conversation.outbox.moved(Moved::new(message));
    }

    /// The pin of the key that it proves by TLS to have now; `None` where it speaks plainly.
    pub fn pin(&self) -> Option<Pin> {
        self.tls.as_ref().map(|tls| tls.identity.pin())
    }

    /// What was counted so far.
    pub fn counters(&self) -> SignalCounters {
        let Conversation { outbox, proving, .. } = &*self.conversation;
        let tls_failed = self.tls.as_ref().map_or(0, |tls| tls.failed.load(Ordering::Relaxed));
        SignalCounters {
            clients: self.conversation.clients(),
            wishes: self.conversation.watchers.len(),
            proofs_failed: proving.failed(),
            tls_failed,
            ..outbox.counters()
        }
    }

    /// Sends what still waits, with the last feedback of every stream, disconnects all clients and frees the port. Takes
    /// at most a second or so, whatever clients do. The host is not called for streams that were open.
    pub fn shutdown(mut self) {
        self.close();
    }

    fn close(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let (done, is_done) = mpsc::sync_channel(1);
        let (conversation, io, accepting) = (self.conversation.clone(), self.io.clone(), self.accepting.take());
        runtime.spawn(async move {
            if let Some(accepting) = accepting {
                accepting.abort();
                // The error is the abort itself.
                let _ = accepting.await;
            }
            let speaker = Speaker { conversation: &conversation, io: &io };
            conversation.outbox.flush(&speaker).await;
            conversation.unsaid.say_all(|client, saying| speaker.say(client, saying));
            io.close().await;
            // No one waits any more after the farewell.
            let _ = done.send(());
        });
        if is_done.recv_timeout(FAREWELL).is_err() {
            tracing::debug!("some clients did not take their last events within {FAREWELL:?}");
        }
        // Not `shutdown_timeout`, which panics when the caller is in a runtime itself.
        runtime.shutdown_background();
    }
}

impl Drop for SignalServer {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for SignalServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalServer").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

const GREETING: &str = "Framewire's signal server. Connect with a Socket.IO client and listen to \"feedback\".\n";

/// Listens on all of these that this machine has, which is at least one, with one port for those that have none; and what the
/// first of them is.
fn listen_on_all(first: SocketAddr, others: &[SocketAddr]) -> Result<(Vec<TcpListener>, SocketAddr), StartError> {
    let (mut listeners, mut local_addr, mut absent) = (Vec::new(), None::<SocketAddr>, None);
    for mut address in [first].into_iter().chain(others.iter().copied()) {
        if let (0, Some(local_addr)) = (address.port(), local_addr) {
            address.set_port(local_addr.port());
        }
        match listen(address) {
            Ok(listener) => {
                if local_addr.is_none() {
                    let known = listener.local_addr();
                    local_addr = Some(known.map_err(|source| StartError::Listen { address, source })?);
                }
                listeners.push(listener);
            }
            // A name may have an address of a family that is switched off here, or one that another machine has.
            Err(error) if error.is_absence() => {
                tracing::warn!(%address, "left out of what is listened on: this machine does not have it");
                absent.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match (local_addr, absent) {
        (Some(local_addr), _) => Ok((listeners, local_addr)),
        (None, error) => Err(error.unwrap_or(StartError::NotHere(first))),
    }
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listening = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            // Whatever the system's default is: all addresses are those of both families.
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        // The port of a server that has just ended is free.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    };
    listening().map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::InUse(address),
        io::ErrorKind::PermissionDenied => StartError::NotPermitted(address),
        io::ErrorKind::AddrNotAvailable => StartError::NotHere(address),
        _ => StartError::Listen { address, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the addresses that are kept for documents (RFC 5737), which no machine has.
    const ABSENT: &str = "203.0.113.1:0";

    #[test]
    fn of_several_addresses_any_one_that_this_machine_has_is_enough_and_one_port_serves_all() {
        let [absent, here, too] = [ABSENT, "127.0.0.1:0", "127.0.0.2:0"].map(|text| text.parse().unwrap());
        for (first, others, expected) in [
            (absent, &[here, too][..], [here, too]),
            (here, &[absent, too], [here, too]),
            (too, &[here, absent], [too, here]),
        ] {
            let (listeners, local_addr) = listen_on_all(first, others).unwrap();
            let listened: Vec<SocketAddr> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
            assert_eq!(listened.iter().map(SocketAddr::ip).collect::<Vec<_>>(), expected.map(|address| address.ip()));
            assert_eq!(listened[0], local_addr);
            assert!(listened.iter().all(|address| address.port() == local_addr.port()), "{listened:?}");
        }
    }

    #[test]
    fn where_this_machine_has_none_of_them_the_first_is_named() {
        let absent: SocketAddr = ABSENT.parse().unwrap();
        let error = listen_on_all(absent, &["203.0.113.2:0".parse().unwrap()]).unwrap_err();
        assert!(matches!(error, StartError::NotHere(address) if address == absent), "{error}");
    }
}
