//! Pictures over a WebSocket, each on request: a page asks for the next one when it has shown the last, so a page that is
//! stopped, or slow, gets none and has none waiting.
//!
//! Request, text: `{"stream": 7, "size": "tile", "seen": 3}`: a picture of stream 7 other than number 3 (0: any). With
//! `"range": "0-4095"` what is black and white in it, for formats that are shown by a range; without it that is found by what is in
//! the frame.
//! Answer, binary: stream (4 bytes), size (1 byte: 0 tile, 1 full), 3 bytes zero, picture number (8), frame number (8), age
//! in microseconds (8), all big-endian, then the JPEG. A stream that is not there, or ends, or has no pictures, is answered with a
//! header alone, picture number 0.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use framewire_pictures::{ValueRange, is_pictured};
use framewire_signal::Connected;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use tokio::task::JoinSet;
use tokio::time::{Instant as Clock, interval_at, sleep_until};

use crate::monitor::Monitor;
use crate::preview::{Picture, PictureKind, PictureSize};

/// A request has some fifty bytes.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Requests of one page that may wait at once: a tile and a full picture of as many streams as a receiver takes.
const WAITING_MAX: usize = 128;
/// What a socket that takes nothing may have waiting: the largest picture, and answers to pings behind it.
const UNSENT_BYTES_MAX: usize = 8 << 20;
/// Browsers answer a ping by themselves. One that does not for three of them has gone.
const PING_EVERY: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = Duration::from_secs(30);
const HEADER_LEN: usize = 32;

#[derive(Debug, Clone, Copy, Deserialize)]
struct Request {
    stream: u32,
    size: Size,
    #[serde(default)]
    seen: u64,
    #[serde(default, deserialize_with = "range")]
    range: ValueRange,
}

fn range<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ValueRange, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Size {
    Tile,
    Full,
}

impl From<Size> for PictureSize {
    fn from(size: Size) -> Self {
        match size {
            Size::Tile => Self::Tile,
            Size::Full => Self::Full,
        }
    }
}

pub(crate) async fn pictures(
    State(monitor): State<Arc<Monitor>>,
    Extension(connected): Extension<Connected>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let place = match monitor.place(&connected) {
        Ok(place) => place,
        Err(none) => return none.into_response(),
    };
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .write_buffer_size(0)
        .max_write_buffer_size(UNSENT_BYTES_MAX)
        .on_upgrade(move |socket| async move {
            serve(monitor, socket).await;
            drop(place);
        })
}

async fn serve(monitor: Arc<Monitor>, mut socket: WebSocket) {
    let mut waiting = JoinSet::new();
    // What is asked for already: asking twice is answered once.
    let mut asked: HashSet<(u32, Size)> = HashSet::new();
    let mut pings = interval_at(Clock::now() + PING_EVERY, PING_EVERY);
    let mut heard = Clock::now();
    loop {
        let sent = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    heard = Clock::now();
                    // What is no request was sent by no page of ours.
                    let Ok(request) = serde_json::from_str::<Request>(&text) else { return };
                    if waiting.len() < WAITING_MAX && asked.insert((request.stream, request.size)) {
                        waiting.spawn(next_picture(monitor.clone(), request));
                    }
                    Ok(())
                }
                Some(Ok(Message::Pong(_) | Message::Ping(_))) => {
                    heard = Clock::now();
                    Ok(())
                }
                Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => return,
            },
            Some(ready) = waiting.join_next() => match ready {
                Ok((request, picture)) => {
                    asked.remove(&(request.stream, request.size));
                    let sent = socket.send(Message::Binary(answer(request, picture.as_ref(), Instant::now()))).await;
                    // Whoever took a picture is there, however long that took.
                    heard = Clock::now();
                    sent
                }
                Err(error) => {
                    tracing::error!("a picture's task failed: {error}");
                    return;
                }
            },
            _ = pings.tick() => socket.send(Message::Ping(Bytes::new())).await,
            () = sleep_until(heard + SILENCE_MAX) => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn next_picture(monitor: Arc<Monitor>, request: Request) -> (Request, Option<Picture>) {
    let stream = monitor.board.find(request.stream);
    let picture = match &stream {
        Some(stream) if is_pictured(stream.about.format.pixel()) => {
            let kind = PictureKind::of(stream.about.format.pixel(), request.size.into(), request.range);
            stream.pictures.next(kind, request.seen).await
        }
        _ => None,
    };
    (request, picture)
}

fn answer(request: Request, picture: Option<&Picture>, now: Instant) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEADER_LEN + picture.map_or(0, |picture| picture.jpeg.len()));
    bytes.put_u32(request.stream);
    bytes.put_u8(match request.size {
        Size::Tile => 0,
        Size::Full => 1,
    });
    bytes.put_bytes(0, 3);
    let age = |picture: &Picture| now.saturating_duration_since(picture.taken).as_micros();
    bytes.put_u64(picture.map_or(0, |picture| picture.serial));
    bytes.put_u64(picture.map_or(0, |picture| picture.frame));
    bytes.put_u64(picture.map_or(0, |picture| u64::try_from(age(picture)).unwrap_or(u64::MAX)));
    if let Some(picture) = picture {
        bytes.put_slice(&picture.jpeg);
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_fields_where_the_page_reads_them() {
        let request: Request = serde_json::from_str(r#"{"stream": 258, "size": "full", "seen": 3}"#).unwrap();
        let taken = Instant::now();
        let picture =
            Picture { serial: 4, taken, frame: 1_000, kind: PictureKind::TILE, jpeg: vec![0xff, 0xd8].into() };
        let bytes = answer(request, Some(&picture), taken + Duration::from_micros(7));
        assert_eq!(&bytes[..8], [0, 0, 1, 2, 1, 0, 0, 0]);
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!((number(8), number(16), number(24)), (4, 1_000, 7));
        assert_eq!(&bytes[HEADER_LEN..], [0xff, 0xd8]);
        assert_eq!(
            answer(request, None, taken)[..],
            [0, 0, 1, 2, 1, 0, 0, 0].iter().copied().chain([0; 24]).collect::<Vec<u8>>()[..]
        );
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"stream": -1, "size": "tile"}"#,
            r#"{"stream": 1, "size": "huge"}"#,
            r#"{"stream": 1, "size": "full", "range": "9-1"}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<Request>(text).is_err(), "{text}");
        }
    }
}
