//! Which HTTP requests are answered at all: those of no browser, or of a page that may; and no flood of handshakes.
//!
//! CORS does not guard WebSockets: a browser opens one to any host for any page. So the `Origin` header, which a page
//! cannot forge, is checked before the upgrade. Nor does it keep a page from asking for a picture of any address, which is a
//! request like another: browsers say of those that they are `Sec-Fetch-Site: cross-site`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::hosts::{Hosts, host};
use super::places::Neighbour;
use super::seats::Connected;
use crate::unpoisoned::unpoisoned;

/// How long a posted message may take: the largest has 64 KiB.
const POST_TIMEOUT: Duration = Duration::from_secs(10);

/// Decides on each request before Socket.IO or a page sees it.
pub(super) struct Gate {
    allowed_origins: Vec<String>,
    hosts: Hosts,
    handshakes: Mutex<Handshakes>,
}

impl Gate {
    /// Handshakes beyond `handshakes_max` within `handshake_lifetime` are turned away, and those of one address beyond three
    /// quarters of it.
    pub(super) fn new(allowed_origins: &[String], handshakes_max: usize, handshake_lifetime: Duration) -> Self {
        let hosts = Hosts::new(allowed_origins);
        let allowed_origins =
            allowed_origins.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect();
        let handshakes = Mutex::new(Handshakes {
            begun: VecDeque::new(),
            of_address: HashMap::new(),
            max: handshakes_max,
            address_max: handshakes_max - handshakes_max / 4,
            lifetime: handshake_lifetime,
        });
        Self { allowed_origins, hosts, handshakes }
    }

    /// Where a request comes from, or why it is refused. `is_protected` says whether it came in TLS.
    fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap, is_protected: bool) -> Result<Origin, String> {
        let origin = headers.get(header::ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes()));
        let origin = origin.map(|origin| origin.to_ascii_lowercase());
        let host = host(headers);
        let scheme = if is_protected { "https" } else { "http" };
        let is_program = origin.is_none() && is_web_socket(headers);
        if !is_program && !self.hosts.contain(host) {
            return Err(format!(
                "{host:?} is not known as a name of this server, and may be a stranger's that was pointed here; use the \
                 server's address, or start it with --allow-origin {scheme}://{}\n",
                if host.is_empty() { "HOST:PORT" } else { host }
            ));
        }
        let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let origin = match origin {
            Some(origin) if self.allowed_origins.contains(&origin) => return Ok(Origin::Other),
            origin => origin,
        };
        // A link to the page from elsewhere is a person's wish; nothing else from elsewhere is.
        let is_followed_link =
            *method == Method::GET && !is_socket_io(uri) && origin.is_none() && said("sec-fetch-dest") == "document";
        if said("sec-fetch-site") == "cross-site" && !is_followed_link {
            return Err("a page of another site may not ask for this; start the server with --allow-origin and that \
                        page's origin if it shall\n"
                .into());
        }
        let Some(origin) = origin else { return Ok(Origin::None) };
        // Where TLS is spoken a page that came without it may be anybody's. Where it is not, a proxy may speak it.
        let (page_scheme, page_host) = origin.split_once("://").unwrap_or_default();
        let may_be_ours = !is_protected || page_scheme == "https";
        if !may_be_ours || host.is_empty() || page_host != host.to_ascii_lowercase() {
            return Err(format!(
                "a page of {origin:?} may not connect to {host:?}; start the server with --allow-origin {origin}, so that \
                 it is one of the allowed origins, if that page shall\n"
            ));
        }
        Ok(Origin::Same)
    }
}

/// Handshakes of late, each of which may have left a session that holds memory for a while.
struct Handshakes {
    begun: VecDeque<(Instant, Option<Neighbour>)>,
    of_address: HashMap<Neighbour, usize>,
    max: usize,
    address_max: usize,
    /// A session that does not connect lives this long.
    lifetime: Duration,
}

impl Handshakes {
    /// Whether one more session may begin now.
    fn admit(&mut self, from: Option<Neighbour>, now: Instant) -> bool {
        while let Some((_, from)) =
            self.begun.pop_front_if(|(begun, _)| now.saturating_duration_since(*begun) >= self.lifetime)
        {
            let Some(from) = from else { continue };
            if let Some(count) = self.of_address.get_mut(&from) {
                *count -= 1;
                if *count == 0 {
                    self.of_address.remove(&from);
                }
            }
        }
        let of_address = from.and_then(|from| self.of_address.get(&from).copied()).unwrap_or(0);
        let has_room = self.begun.len() < self.max && of_address < self.address_max;
        if has_room {
            self.begun.push_back((now, from));
            if let Some(from) = from {
                self.of_address.insert(from, of_address + 1);
            }
        }
        has_room
    }
}

/// Axum middleware: answers 403 to a page that may not connect, 503 to a handshake too many, and passes on the rest.
pub(super) async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let is_protected = request.extensions().get::<Connected>().is_some_and(Connected::is_protected);
    let origin = match gate.judge(request.method(), request.uri(), request.headers(), is_protected) {
        Ok(origin) => origin,
        Err(message) => {
            tracing::warn!("a request was refused: {}", message.trim_end());
            return (StatusCode::FORBIDDEN, message).into_response();
        }
    };
    if leaves_session(request.uri(), request.headers()) {
        let from = request.extensions().get::<Connected>().map(Connected::neighbour);
        let mut handshakes = unpoisoned(gate.handshakes.lock());
        if !handshakes.admit(from, Instant::now()) {
            let message = format!(
                "more than {} clients, or {} of one address, began to connect within {} s; try again later\n",
                handshakes.max,
                handshakes.address_max,
                handshakes.lifetime.as_secs()
            );
            return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
        }
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
    /// Not a browser's page, or one of this server that only reads.
    None,
    /// A page of this very host.
    Same,
    /// A page of the list.
    Other,
}

fn is_socket_io(uri: &Uri) -> bool {
    uri.path().starts_with("/socket.io")
}

/// Whether a request asks for a WebSocket. A page that asks for one has an origin, which its browser adds.
fn is_web_socket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Whether a request begins a session that outlives its connection; a WebSocket's ends with it, and is bounded as that is.
fn leaves_session(uri: &Uri, headers: &HeaderMap) -> bool {
    let parameter = |name| uri.query().unwrap_or_default().split('&').find_map(|given| given.strip_prefix(name));
    // Engine.IO goes by the parameter, whatever the headers say.
    let is_bound = is_web_socket(headers) && parameter("transport=") == Some("websocket");
    is_socket_io(uri) && !is_bound && parameter("sid=").is_none()
}

#[cfg(test)]
mod tests;
