//! This server as a node: what it says of itself to others, and which of them has a stream that is asked for here.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use framewire_figures::cluster::EngineSnapshot;
use framewire_figures::summary::cpu_seconds;
use framewire_monitor::{Board, ClusterSource, LiveStream};
use framewire_process::exit::{Failure, say};
use framewire_process::state::StateDirectory;
use framewire_signal::directory::{
    Cluster, ClusterConfig, ClusterCounters, ClusterKey, EnginePassword, Guard as NodeGuard, KeptNode, LinkEntry,
    NodeEntry, NodeId, NodeState, OwnNode, OwnState, RedisConfig, SeenNode, StreamEntry, StreamState, View,
};
use framewire_signal::message::{ELSEWHERE_MAX, Elsewhere, Hops, OtherServer, Role};
use framewire_signal::{ClientConfig, Pin, Token};

use super::busy::{Busy, Use};
use super::guard::Guard;
use super::setup::Places;
use super::watching::{Alone, Peer, Peers};
use crate::cli::ServerArgs;

/// Names the password of an engine's user.
const PASSWORD_VARIABLE: &str = "FRAMEWIRE_CLUSTER_PASSWORD";

/// This server among others, once it listens.
pub(crate) struct Node {
    id: NodeId,
    incarnation: u64,
    name: String,
    key: Option<ClusterKey>,
    redis: Option<RedisConfig>,
    mdns: bool,
    cluster: OnceLock<Cluster>,
    /// What clients have been told of where else they may go.
    told: Mutex<Elsewhere>,
    busy: Mutex<Busy>,
}

impl Node {
    /// As the command line has it; `None` for a server that is alone.
    ///
    /// # Errors
    /// A key or password that cannot be read, an engine without a key.
    pub(crate) fn of(args: &ServerArgs, places: &Places) -> Result<Option<Self>, Failure> {
        let flags = &args.cluster;
        let key = flags.cluster_key_file.as_ref().map(ClusterKey::from_file).transpose().map_err(Failure::usage)?;
        let is_reachable = places.all().any(|address| !address.ip().is_loopback());
        let mdns = cfg!(feature = "mdns") && flags.discover.map_or(is_reachable, |discover| discover.is_on());
        if flags.cluster.is_none() && key.is_none() && !mdns {
            return Ok(None);
        }
        let redis = flags.cluster.as_ref().map(|url| redis(args, url)).transpose()?;
        let (id, incarnation) = identity(args)?;
        // Behind an @ a node is named.
        let own = || rustix::system::uname().nodename().to_string_lossy().replace('@', "-");
        let name = flags.node_name.clone().unwrap_or_else(own);
        let (cluster, told, busy) = (OnceLock::new(), Mutex::default(), Mutex::default());
        Ok(Some(Self { id, incarnation, name, key, redis, mdns, cluster, told, busy }))
    }

    /// By what other nodes are known here.
    pub(crate) fn token(&self) -> Option<Token> {
        self.key.as_ref().map(ClusterKey::node_token)
    }

    /// Begins to take part: it listens at this address.
    ///
    /// # Errors
    /// What is asked for cannot be.
    pub(crate) fn join(&self, places: &Places, guard: &Guard, signal: SocketAddr) -> Result<(), Failure> {
        let scheme = if guard.is_protected() { "https" } else { "http" };
        let host = places.reach_host.clone().unwrap_or_else(|| signal.ip().to_string());
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let url = format!("{scheme}://{host}:{}", places.reach_port.unwrap_or(signal.port()));
        let says = guard.guarding().name().parse::<NodeGuard>().unwrap_or_default();
        let own = OwnNode::new(self.id, self.incarnation, &self.name, url).pin(guard.pin()).guard(says);
        let config = ClusterConfig::new(own)
            .key(self.key.clone())
            .redis(self.redis.clone())
            .mdns(self.mdns)
            .version(env!("CARGO_PKG_VERSION"));
        if self.key.is_none() {
            say(format_args!(
                "framewire-server: other servers of this network are not shown: those of a cluster know each other by a key (--cluster-key-file)"
            ));
        } else if self.redis.is_none() && !self.mdns {
            tracing::warn!(
                "nothing tells this server of the others that have its cluster's key: name an engine by --cluster, or have them find each other by \
                 mDNS with --discover"
            );
        }
        let cluster = Cluster::start(config).map_err(Failure::usage)?;
        // There is one in a program's life.
        let _ = self.cluster.set(cluster);
        Ok(())
    }

    /// What all servers of the cluster have.
    pub(crate) fn key(&self) -> Option<ClusterKey> {
        self.key.clone()
    }

    /// Tells the others what there is here, and by which key this server is known now.
    pub(crate) fn tell(&self, board: &Board, pin: Option<Pin>) {
        let Some(cluster) = self.cluster.get() else { return };
        let now = Instant::now();
        let streams: Vec<StreamEntry> = board.streams().iter().map(|live| entry(live, now)).collect();
        let bytes = streams.iter().filter_map(|stream| stream.bytes_per_second).sum();
        let links = board.links().into_iter().map(|link| {
            LinkEntry::new(link.name, link.bits_per_second_max)
                .received_bits_per_second(link.received_bits_per_second)
                .sent_bits_per_second(link.sent_bits_per_second)
        });
        let relayed = board.relayed();
        let used = Use { cpu_seconds: cpu_seconds(), bytes_sent: relayed.bytes_sent };
        let rates = self.busy.lock().unwrap_or_else(PoisonError::into_inner).look(now, used);
        let load = rates.bytes_per_second(bytes).watchers(u32::try_from(relayed.watchers).unwrap_or(u32::MAX));
        cluster.set_own(OwnState::new(streams).load(load).links(links.collect::<Vec<_>>()).pin(pin));
    }

    /// Where this server's clients may go when it is away, where that is no longer what this has returned last.
    pub(crate) fn elsewhere_anew(&self) -> Option<Elsewhere> {
        self.key.as_ref()?;
        let cluster = self.cluster.get()?;
        let engines = cluster.engines();
        if !engines.is_empty() && engines.iter().all(|engine| !engine.is_up) {
            // Nothing is known of the others then, and they need not be away for that.
            return None;
        }
        let elsewhere = others_to_go_to(self.id, &cluster.view());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        (*told != elsewhere).then(|| {
            told.clone_from(&elsewhere);
            elsewhere
        })
    }

    /// Whether clients have been told of any.
    pub(crate) fn has_told_of_others(&self) -> bool {
        !self.told.lock().unwrap_or_else(PoisonError::into_inner).servers.is_empty()
    }
}

/// The other servers that live, by their ids, which stay, from the own one on: where there are more than are told of, not all tell of the same.
fn others_to_go_to(own: NodeId, view: &View) -> Elsewhere {
    // Clients that come from other machines would find one of their own there.
    let is_told_anywhere = view.node(own).is_some_and(|seen| is_on_loopback(&seen.entry.url));
    let is_other = |seen: &&SeenNode| {
        let is_reached = is_told_anywhere || !is_on_loopback(&seen.entry.url);
        seen.state == NodeState::Live && seen.entry.node != own && is_reached
    };
    let mut others: Vec<_> = view.nodes.iter().filter(is_other).map(|seen| &seen.entry).collect();
    others.sort_by_key(|entry| (entry.node < own, entry.node));
    let servers = others.into_iter().filter_map(|entry| match (entry.guard, entry.pin) {
        // Without the key nobody could know it again.
        (NodeGuard::Protected, None) => None,
        (NodeGuard::Protected, pin) => Some(OtherServer::new(&entry.url, pin)),
        _ => Some(OtherServer::new(&entry.url, None)),
    });
    Elsewhere::new(servers.take(ELSEWHERE_MAX))
}

/// The pages are made before it takes part, and see nobody until then.
impl ClusterSource for Node {
    fn view(&self) -> Arc<View> {
        self.cluster.get().map(|cluster| cluster.view()).unwrap_or_default()
    }

    fn own_entry(&self) -> Arc<[u8]> {
        self.cluster.get().map_or_else(|| Arc::from([]), |cluster| cluster.own_entry())
    }

    fn engines(&self) -> Vec<EngineSnapshot> {
        self.cluster.get().map(ClusterSource::engines).unwrap_or_default()
    }

    fn counters(&self) -> ClusterCounters {
        self.cluster.get().map(|cluster| cluster.counters()).unwrap_or_default()
    }
}

impl Peers for Node {
    fn own(&self) -> Option<(NodeId, String)> {
        Some((self.id, self.name.clone()))
    }

    fn find(&self, name: &str, onward: &Hops) -> Option<Peer> {
        let key = self.key.as_ref()?;
        let view = self.cluster.get()?.view();
        let may_come_from = |node: &NodeEntry| node.node != self.id && !onward.contains(node.node);
        let is_at = |node: &NodeEntry, at: &str| node.name == at || at.parse::<NodeId>() == Ok(node.node);
        let candidates = view.streams().filter(|seen| {
            // No stream and no node has an @ in its name here; what others say may.
            let is_named = match name.rsplit_once('@') {
                None => seen.stream.name == name,
                Some((stream, node)) => seen.stream.name == stream && is_at(&seen.node.entry, node),
            };
            is_named
                && matches!(seen.node.state, NodeState::Live | NodeState::Stale)
                && may_come_from(&seen.node.entry)
                && !seen.stream.hops.contains(self.id)
        });
        let best = candidates.min_by_key(|seen| {
            (!seen.has_plain_name, seen.node.state, seen.stream.hops.len(), std::cmp::Reverse(seen.stream.incarnation))
        })?;
        let node = &best.node.entry;
        let client = ClientConfig::new(&node.url)
            .token(key.node_token())
            .role(Role::Node)
            .pin(node.pin)
            // The cluster's key has signed that nothing protects it.
            .insecure(node.guard != NodeGuard::Protected);
        Some(Peer {
            node: node.node,
            incarnation: node.incarnation,
            name: node.name.clone(),
            stream: best.stream.name.clone(),
            client,
        })
    }

    fn names(&self) -> Vec<String> {
        let Some(cluster) = self.cluster.get() else { return Vec::new() };
        let view = cluster.view();
        let others = view.streams().filter(|seen| seen.node.state != NodeState::Own);
        others.map(|seen| seen.stream.name.clone()).collect()
    }

    fn name_of(&self, node: NodeId) -> Option<String> {
        let view = self.cluster.get()?.view();
        view.node(node).map(|seen| seen.entry.name.clone())
    }
}

/// Whether a node says to be where only those of its own machine reach it, as one does that knows no address of its own.
fn is_on_loopback(url: &str) -> bool {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host).trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified() || ip.to_canonical().is_loopback())
}

/// Who else there is for this server.
pub(super) fn peers(node: Option<&Arc<Node>>) -> Arc<dyn Peers> {
    match node {
        Some(node) => node.clone(),
        None => Arc::new(Alone),
    }
}

fn redis(args: &ServerArgs, url: &str) -> Result<RedisConfig, Failure> {
    let flags = &args.cluster;
    let from_file = flags.cluster_password_file.as_ref().map(EnginePassword::from_file);
    let from_variable = || std::env::var_os(PASSWORD_VARIABLE).filter(|value| !value.is_empty());
    let password = from_file
        .or_else(|| from_variable().map(|value| EnginePassword::new(value.as_encoded_bytes())))
        .transpose()
        .map_err(Failure::usage)?;
    Ok(RedisConfig::new(url).prefix(&flags.cluster_prefix).password(password).ca(flags.cluster_ca.clone()))
}

/// Which server this is, in whatever run: kept beside what else a server keeps. One that keeps nothing is another each time.
fn identity(args: &ServerArgs) -> Result<(NodeId, u64), Failure> {
    let now = SystemTime::now();
    let kept = StateDirectory::open(args.state_directory.as_deref()).map_err(|failure| failure.to_string()).and_then(
        |state| {
            KeptNode::of_state_directory(state.path(), &args.listen.to_string(), now).map_err(|error| error.to_string())
        },
    );
    match kept {
        Ok(kept) => Ok((kept.node, kept.incarnation)),
        Err(why) => {
            // Who is asked for nothing of others need not hear of it.
            if args.cluster.cluster_key_file.is_some() {
                tracing::warn!("this server is another node at each start: {why}");
            } else {
                tracing::debug!("this server is another node at each start: {why}");
            }
            let nanoseconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
            let id = NodeId::random().map_err(Failure::runtime)?;
            Ok((id, u64::try_from(nanoseconds).unwrap_or(u64::MAX)))
        }
    }
}

/// A stream as others are told of it: by the number that it is shown by.
fn entry(live: &LiveStream, now: Instant) -> StreamEntry {
    let about = &live.about;
    let (frames, bytes) = live.figures().rates(now);
    let state = if live.is_silent(now) { StreamState::Silent } else { StreamState::Streaming };
    StreamEntry::new(
        about.id.into(),
        live.label(),
        about.format.pixel().name(),
        about.format.width(),
        about.format.height(),
    )
    .delivery(about.delivery)
    .frames_per_second(Some(frames).filter(|rate| rate.is_finite() && *rate >= 0.0))
    .bytes_per_second(bytes as u64)
    .state(state)
    .incarnation(about.incarnation.unwrap_or(0))
    .idle(live.is_idle())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_only_its_own_machine_reaches_is_known_by_its_address() {
        for url in ["http://127.0.0.1:8081", "https://127.0.0.9:1", "http://[::1]:8080", "http://LOCALHOST:8080"] {
            assert!(is_on_loopback(url), "{url}");
        }
        for url in ["http://10.0.0.1:8081", "https://[fd00::1]:1", "http://hall-1:8080", "http://127.0.0.1.example:80"]
        {
            assert!(!is_on_loopback(url), "{url}");
        }
    }
}
