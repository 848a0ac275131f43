//! The secret that the nodes of a cluster share.

use std::fmt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::auth::{Token, TokenError};

/// The secret that the nodes of a cluster share: at least 16 bytes (128 bits), written as a [`Token`] is. Entries are signed with it, and nodes
/// prove themselves to each other by a token made of it ([`ClusterKey::node_token`]); it is never sent, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey(Token);

impl ClusterKey {
    /// A key as it is written: 16 bytes or more in hexadecimal or base64, white space at both ends left out. What is written is the key, as it is.
    ///
    /// # Errors
    /// It is empty, less or other.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, TokenError> {
        Token::new(secret).map(Self)
    }

    /// The key in a file, white space at both ends (such as the last newline) left out.
    ///
    /// # Errors
    /// The file cannot be read, is larger than 4,096 bytes or open to everyone on the machine, holds nothing, or what can be guessed.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        Token::from_file(path).map(Self)
    }

    /// The token by which nodes of the cluster prove themselves to each other, as [`Role::Node`](crate::Role): [`Token::of_node`] of this key.
    pub fn node_token(&self) -> Token {
        Token::of_node(&self.0)
    }

    /// A key that nobody else has.
    #[cfg(feature = "client")]
    pub(super) fn of_nobody() -> std::io::Result<Self> {
        Token::random_text().map(|text| Self(Token::new(text).expect("random tokens are tokens")))
    }

    /// HMAC-SHA256 of these parts, one after the other.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        keyed(&self.0, parts)
    }
}

impl From<Token> for ClusterKey {
    /// A secret that was read as a token.
    fn from(secret: Token) -> Self {
        Self(secret)
    }
}

/// HMAC-SHA256 of these parts, keyed with a token as it is written.
pub(super) fn keyed(token: &Token, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mac = Hmac::new_from_slice(token.secret().as_bytes()).expect("HMAC takes a key of any length");
    parts.iter().fold(mac, |mac, part| mac.chain_update(part))
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}
