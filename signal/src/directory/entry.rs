//! What a node says of itself.

use std::fmt;
use std::str::FromStr;

use framewire_transport::{Delivery, setters};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::STREAMS_MAX;
use super::node::NodeId;
use crate::message::{Hops, NAME_CHARS_MAX, PIXEL_CHARS_MAX};
use crate::pin::Pin;

/// Longest address of a node, in bytes.
pub(super) const URL_BYTES_MAX: usize = 512;
/// Most links that an entry tells of.
const LINKS_MAX: usize = 32;

/// How a server lets others in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Guard {
    /// TLS, tokens, encrypted frames.
    Protected,
    /// It listens on loopback alone, and nothing is protected there.
    Open,
    /// Nothing is protected, because somebody said so.
    Insecure,
    /// A later server's word.
    #[default]
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protected => "protected",
            Self::Open => "open",
            Self::Insecure => "insecure",
            Self::Unknown => "unknown",
        })
    }
}

impl FromStr for Guard {
    type Err = std::convert::Infallible;

    /// What is not known is [`Guard::Unknown`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "protected" => Self::Protected,
            "open" => Self::Open,
            "insecure" => Self::Insecure,
            _ => Self::Unknown,
        })
    }
}

/// How a stream does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StreamState {
    /// Frames come.
    Streaming,
    /// It is open, and no frame has come for a while.
    Silent,
    /// A later server's word.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What stays the same while a server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnNode {
    /// Which server it is.
    pub node: NodeId,
    /// Which run of it: above that of each run before ([`KeptNode`](super::KeptNode)).
    pub incarnation: u64,
    /// For people: at most 64 characters, no control characters.
    pub name: String,
    /// Where others reach its page and its Socket.IO: `http://HOST:PORT` or `https://HOST:PORT`, at most 512 bytes.
    pub url: String,
    /// The server's key, where it speaks TLS, until [`OwnState::pin`] says another; none by default.
    pub pin: Option<Pin>,
    /// How it lets others in; [`Guard::Unknown`] by default.
    pub guard: Guard,
}

impl OwnNode {
    /// This server, by its address and name.
    pub fn new(node: NodeId, incarnation: u64, name: impl Into<String>, url: impl Into<String>) -> Self {
        Self { node, incarnation, name: name.into(), url: url.into(), pin: None, guard: Guard::Unknown }
    }

    setters! {
        pin: impl Into<Option<Pin>>,
        guard: Guard,
    }
}

/// What changes while a server runs.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct OwnState {
    /// What it has to do.
    pub load: Load,
    /// What its links carry; at most 32 are told of.
    pub links: Vec<LinkEntry>,
    /// The server's key, where that may be another by now than [`OwnNode::pin`]; none by default, and where it is not.
    pub pin: Option<Pin>,
    /// Its streams; at most 1,024 are told of, the rest counted in [`NodeEntry::streams_more`].
    pub streams: Vec<StreamEntry>,
}

impl OwnState {
    /// These streams.
    pub fn new(streams: Vec<StreamEntry>) -> Self {
        Self { streams, ..Self::default() }
    }

    setters! {
        load: Load,
        links: Vec<LinkEntry>,
        pin: impl Into<Option<Pin>>,
    }
}

/// What a server has to do.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Load {
    /// Bytes of frames that come in, a second.
    #[serde(default)]
    pub bytes_per_second: u64,
    /// Bytes of frames that it sends on to watchers, a second.
    #[serde(default)]
    pub relayed_bytes_per_second: u64,
    /// How many watchers it has.
    #[serde(default)]
    pub watchers: u32,
    /// Cores that it keeps busy, of the machine's; absent where it does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<f64>,
}

impl Load {
    /// None at all.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        bytes_per_second: u64,
        relayed_bytes_per_second: u64,
        watchers: u32,
        cores: impl Into<Option<f64>>,
    }
}

/// A link with a budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkEntry {
    /// Of the interface, at most 64 characters.
    pub name: String,
    /// What may be granted on it, in bits a second: its rate times its share.
    pub bits_per_second_max: u64,
    /// What is granted on it towards the server, in bits a second.
    #[serde(default)]
    pub received_bits_per_second: u64,
    /// What is granted on it away from the server, in bits a second.
    #[serde(default)]
    pub sent_bits_per_second: u64,
}

impl LinkEntry {
    /// A link on which nothing is granted yet.
    pub fn new(name: impl Into<String>, bits_per_second_max: u64) -> Self {
        Self { name: name.into(), bits_per_second_max, received_bits_per_second: 0, sent_bits_per_second: 0 }
    }

    setters! {
        received_bits_per_second: u64,
        sent_bits_per_second: u64,
    }
}

/// A stream that a node has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamEntry {
    /// The number that it is shown by at its server: not the id that its datagrams carry, which is a secret.
    pub id: u64,
    /// For people; at most 64 characters, no control characters.
    pub name: String,
    /// Pixel format, as the transport names it.
    pub pixel: String,
    /// Pixels in a row, or the most bytes of a frame.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Whether each frame counts; absent where the source does not say.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "delivery_name")]
    pub delivery: Option<Delivery>,
    /// Over the last second, finite and not below 0; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// Bytes of frames over the last second; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// How it does.
    #[serde(default)]
    pub state: StreamState,
    /// When its source began, in nanoseconds since 1970 as its machine knows them: of two of one name the newer has the name. 0, the default, where it does not say.
    #[serde(default)]
    pub incarnation: u64,
    /// The nodes that it came through, the one that has it from its source first; none where this node has it from its source.
    #[serde(default, skip_serializing_if = "Hops::is_empty")]
    pub hops: Hops,
    /// Whether nobody wants it at the moment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idle: bool,
}

impl StreamEntry {
    /// A stream that is shown by this number, of this name and format, of which nothing else is known yet.
    pub fn new(id: u64, name: impl Into<String>, pixel: impl Into<String>, width: u32, height: u32) -> Self {
        Self {
            id,
            name: name.into(),
            pixel: pixel.into(),
            width,
            height,
            delivery: None,
            frames_per_second: None,
            bytes_per_second: None,
            state: StreamState::Streaming,
            incarnation: 0,
            hops: Hops::default(),
            idle: false,
        }
    }

    setters! {
        delivery: impl Into<Option<Delivery>>,
        frames_per_second: impl Into<Option<f64>>,
        bytes_per_second: impl Into<Option<u64>>,
        state: StreamState,
        incarnation: u64,
        hops: Hops,
        idle: bool,
    }

    /// Whether all but its figures are those of the other: what others are told of soon.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let Self {
            id,
            name,
            pixel,
            width,
            height,
            delivery,
            frames_per_second: _,
            bytes_per_second: _,
            state,
            incarnation,
            hops,
            idle,
        } = self;
        (*id, name, pixel, *width, *height, *delivery)
            == (other.id, &other.name, &other.pixel, other.width, other.height, other.delivery)
            && (*state, *incarnation, hops, *idle) == (other.state, other.incarnation, &other.hops, other.idle)
    }

    fn check(&self) -> Result<(), String> {
        check_name("a stream's name", &self.name)?;
        if !(1..=PIXEL_CHARS_MAX).contains(&self.pixel.len())
            || !self.pixel.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        {
            return Err(format!(
                "a pixel format of {} bytes; at most {PIXEL_CHARS_MAX} of printable ASCII are one",
                self.pixel.len()
            ));
        }
        if let Some(rate) = self.frames_per_second.filter(|rate| !(rate.is_finite() && *rate >= 0.0)) {
            return Err(format!("{rate} frames a second; a rate is a number, and not below 0"));
        }
        Ok(())
    }
}

/// What a node says of itself: signed, in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NodeEntry {
    /// Which server.
    pub node: NodeId,
    /// Which run of it: the higher is the newer.
    pub incarnation: u64,
    /// Counts the entries of this run: the higher is the newer, and one that rises is a sign of life.
    pub sequence: u64,
    /// For people; at most 64 characters, no control characters.
    pub name: String,
    /// Where its page and its Socket.IO are.
    pub url: String,
    /// Its key, where it speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// How it lets others in.
    #[serde(default)]
    pub guard: Guard,
    /// What it has to do.
    #[serde(default)]
    pub load: Load,
    /// What its links carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkEntry>,
    /// Its streams, at most 1,024.
    #[serde(default)]
    pub streams: Vec<StreamEntry>,
    /// How many streams more it has, of which there was no room to tell.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub streams_more: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl NodeEntry {
    /// What this server says, the `sequence`-th time. What the network would not take is left out of it.
    pub(super) fn of(own: &OwnNode, state: &OwnState, sequence: u64) -> Self {
        let told = state.streams.iter().filter(|stream| stream.check().is_ok()).take(STREAMS_MAX);
        let streams: Vec<_> = told.cloned().collect();
        let load = Load { cores: state.load.cores.filter(|cores| cores.is_finite() && *cores >= 0.0), ..state.load };
        Self {
            node: own.node,
            incarnation: own.incarnation,
            sequence,
            name: own.name.clone(),
            url: own.url.clone(),
            pin: state.pin.or(own.pin),
            guard: own.guard,
            load,
            links: state
                .links
                .iter()
                .filter(|link| check_name("a link's name", &link.name).is_ok())
                .take(LINKS_MAX)
                .cloned()
                .collect(),
            streams_more: (state.streams.len() - streams.len()) as u64,
            streams,
        }
    }

    /// The bounds of its fields: what the network says may be anything.
    ///
    /// # Errors
    /// Which field is out of them, with the value.
    pub(super) fn check(&self) -> Result<(), String> {
        check_name("a node's name", &self.name)?;
        check_url(&self.url)?;
        if let Some(cores) = self.load.cores.filter(|cores| !(cores.is_finite() && *cores >= 0.0)) {
            return Err(format!("{cores} busy cores; a load is a number, and not below 0"));
        }
        if self.links.len() > LINKS_MAX {
            return Err(format!("{} links; at most {LINKS_MAX} are told of", self.links.len()));
        }
        if self.streams.len() > STREAMS_MAX {
            return Err(format!("{} streams; at most {STREAMS_MAX} are told of", self.streams.len()));
        }
        self.links.iter().try_for_each(|link| check_name("a link's name", &link.name))?;
        self.streams.iter().try_for_each(StreamEntry::check)
    }
}

pub(super) fn check_name(what: &str, name: &str) -> Result<(), String> {
    let chars = name.chars().count();
    if chars > NAME_CHARS_MAX {
        return Err(format!("{what} of {chars} characters; at most {NAME_CHARS_MAX} are one"));
    }
    if name.chars().any(char::is_control) {
        return Err(format!("{what} with control characters, {name:?}; leave them out"));
    }
    Ok(())
}

pub(super) fn check_url(url: &str) -> Result<(), String> {
    let is_http = url.starts_with("http://") || url.starts_with("https://");
    if !is_http || url.len() > URL_BYTES_MAX || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        let shown: String = url.chars().take(64).collect();
        return Err(format!(
            "{shown:?} as a node's address; one is http://HOST:PORT or https://HOST:PORT, of at most {URL_BYTES_MAX} bytes"
        ));
    }
    Ok(())
}

/// How a [`Delivery`] that may be absent is written.
mod delivery_name {
    use super::*;

    #[expect(clippy::ref_option, reason = "serde gives the field so")]
    pub(super) fn serialize<S: Serializer>(delivery: &Option<Delivery>, serializer: S) -> Result<S::Ok, S::Error> {
        match delivery {
            Some(Delivery::Every) => serializer.serialize_some("every"),
            Some(Delivery::Latest) => serializer.serialize_some("latest"),
            None => serializer.serialize_none(),
        }
    }

    /// What is not known is as good as absent.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Delivery>, D::Error> {
        let name = Option::<String>::deserialize(deserializer)?;
        Ok(name.and_then(|name| match name.as_str() {
            "every" => Some(Delivery::Every),
            "latest" => Some(Delivery::Latest),
            _ => None,
        }))
    }
}
