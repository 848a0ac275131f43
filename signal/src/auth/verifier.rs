//! The server's check of proofs.

use std::collections::{HashSet, VecDeque};

use hmac::Mac;
use serde::Deserialize;
use serde_json::Value;

use super::{CLOCK_SKEW_SECONDS_MAX, Proof, Token};
use crate::message::{Refused, reason};

/// Nonces remembered: over two minutes, more than 100 connects a second, each by someone who has the token.
pub(super) const NONCES_MAX: usize = 16_384;

/// Checks proofs, and remembers those it saw for as long as they would pass.
pub(crate) struct Verifier {
    token: Token,
    pub(super) nonces: HashSet<String>,
    /// The same nonces with the second they may be forgotten, oldest first by arrival.
    pub(super) order: VecDeque<(i64, String)>,
}

impl Verifier {
    pub(crate) fn new(token: Token) -> Self {
        Self { token, nonces: HashSet::new(), order: VecDeque::new() }
    }

    /// Whether `auth` proves the token at `now`, in seconds since 1970. A proof passes once.
    pub(crate) fn verify(&mut self, auth: Option<&Value>, now: i64) -> Result<(), Refused> {
        let proof: Proof = match auth {
            None | Some(Value::Null) => return Err(token_required()),
            Some(Value::Object(fields)) if fields.is_empty() => return Err(token_required()),
            Some(value) => Proof::deserialize(value).map_err(|error| malformed(&error.to_string()))?,
        };
        let nonce_fits = (16..=64).contains(&proof.nonce.len());
        if !nonce_fits || !proof.nonce.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(malformed("the nonce must be 16 to 64 characters of hexadecimal"));
        }
        let claimed =
            from_hex(&proof.proof).ok_or_else(|| malformed("the proof must be 64 characters of hexadecimal"))?;
        let skew = proof.time.abs_diff(now);
        if skew > CLOCK_SKEW_SECONDS_MAX {
            return Err(Refused::new(
                reason::CLOCK_SKEW,
                format!(
                    "the clocks of client and server differ by {skew} seconds, more than {CLOCK_SKEW_SECONDS_MAX}; set \
                     both by NTP"
                ),
            ));
        }
        // Compares in constant time.
        if self.token.keyed(&proof.nonce, proof.time).verify_slice(&claimed).is_err() {
            return Err(Refused::new(
                reason::PROOF_WRONG,
                "the client's token is not the server's; give both the same token file",
            ));
        }
        self.remember(proof, now)
    }

    /// Called for valid proofs only, so that nobody without the token fills the memory.
    fn remember(&mut self, proof: Proof, now: i64) -> Result<(), Refused> {
        while let Some((_, nonce)) = self.order.pop_front_if(|(forget_at, _)| *forget_at < now) {
            self.nonces.remove(&nonce);
        }
        // Hexadecimal of either case is the same nonce only if the bytes hashed are; it is kept as it was hashed.
        if self.nonces.contains(&proof.nonce) {
            return Err(Refused::new(
                reason::PROOF_REPLAYED,
                "this proof was used before; make a new one, with a fresh random nonce, for each connect",
            ));
        }
        if self.nonces.len() >= NONCES_MAX {
            return Err(Refused::new(
                reason::SERVER_FULL,
                format!("{NONCES_MAX} clients connected within the last two minutes; connect again later"),
            ));
        }
        self.nonces.insert(proof.nonce.clone());
        // A proof made up to a skew ahead passes until a skew after its time.
        self.order.push_back((now.max(proof.time).saturating_add_unsigned(CLOCK_SKEW_SECONDS_MAX), proof.nonce));
        Ok(())
    }
}

fn token_required() -> Refused {
    Refused::new(
        reason::TOKEN_REQUIRED,
        "this server asks for a token and the client sent no proof of one; give the client the server's token file",
    )
}

fn malformed(what: &str) -> Refused {
    Refused::new(
        reason::PROOF_MALFORMED,
        format!("the handshake's auth must be {{\"nonce\", \"time\", \"proof\"}} as documented: {what}"),
    )
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
