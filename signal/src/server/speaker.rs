//! Says what the outbox holds, to each as they may know it.

use std::sync::Arc;

use socketioxide::{BroadcastError, SocketIo};

use super::StreamEnd;
use super::conversation::{Conversation, EVERYBODY, LISTENERS, say};
use crate::message::{Closed, Feedback, Moved, Numbered, PlainFeedback, Statistics, event};

/// To each as they may know it: a stream's id is for the client alone that opened it.
pub(super) struct Speaker<'a> {
    pub(super) conversation: &'a Arc<Conversation>,
    pub(super) io: &'a SocketIo,
}

impl Speaker<'_> {
    /// Returns how many clients missed it.
    pub(super) async fn feedback(&self, feedback: &Feedback) -> usize {
        let Conversation { streams, shown, .. } = &**self.conversation;
        let for_others = Feedback { stream: shown.shown(feedback.stream), ..*feedback };
        let owner = streams.owner(feedback.stream).and_then(|owner| self.io.get_socket(owner));
        let Some(owner) = owner else {
            return missed(self.io.to(LISTENERS).emit(event::FEEDBACK, &for_others).await);
        };
        let by_owner = usize::from(owner.emit(event::FEEDBACK, feedback).is_err());
        by_owner + missed(owner.to(LISTENERS).emit(event::FEEDBACK, &for_others).await)
    }

    /// The same for a datagram of the plain wire, which is of no stream.
    pub(super) async fn plain_feedback(&self, plain: &PlainFeedback) -> usize {
        missed(self.io.to(LISTENERS).emit(event::FEEDBACK, plain).await)
    }

    /// The same for statistics.
    pub(super) async fn statistics(&self, mut statistics: Statistics) -> usize {
        for stream in &mut statistics.streams {
            stream.stream = self.conversation.shown.shown(stream.stream);
        }
        missed(self.io.to(EVERYBODY).volatile().emit(event::STATISTICS, &statistics).await)
    }

    /// Tells everybody to go elsewhere; returns how many missed it.
    pub(super) async fn moved(&self, moved: &Moved) -> usize {
        missed(self.io.to(EVERYBODY).emit(event::MOVED, moved).await)
    }

    /// Tells the client that had opened a stream that it ended on the data path.
    pub(super) fn announce_end(&self, closed: Closed, end: StreamEnd) {
        let (conversation, io) = (self.conversation.clone(), self.io.clone());
        // The host may be at work for a while, and this waits for its turn.
        tokio::task::spawn_blocking(move || {
            let owner = conversation.streams.end(closed.stream, end);
            if let Some(socket) = owner.and_then(|owner| io.get_socket(owner)) {
                say(&socket, event::CLOSED, &Numbered { request: None, body: closed });
            }
        });
    }
}

fn missed(sent: Result<(), BroadcastError>) -> usize {
    match sent {
        Ok(()) => 0,
        Err(BroadcastError::Socket(errors)) => errors.len(),
        Err(other) => {
            tracing::warn!("an event was not sent: {other}");
            0
        }
    }
}
