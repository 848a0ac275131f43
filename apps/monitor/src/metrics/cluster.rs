//! What is beyond a server's own streams: the other nodes of its cluster, who watches, what its links carry.

use framewire_figures::snapshot::LinkSnapshot;
use framewire_signal::directory::NodeState;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::{Encoded, Series, count, counter};
use crate::board::Relayed;
use crate::cluster::Neighbours;

/// The directory of the cluster, and pictures that are fetched from its nodes.
pub(super) fn neighbours(out: &mut DescriptorEncoder, neighbours: &Neighbours) -> Encoded {
    let view = neighbours.source.view();
    let of = |state: NodeState| view.nodes.iter().filter(move |seen| seen.state == state);
    let help = "Other servers of the cluster that are known, by how fresh that is";
    let mut nodes = out.encode_descriptor("framewire_cluster_nodes", help, None, MetricType::Gauge)?;
    for state in [NodeState::Live, NodeState::Stale, NodeState::Unreachable] {
        nodes.encode_family(&[("state", state.name())])?.encode_gauge(&(of(state).count() as u64))?;
    }
    gauge(out, "framewire_cluster_nodes_unlisted", "Servers for which the directory has no room", view.nodes_more)?;
    let help = "Servers, the own among them, whose id another has too, for a state directory was copied";
    gauge(out, "framewire_cluster_twins", help, view.nodes.iter().filter(|seen| seen.has_twin).count() as u64)?;
    let help = "Streams of other servers of the cluster that are known";
    let others = view.nodes.iter().filter(|seen| seen.state != NodeState::Own);
    let streams = others.map(|seen| seen.entry.streams.len() as u64 + seen.entry.streams_more).sum::<u64>();
    gauge(out, "framewire_cluster_streams", help, streams)?;

    let counters = neighbours.source.counters();
    let entries = counters.directory;
    let help = "Entries of other servers, by what became of them";
    let mut metric = out.encode_descriptor("framewire_cluster_entries", help, None, MetricType::Counter)?;
    for (outcome, counted) in [
        ("taken", entries.entries_taken),
        ("known", entries.entries_known),
        ("without_room", entries.entries_without_room),
        ("unreadable", entries.unreadable),
        ("forged", entries.forged),
        ("too_large", entries.too_large),
        ("out_of_bounds", entries.out_of_bounds),
        ("twin", entries.twins),
    ] {
        count(&mut metric.encode_family(&[("outcome", outcome)])?, counted)?;
    }
    let help = "Bytes of entries, by way";
    let mut bytes = out.encode_descriptor("framewire_cluster_entry_bytes", help, None, MetricType::Counter)?;
    for (way, counted) in [("received", counters.received_bytes), ("sent", counters.sent_bytes)] {
        count(&mut bytes.encode_family(&[("way", way)])?, counted)?;
    }
    let help = "1 while an engine carries the directory";
    let mut up = out.encode_descriptor("framewire_cluster_engine_up", help, None, MetricType::Gauge)?;
    for engine in neighbours.source.engines() {
        up.encode_family(&[("engine", engine.engine)])?.encode_gauge(&u64::from(engine.up))?;
    }
    let help = "Times that an engine, or a server that was asked for its entry, failed";
    counter(out, "framewire_cluster_engine_errors", help, counters.engine_errors)?;
    counter(
        out,
        "framewire_cluster_engine_connects",
        "Times that an engine was connected to",
        counters.engine_connects,
    )?;

    let pictures = neighbours.pictures();
    let help = "Servers of the cluster that pictures are fetched from now, as somebody looks";
    gauge(out, "framewire_peers", help, pictures.connected)?;
    let help = "Connections for other servers' pictures that came to nothing, or broke";
    counter(out, "framewire_peer_failures", help, pictures.failed)?;
    counter(out, "framewire_peer_pictures", "Pictures fetched from other servers", pictures.pictures)?;
    counter(out, "framewire_peer_picture_bytes", "Bytes of these pictures", pictures.bytes)
}

/// Who is sent the streams.
pub(super) fn watchers(out: &mut DescriptorEncoder, relayed: Relayed, series: &[Series]) -> Encoded {
    let help = "Programs and servers that are sent a stream";
    let mut there = out.encode_descriptor("framewire_watchers", help, None, MetricType::Gauge)?;
    for one in series {
        there.encode_family(&one.labels())?.encode_gauge(&(one.stream.watchers().len() as u64))?;
    }
    let help = "1 while nobody wants a stream, and its client was told so";
    let mut idle = out.encode_descriptor("framewire_stream_idle", help, None, MetricType::Gauge)?;
    for one in series {
        idle.encode_family(&one.labels())?.encode_gauge(&u64::from(one.stream.is_idle()))?;
    }
    let help = "What a stream was granted of a link, bits a second, headers included";
    let mut grant = out.encode_descriptor("framewire_stream_grant_bits_per_second", help, None, MetricType::Gauge)?;
    for one in series {
        if let Some(granted) = one.stream.grant() {
            let labels = [("stream", one.label.as_str()), ("link", &granted.link)];
            grant.encode_family(&labels)?.encode_gauge(&granted.bits_per_second)?;
        }
    }
    gauge(out, "framewire_watches_waiting", "Watches of names that are not here, which wait", relayed.waiting)?;
    gauge(out, "framewire_upstreams", "Streams that are watched at other servers, to be sent on", relayed.upstreams)?;
    counter(out, "framewire_watches", "Watchers that were let in", relayed.begun)?;
    counter(out, "framewire_watches_refused", "Watches that were refused", relayed.refused)?;
    counter(out, "framewire_relay_frames_sent", "Frames sent on to watchers, each for itself", relayed.frames_sent)?;
    let help = "Frames that gave way to newer ones on their way to a watcher, or that it did not want";
    counter(out, "framewire_relay_frames_skipped", help, relayed.frames_skipped)?;
    counter(out, "framewire_relay_sent_bytes", "Bytes of the frames sent on", relayed.bytes_sent)
}

/// What the links carry that are shared out.
pub(super) fn links(out: &mut DescriptorEncoder, links: &[LinkSnapshot]) -> Encoded {
    let mut family = |name: &str, help: &str, of: fn(&LinkSnapshot) -> u64| -> Encoded {
        let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
        links.iter().try_for_each(|link| metric.encode_family(&[("link", &link.name)])?.encode_gauge(&of(link)))
    };
    family("framewire_link_bits_per_second", "What a link carries each way", |link| link.bits_per_second)?;
    let help = "What of a link may be granted to streams each way, headers included";
    family("framewire_link_bits_per_second_max", help, |link| link.bits_per_second_max)?;
    family("framewire_link_grants", "Streams and watchers that have some of a link", |link| link.grants)?;
    let help = "What of a link is granted, by way, headers included";
    let mut granted = out.encode_descriptor("framewire_link_granted_bits_per_second", help, None, MetricType::Gauge)?;
    for link in links {
        for (way, bits) in [("received", link.received_bits_per_second), ("sent", link.sent_bits_per_second)] {
            granted.encode_family(&[("link", link.name.as_str()), ("way", way)])?.encode_gauge(&bits)?;
        }
    }
    let help = "Openings and watches that did not fit a link";
    let mut refused = out.encode_descriptor("framewire_link_refusals", help, None, MetricType::Counter)?;
    links.iter().try_for_each(|link| count(&mut refused.encode_family(&[("link", &link.name)])?, link.refused))
}

fn gauge(out: &mut DescriptorEncoder, name: &str, help: &str, value: u64) -> Encoded {
    out.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
}
