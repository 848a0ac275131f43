//! Says what the outbox holds, and what is still unsaid, to each as they may know it.

use std::sync::Arc;

use socketioxide::socket::Sid;
use socketioxide::{BroadcastError, SendError, SocketError, SocketIo};

use super::StreamEnd;
use super::conversation::{Conversation, EVERYBODY, LISTENERS, acknowledge, audible};
use super::news::News;
use super::unsaid::{Outcome, Saying};
use super::watchers::Word;
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

    /// Tells everybody to go elsewhere.
    pub(super) fn moved(&self, moved: &Moved) {
        let unsaid = &self.conversation.unsaid;
        for socket in self.io.to(EVERYBODY).sockets() {
            unsaid.put(socket.id, Saying::Moved(moved.clone()));
        }
        unsaid.wake();
    }

    /// Tells the client that had opened a stream that it ended on the data path.
    pub(super) fn announce_end(&self, closed: Closed, end: StreamEnd) {
        let conversation = self.conversation.clone();
        // The host may be at work for a while, and this waits for its turn.
        tokio::task::spawn_blocking(move || {
            let stream = closed.stream;
            let tell = |owner| conversation.unsaid.put(owner, Saying::Closed(closed));
            conversation.streams.end(stream, end, tell);
            conversation.unsaid.wake();
        });
    }

    /// Says one thing to one client.
    pub(super) fn say(&self, client: Sid, saying: Saying) -> Outcome {
        let Some(socket) = self.io.get_socket(client) else { return Outcome::Gone };
        let saying = match saying {
            Saying::Word(word) => Saying::Word(audible(&socket, word)),
            saying => saying,
        };
        let sent = match &saying {
            Saying::News(News::Idle(idle)) => socket.emit(event::IDLE, idle),
            Saying::News(News::Grant(grant)) => socket.emit(event::GRANT, grant),
            Saying::News(News::Replaced(replaced)) => socket.emit(event::REPLACED, replaced),
            Saying::Word(Word::Watching(watching)) => socket.emit(event::WATCHING, watching),
            Saying::Word(Word::Unwatched(unwatched)) => socket.emit(event::UNWATCHED, unwatched),
            Saying::Closed(closed) => socket.emit(event::CLOSED, &Numbered { request: None, body: closed.clone() }),
            Saying::Moved(moved) => socket.emit(event::MOVED, moved),
            Saying::Answer(answer) => socket.emit(answer.event, &answer.body),
        };
        match (sent, saying) {
            (Ok(()), Saying::Answer(answer)) => {
                answer.ack.into_iter().for_each(|ack| acknowledge(ack, &answer.body));
                Outcome::Said
            }
            (Ok(()), _) => Outcome::Said,
            (Err(SendError::Socket(SocketError::InternalChannelFull)), saying) => Outcome::NoRoom(saying),
            (Err(SendError::Socket(SocketError::Closed)), _) => Outcome::Gone,
            (Err(error @ SendError::Serialize(_)), _) => {
                tracing::error!("something cannot be written for client {client}: {error}");
                Outcome::Said
            }
        }
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
