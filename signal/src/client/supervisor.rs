//! Keeps one connection up: a new one, after a wait, whenever the last has ended, to the same server or the next.

use std::io;
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::time::Instant;

use super::backoff::random;
use super::dial::Line;
use super::events::{ClientEvent, EventQueue};
use super::incarnation::Incarnation;
use super::refusals::Refusals;
use super::server_list::{Server, ServerList, Whereabouts};
use super::servers::{Outcome, Servers};
use super::session::{End, Session};
use super::wishes::Wishes;
use crate::limit;
use crate::message::Refused;

/// What the client's thread does.
pub(super) struct Supervisor {
    pub(super) list: ServerList,
    pub(super) whereabouts: Arc<Whereabouts>,
    pub(super) events: Arc<EventQueue>,
    pub(super) wishes: Arc<Wishes>,
    pub(super) line: Arc<Line>,
}

impl Supervisor {
    /// Returns when the program wants to stop.
    pub(super) fn run(mut self) {
        let mut servers = Servers::new(self.list.given());
        let mut refusals = Refusals::new(self.list.given());
        let mut incarnation = Incarnation::default();
        let mut away = String::new();
        while !self.wishes.wanted().stop {
            let server = self.list.at(servers.current()).clone();
            let (reason, outcome) = match self.attempt(&server, &servers, &mut incarnation) {
                Ok((End::Stopped, _)) => break,
                Ok((end, has_held)) => {
                    if has_held {
                        self.list.has_held(server.id);
                        servers.has_held();
                        refusals.clear();
                        away.clear();
                    }
                    self.explain(&server, end, has_held, &mut refusals)
                }
                Err(error) => {
                    let why = limit::remedy_for_thread(&error);
                    (format!("no connection could be set up: {error}; {why}"), Outcome::Unreachable)
                }
            };
            if outcome == Outcome::Forgotten {
                tracing::info!("{reason}; it is left out until it is told of again");
            }
            // What is told of is why the others are away.
            if outcome != Outcome::Forgotten || away.is_empty() {
                away = reason;
            }
            // It may have told of others.
            servers.take_over(self.list.len(), self.list.place(server.id));
            let in_ = servers.next(outcome, Instant::now(), random());
            if outcome == Outcome::Forgotten {
                self.list.forget(server.id);
            }
            self.whereabouts.set(self.list.at(servers.current()).clone());
            self.events.push(ClientEvent::Retrying { in_, attempt: servers.attempts().max(1), reason: away.clone() });
            self.wishes.wait_for_stop(in_);
        }
        self.events.end();
    }

    /// What it means that a connection ended so.
    fn explain(&self, server: &Server, end: End, has_held: bool, refusals: &mut Refusals) -> (String, Outcome) {
        let Server { id, url, .. } = server;
        let is_given = self.list.is_given(*id);
        let lost = |reason: String| {
            let reason = format!("the connection to {url} was lost: {reason}");
            self.events.push(ClientEvent::Disconnected { reason: reason.clone() });
            reason
        };
        let mut refuses = |what: &str, refused: Refused| {
            let reason = format!("{url} {what}: {}", refused.message);
            let told = is_given.then(|| refusals.note(*id, refused)).flatten();
            (reason, told.map(ClientEvent::Refused))
        };
        // The servers of a cluster may have tokens of their own. What one refuses to take for now it may take later; until then, others are asked.
        let outcome = match &end {
            End::Distrusted(_) if !is_given => Outcome::Forgotten,
            End::Refused(refused) | End::TurnedAway(refused) if !is_given && !refused.is_for_now() => {
                Outcome::Forgotten
            }
            _ => Outcome::Refused,
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
        (reason, outcome)
    }

    /// One connection, from the first byte to the last, in a runtime of its own: the task that reads the socket ends with it
    /// for certain. How it ended, and whether it had held.
    fn attempt(
        &mut self,
        server: &Server,
        servers: &Servers,
        incarnation: &mut Incarnation,
    ) -> io::Result<(End, bool)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        self.list.listen();
        let mut session = Session::new(server, &mut self.list, &self.events, &self.wishes, &self.line, incarnation);
        session.give_up_at = servers.give_up_at(Instant::now());
        let end = runtime.block_on(session.run());
        let has_held = session.has_held(&end, Instant::now());
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        Ok((end, has_held))
    }
}
