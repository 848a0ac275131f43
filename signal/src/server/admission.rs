//! Which HTTP requests reach Socket.IO: those of no browser, or of a page that may; and no flood of handshakes.
//!
//! CORS does not guard WebSockets: a browser opens one to any host for any page. So the `Origin` header, which a page
//! cannot forge, is checked before the upgrade.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// How long a posted message may take: the largest has 64 KiB.
const POST_TIMEOUT: Duration = Duration::from_secs(10);

/// Decides on each request before Socket.IO sees it.
pub(super) struct Gate {
    allowed_origins: Vec<String>,
    /// Whether only this machine reaches the server.
    is_local: bool,
    handshakes: Mutex<VecDeque<Instant>>,
    handshakes_max: usize,
    /// A session that does not connect lives this long.
    handshake_lifetime: Duration,
}

impl Gate {
    /// For a server on `listen`. Handshakes beyond `handshakes_max` within `handshake_lifetime` are turned away.
    pub(super) fn new(
        listen: SocketAddr,
        allowed_origins: Vec<String>,
        handshakes_max: usize,
        handshake_lifetime: Duration,
    ) -> Self {
        let allowed_origins =
            allowed_origins.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect();
        let is_local = listen.ip().is_loopback();
        Self { allowed_origins, is_local, handshakes: Mutex::default(), handshakes_max, handshake_lifetime }
    }

    fn judge_origin(&self, headers: &HeaderMap) -> Result<Origin, String> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(Origin::None) };
        let origin = String::from_utf8_lossy(origin.as_bytes()).to_ascii_lowercase();
        if self.allowed_origins.contains(&origin) {
            return Ok(Origin::Other);
        }
        let remedy = format!("add {origin:?} to the server's allowed origins if that page shall connect");
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let page_host = origin.split_once("://").map_or("", |(_, authority)| authority);
        if host.is_empty() || page_host != host.to_ascii_lowercase() {
            return Err(format!("a page of {origin:?} may not connect to {host:?}; {remedy}\n"));
        }
        // A name that its owner points at 127.0.0.1 makes a stranger's page look like ours. On a loopback address, no
        // honest page has such a name.
        if self.is_local && !names_loopback(host) {
            return Err(format!("{host:?} is not a name of this machine's loopback; {remedy}\n"));
        }
        Ok(Origin::Same)
    }

    /// Whether one more session may begin now.
    fn admit_handshake(&self, now: Instant) -> bool {
        let mut handshakes = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(first) = handshakes.front()
            && now.saturating_duration_since(*first) >= self.handshake_lifetime
        {
            handshakes.pop_front();
        }
        let has_room = handshakes.len() < self.handshakes_max;
        if has_room {
            handshakes.push_back(now);
        }
        has_room
    }
}

/// Axum middleware: answers 403 to a page that may not connect, 503 to a handshake too many, and passes on the rest.
pub(super) async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let origin = match gate.judge_origin(request.headers()) {
        Ok(origin) => origin,
        Err(message) => return (StatusCode::FORBIDDEN, message).into_response(),
    };
    if begins_session(request.uri()) && !gate.admit_handshake(Instant::now()) {
        let message = format!(
            "more than {} clients began to connect within {} s; try again later\n",
            gate.handshakes_max,
            gate.handshake_lifetime.as_secs()
        );
        return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    }
    let allowed = request.headers().get(header::ORIGIN).cloned().filter(|_| origin == Origin::Other);
    // What is posted must come soon; answers to it are never waited for. A poll that waits for events is a GET.
    let is_post = request.method() == Method::POST;
    let answer = next.run(request);
    let mut response = if is_post {
        match tokio::time::timeout(POST_TIMEOUT, answer).await {
            Ok(response) => response,
            Err(_) => {
                return (StatusCode::REQUEST_TIMEOUT, "the request did not come in time; send it again\n")
                    .into_response();
            }
        }
    } else {
        answer.await
    };
    if let Some(origin) = allowed {
        // For the polling transport, where CORS does apply.
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// Where a request that may pass comes from.
#[derive(Debug, PartialEq)]
enum Origin {
    /// Not a browser's page.
    None,
    /// A page of this very host.
    Same,
    /// A page of the list.
    Other,
}

fn begins_session(uri: &Uri) -> bool {
    let mut parameters = uri.query().unwrap_or_default().split('&');
    uri.path().starts_with("/socket.io") && !parameters.any(|parameter| parameter.starts_with("sid="))
}

/// Whether a `Host` header names this machine by its loopback: `localhost`, or an address that only this machine reaches.
pub fn names_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        // The last colon is a port's, unless it is inside the brackets of an IPv6 address.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_loopback || name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(listen: &str) -> Gate {
        let origins = vec!["https://Monitor.example/".into()];
        Gate::new(listen.parse().unwrap(), origins, 2, Duration::from_secs(10))
    }

    fn judge(gate: &Gate, origin: Option<&str>, host: &str) -> Result<Origin, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        gate.judge_origin(&headers)
    }

    #[test]
    fn what_is_no_browser_passes_and_so_does_a_page_of_the_same_host() {
        let local = gate("127.0.0.1:8080");
        assert_eq!(judge(&local, None, "anything"), Ok(Origin::None));
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "cam.localhost:8080"] {
            assert_eq!(judge(&local, Some(&format!("http://{host}")), host), Ok(Origin::Same), "{host}");
        }
        assert_eq!(judge(&gate("0.0.0.0:8080"), Some("http://robot:8080"), "robot:8080"), Ok(Origin::Same));
    }

    #[test]
    fn a_page_of_the_list_passes_in_whatever_case_it_was_written() {
        assert_eq!(judge(&gate("127.0.0.1:1"), Some("https://monitor.example"), "127.0.0.1:1"), Ok(Origin::Other));
    }

    #[test]
    fn a_strangers_page_is_refused_with_its_name_and_the_remedy() {
        let local = gate("127.0.0.1:8080");
        for origin in ["http://evil.example", "null", "", "http://127.0.0.1:9", "https://monitor.example.evil"] {
            let message = judge(&local, Some(origin), "127.0.0.1:8080").unwrap_err();
            assert!(message.contains(&format!("{origin:?}")) && message.contains("allowed origins"), "{message}");
        }
    }

    #[test]
    fn a_name_that_was_pointed_at_loopback_is_refused() {
        let rebound = judge(&gate("127.0.0.1:8080"), Some("http://evil.example:8080"), "evil.example:8080");
        assert!(rebound.unwrap_err().contains("\"evil.example:8080\" is not a name"));
    }

    #[test]
    fn handshakes_are_bounded_in_a_window_of_time() {
        let gate = gate("127.0.0.1:1");
        let start = Instant::now();
        assert!(gate.admit_handshake(start) && gate.admit_handshake(start + Duration::from_secs(5)));
        assert!(!gate.admit_handshake(start + Duration::from_millis(9_999)));
        assert!(gate.admit_handshake(start + Duration::from_secs(10)));
        assert!(!gate.admit_handshake(start + Duration::from_secs(10)));
    }

    #[test]
    fn only_requests_without_a_session_begin_one() {
        for (uri, begins) in [
            ("/socket.io/?EIO=4&transport=polling", true),
            ("/socket.io/", true),
            ("/socket.io/?EIO=4&transport=polling&sid=abc", false),
            ("/", false),
        ] {
            assert_eq!(begins_session(&uri.parse().unwrap()), begins, "{uri}");
        }
    }
}
