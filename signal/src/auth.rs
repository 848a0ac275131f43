//! Secrets that server and clients share, and proof of them both ways without sending them.

#[cfg(any(feature = "client", feature = "server"))]
mod proof;
#[cfg(feature = "server")]
mod verifier;

use std::path::Path;
use std::{env, fmt, io};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use thiserror::Error;

#[cfg(any(feature = "client", feature = "server"))]
pub(crate) use self::proof::Transcript;
#[cfg(feature = "client")]
pub(crate) use self::proof::{Bound, Side};
#[cfg(feature = "server")]
pub(crate) use self::verifier::{Exchange, Guesses, Verifier, introduced, no_token_here};
use crate::secret_file::{SecretFileError, read_secret_file};

/// What has fewer can be guessed from one proof seen on the wire, at leisure: 128 bits are beyond that.
const TOKEN_BYTES_MIN: usize = 16;
/// A token file above this is some other file.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// A secret that server and clients share, at least 16 bytes (128 bits). Never printed, never sent: each end proves to the other that it has
/// it. It encrypts nothing; with TLS, which a client asks for wherever it has a secret, nobody else reads what is said either.
#[derive(Clone)]
pub struct Token(Box<str>);

/// Why there is no token.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file cannot be read, is larger than 4,096 bytes, or is open to everyone on the machine.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// Nothing but white space was given.
    #[error("the token from {0} is empty; put a secret there, made by: framewire token")]
    Empty(String),
    /// It could be guessed.
    #[error(
        "the token from {0} is not of 16 bytes or more, written in hexadecimal (32 digits) or base64url (22 characters), and \
         could be guessed from one connect seen on the network; make one by: framewire token --file FILE"
    )]
    Weak(String),
    /// The environment does not have it.
    #[error("the environment variable {0} is not set; set it to the token, or name a token file")]
    NotInEnvironment(String),
}

impl Token {
    /// A new token of 128 bits, as it is written: 22 characters of base64url.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn random_text() -> io::Result<String> {
        let mut bytes = [0; TOKEN_BYTES_MIN];
        fill_random(&mut bytes)?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// A token as it is written: 16 bytes or more in hexadecimal or base64, white space at both ends left out. What is written
    /// is the key, as it is.
    ///
    /// # Errors
    /// [`TokenError::Empty`] when nothing is left, [`TokenError::Weak`] when it is less or other.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, TokenError> {
        Self::from_source(secret.as_ref(), "the program")
    }

    /// The token in a file, white space at both ends (such as the last newline) left out.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than 4096 bytes or open to everyone on the machine, holds nothing, or what can be guessed.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        let path = path.as_ref();
        let secret = read_secret_file(path, "token", TOKEN_FILE_BYTES_MAX)?;
        Self::from_source(&secret, &path.display().to_string())
    }

    /// The secret as it is written, for who shows it to its owner or writes it to a file that nobody else reads.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// The token by which the servers of a cluster know each other, made of the cluster's key: HMAC-SHA256 of `framewire node`, keyed with the
    /// key as it is written, in 64 lower-case digits of hexadecimal.
    pub fn of_node(cluster_key: &Self) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(cluster_key.0.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(b"framewire node");
        Self(to_hex(&mac.finalize().into_bytes()).into())
    }

    /// The token in an environment variable.
    ///
    /// # Errors
    /// When the variable is not set, holds nothing, or what can be guessed.
    pub fn from_environment(variable: &str) -> Result<Self, TokenError> {
        let secret = env::var_os(variable).ok_or_else(|| TokenError::NotInEnvironment(variable.into()))?;
        Self::from_source(secret.as_encoded_bytes(), variable)
    }

    pub(crate) fn from_source(secret: &[u8], source: &str) -> Result<Self, TokenError> {
        let secret = secret.trim_ascii();
        if secret.is_empty() {
            return Err(TokenError::Empty(source.into()));
        }
        let is_strong = encoded_bits(secret).is_some_and(|bits| bits >= TOKEN_BYTES_MIN * 8);
        let secret = std::str::from_utf8(secret).ok().filter(|_| is_strong);
        secret.map(|secret| Self(secret.into())).ok_or_else(|| TokenError::Weak(source.into()))
    }
}

/// In a time that does not tell where they differ.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        // What is made of two texts by a hash is as long for both, and differs everywhere.
        Sha256::digest(self.secret()) == Sha256::digest(other.secret())
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How many bits a text in hexadecimal or base64 stands for; `None` for another.
fn encoded_bits(text: &[u8]) -> Option<usize> {
    if text.iter().all(u8::is_ascii_hexdigit) {
        return Some(4 * text.len());
    }
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_+/".contains(byte)).then_some(6 * text.len())
}

/// Random bytes of the system's.
pub(crate) fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(io::Error::other)
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

#[cfg(all(test, feature = "server"))]
mod tests;
