//! Servers of a cluster (`redis-server`; without it, the tests say that they skip): a stream of one is watched at another.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod http;
mod protected;
mod redis;
mod running;
mod watchers;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use framewire_signal::message::Role;
use framewire_signal::{ClientConfig, ClientEvent, Join, Token};
use framewire_testing::Signal;
use tempfile::TempDir;

use protected::Protected;
use redis::Redis;
use running::{PATIENCE, Running, Server, in_dir, path_text, write_private};
use watchers::{Onlooker, next, take_pattern};

/// What all servers of a cluster have.
struct Cluster {
    redis: Redis,
    directory: TempDir,
    key: PathBuf,
}

impl Cluster {
    fn new() -> Option<Self> {
        let (redis, directory) = (Redis::start()?, tempfile::tempdir().unwrap());
        let key = in_dir(&directory, "key");
        write_private(&key, "00112233445566778899aabbccddeeff");
        Some(Self { redis, directory, key })
    }

    fn server(&self, name: &str, arguments: &[&str]) -> Server {
        self.server_at("127.0.0.1:0", "127.0.0.1:0", name, arguments)
    }

    fn server_at(&self, listen: &str, udp: &str, name: &str, arguments: &[&str]) -> Server {
        let (url, state) = (self.redis.url(), in_dir(&self.directory, name));
        let cluster = ["--cluster", &url, "--cluster-key-file", path_text(&self.key), "--node-name", name];
        let kept = ["--state-directory", path_text(&state)];
        Server::start_at(listen, udp, &[&cluster[..], &kept, arguments].concat())
    }
}

fn camera(server: &Server, name: &str) -> Running {
    Running::start(&mut server.client(&["pattern:320x240", "--fps", "50", "--name", name]))
}

fn config(server: &Server) -> ClientConfig {
    ClientConfig::new(server.url())
}

/// Who watches the server's only stream, as it says itself.
fn watchers(server: &Server) -> Vec<serde_json::Value> {
    let answer = http::get(&server.signal, "/api/streams", &[]);
    let said: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    said["streams"][0]["watchers"].as_array().cloned().unwrap_or_default()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_stream_of_another_server_is_watched_here_once_for_all_and_let_go_when_nobody_does() {
    let Some(cluster) = Cluster::new() else { return };
    let (near, far) = (cluster.server("near", &[]), cluster.server("far", &[]));
    let _camera = camera(&far, "front");
    let onlookers = [Onlooker::of(config(&near), "front"), Onlooker::of(config(&near), "front@far")];
    for onlooker in &onlookers[..1] {
        let watching = onlooker.watching();
        assert_eq!((watching.name.as_str(), watching.hops.len()), ("front", 2));
        assert_eq!(
            watching.node,
            watching.hops.nodes().next().map(|node| node.to_string()),
            "the node that has it from its camera"
        );
        take_pattern(&onlooker.accept(), 20);
    }
    assert_eq!(onlookers[1].watching().hops.len(), 2);
    take_pattern(&onlookers[1].accept(), 3);
    let more = Onlooker::of(config(&near), "front");
    more.watching();
    take_pattern(&more.accept(), 3);
    // By either of its names, it is asked for there once.
    wait_until("the far server shows who watches", || watchers(&far).len() == 1);
    assert!(watchers(&far).iter().all(|watcher| watcher["node"] == "near"), "{:?}", watchers(&far));
    drop((onlookers, more));
    wait_until("the far server is let go", || watchers(&far).is_empty());
}

#[test]
fn a_stream_whose_server_is_killed_is_watched_where_its_camera_goes_and_redis_may_be_away_meanwhile() {
    let Some(mut cluster) = Cluster::new() else { return };
    let (near, far, third) = (cluster.server("near", &[]), cluster.server("far", &[]), cluster.server("third", &[]));
    let camera_there = camera(&far, "front");
    let onlooker = Onlooker::of(config(&near), "front");
    onlooker.watching();
    let stream = onlooker.accept();
    take_pattern(&stream, 3);
    cluster.redis.signal(Signal::STOP);
    take_pattern(&stream, 150);
    cluster.redis.kill();
    take_pattern(&stream, 150);
    cluster.redis.restart();
    far.running.kill();
    drop(camera_there);
    next(&onlooker.client, |event| matches!(event, ClientEvent::Unwatched(_)));
    let _camera = camera(&third, "front");
    onlooker.watching();
    take_pattern(&onlooker.accept(), 3);
}

#[test]
fn a_name_that_is_near_one_of_another_server_is_told() {
    let Some(cluster) = Cluster::new() else { return };
    let (near, far) = (cluster.server("near", &[]), cluster.server("far", &[]));
    let _camera = camera(&far, "front");
    Onlooker::of(config(&near), "front").watching();
    let ClientEvent::Waiting(waiting) = Onlooker::of(config(&near), "fornt").told() else { panic!("it is there") };
    assert_eq!(waiting.nearest.as_deref(), Some("front"));
}

#[test]
fn protected_servers_send_each_other_streams_under_a_key_over_connections_that_nobody_else_reads() {
    let Some(cluster) = Cluster::new() else { return };
    let (url, key) = (cluster.redis.url(), path_text(&cluster.key).to_owned());
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let servers = ["near", "far"].map(|name| {
        let directory = &directories[usize::from(name == "far")];
        Protected::start(directory, &["--cluster", &url, "--cluster-key-file", &key, "--node-name", name])
    });
    let [near, far] = &servers;
    let mut client = protected::client(&["pattern:320x240", "--fps", "50", "--name", "front", "--join"]);
    let _camera = Running::start(client.arg(far.state(protected::JOIN)));
    let looks = |server: &Protected| {
        let token = Token::from_file(server.state("view-token")).unwrap();
        ClientConfig::join(&Join::from_file(server.state(protected::JOIN)).unwrap()).token(token).role(Role::View)
    };
    let onlooker = Onlooker::of(looks(near), "front");
    let watching = onlooker.watching();
    assert_eq!((watching.hops.len(), watching.key.is_some()), (2, true));
    let stream = onlooker.accept();
    assert!(stream.info().protection.is_some());
    take_pattern(&stream, 20);
    // What the far one sends to the near one is protected, too: it sends nothing else.
    let there = Onlooker::of(looks(far), "front");
    assert_ne!(there.watching().key, watching.key, "each has a key of its own");
}

#[test]
fn a_clusters_key_that_is_a_token_of_the_server_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let (key, state) = (in_dir(&directory, "key"), in_dir(&directory, "state"));
    write_private(&key, "00112233445566778899aabbccddeeff");
    let listens =
        ["--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--protect", "--state-directory", path_text(&state)];
    for (token, what) in [("--token-file", "token for streaming"), ("--view-token-file", "view token")] {
        let mut server = running::program("framewire-server");
        server.args(listens).args([token, path_text(&key), "--cluster-key-file", path_text(&key)]);
        let (code, said, _) = Running::start(&mut server).wait();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&format!("is this server's {what}")), "{said}");
        assert!(said.contains("framewire token --file FILE"), "{said}");
    }
}
