//! What the pages show: the board as JSON and as metrics, and a place for who keeps looking.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use framewire_figures::cluster::ClusterSnapshot;
use framewire_figures::snapshot::{ServerSnapshot, StreamSnapshot};
use framewire_process::lock::lock;
use framewire_signal::directory::{ClusterKey, NodeId};
use framewire_signal::{Connected, Full, Place, Places};
use serde::Serialize;

use crate::board::Board;
use crate::cluster::{ClusterSource, Elsewhere, Neighbours};
use crate::metrics::Metrics;
use crate::peers::{PeerPicture, Wish};
use crate::snapshot::snapshot;

/// Connections that stay, for figures and for pictures: two for each of so many pages. Those of clients that stream must find
/// room beside them.
const STAYING_MAX: usize = 2 * 64;

/// Snapshots are made at most so often, however many look.
const SNAPSHOT_LIFETIME: Duration = Duration::from_millis(100);

/// JSON that is made once for all who look within a moment.
#[derive(Debug, Default)]
struct Shared(Mutex<Option<(Instant, Bytes)>>);

impl Shared {
    fn at(&self, now: Instant, make: impl FnOnce() -> Vec<u8>) -> Bytes {
        let mut newest = lock(&self.0);
        match &*newest {
            Some((made, json)) if now.saturating_duration_since(*made) < SNAPSHOT_LIFETIME => json.clone(),
            _ => {
                let json = Bytes::from(make());
                *newest = Some((now, json.clone()));
                json
            }
        }
    }
}

/// What the pages show.
pub struct Monitor {
    pub(crate) board: Arc<Board>,
    /// Of the server alone, and of its cluster.
    own: Shared,
    all: Shared,
    pub(crate) metrics: Metrics,
    commit: &'static str,
    neighbours: Option<Arc<Neighbours>>,
    preview_fps: f64,
    guarding: Guarding,
    places: Arc<Places>,
}

/// What guards a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarding {
    /// TLS, tokens, encrypted frames.
    Protected,
    /// Nothing but that it listens on loopback.
    Open,
    /// Nothing at all, because somebody said so.
    Insecure,
}

impl Guarding {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::Open => "open",
            Self::Insecure => "insecure",
        }
    }
}

impl Monitor {
    /// Of a server whose streams are on `board`, at most `preview_fps` pictures a second of each; its program was built from `commit`.
    pub fn new(board: Arc<Board>, preview_fps: f64, guarding: Guarding, commit: &'static str) -> Self {
        let metrics = Metrics::new(board.clone(), None, commit);
        Self {
            board,
            own: Shared::default(),
            all: Shared::default(),
            metrics,
            commit,
            neighbours: None,
            preview_fps,
            guarding,
            places: Places::new(STAYING_MAX),
        }
    }

    /// Shows the cluster, too, that the server is a node of. With its key the server proves itself to other nodes when it fetches pictures from
    /// them; without one it is let in where everyone is.
    #[must_use]
    pub fn cluster(mut self, source: Arc<dyn ClusterSource>, key: Option<ClusterKey>) -> Self {
        let neighbours = Arc::new(Neighbours::new(source, key));
        self.metrics = Metrics::new(self.board.clone(), Some(neighbours.clone()), self.commit);
        self.neighbours = Some(neighbours);
        self
    }

    /// A place for a connection that stays, if there is one.
    pub(crate) fn place(&self, connected: &Connected) -> Result<Place, NoPlace> {
        connected.take(&self.places).map_err(NoPlace)
    }

    /// Whether pictures are made at all.
    pub(crate) fn has_pictures(&self) -> bool {
        self.preview_fps > 0.0
    }

    /// Whether it is this server; one that is in no cluster is any.
    pub(crate) fn is_own(&self, node: NodeId) -> bool {
        self.neighbours.as_ref().is_none_or(|neighbours| neighbours.is_own(node))
    }

    /// A picture of another node's stream.
    pub(crate) async fn picture_elsewhere(&self, node: NodeId, wish: Wish) -> Option<PeerPicture> {
        self.neighbours.as_ref()?.picture(node, wish).await
    }

    /// What this server says of itself to other nodes; `None` where it is in no cluster.
    pub(crate) fn own_entry(&self) -> Option<Arc<[u8]>> {
        self.neighbours.as_ref().map(|neighbours| neighbours.source.own_entry())
    }

    /// What is known of other nodes; `None` where it is in no cluster.
    pub(crate) fn elsewhere(&self) -> Option<Arc<Elsewhere>> {
        self.neighbours.as_ref().map(|neighbours| neighbours.elsewhere(Instant::now()))
    }

    /// All streams of the cluster as JSON, each with where it is, at most [`SNAPSHOT_LIFETIME`] older than what is known; the server's own alone where it is in none.
    pub(crate) fn cluster_snapshot(&self, now: Instant) -> Bytes {
        match &self.neighbours {
            Some(neighbours) => self.all.at(now, || self.cluster_json(&neighbours.elsewhere(now), now)),
            None => self.snapshot(now),
        }
    }

    fn cluster_json(&self, elsewhere: &Elsewhere, now: Instant) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Told<'a> {
            Own(Box<StreamSnapshot>),
            Elsewhere(&'a framewire_figures::cluster::RemoteStreamSnapshot),
        }
        #[derive(Serialize)]
        struct All<'a> {
            server: ServerSnapshot,
            cluster: &'a ClusterSnapshot,
            streams: Vec<Told<'a>>,
        }
        let own = snapshot(&self.board, self.preview_fps, self.guarding, now);
        let placed = |stream| Told::Own(Box::new(StreamSnapshot { place: elsewhere.own.clone(), ..stream }));
        let streams = own.streams.into_iter().map(placed).chain(elsewhere.streams.iter().map(Told::Elsewhere));
        let all = All { server: own.server, cluster: &elsewhere.cluster, streams: streams.collect() };
        serde_json::to_vec(&all).expect("a snapshot is always JSON")
    }

    /// All streams of the server as JSON, at most [`SNAPSHOT_LIFETIME`] old.
    pub(crate) fn snapshot(&self, now: Instant) -> Bytes {
        self.own.at(now, || {
            serde_json::to_vec(&snapshot(&self.board, self.preview_fps, self.guarding, now))
                .expect("a snapshot is always JSON")
        })
    }
}

/// The answer to who finds no place.
pub(crate) struct NoPlace(Full);

impl IntoResponse for NoPlace {
    fn into_response(self) -> Response {
        let pages = |places: usize| places / 2;
        let message = match self.0 {
            Full::Address(places) => {
                format!("{} pages are open at your address, the most that one may have; close one\n", pages(places))
            }
            Full::All(places) => {
                format!("{} pages are open, the most this server shows itself on; close one\n", pages(places))
            }
            other => format!("{other}\n"),
        };
        (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
    }
}
