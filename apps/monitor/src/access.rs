//! Who may look: anyone who reaches the server, or who gives one of its secrets. Which hosts and pages may ask at all is decided
//! before, for all that the server answers.

mod guesses;
mod login;
mod pass;
mod secret;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use framewire_process::exit::Failure;
use framewire_signal::Connected;
use framewire_signal::directory::{ClusterKey, NodeProof};

use guesses::{Guesses, Verdict};
use pass::Passes;

pub(crate) use login::log_in;
pub use secret::Secret;

/// Has no browser ask by a window of its own, which the page's form is for; programs know what to send.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"Framewire\"");
/// Nothing from elsewhere, no scripts or styles but the page's own files.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// Who may look.
pub struct Access {
    /// Any of them opens; none where everyone may look.
    secrets: Vec<Secret>,
    guesses: Guesses,
    passes: Passes,
    /// By which other servers of the cluster prove that they are.
    nodes: Option<ClusterKey>,
}

/// How somebody came to look.
enum Entry {
    /// It takes nothing, or they had been let in before.
    Open,
    /// With a secret: they get a pass of this name and value.
    LoggedIn(HeaderValue),
}

impl Access {
    /// For whoever gives one of these secrets; without any, for everyone. Where the server speaks TLS itself (`over_tls`), no browser
    /// sends what it is given over anything else.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(secrets: Vec<Secret>, over_tls: bool) -> Result<Self, Failure> {
        Ok(Self { secrets, guesses: Guesses::default(), passes: Passes::new(over_tls)?, nodes: None })
    }

    /// Lets the other servers of the cluster look, too: those that prove over TLS that they have its key. They look on behalf of whoever they let look. Where
    /// there is no TLS they are told this node's entry, which is signed, and no more than anybody.
    #[must_use]
    pub fn nodes(self, key: Option<ClusterKey>) -> Self {
        Self { nodes: key, ..self }
    }

    /// Whether looking takes a secret.
    pub(crate) fn asks(&self) -> bool {
        !self.secrets.is_empty()
    }

    fn admit(&self, headers: &HeaderMap, connected: &Connected) -> Result<Entry, Refusal> {
        if !self.asks() {
            return Ok(Entry::Open);
        }
        if self.passes.is_in(headers, connected.local().port(), SystemTime::now()) {
            connected.prove();
            return Ok(Entry::Open);
        }
        // Without TLS nothing binds a proof to this server: whoever was shown one elsewhere could look here by it.
        if let Some(proof) = node_proof(headers).filter(|_| connected.is_protected()) {
            return self.judge_node(&proof, connected).map(|()| Entry::Open);
        }
        // A browser asks without one first, which is no guess.
        let given = secret::given(headers).ok_or(Refusal::Secret)?;
        self.judge(&given, connected).map(Entry::LoggedIn)
    }

    /// Lets a node of the cluster in, and nobody else.
    ///
    /// # Errors
    /// Whoever is none.
    pub(crate) fn admit_node(&self, headers: &HeaderMap, connected: &Connected) -> Result<(), Refusal> {
        node_proof(headers).ok_or(Refusal::Node).and_then(|proof| self.judge_node(&proof, connected))
    }

    fn judge_node(&self, proof: &NodeProof, connected: &Connected) -> Result<(), Refusal> {
        let is_right = || self.nodes.as_ref().is_some_and(|key| proof.is_of(key, connected.key()));
        match self.guesses.judge(connected.neighbour(), Instant::now(), is_right) {
            Verdict::Right => {
                connected.prove();
                Ok(())
            }
            Verdict::Wrong => Err(Refusal::Node),
            Verdict::TooMany => Err(Refusal::TooManyGuesses),
        }
    }

    /// The pass of whoever gives this.
    fn judge(&self, given: &[u8], connected: &Connected) -> Result<HeaderValue, Refusal> {
        match self.guesses.judge(connected.neighbour(), Instant::now(), || secret::is_among(&self.secrets, given)) {
            Verdict::Right => {
                connected.prove();
                let port = connected.local().port();
                self.passes.issue(port, SystemTime::now()).map_err(|_| Refusal::NoRandom)
            }
            Verdict::Wrong => Err(Refusal::Secret),
            Verdict::TooMany => Err(Refusal::TooManyGuesses),
        }
    }
}

/// What a node shows, if whoever asks says that it is one.
fn node_proof(headers: &HeaderMap) -> Option<NodeProof> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.parse().ok()
}

/// Why somebody may not look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Secret,
    TooManyGuesses,
    NoRandom,
    Node,
}

impl Refusal {
    /// The answer's status, and what it says to people.
    fn says(self) -> (StatusCode, &'static str) {
        match self {
            Self::Secret => (
                StatusCode::UNAUTHORIZED,
                "give the view token (Authorization: Bearer TOKEN), or the view password (Basic, with any user name); browsers log in \
                 at the server's page\n",
            ),
            Self::TooManyGuesses => {
                (StatusCode::TOO_MANY_REQUESTS, "too many wrong passwords came from your address; wait a second\n")
            }
            Self::Node => (
                StatusCode::UNAUTHORIZED,
                "this is for the servers of this cluster, which prove themselves by its key; give all of them the same --cluster-key-file\n",
            ),
            Self::NoRandom => {
                (StatusCode::SERVICE_UNAVAILABLE, "the system gives no random numbers for a pass; try again\n")
            }
        }
    }

    /// What programs are to do, too.
    fn mark(self, response: &mut Response) {
        let headers = response.headers_mut();
        match self {
            Self::Secret => drop(headers.insert(header::WWW_AUTHENTICATE, CHALLENGE)),
            Self::TooManyGuesses => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"))),
            Self::NoRandom | Self::Node => {}
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.says().into_response();
        self.mark(&mut response);
        response
    }
}

/// Axum middleware: 401 or 429 to who may not look; for the page itself with a form to log in by.
pub(crate) async fn admit(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let connected = request.extensions().get::<Connected>().expect("every request of the server's connections has it");
    match access.admit(request.headers(), connected) {
        Err(refusal) if request.uri().path() == "/" => {
            // Whoever has given nothing yet has made no mistake.
            let is_first = refusal == Refusal::Secret && secret::given(request.headers()).is_none();
            login::form(refusal, is_first)
        }
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
    // Not none at all: a browser would then say of the form that it comes from nowhere.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
