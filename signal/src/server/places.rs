//! Places, for connections and for those who hold one: so many in all, a share of them for one address, and some kept for
//! those who have proved who they are.
//!
//! Of all places a quarter is kept for the proven. Of the others one address may hold three quarters, so that it never shuts
//! out another.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use thiserror::Error;

use crate::unpoisoned::unpoisoned;

/// Whom a quota counts as one: an IPv4 address, or the /64 of an IPv6 address, which is what one host has at the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Neighbour(IpAddr);

impl From<IpAddr> for Neighbour {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
            }
            other => other,
        })
    }
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Full {
    /// One address has its share; how many that is.
    #[error("your address holds {0} places, the most that one may have here; give some back")]
    Address(usize),
    /// All that this asker may have are taken; how many those are: all of them for the proven, three quarters for others.
    #[error("all {0} places are taken; try again later")]
    All(usize),
}

/// So many places, for connections or for those who hold one, shared out so that no address takes all: of all places a quarter is kept for
/// those who have proved who they are, of the others one [`Neighbour`] may hold three quarters.
#[derive(Debug)]
pub struct Places {
    max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    unproven: HashMap<Neighbour, usize>,
    unproven_total: usize,
    proven: usize,
}

impl Places {
    /// `max` places.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: Mutex::default() })
    }

    /// How many there are.
    pub fn max(&self) -> usize {
        self.max
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        let taken = self.lock();
        taken.unproven_total + taken.proven
    }

    /// A place for somebody who has proved nothing.
    ///
    /// # Errors
    /// There is none for this address, or none at all.
    pub fn take(self: &Arc<Self>, from: Neighbour) -> Result<Place, Full> {
        let unproven_max = self.max - self.max / 4;
        let address_max = unproven_max - unproven_max / 4;
        let mut taken = self.lock();
        if taken.unproven_total >= unproven_max || taken.unproven_total + taken.proven >= self.max {
            return Err(Full::All(unproven_max));
        }
        let of_address = taken.unproven.get(&from).copied().unwrap_or(0);
        if of_address >= address_max {
            return Err(Full::Address(address_max));
        }
        taken.unproven.insert(from, of_address + 1);
        taken.unproven_total += 1;
        Ok(self.place(from, UNPROVEN))
    }

    /// A place for somebody who has proved who they are.
    ///
    /// # Errors
    /// There is none at all.
    pub fn take_proven(self: &Arc<Self>, from: Neighbour) -> Result<Place, Full> {
        let mut taken = self.lock();
        if taken.unproven_total + taken.proven >= self.max {
            return Err(Full::All(self.max));
        }
        taken.proven += 1;
        Ok(self.place(from, PROVEN))
    }

    /// The addresses that hold places that are not the proven's; who holds most comes first.
    pub(super) fn by_greed(&self) -> Vec<Neighbour> {
        let taken = self.lock();
        let mut holders: Vec<_> = taken.unproven.iter().map(|(from, places)| (*places, *from)).collect();
        drop(taken);
        holders.sort_unstable_by_key(|(places, _)| std::cmp::Reverse(*places));
        holders.into_iter().map(|(_, from)| from).collect()
    }

    fn place(self: &Arc<Self>, from: Neighbour, standing: u8) -> Place {
        Place { places: self.clone(), from, standing: AtomicU8::new(standing) }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing under the lock leaves it half changed.
        unpoisoned(self.taken.lock())
    }
}

impl Taken {
    fn give_back_unproven(&mut self, from: Neighbour) {
        self.unproven_total -= 1;
        if let Some(places) = self.unproven.get_mut(&from) {
            *places -= 1;
            if *places == 0 {
                self.unproven.remove(&from);
            }
        }
    }
}

const UNPROVEN: u8 = 0;
const PROVEN: u8 = 1;
const GIVEN_BACK: u8 = 2;

/// A place that is taken; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    from: Neighbour,
    standing: AtomicU8,
}

impl Place {
    /// Whoever holds it has proved who they are: it counts for their address no more.
    pub fn prove(&self) {
        let mut taken = self.places.lock();
        if self.standing.compare_exchange(UNPROVEN, PROVEN, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            taken.give_back_unproven(self.from);
            taken.proven += 1;
        }
    }

    /// Whether its holder has proved who they are.
    pub fn is_proven(&self) -> bool {
        self.standing.load(Ordering::Relaxed) == PROVEN
    }

    /// Gives it back at once.
    pub(super) fn give_back(&self) {
        let mut taken = self.places.lock();
        match self.standing.swap(GIVEN_BACK, Ordering::Relaxed) {
            UNPROVEN => taken.give_back_unproven(self.from),
            PROVEN => taken.proven -= 1,
            _ => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Neighbour {
        address.parse::<IpAddr>().unwrap().into()
    }

    fn take_all(places: &Arc<Places>, address: &str) -> (Vec<Place>, Full) {
        let mut taken = Vec::new();
        loop {
            match places.take(from(address)) {
                Ok(place) => taken.push(place),
                Err(full) => return (taken, full),
            }
        }
    }

    #[test]
    fn an_address_has_its_share_another_has_room_and_the_proven_have_a_quarter_to_themselves() {
        let places = Places::new(64);
        let (first, full) = take_all(&places, "10.0.0.1");
        assert_eq!((first.len(), full), (36, Full::Address(36)));
        let (second, full) = take_all(&places, "10.0.0.2");
        assert_eq!((second.len(), full), (12, Full::All(48)));
        let proven: Vec<_> = (0..16).map(|_| places.take_proven(from("10.0.0.1")).unwrap()).collect();
        assert_eq!(places.take_proven(from("10.0.0.3")).unwrap_err(), Full::All(64));
        assert_eq!(places.taken(), 64);
        drop((first, proven));
        assert_eq!(take_all(&places, "10.0.0.3").0.len(), 36);
        drop(second);
        assert_eq!((places.taken(), places.by_greed()), (0, vec![]));
    }

    #[test]
    fn who_proves_who_they_are_counts_for_their_address_no_more() {
        let places = Places::new(64);
        let (taken, _) = take_all(&places, "10.0.0.1");
        taken[0].prove();
        taken[0].prove();
        assert!(taken[0].is_proven());
        let another = places.take(from("10.0.0.1")).unwrap();
        assert_eq!(places.taken(), 37);
        another.give_back();
        drop((taken, another));
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn a_host_is_one_neighbour_however_many_addresses_its_network_gives_it() {
        assert_eq!(from("2001:db8::1"), from("2001:db8::ffff:2"));
        assert_ne!(from("2001:db8::1"), from("2001:db8:0:1::1"));
        assert_eq!(from("::ffff:10.0.0.1"), from("10.0.0.1"));
        assert_ne!(from("::1"), from("::2"));
    }

    #[test]
    fn few_places_are_all_for_whoever_comes() {
        assert_eq!(take_all(&Places::new(1), "10.0.0.1").0.len(), 1);
        assert_eq!(take_all(&Places::new(2), "10.0.0.1").0.len(), 2);
    }
}
