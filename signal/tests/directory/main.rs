//! The rules of the directory in virtual time: with a simulated engine and everything that can go wrong between it and its servers; its bounds; its bytes.

mod bounds;
mod documented;
mod simulation;

use std::time::Duration;

use framewire_signal::directory::{
    Cluster, ClusterConfig, ClusterKey, Directory, Heard, NodeId, OwnNode, OwnState, StreamEntry,
};

fn key() -> ClusterKey {
    ClusterKey::new("000102030405060708090a0b0c0d0e0f").unwrap()
}

fn own(n: u32, incarnation: u64) -> OwnNode {
    let mut id = [0; 16];
    id[12..].copy_from_slice(&n.to_be_bytes());
    OwnNode::new(NodeId::new(id), incarnation, format!("node-{n}"), format!("http://10.0.0.1:{}", n % 60_000 + 1))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn stream(id: u64, name: &str) -> StreamEntry {
    StreamEntry::new(id, name, "gray8", 640, 480)
}

#[test]
fn a_server_by_itself_sees_its_own_streams_and_signs_what_it_would_say() {
    let cluster = Cluster::start(ClusterConfig::new(own(1, 1)).key(key())).unwrap();
    cluster.set_own(OwnState::new(vec![stream(1, "cam")]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut views = cluster.views();
    let seen = views.wait_for(|view| view.find("cam").is_some());
    let seen = runtime
        .block_on(async { tokio::time::timeout(seconds(60.0), seen).await.map(|view| view.unwrap().nodes.len()) });
    assert_eq!(seen, Ok(1));
    assert!(cluster.engines().is_empty() && cluster.found().is_empty());
    let mut other = Directory::new(own(2, 1), key()).unwrap();
    assert_eq!(other.handle_entry(&cluster.own_entry(), Duration::ZERO), Ok(Heard::New));
}

/// What a node of these streams says first.
fn said(n: u32, incarnation: u64, streams: Vec<StreamEntry>) -> Vec<u8> {
    let mut directory = Directory::new(own(n, incarnation), key()).unwrap();
    directory.set_own(OwnState::new(streams));
    directory.poll_own(Duration::ZERO).unwrap()
}
