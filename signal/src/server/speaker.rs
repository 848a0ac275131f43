//! Says what the outbox holds, and what is still unsaid, to each as they may know it.

use std::sync::Arc;

use socketioxide::socket::Sid;
use socketioxide::{BroadcastError, SendError, SocketError, SocketIo};

use super::StreamEnd;
use super::conversation::{Conversation, EVERYBODY, LISTENERS, audible};
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

    /// Tells everybody of the servers to go to.
    pub(super) fn elsewhere(&self) {
        self.conversation.tell_elsewhere(self.io.to(EVERYBODY).sockets());
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
            Saying::Elsewhere(elsewhere) => socket.emit(event::ELSEWHERE, elsewhere),
            Saying::Answer(answer) => socket.emit(answer.event, &answer.body),
            Saying::Acknowledgement(left) => left.ack.send(&left.body),
        };
        match (sent, saying) {
            (Ok(()), Saying::Answer(answer)) => match answer.rest() {
                Some(left) => self.say(client, Saying::Acknowledgement(left)),
                None => Outcome::Said,
            },
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

#[cfg(all(test, feature = "client"))]
mod tests {
    use std::time::Duration;

    use futures_util::{SinkExt, StreamExt};
    use socketioxide::extract::SocketRef;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{Semaphore, mpsc};
    use tokio::time::timeout;
    use tokio_tungstenite::client_async;
    use tokio_tungstenite::tungstenite::Message;

    use super::*;
    use crate::message::{OpenRequest, Opened, Refused};
    use crate::server::StreamHost;
    use crate::server::ack::Asked;
    use crate::server::outbox::Outbox;
    use crate::server::proving::Proving;
    use crate::server::shown::ShownIds;
    use crate::server::unsaid::Answer;

    struct NoHost;

    impl StreamHost for NoHost {
        fn open(&self, _request: &OpenRequest) -> Result<Opened, Refused> {
            Err(Refused::new("full", ""))
        }

        fn close(&self, _stream: u32) {}
    }

    fn say_all(conversation: &Arc<Conversation>, io: &SocketIo) -> bool {
        let speaker = Speaker { conversation, io };
        conversation.unsaid.say_all(|client, saying| speaker.say(client, saying))
    }

    /// The socket's buffer has room for one packet, and who empties it has its turn only where this waits.
    #[tokio::test]
    async fn an_acknowledgement_that_has_no_room_beside_its_event_is_said_once_there_is() {
        let (layer, io) = SocketIo::builder().max_buffer_size(1).build_layer();
        let (outbox, proving) = (Arc::new(Outbox::new(1.0)), Arc::new(Proving::new(None)));
        let shown = ShownIds::new().unwrap();
        let conversation = Arc::new(Conversation::new(Arc::new(NoHost), shown, outbox, proving, 1, false));
        let (tell_left, mut left) = mpsc::unbounded_channel();
        let (answering, to) = (conversation.clone(), io.clone());
        io.ns("/", async move |socket: SocketRef| {
            let (answering, to, tell_left) = (answering.clone(), to.clone(), tell_left.clone());
            socket.on("ask", move |socket: SocketRef, Asked(ack): Asked| {
                let turn = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
                let answer = Answer { event: event::OPENED, body: 7.into(), ack, turn };
                answering.unsaid.put(socket.id, Saying::Answer(answer));
                tell_left.send(say_all(&answering, &to)).unwrap();
                async {}
            });
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, axum::Router::new().layer(layer)).into_future());
        let talk = async {
            let stream = TcpStream::connect(address).await.unwrap();
            let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
            let (mut client, _) = client_async(url, stream).await.unwrap();
            // The first ping has the room for itself, whenever it comes.
            while client.next().await.unwrap().unwrap().to_text().unwrap() != "2" {}
            client.send(Message::text("3")).await.unwrap();
            client.send(Message::text("40")).await.unwrap();
            assert!(client.next().await.unwrap().unwrap().to_text().unwrap().starts_with("40"));
            client.send(Message::text(r#"425["ask",1]"#)).await.unwrap();
            assert_eq!(left.recv().await, Some(true), "there was room for the event alone");
            assert_eq!(client.next().await.unwrap().unwrap().to_text().unwrap(), r#"42["opened",7]"#);
            assert!(!say_all(&conversation, &io));
            assert_eq!(client.next().await.unwrap().unwrap().to_text().unwrap(), "435[7]");
        };
        timeout(Duration::from_secs(60), talk).await.expect("it hears all of it");
    }
}
