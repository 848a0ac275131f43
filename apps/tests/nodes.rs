//! Servers of a cluster (`redis-server`; without it, the tests say that they skip): a stream of one is watched at another.
#![allow(missing_docs)]
#![cfg(target_os = "linux")]

mod http;
mod protected;
mod running;
mod watchers;

use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use framewire_signal::message::Role;
use framewire_signal::{ClientConfig, ClientEvent, Join, Token};
use framewire_testing::{Redis, Signal, wait_until};
use tempfile::TempDir;

use protected::Protected;
use running::{Running, Server, in_dir, path_text, program, write_private};
use watchers::{Onlooker, next, take_pattern};

/// What all servers of a cluster have.
struct Cluster {
    redis: Redis,
    directory: TempDir,
    key: PathBuf,
}

impl Cluster {
    fn new() -> Option<Self> {
        let (redis, directory) = (Redis::start(&[])?, tempfile::tempdir().unwrap());
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

fn said(server: &Server, path: &str) -> serde_json::Value {
    serde_json::from_str(&http::get(&server.signal, path, &[]).body).unwrap()
}

/// Who watches the server's only stream, as it says itself.
fn watchers(server: &Server) -> Vec<serde_json::Value> {
    let said = said(server, "/api/streams");
    said["streams"][0]["watchers"].as_array().cloned().unwrap_or_default()
}

/// How many cores each server of the cluster keeps busy, as this one has heard.
fn busy_cores(server: &Server) -> Vec<f64> {
    let said = said(server, "/api/streams?scope=cluster");
    let nodes = said["cluster"]["nodes"].as_array().into_iter().flatten();
    nodes.filter_map(|node| node["cores"].as_f64()).collect()
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
    wait_until("each says how busy both are", || [&near, &far].into_iter().all(|server| busy_cores(server).len() == 2));
    assert!([&near, &far].into_iter().flat_map(busy_cores).all(|cores| cores > 0.0));
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

/// What a client's log says once it has been told of another server.
const TOLD: &str = "the server tells of others: 1 to go to";

/// A camera that is given one server; returns once that has told it of another.
fn camera_that_knows(mut command: Command) -> Running {
    let arguments = ["pattern:320x240", "--fps", "50", "--name", "front", "--json"];
    let mut camera = Running::start(command.args(arguments).env("RUST_LOG", "framewire_signal=debug"));
    camera.wait_for(TOLD);
    camera
}

/// Has it end; which servers had its stream in turn, and what it said.
fn turns(camera: Running) -> (Vec<String>, String) {
    camera.interrupt();
    let (code, said, json) = camera.wait();
    assert_eq!(code, Some(0), "{said}");
    let summary: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let turns = summary["servers"][0]["turns"].as_array().unwrap_or_else(|| panic!("no turns in {summary}: {said}"));
    assert!(turns.iter().all(|turn| turn["frames_delivered"].as_u64().unwrap() > 0), "{summary}");
    (turns.iter().map(|turn| turn["server"].as_str().unwrap().to_owned()).collect(), said)
}

/// Whether so many frames are there that the camera has heard of some, by whatever way.
fn has_live_stream(server: &Server) -> bool {
    said(server, "/api/streams")["streams"][0]["frames_delivered"].as_u64().is_some_and(|frames| frames > 20)
}

#[test]
fn a_camera_that_was_given_one_server_goes_to_another_of_the_cluster_when_that_is_killed_or_stopped() {
    for is_killed in [true, false] {
        let Some(cluster) = Cluster::new() else { return };
        let (near, far) = (cluster.server("near", &[]), cluster.server("far", &[]));
        let (own, other) = (near.url(), far.url());
        let mut camera = camera_that_knows(near.client(&[]));
        wait_until("the near server has the stream", || has_live_stream(&near));
        if is_killed {
            near.running.kill();
        } else {
            near.stop();
        }
        camera.wait_for(&format!("{other} takes the stream in place of {own}"));
        wait_until("the far server has the stream", || has_live_stream(&far));
        let (turns, said) = turns(camera);
        assert_eq!(turns, [own, other], "{said}");
        assert_eq!(said.contains("says to go to another: it stops"), !is_killed, "{said}");
        far.stop();
    }
}

#[test]
fn a_protected_camera_goes_to_a_server_of_its_cluster_that_has_the_same_token() {
    let Some(cluster) = Cluster::new() else { return };
    let (url, key, token) =
        (cluster.redis.url(), path_text(&cluster.key).to_owned(), in_dir(&cluster.directory, "token"));
    write_private(&token, "ffeeddccbbaa99887766554433221100");
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [near, far] = ["near", "far"].map(|name| {
        let directory = &directories[usize::from(name == "far")];
        let cluster = ["--cluster", &url, "--cluster-key-file", &key, "--node-name", name];
        Protected::start(directory, &[&cluster[..], &["--token-file", path_text(&token)]].concat())
    });
    let join = near.state(protected::JOIN);
    let mut camera = camera_that_knows(protected::client(&["--join", path_text(&join)]));
    near.wait_until_live();
    let (own, _) = near.kill();
    camera.wait_for("takes the stream in place of");
    far.wait_until_live();
    let (turns, said) = turns(camera);
    assert_eq!(turns, [format!("https://{own}"), format!("https://{}", far.signal)], "{said}");
}

#[test]
fn who_watches_at_one_server_watches_on_at_another_of_the_cluster() {
    let Some(cluster) = Cluster::new() else { return };
    let (near, far) = (cluster.server("near", &[]), cluster.server("far", &[]));
    let _camera = camera(&far, "front");
    let mut watch = program("framewire");
    let watch = watch.args(["watch", "front", "--server", &near.url(), "--sink", "-:raw"]);
    let mut watch = Running::start(watch.env("RUST_LOG", "framewire_signal=debug"));
    let mut frames = watch.take_stdout();
    let mut picture = vec![0; 320 * 240];
    frames.read_exact(&mut picture).unwrap();
    watch.wait_for(TOLD);
    near.running.kill();
    let reading = std::thread::spawn(move || {
        let mut read = 0_u64;
        while frames.read_exact(&mut picture).is_ok() {
            read += 1;
        }
        read
    });
    watch.wait_for(&format!("{} answers", far.url()));
    watch.wait_for("of stream \"front\" is back");
    wait_until("the far server shows who watches", || !watchers(&far).is_empty());
    watch.interrupt();
    let (code, said, _) = watch.wait();
    assert_eq!(code, Some(0), "{said}");
    assert!(reading.join().unwrap() > 0);
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
