//! Keeps one connection up: a new one, after a wait, whenever the last has ended, to the same server or the next.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::Instant;

use super::address::ServerUrl;
use super::backoff::random;
use super::dial::Line;
use super::events::{ClientEvent, EventQueue};
use super::servers::{Outcome, Servers};
use super::session::{End, Session};
use super::wishes::Wishes;
use super::{ClientConfig, ClientError};
use crate::limit;
use crate::message::{Refused, Resume};

/// A connection that held for so long was no accident; one that did not makes the next wait longer.
const HELD: Duration = Duration::from_secs(2);

/// One server of the list, and what this client is to it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: ServerUrl,
    pub(super) config: ClientConfig,
    /// Of this server alone: another learns nothing of use there.
    pub(super) resume: Resume,
}

impl Server {
    pub(super) fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let url = ServerUrl::parse(&config.server_url)?;
        let resume = Resume::random().map_err(ClientError::Random)?;
        Ok(Self { url, config, resume })
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
        let mut refusal = None;
        while !self.wishes.wanted().stop {
            let started = Instant::now();
            let url = &self.list.current().url;
            let (reason, outcome) = match self.attempt(&servers) {
                Ok(End::Stopped) => break,
                Ok(end) => self.explain(url, end, started.elapsed() >= HELD, &mut refusal),
                Err(error) => {
                    let why = limit::remedy_for_thread(&error);
                    (format!("no connection could be set up: {error}; {why}"), Outcome::Unreachable)
                }
            };
            let next = servers.next(outcome, Instant::now(), random());
            self.list.current.store(servers.current(), Ordering::Relaxed);
            if let Some(refused) = refusal.take_if(|_| next.is_round_over) {
                self.events.push(ClientEvent::Refused(refused));
            }
            self.events.push(ClientEvent::Retrying { in_: next.in_, attempt: servers.attempts().max(1), reason });
            self.wishes.wait_for_stop(next.in_);
        }
        self.events.end();
    }

    /// What it means that a connection ended so.
    fn explain(&self, url: &ServerUrl, end: End, has_held: bool, refusal: &mut Option<Refused>) -> (String, Outcome) {
        let lost = |reason: String| {
            let reason = format!("the connection to {url} was lost: {reason}");
            self.events.push(ClientEvent::Disconnected { reason: reason.clone() });
            reason
        };
        match end {
            End::Refused(refused) => {
                let reason = format!("{url} refused the connection: {}", refused.message);
                *refusal = Some(refused);
                (reason, Outcome::Refused)
            }
            End::TurnedAway(refused) => {
                let reason = format!("{url} refused what was asked for: {}", refused.message);
                self.events.push(ClientEvent::Disconnected { reason: reason.clone() });
                *refusal = Some(refused);
                (reason, Outcome::Refused)
            }
            End::Distrusted(refused) => {
                let reason = format!("{url} is not connected to: {}", refused.message);
                *refusal = Some(refused);
                (reason, Outcome::Refused)
            }
            End::Stopped => (String::new(), Outcome::Unreachable),
            End::Unreachable { reason } => (format!("{url} cannot be reached: {reason}"), Outcome::Unreachable),
            End::Silent { reason } => (lost(reason), Outcome::Silent),
            End::Moved { reason } => (lost(reason), Outcome::Moved),
            End::Lost { reason } => (lost(reason), if has_held { Outcome::Lost } else { Outcome::Dropped }),
        }
    }

    /// One connection, from the first byte to the last, in a runtime of its own: the task that reads the socket ends with it
    /// for certain.
    fn attempt(&self, servers: &Servers) -> io::Result<End> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut session = Session::new(self.list.current(), &self.events, &self.wishes, &self.line);
        session.give_up_at = servers.give_up_at(Instant::now());
        let end = runtime.block_on(session.run());
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        Ok(end)
    }
}
