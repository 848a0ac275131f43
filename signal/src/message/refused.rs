//! What was not done, and why.

use serde::{Deserialize, Serialize};

/// Something asked for was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
#[error("{message} ({reason})")]
pub struct Refused {
    /// For programs: a short code that stays the same; those of this crate are in [`reason`].
    pub reason: String,
    /// For people: what is wrong, with the value, and what to do.
    pub message: String,
}

impl Refused {
    /// A refusal of a code for programs and a message for people.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason.into(), message: message.into() }
    }

    /// Whether the same may be granted later, without anything being changed at this end: others have the places for now. A
    /// [`SignalClient`](crate::SignalClient) asks again then.
    pub fn is_for_now(&self) -> bool {
        reason::FOR_NOW.contains(&self.reason.as_str())
    }

    /// Whether what answered is not the server that is meant, or cannot be known as that one, so that it was given nothing. Another may answer
    /// in a server's place for a while: one that was the right one before may well be so again.
    pub fn is_of_another(&self) -> bool {
        reason::OF_ANOTHER.contains(&self.reason.as_str())
    }
}

/// Codes in [`Refused::reason`] that this crate uses; a host adds its own.
pub mod reason {
    /// The message is not of the form or in the range that it must be.
    pub const BAD_REQUEST: &str = "bad-request";
    /// The client has 16 streams open or watched, or its address 64, or all clients together watch 256, or 4 requests of the client are under way: the
    /// most that each may have.
    pub const TOO_MANY: &str = "too-many";
    /// The stream is another client's: it may be closed only over the connection that opened it, and opened again there or by who
    /// shows its [`Resume`](crate::message::Resume).
    pub const NOT_YOURS: &str = "not-yours";
    /// The server speaks the plain wire, on which nothing is opened.
    pub const PLAIN_WIRE: &str = "plain-wire";
    /// The server failed; its log says how.
    pub const INTERNAL: &str = "internal";
    /// The server asks for a token, and the client gave no proof of one.
    pub const TOKEN_REQUIRED: &str = "token-required";
    /// The client has a token, and the server asks for none, so that nothing would prove it.
    pub const NO_TOKEN_HERE: &str = "no-token-here";
    /// The client proves its token in a version that the server does not speak.
    pub const PROOF_VERSION: &str = "proof-version";
    /// What proves the token is not of the form it must be.
    pub const PROOF_MALFORMED: &str = "proof-malformed";
    /// The proof was made with another token.
    pub const PROOF_WRONG: &str = "proof-wrong";
    /// The proof did not come within 5 s.
    pub const PROOF_LATE: &str = "proof-late";
    /// Too many proofs of the client's address were wrong of late.
    pub const TOO_MANY_PROOFS: &str = "too-many-proofs";
    /// The client asks that proofs name the server's key, and the server speaks no TLS itself.
    pub const NO_TLS_HERE: &str = "no-tls-here";
    /// The server sends its streams to nobody.
    pub const NO_WATCHERS: &str = "no-watchers";
    /// The link to the other end has no room left for the stream.
    pub const LINK_FULL: &str = "link-full";
    /// The stream would come through more than [`HOPS_MAX`](crate::message::HOPS_MAX) servers, or through one of them twice.
    pub const HOPS: &str = "hops";
    /// The server is in no cluster.
    pub const NO_CLUSTER: &str = "no-cluster";
    /// The client has proved to be one that looks, or the server takes no others.
    pub const VIEW_ONLY: &str = "view-only";
    /// The stream's key may not travel over a connection that others can read.
    pub const KEY_OVER_PLAIN: &str = "key-over-plain";
    /// Said by a client itself: the server did not prove that it has the client's token.
    pub const SERVER_UNPROVEN: &str = "server-unproven";
    /// Said by a client itself: the server's key is not the one of the pin.
    pub const WRONG_PIN: &str = "wrong-pin";
    /// Said by a client itself: the server's certificate is not trusted.
    pub const NOT_TRUSTED: &str = "not-trusted";
    /// Said by a client itself, which has a secret: the server speaks no TLS.
    pub const SERVER_IS_PLAIN: &str = "server-is-plain";
    /// Said by a client itself, which has no secret: the server speaks only TLS.
    pub const SERVER_IS_PROTECTED: &str = "server-is-protected";
    /// The server has as many clients as it takes.
    pub const SERVER_FULL: &str = "server-full";
    /// The server refused the connect without a code that this crate knows how to read.
    pub const CONNECT_REFUSED: &str = "connect-refused";

    /// Those that say "later": places that others have, and leave.
    pub(super) const FOR_NOW: [&str; 4] = [TOO_MANY, SERVER_FULL, TOO_MANY_PROOFS, LINK_FULL];
    /// Those that a client says of who answers in the server's place.
    pub(super) const OF_ANOTHER: [&str; 4] = [SERVER_UNPROVEN, WRONG_PIN, NOT_TRUSTED, SERVER_IS_PLAIN];
}
