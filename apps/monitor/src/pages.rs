//! Which page is where, and for whom.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware, routing};

use crate::access::{self, Access};
use crate::health::Health;
use crate::metrics::CONTENT_TYPE;
use crate::monitor::Monitor;
use crate::scope::Scope;
use crate::{assets, events, node, picture_file, pictures};

/// The longest secret, with each of its bytes written as three.
const LOGIN_BYTES_MAX: usize = 16 << 10;

/// The pages, for whom `access` lets in.
pub fn pages(monitor: Arc<Monitor>, access: Access) -> Router {
    let access = Arc::new(access);
    let guarded = Router::new()
        .route("/", routing::get(assets::page))
        .route("/page.js", routing::get(assets::script))
        .route("/tile.js", routing::get(assets::tile))
        .route("/places.js", routing::get(assets::places))
        .route("/figures.js", routing::get(assets::figures))
        .route("/api/streams", routing::get(streams))
        .route("/api/events", routing::get(events::events))
        .route("/api/pictures", routing::get(pictures::pictures))
        .route("/api/pictures/{stream}", routing::get(picture_file::picture))
        .route("/metrics", routing::get(metrics))
        .layer(middleware::from_fn_with_state(access.clone(), access::admit));
    let login = Router::new()
        .route("/login", routing::post(access::log_in).get(assets::back))
        .layer(DefaultBodyLimit::max(LOGIN_BYTES_MAX))
        .with_state(access.clone());
    let node = Router::new().route("/api/node", routing::get(node::entry)).with_state((monitor.clone(), access));
    Router::new()
        .route("/healthz", routing::get(health))
        // What the form to log in by looks like.
        .route("/page.css", routing::get(assets::style))
        .route("/icon.svg", routing::get(assets::icon))
        .merge(guarded)
        .layer(middleware::from_fn(access::harden))
        .with_state(monitor)
        .merge(login.merge(node).layer(middleware::from_fn(access::harden)))
}

/// For whoever asks whether to start the server again, which mends no disk: hence no error.
async fn health(State(monitor): State<Arc<Monitor>>) -> String {
    format!("{}\n", Health::of(&monitor.board))
}

async fn streams(State(monitor): State<Arc<Monitor>>, scope: Scope) -> Response {
    let json = HeaderValue::from_static("application/json");
    let now = Instant::now();
    let told = match scope {
        Scope::Server => monitor.snapshot(now),
        Scope::Cluster => monitor.cluster_snapshot(now),
    };
    ([(header::CONTENT_TYPE, json)], told).into_response()
}

async fn metrics(State(monitor): State<Arc<Monitor>>) -> Response {
    match monitor.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n").into_response(),
    }
}
