//! What the directory knows, in the words of the pages.

use bytes::Bytes;
use framewire_figures::cluster::{ClusterSnapshot, EngineSnapshot, NodeSnapshot, PlaceSnapshot, RemoteStreamSnapshot};
use framewire_figures::snapshot::LinkSnapshot;
use framewire_pictures::{is_pictured, is_ranged};
use framewire_signal::directory::{Guard, LinkEntry, NodeId, NodeState, SeenNode, SeenStream, StreamState, View};
use framewire_transport::{Delivery, PixelFormat};

use super::Elsewhere;

/// The view as it is told, of other nodes' streams `streams_max` at most; `trouble` says why there are no pictures of a node's.
pub(super) fn told(
    view: &View,
    engines: Vec<EngineSnapshot>,
    trouble: impl Fn(NodeId) -> Option<String>,
    streams_max: usize,
) -> Elsewhere {
    let own = view.nodes.first().filter(|seen| seen.state == NodeState::Own);
    let streams: Vec<_> =
        view.streams().filter(|seen| seen.node.state != NodeState::Own).take(streams_max).map(remote).collect();
    let others = view.nodes.iter().filter(|seen| seen.state != NodeState::Own);
    let all: u64 = others.map(|seen| seen.entry.streams.len() as u64 + seen.entry.streams_more).sum();
    Elsewhere {
        cluster: ClusterSnapshot {
            node: own.map(|own| own.entry.node.to_string()).unwrap_or_default(),
            name: own.map(|own| own.entry.name.clone()).unwrap_or_default(),
            engines,
            nodes: view.nodes.iter().map(|seen| node(seen, trouble(seen.entry.node))).collect(),
            nodes_unlisted: view.nodes_more,
            streams_unlisted: all.saturating_sub(streams.len() as u64),
        },
        own: own.map(place).unwrap_or_default(),
        streams,
        json: Bytes::new(),
    }
}

fn node(seen: &SeenNode, trouble: Option<String>) -> NodeSnapshot {
    let entry = &seen.entry;
    NodeSnapshot {
        node: entry.node.to_string(),
        name: entry.name.clone(),
        url: entry.url.clone(),
        state: state(seen.state).to_owned(),
        age_seconds: seen.age.as_secs_f64(),
        guard: if entry.guard == Guard::Unknown { String::new() } else { entry.guard.to_string() },
        streams: entry.streams.len() as u64 + entry.streams_more,
        gigabytes_per_second: entry.load.bytes_per_second as f64 / 1e9,
        watchers: entry.load.watchers.into(),
        cores: entry.load.cores,
        twin: seen.has_twin,
        links: entry.links.iter().map(link).collect(),
        trouble,
    }
}

fn link(link: &LinkEntry) -> LinkSnapshot {
    LinkSnapshot {
        name: link.name.clone(),
        bits_per_second_max: link.bits_per_second_max,
        received_bits_per_second: link.received_bits_per_second,
        sent_bits_per_second: link.sent_bits_per_second,
        ..LinkSnapshot::default()
    }
}

fn remote(seen: SeenStream<'_>) -> RemoteStreamSnapshot {
    let stream = seen.stream;
    // Of a format that this release does not know, its node knows the pictures, and this server nothing.
    let pixel = stream.pixel.parse::<PixelFormat>().ok();
    RemoteStreamSnapshot {
        id: stream.id,
        name: seen.shown_name(),
        place: place(seen.node),
        hearsay: true,
        pixel: stream.pixel.clone(),
        width: stream.width,
        height: stream.height,
        delivery: stream.delivery.map(Delivery::name).map(str::to_owned),
        frames_per_second: stream.frames_per_second.unwrap_or(0.0),
        gigabytes_per_second: stream.bytes_per_second.unwrap_or(0) as f64 / 1e9,
        pictured: pixel.is_some_and(is_pictured),
        ranged: pixel.is_some_and(is_ranged),
        activity: match stream.state {
            StreamState::Streaming => "streaming",
            StreamState::Silent => "silent",
            _ => "unknown",
        }
        .to_owned(),
        idle: stream.idle,
    }
}

fn place(seen: &SeenNode) -> PlaceSnapshot {
    PlaceSnapshot {
        node: Some(seen.entry.node.to_string()),
        node_name: Some(seen.entry.name.clone()),
        url: Some(seen.entry.url.clone()),
        state: Some(state(seen.state).to_owned()),
    }
}

/// What a server knows of itself is as fresh as can be.
fn state(state: NodeState) -> &'static str {
    match state {
        NodeState::Own => NodeState::Live.name(),
        other => other.name(),
    }
}
