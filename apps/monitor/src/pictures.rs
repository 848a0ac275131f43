//! Pictures over a WebSocket, each on request: a page asks for the next one when it has shown the last, so a page that is
//! stopped, or slow, gets none and has none waiting.
//!
//! Request, text: `{"stream": 7, "size": "tile", "seen": 3}`: a picture of stream 7 other than number 3 (0: any). With
//! `"range": "0-4095"` what is black and white in it, for formats that are shown by a range; without it that is found by what is in
//! the frame. With `"node": "…"` of a stream of that node of the cluster; without it of the server's own. `"tag": 9` comes back in the
//! answer, 0 to 16,777,215: so whoever asks knows which answer is which.
//! Answer, binary: stream (4 bytes), size (1 byte: 0 tile, 1 full), tag (3 bytes), picture number (8), frame number (8), age
//! in microseconds (8), all big-endian, then the JPEG. A stream that is not there, or ends, or has no pictures, or no other for ten seconds,
//! and a node that does not answer, are answered with a header alone, picture number 0.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use framewire_pictures::{ValueRange, is_pictured};
use framewire_signal::Connected;
use framewire_signal::directory::NodeId;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant as Clock, interval_at, sleep_until, timeout};

use crate::monitor::Monitor;
use crate::peers::{PeerPicture, Wish};
use crate::preview::{JPEG_BYTES_MAX, Picture, PictureKind, PictureSize};

/// A request has some fifty bytes.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Requests of one page that may wait at once: a tile and a full picture of as many streams as a receiver takes.
const WAITING_MAX: usize = 128;
/// The same of streams of other nodes, all together and of each: what one keeps waiting is no other's loss, least of all the server's own.
const WAITING_ELSEWHERE_MAX: usize = 512;
const WAITING_AT_NODE_MAX: usize = 64;
/// A stream that has no other picture for so long has none for now: who waits for one that stands still gives its place to others, and asks again. A node says so
/// of its own before it is given up.
const PICTURED_WITHIN: Duration = Duration::from_secs(10);
const PICTURED_ELSEWHERE_WITHIN: Duration = Duration::from_secs(12);
/// The longest answer, a picture and what stands before it: whoever asks takes no longer one.
pub(crate) const ANSWER_BYTES_MAX: usize = HEADER_LEN + JPEG_BYTES_MAX;
/// What a socket that takes nothing may have waiting: the longest answer, and answers to pings behind it.
const UNSENT_BYTES_MAX: usize = ANSWER_BYTES_MAX + (64 << 10);
/// Browsers answer a ping by themselves. One that does not for three of them has gone.
const PING_EVERY: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = Duration::from_secs(30);
const HEADER_LEN: usize = 32;
/// The largest tag.
pub(crate) const TAG_MAX: u32 = (1 << 24) - 1;

#[derive(Debug, Clone, Copy, Deserialize)]
struct Request {
    stream: u32,
    size: Size,
    /// Which node's stream it is; the server's own without it.
    #[serde(default)]
    node: Option<NodeId>,
    #[serde(default, deserialize_with = "tag")]
    tag: u32,
    #[serde(default)]
    seen: u64,
    #[serde(default, deserialize_with = "range")]
    range: ValueRange,
}

fn tag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let tag = u32::deserialize(deserializer)?;
    if tag > TAG_MAX { Err(D::Error::custom(format!("a tag is at most {TAG_MAX}"))) } else { Ok(tag) }
}

fn range<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ValueRange, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// What is asked for already: asking twice is answered once.
#[derive(Debug, Default)]
struct Waiting(HashSet<(Option<NodeId>, u32, Size, u32)>);

impl Waiting {
    fn key(request: &Request) -> (Option<NodeId>, u32, Size, u32) {
        (request.node, request.stream, request.size, request.tag)
    }

    /// Whether it is new.
    fn add(&mut self, request: &Request) -> bool {
        self.0.insert(Self::key(request))
    }

    fn remove(&mut self, request: &Request) {
        self.0.remove(&Self::key(request));
    }

    /// Whether one more may wait.
    fn has_room(&self, request: &Request) -> bool {
        let count = |is_counted: &dyn Fn(Option<NodeId>) -> bool| self.0.iter().filter(|key| is_counted(key.0)).count();
        match request.node {
            None => count(&|node| node.is_none()) <= WAITING_MAX,
            Some(_) => {
                count(&|node| node.is_some()) <= WAITING_ELSEWHERE_MAX
                    && count(&|node| node == request.node) <= WAITING_AT_NODE_MAX
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
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
    let mut asked = Waiting::default();
    let mut pings = interval_at(Clock::now() + PING_EVERY, PING_EVERY);
    let mut heard = Clock::now();
    loop {
        let sent = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    heard = Clock::now();
                    // What is no request was sent by no page of ours.
                    let Ok(request) = serde_json::from_str::<Request>(&text) else { return };
                    if !asked.add(&request) {
                        continue;
                    }
                    if asked.has_room(&request) {
                        waiting.spawn(next_picture(monitor.clone(), request));
                        continue;
                    }
                    // It may ask again.
                    asked.remove(&request);
                    socket.send(Message::Binary(answer(request, None, Instant::now()))).await
                }
                Some(Ok(Message::Pong(_) | Message::Ping(_))) => {
                    heard = Clock::now();
                    Ok(())
                }
                Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => return,
            },
            Some(ready) = waiting.join_next() => match ready {
                Ok((request, picture)) => {
                    asked.remove(&request);
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

async fn next_picture(monitor: Arc<Monitor>, request: Request) -> (Request, Option<Shown>) {
    let Request { stream, size, range, seen, .. } = request;
    let picture = match request.node {
        Some(node) if !monitor.is_own(node) => {
            let picture = monitor.picture_elsewhere(node, Wish { stream, size, range, seen });
            timeout(PICTURED_ELSEWHERE_WITHIN, picture).await.ok().flatten().map(Shown::from)
        }
        _ => match monitor.board.find(stream) {
            Some(live) if is_pictured(live.about.format.pixel()) => {
                let kind = PictureKind::of(live.about.format.pixel(), size.into(), range);
                timeout(PICTURED_WITHIN, live.pictures.next(kind, seen)).await.ok().flatten().map(Shown::from)
            }
            _ => None,
        },
    };
    (request, picture)
}

/// A picture, wherever it was made.
#[derive(Debug)]
struct Shown {
    serial: u64,
    frame: u64,
    taken: Instant,
    jpeg: Bytes,
}

impl From<Picture> for Shown {
    fn from(Picture { serial, frame, taken, jpeg, .. }: Picture) -> Self {
        Self { serial, frame, taken, jpeg }
    }
}

impl From<PeerPicture> for Shown {
    fn from(PeerPicture { serial, frame, taken, jpeg, .. }: PeerPicture) -> Self {
        Self { serial, frame, taken, jpeg }
    }
}

fn answer(request: Request, picture: Option<&Shown>, now: Instant) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEADER_LEN + picture.map_or(0, |picture| picture.jpeg.len()));
    bytes.put_u32(request.stream);
    bytes.put_u8(match request.size {
        Size::Tile => 0,
        Size::Full => 1,
    });
    bytes.put_uint(u64::from(request.tag), 3);
    let age = |picture: &Shown| now.saturating_duration_since(picture.taken).as_micros();
    bytes.put_u64(picture.map_or(0, |picture| picture.serial));
    bytes.put_u64(picture.map_or(0, |picture| picture.frame));
    bytes.put_u64(picture.map_or(0, |picture| u64::try_from(age(picture)).unwrap_or(u64::MAX)));
    if let Some(picture) = picture {
        bytes.put_slice(&picture.jpeg);
    }
    bytes.freeze()
}

/// The tag of an answer, and its picture where it has one; `None` where it is no answer. The age is as it was when it came, at `now`.
pub(crate) fn read_answer(mut bytes: Bytes, now: Instant) -> Option<(u32, Option<PeerPicture>)> {
    if bytes.len() < HEADER_LEN {
        return None;
    }
    let (_stream, _size, tag) = (bytes.get_u32(), bytes.get_u8(), bytes.get_uint(3) as u32);
    let (serial, frame, age_us) = (bytes.get_u64(), bytes.get_u64(), bytes.get_u64());
    if serial == 0 {
        return Some((tag, None));
    }
    let taken = now.checked_sub(Duration::from_micros(age_us)).unwrap_or(now);
    Some((tag, Some(PeerPicture { serial, frame, taken, came: now, jpeg: bytes })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: &str) -> Request {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_answer_has_its_fields_where_the_page_and_other_nodes_read_them() {
        let request = request(r#"{"stream": 258, "size": "full", "seen": 3, "tag": 66051}"#);
        let taken = Instant::now();
        let picture = Shown { serial: 4, taken, frame: 1_000, jpeg: vec![0xff, 0xd8].into() };
        let bytes = answer(request, Some(&picture), taken + Duration::from_micros(7));
        assert_eq!(&bytes[..8], [0, 0, 1, 2, 1, 1, 2, 3]);
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!((number(8), number(16), number(24)), (4, 1_000, 7));
        assert_eq!(&bytes[HEADER_LEN..], [0xff, 0xd8]);
        let came = taken + Duration::from_secs(1);
        let (tag, read) = read_answer(bytes, came).unwrap();
        let read = read.unwrap();
        assert_eq!((tag, read.serial, read.frame, &read.jpeg[..]), (66_051, 4, 1_000, &[0xff, 0xd8][..]));
        assert_eq!(read.taken, came - Duration::from_micros(7));
        let none = answer(request, None, taken);
        assert_eq!(&none[..], &[[0, 0, 1, 2, 1, 1, 2, 3], [0; 8], [0; 8], [0; 8]].concat()[..]);
        assert!(matches!(read_answer(none.clone(), came), Some((66_051, None))));
        assert!(read_answer(none.slice(..HEADER_LEN - 1), came).is_none());
        let mut old = none.to_vec();
        old[8..].fill(0xff);
        let shown = Shown::from(read_answer(old.into(), came).unwrap().1.unwrap());
        assert_eq!(&answer(request, Some(&shown), came)[24..32], [0xff; 8], "any age is passed on as it is");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_stream_that_stands_still_is_answered_that_there_is_none_for_now() {
        let board = crate::board::tests::board();
        let _stream = board.add(crate::board::tests::about(7, "cam"), Vec::new());
        let monitor = Arc::new(Monitor::new(board.clone(), 10.0, crate::monitor::Guarding::Open, "unknown"));
        let begun = Clock::now();
        let (_, picture) = next_picture(monitor, request(r#"{"stream": 7, "size": "tile"}"#)).await;
        assert!(picture.is_none() && begun.elapsed() >= PICTURED_WITHIN);
        assert_eq!(board.find(7).unwrap().pictures.lookers(), 0);
    }

    #[test]
    fn a_node_that_keeps_its_own_waiting_takes_no_place_of_anothers() {
        let of = |node: u8, stream: usize| {
            let node = format!("{node:032x}");
            request(&format!(r#"{{"stream": {stream}, "size": "tile", "node": "{node}"}}"#))
        };
        let mut waiting = Waiting::default();
        let mut take = |request: Request| {
            let is_new = waiting.add(&request);
            let has_room = waiting.has_room(&request);
            if !has_room {
                waiting.remove(&request);
            }
            is_new && has_room
        };
        assert_eq!((0..100).filter(|stream| take(of(1, *stream))).count(), WAITING_AT_NODE_MAX);
        assert!(!take(of(1, 0)), "it is asked for already");
        assert!(take(of(2, 0)));
        let elsewhere = (3..20).flat_map(|node| (0..100).map(move |stream| of(node, stream)));
        assert_eq!(elsewhere.filter(|request| take(*request)).count(), WAITING_ELSEWHERE_MAX - WAITING_AT_NODE_MAX - 1);
        let own = (0..1_000).map(|stream| request(&format!(r#"{{"stream": {stream}, "size": "tile"}}"#)));
        assert_eq!(own.filter(|request| take(*request)).count(), WAITING_MAX);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"stream": -1, "size": "tile"}"#,
            r#"{"stream": 1, "size": "huge"}"#,
            r#"{"stream": 1, "size": "full", "range": "9-1"}"#,
            r#"{"stream": 1, "size": "full", "tag": 16777216}"#,
            r#"{"stream": 1, "size": "full", "node": "../.."}"#,
            "[]",
        ] {
            assert!(serde_json::from_str::<Request>(text).is_err(), "{text}");
        }
    }
}
