//! A server's public key, as a client knows it again.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Characters of a pin: those of 32 bytes.
pub(crate) const PIN_CHARS: usize = 43;

/// SHA-256 of a server's public key, as its certificate has it (SubjectPublicKeyInfo). Written as 43 characters of base64url. It is no secret;
/// it stays the same for as long as the server keeps its key, whatever certificates are made of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pin([u8; 32]);

/// A text that is no pin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a pin has {PIN_CHARS} characters of base64url, this has {chars}{problem}; copy the whole of it")]
#[non_exhaustive]
pub struct PinError {
    chars: usize,
    problem: &'static str,
}

impl Pin {
    /// The pin of this public key: a SubjectPublicKeyInfo in DER.
    pub fn of_public_key(spki: &[u8]) -> Self {
        Self(Sha256::digest(spki).into())
    }

    /// The hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let chars = text.chars().count();
        let wrong = |problem| PinError { chars, problem };
        if chars != PIN_CHARS {
            return Err(wrong(""));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(wrong(", not all of them such"))
    }
}

impl TryFrom<String> for Pin {
    type Error = PinError;

    fn try_from(text: String) -> Result<Self, PinError> {
        text.parse()
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_as_it_is_written_and_nothing_else_is() {
        let pin = Pin::of_public_key(b"key");
        // By: printf key | openssl dgst -sha256 -binary | basenc --base64url
        assert_eq!(pin.to_string(), "LHDhK3oGRvkiefQnx7OOczTY5Tic_xZ6HcMOc_gmtoM");
        assert_eq!(pin.to_string().parse(), Ok(pin));
        let text = pin.to_string();
        for other in [&text[1..], &format!("{text}="), &format!("{}+", &text[1..]), &format!("{}é", &text[1..]), ""] {
            let error = other.parse::<Pin>().unwrap_err().to_string();
            assert!(error.contains("43 characters"), "{other}: {error}");
        }
    }
}
