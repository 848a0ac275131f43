//! Keeps one connection up: a new one, after a wait, whenever the last has ended, to the same server or the next.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Builder;
use tokio::time::Instant;

use super::address::ServerUrl;
use super::backoff::random;
use super::dial::Line;
use super::events::{ClientEvent, EventQueue};
use super::incarnation::Incarnation;
use super::refusals::Refusals;
use super::servers::{Outcome, Servers};
use super::session::{End, Session};
use super::wishes::Wishes;
use super::{ClientConfig, ClientError};
use crate::limit;
use crate::message::{Refused, Resume};

/// One server of the list, and what this client is to it.
#[derive(Debug)]
pub(super) struct Server {
    /// Its place in the list.
    pub(super) place: usize,
    pub(super) url: ServerUrl,
    pub(super) config: ClientConfig,
    /// Of this server alone: another learns nothing of use there.
    pub(super) resume: Resume,
}

impl Server {
    pub(super) fn new(place: usize, config: ClientConfig) -> Result<Self, ClientError> {
        let url = ServerUrl::parse(&config.server_url)?;
        let resume = Resume::random().map_err(ClientError::Random)?;
        Ok(Self { place, url, config, resume })
    }
}

/// The servers of a client, and at which it is.
#[derive(Debug)]
pub(super) struct ServerList {
    pub(super) servers: Vec<Server>,
    pub(super) current: AtomicUsize,
}

impl ServerList {
    pub(super) fn current(&self) -> &Server {
        &self.servers[self.current.load(Ordering::Relaxed)]
    }
}

/// What the client's thread does.
pub(super) struct Supervisor {
    pub(super) list: Arc<ServerList>,
    pub(super) events: Arc<EventQueue>,
    pub(super) wishes: Arc<Wishes>,
    pub(super) line: Arc<Line>,
}

impl Supervisor {
    /// Returns when the program wants to stop.
    pub(super) fn run(self) {
        let mut servers = Servers::new(self.list.servers.len());
        let mut refusals = Refusals::new(self.list.servers.len());
        let mut incarnation = Incarnation::default();
        while !self.wishes.wanted().stop {
            let (reason, outcome) = match self.attempt(&servers, &mut incarnation) {
                Ok((End::Stopped, _)) => break,
                Ok((end, has_held)) => {
                    if has_held {
                        servers.has_held();
                        refusals.clear();
                    }
                    self.explain(end, has_held, &mut refusals)
                }
                Err(error) => {
                    let why = limit::remedy_for_thread(&error);
                    (format!("no connection could be set up: {error}; {why}"), Outcome::Unreachable)
                }
            };
            let in_ = servers.next(outcome, Instant::now(), random());
            self.list.current.store(servers.current(), Ordering::Relaxed);
            self.events.push(ClientEvent::Retrying { in_, attempt: servers.attempts().max(1), reason });
            self.wishes.wait_for_stop(in_);
        }
        self.events.end();
    }

    /// What it means that a connection ended so.
    fn explain(&self, end: End, has_held: bool, refusals: &mut Refusals) -> (String, Outcome) {
        let Server { place, url, .. } = self.list.current();
        let lost = |reason: String| {
            let reason = format!("the connection to {url} was lost: {reason}");
            self.events.push(ClientEvent::Disconnected { reason: reason.clone() });
            reason
        };
        let mut refuses = |what: &str, refused: Refused| {
            let reason = format!("{url} {what}: {}", refused.message);
            let told = refusals.note(*place, refused);
            (reason, told.map(ClientEvent::Refused))
        };
        let (reason, told) = match end {
            End::Refused(refused) => refuses("refused the connection", refused),
            End::Distrusted(refused) => refuses("is not connected to", refused),
            End::TurnedAway(refused) => {
                let (reason, told) = refuses("refused what was asked for", refused);
                self.events.push(ClientEvent::Disconnected { reason: reason.clone() });
                (reason, told)
            }
            End::Stopped => return (String::new(), Outcome::Unreachable),
            End::Unreachable { reason } => return (format!("{url} cannot be reached: {reason}"), Outcome::Unreachable),
            End::Silent { reason } => return (lost(reason), Outcome::Silent),
            End::Moved { reason } => return (lost(reason), Outcome::Moved),
            End::Lost { reason } => return (lost(reason), if has_held { Outcome::Lost } else { Outcome::Dropped }),
        };
        told.into_iter().for_each(|told| self.events.push(told));
        (reason, Outcome::Refused)
    }

    /// One connection, from the first byte to the last, in a runtime of its own: the task that reads the socket ends with it
    /// for certain. How it ended, and whether it had held.
    fn attempt(&self, servers: &Servers, incarnation: &mut Incarnation) -> io::Result<(End, bool)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut session = Session::new(self.list.current(), &self.events, &self.wishes, &self.line, incarnation);
        session.give_up_at = servers.give_up_at(Instant::now());
        let end = runtime.block_on(session.run());
        let has_held = session.has_held(&end, Instant::now());
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        Ok((end, has_held))
    }
}
