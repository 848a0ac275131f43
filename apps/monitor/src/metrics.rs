//! Metrics in the text format of OpenMetrics, which Prometheus reads.
//!
//! Read off the board at each scrape: a stream's series are there as long as it is, so their number stays small. `stream` is
//! its name; what else is known of it is in `framewire_stream_info`. What streams have counted stays in the totals of the
//! server, `framewire_server_…`, and of its sinks, `framewire_sink_…`.

mod cluster;

use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderValue;
use framewire_figures::counts::StreamCounts;
use framewire_figures::snapshot::ReaderSnapshot;
use framewire_figures::summary::cpu_seconds;
use framewire_sink::{Condition, SinkTotals};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::board::{Board, LiveStream};
use crate::cluster::Neighbours;
use crate::figures::{Counts, LATENCY_BOUNDS};

/// What a scrape is told that it reads.
pub(crate) const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What a scrape reads.
pub(crate) struct Metrics(Registry);

impl Metrics {
    pub(crate) fn new(board: Arc<Board>, neighbours: Option<Arc<Neighbours>>, commit: &'static str) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(BoardMetrics { board, neighbours, commit }));
        Self(registry)
    }

    /// All that there is.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

#[derive(Debug)]
struct BoardMetrics {
    board: Arc<Board>,
    /// The cluster, where the server is in one.
    neighbours: Option<Arc<Neighbours>>,
    /// What the program was built from.
    commit: &'static str,
}

type Encoded = Result<(), std::fmt::Error>;

impl Collector for BoardMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Encoded {
        let out = &mut encoder;
        // Read at once, and written while nobody waits for them.
        let (live, all) = self.board.counts();
        let series: Vec<Series> = live.into_iter().map(Series::of).collect();
        let build = [("version", env!("CARGO_PKG_VERSION")), ("commit", self.commit)];
        out.encode_descriptor("framewire_build", "The program", None, MetricType::Info)?.encode_info(&build)?;
        counter(out, "process_cpu_seconds", "Processor time of all threads", cpu_seconds())?;
        counter(out, "framewire_streams_opened", "Streams that have begun", self.board.opened())?;
        out.encode_descriptor("framewire_streams", "Streams that come in now", None, MetricType::Gauge)?
            .encode_gauge(&(series.len() as u64))?;

        let mut about = out.encode_descriptor("framewire_stream", "What a stream is", None, MetricType::Info)?;
        for one in &series {
            let what = &one.stream.about;
            let labels = [
                ("stream", one.label.clone()),
                ("source", what.source.map(|source| source.ip().to_string()).unwrap_or_default()),
                ("format", what.format.to_string()),
                ("delivery", what.delivery.map(|delivery| delivery.name()).unwrap_or_default().to_owned()),
                ("path", what.path.name().to_owned()),
                ("cipher", what.cipher.unwrap_or_default().to_owned()),
            ];
            about.encode_info(&labels)?;
        }

        let turned_away = self.board.turned_away();
        counter(out, "framewire_failed_proofs", "Proofs of a token that were wrong, late or none", turned_away.proofs)?;
        counter(out, "framewire_failed_tls", "Connections that spoke no TLS to its end", turned_away.tls)?;
        let help = "Openings of protected streams not made under their key";
        counter(out, "framewire_forged_openings", help, turned_away.openings_forged)?;
        let help = "Openings of protected streams that had opened something before";
        counter(out, "framewire_replayed_openings", help, turned_away.openings_replayed)?;

        let of = Families { series: &series };
        of.counter(out, "framewire_frames_delivered", "Frames that arrived complete", |counts| {
            counts.frames_delivered
        })?;
        of.counter(out, "framewire_received_bytes", "Bytes of these frames", |counts| counts.bytes)?;
        of.by(out, "framewire_frames_dropped", "Frames that were not delivered", "cause", frames_dropped)?;
        of.by(out, "framewire_frames_repaired", "Frames delivered although slices were lost", "by", frames_repaired)?;
        of.by(out, "framewire_datagrams_dropped", "Datagrams that came to nothing", "cause", datagrams_dropped)?;
        server(out, &all.stream)?;
        sinks(out, self.board.sinks.as_slice(), &series)?;
        readers(out, &series)?;
        cluster::watchers(out, self.board.relayed(), &series)?;
        cluster::links(out, &self.board.links())?;
        if let Some(neighbours) = &self.neighbours {
            cluster::neighbours(out, neighbours)?;
        }

        let now = Instant::now();
        let help = "Since the newest frame of a stream arrived";
        let mut age = out.encode_descriptor("framewire_frame_age_seconds", help, None, MetricType::Gauge)?;
        for one in &series {
            if let Some(newest) = one.counts.newest {
                let seconds = now.saturating_duration_since(newest).as_secs_f64();
                age.encode_family(&one.labels())?.encode_gauge(&seconds)?;
            }
        }
        let help = "From the capture of a frame to its last slice";
        let mut latency =
            out.encode_descriptor("framewire_frame_latency_seconds", help, None, MetricType::Histogram)?;
        for one in &series {
            histogram(&mut latency.encode_family(&one.labels())?, &one.counts)?;
        }
        let help = "From the capture of a frame to its last slice, of all streams";
        let name = "framewire_server_frame_latency_seconds";
        histogram(&mut out.encode_descriptor(name, help, None, MetricType::Histogram)?, &all)?;
        Ok(())
    }
}

/// One stream at the moment of the scrape.
struct Series {
    stream: Arc<LiveStream>,
    label: String,
    counts: Counts,
    readers: Vec<ReaderSnapshot>,
}

impl Series {
    fn of((stream, counts): (Arc<LiveStream>, Counts)) -> Self {
        let (label, readers) = (stream.label(), stream.readers());
        Self { stream, label, counts, readers }
    }

    fn labels(&self) -> [(&'static str, &str); 1] {
        [("stream", &self.label)]
    }
}

type Counted = Vec<(&'static str, u64)>;

fn frames_dropped(counts: &StreamCounts) -> Counted {
    counts.frames_dropped.causes().to_vec()
}

fn frames_repaired(counts: &StreamCounts) -> Counted {
    vec![("nack", counts.frames_repaired.by_nack), ("fec", counts.frames_repaired.by_fec)]
}

fn datagrams_dropped(counts: &StreamCounts) -> Counted {
    counts.datagrams_dropped.causes().to_vec()
}

/// What all streams have counted since the server began, those that have gone included.
fn server(out: &mut DescriptorEncoder, all: &StreamCounts) -> Encoded {
    counter(
        out,
        "framewire_server_frames_delivered",
        "Frames that arrived complete, of all streams",
        all.frames_delivered,
    )?;
    counter(out, "framewire_server_received_bytes", "Bytes of these frames", all.bytes)?;
    let families = [
        (
            "framewire_server_frames_dropped",
            "Frames that were not delivered, of all streams",
            "cause",
            frames_dropped(all),
        ),
        ("framewire_server_frames_repaired", "Frames delivered although slices were lost", "by", frames_repaired(all)),
        ("framewire_server_datagrams_dropped", "Datagrams that came to nothing", "cause", datagrams_dropped(all)),
    ];
    for (name, help, by, counted) in families {
        let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, counted) in counted {
            count(&mut metric.encode_family(&[(by, value)])?, counted)?;
        }
    }
    Ok(())
}

/// How recordings get on: of each sink over all streams, and which fail now.
fn sinks(out: &mut DescriptorEncoder, totals: &[Arc<SinkTotals>], series: &[Series]) -> Encoded {
    let mut family = |name: &str, help: &str, of: fn(&SinkTotals) -> u64| -> Encoded {
        let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        totals.iter().try_for_each(|total| count(&mut metric.encode_family(&[("sink", &total.sink)])?, of(total)))
    };
    family("framewire_sink_frames_recorded", "Frames written", |total| total.counts().frames)?;
    family("framewire_sink_recorded_bytes", "Bytes written", |total| total.counts().bytes)?;
    family("framewire_sink_failures", "How often it failed, each stream for itself", SinkTotals::failures)?;
    family("framewire_sink_recoveries", "How often it went on after a failure", SinkTotals::recoveries)?;
    let help = "Frames that arrived and were not written";
    let mut missed = out.encode_descriptor("framewire_sink_frames_missed", help, None, MetricType::Counter)?;
    for total in totals {
        let counts = total.counts();
        let causes = [("slow", counts.frames_dropped), ("failed", counts.frames_failed), ("away", counts.frames_away)];
        for (cause, counted) in causes {
            count(&mut missed.encode_family(&[("sink", total.sink.as_str()), ("cause", cause)])?, counted)?;
        }
    }
    let help = "1 while the recording of a stream fails there";
    let mut failing = out.encode_descriptor("framewire_stream_sink_failing", help, None, MetricType::Gauge)?;
    for one in series {
        for sink in &one.stream.sinks {
            let labels = [("stream", one.label.as_str()), ("sink", sink.name())];
            let is_failing = matches!(sink.condition(), Condition::Failed(_));
            failing.encode_family(&labels)?.encode_gauge(&u64::from(is_failing))?;
        }
    }
    Ok(())
}

/// Who reads streams in place. A reader is its seat, of which there are no more than the slots for readers bound: whoever comes may call
/// itself anything, and another name each time, which is said of the seat and is a label of nothing that is counted. Neither a process's
/// number nor what else never comes again is a label.
fn readers(out: &mut DescriptorEncoder, series: &[Series]) -> Encoded {
    let help = "Programs of this machine that read a stream in place";
    let mut there = out.encode_descriptor("framewire_readers", help, None, MetricType::Gauge)?;
    for one in series {
        there.encode_family(&one.labels())?.encode_gauge(&(one.readers.len() as u64))?;
    }
    let all: Vec<_> = series.iter().flat_map(|one| one.readers.iter().map(move |reader| (one, reader))).collect();
    let labels = |(one, reader): (&'_ Series, &'_ ReaderSnapshot)| {
        [("stream", one.label.clone()), ("reader", reader.seat.to_string())]
    };
    let mut about = out.encode_descriptor("framewire_reader", "What a reader is", None, MetricType::Info)?;
    for (one, reader) in &all {
        let labels = [
            ("stream", one.label.as_str()),
            ("reader", &reader.seat.to_string()),
            ("name", shortened(&reader.name)),
            ("policy", &reader.policy),
        ];
        about.encode_info(&labels)?;
    }
    let mut counted = |name: &str, help: &str, of: fn(&ReaderSnapshot) -> u64| -> Encoded {
        let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        all.iter().try_for_each(|one| count(&mut metric.encode_family(&labels(*one))?, of(one.1)))
    };
    counted("framewire_reader_frames_offered", "Frames that were there for it", |reader| reader.offered)?;
    counted("framewire_reader_frames_taken", "Frames that it took", |reader| reader.taken)?;
    counted("framewire_reader_frames_dropped", "Frames that gave way to newer ones", |reader| reader.dropped)?;
    let mut now = |name: &str, help: &str, of: fn(&ReaderSnapshot) -> u64| -> Encoded {
        let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        all.iter().try_for_each(|one| metric.encode_family(&labels(*one))?.encode_gauge(&of(one.1)))
    };
    now("framewire_reader_slots_held", "Slots in which it has frames", |reader| reader.held)?;
    now("framewire_reader_frames_waiting", "Frames that wait for it", |reader| reader.waiting)?;
    let help = "1 where it broke the rules or was too slow, and is given no more";
    now("framewire_reader_quarantined", help, |reader| u64::from(reader.quarantined))?;
    let help = "Processor time of the server's to wake it, a wake, on average";
    let mut wakes = out.encode_descriptor("framewire_reader_wake_cpu_seconds", help, None, MetricType::Gauge)?;
    for one in &all {
        wakes.encode_family(&labels(*one))?.encode_gauge(&(one.1.wake_cpu_us / 1e6))?;
    }
    Ok(())
}

/// As much of a name as a dashboard has room for.
fn shortened(name: &str) -> &str {
    const BYTES_MAX: usize = 64;
    &name[..name.floor_char_boundary(BYTES_MAX)]
}

/// Series of all streams.
struct Families<'a> {
    series: &'a [Series],
}

impl Families<'_> {
    fn counter(&self, out: &mut DescriptorEncoder, name: &str, help: &str, of: fn(&StreamCounts) -> u64) -> Encoded {
        let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        for one in self.series {
            count(&mut metric.encode_family(&one.labels())?, of(&one.counts.stream))?;
        }
        Ok(())
    }

    fn by(
        &self,
        out: &mut DescriptorEncoder,
        name: &str,
        help: &str,
        by: &'static str,
        of: fn(&StreamCounts) -> Counted,
    ) -> Encoded {
        let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
        for one in self.series {
            for (value, counted) in of(&one.counts.stream) {
                let labels = [("stream", one.label.as_str()), (by, value)];
                count(&mut metric.encode_family(&labels)?, counted)?;
            }
        }
        Ok(())
    }
}

/// Latency of the frames that say when they were captured.
fn histogram(metric: &mut MetricEncoder, counts: &Counts) -> Encoded {
    let bounds = LATENCY_BOUNDS.iter().copied().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(counts.latency_counts).collect();
    let count = counts.latency_counts.iter().sum();
    metric.encode_histogram::<NoLabelSet>(counts.latency_seconds, count, &buckets, None)
}

fn count(metric: &mut MetricEncoder, value: u64) -> Encoded {
    metric.encode_counter::<NoLabelSet, u64, f64>(&value, None)
}

fn counter(
    out: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    value: impl prometheus_client::encoding::EncodeCounterValue,
) -> Encoded {
    out.encode_descriptor(name, help, None, MetricType::Counter)?.encode_counter::<NoLabelSet, _, f64>(&value, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Relayed;
    use crate::board::tests::{about, board};
    use crate::cluster::tests::{Still, directory};
    use framewire_figures::cluster::EngineSnapshot;
    use framewire_figures::snapshot::{GrantSnapshot, LinkSnapshot, WatcherSnapshot};
    use framewire_sink::{Missed, StreamSink};
    use std::time::Duration;

    fn text(board: &Arc<Board>) -> String {
        Metrics::new(board.clone(), None, "unknown").text().unwrap()
    }

    #[test]
    fn a_streams_series_are_there_as_long_as_it_is() {
        let board = board();
        let stream = board.add(about(1, "cam"), Vec::new());
        stream.figures().add_frame(3_072, Some(Duration::from_millis(3)), Instant::now());
        stream.figures().counts.stream.frames_dropped.lost = 2;
        let said = text(&board);
        for line in [
            "framewire_streams 1",
            "framewire_streams_opened_total 1",
            "framewire_frames_delivered_total{stream=\"cam\"} 1",
            "framewire_received_bytes_total{stream=\"cam\"} 3072",
            "framewire_frames_dropped_total{stream=\"cam\",cause=\"lost\"} 2",
            "framewire_frame_latency_seconds_bucket{le=\"0.002\",stream=\"cam\"} 0",
            "framewire_frame_latency_seconds_bucket{le=\"0.004\",stream=\"cam\"} 1",
            "framewire_frame_latency_seconds_bucket{le=\"+Inf\",stream=\"cam\"} 1",
            "framewire_frame_latency_seconds_count{stream=\"cam\"} 1",
            "# EOF",
        ] {
            assert!(said.lines().any(|said| said == line), "'{line}' is not in\n{said}");
        }
        drop(stream);
        let said = text(&board);
        assert!(!said.contains("cam\"") && said.contains("framewire_streams 0"), "{said}");
        for line in [
            "framewire_server_frames_delivered_total 1",
            "framewire_server_received_bytes_total 3072",
            "framewire_server_frames_dropped_total{cause=\"lost\"} 2",
            "framewire_server_frame_latency_seconds_bucket{le=\"0.002\"} 0",
            "framewire_server_frame_latency_seconds_bucket{le=\"0.004\"} 1",
            "framewire_server_frame_latency_seconds_count 1",
            "framewire_server_frame_latency_seconds_sum 0.003",
        ] {
            assert!(said.lines().any(|said| said == line), "'{line}' is not in\n{said}");
        }
    }

    #[test]
    fn a_recording_that_fails_is_counted_at_its_sink_and_shown_as_long_as_its_stream_lasts() {
        let total = SinkTotals::new("a/{stream}.raw");
        let board = Arc::new(Board::new(vec![total.clone()]));
        let sink = StreamSink::new(&total);
        let stream = board.add(about(1, "cam"), vec![sink.clone()]);
        sink.add_frame(100);
        sink.fail("full".into());
        sink.add_missed(Missed::Failed, 60);
        let has = |line: &str| text(&board).lines().any(|said| said == line);
        assert!(
            has("framewire_sink_frames_missed_total{sink=\"a/{stream}.raw\",cause=\"failed\"} 60"),
            "{}",
            text(&board)
        );
        assert!(has("framewire_sink_frames_recorded_total{sink=\"a/{stream}.raw\"} 1"));
        assert!(has("framewire_stream_sink_failing{stream=\"cam\",sink=\"a/{stream}.raw\"} 1"));
        drop(stream);
        assert!(has("framewire_sink_failures_total{sink=\"a/{stream}.raw\"} 1"));
        assert!(!has("framewire_stream_sink_failing{stream=\"cam\",sink=\"a/{stream}.raw\"} 1"));
    }

    #[test]
    fn readers_have_series_by_their_seats_as_long_as_they_are_there_and_none_by_process() {
        let board = board();
        let stream = board.add(about(1, "cam"), Vec::new());
        stream.set_readers(vec![reader(1, "view"), reader(2, "view")]);
        let said = text(&board);
        for line in [
            "framewire_readers{stream=\"cam\"} 2",
            "framewire_reader_info{stream=\"cam\",reader=\"2\",name=\"view-2\",policy=\"latest\"} 1",
            "framewire_reader_frames_offered_total{stream=\"cam\",reader=\"1\"} 100",
            "framewire_reader_frames_taken_total{stream=\"cam\",reader=\"2\"} 90",
            "framewire_reader_frames_dropped_total{stream=\"cam\",reader=\"1\"} 9",
            "framewire_reader_frames_waiting{stream=\"cam\",reader=\"1\"} 1",
            "framewire_reader_slots_held{stream=\"cam\",reader=\"1\"} 2",
            "framewire_reader_quarantined{stream=\"cam\",reader=\"1\"} 0",
            "framewire_reader_wake_cpu_seconds{stream=\"cam\",reader=\"1\"} 0.5",
        ] {
            assert!(said.lines().any(|said| said == line), "'{line}' is not in\n{said}");
        }
        assert!(!said.contains("4242"), "{said}");
        stream.set_readers(Vec::new());
        let said = text(&board);
        assert!(said.contains("framewire_readers{stream=\"cam\"} 0") && !said.contains("reader=\"1\""), "{said}");
    }

    #[test]
    fn what_is_sent_on_granted_and_wanted_by_nobody_is_counted() {
        let board = board();
        let stream = board.add(about(1, "cam"), Vec::new());
        stream.set_watchers(vec![WatcherSnapshot::default(); 2]);
        stream.set_idle(true);
        let grant = GrantSnapshot { link: "eth0".into(), bits_per_second: 500_000_000, ..GrantSnapshot::default() };
        stream.set_grant(Some(grant));
        board.set_relayed(Relayed {
            frames_sent: 7,
            frames_skipped: 3,
            bytes_sent: 70,
            upstreams: 1,
            ..Relayed::default()
        });
        let link = LinkSnapshot {
            name: "eth0".into(),
            bits_per_second: 1_000_000_000,
            bits_per_second_max: 800_000_000,
            ..LinkSnapshot::default()
        };
        board.set_links(vec![LinkSnapshot { received_bits_per_second: 500_000_000, refused: 2, ..link }]);
        let said = text(&board);
        for line in [
            "framewire_watchers{stream=\"cam\"} 2",
            "framewire_stream_idle{stream=\"cam\"} 1",
            "framewire_stream_grant_bits_per_second{stream=\"cam\",link=\"eth0\"} 500000000",
            "framewire_relay_frames_sent_total 7",
            "framewire_relay_frames_skipped_total 3",
            "framewire_relay_sent_bytes_total 70",
            "framewire_upstreams 1",
            "framewire_link_bits_per_second_max{link=\"eth0\"} 800000000",
            "framewire_link_granted_bits_per_second{link=\"eth0\",way=\"received\"} 500000000",
            "framewire_link_refusals_total{link=\"eth0\"} 2",
        ] {
            assert!(said.lines().any(|said| said == line), "'{line}' is not in\n{said}");
        }
    }

    fn reader(seat: u64, name: &str) -> ReaderSnapshot {
        ReaderSnapshot {
            seat,
            name: name.into(),
            pid: 4_242,
            policy: "latest".into(),
            offered: 100,
            taken: 90,
            dropped: 9,
            waiting: 1,
            held: 2,
            wake_cpu_us: 500_000.0,
            ..ReaderSnapshot::default()
        }
    }

    #[test]
    fn whatever_readers_call_themselves_one_after_the_other_what_is_counted_of_them_has_the_same_series() {
        let board = board();
        let stream = board.add(about(1, "cam"), Vec::new());
        let series = |name: &str| {
            stream.set_readers(vec![reader(1, name)]);
            let said = text(&board);
            let counted = said.lines().filter(|line| line.starts_with("framewire_reader_") && !line.contains("_info{"));
            counted.map(str::to_owned).collect::<Vec<_>>()
        };
        let long = "ä".repeat(128);
        assert!(!series("a").is_empty());
        assert_eq!(series("a"), series(&long));
        let name = format!("name=\"{}\"", "ä".repeat(32));
        assert!(text(&board).contains(&name), "{}", text(&board));
    }

    #[test]
    fn a_name_cannot_break_out_of_its_label() {
        let board = board();
        let _stream = board.add(about(1, "a\"} 1\\ b"), Vec::new());
        let said = text(&board);
        assert!(said.contains(r#"framewire_frames_delivered_total{stream="a\"} 1\\ b"} 0"#), "{said}");
    }

    #[test]
    fn the_dashboard_asks_for_nothing_that_is_not_there() {
        let board = Arc::new(Board::new(vec![SinkTotals::new("a.raw")]));
        let stream = board.add(about(1, "cam"), Vec::new());
        stream.figures().add_frame(1, Some(Duration::from_millis(1)), Instant::now());
        stream.set_readers(vec![reader(1, "view")]);
        board.set_links(vec![LinkSnapshot { name: "eth0".into(), ..LinkSnapshot::default() }]);
        let mut cluster = Still::new(directory(1, "a", "http://127.0.0.1:1"));
        cluster.engines.push(EngineSnapshot { engine: "redis".into(), up: true, problem: None });
        let neighbours = Arc::new(Neighbours::new(Arc::new(cluster), None));
        let said = Metrics::new(board.clone(), Some(neighbours), "unknown").text().unwrap();
        let dashboard = include_str!("../../packaging/grafana-dashboard.json");
        serde_json::from_str::<serde_json::Value>(dashboard).expect("the dashboard is JSON");
        let words = dashboard.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let asked: Vec<&str> =
            words.filter(|word| word.starts_with("framewire_") || word.starts_with("process_")).collect();
        assert!(asked.len() > 10);
        for name in asked {
            assert!(
                said.lines()
                    .any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "))),
                "{name}"
            );
        }
    }
}
