//! What is said before anything else where a server has a token: who the client wants to be, and that each end has the token.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The version of the proof that this release speaks, in [`Introduction::version`].
pub const PROOF_VERSION: u8 = 2;

/// What a client wants to be to a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Opens streams, and hears of all. The server's token for streaming is for this.
    #[default]
    Stream,
    /// Hears of streams and opens none. The token for viewing is for this, and so is the one for streaming.
    View,
    /// Another server of the cluster: hears of streams and watches them for others, and opens none. The token that is
    /// [made of the cluster's key](crate::Token::of_node) is for this. Nobody writes it down: it is read from no text.
    Node,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::View => "view",
            Self::Node => "node",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "stream" => Ok(Self::Stream),
            "view" => Ok(Self::View),
            _ => Err(format!("{text:?} is no role; use stream or view")),
        }
    }
}

/// What both ends' proofs name of the connection that they are said over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// The server's public key, as TLS has proved it to the client: SHA-256 of its SubjectPublicKeyInfo. What is proved over this connection is
    /// then of no use at a server with another key.
    Spki,
    /// Nothing: the client knows the server by an authority that it trusts, and a proxy may speak TLS for it.
    None,
    /// That the client speaks without TLS: a server that speaks it then refuses, for somebody else speaks it in between.
    Plain,
}

/// The `auth` payload of a client's CONNECT, where it has a token: what it wants to be, and what the server's proof is to be made of.
///
/// `proof` in what follows is HMAC-SHA256, keyed with the token as it is written, in hexadecimal, over
/// `framewire-signal-2|SIDE|ROLE|CLIENT_NONCE|SERVER_NONCE|BINDING`: `SIDE` is `server` or `client`, whichever end proves, `ROLE` and the nonces are
/// as they were sent, and `BINDING` is `none`, `plain`, or SHA-256 of the server's SubjectPublicKeyInfo in 64 lower-case digits of hexadecimal.
///
/// The server answers with [`Challenge`]; the client checks that proof, and ends the connection where it is wrong; it sends [`Prove`], and the server
/// says [`event::PROVEN`](crate::message::event::PROVEN). Until then, which may take 5 s, nothing else is said and nothing is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Introduction {
    /// [`PROOF_VERSION`].
    pub version: u8,
    /// What the client wants to be.
    pub role: Role,
    /// 16 to 64 digits of hexadecimal, random, new for each connect.
    pub nonce: String,
    /// What the proofs name of the connection.
    pub binding: Binding,
}

impl Introduction {
    /// Of this release.
    pub fn new(role: Role, nonce: impl Into<String>, binding: Binding) -> Self {
        Self { version: PROOF_VERSION, role, nonce: nonce.into(), binding }
    }
}

/// What the server says to an [`Introduction`]: that it has the token, and what the client's proof is to be made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Challenge {
    /// Hexadecimal, random, new for each connect.
    pub nonce: String,
    /// The server's proof, of the token for what the client wants to be.
    pub proof: String,
    /// The server's proof of the token for streaming, where the client wants to view and there is another token for that: the client may
    /// have either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_proof: Option<String>,
}

/// What the client says to a [`Challenge`] whose proof is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Prove {
    /// The client's proof.
    pub proof: String,
}

impl Prove {
    /// This proof, 64 digits of hexadecimal.
    pub fn new(proof: impl Into<String>) -> Self {
        Self { proof: proof.into() }
    }
}

/// What the server says to one that has proved its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Proven {
    /// What the client is from now on.
    pub role: Role,
}

#[cfg(feature = "server")]
impl Proven {
    pub(crate) fn new(role: Role) -> Self {
        Self { role }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_said_is_written_as_documented() {
        let introduction = Introduction::new(Role::View, "ab", Binding::Spki);
        let written = json!({"version": 2, "role": "view", "nonce": "ab", "binding": "spki"});
        assert_eq!(serde_json::to_value(&introduction).unwrap(), written);
        assert_eq!(serde_json::from_value::<Introduction>(written).unwrap(), introduction);
        let challenge = Challenge { nonce: "1".into(), proof: "2".into(), stream_proof: None };
        assert_eq!(serde_json::to_value(challenge).unwrap(), json!({"nonce": "1", "proof": "2"}));
        for role in [Role::Stream, Role::View] {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        assert!("watch".parse::<Role>().unwrap_err().contains("stream or view"));
    }
}
