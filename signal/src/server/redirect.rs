//! The one answer that HTTP without TLS gets from a server that speaks TLS: where to go instead.

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::hosts::{Hosts, host};

/// Sends those who come without TLS to the same address with it.
pub(super) struct Redirect {
    hosts: Hosts,
}

impl Redirect {
    /// For a server whose pages of these origins may ask for things, so that it goes by their hosts, too.
    pub(super) fn new(allowed_origins: &[String]) -> Self {
        Self { hosts: Hosts::new(allowed_origins) }
    }

    pub(super) fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let host = host(request.headers());
        // A name that is somebody else's is not sent anywhere.
        if !self.hosts.contain(host) {
            return (StatusCode::BAD_REQUEST, "this server speaks TLS; use https:// and its address\n").into_response();
        }
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let Ok(location) = HeaderValue::try_from(format!("https://{host}{path}")) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let message = "this server is protected: browsers use https://, Framewire's clients the join string that the server prints\n";
        (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, location)], message).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(host: &str, uri: &str) -> (StatusCode, Option<String>) {
        let request = Request::builder().uri(uri).header(header::HOST, host).body(()).unwrap();
        let answer = Redirect::new(&["https://monitor.example".into()]).answer(&request);
        let location = answer.headers().get(header::LOCATION).map(|location| location.to_str().unwrap().to_owned());
        (answer.status(), location)
    }

    #[test]
    fn who_comes_without_tls_is_sent_to_the_same_address_with_it() {
        for (host, path) in [("127.0.0.1:8080", "/"), ("[::1]:8080", "/socket.io/?EIO=4"), ("monitor.example", "/api")]
        {
            let location = Some(format!("https://{host}{path}"));
            assert_eq!(answer(host, path), (StatusCode::PERMANENT_REDIRECT, location));
        }
    }

    #[test]
    fn nobody_is_sent_to_a_name_that_is_not_this_servers() {
        for host in ["evil.example", "127.0.0.1@evil.example", "evil.example/127.0.0.1", ""] {
            assert_eq!(answer(host, "/"), (StatusCode::BAD_REQUEST, None), "{host}");
        }
    }
}
