//! What the server shows of itself over HTTP: the page for people, metrics for Prometheus, JSON for programs.
//!
//! | path | what |
//! |---|---|
//! | `/` | the live page, with its style and script |
//! | `/api/streams` | all streams, JSON |
//! | `/api/events` | the same as server-sent events, four a second |
//! | `/api/pictures` | WebSocket: pictures of streams, on request |
//! | `/metrics` | Prometheus text |
//! | `/healthz` | `ok`, or `degraded: …` in words; 200 for both, as a server that cannot record still serves |
//!
//! Handlers run on the signal server's one thread and block for nothing.

mod access;
mod assets;
mod events;
mod metrics;
mod pictures;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware, routing};
use bytes::Bytes;
use framewire_process::lock::lock;
use framewire_signal::{Connected, Full, Place, Places};

pub(crate) use access::{Access, ViewPassword};

use crate::live::{Board, Health, Snapshot};

/// Connections that stay, for figures and for pictures: two for each of so many pages. Those of clients that stream must find
/// room beside them.
const STAYING_MAX: usize = 2 * 64;

/// Snapshots are made at most so often, however many look.
const SNAPSHOT_LIFETIME: Duration = Duration::from_millis(100);

/// What the pages show.
pub(crate) struct Monitor {
    pub(crate) board: Arc<Board>,
    newest: Mutex<Option<(Instant, Bytes)>>,
    metrics: metrics::Metrics,
    preview_fps: f64,
    places: Arc<Places>,
}

impl Monitor {
    pub(crate) fn new(board: Arc<Board>, preview_fps: f64) -> Self {
        let metrics = metrics::Metrics::new(board.clone());
        Self { board, newest: Mutex::default(), metrics, preview_fps, places: Places::new(STAYING_MAX) }
    }

    /// A place for a connection that stays, if there is one.
    fn place(&self, connected: &Connected) -> Result<Place, NoPlace> {
        connected.take(&self.places).map_err(NoPlace)
    }

    /// All streams as JSON, at most [`SNAPSHOT_LIFETIME`] old.
    fn snapshot(&self) -> Bytes {
        let mut newest = lock(&self.newest);
        let now = Instant::now();
        match &*newest {
            Some((made, json)) if now.saturating_duration_since(*made) < SNAPSHOT_LIFETIME => json.clone(),
            _ => {
                let json = serde_json::to_vec(&Snapshot::of(&self.board, self.preview_fps, now))
                    .expect("a snapshot is always JSON");
                let json = Bytes::from(json);
                *newest = Some((now, json.clone()));
                json
            }
        }
    }
}

/// The pages, for whom `access` lets in.
pub(crate) fn pages(monitor: Arc<Monitor>, access: Access) -> Router {
    let guarded = Router::new()
        .route("/", routing::get(assets::page))
        .route("/page.css", routing::get(assets::style))
        .route("/page.js", routing::get(assets::script))
        .route("/figures.js", routing::get(assets::figures))
        .route("/icon.svg", routing::get(assets::icon))
        .route("/api/streams", routing::get(streams))
        .route("/api/events", routing::get(events::events))
        .route("/api/pictures", routing::get(pictures::pictures))
        .route("/metrics", routing::get(metrics::metrics))
        .layer(middleware::from_fn_with_state(Arc::new(access), access::admit));
    Router::new()
        .route("/healthz", routing::get(health))
        .merge(guarded)
        .layer(middleware::from_fn(access::harden))
        .with_state(monitor)
}

/// For whoever asks whether to start the server again, which mends no disk: hence no error.
async fn health(State(monitor): State<Arc<Monitor>>) -> String {
    format!("{}\n", Health::of(&monitor.board))
}

async fn streams(State(monitor): State<Arc<Monitor>>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], monitor.snapshot()).into_response()
}

/// The answer to who finds no place.
struct NoPlace(Full);

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
        };
        (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
    }
}
