//! A cluster at one moment, as one of its servers knows it: what `GET /api/streams?scope=cluster` says beside the server's own streams.
//!
//! What is said of other nodes is what they said of themselves, as old as `age_seconds`; of its own streams a server tells what it knows.

use serde::{Deserialize, Serialize};

use crate::snapshot::LinkSnapshot;

/// What a server knows of the cluster that it is a node of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct ClusterSnapshot<T = String> {
    /// The server's own node id, 32 hexadecimal digits.
    pub node: T,
    /// What people call the server.
    pub name: T,
    /// What carries the directory; empty where a server knows of itself alone.
    pub engines: Vec<EngineSnapshot<T>>,
    /// The server itself first, then the others in the order of their names.
    pub nodes: Vec<NodeSnapshot<T>>,
    /// Nodes that are known and not among these: there are too many.
    pub nodes_unlisted: u64,
    /// Streams of other nodes that are known and not told: there are too many.
    pub streams_unlisted: u64,
}

/// What carries the directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct EngineSnapshot<T = String> {
    /// `redis` or `mdns`.
    pub engine: T,
    /// Whether it carries entries now.
    pub up: bool,
    /// Why not, and what to do; absent while it does, and before it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<T>,
}

/// A server of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct NodeSnapshot<T = String> {
    /// Its id, 32 hexadecimal digits.
    pub node: T,
    /// What people call it.
    pub name: T,
    /// Of its page; nothing where that is no address of one.
    pub url: T,
    /// `live`, `stale` (silent for 6 s) or `unreachable` (for 60 s).
    pub state: T,
    /// Since it was last heard, seconds; 0 for the server itself.
    pub age_seconds: f64,
    /// `protected`, `open` or `insecure`; nothing where it does not say.
    pub guard: T,
    /// How many streams it has.
    pub streams: u64,
    /// Bytes of frames that come in there, 10^9 a second.
    pub gigabytes_per_second: f64,
    /// Who is sent streams from there.
    pub watchers: u64,
    /// Processors that it keeps busy; absent where it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<f64>,
    /// Whether another server calls itself by the same id, for a state directory was copied; absent where none does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub twin: bool,
    /// Its links, and what of them is given away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkSnapshot<T>>,
    /// Why this server shows no pictures of its streams, and what to do; absent while it does, or nobody looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<T>,
}

/// A stream of another node, as that says of it. [`StreamSnapshot`](crate::snapshot::StreamSnapshot) reads it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RemoteStreamSnapshot {
    /// The number that it is shown by at its node: with `node` it is one stream's alone.
    pub id: u64,
    /// Any text.
    pub name: String,
    /// Where it is.
    #[serde(flatten)]
    pub place: PlaceSnapshot,
    /// Always true.
    pub hearsay: bool,
    /// Pixel format.
    pub pixel: String,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `every` or `latest`; absent where that is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// Over the last second.
    pub frames_per_second: f64,
    /// Over the last second, 10^9 bytes each.
    pub gigabytes_per_second: f64,
    /// Whether there are pictures of it.
    pub pictured: bool,
    /// Whether its pictures are shown by a range of values.
    pub ranged: bool,
    /// How it does, in the word of its node.
    pub activity: String,
    /// Nobody wants it there.
    pub idle: bool,
}

/// Where a stream is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct PlaceSnapshot<T = String> {
    /// The id of the node that has it; absent where a server tells of its own alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<T>,
    /// What people call that node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<T>,
    /// Of its page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<T>,
    /// Of the node: `live`, `stale` or `unreachable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<T>,
}
