//! All streams at one moment, as JSON says them.

use std::time::Instant;

use framewire_figures::summary::{FramesDropped, FramesRepaired};
use framewire_sink::{Condition, SinkCounts, StreamSink};
use framewire_transport::frame::{ChromaPlace, ColourRange, Presentation, Scan};
use serde::Serialize;

use crate::board::{Board, LiveStream};
use crate::health::Health;

/// `GET /api/streams`, and each event of `/api/events`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Snapshot {
    pub(crate) server: ServerSnapshot,
    /// In the order in which they came.
    pub(crate) streams: Vec<StreamSnapshot>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServerSnapshot {
    pub(crate) version: &'static str,
    pub(crate) uptime_seconds: f64,
    /// Pictures a second of each stream, at most; 0 where there are none.
    pub(crate) preview_fps: f64,
    /// What `/healthz` says.
    pub(crate) health: String,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct StreamSnapshot {
    pub(crate) id: u32,
    /// Unique among the streams; given by a client, so any text.
    pub(crate) name: String,
    /// The sender's address without its port, which would help who forges its datagrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    pub(crate) pixel: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frame_bytes: u64,
    #[serde(flatten)]
    pub(crate) pictures: PicturesSnapshot,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delivery: Option<&'static str>,
    pub(crate) backend: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slice_bytes: Option<u16>,
    pub(crate) uptime_seconds: f64,
    /// Since the newest frame came; `null` before the first.
    pub(crate) age_seconds: Option<f64>,
    /// Over the last second.
    pub(crate) frames_per_second: f64,
    pub(crate) gigabytes_per_second: f64,
    /// From capture to the last slice, over the last seconds; `null` where it is not known.
    pub(crate) latency_ms: Option<RecentLatencyMs>,
    pub(crate) frames_delivered: u64,
    pub(crate) bytes: u64,
    pub(crate) frames_dropped: FramesDropped,
    pub(crate) frames_repaired: FramesRepaired,
    /// Datagrams for which the socket's buffer had no room.
    pub(crate) socket_drops: u64,
    /// How it is recorded, in the order of `--sink`; empty where it is not to be.
    pub(crate) sinks: Vec<SinkSnapshot>,
}

/// What the source says of its pictures, in the words of recordings' indexes; each is absent where it does not say.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PicturesSnapshot {
    /// Frames a second that the source means, as a fraction such as `30000/1001`; what comes is `frames_per_second`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scan: Option<&'static str>,
    /// Width of a pixel to its height.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aspect: Option<String>,
    /// Where the chroma samples of 4:2:0 lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chroma: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) range: Option<&'static str>,
}

impl From<Presentation> for PicturesSnapshot {
    fn from(Presentation { rate, scan, aspect, chroma, range }: Presentation) -> Self {
        Self {
            rate: rate.map(|rate| rate.to_string()),
            scan: (scan != Scan::Unknown).then(|| scan.name()),
            aspect: aspect.map(|aspect| aspect.to_string()),
            chroma: (chroma != ChromaPlace::Unknown).then(|| chroma.name()),
            range: (range != ColourRange::Unknown).then(|| range.name()),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct SinkSnapshot {
    /// As the command line named it.
    pub(crate) sink: String,
    /// `recording`, `failed`, `waiting` or `closed`.
    pub(crate) state: &'static str,
    /// Why it has failed, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(flatten)]
    pub(crate) counts: SinkCounts,
}

impl SinkSnapshot {
    fn of(sink: &StreamSink) -> Self {
        let condition = sink.condition();
        let state = condition.name();
        let reason = match condition {
            Condition::Failed(reason) | Condition::Waiting(reason) => Some(reason),
            Condition::Recording | Condition::Closed => None,
        };
        Self { sink: sink.name().to_owned(), state, reason, counts: sink.counts() }
    }
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct RecentLatencyMs {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Snapshot {
    pub(crate) fn of(board: &Board, preview_fps: f64, now: Instant) -> Self {
        Self {
            server: ServerSnapshot {
                version: env!("CARGO_PKG_VERSION"),
                uptime_seconds: now.saturating_duration_since(board.begun).as_secs_f64(),
                preview_fps,
                health: Health::of(board).to_string(),
            },
            streams: board.streams().iter().map(|stream| StreamSnapshot::of(stream, now)).collect(),
        }
    }
}

impl StreamSnapshot {
    fn of(stream: &LiveStream, now: Instant) -> Self {
        let about = &stream.about;
        let mut figures = stream.figures();
        let (frames_per_second, bytes_per_second) = figures.rates(now);
        let counts = figures.counts;
        let millis = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        Self {
            id: about.id,
            name: stream.label(),
            source: about.source.map(|source| source.ip().to_string()),
            pixel: about.format.pixel().name(),
            width: about.format.width(),
            height: about.format.height(),
            frame_bytes: about.format.frame_bytes() as u64,
            pictures: about.presentation.into(),
            delivery: about.delivery.map(|delivery| delivery.name()),
            backend: about.backend.clone(),
            slice_bytes: figures.slice_bytes,
            uptime_seconds: now.saturating_duration_since(stream.begun).as_secs_f64(),
            age_seconds: counts.newest.map(|newest| now.saturating_duration_since(newest).as_secs_f64()),
            frames_per_second,
            gigabytes_per_second: bytes_per_second / 1e9,
            latency_ms: figures
                .recent_latency(now)
                .map(|(p50, p99)| RecentLatencyMs { p50: millis(p50), p99: millis(p99) }),
            frames_delivered: counts.frames,
            bytes: counts.bytes,
            frames_dropped: counts.dropped,
            frames_repaired: counts.repaired,
            socket_drops: counts.datagrams_dropped.socket,
            sinks: stream.sinks.iter().map(|sink| SinkSnapshot::of(sink)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::{about, board};
    use std::time::Duration;

    #[test]
    fn a_snapshot_says_all_that_is_known_and_a_name_is_any_text() {
        let board = board();
        let stream = board.add(about(7, "<b>\"cam\"</b>"), Vec::new());
        let now = Instant::now();
        stream.figures().add_frame(3_072, Some(Duration::from_millis(2)), now);
        let json = serde_json::to_value(Snapshot::of(&board, 10.0, now + Duration::from_millis(500))).unwrap();
        let stream = &json["streams"][0];
        assert_eq!(stream["name"], "<b>\"cam\"</b>");
        assert_eq!((&stream["source"], &stream["pixel"]), (&"10.0.0.3".into(), &"gray8".into()));
        assert_eq!((&stream["frames_delivered"], &stream["bytes"]), (&1.into(), &3_072.into()));
        assert_eq!(stream["age_seconds"], 0.5);
        assert_eq!(stream["frames_dropped"]["lost"], 0);
        let latency = stream["latency_ms"]["p99"].as_f64().unwrap();
        assert!((1.9..=2.1).contains(&latency), "{latency}");
    }

    #[test]
    fn a_recording_that_fails_is_told_with_the_reason_beside_those_that_go_on() {
        let totals = ["a.raw", "b.raw"].map(framewire_sink::SinkTotals::new);
        let board = std::sync::Arc::new(Board::new(totals.to_vec()));
        let sinks: Vec<_> = totals.iter().map(StreamSink::new).collect();
        let _stream = board.add(about(7, "cam"), sinks.clone());
        sinks[0].fail("the disk is full".into());
        sinks[0].add_missed(framewire_sink::Missed::Failed, 60);
        sinks[1].add_frame(100);
        let json = serde_json::to_value(Snapshot::of(&board, 10.0, Instant::now())).unwrap();
        let said = &json["streams"][0]["sinks"];
        assert_eq!((&said[0]["state"], &said[0]["reason"]), (&"failed".into(), &"the disk is full".into()));
        assert_eq!((&said[0]["frames_failed"], &said[1]["frames"]), (&60.into(), &1.into()));
        assert_eq!((&said[1]["state"], &said[1]["sink"]), (&"recording".into(), &"b.raw".into()));
        assert!(json["server"]["health"].as_str().unwrap().starts_with("degraded"), "{json}");
    }

    #[test]
    fn what_a_source_says_of_its_pictures_is_told_and_what_it_does_not_say_is_absent() {
        use framewire_transport::frame::{FrameRate, SampleAspect};
        let board = board();
        let presentation = Presentation {
            rate: FrameRate::new(30_000, 1001).ok(),
            scan: Scan::TopFirst,
            aspect: SampleAspect::new(64, 45),
            chroma: ChromaPlace::Left,
            range: ColourRange::Limited,
        };
        let _all = board.add(crate::board::About { presentation, ..about(7, "cam") }, Vec::new());
        let _nothing = board.add(about(8, "other"), Vec::new());
        let json = serde_json::to_value(Snapshot::of(&board, 10.0, Instant::now())).unwrap();
        let told = ["rate", "scan", "aspect", "chroma", "range"].map(|key| json["streams"][0][key].as_str().unwrap());
        assert_eq!(
            told,
            ["30000/1001", Scan::TopFirst.name(), "64:45", ChromaPlace::Left.name(), ColourRange::Limited.name()]
        );
        for key in ["rate", "scan", "aspect", "chroma", "range"] {
            assert!(json["streams"][1].get(key).is_none(), "{key}");
        }
    }

    #[test]
    fn before_the_first_frame_age_and_latency_are_null() {
        let board = board();
        let _stream = board.add(about(7, ""), Vec::new());
        let json = serde_json::to_value(Snapshot::of(&board, 10.0, Instant::now())).unwrap();
        assert!(json["streams"][0]["age_seconds"].is_null() && json["streams"][0]["latency_ms"].is_null());
    }
}
