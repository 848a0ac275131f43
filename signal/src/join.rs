//! One line that says where a server is, how it is known again, and with what secret it is joined.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::Path;
use std::str::FromStr;

use thiserror::Error;

use crate::auth::{Token, TokenError};
use crate::pin::{Pin, PinError};
use crate::secret_file::{SecretFileError, read_secret_file};

const SCHEME: &str = "framewire://";
const FORM: &str = "framewire://HOST:PORT#TOKEN.PIN";
/// A file above this is some other file.
const FILE_BYTES_MAX: u64 = 4096;
/// A name of the DNS has at most so many.
const HOST_CHARS_MAX: usize = 255;

/// A join string: `framewire://HOST:PORT#TOKEN.PIN`, with the [`Token`] as it is written and the [`Pin`] of the server's key.
///
/// It holds the token, so it is a secret: [`Display`](fmt::Display) and [`Debug`] leave that out, and errors never repeat what was given.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Join {
    /// The server's name or address; an IPv6 address without brackets, a link-local one with its interface, such as `fe80::1%eth0`.
    pub host: String,
    /// The server's TCP port, at least 1.
    pub port: u16,
    /// What the client proves to have, and the server proves to have.
    pub token: Token,
    /// The key that the server must have.
    pub pin: Pin,
}

/// A text that is no join string. Nothing of it is repeated: it may hold a secret.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It is something else.
    #[error(
        "this is no join string, which begins with {SCHEME}; copy the whole line that the server prints at its start: {FORM}"
    )]
    Scheme,
    /// The host or the port is missing, or is none.
    #[error("the join string has {0}; copy the whole line that the server prints at its start: {FORM}")]
    Address(&'static str),
    /// It ends with the address.
    #[error(
        "the join string ends before its token and pin; copy the whole line that the server prints at its start: {FORM}"
    )]
    NoSecrets,
    /// Nothing is between `#` and the last dot.
    #[error("the token of the join string is missing; copy the whole line that the server prints at its start: {FORM}")]
    NoToken,
    /// Nothing is behind the token.
    #[error("the pin of the join string is missing; copy the whole line that the server prints at its start: {FORM}")]
    NoPin,
    /// The token is none.
    #[error("the join string is not whole or was changed: {0}")]
    Token(TokenError),
    /// The pin is none.
    #[error("the join string is not whole or was changed: {0}")]
    Pin(PinError),
    /// The file that holds it cannot be read.
    #[error(transparent)]
    File(#[from] SecretFileError),
}

impl Join {
    /// How the server of this name or address, port and key is joined with this token.
    ///
    /// # Errors
    /// The host is none, or the port is 0.
    pub fn new(host: impl Into<String>, port: u16, token: Token, pin: Pin) -> Result<Self, JoinError> {
        let host = host.into();
        if !is_host(&host) {
            return Err(JoinError::Address("a host that is no name and no address"));
        }
        if port == 0 {
            return Err(JoinError::Address("port 0, which is none to connect to"));
        }
        Ok(Self { host, port, token, pin })
    }

    /// The join string in a file, white space at both ends (such as the last newline) left out.
    ///
    /// # Errors
    /// The file cannot be read, is larger than 4,096 bytes or open to everyone on the machine, or holds no join string.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, JoinError> {
        let bytes = read_secret_file(path, "join", FILE_BYTES_MAX)?;
        std::str::from_utf8(&bytes).map_err(|_| JoinError::Scheme)?.parse()
    }

    /// The whole of it, with the token: for a terminal, or a file that nobody else reads.
    pub fn to_text(&self) -> String {
        format!("{SCHEME}{}#{}.{}", self.authority(), self.token.secret(), self.pin)
    }

    /// `HOST:PORT`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Join {
    type Err = JoinError;

    fn from_str(text: &str) -> Result<Self, JoinError> {
        let rest = text.trim().strip_prefix(SCHEME).ok_or(JoinError::Scheme)?;
        let (authority, secrets) = rest.split_once('#').ok_or(JoinError::NoSecrets)?;
        let (host, port) = split_authority(authority.strip_suffix('/').unwrap_or(authority))?;
        let (token, pin) = match secrets.rsplit_once('.') {
            None | Some(("", "")) if secrets.trim_matches('.').is_empty() => return Err(JoinError::NoSecrets),
            Some(("", _)) => return Err(JoinError::NoToken),
            None | Some((_, "")) => return Err(JoinError::NoPin),
            Some(halves) => halves,
        };
        let token = Token::from_source(token.as_bytes(), "the join string").map_err(JoinError::Token)?;
        let pin = pin.parse().map_err(JoinError::Pin)?;
        Self::new(host, port, token, pin)
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}#…", self.authority())
    }
}

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Join({self})")
    }
}

fn split_authority(authority: &str) -> Result<(&str, u16), JoinError> {
    let no_port = || JoinError::Address("no port");
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(JoinError::Address("a bracket that is not closed"))?;
            (host, port.strip_prefix(':').ok_or_else(no_port)?)
        }
        None => authority.rsplit_once(':').ok_or_else(no_port)?,
    };
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let port =
        port.parse().ok().filter(|_| is_number).ok_or(JoinError::Address("a port that is not one of 1 to 65535"))?;
    let is_bracketed = authority.starts_with('[');
    if host.contains(':') != is_bracketed {
        return Err(JoinError::Address("an IPv6 address without its brackets, or brackets around something else"));
    }
    Ok((host, port))
}

/// Whether it is a name, an IPv4 address, or an IPv6 address, which may have its interface behind a %.
fn is_host(host: &str) -> bool {
    if host.contains(':') {
        let (address, zone) = host.split_once('%').map_or((host, None), |(address, zone)| (address, Some(zone)));
        let is_zone = |zone: &str| {
            !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte))
        };
        return address.parse::<Ipv6Addr>().is_ok() && zone.is_none_or(is_zone);
    }
    let fits = (1..=HOST_CHARS_MAX).contains(&host.len());
    fits && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "kCpVUAk0lZlcKPXqdcE7gQ";
    const PIN: &str = "LHDhK3oGRvkiefQnx7OOczTY5Tic_xZ6HcMOc_gmtoM";

    fn line(authority: &str) -> String {
        format!("framewire://{authority}#{TOKEN}.{PIN}")
    }

    #[test]
    fn a_join_string_is_read_as_it_is_written() {
        for (authority, host) in [
            ("192.168.7.2:8080", "192.168.7.2"),
            ("cam-1.lab.example:1", "cam-1.lab.example"),
            ("[::1]:65535", "::1"),
            ("[fe80::1%eth0]:8080", "fe80::1%eth0"),
        ] {
            let join: Join = line(authority).parse().unwrap();
            assert_eq!((join.host.as_str(), join.token.secret(), join.pin.to_string().as_str()), (host, TOKEN, PIN));
            assert_eq!((join.to_text(), join.authority()), (line(authority), authority.into()));
            assert_eq!(format!(" {}\n", join.to_text()).parse::<Join>().unwrap(), join);
        }
        let hexadecimal = format!("framewire://a:1/#00112233445566778899aabbccddeeff.{PIN}");
        assert_eq!(hexadecimal.parse::<Join>().unwrap().authority(), "a:1");
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_of_it_is_repeated() {
        for (given, says) in [
            (String::new(), "no join string"),
            (format!("{TOKEN}.{PIN}"), "no join string"),
            (format!("https://h:1#{TOKEN}.{PIN}"), "no join string"),
            ("framewire://h:1".into(), "before its token and pin"),
            (format!("framewire://h:1{TOKEN}.{PIN}"), "before its token and pin"),
            ("framewire://h:1#".into(), "before its token and pin"),
            ("framewire://h:1#.".into(), "before its token and pin"),
            (format!("framewire://h:1#.{PIN}"), "token of the join string is missing"),
            (format!("framewire://h:1#{TOKEN}"), "pin of the join string is missing"),
            (format!("framewire://h:1#{TOKEN}."), "pin of the join string is missing"),
            (format!("framewire://h:1#{}.{PIN}", &TOKEN[1..]), "not whole or was changed"),
            (format!("framewire://h:1#{TOKEN}.{}", &PIN[1..]), "this has 42"),
            (format!("framewire://h:1#{TOKEN}.{PIN}x"), "this has 44"),
            (format!("framewire://h#{TOKEN}.{PIN}"), "no port"),
            (format!("framewire://h:0#{TOKEN}.{PIN}"), "port 0"),
            (format!("framewire://h:+1#{TOKEN}.{PIN}"), "1 to 65535"),
            (format!("framewire://h:65536#{TOKEN}.{PIN}"), "1 to 65535"),
            (format!("framewire://:1#{TOKEN}.{PIN}"), "a host that is no name"),
            (format!("framewire://me@h:1#{TOKEN}.{PIN}"), "a host that is no name"),
            (format!("framewire://::1:1#{TOKEN}.{PIN}"), "brackets"),
            (format!("framewire://[h]:1#{TOKEN}.{PIN}"), "brackets"),
            (format!("framewire://[::1:1#{TOKEN}.{PIN}"), "not closed"),
        ] {
            let error = given.parse::<Join>().unwrap_err();
            let text = error.to_string();
            assert!(text.contains(says), "{given}: {text}");
            for shown in [text, format!("{error:?}")] {
                assert!(![&TOKEN[1..], &PIN[1..]].iter().any(|secret| shown.contains(secret)), "{shown}");
            }
        }
    }

    #[test]
    fn a_join_string_does_not_show_its_secret() {
        let join: Join = line("h:1").parse().unwrap();
        for shown in [join.to_string(), format!("{join:?}"), format!("{join:#?}")] {
            assert!(shown.contains("framewire://h:1#…") && !shown.contains(TOKEN), "{shown}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_join_file_is_read_where_nobody_else_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), line("h:1") + "\n").unwrap();
        assert_eq!(Join::from_file(file.path()).unwrap().to_text(), line("h:1"));
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Join::from_file(file.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_read_is_written_again(text in "(framewire://)?[a-z0-9.:%#\\[\\]é]{0,80}") {
            if let Ok(join) = text.parse::<Join>() {
                proptest::prop_assert_eq!(join.to_text().parse::<Join>().unwrap(), join);
            }
        }
    }
}
