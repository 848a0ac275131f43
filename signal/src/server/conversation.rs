//! What the server says and hears on Socket.IO: who may connect, opening, closing, heartbeats.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use socketioxide::extract::{SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::layer::SocketIoLayer;
use socketioxide::socket::Sid;
use socketioxide::{ParserConfig, SocketIo};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ack::{Ack, Asked};
use super::news::News;
use super::outbox::Outbox;
use super::places::{Full, Place, Places};
use super::proving::{Proving, dismiss};
use super::seats::Connected;
use super::shown::ShownIds;
use super::stream_host::{Asker, StreamHost};
use super::streams::Streams;
use super::unsaid::{Answer, Saying, Unsaid};
use super::watchers::{GRACE, Watchers, Word};
use crate::auth::Exchange;
use crate::message::{
    CloseRequest, Closed, Elsewhere, Heartbeat, Hops, Numbered, OpenReply, Opening, Proven, Quiet, Refused, Role,
    UnwatchRequest, Unwatched, WatchAnswer, WatchReply, WatchRequest, event, reason,
};
use crate::unpoisoned::unpoisoned;

/// Largest message a client may send, in bytes. An `open` has a few hundred; the library's default is 64 MiB.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How long a session may live without connecting to the namespace.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that vanished is noticed after an interval and a timeout, and one that does not read after a stall more.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Events that wait for a client that reads slowly, before it misses some: 4 s at the default rate of feedback.
const CLIENT_EVENTS_MAX: usize = 512;
/// The same on the plain wire, where every datagram is an event.
const CLIENT_PLAIN_EVENTS_MAX: usize = 4096;
/// Requests of one client that may be under way at once.
const REQUESTS_A_CLIENT_MAX: usize = 4;
/// What is for everybody is for everybody in this room: those who have proved what they must.
pub(super) const EVERYBODY: &str = "everybody";
/// Those of them who hear of each frame.
pub(super) const LISTENERS: &str = "listeners";

/// The server's side of the conversation with all clients.
pub(super) struct Conversation {
    pub(super) streams: Streams<Sid>,
    pub(super) watchers: Watchers<Sid>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) unsaid: Unsaid<Sid>,
    pub(super) shown: ShownIds,
    pub(super) proving: Arc<Proving>,
    /// Where clients may go when this server is away.
    elsewhere: Mutex<Elsewhere>,
    places: Arc<Places>,
    plain: bool,
}

impl Conversation {
    pub(super) fn new(
        host: Arc<dyn StreamHost>,
        shown: ShownIds,
        outbox: Arc<Outbox>,
        proving: Arc<Proving>,
        clients_max: usize,
        plain: bool,
    ) -> Self {
        let (streams, watchers) = (Streams::new(host.clone()), Watchers::new(host));
        let (unsaid, elsewhere) = (Unsaid::new(), Mutex::default());
        Self { streams, watchers, outbox, unsaid, shown, proving, elsewhere, places: Places::new(clients_max), plain }
    }

    /// Keeps where clients may go, and has all of them told.
    pub(super) fn set_elsewhere(&self, elsewhere: Elsewhere) {
        *unpoisoned(self.elsewhere.lock()) = elsewhere;
        self.outbox.elsewhere();
    }

    /// Tells these clients where they may go, but for those that are servers themselves.
    pub(super) fn tell_elsewhere(&self, sockets: impl IntoIterator<Item = SocketRef>) {
        // Held while it is put there, so that nobody hears what is old behind what is new.
        let elsewhere = unpoisoned(self.elsewhere.lock());
        for socket in sockets {
            if socket.extensions.get::<Seated>().is_some_and(|seated| seated.role != Role::Node) {
                self.unsaid.put(socket.id, Saying::Elsewhere(elsewhere.clone()));
            }
        }
        drop(elsewhere);
        self.unsaid.wake();
    }

    /// The same as a client comes in, where there is anything to tell.
    fn tell_newcomer_elsewhere(&self, socket: &SocketRef) {
        if !unpoisoned(self.elsewhere.lock()).servers.is_empty() {
            self.tell_elsewhere([socket.clone()]);
        }
    }

    pub(super) fn clients(&self) -> usize {
        self.places.taken()
    }

    /// Makes the Socket.IO server and gives it its handlers.
    pub(super) fn begin(self: &Arc<Self>) -> (SocketIoLayer, SocketIo) {
        let (layer, io) = SocketIo::builder()
            .ws_max_message_size(MESSAGE_BYTES_MAX)
            .ws_max_frame_size(MESSAGE_BYTES_MAX)
            .max_payload(MESSAGE_BYTES_MAX as u64)
            .max_buffer_size(if self.plain { CLIENT_PLAIN_EVENTS_MAX } else { CLIENT_EVENTS_MAX })
            .connect_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .ping_timeout(PING_TIMEOUT)
            // No message of ours has attachments; what a client announces is bounded all the same.
            .with_parser(
                ParserConfig::common().max_incoming_binaries(1).max_incoming_binary_buf_size(MESSAGE_BYTES_MAX),
            )
            .build_layer();
        let (admitting, greeting) = (self.clone(), self.clone());
        let admit = move |socket: SocketRef, TryData(auth): TryData<Value>| {
            let outcome = admitting.admit(&socket, auth.ok().as_ref());
            async move { outcome }
        };
        let greet = async move |socket: SocketRef| greeting.greet(&socket);
        io.ns("/", greet.with(admit));
        (layer, io)
    }

    fn admit(&self, socket: &SocketRef, auth: Option<&Value>) -> Result<(), ConnectRefused> {
        match self.proving.begin(auth, connected(socket)).map_err(ConnectRefused)? {
            // It has its place once it has proved what it must: until then its connection is all that it has.
            Some(exchange) => drop(socket.extensions.insert(exchange)),
            None => self.seat(socket, Role::Stream, false).map_err(ConnectRefused)?,
        }
        Ok(())
    }

    /// Gives a client one of the places for clients.
    fn seat(&self, socket: &SocketRef, role: Role, has_proved: bool) -> Result<(), Refused> {
        let connected = connected(socket);
        let place = if has_proved {
            connected.prove();
            // Its first connection may be gone: a poll has one of its own.
            self.places.take_proven(connected.neighbour())
        } else {
            connected.take(&self.places)
        };
        let place = place.map_err(|full| {
            let message = match full {
                Full::Address(clients) => {
                    format!("{clients} clients of this address are connected, the most it may have; end one of them")
                }
                Full::All(clients) => {
                    format!("{clients} clients are connected, the most this server takes; connect again later")
                }
            };
            Refused::new(reason::SERVER_FULL, message)
        })?;
        socket.extensions.insert(Seated { role, _place: Arc::new(place) });
        Ok(())
    }

    fn greet(self: Arc<Self>, socket: &SocketRef) {
        let conversation = self.clone();
        socket.on_disconnect(move |socket: SocketRef| {
            conversation.proving.forget(&socket);
            socket.extensions.remove::<Seated>();
            conversation.unsaid.forget(socket.id);
            async move {
                if conversation.watchers.leave(socket.id) {
                    conversation.clone().end_wishes_later();
                }
                let gone = tokio::task::spawn_blocking(move || {
                    for stream in conversation.streams.client_gone(socket.id) {
                        conversation.outbox.flush_stream(stream);
                    }
                });
                if let Err(error) = gone.await {
                    tracing::error!("the host failed when a client left: {error}");
                }
            }
        });
        let Some(exchange) = socket.extensions.remove::<Exchange>() else {
            self.clone().welcome(socket);
            return self.tell_newcomer_elsewhere(socket);
        };
        let conversation = self.clone();
        socket.on(event::PROVE, move |socket: SocketRef, TryData(said): TryData<Value>| {
            let conversation = conversation.clone();
            async move {
                // There is one attempt.
                let Some(exchange) = conversation.proving.take(&socket) else { return };
                match conversation.hear_proof(&socket, &exchange, said.ok().as_ref()) {
                    Ok(()) => {
                        conversation.clone().welcome(&socket);
                        say(&socket, event::PROVEN, &Proven::new(exchange.role()));
                        conversation.tell_newcomer_elsewhere(&socket);
                    }
                    Err(refused) => dismiss(socket, refused),
                }
            }
        });
        self.proving.ask(socket, exchange);
    }

    fn hear_proof(&self, socket: &SocketRef, exchange: &Exchange, said: Option<&Value>) -> Result<(), Refused> {
        self.proving.check(exchange, said, connected(socket).neighbour())?;
        self.seat(socket, exchange.role(), true)
    }

    /// From here on it hears what is for everybody, and is heard.
    fn welcome(self: Arc<Self>, socket: &SocketRef) {
        socket.join([EVERYBODY, LISTENERS]);
        socket.extensions.insert(Turns(Arc::new(Semaphore::new(REQUESTS_A_CLIENT_MAX))));
        let [opening, closing, watching, unwatching] = std::array::from_fn(|_| self.clone());
        socket.on(event::OPEN, move |socket: SocketRef, TryData(data): TryData<Value>, Asked(ack): Asked| {
            opening.clone().open(socket, data.ok(), ack)
        });
        socket.on(event::CLOSE, move |socket: SocketRef, TryData(data): TryData<Value>, Asked(ack): Asked| {
            closing.clone().close(socket, data.ok(), ack)
        });
        socket.on(event::WATCH, move |socket: SocketRef, TryData(data): TryData<Value>, Asked(ack): Asked| {
            watching.clone().watch(socket, data.ok(), ack)
        });
        socket.on(event::UNWATCH, move |socket: SocketRef, TryData(data): TryData<Value>, Asked(ack): Asked| {
            unwatching.clone().unwatch(socket, data.ok(), ack)
        });
        socket.on(event::QUIET, async |socket: SocketRef, TryData(wanted): TryData<Quiet>| match wanted {
            Ok(Quiet { quiet: true, .. }) => socket.leave(LISTENERS),
            Ok(Quiet { quiet: false, .. }) => socket.join(LISTENERS),
            Err(_) => {}
        });
        socket.on(event::HEARTBEAT, async |socket: SocketRef, TryData(beat): TryData<Heartbeat>| {
            if let Ok(beat) = beat {
                say(&socket, event::HEARTBEAT, &beat);
            }
        });
    }

    async fn open(self: Arc<Self>, socket: SocketRef, data: Option<Value>, ack: Option<Ack>) {
        let request = request_id(data.as_ref());
        let (asker, conversation) = (socket.clone(), self.clone());
        let work = move |data: Opening| {
            if self.plain {
                let message = "this server speaks the plain wire, on which nothing is opened; just send datagrams";
                return Err(Refused::new(reason::PLAIN_WIRE, message));
            }
            data.check()?;
            if asker.extensions.get::<Seated>().is_none_or(|seated| seated.role != Role::Stream) {
                let message = "this client has proved to be one that looks, which opens no streams; connect as one that streams, with the \
                               token for streaming";
                return Err(Refused::new(reason::VIEW_ONLY, message));
            }
            let connected = connected(&asker);
            let asks = Asker::over(connected, Role::Stream);
            let tell = |owner, news| self.unsaid.put(owner, Saying::News(news));
            let opened = self.streams.open(asker.id, connected.neighbour(), &asks, &data, || asker.connected(), tell);
            // Who has a stream that could not be opened again may be another.
            self.unsaid.wake();
            let granted = opened?;
            if granted.opened.key.is_some() && !connected.is_protected() {
                // It may have gone meanwhile, and its stream with it.
                let _ = self.streams.close(asker.id, data.request.stream);
                return Err(key_over_plain(connected));
            }
            self.streams.settle_name(data.request.stream, tell);
            self.unsaid.wake();
            Ok(granted)
        };
        let (turn, done) = in_turn(&socket, data, work).await;
        let granted = match done {
            Ok(granted) => granted,
            Err(body) => {
                let body = OpenReply::Refused(body);
                return conversation.answer(&socket, turn, (event::REFUSED, ack), &Numbered { request, body });
            }
        };
        let stream = granted.opened.stream;
        let opened = Numbered { request, body: OpenReply::Opened(granted) };
        conversation.answer(&socket, turn, (event::OPENED, ack), &opened);
        let tell = |news| conversation.unsaid.put(socket.id, Saying::News(news));
        conversation.streams.answered(socket.id, stream, tell);
        conversation.unsaid.wake();
    }

    async fn watch(self: Arc<Self>, socket: SocketRef, data: Option<Value>, ack: Option<Ack>) {
        let request = request_id(data.as_ref());
        let (asker, conversation) = (socket.clone(), self.clone());
        let work = move |mut data: WatchRequest| {
            if self.plain {
                let message =
                    "this server speaks the plain wire, and sends nothing; watch at one that speaks Framewire's own";
                return Err(Refused::new(reason::PLAIN_WIRE, message));
            }
            let Some(seated) = asker.extensions.get::<Seated>() else {
                return Err(Refused::new(reason::INTERNAL, "the client has gone"));
            };
            // Who is no node knows of none.
            if seated.role != Role::Node {
                data.hops = Hops::default();
            }
            data.check()?;
            let from = Asker::over(connected(&asker), seated.role);
            let answer = self.watchers.watch(asker.id, &from, &data, || asker.connected());
            if !asker.connected() {
                self.clone().end_wishes_later();
            }
            match answer? {
                WatchAnswer::Watching(watching) if watching.key.is_some() && !from.protected => {
                    // It may have gone meanwhile, and its wish with it.
                    let _ = self.watchers.unwatch(asker.id, data.stream);
                    Err(key_over_plain(connected(&asker)))
                }
                answer => Ok((data.stream, answer)),
            }
        };
        let (turn, done) = in_turn(&socket, data, work).await;
        let (stream, name, body) = match done {
            Ok((stream, WatchAnswer::Watching(watching))) => {
                (Some(stream), event::WATCHING, WatchReply::Watching(watching))
            }
            Ok((stream, WatchAnswer::Waiting(waiting))) => (Some(stream), event::WAITING, WatchReply::Waiting(waiting)),
            Err(refused) => (None, event::REFUSED, WatchReply::Refused(refused)),
        };
        conversation.answer(&socket, turn, (name, ack), &Numbered { request, body });
        if let Some(stream) = stream {
            conversation
                .watchers
                .answered(stream, |watcher, word| conversation.unsaid.put(watcher, Saying::Word(word)));
            conversation.unsaid.wake();
        }
    }

    async fn unwatch(self: Arc<Self>, socket: SocketRef, data: Option<Value>, ack: Option<Ack>) {
        let request = request_id(data.as_ref());
        let (asker, conversation) = (socket.id, self.clone());
        let work = move |data: UnwatchRequest| {
            self.watchers.unwatch(asker, data.stream)?;
            Ok(Unwatched::new(data.stream, "its watcher wants it no more"))
        };
        let (turn, done) = in_turn(&socket, data, work).await;
        match done {
            Ok(body) => {
                conversation.answer(&socket, turn, (event::UNWATCHED, ack), &Numbered { request, body });
            }
            Err(refused) => {
                let body = WatchReply::Refused(refused);
                conversation.answer(&socket, turn, (event::REFUSED, ack), &Numbered { request, body });
            }
        }
    }

    /// Ends the wishes of those who have just gone, unless they come back.
    fn end_wishes_later(self: Arc<Self>) {
        let runtime = tokio::runtime::Handle::current();
        runtime.spawn(async move {
            tokio::time::sleep(GRACE).await;
            let ended = tokio::task::spawn_blocking(move || self.watchers.end_of_grace(std::time::Instant::now()));
            if let Err(error) = ended.await {
                tracing::error!("the host failed when a watcher had gone: {error}");
            }
        });
    }

    /// Tells a watcher, where there is one and nothing else is to be said before.
    pub(super) fn tell_watcher(&self, word: Word) {
        self.watchers.tell(word, |watcher, word| self.unsaid.put(watcher, Saying::Word(word)));
        self.unsaid.wake();
    }

    /// Tells who opened a stream.
    pub(super) fn tell_owner(&self, news: News) {
        self.streams.tell(news, |owner, news| self.unsaid.put(owner, Saying::News(news)));
        self.unsaid.wake();
    }

    /// Answers by an event, and by an acknowledgement where the client asked for one. Its turn ends when that was said.
    fn answer<T: Serialize>(
        &self,
        socket: &SocketRef,
        turn: Option<OwnedSemaphorePermit>,
        (event, ack): (&'static str, Option<Ack>),
        reply: &T,
    ) {
        let Some(turn) = turn else {
            // Who asks for more than may be under way hears so where there is room: nothing is kept for it.
            say(socket, event, reply);
            if let Some(Err(error)) = ack.map(|ack| ack.send(reply)) {
                tracing::debug!("an acknowledgement was not sent to client {}: {error}", socket.id);
            }
            return;
        };
        match serde_json::to_value(reply) {
            Ok(body) => self.unsaid.put(socket.id, Saying::Answer(Answer { event, body, ack, turn })),
            Err(error) => tracing::error!("{event} cannot be written for client {}: {error}", socket.id),
        }
        self.unsaid.wake();
    }

    async fn close(self: Arc<Self>, socket: SocketRef, data: Option<Value>, ack: Option<Ack>) {
        let request = request_id(data.as_ref());
        let (asker, conversation) = (socket.id, self.clone());
        let work = move |data: CloseRequest| {
            self.streams.close(asker, data.stream)?;
            self.outbox.flush_stream(data.stream);
            Ok(Closed { stream: data.stream, message: "its client closed it".into() })
        };
        let (turn, done) = in_turn(&socket, data, work).await;
        match done {
            Ok(body) => conversation.answer(&socket, turn, (event::CLOSED, ack), &Numbered { request, body }),
            Err(refused) => {
                let body = OpenReply::Refused(refused);
                conversation.answer(&socket, turn, (event::REFUSED, ack), &Numbered { request, body });
            }
        }
    }
}

/// What a client is, and one of the places for clients until its socket is gone.
#[derive(Clone)]
struct Seated {
    role: Role,
    _place: Arc<Place>,
}

/// The requests that a client may have under way.
#[derive(Clone)]
struct Turns(Arc<Semaphore>);

/// The connection over which a client's session began.
pub(super) fn connected(socket: &SocketRef) -> &Connected {
    socket.req_parts().extensions.get().expect("every request of an accepted connection has it")
}

/// A refused connect. Socket.IO carries one text, so the code stands before the message.
struct ConnectRefused(Refused);

impl fmt::Display for ConnectRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.reason, self.0.message)
    }
}

/// Does `work` on a thread that may block, unless the client has too much under way already. Otherwise with the turn that lasts until the answer
/// was said.
async fn in_turn<T, R>(
    socket: &SocketRef,
    data: Option<Value>,
    work: impl FnOnce(T) -> Result<R, Refused> + Send + 'static,
) -> (Option<OwnedSemaphorePermit>, Result<R, Refused>)
where
    T: DeserializeOwned + Send + 'static,
    R: Send + 'static,
{
    let turns = socket.extensions.get::<Turns>();
    let Some(turn) = turns.and_then(|turns| turns.0.try_acquire_owned().ok()) else {
        let message = format!("{REQUESTS_A_CLIENT_MAX} requests of this client are under way; wait for their answers");
        return (None, Err(Refused::new(reason::TOO_MANY, message)));
    };
    (Some(turn), done(data, work).await)
}

/// What comes of a request.
async fn done<T, R>(
    data: Option<Value>,
    work: impl FnOnce(T) -> Result<R, Refused> + Send + 'static,
) -> Result<R, Refused>
where
    T: DeserializeOwned + Send + 'static,
    R: Send + 'static,
{
    let bad = |what: String| Refused::new(reason::BAD_REQUEST, format!("{what}; send one JSON object as documented"));
    let data = data.ok_or_else(|| bad("the message is not one JSON value".into()))?;
    let data = T::deserialize(data).map_err(|error| bad(format!("the message cannot be read: {error}")))?;
    tokio::task::spawn_blocking(move || work(data)).await.unwrap_or_else(|error| {
        tracing::error!("the host failed at a request: {error}");
        Err(Refused::new(reason::INTERNAL, "the server failed at this request; its log says how"))
    })
}

/// A key is for who is meant alone.
fn key_over_plain(connected: &Connected) -> Refused {
    tracing::error!(peer = %connected.peer(), "a stream's key was not sent over a connection that others can read: give the server a certificate");
    let message =
        "the stream is protected, and its key does not travel over a connection that others can read; connect with TLS";
    Refused::new(reason::KEY_OVER_PLAIN, message)
}

/// What a watcher is told, as it may hear it over its connection.
pub(super) fn audible(socket: &SocketRef, word: Word) -> Word {
    match word {
        Word::Watching(watching) if watching.key.is_some() && !connected(socket).is_protected() => {
            Word::Unwatched(Unwatched::new(watching.stream, key_over_plain(connected(socket)).message))
        }
        word => word,
    }
}

fn request_id(data: Option<&Value>) -> Option<u64> {
    data?.get("request")?.as_u64()
}

pub(super) fn say<T: Serialize>(socket: &SocketRef, name: &'static str, message: &T) {
    if let Err(error) = socket.emit(name, message) {
        tracing::debug!("{name} was not sent to client {}: {error}", socket.id);
    }
}
