//! Who has a connection. One that is full of idle ones makes room: the oldest of the address that has most goes.
//!
//! A connection is idle while no request is answered on it; a WebSocket never is. So an address that holds its share with
//! idle ones keeps nobody out, not even itself.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use tokio::sync::{Notify, oneshot};

use super::places::{Full, Neighbour, Place, Places};
use crate::pin::Pin;
use crate::unpoisoned::unpoisoned;

/// All connections.
pub(super) struct Seats {
    places: Arc<Places>,
    seated: Mutex<HashMap<u64, Arc<Seat>>>,
    /// Counts what becomes of connections, to tell which was idle first.
    events: AtomicU64,
}

/// One connection, as those who answer its requests know it: `pages` of [`SignalServer::start_with_pages`](crate::SignalServer::start_with_pages)
/// find it among the extensions of each request.
#[derive(Debug, Clone)]
pub struct Connected(Arc<Seat>);

#[derive(Debug)]
struct Seat {
    id: u64,
    peer: SocketAddr,
    local: SocketAddr,
    place: Place,
    use_: Mutex<Use>,
    left: Notify,
    /// The key that TLS has proved.
    key: OnceLock<Pin>,
    /// Ends the connection, whatever it has become.
    cut: Mutex<Option<oneshot::Sender<()>>>,
}

#[derive(Debug)]
struct Use {
    requests: usize,
    idle_since: u64,
}

impl Seats {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { places: Places::new(max), seated: Mutex::default(), events: AtomicU64::new(0) })
    }

    /// A seat for a connection from `peer` to `local`, where there is one or an idle one makes room.
    pub(super) fn take(self: &Arc<Self>, peer: SocketAddr, local: SocketAddr) -> Result<Taken, Full> {
        let from = Neighbour::from(peer.ip());
        let place = self.places.take(from).or_else(|full| {
            let holders = match full {
                Full::Address(_) => vec![from],
                Full::All(_) => self.places.by_greed(),
            };
            let has_room = holders.into_iter().any(|holder| self.make_room(holder));
            if has_room { self.places.take(from) } else { Err(full) }
        })?;
        let id = self.next_event();
        let use_ = Mutex::new(Use { requests: 0, idle_since: id });
        let (cut, is_cut) = oneshot::channel();
        let (left, key, cut) = (Notify::new(), OnceLock::new(), Mutex::new(Some(cut)));
        let seat = Arc::new(Seat { id, peer, local, place, use_, left, key, cut });
        self.lock().insert(id, seat.clone());
        Ok(Taken { seats: self.clone(), connected: Connected(seat), is_cut: Mutex::new(Some(is_cut)) })
    }

    /// Has the connection of this address that has been idle for longest end.
    fn make_room(&self, greedy: Neighbour) -> bool {
        let seated = self.lock();
        let idle = seated.values().filter(|seat| Neighbour::from(seat.peer.ip()) == greedy && !seat.place.is_proven());
        let oldest = idle.filter_map(|seat| Some((seat.idle_since()?, seat))).min_by_key(|(since, _)| *since);
        let Some((_, oldest)) = oldest else { return false };
        let oldest = oldest.clone();
        drop(seated);
        tracing::debug!("an idle connection of {} made room for another", oldest.peer);
        oldest.place.give_back();
        oldest.left.notify_one();
        self.lock().remove(&oldest.id);
        true
    }

    fn next_event(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Seat>>> {
        unpoisoned(self.seated.lock())
    }
}

impl Seat {
    fn idle_since(&self) -> Option<u64> {
        let use_ = unpoisoned(self.use_.lock());
        (use_.requests == 0).then_some(use_.idle_since)
    }
}

impl Connected {
    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// This end.
    pub fn local(&self) -> SocketAddr {
        self.0.local
    }

    /// Whom quotas count it for.
    pub fn neighbour(&self) -> Neighbour {
        self.0.peer.ip().into()
    }

    /// The pin of the key that TLS has proved over it; `None` where everything is said plainly.
    pub fn key(&self) -> Option<Pin> {
        self.0.key.get().copied()
    }

    /// Whether nobody in between can read or change what is said: whether it is TLS.
    pub fn is_protected(&self) -> bool {
        self.key().is_some()
    }

    /// Notes that TLS has proved this key.
    pub(super) fn protect(&self, key: Pin) {
        // Once a connection.
        let _ = self.0.key.set(key);
    }

    /// Ends it, also when it has long become a WebSocket.
    pub(super) fn end(&self) {
        if let Some(cut) = unpoisoned(self.0.cut.lock()).take() {
            // It may have ended by itself.
            let _ = cut.send(());
        }
    }

    /// Notes that who is at the other end has proved who they are, by a token or a password: such a connection counts for its
    /// address no more.
    pub fn prove(&self) {
        self.0.place.prove();
    }

    /// A place of other kind, for who is at the other end.
    ///
    /// # Errors
    /// There is none for this address, or none at all.
    pub fn take(&self, places: &Arc<Places>) -> Result<Place, Full> {
        if self.0.place.is_proven() { places.take_proven(self.neighbour()) } else { places.take(self.neighbour()) }
    }
}

/// A seat that is taken, given up when this is dropped.
pub(super) struct Taken {
    seats: Arc<Seats>,
    connected: Connected,
    is_cut: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Taken {
    /// What says that the connection is to end, for who reads from it; once.
    pub(super) fn take_cut(&self) -> Option<oneshot::Receiver<()>> {
        unpoisoned(self.is_cut.lock()).take()
    }

    pub(super) fn connected(&self) -> Connected {
        self.connected.clone()
    }

    /// A request has come, and is under way until what this returns is dropped.
    pub(super) fn begin_request(&self) -> UnderWay {
        unpoisoned(self.connected.0.use_.lock()).requests += 1;
        UnderWay { seats: self.seats.clone(), connected: self.connected(), stays: false }
    }

    /// Returns once the connection is to make room for another.
    pub(super) async fn left(&self) {
        self.connected.0.left.notified().await;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.seats.lock().remove(&self.connected.0.id);
        // Those who answered its requests may still know it.
        self.connected.0.place.give_back();
    }
}

/// A request that is being answered.
pub(super) struct UnderWay {
    seats: Arc<Seats>,
    connected: Connected,
    stays: bool,
}

impl UnderWay {
    /// The connection has become another than HTTP's, and is in use to its end.
    pub(super) fn stays(mut self) {
        self.stays = true;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        let mut use_ = unpoisoned(self.connected.0.use_.lock());
        use_.requests -= 1;
        use_.idle_since = self.seats.next_event();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats() -> Arc<Seats> {
        Seats::new(8)
    }

    fn sit(seats: &Arc<Seats>, host: u8, port: u16) -> Result<Taken, Full> {
        seats.take(([10, 0, 0, host], port).into(), ([10, 0, 0, 9], 8080).into())
    }

    /// The share of one address, idle.
    fn fill(seats: &Arc<Seats>) -> Vec<Taken> {
        (0..5).map(|port| sit(seats, 1, port).unwrap()).collect()
    }

    async fn has_left(taken: &Taken) -> bool {
        tokio::select! {
            biased;
            () = taken.left() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn the_connection_that_was_idle_for_longest_makes_room() {
        let seats = seats();
        let held = fill(&seats);
        // Its request has been answered since: the second is the oldest now.
        drop(held[0].begin_request());
        let _sixth = sit(&seats, 1, 6).unwrap();
        let mut left = Vec::new();
        for taken in &held {
            left.push(has_left(taken).await);
        }
        assert_eq!(left, [false, true, false, false, false]);
    }

    #[tokio::test]
    async fn what_is_in_use_or_proven_stays_and_one_more_finds_no_seat() {
        let seats = seats();
        let held = fill(&seats);
        let under_way: Vec<_> = held.iter().map(Taken::begin_request).collect();
        assert_eq!(sit(&seats, 1, 6).err(), Some(Full::Address(5)));
        let other = sit(&seats, 2, 1).expect("another address has room");
        other.connected().prove();
        for taken in under_way {
            taken.stays();
        }
        assert_eq!(sit(&seats, 1, 6).err(), Some(Full::Address(5)), "a WebSocket is in use to its end");
        drop(held);
        assert_eq!(seats.places.taken(), 1);
        drop(other);
        assert!(seats.places.taken() == 0 && seats.lock().is_empty());
    }

    #[tokio::test]
    async fn when_who_has_most_uses_all_of_it_the_next_makes_room() {
        let seats = seats();
        let held = fill(&seats);
        let _under_way: Vec<_> = held.iter().map(Taken::begin_request).collect();
        let idle = sit(&seats, 2, 1).unwrap();
        let _third = sit(&seats, 3, 1).expect("the idle one of another address makes room");
        assert!(has_left(&idle).await);
    }

    #[tokio::test]
    async fn when_all_are_taken_the_address_that_has_most_makes_room() {
        let seats = seats();
        let held = fill(&seats);
        let _second = sit(&seats, 2, 1).unwrap();
        let _third = sit(&seats, 3, 1).unwrap();
        assert!(has_left(&held[0]).await && !has_left(&held[1]).await);
    }

    #[test]
    fn a_seat_is_free_when_its_connection_ends_though_others_still_know_it() {
        let seats = seats();
        let connected = sit(&seats, 1, 1).unwrap().connected();
        assert_eq!(seats.places.taken(), 0);
        connected.prove();
        assert_eq!((seats.places.taken(), connected.peer().port()), (0, 1));
    }
}
