//! The view password, and how often it may be guessed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framewire_process::exit::Failure;
use framewire_process::lock::lock;
use framewire_signal::{Neighbour, warn_if_everyone_reads};
use subtle::ConstantTimeEq;

/// At five guesses a second, what is not in a dictionary takes years.
const PASSWORD_CHARS_MIN: usize = 8;
const PASSWORD_BYTES_MAX: usize = 1024;
/// Wrong passwords of one address within [`WINDOW`]; more are not looked at.
const WRONG_MAX: u32 = 5;
const WINDOW: Duration = Duration::from_secs(1);
/// Addresses that have guessed within the last second and are remembered; beyond, nobody's guess is looked at.
const ADDRESSES_MAX: usize = 4_096;

/// A password for looking, and for nothing else: streaming takes the token.
pub struct ViewPassword {
    /// Padded, so that comparing takes as long whatever is compared.
    padded: [u8; PASSWORD_BYTES_MAX],
    len: usize,
}

impl ViewPassword {
    /// Reads it from a file; line ends behind it do not count.
    ///
    /// # Errors
    /// A file that cannot be read, or whose password is too short or too long.
    pub fn from_file(path: &Path) -> Result<Self, Failure> {
        let name = path.display();
        let bytes = std::fs::read(path).map_err(|error| {
            Failure::usage(format!(
                "--view-password-file '{name}' cannot be read: {error}; name a file with the password"
            ))
        })?;
        warn_if_everyone_reads(path, "view password");
        Self::new(bytes.trim_ascii_end())
            .map_err(|problem| Failure::usage(format!("--view-password-file '{name}' {problem}")))
    }

    fn new(password: &[u8]) -> Result<Self, String> {
        let chars = String::from_utf8_lossy(password).chars().count();
        match password.len() {
            0 => Err("is empty; write the password into it".into()),
            _ if chars < PASSWORD_CHARS_MIN => Err(format!(
                "has a password of {chars} characters, which can be guessed; use at least {PASSWORD_CHARS_MIN}, such as \
                 what framewire token prints"
            )),
            1..=PASSWORD_BYTES_MAX => Ok(Self { padded: padded(password), len: password.len() }),
            len => Err(format!("has {len} bytes; use a password of at most {PASSWORD_BYTES_MAX}")),
        }
    }

    fn is(&self, given: &[u8]) -> bool {
        let is_same = padded(given).ct_eq(&self.padded) & given.len().ct_eq(&self.len);
        is_same.into()
    }
}

/// The first bytes, and zeroes behind them.
fn padded(bytes: &[u8]) -> [u8; PASSWORD_BYTES_MAX] {
    let mut padded = [0; PASSWORD_BYTES_MAX];
    let len = bytes.len().min(PASSWORD_BYTES_MAX);
    padded[..len].copy_from_slice(&bytes[..len]);
    padded
}

/// The password that a request gives, where it gives one.
fn given(headers: &HeaderMap) -> Option<Vec<u8>> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = given.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok())??;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

/// What became of a guess.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    /// Or none was given.
    Wrong,
    /// It was not looked at.
    TooMany,
}

/// Wrong guesses of late.
#[derive(Default)]
pub(super) struct Guesses {
    wrong: Mutex<HashMap<Neighbour, (Instant, u32)>>,
}

impl Guesses {
    pub(super) fn judge(&self, password: &ViewPassword, headers: &HeaderMap, from: Neighbour, now: Instant) -> Verdict {
        // A browser asks without one first, which is no guess.
        let Some(given) = given(headers) else { return Verdict::Wrong };
        let mut wrong = lock(&self.wrong);
        let is_past = |begun: Instant| now.saturating_duration_since(begun) >= WINDOW;
        let (begun, count) = wrong.get(&from).copied().filter(|(begun, _)| !is_past(*begun)).unwrap_or((now, 0));
        if count >= WRONG_MAX {
            return Verdict::TooMany;
        }
        if wrong.len() >= ADDRESSES_MAX && !wrong.contains_key(&from) {
            wrong.retain(|_, (begun, _)| !is_past(*begun));
            if wrong.len() >= ADDRESSES_MAX {
                return Verdict::TooMany;
            }
        }
        if password.is(&given) {
            return Verdict::Right;
        }
        wrong.insert(from, (begun, count + 1));
        Verdict::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn password() -> ViewPassword {
        ViewPassword::new(b"pass:word").ok().unwrap()
    }

    fn from(host: u16) -> Neighbour {
        let [high, low] = host.to_be_bytes();
        IpAddr::from([10, 0, high, low]).into()
    }

    fn basic(text: &str) -> HeaderMap {
        authorization(&format!("Basic {}", STANDARD.encode(text)))
    }

    fn authorization(value: &str) -> HeaderMap {
        [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn the_password_opens_and_nothing_else_does() {
        let judge = |headers: &HeaderMap| Guesses::default().judge(&password(), headers, from(1), Instant::now());
        assert_eq!(judge(&basic("anyone:pass:word")), Verdict::Right);
        for wrong in ["a:pass", "a:", "pass:word", "a:pass:word\0", "a:pass:word ", &format!("a:{}", "x".repeat(5_000))]
        {
            assert_eq!(judge(&basic(wrong)), Verdict::Wrong, "{wrong:?}");
        }
        for no_password in ["Basic !", "Bearer pass:word", "Basic", ""] {
            assert_eq!(judge(&authorization(no_password)), Verdict::Wrong, "{no_password:?}");
        }
    }

    #[test]
    fn an_address_guesses_five_times_a_second_and_another_is_none_the_worse() {
        let (guesses, password, start) = (Guesses::default(), password(), Instant::now());
        let judge = |text: &str, host, after_ms| {
            guesses.judge(&password, &basic(text), from(host), start + Duration::from_millis(after_ms))
        };
        for guess in 0..5 {
            assert_eq!(judge("a:guess", 1, guess), Verdict::Wrong);
        }
        assert_eq!(judge("a:pass:word", 1, 999), Verdict::TooMany, "not looked at, so that it tells nothing");
        assert_eq!(judge("a:pass:word", 2, 999), Verdict::Right);
        assert_eq!(judge("a:pass:word", 1, 1_000), Verdict::Right);
    }

    #[test]
    fn guesses_of_many_addresses_stay_bounded() {
        let (guesses, password, now) = (Guesses::default(), password(), Instant::now());
        for host in 0..ADDRESSES_MAX as u16 {
            assert_eq!(guesses.judge(&password, &basic("a:guess"), from(host), now), Verdict::Wrong);
        }
        let beyond = |after| guesses.judge(&password, &basic("a:guess"), from(9_999), now + after);
        assert_eq!((beyond(Duration::ZERO), beyond(WINDOW)), (Verdict::TooMany, Verdict::Wrong));
        assert_eq!(guesses.wrong.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_password_file_that_cannot_be_used_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let message = |path: &Path| ViewPassword::from_file(path).err().unwrap().to_string();
        assert!(message(&path).contains("cannot be read"));
        std::fs::write(&path, "\n").unwrap();
        assert!(message(&path).contains("is empty"));
        std::fs::write(&path, "secret\n").unwrap();
        assert!(message(&path).contains("6 characters") && message(&path).contains("at least 8"));
        std::fs::write(&path, "x".repeat(2_000)).unwrap();
        assert!(message(&path).contains("2000 bytes"));
        std::fs::write(&path, "pass:word\r\n").unwrap();
        assert!(ViewPassword::from_file(&path).unwrap().is(b"pass:word"));
    }
}
