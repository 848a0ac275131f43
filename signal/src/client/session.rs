//! One connection: connect, open, listen, heartbeat, until it ends.
//!
//! No acknowledgements of Socket.IO's own: requests and answers are numbered events. An emit goes out once CONNECT was
//! answered, not before.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout, timeout_at};

use super::ClientConfig;
use super::address::ServerUrl;
use super::backoff::{Backoff, random};
use super::dial::Line;
use super::events::{ClientEvent, EventQueue};
use super::incarnation::{Incarnation, utc_ns};
use super::proving::{Proving, unproven};
use super::server_list::{Server, ServerList};
use super::socket::{self, Client, NoConnection, Signal};
use super::tls::Known;
use super::watches::{ANSWER_TIMEOUT, Say, Watches};
use super::wishes::Wishes;
use crate::message::{
    CloseRequest, Elsewhere, Grant, Heartbeat, Idle, Moved, Numbered, OpenReply, Opening, Quiet, Refused, Replaced,
    Resume, UnwatchRequest, Unwatched, WatchReply, event,
};

/// How long to wait for TCP and WebSocket, and again for Socket.IO's answer to CONNECT.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for an answer to `open`; the server may have to touch gigabytes for a new pool.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A write that takes longer than this goes nowhere.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that was cut is noticed by what is not answered: so there is something to answer soon.
const HEARTBEAT: Duration = Duration::from_millis(250);
/// A foreign server does not know our heartbeat, and shall not be bothered more than needed.
const HEARTBEAT_PLAIN: Duration = Duration::from_secs(1);
/// A server that answered heartbeats before is gone when it has not for so long.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// The same where there are other servers to go to.
const SILENCE_MAX_OF_SEVERAL: Duration = Duration::from_millis(1500);
/// How long what a server said before it closed may take to be read, once a write has failed: no time, but for a machine that is busy.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// A connection that had what it is there for for so long was no accident; one that did not makes the next wait longer.
const HELD: Duration = Duration::from_secs(2);
/// How long a wish to close the stream may hold up the end.
const FAREWELL: Duration = Duration::from_millis(500);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// The program wanted it.
    Stopped,
    /// There was none.
    Unreachable { reason: String },
    /// The server answered, and said no.
    Refused(Refused),
    /// It is not the one that was meant, or cannot be known as that one.
    Distrusted(Refused),
    /// There was one.
    Lost { reason: String },
    /// The same, and the server, which others may take the place of, has not said for long what it was to say.
    Silent { reason: String },
    /// The server says that there are others.
    Moved { reason: String },
    /// The server lets the client in and refuses what it is there for, which another may grant.
    TurnedAway(Refused),
}

/// One connection and its surroundings.
pub(super) struct Session<'a> {
    server: &'a Server,
    /// With those that the server tells of.
    list: &'a mut ServerList,
    url: &'a ServerUrl,
    config: &'a ClientConfig,
    /// Shows a server, over each connection, that the stream is this client's.
    resume: &'a Resume,
    events: &'a EventQueue,
    wishes: &'a Wishes,
    line: &'a Arc<Line>,
    incarnation: &'a mut Incarnation,
    /// Since when the client has something of what it is there for: a stream that is open, a wish that stands; where it asks for nothing, the connection
    /// itself. A server that many come to at once lets in long before it answers, and may refuse then.
    granted_at: Option<Instant>,
    /// Requests are numbered from 1: the one to open, and the one to close.
    open_deadline: Option<Instant>,
    watches: Watches,
    /// Until when the server may take to let the client in, where there are others.
    pub(super) give_up_at: Option<Instant>,
    /// When to ask again for a stream that was refused for now.
    open_again: Option<Instant>,
    refusals: Backoff,
    close_deadline: Option<Instant>,
    is_closed: bool,
    beats: u64,
    last_answer: Option<Instant>,
}

const CLOSED_BY_SERVER: &str = "the server closed it";
/// As much as is said of what is wrong with an answer, which may quote it.
const WHY_CHARS_MAX: usize = 200;
const OPEN_ID: u64 = 1;
const CLOSE_ID: u64 = 2;

impl<'a> Session<'a> {
    pub(super) fn new(
        server: &'a Server,
        list: &'a mut ServerList,
        events: &'a EventQueue,
        wishes: &'a Wishes,
        line: &'a Arc<Line>,
        incarnation: &'a mut Incarnation,
    ) -> Self {
        let Server { url, config, resume, .. } = server;
        Self {
            server,
            list,
            url,
            config,
            resume,
            events,
            wishes,
            line,
            incarnation,
            granted_at: None,
            watches: Watches::default(),
            give_up_at: None,
            open_deadline: None,
            open_again: None,
            refusals: Backoff::default(),
            close_deadline: None,
            is_closed: false,
            beats: 0,
            last_answer: None,
        }
    }

    pub(super) async fn run(&mut self) -> End {
        let connected = {
            let mut connecting = pin!(self.connect());
            loop {
                tokio::select! {
                    connected = &mut connecting => break connected,
                    () = self.wishes.changed() => if self.wishes.wanted().stop { return End::Stopped },
                    () = until(self.give_up_at) => {
                        let reason = "it did not let this client in for too long, and there are other servers".into();
                        return End::Unreachable { reason };
                    }
                }
            }
        };
        let (client, mut signals) = match connected {
            Ok(connected) => connected,
            Err(end) => return end,
        };
        self.server.has_let_in(self.line.peer(), self.line.key());
        self.connected(Instant::now());
        self.events.push(ClientEvent::Connected);
        let end = self.converse(&client, &mut signals).await;
        if let End::Lost { .. } = end {
            self.hear_last_words(&mut signals).await;
        }
        self.line.lost();
        // Whatever comes of it, the connection ends with its runtime.
        let _ = timeout(FAREWELL, client.disconnect()).await;
        end
    }

    /// Whether the connection that ended so had held.
    pub(super) fn has_held(&self, end: &End, now: Instant) -> bool {
        let was_there = matches!(end, End::Silent { .. } | End::Moved { .. });
        was_there || self.granted_at.is_some_and(|since| now.saturating_duration_since(since) >= HELD)
    }

    /// The server has let the client in.
    fn connected(&mut self, now: Instant) {
        if self.config.open.is_none() && self.wishes.watches().is_empty() {
            self.granted(now);
        }
    }

    /// The client has something of what it is there for.
    fn granted(&mut self, now: Instant) {
        self.granted_at.get_or_insert(now);
    }

    /// Until Socket.IO's CONNECT was answered, and each end has proved what it must.
    async fn connect(&self) -> Result<(Client, mpsc::Receiver<Signal>), End> {
        let unreachable = |reason: String| End::Unreachable { reason };
        let mut proving = match &self.config.token {
            Some(token) => Some(
                Proving::new(token, self.config.role)
                    .map_err(|error| unreachable(format!("the system gives no random bytes: {error}")))?,
            ),
            None => None,
        };
        let known = Known::by(self.config, self.url);
        // What both name is this very connection's.
        let auth = |bound| proving.as_mut().and_then(|proving| serde_json::to_value(proving.introduce(bound)).ok());
        let (client, mut signals) =
            match timeout(CONNECT_TIMEOUT, socket::connect(self.url, &known, auth, self.line)).await {
                Ok(Ok(connected)) => connected,
                Ok(Err(NoConnection::Unreachable(reason))) => return Err(unreachable(reason)),
                Ok(Err(NoConnection::Distrusted(refused))) => return Err(End::Distrusted(refused)),
                Err(_) => return Err(unreachable(format!("no answer within {CONNECT_TIMEOUT:?}"))),
            };
        match next_of_connect(&mut signals, |signal| matches!(signal, Signal::Connected)).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                let what = format!("Socket.IO's CONNECT was not answered within {CONNECT_TIMEOUT:?}");
                return Err(unreachable(what));
            }
            Err(end) => return Err(end),
        }
        if let Some(proving) = &mut proving {
            prove(proving, &client, &mut signals).await?;
        }
        Ok((client, signals))
    }

    /// Until the connection ends.
    async fn converse(&mut self, client: &Client, signals: &mut mpsc::Receiver<Signal>) -> End {
        let begun = async {
            if self.config.open.is_some() || !self.wishes.watches().is_empty() {
                // What of others arrives it has no use for.
                say(client, event::QUIET, &Quiet::new(true)).await?;
            }
            self.open(client).await
        };
        if let Err(end) = begun.await {
            return end;
        }
        let mut heartbeat = interval(if self.config.plain { HEARTBEAT_PLAIN } else { HEARTBEAT });
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                signal = signals.recv() => self.handle(signal),
                _ = heartbeat.tick() => self.beat(client).await,
                () = until(self.open_again) => self.open(client).await,
                () = until(self.watches.due()) => Ok(()),
                () = self.wishes.changed() => Ok(()),
            };
            if let Err(end) = step {
                return end;
            }
            if let Err(end) = self.watch(client).await {
                return end;
            }
            // A wish made before the session began is seen here too: the heartbeat's first tick is at once.
            match self.grant(client).await {
                Ok(true) => return End::Stopped,
                Ok(false) => {}
                Err(end) => return end,
            }
        }
    }

    /// Asks for the stream, if there is to be one.
    async fn open(&mut self, client: &Client) -> Result<(), End> {
        self.open_again = None;
        let Some(open) = self.config.open.as_ref().filter(|_| !self.wishes.wanted().close_stream) else {
            self.is_closed = true;
            return Ok(());
        };
        let incarnation = self.incarnation.at(self.server.id, open.incarnation, utc_ns());
        let opening = Opening { request: open.clone().incarnation(incarnation), resume: Some(self.resume.clone()) };
        say(client, event::OPEN, &Numbered { request: Some(OPEN_ID), body: opening }).await?;
        self.open_deadline = Some(Instant::now() + OPEN_TIMEOUT);
        Ok(())
    }

    /// Says what is to be watched, and what no more.
    async fn watch(&mut self, client: &Client) -> Result<(), End> {
        self.watches.want(&self.wishes.watches());
        while let Some(to_say) = self.watches.say(Instant::now()) {
            match to_say {
                Say::Watch(number, body) => {
                    say(client, event::WATCH, &Numbered { request: Some(number), body }).await?;
                }
                Say::Unwatch(number, stream) => {
                    let body = UnwatchRequest::new(stream);
                    say(client, event::UNWATCH, &Numbered { request: Some(number), body }).await?;
                }
            }
        }
        Ok(())
    }

    /// A write fails as soon as the server has closed, which may be before all it said was read.
    async fn hear_last_words(&mut self, signals: &mut mpsc::Receiver<Signal>) {
        let deadline = Instant::now() + LAST_WORDS;
        while let Ok(signal) = timeout_at(deadline, signals.recv()).await {
            if self.handle(signal).is_err() {
                return;
            }
        }
    }

    fn handle(&mut self, signal: Option<Signal>) -> Result<(), End> {
        match signal {
            Some(Signal::Said { name, data }) => self.hear(&name, data),
            Some(Signal::Connected) => Ok(()),
            Some(Signal::Failed(reason)) => Err(End::Lost { reason }),
            Some(Signal::Refused(refused)) => Err(End::Refused(refused)),
            Some(Signal::Closed) | None => Err(End::Lost { reason: CLOSED_BY_SERVER.into() }),
        }
    }

    fn hear(&mut self, name: &str, data: Value) -> Result<(), End> {
        if let (event::OPENED | event::REFUSED, Some(end)) = (name, self.unreadable(&data)) {
            return Err(end);
        }
        match name {
            event::FEEDBACK if self.config.plain => self.pass(data, ClientEvent::PlainFeedback),
            event::FEEDBACK => {
                let own = self.config.open.as_ref().map(|open| open.stream);
                let theirs = data.get("stream").and_then(Value::as_u64);
                let hears_all = own.is_none() && self.wishes.watches().is_empty();
                if hears_all || theirs.is_some_and(|theirs| own.map(u64::from) == Some(theirs)) {
                    self.pass(data, ClientEvent::Feedback);
                }
            }
            event::STATISTICS => self.pass(data, ClientEvent::Statistics),
            event::HEARTBEAT => self.last_answer = Some(Instant::now()),
            event::WATCHING | event::WAITING | event::REFUSED if self.watches_wait_for(&data) => {
                let (number, reply) = match Numbered::<WatchReply>::deserialize(&data) {
                    Ok(Numbered { request, body }) => (request.unwrap_or_default(), body),
                    Err(error) => return Err(not_understood(event::WATCH, &error)),
                };
                if !matches!(reply, WatchReply::Refused(_)) {
                    self.granted(Instant::now());
                }
                let event = self.watches.answered(number, reply, Instant::now());
                return self.tell_of_watching(event);
            }
            event::WATCHING => {
                let event = read(data).and_then(|watching| self.watches.watching(watching));
                return self.tell_of_watching(event);
            }
            event::UNWATCHED => {
                let event = read::<Numbered<Unwatched>>(data)
                    .and_then(|Numbered { request, body }| self.watches.unwatched(request, body));
                return self.tell_of_watching(event);
            }
            event::IDLE => self.pass_own(data, |idle: &Idle| Some(idle.stream), ClientEvent::Idle),
            event::GRANT => {
                self.pass_own(data, |grant: &Grant| grant.is_usable().then_some(grant.stream), ClientEvent::Granted);
            }
            event::REPLACED => {
                self.pass_own(data, |replaced: &Replaced| Some(replaced.stream), ClientEvent::Replaced);
            }
            event::MOVED if self.has_others() => {
                let why = read::<Moved>(data).map(|moved| moved.message).unwrap_or_default();
                let why: String = why.chars().take(WHY_CHARS_MAX).collect();
                return Err(End::Moved { reason: format!("the server says to go to another: {why}") });
            }
            event::ELSEWHERE => {
                if let Some(told) = read::<Elsewhere>(data) {
                    self.list.learn(self.server, told, random);
                }
            }
            event::OPENED | event::REFUSED => match read::<Numbered<OpenReply>>(data) {
                Some(Numbered { request: Some(OPEN_ID), body }) if self.open_deadline.take().is_some() => {
                    let body = match body {
                        OpenReply::Refused(refused) if self.may_be_turned_away() => {
                            return Err(End::TurnedAway(refused));
                        }
                        body => body,
                    };
                    self.events.push(match body {
                        OpenReply::Opened(granted) => {
                            self.granted(Instant::now());
                            ClientEvent::Opened(granted.opened)
                        }
                        OpenReply::Refused(refused) => {
                            if refused.is_for_now() {
                                self.open_again = Some(Instant::now() + self.refusals.next_at_random(true));
                            }
                            ClientEvent::Refused(refused)
                        }
                    });
                }
                Some(Numbered { request: Some(CLOSE_ID), .. }) => self.is_closed = true,
                _ => tracing::debug!("an answer that nothing asked for was ignored"),
            },
            event::CLOSED => {
                self.is_closed = true;
                self.pass(data, ClientEvent::Closed);
            }
            _ => tracing::debug!("the server's event {name:?} is not known here and was ignored"),
        }
        Ok(())
    }

    /// Whether there is another server to go to.
    fn has_others(&self) -> bool {
        self.list.len() > 1
    }

    /// Whether another is asked for what this one refuses. Who was given one server is told what that one refuses, whatever others there are; what one refuses
    /// that the client was told of, the one that it was given may grant.
    fn may_be_turned_away(&self) -> bool {
        self.list.given() > 1 || !self.list.is_given(self.server.id)
    }

    fn watches_wait_for(&self, answer: &Value) -> bool {
        answer.get("request").and_then(Value::as_u64).is_some_and(|number| self.watches.waits_for(number))
    }

    /// Tells the program, unless there is nothing to watch here and there are other servers.
    fn tell_of_watching(&self, event: Option<ClientEvent>) -> Result<(), End> {
        let Some(event) = event else { return Ok(()) };
        let is_all = self.config.open.is_none() && self.wishes.watches().len() == 1;
        match event {
            ClientEvent::WatchRefused { refused, .. } if is_all && self.may_be_turned_away() => {
                Err(End::TurnedAway(refused))
            }
            event => {
                self.events.push(event);
                Ok(())
            }
        }
    }

    /// Passes on what is of the stream that this client opened.
    fn pass_own<T: DeserializeOwned>(
        &self,
        data: Value,
        stream: impl FnOnce(&T) -> Option<u32>,
        event: fn(T) -> ClientEvent,
    ) {
        let own = self.config.open.as_ref().map(|open| open.stream);
        match read::<T>(data) {
            Some(message) if own.is_some() && stream(&message) == own => self.events.push(event(message)),
            _ => tracing::debug!("what the server said of another stream, or nothing of use of this one, was ignored"),
        }
    }

    /// Why there will be no stream, where this is the answer that the session waits for and it says nothing that is known here.
    fn unreadable(&self, answer: &Value) -> Option<End> {
        let is_awaited = self.open_deadline.is_some() && answer.get("request").and_then(Value::as_u64) == Some(OPEN_ID);
        let error = Numbered::<OpenReply>::deserialize(answer).err().filter(|_| is_awaited)?;
        Some(not_understood(event::OPEN, &error))
    }

    /// Passes on what can be read.
    fn pass<T: DeserializeOwned>(&self, data: Value, event: fn(T) -> ClientEvent) {
        if let Some(message) = read(data) {
            self.events.push(event(message));
        }
    }

    async fn beat(&mut self, client: &Client) -> Result<(), End> {
        if let Some(reason) = self.owed(Instant::now()) {
            return Err(End::Silent { reason });
        }
        self.beats += 1;
        say(client, event::HEARTBEAT, &Heartbeat { beat: self.beats }).await
    }

    /// What the server was to say by now and has not.
    fn owed(&self, now: Instant) -> Option<String> {
        let silence_max = if self.has_others() { SILENCE_MAX_OF_SEVERAL } else { SILENCE_MAX };
        if self.last_answer.is_some_and(|last| now - last > silence_max) {
            return Some(format!("the server was silent for {silence_max:?}"));
        }
        // It lives, as its heart says, and would be waited for again and again.
        if self.watches.is_late(now) {
            return Some(format!("the server did not answer \"watch\" within {ANSWER_TIMEOUT:?}"));
        }
        let is_late = self.open_deadline.is_some_and(|deadline| now > deadline);
        is_late.then(|| format!("the server did not answer \"open\" within {OPEN_TIMEOUT:?}"))
    }

    /// Does what the program wants; true when that is to end.
    async fn grant(&mut self, client: &Client) -> Result<bool, End> {
        let wanted = self.wishes.wanted();
        let stream = self.config.open.as_ref().map(|open| open.stream);
        if let Some(stream) = stream.filter(|_| wanted.close_stream && !self.is_closed && self.close_deadline.is_none())
        {
            let request = Numbered { request: Some(CLOSE_ID), body: CloseRequest { stream } };
            say(client, event::CLOSE, &request).await?;
            self.close_deadline = Some(Instant::now() + FAREWELL);
        }
        let is_closing = !self.is_closed && self.close_deadline.is_some_and(|deadline| Instant::now() < deadline);
        Ok(wanted.stop && !is_closing)
    }
}

/// Sees the server prove the token, and proves it then. What else is said meanwhile is nobody's yet, and is not heard.
async fn prove(proving: &mut Proving<'_>, client: &Client, signals: &mut mpsc::Receiver<Signal>) -> Result<(), End> {
    let is_said =
        |wanted: &'static str| move |signal: &Signal| matches!(signal, Signal::Said { name, .. } if name == wanted);
    let Some(Signal::Said { data, .. }) = next_of_connect(signals, is_said(event::CHALLENGE)).await? else {
        return Err(End::Distrusted(unproven("it asks for none")));
    };
    let answer = proving.answer(&data).map_err(End::Distrusted)?;
    say(client, event::PROVE, &answer).await?;
    match next_of_connect(signals, is_said(event::PROVEN)).await? {
        Some(_) => Ok(()),
        None => Err(End::Unreachable {
            reason: format!("the proof of the token was not answered within {CONNECT_TIMEOUT:?}"),
        }),
    }
}

/// The first signal that is wanted, of a connection that is not made yet; `None` where it does not come.
async fn next_of_connect(
    signals: &mut mpsc::Receiver<Signal>,
    is_wanted: impl Fn(&Signal) -> bool,
) -> Result<Option<Signal>, End> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        match timeout_at(deadline, signals.recv()).await {
            Ok(Some(signal)) if is_wanted(&signal) => return Ok(Some(signal)),
            Ok(Some(Signal::Refused(refused))) => return Err(End::Refused(refused)),
            Ok(Some(Signal::Said { name, data })) if name == event::REFUSED => {
                if let Some(OpenReply::Refused(refused)) = read::<OpenReply>(data) {
                    return Err(End::Refused(refused));
                }
            }
            Ok(Some(Signal::Failed(reason))) => return Err(End::Unreachable { reason }),
            Ok(Some(Signal::Closed) | None) => {
                return Err(End::Unreachable { reason: "the server closed the connection".into() });
            }
            Ok(Some(Signal::Connected | Signal::Said { .. })) => {}
            Err(_) => return Ok(None),
        }
    }
}

/// An answer to this request that says nothing that is known here.
fn not_understood(request: &str, error: &serde_json::Error) -> End {
    let why: String = error.to_string().chars().take(WHY_CHARS_MAX).collect();
    let reason = format!(
        "the server's answer to \"{request}\" cannot be understood ({why}); is that Framewire's server, of the same release?"
    );
    End::Lost { reason }
}

/// Returns then; without a time, never.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn say<T: Serialize>(client: &Client, name: &str, message: &T) -> Result<(), End> {
    let lost = |reason: String| End::Lost { reason };
    let message = serde_json::to_value(message).map_err(|error| lost(error.to_string()))?;
    match timeout(WRITE_TIMEOUT, client.emit(name, &message)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(lost(CLOSED_BY_SERVER.into())),
        Ok(Err(reason)) => Err(lost(reason)),
        Err(_) => Err(lost(format!("the server took nothing for {WRITE_TIMEOUT:?}"))),
    }
}

fn read<T: DeserializeOwned>(data: Value) -> Option<T> {
    serde_json::from_value(data)
        .inspect_err(|error| tracing::debug!("a message of the server cannot be read: {error}"))
        .ok()
}

#[cfg(test)]
mod tests;
