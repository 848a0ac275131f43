//! Proof, both ways, that two ends have the same token, over this connection and no other.
//!
//! Each end has the other's fresh random number under its proof, so none is good twice, and no clock is asked. Each has the key that TLS
//! proved under it, where the client says so (`spki`), so none that was made for one server is good at another: whoever passes proofs on is
//! told nothing of use.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Token;
use crate::message::Role;
use crate::pin::Pin;

/// Which end proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// What both proofs name of the connection that they are said over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// The key that TLS proved the server to have.
    Key(Pin),
    /// An authority, which the client believes, speaks for whoever speaks TLS.
    Authority,
    /// There is no TLS: a server that speaks it is not the one that the client speaks to.
    Plain,
}

/// What both ends know of one connection before they prove anything.
#[derive(Debug, Clone)]
pub(crate) struct Transcript {
    pub(crate) role: Role,
    /// 16 to 64 digits of hexadecimal, the client's choice; hashed as it is written.
    pub(crate) client_nonce: String,
    /// The same of the server's.
    pub(crate) server_nonce: String,
    pub(crate) bound: Bound,
}

impl Transcript {
    /// This side's proof of the token: 64 digits of hexadecimal.
    pub(crate) fn proof(&self, side: Side, token: &Token) -> String {
        super::to_hex(&self.keyed(side, token).finalize().into_bytes())
    }

    /// Whether it is the other side's proof of the token, in a time that does not tell where it differs.
    pub(crate) fn is_proof(&self, side: Side, token: &Token, claimed: &str) -> bool {
        from_hex(claimed).is_some_and(|claimed| self.keyed(side, token).verify_slice(&claimed).is_ok())
    }

    fn keyed(&self, side: Side, token: &Token) -> Hmac<Sha256> {
        let side = match side {
            Side::Server => "server",
            Side::Client => "client",
        };
        let binding = match self.bound {
            Bound::Key(pin) => super::to_hex(pin.as_bytes()),
            Bound::Authority => "none".into(),
            Bound::Plain => "plain".into(),
        };
        let Self { role, client_nonce, server_nonce, .. } = self;
        let mut mac = keyed(token);
        mac.update(format!("framewire-signal-2|{side}|{role}|{client_nonce}|{server_nonce}|{binding}").as_bytes());
        mac
    }
}

fn keyed(token: &Token) -> Hmac<Sha256> {
    Hmac::new_from_slice(token.secret().as_bytes()).expect("HMAC takes a key of any length")
}

/// The 32 bytes of a SHA-256 in hexadecimal.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token::new("00112233445566778899aabbccddeeff").unwrap()
    }

    fn transcript() -> Transcript {
        Transcript {
            role: Role::Stream,
            client_nonce: "ab".repeat(16),
            server_nonce: "cd".repeat(16),
            bound: Bound::Key(Pin::of_public_key(b"key")),
        }
    }

    #[test]
    fn a_proof_is_the_documented_hash() {
        // By: printf 'framewire-signal-2|server|stream|%s|%s|%s' $client $server $(printf key | sha256sum | cut -c-64) |
        //     openssl dgst -sha256 -hmac 00112233445566778899aabbccddeeff
        assert_eq!(
            transcript().proof(Side::Server, &token()),
            "a8e4486e81f1c1eab6667748c1f6db47cc48beab2c47646df1520a66e685d68b"
        );
        // By the same with 'client|view' and 'none'.
        let other = Transcript { role: Role::View, bound: Bound::Authority, ..transcript() };
        assert_eq!(
            other.proof(Side::Client, &token()),
            "b3ff9db17db400124952e12c1f07913f07d4b58272e6e1b87fd3767d7bf88dc6"
        );
    }

    #[test]
    fn a_proof_is_of_one_side_role_token_and_connection() {
        let good = transcript().proof(Side::Client, &token());
        assert!(transcript().is_proof(Side::Client, &token(), &good));
        assert!(transcript().is_proof(Side::Client, &token(), &good.to_uppercase()));
        let others = [
            Transcript { role: Role::View, ..transcript() },
            Transcript { client_nonce: "ac".repeat(16), ..transcript() },
            Transcript { server_nonce: "ce".repeat(16), ..transcript() },
            Transcript { bound: Bound::Authority, ..transcript() },
            Transcript { bound: Bound::Plain, ..transcript() },
            Transcript { bound: Bound::Key(Pin::of_public_key(b"another")), ..transcript() },
        ];
        for other in others {
            assert!(!other.is_proof(Side::Client, &token(), &good), "{other:?}");
        }
        assert!(
            !transcript().is_proof(Side::Server, &token(), &good),
            "what the client says shows nothing of the server"
        );
        let another = Token::new("ffeeddccbbaa99887766554433221100").unwrap();
        assert!(!transcript().is_proof(Side::Client, &another, &good));
        for bad in ["", &good[1..], &"g".repeat(64), &"é".repeat(32), &format!("{good}00")] {
            assert!(!transcript().is_proof(Side::Client, &token(), bad), "{bad}");
        }
    }
}
