//! Who may look: anyone who reaches the server, or who knows the view password; and no page that only pretends to be ours.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use framewire_signal::names_loopback;
use subtle::ConstantTimeEq;

use crate::exit::Failure;

/// Has browsers ask for a user, of whom any is taken, and the password.
const REALM: HeaderValue = HeaderValue::from_static("Basic realm=\"Framewire\", charset=\"UTF-8\"");
/// Nothing from elsewhere, no scripts or styles but the page's own files.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const PASSWORD_BYTES_MAX: usize = 1024;

/// A password for looking, and for nothing else: streaming takes the token.
pub(crate) struct ViewPassword(Vec<u8>);

impl ViewPassword {
    /// Reads it from a file; line ends behind it do not count.
    ///
    /// # Errors
    /// A file that cannot be read, is empty, or too long.
    pub(crate) fn from_file(path: &Path) -> Result<Self, Failure> {
        let name = path.display();
        let bytes = std::fs::read(path).map_err(|error| {
            Failure::usage(format!(
                "--view-password-file '{name}' cannot be read: {error}; name a file with the password"
            ))
        })?;
        let password = bytes.trim_ascii_end().to_vec();
        match password.len() {
            0 => Err(Failure::usage(format!("--view-password-file '{name}' is empty; write the password into it"))),
            1..=PASSWORD_BYTES_MAX => Ok(Self(password)),
            len => Err(Failure::usage(format!(
                "--view-password-file '{name}' has {len} bytes; use a password of at most {PASSWORD_BYTES_MAX}"
            ))),
        }
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = || {
            let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
            let (scheme, encoded) = given.split_once(' ')?;
            let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok())??;
            let colon = decoded.iter().position(|byte| *byte == b':')?;
            Some(decoded[colon + 1..].to_vec())
        };
        given().is_some_and(|given| bool::from(given.ct_eq(&self.0)))
    }
}

/// Stands for the password in what follows, as not every browser repeats that when it opens a WebSocket. Made anew with each
/// server.
pub(crate) struct Pass(String);

const PASS_COOKIE: &str = "framewire-pass";

impl Pass {
    /// # Errors
    /// The system gives no random numbers.
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes)
            .map_err(|error| Failure::runtime(format!("no random numbers for the page: {error}")))?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let mut values =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        values.any(|(name, value)| name == PASS_COOKIE && bool::from(value.as_bytes().ct_eq(self.0.as_bytes())))
    }

    fn cookie(&self) -> HeaderValue {
        let cookie = format!("{PASS_COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", self.0);
        HeaderValue::from_str(&cookie).expect("letters and digits fit a header")
    }
}

/// Who may look.
pub(crate) struct Access {
    /// Where the server listens.
    pub(crate) listen: SocketAddr,
    /// Asked for, where there is one.
    pub(crate) password: Option<ViewPassword>,
    pub(crate) pass: Pass,
    /// Streaming takes a token, so looking without a password is not for everyone either.
    pub(crate) is_locked: bool,
    /// Hosts of the origins that the operator allows, `host:port`, in lower case: a proxy's names for this server.
    pub(crate) allowed_hosts: Vec<String>,
}

impl Access {
    fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        // A name that its owner points at 127.0.0.1 makes a stranger's page look like ours.
        if self.listen.ip().is_loopback() && !names_loopback(host) && !self.is_allowed(host) {
            let message = format!(
                "{host:?} is not a name of this machine's loopback, on which this server listens; use \
                 http://{}/, or start it with --allow-origin http://{host}\n",
                self.listen
            );
            return Some((StatusCode::FORBIDDEN, message).into_response());
        }
        match &self.password {
            Some(password) if self.pass.is_in(headers) || password.is_in(headers) => None,
            Some(_) => {
                let message = "give the view password, with any user name\n";
                Some((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, REALM)], message).into_response())
            }
            None if self.is_locked => {
                let message = "this server asks its clients for a token, and has no password for viewers; start it with \
                               --view-password-file FILE to look at its streams\n";
                Some((StatusCode::FORBIDDEN, message).into_response())
            }
            None => None,
        }
    }

    fn is_allowed(&self, host: &str) -> bool {
        self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
    }
}

/// Axum middleware: 401 or 403 to who may not look.
pub(super) async fn admit(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.refusal(request.headers()) {
        Some(refusal) => refusal,
        None if access.password.is_some() => {
            let mut response = next.run(request).await;
            response.headers_mut().insert(header::SET_COOKIE, access.pass.cookie());
            response
        }
        None => next.run(request).await,
    }
}

/// Axum middleware: has browsers treat what is sent as what it is, and as nobody else's.
pub(super) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(password: Option<&str>, is_locked: bool) -> Access {
        Access {
            listen: "127.0.0.1:8080".parse().unwrap(),
            password: password.map(|password| ViewPassword(password.into())),
            pass: Pass("pass".into()),
            is_locked,
            allowed_hosts: vec!["robot.example".into()],
        }
    }

    fn status(access: &Access, host: &str, authorization: Option<&str>) -> Option<u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        }
        access.refusal(&headers).map(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn on_loopback_only_loopbacks_names_and_those_that_are_allowed_reach_the_pages() {
        let open = access(None, false);
        for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "LOCALHOST", "a.localhost", "Robot.example"] {
            assert_eq!(status(&open, host, None), None, "{host}");
        }
        for host in ["evil.example:8080", "", "localhost.evil.example", "127.0.0.1.evil.example:8080"] {
            assert_eq!(status(&open, host, None), Some(403), "{host}");
        }
        let everywhere = Access { listen: "0.0.0.0:8080".parse().unwrap(), ..open };
        assert_eq!(status(&everywhere, "camera-host:8080", None), None);
    }

    #[test]
    fn the_view_password_opens_and_nothing_else_does() {
        let locked = access(Some("pass:word"), true);
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(status(&locked, "localhost", Some(&basic("anyone:pass:word"))), None);
        for wrong in [None, Some(basic("a:pass")), Some(basic("a:")), Some(basic("pass:word")), Some("Basic !".into())]
        {
            assert_eq!(status(&locked, "localhost", wrong.as_deref()), Some(401), "{wrong:?}");
        }
        assert_eq!(status(&locked, "localhost", Some("Bearer pass:word")), Some(401));
        let cookie = |text: &str| {
            let headers = [(header::HOST, "localhost"), (header::COOKIE, text)];
            let headers = headers.into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect();
            locked.refusal(&headers).map(|refusal| refusal.status().as_u16())
        };
        assert_eq!(cookie("a=b; framewire-pass=pass"), None);
        assert_eq!((cookie("framewire-pass=pas"), cookie("pass=pass")), (Some(401), Some(401)));
    }

    #[test]
    fn a_server_with_a_token_shows_nothing_without_a_password_of_its_own() {
        assert_eq!(status(&access(None, true), "localhost", None), Some(403));
    }

    #[test]
    fn a_password_file_that_cannot_be_used_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let message = |path: &Path| ViewPassword::from_file(path).err().unwrap().to_string();
        assert!(message(&path).contains("cannot be read"));
        std::fs::write(&path, "\n").unwrap();
        assert!(message(&path).contains("is empty"));
        std::fs::write(&path, "x".repeat(2_000)).unwrap();
        assert!(message(&path).contains("2000 bytes"));
        std::fs::write(&path, "secret\r\n").unwrap();
        assert_eq!(ViewPassword::from_file(&path).unwrap().0, b"secret");
    }
}
