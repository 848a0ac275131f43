//! Socket.IO over one WebSocket: Engine.IO 4, Socket.IO 5, namespace `/`, text alone. All that a client of a signal server
//! needs is CONNECT with its proof, events both ways, and the answer to a ping.
//!
//! The connection is made here, not by a library that takes addresses of pages only: those have no zones, and it would
//! not say which of a name's addresses answered.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::either::Either;

use super::address::ServerUrl;
use super::dial::{Line, dial};
use super::tls::{self, Known};
use crate::auth::Bound;
use crate::limit;
use crate::message::{Refused, reason};

/// Far more than any event has: a server's largest is of a few hundred bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Of a server that does not say how often it pings: what Engine.IO has by default.
const PATIENCE_UNSAID: Duration = Duration::from_secs(45);
/// Between the reading task and the session, which empties it at once.
const SIGNALS_MAX: usize = 1024;
/// As much of a page as is passed on, where one answers instead of a server.
const REASON_CHARS_MAX: usize = 200;

/// What a server says, and how it ends.
#[derive(Debug, PartialEq)]
pub(super) enum Signal {
    /// It took the connection.
    Connected,
    /// It refused it.
    Refused(Refused),
    /// The connection broke.
    Failed(String),
    /// It closed in good order.
    Closed,
    /// An event.
    Said { name: String, data: Value },
}

/// In TLS or not.
type Wire = Either<TcpStream, Box<TlsStream<TcpStream>>>;
type Stream = WebSocketStream<Wire>;
type Outgoing = Arc<Mutex<SplitSink<Stream, Message>>>;

/// The writing end of a connection. What is read comes as [`Signal`]s.
pub(super) struct Client {
    outgoing: Outgoing,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoConnection {
    /// For people.
    Unreachable(String),
    /// There might be one, and this client does not want it so.
    Distrusted(Refused),
}

/// Connects, and asks for CONNECT with what `auth` makes of what proofs are to name; the answer is the first signal. A task of the
/// runtime reads from then on.
pub(super) async fn connect(
    url: &ServerUrl,
    known: &Known,
    auth: impl FnOnce(Bound) -> Option<Value>,
    line: &Arc<Line>,
) -> Result<(Client, mpsc::Receiver<Signal>), NoConnection> {
    let unreachable = NoConnection::Unreachable;
    let failed = |error: Error| explain(&error);
    let (stream, peer) = dial(url).await.map_err(|error| match limit::remedy(&error) {
        Some(remedy) => unreachable(format!("{error}; {remedy}")),
        None => unreachable(error.to_string()),
    })?;
    line.reached(peer, stream.local_addr().ok().map(|own| own.ip()));
    let (stream, bound, scheme) = match known {
        Known::Not => (Wire::Left(stream), Bound::Plain, "ws"),
        known => {
            let protected = tls::protect(stream, url, known).await?;
            line.protected(protected.key);
            let bound = if protected.is_bound { Bound::Key(protected.key) } else { Bound::Authority };
            (Wire::Right(Box::new(protected.stream)), bound, "wss")
        }
    };
    let socket_io = url.socket_io();
    let behind_scheme = socket_io.trim_start_matches("https:").trim_start_matches("http:");
    let target = format!("{scheme}:{behind_scheme}?EIO=4&transport=websocket");
    let request = target.into_client_request().map_err(failed)?;
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    let (stream, _) = client_async_with_config(request, stream, Some(config)).await.map_err(failed)?;
    let (outgoing, mut incoming) = stream.split();
    let client = Client { outgoing: Arc::new(Mutex::new(outgoing)) };
    let patience = match incoming.next().await {
        Some(Ok(Message::Text(text))) if text.as_str().starts_with('0') => patience(&text.as_str()[1..]),
        Some(Ok(_)) => return Err(unreachable("it speaks no Engine.IO 4".into())),
        Some(Err(error)) => return Err(explain(&error)),
        None => return Err(unreachable("the server closed the connection".into())),
    };
    let auth = auth(bound).as_ref().map(Value::to_string).unwrap_or_default();
    client.write(format!("40{auth}")).await.map_err(failed)?;
    let (signals, received) = mpsc::channel(SIGNALS_MAX);
    tokio::spawn(read(incoming, client.outgoing.clone(), signals, line.clone(), patience));
    Ok((client, received))
}

/// Why there is no connection, where it failed so.
fn explain(error: &Error) -> NoConnection {
    match error {
        // What Framewire's own server answers where it speaks TLS.
        Error::Http(response) if response.status() == StatusCode::PERMANENT_REDIRECT => {
            let message = "the server is protected, and this client has nothing to know it by; give it the join string that the server prints \
                           at its start (--join)";
            NoConnection::Distrusted(Refused::new(reason::SERVER_IS_PROTECTED, message))
        }
        error => NoConnection::Unreachable(said(error)),
    }
}

impl Client {
    /// Says an event. `Ok(false)` where the server has closed.
    ///
    /// # Errors
    /// How the connection broke.
    pub(super) async fn emit(&self, name: &str, data: &Value) -> Result<bool, String> {
        match self.write(format!("42{}", Value::from(vec![Value::from(name), data.clone()]))).await {
            Ok(()) => Ok(true),
            Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) => Ok(false),
            Err(error) => Err(said(&error)),
        }
    }

    /// Says good-bye; who has gone does not hear it.
    pub(super) async fn disconnect(&self) {
        if self.write("41".into()).await.is_ok() {
            let _ = self.outgoing.lock().await.close().await;
        }
    }

    async fn write(&self, packet: String) -> Result<(), Error> {
        self.outgoing.lock().await.send(Message::text(packet)).await
    }
}

/// Reads until the connection ends, or nobody wants to hear it any more.
async fn read(
    mut incoming: SplitStream<Stream>,
    outgoing: Outgoing,
    signals: mpsc::Sender<Signal>,
    line: Arc<Line>,
    patience: Duration,
) {
    let end = loop {
        let Ok(next) = timeout(patience, incoming.next()).await else {
            break Signal::Failed(format!("the server has said nothing for {} s", patience.as_secs()));
        };
        let text = match next {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(_))) | None => break Signal::Closed,
            // Binary attachments are of events that are not known here.
            Some(Ok(_)) => continue,
            Some(Err(error)) => break Signal::Failed(said(&error)),
        };
        line.heard();
        match Packet::parse(text.as_str()) {
            Packet::Ping(payload) => {
                // Who has closed does not hear it, and may have said more before: what is read tells how the connection ends.
                let _ = outgoing.lock().await.send(Message::text(format!("3{payload}"))).await;
            }
            Packet::Signal(Signal::Closed) => break Signal::Closed,
            Packet::Signal(signal) => {
                // Where the session does not keep up this waits for it, and the server for us.
                if signals.send(signal).await.is_err() {
                    return;
                }
            }
            Packet::Other => {}
        }
    };
    line.lost();
    // The session may be over.
    let _ = signals.send(end).await;
}

/// How long a server that lives is never silent, as its Engine.IO says when it opens: it pings once an interval.
fn patience(open: &str) -> Duration {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Open {
        ping_interval: u32,
        ping_timeout: u32,
    }
    serde_json::from_str::<Open>(open).map_or(PATIENCE_UNSAID, |open| {
        Duration::from_millis(u64::from(open.ping_interval) + u64::from(open.ping_timeout))
    })
}

/// What one text of the server is.
#[derive(Debug, PartialEq)]
enum Packet<'a> {
    /// Engine.IO's, to be answered with the same.
    Ping(&'a str),
    Signal(Signal),
    /// Of no interest here, or unreadable.
    Other,
}

impl<'a> Packet<'a> {
    fn parse(text: &'a str) -> Self {
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some('1'), _) | (Some('4'), Some('1')) => Self::Signal(Signal::Closed),
            (Some('2'), _) => Self::Ping(&text[1..]),
            (Some('4'), Some('0')) => Self::Signal(Signal::Connected),
            (Some('4'), Some('2')) => event(&text[2..]).map_or(Self::Other, Self::Signal),
            (Some('4'), Some('4')) => Self::Signal(Signal::Refused(refusal(&text[2..]))),
            _ => Self::Other,
        }
    }
}

/// The event's name and its first argument. An id, of who wants an acknowledgement, stands before them.
fn event(text: &str) -> Option<Signal> {
    let text = text.trim_start_matches(|char: char| char.is_ascii_digit());
    let mut values = serde_json::from_str::<Vec<Value>>(text).ok()?.into_iter();
    let Value::String(name) = values.next()? else { return None };
    Some(Signal::Said { name, data: values.next()? })
}

/// What a server says that refuses the connect: `{"message": "CODE: WORDS"}`.
fn refusal(said: &str) -> Refused {
    let message = match serde_json::from_str(said) {
        Ok(Value::Object(fields)) => fields.get("message").and_then(Value::as_str).unwrap_or(said).to_owned(),
        Ok(Value::String(message)) => message,
        _ => said.to_owned(),
    };
    let is_code = |code: &str| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    match message.split_once(": ") {
        Some((code, message)) if is_code(code) => Refused::new(code, message),
        _ => Refused::new(reason::CONNECT_REFUSED, message),
    }
}

/// An error for people: what a page says that answers instead of Socket.IO, else the innermost cause.
fn said(error: &Error) -> String {
    match error {
        Error::Io(error) => error.to_string(),
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let said = String::from_utf8_lossy(body);
            let said: String = said.trim().chars().filter(|char| !char.is_control()).take(REASON_CHARS_MAX).collect();
            let colon = if said.is_empty() { "" } else { ": " };
            format!("it answers with status {}{colon}{said}", response.status())
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refused_connect_is_read_with_its_code_and_without() {
        let said = r#"44{"message":"clock-skew: the clocks differ: set them"}"#;
        let refused = |text| match Packet::parse(text) {
            Packet::Signal(Signal::Refused(refused)) => refused,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(said), Refused::new("clock-skew", "the clocks differ: set them"));
        for said in [r#"44{"message":"Not Today: sorry"}"#, r#"44"Not Today: sorry""#, "44Not Today: sorry"] {
            assert_eq!(refused(said), Refused::new(reason::CONNECT_REFUSED, "Not Today: sorry"));
        }
    }

    #[test]
    fn a_server_is_waited_for_as_long_as_it_says() {
        let said = r#"{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1}"#;
        assert_eq!(patience(said), Duration::from_secs(45));
        assert_eq!(patience(r#"{"pingInterval":300,"pingTimeout":200}"#), Duration::from_millis(500));
        for said in ["", "{}", r#"{"pingInterval":-1,"pingTimeout":"x"}"#] {
            assert_eq!(patience(said), PATIENCE_UNSAID, "{said}");
        }
    }

    #[test]
    fn events_are_read_with_their_first_argument_and_whatever_else_comes_is_left_alone() {
        let said = |name: &str, data| Packet::Signal(Signal::Said { name: name.into(), data });
        assert_eq!(Packet::parse(r#"42["feedback",{"frame":1}]"#), said("feedback", json!({"frame": 1})));
        assert_eq!(Packet::parse(r#"4217["open",2,3]"#), said("open", json!(2)));
        assert_eq!(Packet::parse(r#"40{"sid":"x"}"#), Packet::Signal(Signal::Connected));
        assert_eq!(Packet::parse("2"), Packet::Ping(""));
        assert_eq!(Packet::parse("2probe"), Packet::Ping("probe"));
        for end in ["1", "41"] {
            assert_eq!(Packet::parse(end), Packet::Signal(Signal::Closed));
        }
        let strange = [
            "",
            "4",
            "42",
            "42[",
            "42[]",
            "42{}",
            "42[1,2]",
            r#"42["alone"]"#,
            "43[1]",
            "45",
            r#"451-["a",{}]"#,
            "6",
            "é2",
            "42é",
            "\u{0}",
        ];
        for text in strange {
            assert_eq!(Packet::parse(text), Packet::Other, "{text:?}");
        }
    }
}
