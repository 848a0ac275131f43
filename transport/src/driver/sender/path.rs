//! Which way frames take to a receiver.

use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::str::FromStr;

use thiserror::Error;

/// Which ways a sender may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PathChoice {
    /// Shared memory where the receiver's address is one of this machine's own and a program shares streams there; else UDP. Slices, parity,
    /// a link or a backend that were asked for mean UDP.
    #[default]
    Auto,
    /// Datagrams, on one machine too.
    Udp,
    /// Shared memory and nothing else: where that cannot be, the stream does not open, and the errors say why.
    Shm,
}

/// Why a text is no way.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("frames go by 'auto', 'udp' or 'shm'; not by '{0}'")]
pub struct PathChoiceError(String);

impl PathChoice {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Udp, Self::Shm];

    /// As it is written: `auto`, `udp`, `shm`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Udp => "udp",
            Self::Shm => "shm",
        }
    }
}

impl fmt::Display for PathChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PathChoice {
    type Err = PathChoiceError;

    fn from_str(text: &str) -> Result<Self, PathChoiceError> {
        let choice = Self::ALL.into_iter().find(|choice| choice.name() == text);
        choice.ok_or_else(|| PathChoiceError(text.chars().take(40).collect()))
    }
}

/// Whether an address belongs to this process's own network namespace. A socket's file reaches across namespaces, an address does not:
/// two of them are two hosts.
pub(super) fn is_own_address(peer: SocketAddr) -> bool {
    let ip = peer.ip();
    // What nobody has can be bound to.
    let can_be = !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::from([255; 4]);
    let mut local = peer;
    local.set_port(0);
    can_be && UdpSocket::bind(local).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_as_it_is_written_and_nothing_else_is() {
        for choice in PathChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let error = PathChoice::from_str(&"x".repeat(100)).unwrap_err().to_string();
        assert!(error.contains("'auto', 'udp' or 'shm'") && error.len() < 100, "{error}");
    }

    #[test]
    fn only_what_is_bound_here_is_this_machines_own() {
        let is_own = |text: &str| is_own_address(text.parse().unwrap());
        assert!(is_own("127.0.0.1:7001") && is_own("127.9.9.9:1"));
        // Documentation's, a group's, everybody's and nobody's.
        assert!(!is_own("192.0.2.1:7001") && !is_own("239.1.1.1:7001"));
        assert!(!is_own("255.255.255.255:7001") && !is_own("0.0.0.0:7001") && !is_own("[::]:7001"));
    }
}
