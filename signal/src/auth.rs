//! Proof of a shared token in the Socket.IO handshake, without sending the token.
//!
//! The client sends, as the handshake's `auth` payload,
//! `{"nonce": N, "time": T, "proof": hex(HMAC-SHA256(token, "framewire-signal-1|N|T"))}`, where `N` is 16 to 64 characters
//! of hexadecimal that it never uses again and `T` is its clock in whole seconds since 1970 (UTC), written in decimal.
//! This keeps the token off the wire and a proof from being used twice. It does not encrypt what follows: over a network
//! that others can change, put TLS in front.

#[cfg(feature = "server")]
mod verifier;

use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

#[cfg(feature = "server")]
pub(crate) use self::verifier::Verifier;

/// How far the clocks of client and server may differ, in seconds: generous for machines with NTP, short for a thief.
pub const CLOCK_SKEW_SECONDS_MAX: u64 = 60;

/// What has fewer can be guessed from one proof seen on the wire, at leisure: 128 bits are beyond that.
const TOKEN_BYTES_MIN: usize = 16;
/// A token file above this is some other file.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// A secret that server and clients share, at least 16 bytes (128 bits). Never printed, never sent: a client proves that it has it, as
/// [`Proof`] says. It guards the connect alone and encrypts nothing: over a network that others can read or change, put a proxy that speaks
/// TLS in front of the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<[u8]>);

/// Why there is no token.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file could not be read.
    #[error("the token file {path} cannot be read ({source}); check the path and who may read it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than a token can be.
    #[error("the token file {path} has {bytes} bytes, more than {TOKEN_FILE_BYTES_MAX}; is it the right file?")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
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
    /// A new token of 128 bits, as it is written: 32 digits of hexadecimal.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn random_text() -> io::Result<String> {
        let mut bytes = [0; TOKEN_BYTES_MIN];
        fill_random(&mut bytes)?;
        Ok(to_hex(&bytes))
    }

    /// A token as it is written: 16 bytes or more in hexadecimal or base64, white space at both ends left out. What is written
    /// is the key, as it is.
    ///
    /// # Errors
    /// [`TokenError::Empty`] when nothing is left, [`TokenError::Weak`] when it is less or other.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, TokenError> {
        Self::from_source(secret.as_ref(), "the program")
    }

    /// The token in a file, white space at both ends (such as the last newline) left out. Warns when everyone on the
    /// machine may read the file.
    ///
    /// # Errors
    /// When the file cannot be read, is larger than 4096 bytes, holds nothing, or what can be guessed.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, TokenError> {
        let path = path.as_ref();
        let unreadable = |source| TokenError::Unreadable { path: path.into(), source };
        let bytes = fs::metadata(path).map_err(unreadable)?.len();
        if bytes > TOKEN_FILE_BYTES_MAX {
            return Err(TokenError::TooLarge { path: path.into(), bytes });
        }
        warn_if_everyone_reads(path, "token");
        Self::from_source(&fs::read(path).map_err(unreadable)?, &path.display().to_string())
    }

    /// The token in an environment variable.
    ///
    /// # Errors
    /// When the variable is not set, holds nothing, or what can be guessed.
    pub fn from_environment(variable: &str) -> Result<Self, TokenError> {
        let secret = env::var_os(variable).ok_or_else(|| TokenError::NotInEnvironment(variable.into()))?;
        Self::from_source(secret.as_encoded_bytes(), variable)
    }

    fn from_source(secret: &[u8], source: &str) -> Result<Self, TokenError> {
        let secret = secret.trim_ascii();
        if secret.is_empty() {
            return Err(TokenError::Empty(source.into()));
        }
        if encoded_bits(secret).is_none_or(|bits| bits < TOKEN_BYTES_MIN * 8) {
            return Err(TokenError::Weak(source.into()));
        }
        Ok(Self(secret.into()))
    }

    fn keyed(&self, nonce: &str, time: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(format!("framewire-signal-1|{nonce}|{time}").as_bytes());
        mac
    }
}

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

/// Tells people when a file that holds a secret can be read by everyone on the machine. `what` is what it holds.
pub fn warn_if_everyone_reads(path: &Path, what: &str) {
    if fs::metadata(path).is_ok_and(|file| is_readable_by_everyone(&file)) {
        tracing::warn!(
            "the {what} file {0} can be read by everyone on this machine; run: chmod 600 {0}",
            path.display()
        );
    }
}

#[cfg(unix)]
fn is_readable_by_everyone(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_readable_by_everyone(_: &fs::Metadata) -> bool {
    false
}

/// What a client sends in the handshake's `auth` payload: `proof` is HMAC-SHA256, keyed with the token as it is written, over
/// `framewire-signal-1|NONCE|TIME`. [`SignalClient`](crate::SignalClient) makes it by itself; clients in other languages do so by this rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// 16 to 64 digits of hexadecimal, never used before by anyone who has the token.
    pub nonce: String,
    /// The client's clock, in seconds since 1970-01-01 00:00 UTC; at most [`CLOCK_SKEW_SECONDS_MAX`] from the server's.
    pub time: i64,
    /// The keyed hash, 64 digits of hexadecimal.
    pub proof: String,
}

impl Proof {
    /// Proves that the maker has `token`, at the time given in seconds since 1970.
    pub fn new(token: &Token, nonce: [u8; 16], time: i64) -> Self {
        let nonce = to_hex(&nonce);
        let proof = to_hex(&token.keyed(&nonce, time).finalize().into_bytes());
        Self { nonce, time, proof }
    }
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
