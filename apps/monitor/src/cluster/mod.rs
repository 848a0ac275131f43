//! The other servers of the cluster, as the pages show them: what the directory says of them, and pictures that are fetched from them.
//!
//! A server's own streams are shown by its board, whatever the directory says of them and however its engine does.

mod told;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use framewire_figures::cluster::{ClusterSnapshot, EngineSnapshot, PlaceSnapshot, RemoteStreamSnapshot};
use framewire_process::lock::lock;
use framewire_signal::directory::{Cluster, ClusterCounters, ClusterKey, NodeId, NodeState, View};
use serde::Serialize;

use crate::peers::{PeerAddress, PeerCounts, PeerPicture, Peers, Wish};

/// What is told of other nodes is made anew where something is known that was not, and no sooner after the last time.
const MADE_APART: Duration = Duration::from_millis(100);
/// Streams of other nodes that are told of; more are counted. A page that has so many tiles has more than anybody looks at.
const REMOTE_STREAMS_MAX: usize = 4_096;

/// Where the pages learn of the cluster. Handlers ask it on the signal server's one thread: it blocks for nothing.
pub trait ClusterSource: Send + Sync {
    /// What is known of the cluster, at most a second old; the server itself first.
    fn view(&self) -> Arc<View>;
    /// What this server says of itself to other nodes, signed; empty before it is known.
    fn own_entry(&self) -> Arc<[u8]>;
    /// How the engines do that carry the directory.
    fn engines(&self) -> Vec<EngineSnapshot>;
    /// What the directory has counted.
    fn counters(&self) -> ClusterCounters;
}

impl ClusterSource for Cluster {
    fn view(&self) -> Arc<View> {
        self.view()
    }

    fn own_entry(&self) -> Arc<[u8]> {
        self.own_entry()
    }

    fn engines(&self) -> Vec<EngineSnapshot> {
        let told = |engine: framewire_signal::directory::EngineState| EngineSnapshot {
            engine: engine.engine.to_owned(),
            up: engine.is_up,
            problem: engine.problem,
        };
        self.engines().into_iter().map(told).collect()
    }

    fn counters(&self) -> ClusterCounters {
        self.counters()
    }
}

/// The cluster of a server that shows it.
pub(crate) struct Neighbours {
    pub(crate) source: Arc<dyn ClusterSource>,
    peers: Peers,
    newest: Mutex<Option<Newest>>,
}

/// What was made last: when, of which view.
struct Newest {
    made: Instant,
    view: Arc<View>,
    elsewhere: Arc<Elsewhere>,
}

/// What a page is told of the cluster, beside the server's own streams.
#[derive(Debug, Serialize)]
pub(crate) struct Elsewhere {
    pub(crate) cluster: ClusterSnapshot,
    /// Those of other nodes.
    pub(crate) streams: Vec<RemoteStreamSnapshot>,
    /// Where the server's own are.
    #[serde(skip)]
    pub(crate) own: PlaceSnapshot,
    /// All of this as JSON.
    #[serde(skip)]
    pub(crate) json: Bytes,
}

impl Neighbours {
    /// Of a server that proves itself to the others by the cluster's key, where there is one.
    pub(crate) fn new(source: Arc<dyn ClusterSource>, key: Option<ClusterKey>) -> Self {
        Self { source, peers: Peers::new(key), newest: Mutex::default() }
    }

    /// What is known of the others at `now`: made once for all who look.
    pub(crate) fn elsewhere(&self, now: Instant) -> Arc<Elsewhere> {
        let mut newest = lock(&self.newest);
        let view = self.source.view();
        let is_of_now = |newest: &&Newest| {
            Arc::ptr_eq(&newest.view, &view) || now.saturating_duration_since(newest.made) < MADE_APART
        };
        if let Some(newest) = newest.as_ref().filter(is_of_now) {
            return newest.elsewhere.clone();
        }
        let trouble = |node| self.peers.trouble(node);
        let mut elsewhere = told::told(&view, self.source.engines(), trouble, REMOTE_STREAMS_MAX);
        let json = serde_json::to_vec(&elsewhere).expect("a snapshot is always JSON");
        elsewhere.json = json.into();
        let elsewhere = Arc::new(elsewhere);
        *newest = Some(Newest { made: now, view, elsewhere: elsewhere.clone() });
        elsewhere
    }

    /// Whether it is this server itself.
    pub(crate) fn is_own(&self, node: NodeId) -> bool {
        self.source.view().node(node).is_some_and(|seen| seen.state == NodeState::Own)
    }

    /// A picture of another node's stream; `None` where that node is not known, or does not answer, or has none.
    pub(crate) async fn picture(&self, node: NodeId, wish: Wish) -> Option<PeerPicture> {
        let address = {
            let view = self.source.view();
            let seen = view.node(node).filter(|seen| matches!(seen.state, NodeState::Live | NodeState::Stale))?;
            PeerAddress { url: seen.entry.url.clone(), pin: seen.entry.pin }
        };
        self.peers.next(node, address, wish).await
    }

    /// What came of fetching pictures.
    pub(crate) fn pictures(&self) -> PeerCounts {
        self.peers.counts()
    }
}

impl fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neighbours").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
