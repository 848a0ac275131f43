//! Cookies show that an address can hear us. They are computed, not stored: an opening from an address that has not proved
//! itself leaves nothing behind.

#[expect(deprecated, reason = "the standard library's only keyed hash: SipHash-2-4 is a MAC under a secret key")]
use std::hash::SipHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::time::Time;

/// Cookies change with this period; one is good for this one and the next.
const COOKIE_PERIOD: Duration = Duration::from_secs(30);
/// No cookie is good for longer.
pub(super) const COOKIE_LIFE: Duration = Duration::from_secs(60);

/// Makes cookies, and knows its own again.
pub(in crate::driver) struct Cookies {
    /// Of SipHash, from the system's generator: nobody can make a cookie for an address that is not his.
    key: [u64; 2],
}

impl Cookies {
    /// With a key of their own.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(in crate::driver) fn new() -> io::Result<Self> {
        let number = || getrandom::u64().map_err(|error| io::Error::other(format!("no random key: {error}")));
        Ok(Self { key: [number()?, number()?] })
    }

    pub(in crate::driver) fn cookie(&self, peer: SocketAddr, stream: u32, now: Time) -> u64 {
        self.of_period(peer, stream, Self::period(now))
    }

    pub(in crate::driver) fn is_good(&self, cookie: u64, peer: SocketAddr, stream: u32, now: Time) -> bool {
        let period = Self::period(now);
        [period, period.wrapping_sub(1)].into_iter().any(|period| cookie == self.of_period(peer, stream, period))
    }

    /// Another good one in place of one that is good: who had that has to begin a new opening with it.
    pub(in crate::driver) fn another(&self, cookie: u64, peer: SocketAddr, stream: u32, now: Time) -> u64 {
        let newest = self.cookie(peer, stream, now);
        if newest == cookie { self.of_period(peer, stream, Self::period(now).wrapping_sub(1)) } else { newest }
    }

    fn period(now: Time) -> u64 {
        now.as_nanos() / COOKIE_PERIOD.as_nanos() as u64
    }

    #[expect(deprecated, reason = "as above")]
    fn of_period(&self, peer: SocketAddr, stream: u32, period: u64) -> u64 {
        let mut hasher = SipHasher::new_with_keys(self.key[0], self.key[1]);
        (peer, stream, period).hash(&mut hasher);
        // Zero means "no cookie yet".
        hasher.finish().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_its_address_and_stream_and_a_while() {
        let cookies = Cookies::new().unwrap();
        let (peer, other) = ("10.0.0.1:5".parse().unwrap(), "10.0.0.2:5".parse().unwrap());
        let now = Time::from_nanos(7) + COOKIE_PERIOD * 10;
        let cookie = cookies.cookie(peer, 3, now);
        assert!(cookies.is_good(cookie, peer, 3, now));
        assert!(cookies.is_good(cookie, peer, 3, now + COOKIE_PERIOD));
        assert!(!cookies.is_good(cookie, peer, 3, now + COOKIE_PERIOD * 2));
        let another = cookies.another(cookie, peer, 3, now);
        assert!(another != cookie && cookies.is_good(another, peer, 3, now));
        assert_eq!(cookies.another(another, peer, 3, now), cookie);
        assert_eq!(cookies.another(cookie, peer, 3, now + COOKIE_PERIOD), cookies.cookie(peer, 3, now + COOKIE_PERIOD));
        assert!(!cookies.is_good(cookie, other, 3, now));
        assert!(!cookies.is_good(cookie, peer, 4, now));
        assert!(!Cookies::new().unwrap().is_good(cookie, peer, 3, now));
    }
}
