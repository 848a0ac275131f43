//! Clients that speak another version of Socket.IO are told so, and so is whoever reads the log.

use axum::extract::Request;
use axum::http::{StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The version of Engine.IO, below Socket.IO 5, that is spoken here: that of socket.io-client 3 and 4, and of python-socketio 5.
const ENGINE_VERSION: &str = "4";

/// Axum middleware: answers 400 to a client of another version, with what is spoken here, and passes on the rest.
pub(super) async fn admit(request: Request, next: Next) -> Response {
    let Some(version) = spoken(request.uri()).filter(|version| *version != ENGINE_VERSION) else {
        return next.run(request).await;
    };
    let version = version.escape_default().take(8).collect::<String>();
    let message = format!(
        "this server speaks Socket.IO 5 (Engine.IO {ENGINE_VERSION}), the client Engine.IO {version}; use socket.io-client 3 or later, \
         or python-socketio 5 or later"
    );
    tracing::warn!("refused a Socket.IO client: {message}");
    // The form and the code that such clients know.
    let body = serde_json::json!({ "code": 5, "message": format!("Unsupported protocol version: {message}") });
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// What a request of Socket.IO says of the version; nothing of those that are not.
fn spoken(uri: &Uri) -> Option<&str> {
    let rest = uri.path().strip_prefix("/socket.io")?;
    if !(rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("EIO="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_a_request_of_socket_io_alone() {
        let spoken = |uri: &'static str| spoken(Box::leak(Box::new(Uri::from_static(uri))));
        assert_eq!(spoken("/socket.io/?EIO=3&transport=polling"), Some("3"));
        assert_eq!(spoken("/socket.io/?transport=websocket&EIO=4"), Some("4"));
        assert_eq!(spoken("/socket.io?EIO=2"), Some("2"));
        for other in ["/", "/?EIO=3", "/socket.iox/?EIO=3", "/socket.io/", "/socket.io/?transport=polling"] {
            assert_eq!(spoken(other), None, "{other}");
        }
    }
}
