//! The board at one moment.

use std::time::{Duration, Instant};

use framewire_figures::cluster::PlaceSnapshot;
use framewire_figures::snapshot::{
    PicturesSnapshot, RecentLatencyMs, ServerSnapshot, SinkSnapshot, Snapshot, StreamSnapshot, ValueRangeSnapshot,
};
use framewire_pictures::{is_pictured, is_ranged};
use framewire_sink::{Condition, StreamSink};
use framewire_transport::PathKind;
use framewire_transport::frame::{ChromaPlace, ColourRange, Presentation, Scan};

use crate::board::{Board, LiveStream};
use crate::figures::Counts;
use crate::health::Health;
use crate::monitor::Guarding;
use crate::newest::Newest;

/// All streams as they are now.
pub(crate) fn snapshot(board: &Board, preview_fps: f64, guarding: Guarding, now: Instant) -> Snapshot {
    Snapshot {
        server: ServerSnapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: now.saturating_duration_since(board.begun).as_secs_f64(),
            preview_fps,
            health: Health::of(board).to_string(),
            guard: guarding.name().to_owned(),
            links: board.links(),
            turned_away: board.turned_away(),
        },
        cluster: None,
        streams: board.streams().iter().map(|live| stream(live, &Seen::of(live, now), now)).collect(),
    }
}

/// A stream's figures as they were at a moment: each frame that comes waits for their lock, so no text is made under it.
struct Seen {
    counts: Counts,
    slice_bytes: Option<u16>,
    newest: Newest,
    /// Frames and bytes a second.
    rates: (f64, f64),
    recent_latency: Option<(Duration, Duration)>,
}

impl Seen {
    fn of(live: &LiveStream, now: Instant) -> Self {
        let mut figures = live.figures();
        Self {
            counts: figures.counts,
            slice_bytes: figures.slice_bytes,
            newest: figures.newest.clone(),
            rates: figures.rates(now),
            recent_latency: figures.recent_latency(now),
        }
    }
}

fn stream(live: &LiveStream, seen: &Seen, now: Instant) -> StreamSnapshot {
    let about = &live.about;
    let ((frames_per_second, bytes_per_second), counts) = (seen.rates, seen.counts.stream);
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    StreamSnapshot {
        id: u64::from(about.id),
        name: live.label(),
        place: PlaceSnapshot::default(),
        hearsay: false,
        activity: None,
        source: about.source.map(|source| source.ip().to_string()),
        pixel: about.format.pixel().name().to_owned(),
        width: about.format.width(),
        height: about.format.height(),
        frame_bytes: about.format.frame_bytes() as u64,
        pictures: pictures(about.presentation),
        delivery: about.delivery.map(|delivery| delivery.name().to_owned()),
        path: Some(about.path.name().to_owned()),
        protected: about.cipher.is_some(),
        cipher: about.cipher.map(str::to_owned),
        backend: (about.path == PathKind::Udp).then(|| about.backend.clone()),
        // Nothing is cut in shared memory.
        slice_bytes: seen.slice_bytes.filter(|bytes| *bytes > 0).map(u32::from),
        uptime_seconds: now.saturating_duration_since(live.begun).as_secs_f64(),
        age_seconds: seen.counts.newest.map(|newest| now.saturating_duration_since(newest).as_secs_f64()),
        frames_per_second,
        gigabytes_per_second: bytes_per_second / 1e9,
        latency_ms: seen.recent_latency.map(|(p50, p99)| RecentLatencyMs { p50: millis(p50), p99: millis(p99) }),
        counts,
        socket_drops: counts.datagrams_dropped.socket,
        newest: seen.newest.snapshot(),
        pictured: is_pictured(about.format.pixel()),
        ranged: is_ranged(about.format.pixel()),
        value_range: live
            .pictures
            .automatic()
            .map(|limits| ValueRangeSnapshot { low: limits.low(), high: limits.high() }),
        sinks: live.sinks.iter().map(|recording| sink(recording)).collect(),
        readers: live.readers(),
        watchers: live.watchers(),
        idle: live.is_idle(),
        grant: live.grant(),
    }
}

fn pictures(Presentation { rate, scan, aspect, chroma, range, .. }: Presentation) -> PicturesSnapshot {
    PicturesSnapshot {
        rate: rate.map(|rate| rate.to_string()),
        scan: (scan != Scan::Unknown).then(|| scan.name().to_owned()),
        aspect: aspect.map(|aspect| aspect.to_string()),
        chroma: (chroma != ChromaPlace::Unknown).then(|| chroma.name().to_owned()),
        range: (range != ColourRange::Unknown).then(|| range.name().to_owned()),
    }
}

fn sink(recording: &StreamSink) -> SinkSnapshot {
    let condition = recording.condition();
    let state = condition.name().to_owned();
    let reason = match condition {
        Condition::Failed(reason) | Condition::Waiting(reason) => Some(reason),
        Condition::Recording | Condition::Closed => None,
    };
    SinkSnapshot { sink: recording.name().to_owned(), state, reason, counts: recording.counts() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::{about, board};
    use std::time::Duration;

    #[test]
    fn what_comes_through_shared_memory_has_no_backend() {
        let board = board();
        let _stream = board.add(crate::board::About { path: PathKind::Shm, ..about(1, "cam") }, Vec::new());
        let json = serde_json::to_value(snapshot(&board, 10.0, Guarding::Open, Instant::now())).unwrap();
        assert_eq!((&json["streams"][0]["path"], json["streams"][0].get("backend")), (&"shm".into(), None));
    }

    #[test]
    fn a_snapshot_says_all_that_is_known_and_a_name_is_any_text() {
        let board = board();
        let stream = board.add(about(7, "<b>\"cam\"</b>"), Vec::new());
        let now = Instant::now();
        stream.figures().add_frame(3_072, Some(Duration::from_millis(2)), now);
        let json =
            serde_json::to_value(snapshot(&board, 10.0, Guarding::Open, now + Duration::from_millis(500))).unwrap();
        let stream = &json["streams"][0];
        assert_eq!(stream["name"], "<b>\"cam\"</b>");
        assert_eq!(stream["backend"], "mmsg");
        assert_eq!((&stream["source"], &stream["pixel"]), (&"10.0.0.3".into(), &"gray8".into()));
        assert_eq!((&stream["frames_delivered"], &stream["bytes"]), (&1.into(), &3_072.into()));
        assert_eq!(stream["age_seconds"], 0.5);
        assert_eq!(stream["frames_dropped"]["lost"], 0);
        let latency = stream["latency_ms"]["p99"].as_f64().unwrap();
        assert!((1.9..=2.1).contains(&latency), "{latency}");
    }

    #[test]
    fn text_is_made_of_figures_while_a_frame_has_their_lock() {
        let board = board();
        let stream = board.add(about(7, "cam"), Vec::new());
        let now = Instant::now();
        stream.figures().add_frame(3_072, Some(Duration::from_millis(2)), now);
        let seen = Seen::of(&stream, now);
        let of_a_frame = stream.figures();
        let told = super::stream(&stream, &seen, now);
        drop(of_a_frame);
        assert_eq!((told.name.as_str(), told.counts.frames_delivered, told.age_seconds), ("cam", 1, Some(0.0)));
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
        let json = serde_json::to_value(snapshot(&board, 10.0, Guarding::Open, Instant::now())).unwrap();
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
        let presentation = Presentation::UNKNOWN
            .rate(FrameRate::new(30_000, 1001).ok())
            .scan(Scan::TopFirst)
            .aspect(SampleAspect::new(64, 45))
            .chroma(ChromaPlace::Left)
            .range(ColourRange::Limited);
        let _all = board.add(crate::board::About { presentation, ..about(7, "cam") }, Vec::new());
        let _nothing = board.add(about(8, "other"), Vec::new());
        let json = serde_json::to_value(snapshot(&board, 10.0, Guarding::Open, Instant::now())).unwrap();
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
        let json = serde_json::to_value(snapshot(&board, 10.0, Guarding::Open, Instant::now())).unwrap();
        assert!(json["streams"][0]["age_seconds"].is_null() && json["streams"][0]["latency_ms"].is_null());
    }
}
