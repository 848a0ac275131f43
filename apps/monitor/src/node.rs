//! What the server says of itself to the other nodes of its cluster.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use framewire_signal::Connected;

use crate::access::Access;
use crate::monitor::Monitor;

/// For nodes, who have the cluster's key: signed, so that it is believed whatever way it came.
pub(crate) async fn entry(
    State((monitor, access)): State<(Arc<Monitor>, Arc<Access>)>,
    Extension(connected): Extension<Connected>,
    headers: HeaderMap,
) -> Response {
    let Some(entry) = monitor.own_entry() else {
        return (StatusCode::NOT_FOUND, "this server is in no cluster\n").into_response();
    };
    if let Err(refused) = access.admit_node(&headers, &connected) {
        return refused.into_response();
    }
    if entry.is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, "this server has nothing to say of itself yet; ask again\n")
            .into_response();
    }
    let octets = HeaderValue::from_static("application/octet-stream");
    ([(header::CONTENT_TYPE, octets)], entry.to_vec()).into_response()
}
