//! One process at the hub's socket: what it is there for, which its first message says, and what it may say after that.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use super::discard::Discard;
use super::listing::{self, Listing, Progress};
use super::patience::Patience;
use super::seat::{Reading, Seat};
use super::stream::{Admitted, Refused, SharedStream};
use super::{Entering, HubShared};
use crate::share::messages::{FromHub, MessageError, Name, PACKET_MAX, Packet, Refusal, ToHub, VERSION, Wanted};
use crate::share::points::{Point, at};
use crate::share::socket::packet::{self, PacketError};
use crate::share::socket::peer::Peer;
use crate::time::Time;

/// Messages that are taken in before others have their turn.
const MESSAGES_A_TURN: usize = 16;

/// How long a process may take for its first message, a reader for mapping what it is granted, and whoever asked which streams there are for
/// reading anything of that.
pub(super) const FIRST_WORD: Duration = Duration::from_secs(5);

/// Why a connection is given up that says more than [`Patience`] bears.
const TOO_MUCH: &str = "it sends more than any program has to say";

/// A process that has connected.
pub(super) struct Connection {
    socket: OwnedFd,
    peer: Peer,
    /// It runs as another user than the hub did when it came.
    is_foreign: bool,
    /// Since when something is to come from it.
    since: Time,
    patience: Patience,
    purpose: Purpose,
    /// What it did wrong, which nobody has been told yet.
    complaint: Option<String>,
    /// Whatever it wants, this is why not. It is told so when it has said what: a connection that is closed before loses the answer.
    turned_away: Option<Refused>,
}

enum Purpose {
    /// It has said nothing yet.
    Unknown,
    Lists(Listing),
    /// The same, which has not read what it was sent before, so that there is no room for more.
    Lags(Listing),
    /// It is to read, and has not mapped its page yet.
    Maps(Place),
    Reads(Place),
    /// It read, and did not keep to the rules: nothing that it says counts any more, and what it holds is its own until it is gone.
    Muted(Place),
}

/// A reader's seat at a stream. It is free again once the reader is known to be [gone](Place::leave). When this is dropped otherwise, the
/// hub's thread ends and knows of nobody any more: the reader is told that the hub is gone, and what it has stays its own.
struct Place {
    stream: Arc<SharedStream>,
    seat: Arc<Seat>,
}

impl Place {
    /// The reader is gone.
    fn leave(self) {
        self.stream.dismiss(&self.seat);
        let Reading { name, pid, .. } = self.seat.reading();
        tracing::info!(reader = name, pid, "a process reads no more");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seat.abandon();
    }
}

/// What becomes of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Stays,
    /// It stays, and is to be told when there is room for what it is sent.
    WantsRoom,
    /// It stays, and is not listened to any more.
    IsMuted,
    /// To be dropped.
    Over,
    /// It is a local sender's: somebody else goes on with it.
    Enters(Box<Entered>),
}

/// What a local sender said first.
#[derive(PartialEq)]
pub(super) struct Entered {
    pub(super) open: crate::wire::Open,
    pub(super) nonce: u64,
    pub(super) network: u64,
}

impl Eq for Entered {}

impl std::fmt::Debug for Entered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the secret.
        f.debug_struct("Entered").field("open", &self.open).field("network", &self.network).finish_non_exhaustive()
    }
}

type Listed<'a> = &'a [(Arc<str>, Arc<SharedStream>)];

impl Connection {
    pub(super) fn new(socket: OwnedFd, peer: Peer, now: Time) -> Self {
        let (patience, purpose) = (Patience::new(now), Purpose::Unknown);
        let is_foreign = !peer.is_own_user();
        Self { socket, peer, is_foreign, since: now, patience, purpose, complaint: None, turned_away: None }
    }

    /// The same, which gets nothing.
    pub(super) fn turned_away(self, refused: Refused) -> Self {
        Self { turned_away: Some(refused), ..self }
    }

    /// The descriptor of its process, which tells of the end of that.
    pub(super) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.peer.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// What it has done wrong since this was asked last, with the numbers of its process and its user.
    pub(super) fn take_complaint(&mut self) -> Option<(String, u32, u32)> {
        self.complaint.take().map(|complaint| (complaint, self.peer.pid, self.peer.uid))
    }

    /// Whether it runs as another user than the hub.
    pub(super) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// Whether it has said nothing for too long.
    pub(super) fn is_mute(&self, now: Time) -> bool {
        self.is_awaited() && now.since(self.since) >= FIRST_WORD
    }

    /// Whether something must come from it soon.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.purpose, Purpose::Unknown | Purpose::Maps(_) | Purpose::Lags(_))
    }

    /// Whether it has not said yet what it is there for.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.purpose, Purpose::Unknown)
    }

    /// Takes in what it says.
    pub(super) fn receive(&mut self, hub: &HubShared, listed: Listed<'_>, now: Time, discard: &mut Discard) -> Outcome {
        let mut bytes = [0; PACKET_MAX];
        for _ in 0..MESSAGES_A_TURN {
            // No program sends a descriptor.
            let received = packet::receive_with(&self.socket, &mut bytes, |alien| discard.discard(alien));
            let len = match received {
                Ok(len) => len,
                Err(PacketError::WouldBlock) => return Outcome::Stays,
                Err(PacketError::Closed) => return Outcome::Over,
                Err(error) => return self.give_up(&error),
            };
            if let Some(refused) = self.turned_away {
                return self.refuse(refused);
            }
            let outcome = match ToHub::parse(&bytes[..len]) {
                Ok(message) => self.handle(message, hub, listed, now),
                Err(error) => self.refuse_nonsense(&error),
            };
            if outcome != Outcome::Stays {
                return outcome;
            }
        }
        Outcome::Stays
    }

    fn handle(&mut self, message: ToHub<'_>, hub: &HubShared, listed: Listed<'_>, now: Time) -> Outcome {
        match (message, &self.purpose) {
            (ToHub::List { watch }, Purpose::Unknown) => {
                self.purpose = Purpose::Lists(Listing::new(watch));
                self.tell(listed, now)
            }
            (ToHub::Subscribe { wanted, stream, program }, Purpose::Unknown) => {
                self.subscribe(hub, wanted, stream, program, now)
            }
            (ToHub::Enter { open, nonce, network }, Purpose::Unknown) => {
                Outcome::Enters(Box::new(Entered { open, nonce, network }))
            }
            (ToHub::Mapped, Purpose::Maps(_)) => self.admit(),
            (ToHub::Told, Purpose::Reads(Place { stream, seat })) => {
                let was_asked = seat.told(now, hub.patience());
                // Where that was not a slot, somebody may still wait for one.
                stream.pool().look_for_slots();
                if was_asked || self.patience.bears_one_more(now) { Outcome::Stays } else { self.give_up(&TOO_MUCH) }
            }
            (ToHub::Leave, Purpose::Reads(Place { stream, seat })) => {
                stream.leave(seat);
                match self.patience.bears_one_more(now) {
                    true => Outcome::Stays,
                    false => self.give_up(&TOO_MUCH),
                }
            }
            _ => self.give_up(&"it says what does not belong here"),
        }
    }

    fn subscribe(
        &mut self,
        hub: &HubShared,
        wanted: Wanted,
        stream: Name<'_>,
        program: Name<'_>,
        now: Time,
    ) -> Outcome {
        let found = hub.lock().directory.find(stream.as_str()).cloned();
        let admitted = found.ok_or(Refusal::NoSuchStream.into()).and_then(|found| {
            let Peer { pid, uid, .. } = self.peer;
            let name = program.as_str().to_owned();
            let reading = Reading { name, pid, uid, is_foreign: self.is_foreign(), wanted };
            found.admit(reading).map(|admitted| (found, admitted))
        });
        let (found, admitted) = match admitted {
            Ok(admitted) => admitted,
            Err(refused) => return self.refuse(refused),
        };
        let Admitted { seat, pool, records, sleeping } = admitted;
        let place = Place { stream: found, seat };
        let Place { stream: found, seat } = &place;
        let Some(described) = listing::described(stream.as_str(), found) else {
            place.leave();
            return self.refuse(Refusal::Message.into());
        };
        at(Point::Granting);
        let shape = found.pool().shape();
        // As of now, and not of when the turn began: the reader tells by it whether the two clocks are one.
        let now_ns = Time::now().as_nanos();
        let message = FromHub::Subscribed { stream: described, shape, wanted, now_ns };
        let descriptors = [pool.as_fd(), records.as_fd(), seat.control_file(), sleeping.as_fd()];
        let sent = packet::send(&self.socket, Packet::from(&message).bytes(), &descriptors);
        if let Err(error) = sent {
            place.leave();
            return self.give_up(&error);
        }
        at(Point::Granted);
        let Reading { name, pid, uid, .. } = seat.reading();
        tracing::info!(stream = stream.as_str(), reader = name, pid, uid, ?wanted, "a process reads a stream");
        (self.purpose, self.since) = (Purpose::Maps(place), now);
        Outcome::Stays
    }

    /// It has mapped its page.
    fn admit(&mut self) -> Outcome {
        match std::mem::replace(&mut self.purpose, Purpose::Unknown) {
            Purpose::Maps(place) => {
                if let Err(error) = place.stream.seat(&place.seat) {
                    place.leave();
                    return self.give_up(&error);
                }
                self.purpose = Purpose::Reads(place);
            }
            purpose => self.purpose = purpose,
        }
        match packet::send(&self.socket, Packet::from(&FromHub::Admitted).bytes(), &[]) {
            Ok(()) => Outcome::Stays,
            // It never read what it was sent before.
            Err(error) => self.give_up(&error),
        }
    }

    /// Tells what it does not know yet, where it lists streams.
    pub(super) fn tell(&mut self, listed: Listed<'_>, now: Time) -> Outcome {
        // One that lags is told the rest when it reads.
        let Purpose::Lists(listing) = &mut self.purpose else { return Outcome::Stays };
        match listing.advance(&self.socket, listed) {
            Progress::Done => Outcome::Stays,
            Progress::Full => {
                if let Purpose::Lists(listing) = std::mem::replace(&mut self.purpose, Purpose::Unknown) {
                    (self.purpose, self.since) = (Purpose::Lags(listing), now);
                }
                Outcome::WantsRoom
            }
            Progress::Gone => Outcome::Over,
        }
    }

    /// It has read something: as [`Connection::tell`].
    pub(super) fn go_on_telling(&mut self, listed: Listed<'_>, now: Time) -> Outcome {
        match std::mem::replace(&mut self.purpose, Purpose::Unknown) {
            Purpose::Lags(listing) => self.purpose = Purpose::Lists(listing),
            purpose => self.purpose = purpose,
        }
        self.tell(listed, now)
    }

    /// Wakes the reader, where that was left to the hub's thread, and sees whether frames have waited for it for too long.
    pub(super) fn tend(&self, now: Time, patience: Duration) -> bool {
        let (Purpose::Reads(Place { seat, .. }) | Purpose::Muted(Place { seat, .. })) = &self.purpose else {
            return false;
        };
        seat.tend(now, patience);
        seat.is_waited_for()
    }

    /// It is gone, or has to go. Returns its socket, to be closed.
    pub(super) fn leave(self) -> OwnedFd {
        self.hang_up();
        if let Purpose::Maps(place) | Purpose::Reads(place) | Purpose::Muted(place) = self.purpose {
            place.leave();
        }
        self.socket
    }

    /// Tells the other end that nothing follows, also where a process that was forked from this one has the socket open.
    pub(super) fn hang_up(&self) {
        let _told = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// Hands the connection of a local sender on.
    pub(super) fn into_entering(self, entered: Entered) -> Entering {
        let Entered { open, nonce, network } = entered;
        Entering { socket: self.socket, peer: self.peer, open, nonce, network }
    }

    fn refuse_nonsense(&mut self, error: &MessageError) -> Outcome {
        match error {
            MessageError::Version(theirs) if self.is_unknown() => {
                let release = "use the same release for both";
                self.complaint = Some(format!("it speaks version {theirs} of sharing, this is {VERSION}; {release}"));
                self.refuse(Refused { refusal: Refusal::Version, number: VERSION.into(), limit: 0 })
            }
            error => self.give_up(error),
        }
    }

    /// Says why not; whoever is refused connects anew.
    pub(super) fn refuse(&self, refused: Refused) -> Outcome {
        let Refused { refusal, number, limit } = refused;
        let message = FromHub::Refused { refusal, number, limit };
        // Whoever does not read this learns by the end of the connection.
        let _told = packet::send(&self.socket, Packet::from(&message).bytes(), &[]);
        Outcome::Over
    }

    /// It does not keep to the rules, and is told so. A reader stays where it is as long as it lives, with what it holds; all others go.
    fn give_up(&mut self, why: &dyn std::fmt::Display) -> Outcome {
        self.complaint = Some(why.to_string());
        match std::mem::replace(&mut self.purpose, Purpose::Unknown) {
            Purpose::Reads(place) => {
                place.seat.expel_for_misconduct();
                // After its page says so.
                self.refuse(Refusal::Message.into());
                self.purpose = Purpose::Muted(place);
                Outcome::IsMuted
            }
            purpose => {
                self.purpose = purpose;
                self.refuse(Refusal::Message.into())
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
