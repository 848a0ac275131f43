//! What happened, queued for the program: bounded, and never in the way of the connection.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::message::{
    Closed, Feedback, Grant, Idle, Opened, PlainFeedback, Refused, Replaced, Statistics, Unwatched, Waiting, Watching,
};
use crate::unpoisoned::unpoisoned;

/// Events that wait for the program: half a second of the plain wire at its fastest that anyone prints.
const EVENTS_MAX: usize = 4096;

/// What happened on the client's side.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The server took the connection.
    Connected,
    /// The stream is open: send datagrams there. Comes again after each reconnect, maybe with another port.
    Opened(Opened),
    /// The server refused the connection, or this client does not trust it, as its reason says (it is asked again, as a [`Retrying`](Self::Retrying) says) or the stream (it is
    /// asked again after a reconnect, and before, with growing waits of up to two seconds, where the refusal
    /// [is for now](Refused::is_for_now)). A client of several servers says so once every one of them has refused since the last connection that held;
    /// before, its [`Retrying`](Self::Retrying) says which did, and why.
    Refused(Refused),
    /// A stream that is watched is sent: announce it at the receiver. Comes again after each reconnect, and whenever the stream comes back, maybe
    /// in another format or with another key.
    Watching(Watching),
    /// A stream to watch is not there; [`Watching`](Self::Watching) follows when it is.
    Waiting(Waiting),
    /// A stream that was watched is sent no more: at this client's wish, or for as long as it is away at the server.
    Unwatched(Unwatched),
    /// The server refused to let this client watch a stream. It is asked again after a reconnect, and before, with growing waits of up to two seconds, where the refusal
    /// [is for now](Refused::is_for_now).
    WatchRefused {
        /// The watcher's own id of the stream.
        stream: u32,
        /// Why.
        refused: Refused,
    },
    /// Whether anybody wants this client's stream. A stream that was just opened is wanted until this says otherwise.
    Idle(Idle),
    /// How much of a link this client's stream has from now on.
    Granted(Grant),
    /// Another stream has this one's name, and was started later.
    Replaced(Replaced),
    /// The stream ended: at this client's wish, or the server's.
    Closed(Closed),
    /// A frame arrived at the server; of this client's stream if it opens one, of none if it only watches, else of any.
    Feedback(Feedback),
    /// A datagram arrived, on the plain wire.
    PlainFeedback(PlainFeedback),
    /// How the server does.
    Statistics(Statistics),
    /// The connection is gone.
    Disconnected {
        /// For people: why.
        reason: String,
    },
    /// There is no connection; the next attempt is due.
    Retrying {
        /// How long from now.
        in_: Duration,
        /// Which attempt it will be since the last connection that held, from 1.
        attempt: u32,
        /// For people: why the last one failed, with the server's address.
        reason: String,
    },
}

impl ClientEvent {
    fn is_report(&self) -> bool {
        matches!(self, Self::Feedback(_) | Self::PlainFeedback(_) | Self::Statistics(_))
    }
}

/// A queue that drops the oldest report when it is full, or the oldest event if there is no report.
#[derive(Default)]
pub(super) struct EventQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    events: VecDeque<ClientEvent>,
    dropped: u64,
    is_ended: bool,
}

impl EventQueue {
    pub(super) fn push(&self, event: ClientEvent) {
        let mut state = self.lock();
        if state.events.len() >= EVENTS_MAX {
            // Reports make up nearly all of a full queue, so this looks at few others.
            let oldest = state.events.iter().position(ClientEvent::is_report).unwrap_or(0);
            state.events.remove(oldest);
            state.dropped += 1;
        }
        state.events.push_back(event);
        drop(state);
        self.changed.notify_one();
    }

    /// The oldest event; `None` when none came within `timeout`, or none will come any more.
    pub(super) fn next(&self, timeout: Duration) -> Option<ClientEvent> {
        let waiting = |state: &mut State| state.events.is_empty() && !state.is_ended;
        let (mut state, _) = unpoisoned(self.changed.wait_timeout_while(self.lock(), timeout, waiting));
        state.events.pop_front()
    }

    pub(super) fn end(&self) {
        self.lock().is_ended = true;
        self.changed.notify_all();
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(frame_size: u64) -> ClientEvent {
        ClientEvent::PlainFeedback(PlainFeedback { timestamp: String::new(), frame_size })
    }

    #[test]
    fn a_program_that_does_not_look_loses_the_oldest_reports_and_nothing_else() {
        let queue = EventQueue::default();
        queue.push(ClientEvent::Connected);
        for size in 0..EVENTS_MAX as u64 + 9 {
            queue.push(datagram(size));
        }
        assert_eq!(queue.dropped(), 10);
        assert_eq!(queue.next(Duration::ZERO), Some(ClientEvent::Connected));
        assert_eq!(queue.next(Duration::ZERO), Some(datagram(10)));
    }

    #[test]
    fn without_reports_the_oldest_event_makes_room() {
        let queue = EventQueue::default();
        queue.push(ClientEvent::Connected);
        for _ in 0..EVENTS_MAX {
            queue.push(ClientEvent::Disconnected { reason: String::new() });
        }
        assert_eq!(queue.dropped(), 1);
        assert!(matches!(queue.next(Duration::ZERO), Some(ClientEvent::Disconnected { .. })));
    }

    #[test]
    fn what_is_queued_can_be_fetched_after_the_end_and_then_nobody_waits() {
        let queue = EventQueue::default();
        queue.push(ClientEvent::Connected);
        queue.end();
        assert_eq!(queue.next(Duration::from_secs(60)), Some(ClientEvent::Connected));
        assert_eq!(queue.next(Duration::from_secs(60)), None);
    }

    #[test]
    fn one_who_waits_is_woken() {
        let queue = EventQueue::default();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| queue.next(Duration::from_secs(60)));
            queue.push(ClientEvent::Connected);
            assert_eq!(waiter.join().unwrap(), Some(ClientEvent::Connected));
        });
    }
}
