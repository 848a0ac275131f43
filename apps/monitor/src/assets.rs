//! The page's files, built into the program.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

pub(crate) async fn page(headers: HeaderMap) -> Response {
    asset(&headers, "text/html; charset=utf-8", include_str!("page/index.html"))
}

pub(crate) async fn style(headers: HeaderMap) -> Response {
    asset(&headers, "text/css; charset=utf-8", include_str!("page/page.css"))
}

pub(crate) async fn script(headers: HeaderMap) -> Response {
    asset(&headers, "text/javascript; charset=utf-8", include_str!("page/page.js"))
}

pub(crate) async fn tile(headers: HeaderMap) -> Response {
    asset(&headers, "text/javascript; charset=utf-8", include_str!("page/tile.js"))
}

pub(crate) async fn places(headers: HeaderMap) -> Response {
    asset(&headers, "text/javascript; charset=utf-8", include_str!("page/places.js"))
}

pub(crate) async fn figures(headers: HeaderMap) -> Response {
    asset(&headers, "text/javascript; charset=utf-8", include_str!("page/figures.js"))
}

pub(crate) async fn icon(headers: HeaderMap) -> Response {
    asset(&headers, "image/svg+xml", include_str!("page/icon.svg"))
}

/// To the page, for whoever comes back to where the form was sent.
pub(crate) async fn back() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, HeaderValue::from_static("./"))]).into_response()
}

/// The file, or "not modified" for who has this build's already.
fn asset(headers: &HeaderMap, content_type: &'static str, text: &'static str) -> Response {
    let tag = HeaderValue::from_str(&tag(text)).expect("hexadecimal digits in quotes fit a header");
    let is_known = headers.get(header::IF_NONE_MATCH) == Some(&tag);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, tag),
    ];
    if is_known { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, text).into_response() }
}

/// FNV-1a of the text: files of two builds that differ have different tags.
fn tag(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("\"{hash:016x}\"")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_light_and_asks_nobody_else_for_anything() {
        let files = [
            include_str!("page/index.html"),
            include_str!("page/login.html"),
            include_str!("page/page.css"),
            include_str!("page/tile.js"),
            include_str!("page/places.js"),
            include_str!("page/page.js"),
            include_str!("page/figures.js"),
            include_str!("page/icon.svg"),
        ];
        let bytes: usize = files.iter().map(|file| file.len()).sum();
        assert!(bytes <= 150_000, "{bytes} bytes");
        for file in files {
            let elsewhere = file.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"));
            assert!(!file.contains("innerHTML"), "names of streams are text, never markup");
            for absolute in ["href=\"/", "src=\"/", "('/"] {
                assert!(!file.contains(absolute), "{absolute}: the page may be below a path of a proxy's");
            }
        }
    }
}
