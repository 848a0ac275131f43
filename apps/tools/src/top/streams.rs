//! What a server says of its streams (`GET /api/streams`), with the texts of strangers made harmless.

use framewire_figures::cluster::EngineSnapshot;
use framewire_figures::snapshot::{ServerSnapshot, SinkSnapshot, StreamSnapshot};

use super::shown::Shown;

/// More streams than this are not shown, but counted; a server takes fewer, a cluster may have more.
const STREAMS_MAX: usize = 1_000;

pub(super) type Snapshot = framewire_figures::snapshot::Snapshot<Shown>;
pub(super) type Stream = StreamSnapshot<Shown>;

/// Reads what a server has answered, and puts the streams in the order of their names.
///
/// # Errors
/// What is not as it should be.
pub(super) fn parse(json: &[u8]) -> Result<Snapshot, serde_json::Error> {
    let mut snapshot: Snapshot = serde_json::from_slice(json)?;
    snapshot.streams.sort_by(|one, other| (&one.name, key(one)).cmp(&(&other.name, key(other))));
    let cut = snapshot.streams.len().saturating_sub(STREAMS_MAX) as u64;
    snapshot.streams.truncate(STREAMS_MAX);
    if let Some(cluster) = &mut snapshot.cluster {
        cluster.streams_unlisted = cluster.streams_unlisted.saturating_add(cut);
    }
    Ok(snapshot)
}

/// What is one stream's alone: the number is so at its server, and no further.
pub(super) fn key(stream: &Stream) -> (Option<Shown>, u64) {
    (stream.place.node.clone(), stream.id)
}

/// What does not carry the directory, in the server's words.
pub(super) fn away(snapshot: &Snapshot) -> Option<String> {
    let engines = snapshot.cluster.iter().flat_map(|cluster| &cluster.engines);
    let told = |engine: &EngineSnapshot<Shown>| {
        engine.problem.as_ref().map(|problem| format!("the directory's engine ({}) is away: {problem}", engine.engine))
    };
    let told: Vec<_> = engines.filter_map(told).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// Servers that another takes itself for.
pub(super) fn twins(snapshot: &Snapshot) -> Option<String> {
    let nodes = snapshot.cluster.iter().flat_map(|cluster| &cluster.nodes);
    let names: Vec<_> = nodes.filter(|node| node.twin).map(|node| node.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "two servers have the id of {}, for a state directory was copied: what one of them has is not seen elsewhere; delete the file node in its state \
             directory, and start it again",
            names.join(", ")
        )
    })
}

/// What there is no room for.
pub(super) fn unlisted(snapshot: &Snapshot) -> Option<String> {
    let cluster = snapshot.cluster.as_ref()?;
    let counted = [(cluster.nodes_unlisted, "servers"), (cluster.streams_unlisted, "streams")];
    let told = counted.into_iter().filter(|(more, _)| *more > 0).map(|(more, what)| format!("{more} more {what}"));
    let told: Vec<_> = told.collect();
    (!told.is_empty()).then(|| format!("{} are not shown", told.join(" and ")))
}

/// What does not work, in the server's words.
pub(super) fn trouble(server: &ServerSnapshot<Shown>) -> Option<&str> {
    Some(server.health.as_str()).filter(|health| !matches!(*health, "" | "ok"))
}

/// A text that may be absent.
pub(super) fn said(text: &Option<Shown>) -> &str {
    text.as_ref().map_or("", Shown::as_str)
}

/// The recordings that fail, in words.
pub(super) fn unrecorded(stream: &Stream) -> Option<String> {
    let told = |sink: &SinkSnapshot<Shown>| {
        let reason = match said(&sink.reason) {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        format!("{}{reason}, {} frames", sink.sink, sink.counts.frames_failed)
    };
    let is_failing = |sink: &&SinkSnapshot<Shown>| sink.state.as_str() == "failed";
    let failing: Vec<_> = stream.sinks.iter().filter(is_failing).map(told).collect();
    (!failing.is_empty()).then(|| failing.join("; "))
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
    /// Its server has been silent for 6 s: who knows.
    Stale,
    /// Its server has been silent for a minute.
    Away,
}

/// What a stream is doing.
pub(super) fn activity(stream: &Stream) -> Activity {
    /// No camera is so slow that nobody would wonder.
    const PAUSE_SECONDS: f64 = 2.0;
    match said(&stream.place.state) {
        "stale" => return Activity::Stale,
        "unreachable" => return Activity::Away,
        _ if stream.hearsay && said(&stream.activity) == "silent" => return Activity::Silent,
        _ if stream.hearsay => return Activity::Live,
        _ => {}
    }
    match stream.age_seconds {
        None => Activity::Opening,
        // Of a slow one, three frames are missing before it counts as silent.
        Some(age)
            if age <= PAUSE_SECONDS || age * stream.frames_per_second <= 3.0 && stream.frames_per_second > 0.0 =>
        {
            Activity::Live
        }
        Some(_) => Activity::Silent,
    }
}

#[cfg(test)]
pub(super) mod made_up {
    use framewire_figures::counts::StreamCounts;
    use framewire_figures::snapshot::RecentLatencyMs;

    use super::*;

    /// A stream that does well.
    pub(in crate::top) fn stream(id: u64, name: &str) -> Stream {
        Stream {
            id,
            name: Shown::new(name),
            source: Some(Shown::new("10.0.0.3:4444")),
            pixel: Shown::new("gray8"),
            width: 1920,
            height: 1080,
            delivery: Some(Shown::new("latest")),
            path: Some(Shown::new("udp")),
            backend: Some(Shown::new("mmsg")),
            slice_bytes: Some(65_507),
            uptime_seconds: 9.5,
            age_seconds: Some(0.016),
            frames_per_second: 60.0,
            gigabytes_per_second: 0.124,
            latency_ms: Some(RecentLatencyMs { p50: 0.7, p99: 1.1 }),
            counts: StreamCounts { frames_delivered: 570, ..StreamCounts::default() },
            ..Stream::default()
        }
    }

    /// A server with these streams.
    pub(in crate::top) fn snapshot(streams: Vec<Stream>) -> Snapshot {
        let (version, health) = (Shown::new("0.1.0"), Shown::new("ok"));
        let guard = Shown::new("protected");
        let server = ServerSnapshot { version, uptime_seconds: 12.3, health, guard, ..ServerSnapshot::default() };
        Snapshot { server, streams, cluster: None }
    }
}

#[cfg(test)]
mod tests {
    use framewire_figures::snapshot::RecentLatencyMs;

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
        let snapshot = parse(ANSWER.as_bytes()).unwrap();
        assert_eq!(snapshot.server.version.as_str(), "0.1.0");
        let [first, second] = &snapshot.streams[..] else { panic!("{snapshot:?}") };
        assert_eq!((first.name.as_str(), activity(first)), ("cam-1", Activity::Opening));
        assert_eq!((second.id, second.latency_ms), (123, Some(RecentLatencyMs { p50: 0.7, p99: 1.1 })));
        assert_eq!(
            (second.counts.frames_dropped.total(), second.counts.frames_repaired.by_fec, second.socket_drops),
            (21, 8, 9)
        );
    }

    #[test]
    fn what_is_no_such_answer_says_what_is_missing() {
        let said = |json: &str| parse(json.as_bytes()).unwrap_err().to_string();
        assert!(said(r#"{"server":{"version":"1","uptime_seconds":0}}"#).contains("streams"));
        assert!(said(r#"{"server":{"version":"1","uptime_seconds":0},"streams":[{"id":-1}]}"#).contains("-1"));
        assert!(said("<html>").contains("line 1"));
    }

    const CLUSTER: &str = r#"{"server":{"version":"0.1.0","uptime_seconds":12.3},"cluster":{"node":"01","name":"a",
        "engines":[{"engine":"redis","up":false,"problem":"it does not\u001banswer"}],
        "nodes":[{"node":"01","name":"a","url":"http://a","state":"live"},{"node":"02","name":"b","url":"http://b","state":"stale"}]},
        "streams":[{"id":1,"name":"cam","node":"02","node_name":"b","url":"http://b","state":"stale","hearsay":true,
        "pixel":"gray8","width":640,"height":480,"frames_per_second":10.0,"gigabytes_per_second":0.003,"activity":"streaming"},
        {"id":1,"name":"cam","node":"03","node_name":"c","state":"live","hearsay":true,
        "pixel":"gray8","width":640,"height":480,"frames_per_second":10.0,"gigabytes_per_second":0.003,"activity":"silent"}]}"#;

    #[test]
    fn of_a_cluster_equal_numbers_and_names_of_two_servers_are_two_streams() {
        let snapshot = parse(CLUSTER.as_bytes()).unwrap();
        let [first, second] = &snapshot.streams[..] else { panic!("{snapshot:?}") };
        assert_ne!(key(first), key(second));
        assert_eq!((activity(first), activity(second)), (Activity::Stale, Activity::Silent));
        assert_eq!(twins(&snapshot), None);
        let twin = parse(CLUSTER.replacen(r#""state":"stale"}]}"#, r#""state":"stale","twin":true}]}"#, 1).as_bytes());
        assert!(twins(&twin.unwrap()).unwrap().contains("the id of b,"));
        let away = away(&snapshot).unwrap();
        assert_eq!(away, "the directory's engine (redis) is away: it does not\u{fffd}answer");
    }

    #[test]
    fn of_more_streams_than_are_shown_it_is_said_how_many() {
        let stream = |id: u32| serde_json::json!({"id": id, "name": format!("cam-{id}"), "pixel": "gray8", "width": 640, "height": 480, "frames_per_second": 10.0, "gigabytes_per_second": 0.003, "hearsay": true});
        let snapshot = |streams: u32| {
            let streams: Vec<_> = (0..streams).map(stream).collect();
            let server = serde_json::json!({"version": "0.1.0", "uptime_seconds": 1.0});
            let cluster = serde_json::json!({"nodes_unlisted": 2, "streams_unlisted": 7});
            let said = serde_json::json!({"server": server, "cluster": cluster, "streams": streams}).to_string();
            parse(said.as_bytes()).unwrap()
        };
        assert_eq!(snapshot(1_250).streams.len(), STREAMS_MAX);
        assert_eq!(unlisted(&snapshot(1_250)).unwrap(), "2 more servers and 257 more streams are not shown");
        assert_eq!(unlisted(&snapshot(1_000)).unwrap(), "2 more servers and 7 more streams are not shown");
        assert_eq!(unlisted(&parse(CLUSTER.as_bytes()).unwrap()), None);
    }

    #[test]
    fn a_slow_stream_is_not_silent_between_its_frames() {
        let aged = |age_seconds, frames_per_second| {
            activity(&Stream { age_seconds, frames_per_second, ..made_up::stream(1, "cam") })
        };
        assert_eq!(aged(None, 0.0), Activity::Opening);
        assert_eq!(aged(Some(0.02), 60.0), Activity::Live);
        assert_eq!(aged(Some(8.0), 0.25), Activity::Live);
        assert_eq!(aged(Some(13.0), 0.25), Activity::Silent);
        assert_eq!(aged(Some(2.5), 0.0), Activity::Silent);
        assert_eq!(aged(Some(2.5), 60.0), Activity::Silent);
    }
}
