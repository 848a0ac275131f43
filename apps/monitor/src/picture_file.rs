//! The next picture of a stream as a file, for whoever has no page: `/api/pictures/7?size=tile&range=0-4095`.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use framewire_pictures::{ValueRange, is_pictured};
use framewire_signal::Connected;
use serde::Deserialize;

use crate::monitor::Monitor;
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
        Ok(Some(picture)) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (headers, picture.jpeg).into_response()
        }
        Ok(None) => (StatusCode::NOT_FOUND, "the stream has ended\n").into_response(),
        Err(_) => {
            let message = format!("no frame of the stream came for {} s\n", PATIENCE.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
        }
    }
}
