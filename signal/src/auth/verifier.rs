//! The server's side of a proof: what it asks of whom, and whether it is right.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use super::proof::{Bound, Side};
use super::{Token, Transcript};
use crate::message::{Binding, Challenge, Introduction, PROOF_VERSION, Prove, Refused, Role, reason};
use crate::pin::Pin;

/// Characters of a nonce: those of 8 to 32 bytes.
const NONCE_CHARS: std::ops::RangeInclusive<usize> = 16..=64;
/// Wrong proofs of one address within [`WINDOW`]; more are not looked at.
const WRONG_MAX: u32 = 50;
const WINDOW: Duration = Duration::from_secs(10);
/// Addresses that have proved wrongly within the last window and are remembered; beyond, only theirs are counted.
const ADDRESSES_MAX: usize = 4_096;

/// The tokens that clients must prove to have.
pub(crate) struct Verifier {
    stream: Option<Token>,
    view: Option<Token>,
    node: Option<Token>,
}

impl Verifier {
    /// For a server with these tokens: one for streaming, which is for viewing, too, one for viewing alone, and one for the servers of its cluster.
    /// `None` for one without.
    pub(crate) fn new(stream: Option<Token>, view: Option<Token>, node: Option<Token>) -> Option<Self> {
        (stream.is_some() || view.is_some() || node.is_some()).then_some(Self { stream, view, node })
    }

    /// Whether everybody must prove something, and not only who says to be of the cluster.
    pub(crate) fn asks_everybody(&self) -> bool {
        self.stream.is_some() || self.view.is_some()
    }

    /// Begins the proof of who sends this as the handshake's `auth`, over a connection on which TLS proved that the server has `key`; `None` where
    /// there is nothing to prove.
    pub(crate) fn begin(&self, auth: Option<&Value>, key: Option<Pin>) -> Result<Option<Exchange>, Refused> {
        if !self.asks_everybody() && matches!(introduced(auth), Ok(None) | Err(_)) {
            return Ok(None);
        }
        let introduction = introduced(auth)?.ok_or_else(token_required)?;
        let Introduction { role, nonce, binding, .. } = introduction;
        let is_hexadecimal = nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !NONCE_CHARS.contains(&nonce.len()) || !is_hexadecimal {
            return Err(malformed("the nonce must be 16 to 64 characters of hexadecimal"));
        }
        let bound = match (binding, key) {
            (Binding::None, _) => Bound::Authority,
            (Binding::Plain, None) => Bound::Plain,
            (Binding::Plain, Some(_)) => {
                return Err(Refused::new(
                    reason::SERVER_IS_PROTECTED,
                    "the client says that it speaks without TLS, and this server speaks it: somebody between the two passes on what each \
                     says, and reads it; have the client speak to this server by https://, without --insecure",
                ));
            }
            (Binding::Spki, Some(key)) => Bound::Key(key),
            (Binding::Spki, None) => {
                return Err(Refused::new(
                    reason::NO_TLS_HERE,
                    "this server speaks no TLS itself, and the client would be shown its key; start the server with --protect, or let the \
                     client trust the proxy's certificate (--ca FILE)",
                ));
            }
        };
        let (token, other) = match role {
            Role::Stream => (self.stream.clone(), None),
            Role::View => match &self.view {
                Some(view) => (Some(view.clone()), self.stream.clone()),
                None => (self.stream.clone(), None),
            },
            Role::Node => (self.node.clone(), None),
        };
        let token = token.ok_or_else(|| match role {
            Role::Node => Refused::new(
                reason::NO_CLUSTER,
                "this server is in no cluster, and knows no other server as one of it; give both the same cluster key (--cluster-key-file)",
            ),
            Role::Stream | Role::View if !self.asks_everybody() => no_token_here(),
            Role::Stream | Role::View => Refused::new(
                reason::VIEW_ONLY,
                "this server has a token for viewing alone: nobody streams to it; give it one for streaming, too",
            )
        })?;
        let server_nonce = fresh_nonce().map_err(|error| {
            tracing::error!("the system gives no random bytes: {error}");
            Refused::new(reason::INTERNAL, "the server failed at this request; its log says how")
        })?;
        let transcript = Transcript { role, client_nonce: nonce, server_nonce, bound };
        Ok(Some(Exchange { transcript, token, other }))
    }
}

/// What the `auth` of a handshake says of a proof that is to come; nothing where there is none.
///
/// # Errors
/// It says something else.
pub(crate) fn introduced(auth: Option<&Value>) -> Result<Option<Introduction>, Refused> {
    let auth = match auth {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(fields)) if fields.is_empty() => return Ok(None),
        Some(auth) => auth,
    };
    let version = auth.get("version").and_then(Value::as_u64);
    // The first version had none, and the time.
    if auth.get("time").is_some() || version.is_some_and(|version| version != u64::from(PROOF_VERSION)) {
        return Err(Refused::new(
            reason::PROOF_VERSION,
            format!(
                "the client proves its token in version {}, this server in version {PROOF_VERSION}; use the same release at both",
                version.unwrap_or(1)
            ),
        ));
    }
    Introduction::deserialize(auth).map(Some).map_err(|error| malformed(&error.to_string()))
}

fn fresh_nonce() -> std::io::Result<String> {
    let mut nonce = [0; 16];
    super::fill_random(&mut nonce)?;
    Ok(super::to_hex(&nonce))
}

/// One proof that is under way. Its nonce is the server's own, so what was seen of another, before a restart or at another server, is of no use.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    transcript: Transcript,
    token: Token,
    /// The one for streaming, where the client wants to look and may have either.
    other: Option<Token>,
}

impl Exchange {
    /// What the client asked to be.
    pub(crate) fn role(&self) -> Role {
        self.transcript.role
    }

    /// The server's own proof, and what the client's is to be made of.
    pub(crate) fn challenge(&self) -> Challenge {
        let proof = |token| self.transcript.proof(Side::Server, token);
        Challenge {
            nonce: self.transcript.server_nonce.clone(),
            proof: proof(&self.token),
            stream_proof: self.other.as_ref().map(proof),
        }
    }

    /// Whether the client has shown that it has a token.
    pub(crate) fn check(&self, said: Option<&Value>) -> Result<(), Refused> {
        let said = said.ok_or_else(|| malformed("\"prove\" must have one JSON object"))?;
        let Prove { proof } = Prove::deserialize(said).map_err(|error| malformed(&error.to_string()))?;
        let is_proved = |token: &Token| self.transcript.is_proof(Side::Client, token, &proof);
        // Both are looked at, so that the time tells nothing.
        let (by_token, by_other) = (is_proved(&self.token), self.other.as_ref().is_some_and(is_proved));
        if by_token || by_other {
            return Ok(());
        }
        Err(Refused::new(
            reason::PROOF_WRONG,
            "the client's token is not the server's; give both the same token file, or the client the join string that the server prints",
        ))
    }
}

/// What is said to who has a token where there is none to prove: whoever has one wants to see it proved, too.
pub(crate) fn no_token_here() -> Refused {
    Refused::new(
        reason::NO_TOKEN_HERE,
        "the client has a token and this server has none to prove; start the server with the token (--token-file), or the client without",
    )
}

fn token_required() -> Refused {
    Refused::new(
        reason::TOKEN_REQUIRED,
        "this server asks for a token and the client sent no proof of one; give the client the server's join string or token file",
    )
}

fn malformed(what: &str) -> Refused {
    Refused::new(reason::PROOF_MALFORMED, format!("what proves the token is not as documented: {what}"))
}

/// Wrong proofs of late, by whom they came from.
pub(crate) struct Guesses<F> {
    wrong: HashMap<F, (Instant, u32)>,
}

impl<F: Copy + Eq + std::hash::Hash> Guesses<F> {
    pub(crate) fn new() -> Self {
        Self { wrong: HashMap::new() }
    }

    /// Whether one more of this address is looked at now.
    ///
    /// # Errors
    /// It has been wrong too often.
    pub(crate) fn check(&self, from: F, now: Instant) -> Result<(), Refused> {
        let is_over = self.wrong.get(&from).is_some_and(|(begun, count)| *count >= WRONG_MAX && !is_past(*begun, now));
        if !is_over {
            return Ok(());
        }
        Err(Refused::new(
            reason::TOO_MANY_PROOFS,
            format!(
                "{WRONG_MAX} proofs of this address were wrong within {} s, and no more are looked at for a while; give each client there the \
                 server's token file, or its join string",
                WINDOW.as_secs()
            ),
        ))
    }

    /// Counts a wrong one.
    pub(crate) fn was_wrong(&mut self, from: F, now: Instant) {
        if self.wrong.len() >= ADDRESSES_MAX {
            self.wrong.retain(|_, (begun, _)| !is_past(*begun, now));
        }
        let known = self.wrong.get(&from).copied().filter(|(begun, _)| !is_past(*begun, now));
        if known.is_some() || self.wrong.len() < ADDRESSES_MAX {
            let (begun, count) = known.unwrap_or((now, 0));
            self.wrong.insert(from, (begun, count.saturating_add(1)));
        }
    }
}

fn is_past(begun: Instant, now: Instant) -> bool {
    now.saturating_duration_since(begun) >= WINDOW
}
