//! Who wants to watch what: how much one may want, what is theirs to end, and what ends when they have gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::places::Neighbour;
use super::stream_host::{Asker, StreamHost};
use crate::message::{Refused, Role, Unwatched, WatchAnswer, WatchRequest, Watching, reason};
use crate::unpoisoned::unpoisoned;

/// Wishes of one client: as many as it may have streams open.
const WISHES_A_CLIENT_MAX: usize = 16;
/// Wishes of one node, which asks for all who watch there.
const WISHES_A_NODE_MAX: usize = 64;
/// Wishes of the clients of one address.
const WISHES_AN_ADDRESS_MAX: usize = 64;
/// Wishes of all clients together.
const WISHES_MAX: usize = 256;
/// How long the wishes of a client that has gone stand, which comes back within half a second or so.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// Calls the host, one call at a time.
///
/// A wish belongs to the connection that made it, or to who makes it again by its id, which is a secret, from the same address.
pub(super) struct Watchers<C> {
    host: Arc<dyn StreamHost>,
    /// Held for as long as the host works.
    turn: Mutex<()>,
    wishes: Mutex<HashMap<u32, Wish<C>>>,
}

struct Wish<C> {
    /// Or since when it has none.
    client: Result<C, Instant>,
    from: Neighbour,
    role: Role,
    /// Answers that are under way; what is told meanwhile is told after them.
    answers: usize,
    held: Option<Word>,
}

/// What a watcher is told of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    Watching(Watching),
    Unwatched(Unwatched),
}

impl Word {
    pub(super) fn stream(&self) -> u32 {
        match self {
            Self::Watching(watching) => watching.stream,
            Self::Unwatched(unwatched) => unwatched.stream,
        }
    }
}

impl<C: Copy + Eq> Watchers<C> {
    pub(super) fn new(host: Arc<dyn StreamHost>) -> Self {
        Self { host, turn: Mutex::default(), wishes: Mutex::default() }
    }

    /// Has the host grant what `client` wants. `is_connected` is asked afterwards: the wish of one that left meanwhile stands for as long as that of
    /// one that leaves later. Where it is granted, [`answered`](Self::answered) is to be called once that was said.
    pub(super) fn watch(
        &self,
        client: C,
        asker: &Asker,
        request: &WatchRequest,
        is_connected: impl FnOnce() -> bool,
    ) -> Result<WatchAnswer, Refused> {
        let _turn = self.turn();
        let stream = request.stream;
        let asking = self.ask(client, asker, stream)?;
        let answer = self.host.watch(asker, request);
        let is_refused = answer.is_err();
        asking.end(is_refused);
        let answer = answer?;
        if !is_connected() {
            self.leave(client);
        }
        Ok(answer)
    }

    /// Notes the wish, which ends with what this returns, unless the host grants it.
    fn ask(&self, client: C, asker: &Asker, stream: u32) -> Result<Asking<'_, C>, Refused> {
        let from = Neighbour::from(asker.ip);
        let mut wishes = self.wishes();
        let count = |is_meant: &dyn Fn(&Wish<C>) -> bool| {
            wishes.iter().filter(|(id, wish)| **id != stream && is_meant(wish)).count()
        };
        let client_max = if asker.role == Role::Node { WISHES_A_NODE_MAX } else { WISHES_A_CLIENT_MAX };
        if count(&|wish| wish.client == Ok(client)) >= client_max {
            return Err(too_many("this client watches", client_max));
        }
        if count(&|wish| wish.from == from) >= WISHES_AN_ADDRESS_MAX {
            return Err(too_many("the clients of this address watch", WISHES_AN_ADDRESS_MAX));
        }
        if count(&|_| true) >= WISHES_MAX {
            return Err(too_many("the clients of this server watch", WISHES_MAX));
        }
        let known = wishes.get_mut(&stream);
        let was_granted = known.is_some();
        match known {
            Some(wish) if wish.client == Ok(client) || (wish.from, wish.role) == (from, asker.role) => {
                (wish.client, wish.held) = (Ok(client), None);
                wish.answers += 1;
            }
            Some(_) => {
                let message = format!("{stream} is the id of another client's wish; take another random id");
                return Err(Refused::new(reason::NOT_YOURS, message));
            }
            None => {
                let wish = Wish { client: Ok(client), from, role: asker.role, answers: 1, held: None };
                wishes.insert(stream, wish);
            }
        }
        Ok(Asking { watchers: self, stream, was_granted, is_over: true })
    }

    /// The answer to a wish is said: tells what was told meanwhile, to whom it is for. `tell` must not wait: what is told is what holds, and comes in that
    /// order.
    pub(super) fn answered(&self, stream: u32, tell: impl FnOnce(C, Word)) {
        let mut wishes = self.wishes();
        let Some(wish) = wishes.get_mut(&stream) else { return };
        wish.answers = wish.answers.saturating_sub(1);
        let word = if wish.answers == 0 { wish.held.take() } else { None };
        if let (Ok(client), Some(word)) = (wish.client, word) {
            tell(client, word);
        }
    }

    /// Tells it now to whom there is, if anybody: nobody before the answer that is under way, and nobody who has gone. `tell` must not wait.
    pub(super) fn tell(&self, word: Word, tell: impl FnOnce(C, Word)) {
        let mut wishes = self.wishes();
        let Some(wish) = wishes.get_mut(&word.stream()) else { return };
        if wish.answers > 0 {
            wish.held = Some(word);
        } else if let Ok(client) = wish.client {
            tell(client, word);
        }
    }

    /// Ends a wish of `client`'s own.
    pub(super) fn unwatch(&self, client: C, stream: u32) -> Result<(), Refused> {
        let _turn = self.turn();
        let mut wishes = self.wishes();
        if wishes.get(&stream).is_none_or(|wish| wish.client != Ok(client)) {
            let message = format!("{stream} is no stream that this client watches; end only what you asked for");
            return Err(Refused::new(reason::NOT_YOURS, message));
        }
        wishes.remove(&stream);
        drop(wishes);
        self.host.unwatch(stream);
        Ok(())
    }

    /// Notes that a client has gone; whether it left wishes, which end [`GRACE`] later.
    pub(super) fn leave(&self, client: C) -> bool {
        let now = Instant::now();
        let mut wishes = self.wishes();
        let left = wishes.values_mut().filter(|wish| wish.client == Ok(client));
        left.fold(false, |_, wish| {
            wish.client = Err(now);
            true
        })
    }

    /// Ends the wishes of those who have been gone for too long.
    pub(super) fn end_of_grace(&self, now: Instant) {
        let _turn = self.turn();
        let is_over = |wish: &Wish<C>| wish.client.is_err_and(|left| now.saturating_duration_since(left) >= GRACE);
        let over: Vec<u32> = self.wishes().extract_if(|_, wish| is_over(wish)).map(|(stream, _)| stream).collect();
        over.into_iter().for_each(|stream| self.host.unwatch(stream));
    }

    /// How many wishes stand.
    pub(super) fn len(&self) -> usize {
        self.wishes().len()
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        unpoisoned(self.turn.lock())
    }

    fn wishes(&self) -> MutexGuard<'_, HashMap<u32, Wish<C>>> {
        // Nothing under the lock leaves it half changed.
        unpoisoned(self.wishes.lock())
    }
}

/// A wish that the host is asked about. It is over where the host panics.
struct Asking<'a, C: Copy + Eq> {
    watchers: &'a Watchers<C>,
    stream: u32,
    was_granted: bool,
    is_over: bool,
}

impl<C: Copy + Eq> Asking<'_, C> {
    fn end(mut self, is_refused: bool) {
        self.is_over = is_refused;
    }
}

impl<C: Copy + Eq> Drop for Asking<'_, C> {
    fn drop(&mut self) {
        if self.is_over {
            self.watchers.wishes().remove(&self.stream);
            if self.was_granted && !std::thread::panicking() {
                self.watchers.host.unwatch(self.stream);
            }
        }
    }
}

fn too_many(whose: &str, max: usize) -> Refused {
    Refused::new(reason::TOO_MANY, format!("{whose} {max} streams, the most that may be; end one of them first"))
}

#[cfg(test)]
mod tests;
