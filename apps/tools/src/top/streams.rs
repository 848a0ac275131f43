//! What a server says of its streams (`GET /api/streams`). Fields that are not known here are left alone.

use serde::Deserialize;

use super::shown::Shown;

/// More streams than this are not shown; a server takes fewer.
const STREAMS_MAX: usize = 1_000;

/// All streams of a server at one moment.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Snapshot {
    pub(super) server: Server,
    pub(super) streams: Vec<Stream>,
}

impl Snapshot {
    /// Reads what a server has answered, and puts the streams in the order of their names.
    ///
    /// # Errors
    /// What is not as it should be.
    pub(super) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut snapshot: Self = serde_json::from_slice(json)?;
        snapshot.streams.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
        snapshot.streams.truncate(STREAMS_MAX);
        Ok(snapshot)
    }
}

/// The server itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Server {
    pub(super) version: Shown,
    pub(super) uptime_seconds: f64,
    /// How it does, in words; nothing where it does not say.
    #[serde(default)]
    pub(super) health: Shown,
}

impl Server {
    /// What does not work, in the server's words.
    pub(super) fn trouble(&self) -> Option<&str> {
        Some(self.health.as_str()).filter(|health| !matches!(*health, "" | "ok"))
    }
}

/// One stream.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Stream {
    /// Not of a later stream of the same name.
    pub(super) id: u64,
    pub(super) name: Shown,
    /// The address that it comes from.
    #[serde(default)]
    pub(super) source: Shown,
    pub(super) pixel: Shown,
    pub(super) width: u32,
    pub(super) height: u32,
    #[serde(default)]
    pub(super) delivery: Shown,
    pub(super) backend: Shown,
    #[serde(default)]
    pub(super) slice_bytes: u32,
    pub(super) uptime_seconds: f64,
    /// How old the newest frame is; `None` before the first.
    pub(super) age_seconds: Option<f64>,
    pub(super) frames_per_second: f64,
    pub(super) gigabytes_per_second: f64,
    /// `None` where no frame told when it was captured.
    pub(super) latency_ms: Option<Latency>,
    pub(super) frames_delivered: u64,
    pub(super) frames_dropped: Drops,
    #[serde(default)]
    pub(super) frames_repaired: Repairs,
    /// Datagrams that this stream's socket had no room for.
    #[serde(default)]
    pub(super) socket_drops: u64,
    /// How it is recorded.
    #[serde(default)]
    pub(super) sinks: Vec<Sink>,
}

/// A recording of a stream.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Sink {
    /// As the server's command line names it.
    pub(super) sink: Shown,
    /// `failed` where it does not record.
    pub(super) state: Shown,
    /// Why.
    pub(super) reason: Shown,
    pub(super) frames_failed: u64,
}

impl Sink {
    fn is_failing(&self) -> bool {
        self.state.as_str() == "failed"
    }
}

impl Stream {
    /// The recordings that fail, in words.
    pub(super) fn unrecorded(&self) -> Option<String> {
        let told = |sink: &Sink| {
            let reason = match sink.reason.as_str() {
                "" => String::new(),
                reason => format!(" ({reason})"),
            };
            format!("{}{reason}, {} frames", sink.sink, sink.frames_failed)
        };
        let failing: Vec<_> = self.sinks.iter().filter(|sink| sink.is_failing()).map(told).collect();
        (!failing.is_empty()).then(|| failing.join("; "))
    }

    /// What it is doing.
    pub(super) fn activity(&self) -> Activity {
        /// No camera is so slow that nobody would wonder.
        const PAUSE_SECONDS: f64 = 2.0;
        match self.age_seconds {
            None => Activity::Opening,
            // Of a slow one, three frames are missing before it counts as silent.
            Some(age)
                if age <= PAUSE_SECONDS || age * self.frames_per_second <= 3.0 && self.frames_per_second > 0.0 =>
            {
                Activity::Live
            }
            Some(_) => Activity::Silent,
        }
    }
}

/// What a stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// No frame has come yet.
    Opening,
    /// Frames come.
    Live,
    /// They came once.
    Silent,
}

/// Milliseconds from capture to complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

/// Frames that did not arrive, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Drops {
    pub(super) skipped_at_source: u64,
    pub(super) no_credit: u64,
    pub(super) lost: u64,
    pub(super) incomplete: u64,
    pub(super) no_slot: u64,
    pub(super) slow_consumer: u64,
}

impl Drops {
    /// All causes together.
    pub(super) fn total(&self) -> u64 {
        self.causes().iter().fold(0, |total: u64, (_, frames)| total.saturating_add(*frames))
    }

    /// Each cause in words, with its frames.
    pub(super) fn causes(&self) -> [(&'static str, u64); 6] {
        [
            ("skipped at source", self.skipped_at_source),
            ("no credit", self.no_credit),
            ("lost", self.lost),
            ("incomplete", self.incomplete),
            ("no slot", self.no_slot),
            ("slow consumer", self.slow_consumer),
        ]
    }
}

/// Frames that arrived though slices were lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Repairs {
    pub(super) by_nack: u64,
    pub(super) by_fec: u64,
}

#[cfg(test)]
pub(super) mod made_up {
    use super::*;

    /// A stream that does well.
    pub(in crate::top) fn stream(id: u64, name: &str) -> Stream {
        Stream {
            id,
            name: Shown::new(name),
            source: Shown::new("10.0.0.3:4444"),
            pixel: Shown::new("gray8"),
            width: 1920,
            height: 1080,
            delivery: Shown::new("latest"),
            backend: Shown::new("mmsg"),
            slice_bytes: 65_507,
            uptime_seconds: 9.5,
            age_seconds: Some(0.016),
            frames_per_second: 60.0,
            gigabytes_per_second: 0.124,
            latency_ms: Some(Latency { p50: 0.7, p99: 1.1 }),
            frames_delivered: 570,
            ..Stream::default()
        }
    }

    /// A server with these streams.
    pub(in crate::top) fn snapshot(streams: Vec<Stream>) -> Snapshot {
        let server = Server { version: Shown::new("0.1.0"), uptime_seconds: 12.3, health: Shown::new("ok") };
        Snapshot { server, streams }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"server":{"version":"0.1.0","uptime_seconds":12.3,"new":1},
        "streams":[{"id":123,"name":"cam-2","source":"10.0.0.3:4444","pixel":"gray8","width":1920,"height":1080,
        "frame_bytes":2073600,"delivery":"latest","backend":"mmsg","slice_bytes":65507,"uptime_seconds":9.5,
        "age_seconds":0.016,"frames_per_second":60.0,"gigabytes_per_second":0.124,"latency_ms":{"p50":0.7,"p99":1.1},
        "frames_delivered":570,"bytes":1181952000,
        "frames_dropped":{"skipped_at_source":1,"no_credit":2,"lost":3,"incomplete":4,"no_slot":5,"slow_consumer":6,"new":9},
        "frames_repaired":{"by_nack":7,"by_fec":8},"socket_drops":9},
        {"id":9,"name":"cam-1","source":"10.0.0.3:4444","pixel":"gray8","width":1920,"height":1080,
        "frame_bytes":2073600,"delivery":"latest","backend":"mmsg","slice_bytes":65507,"uptime_seconds":9.5,
        "age_seconds":null,"frames_per_second":0,"gigabytes_per_second":0,"latency_ms":null,
        "frames_delivered":0,"bytes":0,"frames_dropped":{}}]}"#;

    #[test]
    fn an_answer_is_read_and_its_streams_are_in_order() {
        let snapshot = Snapshot::parse(ANSWER.as_bytes()).unwrap();
        assert_eq!(snapshot.server.version.as_str(), "0.1.0");
        let [first, second] = &snapshot.streams[..] else { panic!("{snapshot:?}") };
        assert_eq!((first.name.as_str(), first.activity()), ("cam-1", Activity::Opening));
        assert_eq!((second.id, second.latency_ms), (123, Some(Latency { p50: 0.7, p99: 1.1 })));
        assert_eq!((second.frames_dropped.total(), second.frames_repaired.by_fec, second.socket_drops), (21, 8, 9));
    }

    #[test]
    fn what_is_no_such_answer_says_what_is_missing() {
        let said = |json: &str| Snapshot::parse(json.as_bytes()).unwrap_err().to_string();
        assert!(said(r#"{"server":{"version":"1","uptime_seconds":0}}"#).contains("streams"));
        assert!(said(r#"{"server":{"version":"1","uptime_seconds":0},"streams":[{"id":-1}]}"#).contains("-1"));
        assert!(said("<html>").contains("line 1"));
    }

    #[test]
    fn a_slow_stream_is_not_silent_between_its_frames() {
        let aged = |age_seconds, frames_per_second| {
            Stream { age_seconds, frames_per_second, ..made_up::stream(1, "cam") }.activity()
        };
        assert_eq!(aged(None, 0.0), Activity::Opening);
        assert_eq!(aged(Some(0.02), 60.0), Activity::Live);
        assert_eq!(aged(Some(8.0), 0.25), Activity::Live);
        assert_eq!(aged(Some(13.0), 0.25), Activity::Silent);
        assert_eq!(aged(Some(2.5), 0.0), Activity::Silent);
        assert_eq!(aged(Some(2.5), 60.0), Activity::Silent);
    }

    #[test]
    fn sums_of_hostile_numbers_do_not_overflow() {
        let drops = Drops { lost: u64::MAX, no_slot: u64::MAX, ..Drops::default() };
        assert_eq!(drops.total(), u64::MAX);
    }
}
