//! Watching: who asks a server for a stream that it has, and what it answers.

use framewire_transport::{Delivery, FrameFormat, Key, setters};
use serde::{Deserialize, Serialize};

use super::{
    Hops, METADATA_BYTES_MAX, NAME_CHARS_MAX, PROTOCOL, Refused, bad, check_rate, check_slice_bytes, check_text, reason,
};

/// Longest name that a stream is asked for by, in characters: its own and a node's, with `@` between them.
pub const WATCH_NAME_CHARS_MAX: usize = 2 * NAME_CHARS_MAX + 1;

/// A client asks for the frames of a stream that this server has, or will have. They go to the client's own address, whatever else the message says.
///
/// The client has announced [`stream`](Self::stream) at its [`Receiver`](framewire_transport::Receiver), or does once
/// [`Watching`] says of what format it is; the server opens it there, repeats that, and sends nothing else before it was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WatchRequest {
    /// Version of the protocol on the data path that the client speaks.
    pub protocol: u16,
    /// Id of the stream as the watcher receives it: random, chosen by the watcher, kept over reconnects, and a secret between the two. It names the
    /// wish, too. It is not the id of the stream that is asked for, which the watcher does not know.
    pub stream: u32,
    /// The name of the stream that is asked for: 1 to [`WATCH_NAME_CHARS_MAX`] characters, no control characters. `NAME@NODE` is
    /// the one of that name at that node.
    pub name: String,
    /// UDP port of the watcher's receiver, at the address that it asks from; not 0.
    pub udp_port: u16,
    /// Whether each frame counts: `every` loses nothing as long as the watcher keeps up, and is not waited for where it does not. Absent for `latest`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "super::optional_delivery")]
    pub delivery: Option<Delivery>,
    /// Most frames a second that are wanted, finite and at least [`FRAMES_PER_SECOND_MIN`](super::FRAMES_PER_SECOND_MIN); those between are skipped. Absent for all
    /// of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_per_second_max: Option<f64>,
    /// Bytes in a datagram, header included, that the watcher wants, at least 1; absent for the server's or the path's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice_bytes: Option<u32>,
    /// The servers that the stream goes on through, the one that asks first. Believed from a [node](super::Role::Node) alone; from others it is left out before
    /// the host sees it.
    #[serde(default, skip_serializing_if = "Hops::is_empty")]
    pub hops: Hops,
}

impl WatchRequest {
    /// Asks for the newest frames of the stream of this name, as fast as they come, in slices that the path carries. `stream` is a random id, which the
    /// watcher's [`Receiver`](framewire_transport::Receiver) knows the stream by; it listens on `udp_port`.
    pub fn new(stream: u32, name: impl Into<String>, udp_port: u16) -> Self {
        Self {
            protocol: PROTOCOL,
            stream,
            name: name.into(),
            udp_port,
            delivery: None,
            frames_per_second_max: None,
            slice_bytes: None,
            hops: Hops::default(),
        }
    }

    setters! {
        delivery: impl Into<Option<Delivery>>,
        frames_per_second_max: impl Into<Option<f64>>,
        slice_bytes: impl Into<Option<u32>>,
        hops: Hops,
    }

    /// Checks the bounds of the fields; whether there is such a stream, and whether it can be sent so, is for the host to say.
    ///
    /// # Errors
    /// [`Refused`] with reason `bad-request` and the value that is out of range.
    pub fn check(&self) -> Result<(), Refused> {
        if self.name.is_empty() {
            return bad(
                "a stream without a name cannot be asked for; say the name of one, as the server lists it".into()
            );
        }
        check_text(&self.name, WATCH_NAME_CHARS_MAX)?;
        if self.udp_port == 0 {
            return bad("frames cannot be sent to port 0; say the port that the watcher's receiver listens on".into());
        }
        check_rate(self.frames_per_second_max)?;
        check_slice_bytes(self.slice_bytes)
    }
}

/// The server sends what was asked for, to the address that asked and its UDP port: what a watcher announces at its receiver, if it has not already.
///
/// The server opens the stream there, and repeats that; it does not matter which of the two comes first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Watching {
    /// The watcher's own id of it, as asked for.
    pub stream: u32,
    /// The name of the stream, as the server lists it.
    pub name: String,
    /// The node that has the stream from its sender; absent where the server is in no cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Pixel format as the transport names it.
    pub pixel: String,
    /// Pixels in a row; of a `bytes` stream the most bytes that a frame may have.
    pub width: u32,
    /// Rows; 1 for a `bytes` stream.
    pub height: u32,
    /// Bytes from one row to the next in the first plane.
    pub stride: u32,
    /// How it is sent to this watcher.
    #[serde(with = "super::DeliveryName")]
    pub delivery: Delivery,
    /// Rate that its sender means to keep, or the watcher's most, in frames a second; absent when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// Most bytes of metadata that a frame may have, 0 to 4,096; absent where the server does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_bytes_max: Option<u32>,
    /// The key under which its datagrams are encrypted, 43 characters of base64url in JSON; absent where they go plainly. A secret between the
    /// server and this watcher: a [`SignalServer`](crate::SignalServer) sends one over TLS alone.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::stream_key")]
    pub key: Option<Key>,
    /// The servers that it came through, the one that has it from its sender first and this one last. None where the server is in no cluster. A server that finds
    /// itself among them takes nothing: the stream would go in a circle.
    #[serde(default, skip_serializing_if = "Hops::is_empty")]
    pub hops: Hops,
}

impl Watching {
    /// The stream of this name is sent as `stream`, in frames of this format; its rate, node and metadata are not known, and its datagrams go plainly.
    pub fn new(stream: u32, name: impl Into<String>, format: &FrameFormat, delivery: Delivery) -> Self {
        Self {
            stream,
            name: name.into(),
            node: None,
            pixel: format.pixel().name().to_owned(),
            width: format.width(),
            height: format.height(),
            stride: format.stride(),
            delivery,
            frames_per_second: None,
            metadata_bytes_max: None,
            key: None,
            hops: Hops::default(),
        }
    }

    setters! {
        node: impl Into<Option<String>>,
        frames_per_second: impl Into<Option<f64>>,
        metadata_bytes_max: impl Into<Option<u32>>,
        key: impl Into<Option<Key>>,
        hops: Hops,
    }

    /// The format of the stream's frames.
    ///
    /// # Errors
    /// [`Refused`] with reason `bad-request` where this release knows no such format, or the server says more metadata than a frame may have.
    pub fn format(&self) -> Result<FrameFormat, Refused> {
        if let Some(bytes) = self.metadata_bytes_max.filter(|bytes| *bytes > METADATA_BYTES_MAX) {
            return Err(Refused::new(
                reason::BAD_REQUEST,
                format!("{bytes} bytes of metadata a frame cannot be; use the same release at the server and here"),
            ));
        }
        super::open::read_format(&self.pixel, self.width, self.height, self.stride)
    }
}

/// The server has no stream of that name: the wish stands, and [`Watching`] follows when there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Waiting {
    /// The watcher's own id, as asked for.
    pub stream: u32,
    /// For people: what is waited for.
    pub message: String,
    /// The name nearest to the one asked for, of those that there are; said once a wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
}

impl Waiting {
    /// The wish stands.
    pub fn new(stream: u32, message: impl Into<String>) -> Self {
        Self { stream, message: message.into(), nearest: None }
    }

    setters! { nearest: impl Into<Option<String>>, }
}

/// What a host says to a [`WatchRequest`] that it grants.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum WatchAnswer {
    /// The frames come, as soon as the watcher accepts.
    Watching(Watching),
    /// There is no such stream yet.
    Waiting(Waiting),
}

/// The server's answer to a [`WatchRequest`].
///
/// In JSON the field `reply` says which: `"watching"`, `"waiting"` or `"refused"`. It goes out as the event of that name, and as the
/// acknowledgement where the client asked for one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "lowercase")]
#[non_exhaustive]
pub enum WatchReply {
    /// The frames come, as soon as the watcher accepts.
    Watching(Watching),
    /// There is no such stream yet.
    Waiting(Waiting),
    /// There will be none.
    Refused(Refused),
}

impl From<WatchAnswer> for WatchReply {
    fn from(answer: WatchAnswer) -> Self {
        match answer {
            WatchAnswer::Watching(watching) => Self::Watching(watching),
            WatchAnswer::Waiting(waiting) => Self::Waiting(waiting),
        }
    }
}

/// A client wants the frames no more that it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UnwatchRequest {
    /// The watcher's own id.
    pub stream: u32,
}

impl UnwatchRequest {
    /// Ends the wish of this id.
    pub fn new(stream: u32) -> Self {
        Self { stream }
    }
}

/// Frames that were watched come no more: at the watcher's wish, or because the stream ended at the server. In the second case the wish stands, and
/// [`Watching`] follows when the stream is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unwatched {
    /// The watcher's own id.
    pub stream: u32,
    /// For people: why.
    pub message: String,
    /// Its sender has closed it, so that who reads it has all of it. Absent for false: it is away, or wanted no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
}

impl Unwatched {
    /// This wish's frames come no more, or not for now.
    pub fn new(stream: u32, message: impl Into<String>) -> Self {
        Self { stream, message: message.into(), over: false }
    }

    setters! { over: bool, }
}

#[cfg(test)]
mod tests;
