//! Keeps one connection up: a new one, after a wait, whenever the last has ended.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

use super::ClientConfig;
use super::address::ServerUrl;
use super::backoff::Backoff;
use super::dial::Line;
use super::events::{ClientEvent, EventQueue};
use super::session::{End, Session};
use super::wishes::Wishes;
use crate::limit;
use crate::message::Resume;

/// A connection that held for so long was no accident; one that did not makes the next wait longer.
const HELD: Duration = Duration::from_secs(2);

/// What the client's thread does.
pub(super) struct Supervisor {
    url: ServerUrl,
    config: ClientConfig,
    resume: Resume,
    events: Arc<EventQueue>,
    wishes: Arc<Wishes>,
    line: Arc<Line>,
}

impl Supervisor {
    pub(super) fn new(
        url: ServerUrl,
        config: ClientConfig,
        resume: Resume,
        events: Arc<EventQueue>,
        wishes: Arc<Wishes>,
        line: Arc<Line>,
    ) -> Self {
        Self { url, config, resume, events, wishes, line }
    }

    /// Returns when the program wants to stop.
    pub(super) fn run(self) {
        let mut backoff = Backoff::default();
        while !self.wishes.wanted().stop {
            let started = Instant::now();
            let (reason, is_refused) = match self.attempt() {
                Ok(End::Stopped) => break,
                Ok(End::Refused(refused)) => {
                    let reason = format!("{} refused the connection: {}", self.url, refused.message);
                    self.events.push(ClientEvent::Refused(refused));
                    (reason, true)
                }
                Ok(End::Distrusted(refused)) => {
                    let reason = format!("{} is not connected to: {}", self.url, refused.message);
                    self.events.push(ClientEvent::Refused(refused));
                    (reason, true)
                }
                Ok(End::Unreachable { reason }) => (format!("{} cannot be reached: {reason}", self.url), false),
                Ok(End::Lost { reason }) => {
                    if started.elapsed() >= HELD {
                        backoff.reset();
                    }
                    let reason = format!("the connection to {} was lost: {reason}", self.url);
                    self.events.push(ClientEvent::Disconnected { reason: reason.clone() });
                    (reason, false)
                }
                Err(error) => {
                    (format!("no connection could be set up: {error}; {}", limit::remedy_for_thread(&error)), false)
                }
            };
            let in_ = backoff.next_at_random(is_refused);
            self.events.push(ClientEvent::Retrying { in_, attempt: backoff.attempts(), reason });
            self.wishes.wait_for_stop(in_);
        }
        self.events.end();
    }

    /// One connection, from the first byte to the last, in a runtime of its own: the task that reads the socket ends with it
    /// for certain.
    fn attempt(&self) -> io::Result<End> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let session = Session::new(&self.url, &self.config, &self.resume, &self.events, &self.wishes, &self.line);
        let end = runtime.block_on(session.run());
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        Ok(end)
    }
}
