//! The next picture of a stream as a file, for whoever has no page: `/api/pictures/7?size=tile&range=0-4095`.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use framewire_pictures::{ValueRange, is_pictured};
use framewire_signal::Connected;
use framewire_signal::directory::NodeId;
use serde::Deserialize;

use crate::monitor::Monitor;
use crate::peers::Wish as PeerWish;
use crate::pictures::Size;
use crate::preview::PictureKind;

/// A stream that has no frame for so long has no picture for now.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
pub(crate) struct Wish {
    #[serde(default)]
    size: Option<Size>,
    /// `LOW-HIGH`, for formats that are shown by a range of values; by default found by what is in the frame.
    #[serde(default)]
    range: String,
    /// Which node's stream it is; the server's own without it.
    #[serde(default)]
    node: Option<NodeId>,
}

pub(crate) async fn picture(
    State(monitor): State<Arc<Monitor>>,
    Extension(connected): Extension<Connected>,
    Path(stream): Path<u32>,
    Query(wish): Query<Wish>,
) -> Response {
    let _place = match monitor.place(&connected) {
        Ok(place) => place,
        Err(none) => return none.into_response(),
    };
    let range: ValueRange = match wish.range.parse() {
        Ok(range) => range,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    if let Some(node) = wish.node.filter(|node| !monitor.is_own(*node)) {
        let wish = PeerWish { stream, size: wish.size.unwrap_or(Size::Full), range, seen: 0 };
        return match tokio::time::timeout(PATIENCE, monitor.picture_elsewhere(node, wish)).await {
            Ok(Some(picture)) => jpeg(picture.jpeg),
            Ok(None) => {
                let message = "no such stream is known of that node, it does not answer, or it has no picture; /api/streams?scope=cluster lists them\n";
                (StatusCode::NOT_FOUND, message).into_response()
            }
            Err(_) => no_frame(),
        };
    }
    let Some(live) = monitor.board.find(stream) else {
        return (StatusCode::NOT_FOUND, format!("there is no stream {stream}; /api/streams lists them\n"))
            .into_response();
    };
    let format = live.about.format;
    if !is_pictured(format.pixel()) {
        return (StatusCode::NOT_FOUND, format!("frames of {format} have no pictures\n")).into_response();
    }
    if !monitor.has_pictures() {
        return (StatusCode::NOT_FOUND, "pictures are switched off at this server (--preview-fps 0)\n").into_response();
    }
    let kind = PictureKind::of(format.pixel(), wish.size.unwrap_or(Size::Full).into(), range);
    match tokio::time::timeout(PATIENCE, live.pictures.next(kind, 0)).await {
        Ok(Some(picture)) => jpeg(picture.jpeg),
        Ok(None) => (StatusCode::NOT_FOUND, "the stream has ended\n").into_response(),
        Err(_) => no_frame(),
    }
}

fn jpeg(bytes: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, bytes).into_response()
}

fn no_frame() -> Response {
    let message = format!("no frame of the stream came for {} s\n", PATIENCE.as_secs());
    (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
}
