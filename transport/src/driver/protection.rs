//! Whether streams are protected, by what a program has said and where they go.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// Whether the frames of a stream are encrypted, and both ends prove that they have its key.
///
/// Shared memory is never encrypted, whatever is said here: nobody but the system's user comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Protection {
    /// With a key, protected, on loopback too. Without one, plain on loopback; beyond it nothing is sent or received, and an error says
    /// so.
    #[default]
    Auto,
    /// Protected, on loopback too: without a key, an error.
    On,
    /// Plain: whoever is on the way can read the frames and send others in their place. For networks that you trust. With a key, an
    /// error.
    Off,
}

/// Why a text is no protection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("streams are protected as 'auto', 'on' or 'off' says; not '{0}'")]
pub struct ProtectionParseError(String);

impl Protection {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::On, Self::Off];

    /// As it is written: `auto`, `on`, `off`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }

    /// Whether a stream that goes over this address, the receiver's, is protected, where there is a key for it or is none.
    ///
    /// # Errors
    /// What was said cannot be.
    pub(super) fn decide(self, has_key: bool, address: SocketAddr) -> Result<bool, Undecided> {
        match (self, has_key) {
            (Self::Auto | Self::On, true) => Ok(true),
            (Self::Off, false) => Ok(false),
            (Self::Auto, false) if is_loopback(address.ip()) => Ok(false),
            (Self::Auto, false) => Err(Undecided::Unprotected),
            (Self::On, false) => Err(Undecided::NoKey),
            (Self::Off, true) => Err(Undecided::KeyUnused),
        }
    }
}

/// Why it cannot be said whether a stream is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undecided {
    /// It would leave the machine in plain text without anybody having said so.
    Unprotected,
    /// It is to be protected, and has no key.
    NoKey,
    /// It has a key, and is not to be protected.
    KeyUnused,
}

/// Whether what is sent there never leaves the machine; IPv4 addresses that are written as IPv6 ones are what they are.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protection {
    type Err = ProtectionParseError;

    fn from_str(text: &str) -> Result<Self, ProtectionParseError> {
        let protection = Self::ALL.into_iter().find(|protection| protection.name() == text);
        protection.ok_or_else(|| ProtectionParseError(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protection_is_read_as_it_is_written_and_nothing_else_is() {
        for protection in Protection::ALL {
            assert_eq!(protection.to_string().parse(), Ok(protection));
        }
        let error = Protection::from_str(&"x".repeat(100)).unwrap_err().to_string();
        assert!(error.contains("'auto', 'on' or 'off'") && error.len() < 120, "{error}");
    }

    #[test]
    fn nothing_leaves_the_machine_in_plain_text_unless_that_was_said() {
        use Protection::{Auto, Off, On};
        for (address, is_local) in [
            ("127.0.0.1:7", true),
            ("127.9.9.9:7", true),
            ("[::1]:7", true),
            ("[::ffff:127.0.0.1]:7", true),
            ("10.0.0.1:7", false),
            ("0.0.0.0:7", false),
            ("[::]:7", false),
            ("[::ffff:10.0.0.1]:7", false),
        ] {
            let decide = |protection: Protection, has_key| protection.decide(has_key, address.parse().unwrap());
            assert_eq!([decide(Auto, true), decide(On, true)], [Ok(true); 2], "{address}");
            assert_eq!(
                decide(Auto, false),
                if is_local { Ok(false) } else { Err(Undecided::Unprotected) },
                "{address}"
            );
            assert_eq!(decide(On, false), Err(Undecided::NoKey));
            assert_eq!((decide(Off, true), decide(Off, false)), (Err(Undecided::KeyUnused), Ok(false)));
        }
    }
}
