//! What the server says and hears on Socket.IO: who may connect, opening, closing, heartbeats.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::ConnectHandler;
use socketioxide::layer::SocketIoLayer;
use socketioxide::socket::Sid;
use socketioxide::{ParserConfig, SocketIo};
use tokio::sync::Semaphore;

use super::news::News;
use super::outbox::Outbox;
use super::places::{Full, Place, Places};
use super::proving::{Proving, dismiss};
use super::seats::Connected;
use super::shown::ShownIds;
use super::stream_host::{Asker, StreamHost};
use super::streams::Streams;
use super::watchers::{GRACE, Watchers, Word};
use crate::auth::Exchange;
use crate::message::{
    CloseRequest, Closed, Heartbeat, Hops, Numbered, OpenReply, Opening, Proven, Quiet, Refused, Role, UnwatchRequest,
    Unwatched, WatchAnswer, WatchReply, WatchRequest, event, reason,
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
    pub(super) shown: ShownIds,
    pub(super) proving: Arc<Proving>,
    places: Arc<Places>,
    plain: bool,
    /// Held from when it is looked up who is told what until that is said: what they hear last holds.
    telling: Mutex<()>,
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
        Self {
            streams,
            watchers,
            outbox,
            shown,
            proving,
            places: Places::new(clients_max),
            plain,
            telling: Mutex::default(),
        }
    }

    fn telling(&self) -> MutexGuard<'_, ()> {
        unpoisoned(self.telling.lock())
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
        let Some(exchange) = socket.extensions.remove::<Exchange>() else { return self.welcome(socket) };
        let conversation = self.clone();
        socket.on(event::PROVE, move |socket: SocketRef, TryData(said): TryData<Value>| {
            let conversation = conversation.clone();
            async move {
                // There is one attempt.
                let Some(exchange) = conversation.proving.take(&socket) else { return };
                match conversation.hear_proof(&socket, &exchange, said.ok().as_ref()) {
                    Ok(()) => {
                        conversation.welcome(&socket);
                        say(&socket, event::PROVEN, &Proven::new(exchange.role()));
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
        socket.on(
            event::OPEN,
            move |io: SocketIo, socket: SocketRef, TryData(data): TryData<Value>, ack: AckSender| {
                opening.clone().open(io, socket, data.ok(), ack)
            },
        );
        socket.on(event::CLOSE, move |socket: SocketRef, TryData(data): TryData<Value>, ack: AckSender| {
            closing.clone().close(socket, data.ok(), ack)
        });
        socket.on(event::WATCH, move |socket: SocketRef, TryData(data): TryData<Value>, ack: AckSender| {
            watching.clone().watch(socket, data.ok(), ack)
        });
        socket.on(event::UNWATCH, move |socket: SocketRef, TryData(data): TryData<Value>, ack: AckSender| {
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

    async fn open(self: Arc<Self>, io: SocketIo, socket: SocketRef, data: Option<Value>, ack: AckSender) {
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
            let granted = self.streams.open(asker.id, connected.neighbour(), &asks, &data, || asker.connected())?;
            if granted.opened.key.is_some() && !connected.is_protected() {
                // It may have gone meanwhile, and its stream with it.
                let _ = self.streams.close(asker.id, data.request.stream);
                return Err(key_over_plain(connected));
            }
            let older = self.streams.settle_name(data.request.stream);
            Ok((granted, older))
        };
        let (granted, older) = match in_turn(&socket, data, work).await {
            Ok(done) => done,
            Err(body) => {
                let body = OpenReply::Refused(body);
                return answer(&socket, ack, event::REFUSED, &Numbered { request, body });
            }
        };
        let stream = granted.opened.stream;
        answer(&socket, ack, event::OPENED, &Numbered { request, body: OpenReply::Opened(granted) });
        {
            let _telling = conversation.telling();
            conversation.streams.answered(socket.id, stream).into_iter().for_each(|news| say_news(&socket, news));
        }
        for (owner, replaced) in older {
            if let Some(socket) = io.get_socket(owner) {
                say_news(&socket, News::Replaced(replaced));
            }
        }
    }

    async fn watch(self: Arc<Self>, socket: SocketRef, data: Option<Value>, ack: AckSender) {
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
        match in_turn(&socket, data, work).await {
            Ok((stream, reply)) => {
                let (name, body) = match reply {
                    WatchAnswer::Watching(watching) => (event::WATCHING, WatchReply::Watching(watching)),
                    WatchAnswer::Waiting(waiting) => (event::WAITING, WatchReply::Waiting(waiting)),
                };
                answer(&socket, ack, name, &Numbered { request, body });
                let _telling = conversation.telling();
                conversation.watchers.answered(stream).into_iter().for_each(|(_, word)| say_word(&socket, word));
            }
            Err(body) => answer(&socket, ack, event::REFUSED, &Numbered { request, body: WatchReply::Refused(body) }),
        }
    }

    async fn unwatch(self: Arc<Self>, socket: SocketRef, data: Option<Value>, ack: AckSender) {
        let request = request_id(data.as_ref());
        let asker = socket.id;
        let work = move |data: UnwatchRequest| {
            self.watchers.unwatch(asker, data.stream)?;
            Ok(Unwatched::new(data.stream, "its watcher wants it no more"))
        };
        match in_turn(&socket, data, work).await {
            Ok(body) => answer(&socket, ack, event::UNWATCHED, &Numbered { request, body }),
            Err(body) => answer(&socket, ack, event::REFUSED, &Numbered { request, body: WatchReply::Refused(body) }),
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
    pub(super) fn tell_watcher(&self, io: &SocketIo, word: Word) {
        let _telling = self.telling();
        let Some((watcher, word)) = self.watchers.tell(word) else { return };
        if let Some(socket) = io.get_socket(watcher) {
            say_word(&socket, word);
        }
    }

    /// Tells who opened a stream.
    pub(super) fn tell_owner(&self, io: &SocketIo, news: News) {
        let _telling = self.telling();
        let owner = self.streams.tell(&news);
        if let Some(socket) = owner.and_then(|owner| io.get_socket(owner)) {
            say_news(&socket, news);
        }
    }

    async fn close(self: Arc<Self>, socket: SocketRef, data: Option<Value>, ack: AckSender) {
        let request = request_id(data.as_ref());
        let asker = socket.id;
        let work = move |data: CloseRequest| {
            self.streams.close(asker, data.stream)?;
            self.outbox.flush_stream(data.stream);
            Ok(Closed { stream: data.stream, message: "its client closed it".into() })
        };
        match in_turn(&socket, data, work).await {
            Ok(body) => answer(&socket, ack, event::CLOSED, &Numbered { request, body }),
            Err(body) => answer(&socket, ack, event::REFUSED, &Numbered { request, body: OpenReply::Refused(body) }),
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

/// Does `work` on a thread that may block, unless the client has too much under way already.
async fn in_turn<T, R>(
    socket: &SocketRef,
    data: Option<Value>,
    work: impl FnOnce(T) -> Result<R, Refused> + Send + 'static,
) -> Result<R, Refused>
where
    T: DeserializeOwned + Send + 'static,
    R: Send + 'static,
{
    let turns = socket.extensions.get::<Turns>();
    let Some(_turn) = turns.as_ref().and_then(|turns| turns.0.try_acquire().ok()) else {
        let message = format!("{REQUESTS_A_CLIENT_MAX} requests of this client are under way; wait for their answers");
        return Err(Refused::new(reason::TOO_MANY, message));
    };
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

fn say_word(socket: &SocketRef, word: Word) {
    match word {
        Word::Watching(watching) if watching.key.is_some() && !connected(socket).is_protected() => {
            let unwatched = Unwatched::new(watching.stream, key_over_plain(connected(socket)).message);
            say(socket, event::UNWATCHED, &unwatched);
        }
        Word::Watching(watching) => say(socket, event::WATCHING, &watching),
        Word::Unwatched(unwatched) => say(socket, event::UNWATCHED, &unwatched),
    }
}

fn say_news(socket: &SocketRef, news: News) {
    match news {
        News::Idle(idle) => say(socket, event::IDLE, &idle),
        News::Grant(grant) => say(socket, event::GRANT, &grant),
        News::Replaced(replaced) => say(socket, event::REPLACED, &replaced),
    }
}

fn request_id(data: Option<&Value>) -> Option<u64> {
    data?.get("request")?.as_u64()
}

/// Answers by an event, and by an acknowledgement where the client asked for one.
fn answer<T: Serialize>(socket: &SocketRef, ack: AckSender, name: &'static str, reply: &T) {
    say(socket, name, reply);
    if let Err(error) = ack.send(reply) {
        tracing::debug!("an acknowledgement to client {} was not sent: {error}", socket.id);
    }
}

pub(super) fn say<T: Serialize>(socket: &SocketRef, name: &'static str, message: &T) {
    if let Err(error) = socket.emit(name, message) {
        tracing::debug!("{name} was not sent to client {}: {error}", socket.id);
    }
}
