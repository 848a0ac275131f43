//! How often an address may ask with what does not fit a key: to find that out costs 30 µs.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Time;

/// Addresses are told apart by so many places, at random: a flood from one holds up few others.
const PLACES: usize = 64;
/// Openings in vain that an address may send in [`WINDOW`]; all places together cost 6 % of a core.
const IN_VAIN_MAX: u32 = 32;
const WINDOW: Duration = Duration::from_secs(1);

/// Counts openings that were read in vain, each place in windows of a second.
#[derive(Debug)]
pub(in crate::driver) struct Patience {
    hasher: RandomState,
    places: [(Time, u32); PLACES],
}

impl Default for Patience {
    fn default() -> Self {
        Self { hasher: RandomState::new(), places: [(Time::ZERO, 0); PLACES] }
    }
}

impl Patience {
    /// Whether what comes from this address is read by now.
    pub(in crate::driver) fn is_left(&self, address: IpAddr, now: Time) -> bool {
        let (begun, in_vain) = self.places[self.place(address)];
        in_vain < IN_VAIN_MAX || now.since(begun) >= WINDOW
    }

    /// What came from it was read in vain.
    pub(in crate::driver) fn lose(&mut self, address: IpAddr, now: Time) {
        let place = self.place(address);
        let (begun, in_vain) = &mut self.places[place];
        if now.since(*begun) >= WINDOW {
            (*begun, *in_vain) = (now, 0);
        }
        *in_vain = in_vain.saturating_add(1);
    }

    fn place(&self, address: IpAddr) -> usize {
        // Of an IPv6 address anybody has 2^64: the network counts.
        let key = match address.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64 | 1 << 63,
        };
        (self.hasher.hash_one(key) % PLACES as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_asks_in_vain_waits_for_the_next_second_and_others_do_not() {
        let mut patience = Patience::default();
        let bad: IpAddr = "10.0.0.1".parse().unwrap();
        let now = Time::ZERO + Duration::from_secs(9);
        for _ in 0..IN_VAIN_MAX {
            assert!(patience.is_left(bad, now));
            patience.lose(bad, now);
        }
        assert!(!patience.is_left(bad, now));
        let others = (0..200_u32).map(|number| IpAddr::from((0x0a01_0000 + number).to_be_bytes()));
        let kept_out = others.filter(|other| !patience.is_left(*other, now)).count();
        assert!(kept_out < 50, "{kept_out} of 200");
        assert!(patience.is_left(bad, now + WINDOW));
        // A new window, and not one that has begun already.
        patience.lose(bad, now + WINDOW);
        assert!(patience.is_left(bad, now + WINDOW));
    }

    #[test]
    fn the_addresses_of_one_network_are_one() {
        let mut patience = Patience::default();
        for host in 0..IN_VAIN_MAX {
            patience.lose(format!("2001:db8::{host:x}").parse().unwrap(), Time::ZERO);
        }
        assert!(!patience.is_left("2001:db8::ffff".parse().unwrap(), Time::ZERO));
    }
}
