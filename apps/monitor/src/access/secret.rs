//! What lets people look: the view password, or a token.

use std::path::Path;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framewire_process::exit::Failure;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// At five guesses a second, what is not in a dictionary takes years.
const PASSWORD_CHARS_MIN: usize = 8;
const PASSWORD_BYTES_MAX: usize = 1024;

/// A secret that lets whoever gives it look: a password for that alone, or a token.
pub struct Secret {
    /// Comparing hashes takes as long whatever is compared, and how long the secret is shows in nothing.
    digest: [u8; 32],
}

impl Secret {
    /// A token, as it is written.
    pub fn token(text: impl AsRef<[u8]>) -> Self {
        Self { digest: Sha256::digest(text.as_ref()).into() }
    }

    /// Reads a password from a file; line ends behind it do not count.
    ///
    /// # Errors
    /// A file that cannot be read, that others may read, or whose password is too short or too long.
    pub fn password_from_file(path: &Path) -> Result<Self, Failure> {
        let name = path.display();
        let unreadable = |error| {
            Failure::usage(format!(
                "--view-password-file '{name}' cannot be read: {error}; name a file with the password"
            ))
        };
        if others_may_read(path).map_err(unreadable)? {
            return Err(Failure::usage(format!(
                "--view-password-file '{name}' can be read by everyone on this machine; run: chmod 600 {name}"
            )));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        Self::password(bytes.trim_ascii_end())
            .map_err(|problem| Failure::usage(format!("--view-password-file '{name}' {problem}")))
    }

    fn password(password: &[u8]) -> Result<Self, String> {
        let chars = String::from_utf8_lossy(password).chars().count();
        match password.len() {
            0 => Err("is empty; write the password into it".into()),
            _ if chars < PASSWORD_CHARS_MIN => Err(format!(
                "has a password of {chars} characters, which can be guessed; use at least {PASSWORD_CHARS_MIN}, such as \
                 what framewire token prints"
            )),
            1..=PASSWORD_BYTES_MAX => Ok(Self::token(password)),
            len => Err(format!("has {len} bytes; use a password of at most {PASSWORD_BYTES_MAX}")),
        }
    }
}

/// A group's members were given it, as services are by their managers.
fn others_may_read(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o004 != 0)
}

/// Whether what somebody gives is one of these; it takes as long whichever it is.
pub(super) fn is_among(secrets: &[Secret], given: &[u8]) -> bool {
    let given: [u8; 32] = Sha256::digest(given).into();
    secrets.iter().fold(Choice::from(0), |any, secret| any | secret.digest.ct_eq(&given)).into()
}

/// What a request gives, where it gives anything: the password of any user's (Basic), or a token (Bearer).
pub(super) fn given(headers: &HeaderMap) -> Option<Vec<u8>> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = given.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.as_bytes().to_vec());
    }
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(rest).ok())??;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn authorization(value: &str) -> HeaderMap {
        [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect()
    }

    fn basic(text: &str) -> HeaderMap {
        authorization(&format!("Basic {}", STANDARD.encode(text)))
    }

    #[test]
    fn each_secret_opens_either_way_and_nothing_else_does() {
        let secrets = [Secret::password(b"pass:word").ok().unwrap(), Secret::token("0123456789abcdef0123456789abcdef")];
        let opens = |headers: &HeaderMap| given(headers).is_some_and(|given| is_among(&secrets, &given));
        assert!(opens(&basic("anyone:pass:word")) && opens(&authorization("Bearer pass:word")));
        let token = "0123456789abcdef0123456789abcdef";
        assert!(opens(&basic(&format!("x:{token}"))) && opens(&authorization(&format!("bearer  {token} "))));
        for wrong in ["a:pass", "a:", "pass:word", "a:pass:word\0", "a:pass:word ", &format!("a:{}", "x".repeat(5_000))]
        {
            assert!(given(&basic(wrong)).is_some() && !opens(&basic(wrong)), "{wrong:?}");
        }
        for nothing in ["Basic !", "Digest pass:word", "Basic", "Bearer", ""] {
            assert_eq!(given(&authorization(nothing)), None, "{nothing:?}");
        }
        assert!(!is_among(&[], b""));
    }

    #[test]
    fn a_password_file_that_cannot_be_used_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let message = |path: &Path| Secret::password_from_file(path).err().unwrap().to_string();
        let write = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        };
        assert!(message(&path).contains("cannot be read"));
        write("\n", 0o600);
        assert!(message(&path).contains("is empty"));
        write("secret\n", 0o600);
        assert!(message(&path).contains("6 characters") && message(&path).contains("at least 8"));
        write(&"x".repeat(2_000), 0o600);
        assert!(message(&path).contains("2000 bytes"));
        write("pass:word\r\n", 0o644);
        assert!(message(&path).contains(&format!("chmod 600 {}", path.display())));
        // As a service manager gives it.
        write("pass:word\r\n", 0o440);
        assert!(is_among(&[Secret::password_from_file(&path).unwrap()], b"pass:word"));
    }
}
