//! Who opened which stream: what a client may open again, what it may close, and what ends when it goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::news::{Latest, News};
use super::places::Neighbour;
use super::{Asker, StreamEnd, StreamHost};
use crate::message::{Granted, Opened, Opening, Refused, Replaced, Resume, reason};
use crate::unpoisoned::unpoisoned;

/// Streams a client may have open: more than the cameras of one machine.
pub(super) const STREAMS_A_CLIENT_MAX: usize = 16;
/// Streams that the clients of one address may have open: as many as a receiver takes at once, and a quarter of those that it
/// may have been told of.
pub(super) const STREAMS_AN_ADDRESS_MAX: usize = 64;

/// Calls the host, one call at a time, so that it sees openings and departures in an order that makes sense.
///
/// A stream belongs to who shows its secret: one that lost its connection comes back with the same id and the secret before
/// the server notices the loss, and the late notice must not end what was opened again. Whoever only knows the id gets nothing.
pub(super) struct Streams<C> {
    host: Arc<dyn StreamHost>,
    /// Held for as long as the host works.
    turn: Mutex<()>,
    /// Whose owners are changed by who has the turn only.
    owners: Mutex<Owners<C>>,
}

struct Owners<C> {
    of: HashMap<u32, Owner<C>>,
    /// The stream that the host is asked to open, and what is told of it meanwhile.
    opening: Option<(u32, Latest)>,
}

struct Owner<C> {
    /// `None` once it has gone, as long as its frames still flow.
    client: Option<C>,
    from: Neighbour,
    resume: Resume,
    name: String,
    incarnation: Option<u64>,
    /// Whether it is still to be said that the stream is open: what is told of it is told after that.
    is_unanswered: bool,
    told: Latest,
}

impl<C: Copy + Eq> Streams<C> {
    pub(super) fn new(host: Arc<dyn StreamHost>) -> Self {
        Self { host, turn: Mutex::default(), owners: Mutex::new(Owners { of: HashMap::new(), opening: None }) }
    }

    /// Opens a stream for `client`, which asks as `asker`; its address counts as `from`. `is_connected` is asked afterwards: a client that left meanwhile
    /// owns nothing. Once it was said that the stream is open, [`answered`](Self::answered) is to be called. Where the host refuses to open again what is open,
    /// its owner is told what came meanwhile; `tell` must not wait.
    pub(super) fn open(
        &self,
        client: C,
        from: Neighbour,
        asker: &Asker,
        opening: &Opening,
        is_connected: impl FnOnce() -> bool,
        tell: impl FnMut(C, News),
    ) -> Result<Granted, Refused> {
        let _turn = self.turn();
        let stream = opening.request.stream;
        let resume = self.secret_for(client, opening)?;
        let has_room = self.check_quota(client, from, stream)?;
        let held_at = self.held_at(stream, &resume);
        self.owners().opening = Some((stream, Latest::default()));
        let opened = self.host.open_for(asker, &opening.request);
        let told = self.told_meanwhile(stream, opened.as_ref().ok(), tell);
        let opened = opened?;
        let from = match held_at {
            _ if has_room => from,
            // It has its place already. Where its client comes from an address by now that has no place left, it goes on
            // counting where it did: it may be flowing, and is no new one.
            Some(held_at) => held_at,
            // After what the host may refuse: no stream ends for nothing.
            None if self.make_room(from, stream) => from,
            None => {
                self.host.close(stream);
                return Err(too_many("this client's address has", STREAMS_AN_ADDRESS_MAX));
            }
        };
        let is_connected = is_connected();
        let request = &opening.request;
        let owner = Owner {
            client: is_connected.then_some(client),
            from,
            resume: resume.clone(),
            name: request.name.clone(),
            incarnation: request.incarnation,
            is_unanswered: true,
            told,
        };
        self.owners().of.insert(stream, owner);
        if !is_connected {
            self.leave(&[stream]);
        }
        Ok(Granted { opened, resume: Some(resume) })
    }

    /// What is known of a stream that the host was asked to open, by what was told while it was. Nothing more is said of it to the owner of one that goes
    /// on as it was, who hears that now.
    fn told_meanwhile(&self, stream: u32, opened: Option<&Opened>, mut tell: impl FnMut(C, News)) -> Latest {
        let mut owners = self.owners();
        let told = owners.opening.take().map(|(_, told)| told).unwrap_or_default();
        let Some(owner) = owners.of.get_mut(&stream) else { return told };
        if let Some(client) = owner.client.filter(|_| opened.is_none() && !owner.is_unanswered) {
            told.clone().into_news().into_iter().for_each(|news| tell(client, news));
        }
        let is_granted = opened.is_some_and(|opened| opened.grant.is_some());
        let before = std::mem::take(&mut owner.told);
        owner.told = told.or(if is_granted { before.without_grant() } else { before });
        owner.told.clone()
    }

    /// Has the names of streams go to those that were started last, after this one was opened, and has those told now that have to be: a client hears
    /// of its own stream with what else [`answered`](Self::answered) has for it. `tell` must not wait: what is told is what holds, and comes in that order.
    pub(super) fn settle_name(&self, stream: u32, mut tell: impl FnMut(C, News)) {
        let _turn = self.turn();
        let mut owners = self.owners();
        let Some(opened) = owners.of.get(&stream) else { return };
        let Some(incarnation) = opened.incarnation.filter(|_| !opened.name.is_empty()) else { return };
        let (name, mut newest) = (opened.name.clone(), (incarnation, stream));
        let mut of_name = Vec::new();
        for (id, owner) in owners.of.iter().filter(|(_, owner)| owner.name == name) {
            if let Some(incarnation) = owner.incarnation {
                newest = newest.max((incarnation, *id));
                of_name.push((*id, incarnation));
            }
        }
        let (newest_incarnation, by) = newest;
        if let Some(owner) = owners.of.get_mut(&stream).filter(|_| newest_incarnation == incarnation) {
            // What had its name before may have ended.
            owner.told.is_newest();
        }
        let older: Vec<u32> =
            of_name.into_iter().filter(|(_, of)| *of < newest_incarnation).map(|(id, _)| id).collect();
        for id in &older {
            let Some(owner) = owners.of.get_mut(id) else { continue };
            let message = format!(
                "another stream named {name:?} was started later and has the name; this one is listed beside it"
            );
            let replaced = News::Replaced(Replaced::new(*id, message));
            owner.told.note(replaced.clone());
            if let Some(client) = owner.client.filter(|_| by == stream && !owner.is_unanswered) {
                tell(client, replaced);
            }
        }
        drop(owners);
        older.into_iter().filter(|id| *id == stream || by == stream).for_each(|id| self.host.replaced(id, by));
    }

    /// It is said to `client` that the stream is open, or not: tells it then what else holds of it. `tell` must not wait.
    pub(super) fn answered(&self, client: C, stream: u32, tell: impl FnMut(News)) {
        let mut owners = self.owners();
        let owner = owners.of.get_mut(&stream).filter(|owner| owner.client == Some(client));
        let Some(owner) = owner.filter(|owner| owner.is_unanswered) else { return };
        owner.is_unanswered = false;
        owner.told.to_tell().into_iter().for_each(tell);
    }

    /// Keeps what is told of a stream, and tells it now to whom there is, if anybody. `tell` must not wait.
    pub(super) fn tell(&self, news: News, tell: impl FnOnce(C, News)) {
        let mut owners = self.owners();
        if let Some((_, told)) = owners.opening.as_mut().filter(|(stream, _)| *stream == news.stream()) {
            return told.note(news);
        }
        let Some(owner) = owners.of.get_mut(&news.stream()) else { return };
        owner.told.note(news.clone());
        if let Some(client) = owner.client.filter(|_| !owner.is_unanswered) {
            tell(client, news);
        }
    }

    /// The stream's secret, for whom it belongs to or who is the first to open it.
    fn secret_for(&self, client: C, opening: &Opening) -> Result<Resume, Refused> {
        let stream = opening.request.stream;
        if let Some(owner) = self.owners().of.get(&stream) {
            let is_shown = opening.resume.as_ref().is_some_and(|shown| shown.is(&owner.resume));
            if is_shown || owner.client == Some(client) {
                return Ok(owner.resume.clone());
            }
            // One that has gone leaves its id to others once its last frames are through; until then it may come back.
            if owner.client.is_some() || self.host.is_flowing(stream) {
                return Err(Refused::new(
                    reason::NOT_YOURS,
                    format!(
                        "stream {stream} is another client's; show as 'resume' what 'opened' returned if it is yours, or take \
                         another random id"
                    ),
                ));
            }
        }
        match &opening.resume {
            Some(chosen) => Ok(chosen.clone()),
            None => Resume::random().map_err(|error| {
                tracing::error!("the system gives no random bytes: {error}");
                Refused::new(reason::INTERNAL, "the server failed at this request; its log says how")
            }),
        }
    }

    /// The address whose place a stream has that is being opened again.
    fn held_at(&self, stream: u32, resume: &Resume) -> Option<Neighbour> {
        self.owners().of.get(&stream).filter(|owner| owner.resume.is(resume)).map(|owner| owner.from)
    }

    /// Whether its address has room for this stream as it is; otherwise another stream has to end for a new one.
    fn check_quota(&self, client: C, from: Neighbour, stream: u32) -> Result<bool, Refused> {
        if self.others(stream, |owner| owner.client == Some(client)).len() >= STREAMS_A_CLIENT_MAX {
            return Err(too_many("this client has", STREAMS_A_CLIENT_MAX));
        }
        Ok(self.others(stream, |owner| owner.from == from).len() < STREAMS_AN_ADDRESS_MAX)
    }

    /// Clients that were killed leave streams behind, which count until their silence has lasted: has one of them end.
    fn make_room(&self, from: Neighbour, stream: u32) -> bool {
        let left = self.others(stream, |owner| owner.from == from && owner.client.is_none());
        let ended = self.host.make_room(&left);
        ended.is_some_and(|ended| self.owners().of.remove(&ended).is_some())
    }

    /// The streams that are meant, but for `stream`.
    fn others(&self, stream: u32, is_meant: impl Fn(&Owner<C>) -> bool) -> Vec<u32> {
        let owners = self.owners();
        owners.of.iter().filter(|(id, owner)| **id != stream && is_meant(owner)).map(|(id, _)| *id).collect()
    }

    /// Ends a stream of `client`'s own.
    pub(super) fn close(&self, client: C, stream: u32) -> Result<(), Refused> {
        let _turn = self.turn();
        if self.owner(stream) != Some(client) {
            return Err(Refused::new(
                reason::NOT_YOURS,
                format!("stream {stream} is not one that this client has open; close only what you opened"),
            ));
        }
        self.owners().of.remove(&stream);
        self.host.close(stream);
        Ok(())
    }

    /// Forgets a client, and returns the streams that went with it.
    pub(super) fn client_gone(&self, client: C) -> Vec<u32> {
        let _turn = self.turn();
        let mut streams = Vec::new();
        for (stream, owner) in self.owners().of.iter_mut().filter(|(_, owner)| owner.client == Some(client)) {
            owner.client = None;
            streams.push(*stream);
        }
        if !streams.is_empty() {
            self.leave(&streams);
        }
        streams
    }

    /// Tells the host, and forgets those streams of which nothing more will come. The others are forgotten when they end.
    fn leave(&self, streams: &[u32]) {
        self.host.client_gone(streams);
        for stream in streams {
            if !self.host.is_flowing(*stream) {
                self.owners().of.remove(stream);
            }
        }
    }

    /// Notes that a stream ended on the data path, and tells who had opened it, before that one can open it again. One that may go on stays its client's
    /// for as long as that is there.
    pub(super) fn end(&self, stream: u32, end: StreamEnd, tell: impl FnOnce(C)) {
        let _turn = self.turn();
        let client = self.owner(stream);
        if client.is_none() || end == StreamEnd::Over {
            self.owners().of.remove(&stream);
        }
        if let Some(client) = client {
            tell(client);
        }
    }

    /// Who has opened a stream and is still there. Waits for no host.
    pub(super) fn owner(&self, stream: u32) -> Option<C> {
        self.owners().of.get(&stream).and_then(|owner| owner.client)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        // A host that panics leaves the owners as they were: they change only after the host returned.
        unpoisoned(self.turn.lock())
    }

    fn owners(&self) -> MutexGuard<'_, Owners<C>> {
        unpoisoned(self.owners.lock())
    }
}

fn too_many(whose: &str, max: usize) -> Refused {
    Refused::new(reason::TOO_MANY, format!("{whose} {max} streams open, the most it may; close one first"))
}

#[cfg(test)]
mod tests;
