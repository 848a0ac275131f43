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
/// Beyond that one is read each so often, whoever sends it: who forges an address, or shares a place, has its sender wait, and does not keep it
/// out. Costs at most 1 % of a core.
const READ_APART: Duration = Duration::from_millis(4);

/// Counts openings that were read in vain, each place in windows of a second.
#[derive(Debug)]
pub(in crate::driver) struct Patience {
    hasher: RandomState,
    places: [(Time, u32); PLACES],
    /// When one beyond what an address may send is read again.
    next: Time,
}

impl Default for Patience {
    fn default() -> Self {
        Self { hasher: RandomState::new(), places: [(Time::ZERO, 0); PLACES], next: Time::ZERO }
    }
}

impl Patience {
    /// Whether what has come from this address is read now.
    pub(in crate::driver) fn takes(&mut self, address: IpAddr, now: Time) -> bool {
        let (begun, in_vain) = self.places[self.place(address)];
        if in_vain < IN_VAIN_MAX || now.since(begun) >= WINDOW {
            return true;
        }
        let is_time = now >= self.next;
        if is_time {
            self.next = now + READ_APART;
        }
        is_time
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

    /// Of so many openings at once, how many are read.
    fn read(patience: &mut Patience, address: IpAddr, now: Time) -> u32 {
        let lose = |patience: &mut Patience| {
            let is_read = patience.takes(address, now);
            if is_read {
                patience.lose(address, now);
            }
            u32::from(is_read)
        };
        (0..1_000).map(|_| lose(patience)).sum()
    }

    #[test]
    fn an_address_that_asks_in_vain_waits_for_the_next_second_and_others_do_not() {
        let mut patience = Patience::default();
        let bad: IpAddr = "10.0.0.1".parse().unwrap();
        let now = Time::ZERO + Duration::from_secs(9);
        assert_eq!(read(&mut patience, bad, now), IN_VAIN_MAX + 1);
        let others = (0..200_u32).map(|number| IpAddr::from((0x0a01_0000 + number).to_be_bytes()));
        let kept_out = others.filter(|other| !patience.takes(*other, now)).count();
        assert!(kept_out < 50, "{kept_out} of 200");
        // A new window, and not one that has begun already.
        let next = now + WINDOW;
        assert_eq!(read(&mut patience, bad, next), IN_VAIN_MAX + 1);
    }

    #[test]
    fn beyond_that_one_is_read_now_and_then_and_all_addresses_together_cost_no_more() {
        let mut patience = Patience::default();
        let addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| address.parse::<IpAddr>().unwrap());
        let now = Time::ZERO + Duration::from_secs(9);
        for address in addresses {
            read(&mut patience, address, now);
        }
        let mut at = now;
        for _ in 0..10 {
            at = at + READ_APART;
            let all: u32 = addresses.map(|address| read(&mut patience, address, at)).into_iter().sum();
            assert_eq!(all, 1);
        }
    }

    #[test]
    fn the_addresses_of_one_network_are_one() {
        let mut patience = Patience::default();
        for host in 0..=IN_VAIN_MAX {
            let address = format!("2001:db8::{host:x}").parse().unwrap();
            assert!(patience.takes(address, Time::ZERO));
            patience.lose(address, Time::ZERO);
        }
        assert!(!patience.takes("2001:db8::ffff".parse().unwrap(), Time::ZERO));
    }
}
