//! What is still to be said to each client and must arrive, unlike an event that the next one makes up for: it waits where the client's buffer is full.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::mem::discriminant;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::ack::Ack;
use super::news::News;
use super::watchers::Word;
use crate::message::{Closed, Elsewhere, Moved};
use crate::unpoisoned::unpoisoned;

/// How long until a client's buffer that was full is looked at again: nobody tells that there is room. One that takes nothing for long loses its connection.
const AGAIN: Duration = Duration::from_millis(20);

/// One thing to say to one client.
pub(super) enum Saying {
    News(News),
    Word(Word),
    Closed(Closed),
    Moved(Moved),
    Elsewhere(Elsewhere),
    Answer(Answer),
    Acknowledgement(Acknowledgement),
}

/// The answer to a request.
pub(super) struct Answer {
    pub(super) event: &'static str,
    pub(super) body: Value,
    /// Says the same where the client asked for an acknowledgement.
    pub(super) ack: Option<Ack>,
    /// Until all of this was said: no more answers wait for a client than it may have requests under way.
    pub(super) turn: OwnedSemaphorePermit,
}

/// What is left to say of an answer once its event was said: there may have been room for that alone.
pub(super) struct Acknowledgement {
    pub(super) ack: Ack,
    pub(super) body: Value,
    pub(super) _turn: OwnedSemaphorePermit,
}

impl Answer {
    /// Its event was said.
    pub(super) fn rest(self) -> Option<Acknowledgement> {
        let Self { body, ack, turn, .. } = self;
        ack.map(|ack| Acknowledgement { ack, body, _turn: turn })
    }
}

impl Saying {
    /// Whether nobody needs to hear `older` any more who hears this.
    fn replaces(&self, older: &Self) -> bool {
        match (self, older) {
            (Self::News(new), Self::News(old)) => {
                discriminant(new) == discriminant(old) && new.stream() == old.stream()
            }
            (Self::Word(new), Self::Word(old)) => {
                discriminant(new) == discriminant(old) && new.stream() == old.stream()
            }
            (Self::Closed(new), Self::Closed(old)) => new.stream == old.stream,
            (Self::Moved(_), Self::Moved(_)) | (Self::Elsewhere(_), Self::Elsewhere(_)) => true,
            _ => false,
        }
    }
}

/// What came of saying something.
pub(super) enum Outcome {
    Said,
    /// The client's buffer is full: the thing itself.
    NoRoom(Saying),
    /// There is no such client.
    Gone,
}

/// In the order in which it came, of each kind and stream the newest alone: no more than a client has streams, wishes and requests under way.
///
/// The locks of those who know what holds of a stream are held while they put something here, so that it is said in the order in which it came to
/// hold. Nothing is encoded, sent or woken then: one task does that, afterwards.
pub(super) struct Unsaid<C> {
    to: Mutex<HashMap<C, VecDeque<Saying>>>,
    filled: Notify,
    /// Held by who says it.
    turn: Mutex<()>,
}

impl<C: Copy + Eq + Hash> Unsaid<C> {
    pub(super) fn new() -> Self {
        Self { to: Mutex::default(), filled: Notify::new(), turn: Mutex::default() }
    }

    /// Keeps this to be said, once somebody calls [`wake`](Self::wake).
    pub(super) fn put(&self, client: C, saying: Saying) {
        let mut to = self.to();
        let waiting = to.entry(client).or_default();
        waiting.retain(|older| !saying.replaces(older));
        waiting.push_back(saying);
    }

    /// Has it said, soon.
    pub(super) fn wake(&self) {
        self.filled.notify_one();
    }

    /// The client has gone.
    pub(super) fn forget(&self, client: C) {
        self.to().remove(&client);
    }

    /// Says what comes in until the runtime ends.
    pub(super) async fn run(&self, mut say: impl FnMut(C, Saying) -> Outcome) {
        loop {
            if self.say_all(&mut say) {
                // An error is the timeout, which is what this waits for.
                drop(tokio::time::timeout(AGAIN, self.filled.notified()).await);
            } else {
                self.filled.notified().await;
            }
        }
    }

    /// Says all that there is room for; whether anything is left.
    pub(super) fn say_all(&self, mut say: impl FnMut(C, Saying) -> Outcome) -> bool {
        let _turn = unpoisoned(self.turn.lock());
        let clients: Vec<C> = self.to().keys().copied().collect();
        let mut is_left = false;
        for client in clients {
            while let Some(saying) = self.take(client) {
                match say(client, saying) {
                    Outcome::Said => {}
                    Outcome::NoRoom(saying) => {
                        self.put_back(client, saying);
                        is_left = true;
                        break;
                    }
                    Outcome::Gone => self.forget(client),
                }
            }
        }
        is_left
    }

    fn take(&self, client: C) -> Option<Saying> {
        let mut to = self.to();
        let saying = to.get_mut(&client)?.pop_front();
        if saying.is_none() {
            to.remove(&client);
        }
        saying
    }

    /// It comes first again, unless what has come meanwhile replaces it.
    fn put_back(&self, client: C, saying: Saying) {
        let mut to = self.to();
        let waiting = to.entry(client).or_default();
        if !waiting.iter().any(|newer| newer.replaces(&saying)) {
            waiting.push_front(saying);
        }
    }

    fn to(&self) -> MutexGuard<'_, HashMap<C, VecDeque<Saying>>> {
        // Nothing under the lock leaves it half changed.
        unpoisoned(self.to.lock())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::message::{Grant, Idle, OtherServer, Unwatched};

    fn idle(stream: u32, idle: bool) -> Saying {
        Saying::News(News::Idle(Idle::new(stream, idle)))
    }

    fn grant(stream: u32, bits_per_second: u64) -> Saying {
        Saying::News(News::Grant(Grant::new(stream, bits_per_second, 1)))
    }

    fn unwatched(stream: u32, message: &str) -> Saying {
        Saying::Word(Word::Unwatched(Unwatched::new(stream, message)))
    }

    fn answer(number: u64, turns: &Arc<Semaphore>) -> Saying {
        let turn = turns.clone().try_acquire_owned().unwrap();
        Saying::Answer(Answer { event: "opened", body: number.into(), ack: None, turn })
    }

    fn shown(saying: &Saying) -> String {
        match saying {
            Saying::News(News::Idle(idle)) => format!("idle {} {}", idle.stream, idle.idle),
            Saying::News(News::Grant(grant)) => format!("grant {} {}", grant.stream, grant.bits_per_second),
            Saying::Word(Word::Unwatched(unwatched)) => format!("unwatched {} {}", unwatched.stream, unwatched.message),
            Saying::Closed(closed) => format!("closed {}", closed.stream),
            Saying::Moved(moved) => format!("moved {}", moved.message),
            Saying::Elsewhere(elsewhere) => format!("elsewhere {}", elsewhere.servers.len()),
            Saying::Answer(answer) => format!("answer {}", answer.body),
            Saying::News(_) | Saying::Word(_) | Saying::Acknowledgement(_) => "another".into(),
        }
    }

    /// What clients with this much room hear, each as `client: thing`, and whether more is left.
    fn heard(unsaid: &Unsaid<char>, room: usize) -> (Vec<String>, bool) {
        let mut heard = Vec::new();
        let left = unsaid.say_all(|client, saying| {
            if client == 'z' {
                return Outcome::Gone;
            }
            if heard.len() >= room {
                return Outcome::NoRoom(saying);
            }
            heard.push(format!("{client}: {}", shown(&saying)));
            Outcome::Said
        });
        (heard, left)
    }

    #[test]
    fn of_each_kind_and_stream_the_newest_is_said_in_the_order_in_which_it_came() {
        let (unsaid, turns) = (Unsaid::new(), Arc::new(Semaphore::new(2)));
        for saying in [
            answer(1, &turns),
            idle(7, true),
            grant(7, 100),
            idle(8, true),
            unwatched(7, "it is away"),
            grant(7, 200),
            idle(7, false),
            answer(2, &turns),
            unwatched(7, "it is over"),
            Saying::Moved(Moved::new("a")),
            Saying::Moved(Moved::new("b")),
            Saying::Elsewhere(Elsewhere::new([OtherServer::new("http://a:1", None)])),
            Saying::Elsewhere(Elsewhere::default()),
        ] {
            unsaid.put('a', saying);
        }
        assert_eq!(turns.available_permits(), 0, "a turn lasts until its answer was said");
        let expected = [
            "answer 1",
            "idle 8 true",
            "grant 7 200",
            "idle 7 false",
            "answer 2",
            "unwatched 7 it is over",
            "moved b",
            "elsewhere 0",
        ];
        assert_eq!(heard(&unsaid, 99), (expected.map(|said| format!("a: {said}")).to_vec(), false));
        assert_eq!((heard(&unsaid, 99), turns.available_permits()), ((vec![], false), 2));
        assert!(unsaid.to().is_empty(), "and nothing is kept of who has heard all");
    }

    #[test]
    fn what_a_client_has_no_room_for_is_said_later_unless_something_newer_is() {
        let unsaid = Unsaid::new();
        unsaid.put('a', idle(7, true));
        unsaid.put('a', grant(7, 100));
        assert_eq!(heard(&unsaid, 0), (vec![], true));
        unsaid.put('a', idle(7, false));
        assert_eq!(heard(&unsaid, 1), (vec!["a: grant 7 100".into()], true));
        assert_eq!(heard(&unsaid, 1), (vec!["a: idle 7 false".into()], false));
        // Something newer comes while it is being said.
        unsaid.put('a', idle(7, true));
        let left = unsaid.say_all(|client, saying| {
            unsaid.put(client, idle(7, false));
            Outcome::NoRoom(saying)
        });
        assert_eq!((left, heard(&unsaid, 9)), (true, (vec!["a: idle 7 false".into()], false)));
    }

    #[test]
    fn one_that_is_full_or_has_gone_holds_up_no_other() {
        let unsaid = Unsaid::new();
        for client in ['a', 'z'] {
            (0..9).for_each(|stream| unsaid.put(client, idle(stream, true)));
        }
        unsaid.put('b', Saying::Closed(Closed { stream: 3, message: String::new() }));
        let mut had = Vec::new();
        let left = unsaid.say_all(|client, saying| match client {
            'a' => Outcome::NoRoom(saying),
            'z' => Outcome::Gone,
            _ => {
                had.push(shown(&saying));
                Outcome::Said
            }
        });
        assert_eq!((left, had), (true, vec!["closed 3".to_owned()]));
        assert_eq!(unsaid.to().keys().collect::<Vec<_>>(), [&'a'], "who has gone has nothing here");
        unsaid.forget('a');
        assert_eq!(heard(&unsaid, 9), (vec![], false));
    }
}
