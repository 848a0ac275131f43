//! Directories of servers that a real Redis carries: killed, frozen, emptied, restarted, missing, a stranger's.
#![cfg(feature = "cluster")]

mod narrow;
mod strangers;

use std::sync::Arc;

use framewire_signal::directory::{
    Cluster, ClusterConfig, ClusterKey, Guard, NodeId, NodeState, OwnNode, OwnState, RedisConfig, StreamEntry, View,
};
use framewire_testing::{PATIENCE, Redis, Signal};

fn key() -> ClusterKey {
    ClusterKey::new("000102030405060708090a0b0c0d0e0f").unwrap()
}

fn own(n: u8) -> OwnNode {
    let node = NodeId::new([n; 16]);
    OwnNode::new(node, 1, format!("hall-{n}"), format!("http://10.0.0.{n}:8080")).guard(Guard::Insecure)
}

fn streams(names: &[&str]) -> OwnState {
    let stream = |(id, name): (usize, &&str)| StreamEntry::new(id as u64, *name, "gray8", 640, 480);
    OwnState::new(names.iter().enumerate().map(stream).collect())
}

fn node(redis: &Redis, n: u8) -> Cluster {
    start(n, RedisConfig::new(redis.url()))
}

fn start(n: u8, redis: RedisConfig) -> Cluster {
    let cluster = Cluster::start(ClusterConfig::new(own(n)).key(key()).redis(redis)).unwrap();
    cluster.set_own(streams(&[&format!("cam-{n}")]));
    cluster
}

/// Waits for a view of which this holds.
fn wait_for_view(cluster: &Cluster, what: &str, holds: impl FnMut(&Arc<View>) -> bool) -> Arc<View> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut views = cluster.views();
    let seen = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, views.wait_for(holds)).await.map(|seen| seen.unwrap().clone())
    });
    seen.unwrap_or_else(|_| {
        panic!("{what} did not come: {:#?}, {:?}, {:?}", cluster.view(), cluster.engines(), cluster.counters())
    })
}

/// One for who looks into it.
fn connection(redis: &Redis) -> redis::Connection {
    redis::Client::open(redis.url()).unwrap().get_connection().unwrap()
}

/// Waits for what an engine says of itself, which comes with some view.
fn wait_for_engine(cluster: &Cluster, what: &str, mut holds: impl FnMut(bool, &str) -> bool) {
    wait_for_view(cluster, what, |_| {
        cluster.engines().iter().any(|engine| holds(engine.is_up, engine.problem.as_deref().unwrap_or_default()))
    });
}

fn state_of(view: &View, n: u8) -> Option<NodeState> {
    view.node(NodeId::new([n; 16])).map(|node| node.state)
}

fn sees_live(view: &View, stream: &str, n: u8) -> bool {
    view.find(stream)
        .is_some_and(|seen| seen.node.state == NodeState::Live && seen.node.entry.name == format!("hall-{n}"))
}

/// Waits for a moment in the middle between two writings of a node's entry, as what is left of the 6 s of its key says.
fn wait_for_middle(redis: &Redis, n: u8) {
    let mut connection = connection(redis);
    let pattern = format!("*{}", NodeId::new([n; 16]));
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query(&mut connection).unwrap();
    let [key] = &keys[..] else { panic!("{keys:?}") };
    framewire_testing::wait_for("the middle between two writings", || {
        let left: i64 = redis::cmd("PTTL").arg(key).query(&mut connection).unwrap();
        if (4_800..5_200).contains(&left) { Ok(()) } else { Err(format!("{left} ms are left")) }
    });
}

#[test]
fn each_server_sees_the_streams_of_the_others_as_they_come_and_go() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (a, b, c) = (node(&redis, 1), node(&redis, 2), node(&redis, 3));
    for cluster in [&a, &b, &c] {
        wait_for_view(cluster, "three nodes", |view| {
            view.nodes.len() == 3 && view.nodes.iter().all(|node| node.entry.streams.len() == 1)
        });
    }
    b.set_own(streams(&["cam-2", "new"]));
    wait_for_view(&a, "a new stream", |view| sees_live(view, "new", 2));
    b.set_own(streams(&["new"]));
    let view = wait_for_view(&c, "a stream that went", |view| view.find("cam-2").is_none());
    assert_eq!(view.nodes[0].entry.node, NodeId::new([3; 16]), "the own is first");
    let counters = a.counters();
    assert!(
        counters.directory.entries_taken > 0 && counters.received_bytes > 0 && counters.sent_bytes > 0,
        "{counters:?}"
    );
    assert_eq!((counters.directory.forged, counters.directory.unreadable, counters.engine_errors), (0, 0, 0));
    assert!(!a.own_entry().is_empty());
}

#[test]
fn a_server_that_is_gone_is_stale_and_what_is_here_is_not() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (a, b) = (node(&redis, 1), node(&redis, 2));
    wait_for_view(&a, "the other", |view| sees_live(view, "cam-2", 2));
    drop(b);
    let view = wait_for_view(&a, "a stale node", |view| state_of(view, 2) == Some(NodeState::Stale));
    assert_eq!(state_of(&view, 1), Some(NodeState::Own));
    assert!(view.find("cam-1").is_some() && view.find("cam-2").is_some());
}

#[test]
fn a_redis_that_is_killed_and_comes_back_empty_hides_no_own_stream_and_has_all_again() {
    let Some(mut redis) = Redis::start(&[]) else { return };
    let (a, b) = (node(&redis, 1), node(&redis, 2));
    wait_for_view(&a, "the other", |view| sees_live(view, "cam-2", 2));
    redis.kill();
    wait_for_engine(&a, "word of it", |is_up, problem| !is_up && !problem.is_empty());
    let view = wait_for_view(&a, "a stale node", |view| state_of(view, 2) == Some(NodeState::Stale));
    assert_eq!(view.find("cam-1").unwrap().node.state, NodeState::Own);
    b.set_own(streams(&["cam-2", "meanwhile"]));
    redis.restart();
    wait_for_view(&a, "what came meanwhile", |view| sees_live(view, "meanwhile", 2));
    wait_for_view(&b, "the other way", |view| sees_live(view, "cam-1", 1));
    wait_for_engine(&a, "a Redis that is up", |is_up, _| is_up);
}

#[test]
fn a_frozen_redis_is_told_of_and_goes_on_where_it_was() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (a, b) = (node(&redis, 1), node(&redis, 2));
    wait_for_view(&a, "the other", |view| sees_live(view, "cam-2", 2));
    redis.signal(Signal::STOP);
    wait_for_engine(&a, "word of it", |_, problem| problem.contains("does not answer within"));
    // Nothing waits for it.
    a.set_own(streams(&["cam-1", "here"]));
    wait_for_view(&a, "an own stream", |view| view.find("here").is_some());
    redis.signal(Signal::CONT);
    wait_for_view(&b, "what came meanwhile", |view| sees_live(view, "here", 1));
}

#[test]
fn an_emptied_redis_is_full_again() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (a, b) = (node(&redis, 1), node(&redis, 2));
    wait_for_view(&a, "the other", |view| sees_live(view, "cam-2", 2));
    redis::cmd("FLUSHALL").exec(&mut connection(&redis)).unwrap();
    b.set_own(streams(&["after"]));
    wait_for_view(&a, "what came after", |view| sees_live(view, "after", 2));
    wait_for_view(&b, "the other way", |view| sees_live(view, "cam-1", 1));
    let left: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection(&redis)).unwrap();
    for key in left {
        let millis: i64 = redis::cmd("PTTL").arg(&key).query(&mut connection(&redis)).unwrap();
        assert!(millis > 0, "{key} expires");
    }
}

#[test]
fn two_servers_with_one_id_are_told_of_by_themselves_and_by_others() {
    let Some(redis) = Redis::start(&[]) else { return };
    let twin = |incarnation| {
        let mut own = own(2);
        own.incarnation = incarnation;
        Cluster::start(ClusterConfig::new(own).key(key()).redis(RedisConfig::new(redis.url()))).unwrap()
    };
    let a = node(&redis, 1);
    let older = twin(5);
    older.set_own(streams(&["older"]));
    wait_for_view(&a, "the older's stream", |view| sees_live(view, "older", 2));
    // Where both wrote their key at one moment of every 2 s, only the one that is later would ever be seen.
    wait_for_middle(&redis, 2);
    let newer = twin(6);
    newer.set_own(streams(&["newer"]));
    for (cluster, who) in [(&older, "the older"), (&newer, "the newer"), (&a, "another")] {
        wait_for_view(cluster, who, |view| {
            view.nodes.iter().any(|node| node.has_twin && node.entry.node == NodeId::new([2; 16]))
        });
    }
    let view = wait_for_view(&a, "the newer's stream", |view| sees_live(view, "newer", 2));
    assert!(view.find("older").is_none() && !view.nodes[0].has_twin);
    assert!(older.view().find("older").is_some());
}

#[test]
fn a_server_starts_without_its_redis() {
    let Some(mut redis) = Redis::missing(&[]) else { return };
    let (a, b) = (node(&redis, 1), node(&redis, 2));
    wait_for_engine(&a, "word of it", |is_up, problem| !is_up && problem.contains("cannot be reached"));
    wait_for_view(&a, "the own stream", |view| view.find("cam-1").is_some());
    redis.restart();
    wait_for_view(&a, "the other", |view| sees_live(view, "cam-2", 2));
    drop(b);
}
