//! What the program wants to watch, and how far that has come over one connection.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::events::ClientEvent;
use crate::message::{Unwatched, WatchReply, WatchRequest, Watching};

/// How long a server may take to answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that wait for their answers: one less than a server lets one client have under way, for the one that opens a stream.
const UNDER_WAY_MAX: usize = 3;
/// Those below are of what else is asked for.
const FIRST_NUMBER: u64 = 16;

/// The wishes of one connection.
#[derive(Debug, Default)]
pub(super) struct Watches {
    entries: Vec<Entry>,
    numbers: u64,
}

#[derive(Debug)]
struct Entry {
    request: WatchRequest,
    is_wanted: bool,
    state: State,
    refusals: Backoff,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Something is to be said, then.
    ToSay(Option<Instant>),
    Said {
        number: u64,
        deadline: Instant,
        /// Whether that was `watch`, and not `unwatch`.
        is_watch: bool,
        /// Whether something else is wanted by now.
        is_stale: bool,
    },
    /// The server has taken the wish.
    Stands,
    /// It has not, and is not asked again.
    Refused,
}

/// What is to be said to the server, as the request of this number.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Say {
    Watch(u64, WatchRequest),
    Unwatch(u64, u32),
}

impl Watches {
    /// What is wanted now.
    pub(super) fn want(&mut self, wanted: &[WatchRequest]) {
        for request in wanted {
            match self.entries.iter_mut().find(|entry| entry.request.stream == request.stream) {
                Some(entry) if entry.is_wanted && entry.request == *request => {}
                Some(entry) => {
                    (entry.request, entry.is_wanted) = (request.clone(), true);
                    entry.change();
                }
                None => self.entries.push(Entry {
                    request: request.clone(),
                    is_wanted: true,
                    state: State::ToSay(None),
                    refusals: Backoff::default(),
                }),
            }
        }
        for entry in &mut self.entries {
            let is_wanted = wanted.iter().any(|request| request.stream == entry.request.stream);
            if entry.is_wanted && !is_wanted {
                entry.is_wanted = false;
                match entry.state {
                    State::Stands | State::Said { .. } => entry.change(),
                    // The server has nothing of it.
                    State::ToSay(_) | State::Refused => entry.state = State::Refused,
                }
            }
        }
        self.entries.retain(|entry| entry.is_wanted || entry.state != State::Refused);
    }

    /// The next thing to say.
    pub(super) fn say(&mut self, now: Instant) -> Option<Say> {
        let under_way = self.entries.iter().filter(|entry| matches!(entry.state, State::Said { .. })).count();
        if under_way >= UNDER_WAY_MAX {
            return None;
        }
        let is_due = |entry: &&mut Entry| matches!(entry.state, State::ToSay(due) if due.is_none_or(|due| due <= now));
        let entry = self.entries.iter_mut().find(is_due)?;
        let (number, is_watch) = (FIRST_NUMBER + self.numbers, entry.is_wanted);
        self.numbers += 1;
        entry.state = State::Said { number, deadline: now + ANSWER_TIMEOUT, is_watch, is_stale: false };
        Some(match is_watch {
            true => Say::Watch(number, entry.request.clone()),
            false => Say::Unwatch(number, entry.request.stream),
        })
    }

    /// When there is something to say again.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = self.entries.iter().filter_map(|entry| match entry.state {
            State::ToSay(due) => due,
            _ => None,
        });
        due.min()
    }

    /// Whether the server has not answered in time.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.entries.iter().any(|entry| matches!(entry.state, State::Said { deadline, .. } if now > deadline))
    }

    /// Whether an answer to the request of this number is waited for.
    pub(super) fn waits_for(&self, number: u64) -> bool {
        self.entries.iter().any(|entry| matches!(entry.state, State::Said { number: said, .. } if said == number))
    }

    /// The server answered the request of this number.
    pub(super) fn answered(&mut self, number: u64, reply: WatchReply, now: Instant) -> Option<ClientEvent> {
        let entry = self.said(number)?;
        let (stream, is_wanted) = (entry.request.stream, entry.is_wanted);
        let State::Said { is_watch, is_stale, .. } = entry.state else { return None };
        let event = match reply {
            WatchReply::Watching(watching) => {
                entry.refusals.reset();
                entry.state = State::Stands;
                (is_watch && is_wanted && watching.stream == stream).then_some(ClientEvent::Watching(watching))
            }
            WatchReply::Waiting(waiting) => {
                entry.refusals.reset();
                entry.state = State::Stands;
                (is_watch && is_wanted && waiting.stream == stream).then_some(ClientEvent::Waiting(waiting))
            }
            WatchReply::Refused(refused) => {
                entry.state = match refused.is_for_now() {
                    true => State::ToSay(Some(now + entry.refusals.next_at_random(true))),
                    false => State::Refused,
                };
                (is_watch && is_wanted).then_some(ClientEvent::WatchRefused { stream, refused })
            }
        };
        if is_stale {
            entry.state = State::ToSay(None);
        }
        self.entries.retain(|entry| entry.is_wanted || entry.state != State::Refused);
        event
    }

    /// The server answered that a wish is over, or says so of itself what is sent no more.
    pub(super) fn unwatched(&mut self, number: Option<u64>, unwatched: Unwatched) -> Option<ClientEvent> {
        let Some(number) = number else {
            return self.has(unwatched.stream).then_some(ClientEvent::Unwatched(unwatched));
        };
        let entry = self.said(number).filter(|entry| entry.request.stream == unwatched.stream)?;
        entry.state = if entry.is_wanted { State::ToSay(None) } else { State::Refused };
        let is_over = !entry.is_wanted;
        self.entries.retain(|entry| entry.is_wanted || entry.state != State::Refused);
        is_over.then_some(ClientEvent::Unwatched(unwatched))
    }

    /// The server says of itself what it sends.
    pub(super) fn watching(&self, watching: Watching) -> Option<ClientEvent> {
        self.has(watching.stream).then_some(ClientEvent::Watching(watching))
    }

    fn has(&self, stream: u32) -> bool {
        self.entries.iter().any(|entry| entry.is_wanted && entry.request.stream == stream)
    }

    fn said(&mut self, number: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| matches!(entry.state, State::Said { number: said, .. } if said == number))
    }
}

impl Entry {
    /// Something else is wanted than was.
    fn change(&mut self) {
        self.state = match self.state {
            State::Said { number, deadline, is_watch, .. } => {
                State::Said { number, deadline, is_watch, is_stale: true }
            }
            State::ToSay(_) | State::Stands | State::Refused => State::ToSay(None),
        };
    }
}

#[cfg(test)]
mod tests;
