//! The streams of a server at one moment, as `GET /api/streams` says them: written by its page, read by `framewire top`.
//!
//! `T` is what texts are: as they are for whoever writes them, made harmless for whoever shows what strangers wrote. Fields that a
//! reader does not know are left alone, and those that older servers do not write may be absent.

use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterSnapshot, PlaceSnapshot};
use crate::counts::{StreamCounts, TurnedAway};

/// `GET /api/streams`, and each event of `/api/events`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct Snapshot<T = String> {
    /// The server itself.
    pub server: ServerSnapshot<T>,
    /// What it knows of its cluster; absent where it is in none, or was not asked (`scope=cluster`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cluster: Option<ClusterSnapshot<T>>,
    /// In the order in which they came; those of other nodes after its own.
    pub streams: Vec<StreamSnapshot<T>>,
}

/// The server itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct ServerSnapshot<T = String> {
    /// Of the program.
    pub version: T,
    /// Since it began.
    pub uptime_seconds: f64,
    /// Pictures a second of each stream, at most; 0 where there are none.
    #[serde(default)]
    pub preview_fps: f64,
    /// What `/healthz` says; nothing where a server does not say.
    #[serde(default)]
    pub health: T,
    /// `protected`, `open` (it listens on loopback alone, and nothing is protected there) or `insecure` (nothing is, because somebody said so);
    /// nothing where a server does not say.
    #[serde(default)]
    pub guard: T,
    /// Links whose rate is shared out, in the order of `--link`; empty where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkSnapshot<T>>,
    /// Who had not what lets them in, since it began; absent where there was nobody.
    #[serde(default, skip_serializing_if = "TurnedAway::is_nobody")]
    pub turned_away: TurnedAway,
}

/// A link whose rate is shared out among streams, and what of it is given away. Bits are those on the wire, headers included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct LinkSnapshot<T = String> {
    /// As `--link` names it: the interface.
    pub name: T,
    /// What it carries each way; 0 where another server tells of it, which does not say.
    pub bits_per_second: u64,
    /// What of that may be given to streams: its share.
    pub bits_per_second_max: u64,
    /// What is given to streams that come in on it.
    pub received_bits_per_second: u64,
    /// What is given to watchers that are sent a stream over it.
    pub sent_bits_per_second: u64,
    /// Streams and watchers that have some of it.
    pub grants: u64,
    /// Openings and watches that did not fit, since the server began.
    pub refused: u64,
}

/// One stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct StreamSnapshot<T = String> {
    /// The number that it is shown by; not that of a later stream of the same name.
    pub id: u64,
    /// Unique among the streams of its server; given by a client, so any text.
    pub name: T,
    /// Where it is, where that was asked.
    #[serde(flatten)]
    pub place: PlaceSnapshot<T>,
    /// Another node's, of which nothing is known here but what that says: what is counted, and latency, is not among it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hearsay: bool,
    /// The sender's address without its port, which would help who forges its datagrams.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<T>,
    /// Pixel format.
    pub pixel: T,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes of a frame.
    #[serde(default)]
    pub frame_bytes: u64,
    /// What the source says of its pictures.
    #[serde(flatten)]
    pub pictures: PicturesSnapshot,
    /// `every` or `latest`; the plain wire does not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delivery: Option<T>,
    /// Which way its frames come: `udp`, or `shm` for shared memory; older servers do not say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<T>,
    /// Whether its frames are encrypted on their way. Those of shared memory go no way.
    #[serde(default)]
    pub protected: bool,
    /// By what; absent where they are not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cipher: Option<T>,
    /// What moves the datagrams; absent where none do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub backend: Option<T>,
    /// Bytes of a slice, header included; the plain wire has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub slice_bytes: Option<u32>,
    /// Since it began.
    #[serde(default)]
    pub uptime_seconds: f64,
    /// Since the newest frame came; `null` before the first.
    pub age_seconds: Option<f64>,
    /// Over the last second.
    pub frames_per_second: f64,
    /// Over the last second, 10^9 bytes each.
    pub gigabytes_per_second: f64,
    /// From capture to the last slice, over the last seconds; `null` where it is not known.
    pub latency_ms: Option<RecentLatencyMs>,
    /// Since it began.
    #[serde(flatten)]
    pub counts: StreamCounts,
    /// Datagrams for which the socket's buffer had no room.
    #[serde(default)]
    pub socket_drops: u64,
    /// What the newest frame said beside its pixels; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub newest: Option<NewestSnapshot<T>>,
    /// Whether there are pictures of it: not of packed bits and of bytes.
    #[serde(default = "yes")]
    pub pictured: bool,
    /// Whether its pictures are shown by a range of values, which can be chosen.
    #[serde(default)]
    pub ranged: bool,
    /// What was black and white in its last picture of no chosen range; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value_range: Option<ValueRangeSnapshot>,
    /// How it is recorded, in the order of `--sink`; empty where it is not to be.
    #[serde(default)]
    pub sinks: Vec<SinkSnapshot<T>>,
    /// Programs of the server's machine that read it in place.
    #[serde(default)]
    pub readers: Vec<ReaderSnapshot<T>>,
    /// Who asked this server for the stream and is sent it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watchers: Vec<WatcherSnapshot<T>>,
    /// Nobody wants it: its client was told so, and may throttle it or release its camera.
    #[serde(default)]
    pub idle: bool,
    /// What it was granted of a link; absent where links are not shared out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grant: Option<GrantSnapshot<T>>,
    /// How it does, in the word of its node; absent where a server tells of its own stream.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub activity: Option<T>,
}

/// Who asked a server for a stream and is sent it: a program of another machine, or another server that sends it on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct WatcherSnapshot<T = String> {
    /// Its address, without the port.
    pub address: T,
    /// The name of the node that it is; absent where it is no server of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<T>,
    /// `every` or `latest`.
    pub delivery: T,
    /// `opening`, `open` or `silent`.
    pub state: T,
    /// The most frames a second that it wants; absent where it wants all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_per_second_max: Option<f64>,
    /// Frames sent to it.
    pub frames_sent: u64,
    /// Frames that gave way to newer ones, or that it did not want.
    pub frames_skipped: u64,
    /// Bytes of the frames sent.
    pub bytes_sent: u64,
}

/// What a stream was granted of a link.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct GrantSnapshot<T = String> {
    /// The link's name.
    pub link: T,
    /// On the wire, headers included.
    pub bits_per_second: u64,
    /// Frames a second that it was thinned to; absent where it has all that it asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_per_second: Option<f64>,
    /// 0 to 9; of those that do not fit, the lower is thinned first.
    pub priority: u8,
}

/// As servers did before they knew of frames that have none.
fn yes() -> bool {
    true
}

/// What the newest frame of a stream said beside its pixels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct NewestSnapshot<T = String> {
    /// Bytes of its pixels, or of its payload.
    pub bytes: u64,
    /// When it was captured, in UTC: RFC 3339 with nanoseconds; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub captured_utc: Option<T>,
    /// By how much that may be wrong, estimated, in milliseconds; absent where nobody can say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub captured_utc_error_ms: Option<f64>,
    /// Absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<MetadataSnapshot<T>>,
}

/// The metadata of a frame.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct MetadataSnapshot<T = String> {
    /// `json`, `cbor` or `bytes`.
    pub kind: T,
    /// How many bytes it has.
    pub bytes: u64,
    /// Of JSON, the beginning, as its source wrote it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<T>,
    /// Bytes at its end that `text` has not.
    #[serde(default)]
    pub bytes_cut: u64,
}

/// What is black and what is white.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ValueRangeSnapshot {
    pub low: f64,
    pub high: f64,
}

/// What the source says of its pictures, in the words of recordings' indexes; each is absent where it does not say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PicturesSnapshot {
    /// Frames a second that the source means, as a fraction such as `30000/1001`; what comes is `frames_per_second`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// How lines follow each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<String>,
    /// Width of a pixel to its height.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aspect: Option<String>,
    /// Where the chroma samples of 4:2:0 lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chroma: Option<String>,
    /// Which values stand for black and white.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}

/// A recording of a stream.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct SinkSnapshot<T = String> {
    /// As the server's command line names it.
    #[serde(default)]
    pub sink: T,
    /// `recording`, `failed`, `waiting` or `closed`.
    #[serde(default)]
    pub state: T,
    /// Why it has failed, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<T>,
    /// What came of it.
    #[serde(flatten)]
    pub counts: SinkCounts,
}

/// A program that reads a stream in place. Offered = taken + dropped + waiting.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de> + Default"))]
pub struct ReaderSnapshot<T = String> {
    /// Its seat at the stream, from 1 on: the lowest that no other reader had when it came.
    pub seat: u64,
    /// What it calls itself, made unique among the readers of the stream.
    pub name: T,
    /// Its process, as the server sees it; 0 where it does not.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// `latest`, `queue:N` or `block`.
    pub policy: T,
    /// Frames that were there for it.
    pub offered: u64,
    /// Frames that it took.
    pub taken: u64,
    /// Frames that gave way to newer ones.
    pub dropped: u64,
    /// Slots in which it has frames now.
    pub held: u64,
    /// Frames that wait for it now.
    pub waiting: u64,
    /// Processor time of the server's to wake it, a wake, on average, microseconds; 0 where it has never slept.
    pub wake_cpu_us: f64,
    /// It broke the rules or was too slow, and is given no more.
    pub quarantined: bool,
}

/// What a sink has counted of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SinkCounts {
    /// Frames written.
    pub frames: u64,
    /// Bytes written, with headers.
    pub bytes: u64,
    /// Frames that came too fast.
    pub frames_dropped: u64,
    /// Frames that it failed for.
    pub frames_failed: u64,
    /// Frames while another stream had it, or nobody read.
    pub frames_away: u64,
}

/// Milliseconds within which this share of the newest frames was through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RecentLatencyMs {
    pub p50: f64,
    pub p99: f64,
}
