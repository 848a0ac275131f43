//! Who may look: anyone who reaches the server, or who knows the view password. Which hosts and pages may ask at all is decided
//! before, for all that the server answers.

mod pass;
mod password;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use framewire_process::exit::Failure;
use framewire_signal::Connected;

use pass::Passes;

pub use password::ViewPassword;

use password::{Guesses, Verdict};

/// Has browsers ask for a user, of whom any is taken, and the password.
const REALM: HeaderValue = HeaderValue::from_static("Basic realm=\"Framewire\", charset=\"UTF-8\"");
/// Nothing from elsewhere, no scripts or styles but the page's own files.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Who may look.
pub struct Access {
    /// Asked for, where there is one.
    password: Option<ViewPassword>,
    guesses: Guesses,
    passes: Passes,
    /// Streaming takes a token, so looking without a password is not for everyone either.
    is_locked: bool,
}

/// How somebody came to look.
enum Entry {
    /// It takes nothing, or they had been let in before.
    Open,
    /// With the password: they get a pass of this name and value.
    LoggedIn(HeaderValue),
}

impl Access {
    /// For whoever knows the password; without one for everyone, or, where streaming takes a token (`is_locked`), for nobody.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(password: Option<ViewPassword>, is_locked: bool) -> Result<Self, Failure> {
        Ok(Self { password, guesses: Guesses::default(), passes: Passes::new()?, is_locked })
    }

    fn admit(&self, headers: &HeaderMap, connected: &Connected) -> Result<Entry, Refusal> {
        let Some(password) = &self.password else {
            return if self.is_locked { Err(Refusal::Locked) } else { Ok(Entry::Open) };
        };
        let (port, now) = (connected.local().port(), SystemTime::now());
        if self.passes.is_in(headers, port, now) {
            connected.prove();
            return Ok(Entry::Open);
        }
        match self.guesses.judge(password, headers, connected.neighbour(), Instant::now()) {
            Verdict::Right => {
                connected.prove();
                self.passes.issue(port, now).map(Entry::LoggedIn).map_err(|_| Refusal::NoRandom)
            }
            Verdict::Wrong => Err(Refusal::Password),
            Verdict::TooMany => Err(Refusal::TooManyGuesses),
        }
    }
}

/// Why somebody may not look.
enum Refusal {
    Locked,
    Password,
    TooManyGuesses,
    NoRandom,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Locked => {
                let message = "this server asks its clients for a token, and has no password for viewers; start it with \
                               --view-password-file FILE to look at its streams\n";
                (StatusCode::FORBIDDEN, message).into_response()
            }
            Self::Password => {
                let message = "give the view password, with any user name\n";
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, REALM)], message).into_response()
            }
            Self::TooManyGuesses => {
                let message = "too many wrong passwords came from your address; wait a second\n";
                (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], message).into_response()
            }
            Self::NoRandom => {
                let message = "the system gives no random numbers for a pass; try again\n";
                (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
            }
        }
    }
}

/// Axum middleware: 401, 403 or 429 to who may not look.
pub(crate) async fn admit(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let connected = request.extensions().get::<Connected>().expect("every request of the server's connections has it");
    match access.admit(request.headers(), connected) {
        Err(refusal) => refusal.into_response(),
        Ok(Entry::Open) => next.run(request).await,
        Ok(Entry::LoggedIn(pass)) => {
            let mut response = next.run(request).await;
            response.headers_mut().insert(header::SET_COOKIE, pass);
            response
        }
    }
}

/// Axum middleware: has browsers treat what is sent as what it is, and as nobody else's.
pub(crate) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
