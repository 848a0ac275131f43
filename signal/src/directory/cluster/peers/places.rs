//! The places at which servers are asked: whom announcements name, and which of them answer. No sockets; time is an argument.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::directory::found::Found;
use crate::directory::mdns::FOUND_MAX;
use crate::directory::{GONE_AFTER, LIVE_FOR};
use crate::unpoisoned::unpoisoned;

/// A place, as it is known here and to who asks there.
#[derive(Debug)]
pub(super) struct Place {
    state: Mutex<State>,
    announced: Notify,
}

#[derive(Debug)]
struct State {
    found: Found,
    begun: Instant,
    /// When it answered last with an entry of this cluster.
    answered: Option<Instant>,
}

impl Place {
    pub(super) fn new(found: Found, now: Instant) -> Self {
        Self { state: Mutex::new(State { found, begun: now, answered: None }), announced: Notify::new() }
    }

    pub(super) fn found(&self) -> Found {
        unpoisoned(self.state.lock()).found.clone()
    }

    pub(super) fn url(&self) -> String {
        unpoisoned(self.state.lock()).found.url.clone()
    }

    /// A node of this cluster answered there.
    pub(super) fn answer(&self, now: Instant) {
        unpoisoned(self.state.lock()).answered = Some(now);
    }

    pub(super) fn has_answered(&self) -> bool {
        unpoisoned(self.state.lock()).answered.is_some()
    }

    /// Since it answered, or was found where it never did.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        let state = unpoisoned(self.state.lock());
        now.saturating_duration_since(state.answered.unwrap_or(state.begun))
    }

    /// Once something else is announced of it.
    pub(super) async fn announced_anew(&self) {
        self.announced.notified().await;
    }

    /// Takes over what is announced of the same place, where it is that; else what of it is elsewhere is left.
    fn take(&self, found: &mut Found, now: Instant) -> bool {
        let mut state = unpoisoned(self.state.lock());
        let known = &state.found;
        if (known.port, known.guard) != (found.port, found.guard) {
            return false;
        }
        let has_all = |one: &[IpAddr], other: &[IpAddr]| other.iter().all(|ip| one.contains(ip));
        let is_more = has_all(&found.addresses, &known.addresses);
        let is_less = has_all(&known.addresses, &found.addresses);
        let is_alive = state.answered.is_some_and(|at| now.saturating_duration_since(at) < LIVE_FOR);
        if is_more && !is_less && is_alive && found.incarnation != known.incarnation {
            // It runs as it did: of another run is who has the other addresses.
            found.addresses.retain(|ip| !known.addresses.contains(ip));
            found.url = found.url_at(found.addresses[0]);
            return false;
        }
        if !(is_more || is_less) {
            return false;
        }
        let mut after = found.clone();
        if !is_more {
            // An address that is not named this time may be the one at which it answers.
            (after.addresses, after.url) = (known.addresses.clone(), known.url.clone());
        }
        if *known != after {
            state.found = after;
            self.announced.notify_one();
        }
        true
    }
}

/// What became of an announcement.
#[derive(Debug)]
pub(super) enum Come {
    /// It is asked there already.
    Known,
    /// It is to be asked there: [`Places::ask_by`] says who does.
    New(u64, Arc<Place>),
    /// All others answer.
    NoRoom,
}

/// All places, as many as there is room for.
#[derive(Debug, Default)]
pub(in crate::directory::cluster) struct Places {
    places: BTreeMap<u64, Named>,
    next: u64,
}

#[derive(Debug)]
struct Named {
    /// As it was announced.
    name: String,
    place: Arc<Place>,
    asking: Option<AbortHandle>,
}

impl Places {
    /// Something is announced by this name. Another place of the same name is another place, and the one before is asked as before: who is announced where
    /// somebody else answers takes nothing from who does.
    pub(super) fn come(&mut self, name: String, mut found: Found, now: Instant) -> Come {
        // Where nobody asks any more, nobody hears of it.
        self.forget_finished();
        if self.places.values().any(|known| known.name == name && known.place.take(&mut found, now)) {
            return Come::Known;
        }
        if self.places.len() >= FOUND_MAX && !self.make_room(now) {
            return Come::NoRoom;
        }
        let (number, place) = (self.next, Arc::new(Place::new(found, now)));
        self.next += 1;
        self.places.insert(number, Named { name, place: place.clone(), asking: None });
        Come::New(number, place)
    }

    /// Who asks there.
    pub(super) fn ask_by(&mut self, number: u64, asking: AbortHandle) {
        if let Some(named) = self.places.get_mut(&number) {
            named.asking = Some(asking);
        }
    }

    /// Of those that never answered the one that was found first, else one that is silent for as long as it takes to be gone.
    fn make_room(&mut self, now: Instant) -> bool {
        let rank = |place: &Place| (place.has_answered(), std::cmp::Reverse(place.silence(now)));
        let least = self.places.iter().min_by_key(|(_, named)| rank(&named.place));
        let Some((number, named)) = least else { return true };
        if named.place.has_answered() && named.place.silence(now) < GONE_AFTER {
            return false;
        }
        if let Some(asking) = &named.asking {
            asking.abort();
        }
        let number = *number;
        self.places.remove(&number);
        true
    }

    /// Those that are asked no more.
    pub(super) fn forget_finished(&mut self) {
        self.places.retain(|_, named| !named.asking.as_ref().is_some_and(AbortHandle::is_finished));
    }

    /// Where a node of the cluster answered in the last 6 s.
    pub(in crate::directory::cluster) fn answering(&self, now: Instant) -> Vec<Found> {
        let lives = |named: &&Named| named.place.has_answered() && named.place.silence(now) < LIVE_FOR;
        self.places.values().filter(lives).map(|named| named.place.found()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::entry::Guard;

    fn found(addresses: &[[u8; 4]], port: u16) -> Found {
        let addresses: Vec<_> = addresses.iter().map(|ip| IpAddr::from(*ip)).collect();
        let mut found = Found {
            name: "hall".into(),
            url: String::new(),
            addresses,
            port,
            node: None,
            incarnation: 1,
            version: String::new(),
            guard: Guard::Insecure,
        };
        found.url = found.url_at(found.addresses[0]);
        found
    }

    fn come(places: &mut Places, name: &str, found: Found, now: Instant) -> Option<Arc<Place>> {
        match places.come(name.to_owned(), found, now) {
            Come::New(_, place) => Some(place),
            Come::Known | Come::NoRoom => None,
        }
    }

    #[test]
    fn strangers_that_fill_all_places_give_way_and_who_answers_stays() {
        let (mut places, now) = (Places::default(), Instant::now());
        let ours = come(&mut places, "ours", found(&[[10, 0, 0, 1]], 8080), now).unwrap();
        ours.answer(now);
        for n in 0..3 * FOUND_MAX as u32 {
            let [.., a, b] = n.to_be_bytes();
            let stranger = come(&mut places, &format!("stranger {n}"), found(&[[10, 1, a, b]], 80), now);
            assert!(stranger.is_some(), "{n}");
        }
        assert_eq!(places.places.len(), FOUND_MAX);
        let late = come(&mut places, "late", found(&[[10, 0, 0, 2]], 8080), now + LIVE_FOR / 2).expect("there is room");
        late.answer(now + LIVE_FOR / 2);
        let urls: Vec<_> = places.answering(now + LIVE_FOR / 2).into_iter().map(|found| found.url).collect();
        assert_eq!(urls, ["http://10.0.0.1:8080", "http://10.0.0.2:8080"]);
        // Where all answer there is no room; of those that are silent the longest makes it.
        places.places.values().for_each(|named| named.place.answer(now));
        late.answer(now + LIVE_FOR);
        assert!(matches!(places.come("one more".into(), found(&[[10, 0, 0, 3]], 1), now), Come::NoRoom));
        assert!(come(&mut places, "one more", found(&[[10, 0, 0, 3]], 1), now + GONE_AFTER).is_some());
        assert_eq!(places.answering(now + LIVE_FOR).len(), 1, "the one that answers still");
    }

    #[tokio::test]
    async fn a_place_that_is_asked_no_more_is_asked_anew_as_soon_as_it_is_announced() {
        let (mut places, now) = (Places::default(), Instant::now());
        let mut come = || places.come("hall".into(), found(&[[10, 0, 0, 1]], 8080), now);
        let Come::New(number, _) = come() else { panic!("it is new") };
        assert!(matches!(come(), Come::Known));
        let asking = tokio::spawn(async {});
        let handle = asking.abort_handle();
        asking.await.unwrap();
        places.ask_by(number, handle);
        assert!(matches!(places.come("hall".into(), found(&[[10, 0, 0, 1]], 8080), now), Come::New(..)));
        assert_eq!(places.places.len(), 1);
    }

    #[test]
    fn one_that_a_stranger_announces_elsewhere_goes_on_being_asked_where_it_answers() {
        let (mut places, now) = (Places::default(), Instant::now());
        let ours = come(&mut places, "hall", found(&[[10, 0, 0, 1]], 8080), now).unwrap();
        ours.answer(now);
        for other in [found(&[[10, 0, 0, 66]], 8080), found(&[[10, 0, 0, 1]], 81)] {
            assert!(come(&mut places, "hall", other, now).is_some(), "another place is asked, too");
        }
        assert_eq!(places.answering(now), [ours.found()]);
        // More addresses of the same are the same place, and so are fewer, which take none away.
        let more = found(&[[10, 0, 0, 66], [10, 0, 0, 1], [10, 0, 0, 2]], 8080);
        assert!(come(&mut places, "hall", more.clone(), now).is_none());
        assert!(come(&mut places, "hall", found(&[[10, 0, 0, 2]], 8080), now).is_none());
        assert_eq!(ours.found().addresses, more.addresses);
        assert_eq!(places.places.len(), 3);
    }

    #[test]
    fn another_run_at_more_addresses_while_the_one_that_is_known_answers_is_another_server() {
        let (mut places, now) = (Places::default(), Instant::now());
        let known = come(&mut places, "hall", found(&[[10, 0, 0, 1]], 8080), now).unwrap();
        let mut both = found(&[[10, 0, 0, 1], [10, 0, 0, 2]], 8080);
        both.incarnation = 2;
        known.answer(now);
        let twin = come(&mut places, "hall", both.clone(), now).expect("it is asked, too");
        assert_eq!(twin.found(), Found { incarnation: 2, ..found(&[[10, 0, 0, 2]], 8080) });
        assert_eq!(known.found().addresses.len(), 1);
        // Where it does not answer any more it has moved.
        let (mut places, later) = (Places::default(), now + LIVE_FOR);
        let moved = come(&mut places, "hall", found(&[[10, 0, 0, 1]], 8080), now).unwrap();
        moved.answer(now);
        assert!(come(&mut places, "hall", both.clone(), later).is_none());
        assert_eq!(moved.found(), both);
    }
}
