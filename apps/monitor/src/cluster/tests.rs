use std::sync::Mutex;

use framewire_signal::directory::{Directory, OwnNode, OwnState, StreamEntry};
use serde_json::Value;

use super::*;
use crate::board::tests::{about, board};
use crate::monitor::{Guarding, Monitor};

pub(crate) fn key() -> ClusterKey {
    ClusterKey::new("000102030405060708090a0b0c0d0e0f").unwrap()
}

pub(crate) fn id(number: u32) -> NodeId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    NodeId::new(bytes)
}

/// A node that others hear of.
pub(crate) fn directory(number: u32, name: &str, url: &str) -> Directory {
    Directory::new(OwnNode::new(id(number), 1, name, url), key()).unwrap()
}

pub(crate) fn streams(names: &[&str]) -> OwnState {
    let entry = |(nth, name): (usize, &&str)| {
        StreamEntry::new(nth as u64 + 1, *name, "gray8", 640, 480).frames_per_second(10.0).bytes_per_second(3_072_000)
    };
    OwnState::new(names.iter().enumerate().map(entry).collect())
}

/// A directory that stands still at a moment.
pub(crate) struct Still {
    pub(crate) directory: Mutex<Directory>,
    pub(crate) now: Mutex<Duration>,
    view: Mutex<Option<Arc<View>>>,
    pub(crate) engines: Vec<EngineSnapshot>,
}

impl Still {
    pub(crate) fn new(directory: Directory) -> Self {
        Self { directory: Mutex::new(directory), now: Mutex::default(), view: Mutex::default(), engines: Vec::new() }
    }

    /// Hears what the other says now.
    pub(crate) fn hear(&self, other: &mut Directory) {
        let now = *self.now.lock().unwrap();
        let entry = other.poll_own(now).unwrap();
        self.directory.lock().unwrap().handle_entry(&entry, now).unwrap();
        *self.view.lock().unwrap() = None;
    }

    fn pass(&self, seconds: u64) {
        *self.now.lock().unwrap() += Duration::from_secs(seconds);
        *self.view.lock().unwrap() = None;
    }
}

impl ClusterSource for Still {
    fn view(&self) -> Arc<View> {
        let seen = || Arc::new(self.directory.lock().unwrap().view(*self.now.lock().unwrap()));
        self.view.lock().unwrap().get_or_insert_with(seen).clone()
    }

    fn own_entry(&self) -> Arc<[u8]> {
        Arc::from(*b"signed")
    }

    fn engines(&self) -> Vec<EngineSnapshot> {
        self.engines.clone()
    }

    fn counters(&self) -> ClusterCounters {
        let mut counters = ClusterCounters::default();
        counters.directory = self.directory.lock().unwrap().counters();
        counters
    }
}

fn told(still: &Still) -> Value {
    let told = told::told(&still.view(), still.engines(), |_| None, 100);
    serde_json::to_value(&told).unwrap()
}

#[test]
fn a_node_that_falls_silent_is_stale_then_unreachable_then_gone_and_the_server_itself_never() {
    let still = Still::new(directory(1, "a", "http://127.0.0.1:1"));
    let mut other = directory(2, "b", "https://127.0.0.1:2");
    other.set_own(streams(&["front", "back"]));
    still.hear(&mut other);
    let state = |nth: usize| told(&still)["cluster"]["nodes"][nth]["state"].as_str().map(str::to_owned);
    for (seconds, expected) in [(0, Some("live")), (7, Some("stale")), (54, Some("unreachable")), (6, None)] {
        still.pass(seconds);
        assert_eq!((state(0).as_deref(), state(1).as_deref()), (Some("live"), expected));
        let all = told(&still);
        let streams = all["streams"].as_array().unwrap();
        assert_eq!(streams.len(), if expected.is_some() { 2 } else { 0 }, "as long as their server");
        assert!(streams.iter().all(|stream| stream["state"].as_str() == expected && stream["hearsay"] == true));
    }
}

#[test]
fn a_stream_of_another_node_is_told_with_where_it_is_and_nothing_that_only_its_node_knows() {
    let still = Still::new(directory(1, "a", "http://127.0.0.1:1"));
    let mut other = directory(2, "hall <b>", "http://127.0.0.1:2");
    other.set_own(streams(&["<img src=x onerror=alert(1)>"]));
    still.hear(&mut other);
    let all = told(&still);
    let stream = &all["streams"][0];
    assert_eq!(stream["name"], "<img src=x onerror=alert(1)>", "it is text, for whoever shows it");
    assert_eq!((&stream["node_name"], &stream["url"]), (&"hall <b>".into(), &"http://127.0.0.1:2".into()));
    assert_eq!(stream["node"], id(2).to_string());
    assert_eq!((&stream["frames_per_second"], &stream["pictured"]), (&10.0.into(), &true.into()));
    for unknown in ["frames_dropped", "latency_ms", "source", "frames_delivered"] {
        assert!(stream.get(unknown).is_none(), "{unknown}");
    }
    // What reads a server's answer reads this, too.
    let read: framewire_figures::snapshot::StreamSnapshot = serde_json::from_value(stream.clone()).unwrap();
    assert!(read.hearsay && read.place.node_name.as_deref() == Some("hall <b>") && read.counts == Default::default());
}

#[test]
fn of_the_servers_own_streams_the_board_tells_and_the_directory_does_not() {
    let board = board();
    let mut own = directory(1, "a", "http://127.0.0.1:1");
    own.set_own(streams(&["of the directory"]));
    let still = Still::new(own);
    let mut other = directory(2, "b", "http://127.0.0.1:2");
    other.set_own(streams(&["theirs"]));
    still.hear(&mut other);
    let monitor = Monitor::new(board.clone(), 10.0, Guarding::Open, "unknown").cluster(Arc::new(still), Some(key()));
    let stream = board.add(about(7, "of the board"), Vec::new());
    stream.figures().add_frame(3_072, None, Instant::now());
    let all: Value = serde_json::from_slice(&monitor.cluster_snapshot(Instant::now())).unwrap();
    let names: Vec<_> = all["streams"].as_array().unwrap().iter().map(|stream| &stream["name"]).collect();
    assert_eq!(names, ["of the board", "theirs"]);
    let own = &all["streams"][0];
    assert_eq!((&own["node"], &own["state"]), (&id(1).to_string().into(), &"live".into()));
    assert_eq!((&own["frames_delivered"], own.get("hearsay")), (&1.into(), None));
    assert_eq!(all["cluster"]["node"], id(1).to_string());
    // A page that asked for the server alone is told what it always was.
    let server: Value = serde_json::from_slice(&monitor.snapshot(Instant::now())).unwrap();
    assert!(server.get("cluster").is_none() && server["streams"][0].get("node").is_none(), "{server}");
    assert!(monitor.is_own(id(1)) && !monitor.is_own(id(2)) && !monitor.is_own(id(3)));
}

#[test]
fn an_engine_that_is_away_is_told_in_its_own_words() {
    let mut still = Still::new(directory(1, "a", "http://127.0.0.1:1"));
    let away = EngineSnapshot { engine: "redis".into(), up: false, problem: Some("it does not answer".into()) };
    still.engines.push(away);
    let all = told(&still);
    assert_eq!(all["cluster"]["engines"][0]["problem"], "it does not answer");
    let metrics = Monitor::new(board(), 10.0, Guarding::Open, "unknown").cluster(Arc::new(still), None);
    let said = metrics.metrics.text().unwrap();
    assert!(said.contains("framewire_cluster_engine_up{engine=\"redis\"} 0"), "{said}");
}

#[test]
fn ten_thousand_nodes_are_told_as_far_as_there_is_room_and_the_rest_is_counted() {
    let still = Still::new(directory(1, "a", "http://127.0.0.1:1"));
    for number in 2..=10_001 {
        let mut other = directory(number, &format!("n{number}"), "http://192.0.2.1:1");
        other.set_own(streams(&["a", "b", "c", "d", "e"]));
        still.hear(&mut other);
    }
    let monitor = Monitor::new(board(), 10.0, Guarding::Open, "unknown").cluster(Arc::new(still), None);
    let json = monitor.cluster_snapshot(Instant::now());
    assert!(json.len() < 4 << 20, "{} bytes", json.len());
    let all: Value = serde_json::from_slice(&json).unwrap();
    let nodes = all["cluster"]["nodes"].as_array().unwrap().len();
    assert_eq!(nodes, 1_025, "the server itself, and as many as the directory has room for");
    assert!(all["cluster"]["nodes_unlisted"].as_u64().unwrap() > 0);
    assert_eq!(all["streams"].as_array().unwrap().len(), REMOTE_STREAMS_MAX);
    assert_eq!(all["cluster"]["streams_unlisted"], 1_024 * 5 - REMOTE_STREAMS_MAX);
    // No node has a series of its own: they come and go, and call themselves anything.
    let said = monitor.metrics.text().unwrap();
    assert!(said.contains("framewire_cluster_nodes{state=\"live\"} 1024") && !said.contains("n1000"), "{said}");
}

#[test]
fn what_is_told_is_made_once_of_what_is_known_however_many_look() {
    let still = Arc::new(Still::new(directory(1, "a", "http://127.0.0.1:1")));
    let neighbours = Neighbours::new(still.clone(), None);
    let now = Instant::now();
    let first = neighbours.elsewhere(now);
    assert!(Arc::ptr_eq(&first, &neighbours.elsewhere(now + Duration::from_secs(1))), "nothing else is known");
    let json: Value = serde_json::from_slice(&first.json).unwrap();
    assert_eq!((&json["cluster"]["name"], &json["streams"]), (&"a".into(), &Value::Array(Vec::new())));
    let mut other = directory(2, "b", "http://127.0.0.1:2");
    other.set_own(streams(&["theirs"]));
    still.hear(&mut other);
    assert!(Arc::ptr_eq(&first, &neighbours.elsewhere(now + MADE_APART / 2)));
    assert_eq!(neighbours.elsewhere(now + MADE_APART).streams.len(), 1);
}

#[test]
fn a_hundred_who_ask_for_the_streams_of_all_servers_cost_what_one_does() {
    let (board, still) = (board(), Arc::new(Still::new(directory(1, "a", "http://127.0.0.1:1"))));
    let monitor = Monitor::new(board.clone(), 10.0, Guarding::Open, "unknown").cluster(still, None);
    let now = Instant::now();
    let first = monitor.cluster_snapshot(now);
    let _stream = board.add(about(7, "new"), Vec::new());
    for millis in 0..100 {
        let same = monitor.cluster_snapshot(now + Duration::from_millis(millis));
        assert_eq!(same.as_ptr(), first.as_ptr(), "the same bytes, {millis} ms later");
    }
    let next: Value = serde_json::from_slice(&monitor.cluster_snapshot(now + Duration::from_millis(100))).unwrap();
    assert_eq!(next["streams"][0]["name"], "new");
}

#[test]
fn a_server_with_anothers_id_is_told_of() {
    let still = Still::new(directory(1, "a", "http://127.0.0.1:1"));
    assert!(told(&still)["cluster"]["nodes"][0].get("twin").is_none());
    let mut twin = Directory::new(OwnNode::new(id(1), 2, "copy of a", "http://127.0.0.1:2"), key()).unwrap();
    still.hear(&mut twin);
    assert_eq!(told(&still)["cluster"]["nodes"][0]["twin"], true);
    let monitor = Monitor::new(board(), 10.0, Guarding::Open, "unknown").cluster(Arc::new(still), None);
    let said = monitor.metrics.text().unwrap();
    assert!(said.contains("framewire_cluster_twins 1"), "{said}");
    assert!(said.contains("framewire_cluster_entries_total{outcome=\"twin\"} 1"), "{said}");
}
