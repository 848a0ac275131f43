//! What is said over Socket.IO: opening, closing and watching streams, and the answers.
//!
//! Every message is one JSON object, sent as the only argument of an event whose name is in [`event`]. Unknown fields are
//! ignored, so that either side can grow first.
//!
//! | event | from, to | what is said | when |
//! |---|---|---|---|
//! | `challenge` | server, client | [`Challenge`] | to an [`Introduction`] in CONNECT's `auth`, where there is a token |
//! | `prove` | client, server | [`Prove`] | once the server's proof is right |
//! | `proven` | server, client | [`Proven`] | once the client's is; before it nothing else is said or heard |
//! | `open` | client, server | [`Opening`], numbered | |
//! | `opened`, `refused` | server, client | [`Granted`], [`Refused`], with the number that they answer | |
//! | `close` | client, server | [`CloseRequest`], numbered | |
//! | `closed` | server, client | [`Closed`] | to `close`, or when the stream ends at the server |
//! | `watch` | client, server | [`WatchRequest`], numbered | for a stream that the server has, or will have |
//! | `watching`, `waiting`, `refused` | server, client | [`Watching`], [`Waiting`], [`Refused`], with the number that they answer | |
//! | `watching` | server, client | [`Watching`], without a number | when the stream comes, comes back, or is another |
//! | `unwatch` | client, server | [`UnwatchRequest`], numbered | |
//! | `unwatched` | server, client | [`Unwatched`] | to `unwatch`, or while the stream is away, where the wish stands |
//! | `idle` | server, who opened the stream | [`Idle`] | when nobody wants it any more, or somebody does again |
//! | `grant` | server, who opened the stream | [`Grant`] | when its part of a link changes |
//! | `replaced` | server, who opened the stream | [`Replaced`] | when another of its name was started later |
//! | `moved` | server, everybody | [`Moved`] | when clients had better go elsewhere |
//! | `elsewhere` | server, everybody but nodes | [`Elsewhere`] | once the client was let in, where there are others to go to; whenever these change |
//! | `feedback` | server, everybody but the quiet | [`Feedback`], or [`PlainFeedback`] | at each frame, or a few |
//! | `quiet` | client, server | [`Quiet`] | by who has no use for feedback of others' streams |
//! | `statistics` | server, everybody | [`Statistics`] | once in a while |
//! | `heartbeat` | client, server, client | the same object | as often as the client likes |
//!
//! `idle`, `grant` and `replaced` come after the `opened` of their stream, and what still holds of them comes again after each further `opened`. What is
//! told of a wish comes after the answer to it.
//!
//! # Watching
//!
//! ```text
//! watcher                                                   server
//!   | watch {request, stream, name, udp_port, ...}             |
//!   |--------------------------------------------------------->|  the host looks for the name
//!   | waiting {request, stream, message, nearest}              |
//!   |<---------------------------------------------------------|  it is not there: the wish stands
//!   | watching {stream, pixel, width, height, stride, key, …}  |
//!   |<---------------------------------------------------------|  now it is
//!   |            UDP: Open, to the watcher's own address       |
//!   |<. . . . . . . . . . . . . . . . . . . . . . . . . . . . .|  repeated until it is answered
//!   |            UDP: Accept, of an id that was announced      |
//!   |. . . . . . . . . . . . . . . . . . . . . . . . . . . . .>|  from here on frames
//! ```
//!
//! A wish is named by the watcher's own random id, and ends with `unwatch`, or when its client has been gone for two seconds: one that comes back
//! within them, from the same address, asks again by the same id. There may be 16 of a client (64 of a node), 64 of an address, 256 in all;
//! one more is refused with `too-many`, and may be asked for again later.
//!
//! Frames go to the address that the request came from: there is no field that says another. Behind a proxy that is the proxy's, so who
//! watches connects to the server itself.

mod elsewhere;
mod grant;
mod hops;
mod open;
mod refused;
mod watch;

use serde::{Deserialize, Serialize};

pub use framewire_transport::Delivery;

pub use self::elsewhere::{ELSEWHERE_MAX, Elsewhere, OtherServer};
pub use self::grant::{Grant, Idle, Moved, Quiet, Replaced};
pub use self::hops::{HOPS_MAX, Hops, HopsError};
pub use self::open::{
    CloseRequest, Closed, Granted, OpenReply, OpenRequest, Opened, Opening, PRIORITY_DEFAULT, PRIORITY_MAX, Resume,
};
pub use self::refused::{Refused, reason};
pub use self::watch::{
    UnwatchRequest, Unwatched, WATCH_NAME_CHARS_MAX, Waiting, WatchAnswer, WatchReply, WatchRequest, Watching,
};

pub use crate::introduction::{Binding, Challenge, Introduction, PROOF_VERSION, Prove, Proven, Role};
pub use crate::report::{CaptureTime, Feedback, PlainFeedback, Statistics, StreamStatistics, Timestamp};
pub use crate::share::{SHARE_PATH_BYTES_MAX, ShareOffer};

/// Names of the Socket.IO events, all in the default namespace `/`.
pub mod event {
    /// Server to a client that has introduced itself: [`Challenge`](super::Challenge).
    pub const CHALLENGE: &str = "challenge";
    /// Client to server, once the server's proof is right: [`Prove`](super::Prove).
    pub const PROVE: &str = "prove";
    /// Server to client, once the client's proof is right: [`Proven`](super::Proven). Where it is wrong, `refused` comes, and the end.
    pub const PROVEN: &str = "proven";
    /// Client to server: an [`Opening`](super::Opening), with a `request` id of the client's choice.
    pub const OPEN: &str = "open";
    /// Server to client: [`Granted`](super::Granted), with the `request` id it answers.
    pub const OPENED: &str = "opened";
    /// Server to client: [`Refused`](super::Refused), with the `request` id it answers.
    pub const REFUSED: &str = "refused";
    /// Client to server: a [`CloseRequest`](super::CloseRequest).
    pub const CLOSE: &str = "close";
    /// Server to client: [`Closed`](super::Closed).
    pub const CLOSED: &str = "closed";
    /// Client to server: a [`WatchRequest`](super::WatchRequest), with a `request` id of the client's choice.
    pub const WATCH: &str = "watch";
    /// Server to client: [`Watching`](super::Watching), with the `request` id it answers; again, without one, each time that the stream comes back.
    pub const WATCHING: &str = "watching";
    /// Server to client: [`Waiting`](super::Waiting), with the `request` id it answers.
    pub const WAITING: &str = "waiting";
    /// Client to server: an [`UnwatchRequest`](super::UnwatchRequest).
    pub const UNWATCH: &str = "unwatch";
    /// Server to client: [`Unwatched`](super::Unwatched).
    pub const UNWATCHED: &str = "unwatched";
    /// Server to the client that opened a stream: [`Idle`](super::Idle).
    pub const IDLE: &str = "idle";
    /// Server to the client that opened a stream: [`Grant`](super::Grant).
    pub const GRANT: &str = "grant";
    /// Server to the client that opened a stream: [`Replaced`](super::Replaced).
    pub const REPLACED: &str = "replaced";
    /// Server to every client: [`Moved`](super::Moved).
    pub const MOVED: &str = "moved";
    /// Server to every client but other servers: [`Elsewhere`](super::Elsewhere).
    pub const ELSEWHERE: &str = "elsewhere";
    /// Client to server: [`Quiet`](super::Quiet).
    pub const QUIET: &str = "quiet";
    /// Server to every client that has not asked for [`QUIET`]: [`Feedback`](super::Feedback), or [`PlainFeedback`](super::PlainFeedback) on the plain wire.
    pub const FEEDBACK: &str = "feedback";
    /// Server to every client: [`Statistics`](super::Statistics); only the newest reaches a slow client.
    pub const STATISTICS: &str = "statistics";
    /// Client to server, and the same object back: proof that the other side lives. Optional for a client.
    pub const HEARTBEAT: &str = "heartbeat";
}

/// The version of the protocol on the data path that this release speaks, as [`OpenRequest::protocol`] and [`Opened::protocol`] say it.
pub const PROTOCOL: u16 = framewire_transport::wire::VERSION as u16;
/// Longest stream name, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Longest name of a pixel format, in characters.
pub const PIXEL_CHARS_MAX: usize = 32;
/// Fewest frames a second that are a rate: one in a day and a bit. What is less is a slip, and would be of no weight on a link.
pub const FRAMES_PER_SECOND_MIN: f64 = 0.00001;
/// Widest and highest frame, in pixels: 2^16, twice what any camera of today gives.
pub const SIDE_PIXELS_MAX: u32 = 65_536;
/// Most metadata of a frame, in bytes.
pub const METADATA_BYTES_MAX: u32 = framewire_transport::frame::METADATA_MAX as u32;

/// A message with the id by which its answer names it. Messages of one socket are handled concurrently, so answers may
/// come in another order than requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Numbered<T> {
    /// The client's id of the request; absent when the client does not need one, as with an acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
    /// What is said.
    #[serde(flatten)]
    pub body: T,
}

/// The object that goes to and fro in [`event::HEARTBEAT`].
#[cfg(any(feature = "client", feature = "server"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    pub(crate) beat: u64,
}

/// How a [`Delivery`] is written.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Delivery", rename_all = "lowercase")]
enum DeliveryName {
    Every,
    Latest,
}

/// The same where there may be none.
mod optional_delivery {
    use super::{Delivery, DeliveryName};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Named(#[serde(with = "DeliveryName")] Delivery);

    pub(super) fn serialize<S: Serializer>(delivery: &Option<Delivery>, serializer: S) -> Result<S::Ok, S::Error> {
        delivery.map(Named).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Delivery>, D::Error> {
        Ok(Option::<Named>::deserialize(deserializer)?.map(|Named(delivery)| delivery))
    }
}

/// Whether a stream may be called so: what is behind an `@` is a server's name.
fn check_name(name: &str) -> Result<(), Refused> {
    check_text(name, NAME_CHARS_MAX)?;
    if name.contains('@') {
        return bad(format!(
            "the name {name:?} has an '@', behind which a server is named where a stream is asked for; leave it out"
        ));
    }
    Ok(())
}

/// Whether what a stream is called or asked for by is no more than so long, and can be shown.
fn check_text(name: &str, chars_max: usize) -> Result<(), Refused> {
    let name_chars = name.chars().count();
    if name_chars > chars_max {
        return bad(format!("the name has {name_chars} characters; use at most {chars_max}"));
    }
    if name.chars().any(char::is_control) {
        return bad(format!("the name {name:?} has control characters; leave them out"));
    }
    Ok(())
}

/// Whether there may be so many frames a second.
fn check_rate(frames_per_second: Option<f64>) -> Result<(), Refused> {
    match frames_per_second.filter(|rate| !(rate.is_finite() && *rate >= FRAMES_PER_SECOND_MIN)) {
        Some(rate) => bad(format!(
            "{rate} frames a second cannot be; use a number from {FRAMES_PER_SECOND_MIN} on, or leave it out"
        )),
        None => Ok(()),
    }
}

fn check_slice_bytes(slice_bytes: Option<u32>) -> Result<(), Refused> {
    match slice_bytes {
        Some(0) => bad("slices of 0 bytes cannot be; leave slice_bytes out for the path's own size".into()),
        _ => Ok(()),
    }
}

fn bad(message: String) -> Result<(), Refused> {
    Err(Refused::new(reason::BAD_REQUEST, message))
}
