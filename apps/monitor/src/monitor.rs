//! What the pages show: the board as JSON and as metrics, and a place for who keeps looking.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use framewire_process::lock::lock;
use framewire_signal::{Connected, Full, Place, Places};

use crate::board::Board;
use crate::metrics::Metrics;
use crate::snapshot::snapshot;

/// Connections that stay, for figures and for pictures: two for each of so many pages. Those of clients that stream must find
/// room beside them.
const STAYING_MAX: usize = 2 * 64;

/// Snapshots are made at most so often, however many look.
const SNAPSHOT_LIFETIME: Duration = Duration::from_millis(100);

/// What the pages show.
pub struct Monitor {
    pub(crate) board: Arc<Board>,
    newest: Mutex<Option<(Instant, Bytes)>>,
    pub(crate) metrics: Metrics,
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
        let metrics = Metrics::new(board.clone(), commit);
        Self { board, newest: Mutex::default(), metrics, preview_fps, guarding, places: Places::new(STAYING_MAX) }
    }

    /// A place for a connection that stays, if there is one.
    pub(crate) fn place(&self, connected: &Connected) -> Result<Place, NoPlace> {
        connected.take(&self.places).map_err(NoPlace)
    }

    /// Whether pictures are made at all.
    pub(crate) fn has_pictures(&self) -> bool {
        self.preview_fps > 0.0
    }

    /// All streams as JSON, at most [`SNAPSHOT_LIFETIME`] old.
    pub(crate) fn snapshot(&self) -> Bytes {
        let mut newest = lock(&self.newest);
        let now = Instant::now();
        match &*newest {
            Some((made, json)) if now.saturating_duration_since(*made) < SNAPSHOT_LIFETIME => json.clone(),
            _ => {
                let json = serde_json::to_vec(&snapshot(&self.board, self.preview_fps, self.guarding, now))
                    .expect("a snapshot is always JSON");
                let json = Bytes::from(json);
                *newest = Some((now, json.clone()));
                json
            }
        }
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
