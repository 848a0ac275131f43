//! The hub's thread: who connects, what they say, who is gone. It waits for all of them at once, and gives each its turn.

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use super::connection::{Connection, FIRST_WORD, Outcome};
use super::discard::Discard;
use super::stream::{Refused, SharedStream};
use super::{Entering, HubShared};
use crate::limit::help;
use crate::share::messages::{FromHub, Packet, Refusal};
use crate::share::socket::listening::Listening;
use crate::share::socket::packet;
use crate::share::socket::peer::{Allowed, Peer};
use crate::time::Time;
use crate::told::{SELDOM, Told};

/// Processes that may be connected at once; of those of other users, at most half.
const CONNECTIONS_MAX: usize = 512;
/// How many beyond that are heard out before they are told so.
const TURNED_AWAY_MAX: usize = 64;
/// Who is accepted before those that are there have their turn.
const ACCEPTS_A_TURN: usize = 16;
/// What is looked at in a turn.
const EVENTS_A_TURN: usize = 64;
/// How often readers are looked after for which frames wait.
const LOOKS: Duration = Duration::from_millis(50);
/// How long nobody is accepted when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const LISTENING: u64 = 0;
const BELL: u64 = 1;
/// The first of the numbers of connections: each has two, one for its socket and one for its process.
const FIRST: u64 = 2;

pub(super) struct Worker {
    epoll: OwnedFd,
    listening: Listening,
    hub: Arc<HubShared>,
    allowed: Allowed,
    connections: BTreeMap<u64, Connection>,
    next: u64,
    foreign: usize,
    /// What is listed, and as of which change.
    listed: Vec<(Arc<str>, Arc<SharedStream>)>,
    generation: u64,
    /// When somebody is accepted again, where nobody is.
    accept_at: Option<Time>,
    /// Of what the system was short of.
    short: Told,
    /// Of users who may not be here.
    strangers: Told,
    /// What processes do wrong, of which each connection may bring one.
    complaints: Told,
    discard: Discard,
}

impl Worker {
    pub(super) fn new(listening: Listening, hub: Arc<HubShared>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listening, EventData::new_u64(LISTENING), EventFlags::IN)?;
        epoll::add(&epoll, &hub.bell, EventData::new_u64(BELL), EventFlags::IN)?;
        let allowed = Allowed::own_and(hub.config.group);
        Ok(Self {
            epoll,
            listening,
            hub,
            allowed,
            connections: BTreeMap::new(),
            next: FIRST,
            foreign: 0,
            listed: Vec::new(),
            generation: 0,
            accept_at: None,
            short: Told::default(),
            strangers: Told::default(),
            complaints: Told::default(),
            discard: Discard::default(),
        })
    }

    pub(super) fn run(mut self) {
        let mut events = [const { MaybeUninit::<Event>::uninit() }; EVENTS_A_TURN];
        let mut waits = false;
        loop {
            let timeout = self.timeout(waits).map(|timeout| Timespec {
                tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: timeout.subsec_nanos().into(),
            });
            let happened = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
                Ok((happened, _)) => happened,
                Err(Errno::INTR) => &mut [],
                Err(error) => {
                    tracing::error!(%error, "the system lets nobody wait for readers in other processes; none is served any more");
                    break;
                }
            };
            let now = Time::now();
            for event in happened {
                self.handle(*event, now);
            }
            if self.hub.lock().is_stopped {
                break;
            }
            self.look_at_directory(now);
            waits = self.tend(now);
        }
        // Readers that live keep what they have: see `Place`.
        self.connections.values().for_each(Connection::hang_up);
    }

    /// How long there is nothing to do, if nothing happens.
    fn timeout(&self, waits: bool) -> Option<Duration> {
        let unknown = self.connections.values().any(Connection::is_awaited).then_some(FIRST_WORD);
        let paused = self.accept_at.map(|_| ACCEPT_PAUSE);
        [waits.then_some(LOOKS), unknown, paused].into_iter().flatten().min()
    }

    fn handle(&mut self, event: Event, now: Time) {
        let flags = event.flags;
        match event.data.u64() {
            LISTENING => self.accept(now),
            BELL => self.hub.bell.heard(),
            number => {
                // The even ones are sockets, the odd ones processes.
                let id = number & !1;
                let is_gone = number != id || flags.intersects(EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR);
                if is_gone {
                    self.dismiss(id);
                    return;
                }
                let Some(connection) = self.connections.get_mut(&id) else { return };
                let mut outcome = Outcome::Stays;
                if flags.contains(EventFlags::OUT) {
                    outcome = connection.go_on_telling(&self.listed, now);
                    if outcome == Outcome::Stays {
                        self.listen_to(id, EventFlags::IN | EventFlags::RDHUP);
                    }
                }
                if outcome == Outcome::Stays
                    && flags.contains(EventFlags::IN)
                    && let Some(connection) = self.connections.get_mut(&id)
                {
                    // What it asks about is what there is by now.
                    if connection.is_unknown() {
                        refresh(&self.hub, &mut self.listed, &mut self.generation);
                    }
                    outcome = connection.receive(&self.hub, &self.listed, now, &mut self.discard);
                    if let Some((why, pid, uid)) = connection.take_complaint()
                        && let Some(times) = self.complaints.news(now, SELDOM)
                    {
                        tracing::warn!(pid, uid, %why, times, "a process is listened to no more");
                    }
                }
                self.follow(id, outcome);
            }
        }
    }

    fn follow(&mut self, id: u64, outcome: Outcome) {
        match outcome {
            Outcome::Stays => {}
            Outcome::WantsRoom => self.listen_to(id, EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP),
            Outcome::IsMuted => self.listen_to(id, EventFlags::RDHUP),
            Outcome::Over => self.dismiss(id),
            Outcome::Enters(entered) => {
                let Some(connection) = self.remove(id) else { return };
                self.hand_on(connection.into_entering(*entered));
            }
        }
    }

    /// A local sender is somebody else's, or refused where nobody takes them.
    fn hand_on(&self, entering: Entering) {
        let takes = self.hub.lock().entrance.clone();
        match takes {
            Some(takes) => takes(entering),
            None => {
                let message = FromHub::Refused { refusal: Refusal::NoSenders, number: 0, limit: 0 };
                let _told = packet::send(&entering.socket, Packet::from(&message).bytes(), &[]);
            }
        }
    }

    fn listen_to(&self, id: u64, flags: EventFlags) {
        if let Some(connection) = self.connections.get(&id)
            && let Err(error) = epoll::modify(&self.epoll, connection, EventData::new_u64(id), flags)
        {
            tracing::debug!(%error, "the system does not say when a process reads again");
        }
    }

    fn accept(&mut self, now: Time) {
        for _ in 0..ACCEPTS_A_TURN {
            match self.listening.accept() {
                Ok(Some(socket)) => self.welcome(socket, now),
                Ok(None) => return,
                Err(error) => {
                    if let Some(times) = self.short.news(now, SELDOM) {
                        tracing::warn!(
                            %error, times, "a process cannot be let in at present; it is tried again: {}", help(&error)
                        );
                    }
                    self.accept_at = Some(now + ACCEPT_PAUSE);
                    self.accept_interest(EventFlags::empty());
                    return;
                }
            }
        }
    }

    fn accept_interest(&self, flags: EventFlags) {
        let _set = epoll::modify(&self.epoll, &self.listening, EventData::new_u64(LISTENING), flags);
    }

    fn welcome(&mut self, socket: OwnedFd, now: Time) {
        let peer = match Peer::of(&socket) {
            Ok(Some(peer)) => peer,
            Ok(None) => return,
            Err(error) => {
                if let Some(times) = self.short.news(now, SELDOM) {
                    tracing::warn!(
                        %error, times, "the system does not say who connects; nobody is let in so: {}", help(&error)
                    );
                }
                return;
            }
        };
        let is_allowed = peer.is_allowed(&socket, self.allowed);
        let (pid, uid) = (peer.pid, peer.uid);
        let mut connection = Connection::new(socket, peer, now);
        let foreign_max = CONNECTIONS_MAX / 2;
        let is_full = self.connections.len() >= CONNECTIONS_MAX;
        let limit = if connection.is_foreign() { foreign_max } else { CONNECTIONS_MAX };
        let too_many = Refused { refusal: Refusal::Connections, number: 0, limit: limit as u64 };
        if !is_allowed {
            if let Some(times) = self.strangers.news(now, SELDOM) {
                tracing::warn!(pid, uid, times, "a process of another user is not let in");
            }
            connection = connection.turned_away(Refusal::User.into());
        } else if is_full || connection.is_foreign() && self.foreign >= foreign_max {
            connection = connection.turned_away(too_many);
        }
        let is_crowded = connection.is_foreign() && self.foreign >= foreign_max + TURNED_AWAY_MAX;
        if is_crowded || self.connections.len() >= CONNECTIONS_MAX + TURNED_AWAY_MAX {
            // There is not even room to hear them out. They are told all the same: the hub is there.
            connection.refuse(too_many);
            return;
        }
        let id = self.next;
        self.next += 2;
        let added = self.watch(&connection, id);
        if let Err(error) = added {
            if let Some(times) = self.short.news(now, SELDOM) {
                tracing::warn!(
                    %error, pid, times, "the system lets nobody wait for one more process: {}", help(&error)
                );
            }
            connection.refuse(Refusal::Resources.into());
            return;
        }
        self.foreign += usize::from(connection.is_foreign());
        self.connections.insert(id, connection);
    }

    fn watch(&self, connection: &Connection, id: u64) -> io::Result<()> {
        epoll::add(&self.epoll, connection, EventData::new_u64(id), EventFlags::IN | EventFlags::RDHUP)?;
        if let Some(pidfd) = connection.pidfd() {
            watch_process(&self.epoll, pidfd, id + 1)?;
        }
        Ok(())
    }

    fn dismiss(&mut self, id: u64) {
        let Some(connection) = self.remove(id) else { return };
        let socket = connection.leave();
        if !self.listening.refuses_descriptors() {
            // Some may be in it that nobody has received.
            self.discard.discard(socket);
        }
    }

    fn remove(&mut self, id: u64) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        self.foreign -= usize::from(connection.is_foreign());
        // Where a process that was forked from this one has them open, they would be told of for ever.
        for descriptor in [Some(connection.as_fd()), connection.pidfd()].into_iter().flatten() {
            let _ours_no_more = epoll::delete(&self.epoll, descriptor);
        }
        Some(connection)
    }

    /// Tells those who want to know what is listed now.
    fn look_at_directory(&mut self, now: Time) {
        if !refresh(&self.hub, &mut self.listed, &mut self.generation) {
            return;
        }
        let mut outcomes = Vec::new();
        for (id, connection) in &mut self.connections {
            let outcome = connection.tell(&self.listed, now);
            if outcome != Outcome::Stays {
                outcomes.push((*id, outcome));
            }
        }
        for (id, outcome) in outcomes {
            self.follow(id, outcome);
        }
    }

    /// Looks after everybody who is there. Returns whether that is to be done again soon.
    fn tend(&mut self, now: Time) -> bool {
        if self.accept_at.is_some_and(|at| now >= at) {
            self.accept_at = None;
            self.accept_interest(EventFlags::IN);
        }
        let mute: Vec<_> = self.connections.iter().filter(|(_, there)| there.is_mute(now)).map(|(id, _)| *id).collect();
        mute.into_iter().for_each(|id| self.dismiss(id));
        let patience = self.hub.patience();
        self.connections.values().fold(false, |waits, connection| connection.tend(now, patience) | waits)
    }
}

/// Takes over what is listed by now. Returns whether that is something else than before.
fn refresh(hub: &HubShared, listed: &mut Vec<(Arc<str>, Arc<SharedStream>)>, generation: &mut u64) -> bool {
    let mut state = hub.lock();
    state.directory.sweep();
    if state.directory.generation() == *generation {
        return false;
    }
    *generation = state.directory.generation();
    let before = std::mem::replace(listed, state.directory.snapshot());
    drop(state);
    // Whose streams are gone give their memory back here, without the lock.
    drop(before);
    true
}

fn watch_process(epoll: &OwnedFd, pidfd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
    Ok(epoll::add(epoll, pidfd, EventData::new_u64(number), EventFlags::IN)?)
}
