//! Watchers: who asked for a stream of this server's, and is sent it on.
//!
//! A wish stands until it is taken back: it waits for a stream of its name, is granted, and waits again when that ends. One for a
//! stream that another server has is granted by watching it there ([`upstream`]), once for all who ask here.

mod peers;
mod source;
mod upstream;
mod wish;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use framewire_figures::snapshot::WatcherSnapshot;
use framewire_monitor::Relayed;
use framewire_process::lock::lock;
use framewire_signal::Asker;
use framewire_signal::directory::NodeId;
use framewire_signal::message::{
    HOPS_MAX, Hops, HopsError, PROTOCOL, Refused, Role, Waiting, WatchAnswer, WatchRequest, Watching, reason,
};
use framewire_transport::crypto::Key;
use framewire_transport::{Delivery, FrameRate, Relay, RelayError, RelayTo, SendStats, SliceSize};

pub(crate) use self::peers::{Alone, Peer, Peers};
pub(crate) use self::source::Source;
pub(crate) use self::upstream::UpstreamPlace;
use self::wish::{Wanted, Watched, Wish};
use super::links::{Links, Ways};
use super::voice::Voice;

/// A name is near another from this likeness on: a slip or two.
const LIKENESS_MIN: f64 = 0.75;
/// Wishes that there was no room for, and that are known when they are asked for again: as many as may stand at once.
const FULL_MAX: usize = 256;

/// All watchers of a server's streams.
pub(crate) struct Watches {
    relay: Relay,
    links: Arc<Links>,
    voice: Voice,
    peers: Arc<dyn Peers>,
    /// Where what is watched at others is received.
    place: UpstreamPlace,
    /// Each gets a key of its own.
    is_protected: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sources: Vec<Source>,
    next_id: u64,
    /// By the watchers' own ids of the streams. There are no more than who is asked for them lets there be: the signal server.
    wishes: HashMap<u32, Wish>,
    begun: u64,
    refused: u64,
    /// The wishes that were refused last because a link was full, the newest last: each is asked for again, and is counted once.
    full: VecDeque<u32>,
    /// What was sent for wishes that are over.
    sent: SendStats,
}

impl Watches {
    pub(super) fn new(
        relay: Relay,
        links: Arc<Links>,
        voice: Voice,
        peers: Arc<dyn Peers>,
        place: UpstreamPlace,
        is_protected: bool,
    ) -> Self {
        Self { relay, links, voice, peers, place, is_protected, state: Mutex::default() }
    }

    /// Somebody asks for a stream, or says again what they want.
    ///
    /// # Errors
    /// [`Refused`]: the wish is over.
    pub(super) fn watch(&self, asker: &Asker, request: &WatchRequest) -> Result<WatchAnswer, Refused> {
        let ways = self.links.ways([asker.ip]);
        let mut state = lock(&self.state);
        let answer = self.grant(&mut state, asker, request, &ways);
        match &answer {
            Ok(WatchAnswer::Watching(_)) => state.full.retain(|known| *known != request.stream),
            Ok(_) => {}
            Err(refused) => {
                if refused.reason != reason::LINK_FULL || state.is_newly_full(request.stream) {
                    state.refused += 1;
                }
                self.end_wish(&mut state, request.stream);
            }
        }
        answer
    }

    /// A wish is over.
    pub(super) fn unwatch(&self, stream: u32) {
        self.end_wish(&mut lock(&self.state), stream);
    }

    /// A stream has come; it is there until it is ended by the number that this returns.
    pub(super) fn begin(&self, mut source: Source) -> u64 {
        let ways = self.ways_to(|wish| wish.watched.is_none());
        let mut state = lock(&self.state);
        state.next_id += 1;
        let id = state.next_id;
        source.id = id;
        state.sources.push(source);
        self.settle(&mut state, &ways);
        id
    }

    /// A stream has ended, because its sender has closed it (`is_over`) or for now; who watched it waits for its return.
    pub(super) fn end(&self, source: u64, is_over: bool, why: &str) {
        let ways = self.ways_to(|wish| wish.watched.is_none() || wish.is_of(source));
        let mut state = lock(&self.state);
        state.sources.retain(|one| one.id != source);
        let ended: Vec<u32> =
            state.wishes.iter().filter(|(_, wish)| wish.is_of(source)).map(|(stream, _)| *stream).collect();
        for stream in ended {
            self.stop_sending(&mut state, stream);
            self.voice.say(|signal| match is_over {
                true => signal.tell_watched_to_its_end(stream, why),
                false => signal.tell_unwatched(stream, why),
            });
        }
        self.settle(&mut state, &ways);
    }

    /// How many watch a stream.
    pub(super) fn count(&self, source: u64) -> usize {
        let state = lock(&self.state);
        state.wishes.values().filter(|wish| wish.is_of(source)).count()
    }

    /// Who watches a stream, for who looks.
    pub(super) fn shown(&self, source: u64) -> Vec<WatcherSnapshot> {
        let state = lock(&self.state);
        let mut watchers: Vec<_> = state
            .wishes
            .values()
            .filter(|wish| wish.is_of(source))
            .filter_map(|wish| wish.shown(|node| self.peers.name_of(node)))
            .collect();
        watchers.sort_by(|a, b| a.address.cmp(&b.address));
        watchers
    }

    /// Does what is due now and then; returns what has been sent on so far.
    pub(super) fn tick(&self, now: Instant) -> Relayed {
        // Where there was room, it was sent as soon as it came.
        let ways = self.ways_to(|wish| wish.watched.is_none() && wish.was_refused);
        let mut state = lock(&self.state);
        self.settle(&mut state, &ways);
        let State { sources, wishes, .. } = &mut *state;
        for source in sources {
            let is_watched = wishes.values().any(|wish| wish.is_of(source.id));
            source.rest(is_watched, now);
        }
        let mut sent = state.sent;
        state.wishes.values().for_each(|wish| add(&mut sent, &wish.stats()));
        let watchers = state.wishes.values().filter(|wish| wish.watched.is_some()).count();
        Relayed {
            watchers: watchers as u64,
            waiting: (state.wishes.len() - watchers) as u64,
            upstreams: state.sources.iter().filter(|source| !source.is_here()).count() as u64,
            begun: state.begun,
            refused: state.refused,
            frames_sent: sent.frames_sent,
            frames_skipped: sent.frames_skipped,
            bytes_sent: sent.bytes,
        }
    }

    /// What somebody waits for, or watches at another server: each name with each way that it goes on, the shortest first. One that is here is wanted nowhere else, even
    /// while there is no room for it on the way out.
    fn wanted(&self) -> Vec<Wanted> {
        let state = lock(&self.state);
        let here: Vec<&Source> = state.sources.iter().filter(|source| source.is_here()).collect();
        let names: HashSet<String> = here.iter().map(|source| source.name()).collect();
        let is_here = |wish: &Wish| match &wish.watched {
            Some(watched) => here.iter().any(|source| source.id == watched.source),
            None => self.called_here(&wish.request.name).any(|name| names.contains(name)),
        };
        let wanted = state.wishes.values().filter(|wish| !is_here(wish)).map(Wanted::of);
        wanted.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// By which interfaces those are reached who wish so.
    fn ways_to(&self, is_meant: impl Fn(&Wish) -> bool) -> Ways {
        let state = lock(&self.state);
        let peers: HashSet<_> = state.wishes.values().filter(|wish| is_meant(wish)).map(|wish| wish.asker.ip).collect();
        drop(state);
        self.links.ways(peers)
    }

    /// Those who have come to wait for a stream since it was said why it cannot be had are told that too.
    fn tell_newcomers(&self, wanted: &Wanted, why: &str) {
        let mut state = lock(&self.state);
        let has_come = |wish: &&mut Wish| wish.watched.is_none() && wish.told.is_none() && Wanted::of(wish) == *wanted;
        for wish in state.wishes.values_mut().filter(has_come) {
            self.say_why(wish, why);
        }
    }

    /// Those who wait for a stream that cannot be had just now are told why.
    fn tell_waiting(&self, is_meant: impl Fn(&Wanted) -> bool, why: &str) {
        let mut state = lock(&self.state);
        let waits = |wish: &&mut Wish| wish.watched.is_none() && is_meant(&Wanted::of(wish));
        for wish in state.wishes.values_mut().filter(waits) {
            self.say_why(wish, why);
        }
    }

    /// A stream of another server comes another way from now on: who may not have it that way has it no more, and servers that it goes on to are told.
    fn reroute(&self, source: u64, hops: &Hops) {
        let ways = self.ways_to(|wish| wish.watched.is_none() || wish.is_of(source));
        let mut state = lock(&self.state);
        let State { sources, wishes, .. } = &mut *state;
        let Some(source) = sources.iter_mut().find(|one| one.id == source && one.hops != *hops) else { return };
        source.hops = hops.clone();
        let mut ended = Vec::new();
        for (stream, wish) in wishes.iter_mut().filter(|(_, wish)| wish.is_of(source.id)) {
            let way = hops.followed_by(&wish.onward).and_then(|_| self.through_here(hops));
            match (way, &mut wish.watched) {
                (Ok(way), Some(watched)) => {
                    watched.answer.hops = way;
                    if wish.asker.role == Role::Node {
                        self.voice.say(|signal| signal.tell_watching(watched.answer.clone()));
                    }
                }
                _ => ended.push(*stream),
            }
        }
        for stream in ended {
            self.stop_sending(&mut state, stream);
            self.voice.say(|signal| signal.tell_unwatched(stream, "it comes another way, which goes no further"));
        }
        self.settle(&mut state, &ways);
    }

    fn say_why(&self, wish: &mut Wish, why: &str) {
        if wish.told.as_deref() != Some(why) {
            wish.told = Some(why.to_owned());
            self.voice.say(|signal| signal.tell_unwatched(wish.request.stream, why));
        }
    }

    fn grant(
        &self,
        state: &mut State,
        asker: &Asker,
        request: &WatchRequest,
        ways: &Ways,
    ) -> Result<WatchAnswer, Refused> {
        if request.protocol != PROTOCOL {
            let message = format!("protocol {} is not {PROTOCOL}; use the same release at both ends", request.protocol);
            return Err(Refused::new("protocol", message));
        }
        if self.is_protected && !asker.protected {
            let message = "the stream is protected, and its key does not travel over a connection that others can read; connect with TLS";
            return Err(Refused::new(reason::KEY_OVER_PLAIN, message));
        }
        let onward = self.onward(request)?;
        if let Some(wish) = state.wishes.get(&request.stream)
            && wish.is(asker, request)
            && let Some(watched) = &wish.watched
        {
            // It has its stream, under a key that it was told.
            return Ok(WatchAnswer::Watching(watched.answer.clone()));
        }
        let before = state.wishes.get(&request.stream);
        let has_heard_nearest = before.is_some_and(|wish| wish.has_heard_nearest && wish.request.name == request.name);
        let was_refused = before.is_some_and(|wish| wish.was_refused) || state.full.contains(&request.stream);
        self.end_wish(state, request.stream);
        let mut wish = Wish { has_heard_nearest, was_refused, ..Wish::new(asker, request, onward) };
        let answer = match self.source_of(state, &wish) {
            Some(at) => WatchAnswer::Watching(self.send(&mut state.sources[at], &mut wish, ways)?),
            None => WatchAnswer::Waiting(self.look_elsewhere(state, &mut wish)?),
        };
        state.begun += u64::from(wish.watched.is_some());
        state.wishes.insert(request.stream, wish);
        Ok(answer)
    }

    /// What a stream that is asked for goes on through: this server, and those that ask for it.
    fn onward(&self, request: &WatchRequest) -> Result<Hops, Refused> {
        let WatchRequest { name, hops, .. } = request;
        let Some((own, own_name)) = self.peers.own() else { return Ok(hops.clone()) };
        hops.after(own).map_err(|error| {
            let message = match error {
                HopsError::Twice(_) => {
                    format!("{own_name} has been asked for {name:?} by itself, over other servers; ask the one that has it")
                }
                _ => format!("{name:?} would come through more than {HOPS_MAX} servers, {own_name} the first of them; ask for it nearer to its sender"),
            };
            Refused::new(reason::HOPS, message)
        })
    }

    /// The servers that a stream came through to who watches it here, this one the last.
    fn through_here(&self, hops: &Hops) -> Result<Hops, HopsError> {
        self.peers.own().map_or_else(|| Ok(hops.clone()), |(own, _)| hops.then(own))
    }

    /// A stream that is here, or is had from another server already, on a way that it may go on.
    fn source_of(&self, state: &State, wish: &Wish) -> Option<usize> {
        let name = &wish.request.name;
        let here = |name: &str| {
            let is_it = |source: &Source| source.is_here() && source.name() == name;
            state.sources.iter().position(is_it)
        };
        self.called_here(name).find_map(here).or_else(|| {
            let is_it = |source: &Source| source.is_elsewhere_called(name) && source.may_go_on(&wish.onward);
            state.sources.iter().position(is_it)
        })
    }

    /// What a stream of this server's is called that may be asked for so: `NAME`, or `NAME@NODE` of this node.
    fn called_here<'a>(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let at_own = name.rsplit_once('@').and_then(|(name, node)| {
            let (own, own_name) = self.peers.own()?;
            (node == own_name || node.parse::<NodeId>() == Ok(own)).then_some(name)
        });
        [name].into_iter().chain(at_own)
    }

    /// Has another server send it here, or waits for somebody to bring it.
    fn look_elsewhere(&self, state: &State, wish: &mut Wish) -> Result<Waiting, Refused> {
        let WatchRequest { stream, name, .. } = &wish.request;
        if let Some(peer) = self.peers.find(name, &wish.onward) {
            if wish.onward.after(peer.node).is_err() {
                return Err(Refused::new(reason::HOPS, too_far(name, &peer)));
            }
            return Ok(Waiting::new(*stream, format!("{name:?} is at {}, and is asked for there", peer.name)));
        }
        let message = format!("there is no stream {name:?}; it is sent once it comes");
        let here = state.sources.iter().filter(|source| source.is_here()).map(Source::name);
        let nearest = nearest(name, here.chain(self.peers.names())).filter(|_| !wish.has_heard_nearest);
        wish.has_heard_nearest |= nearest.is_some();
        Ok(Waiting::new(*stream, message).nearest(nearest))
    }

    /// Begins to send a stream for a wish.
    fn send(&self, source: &mut Source, wish: &mut Wish, ways: &Ways) -> Result<Watching, Refused> {
        let WatchRequest { stream, udp_port, frames_per_second_max, slice_bytes, delivery, .. } = wish.request;
        let delivery = delivery.unwrap_or(Delivery::Latest);
        let rate = match (source.frames_per_second, frames_per_second_max) {
            (Some(rate), Some(most)) => Some(rate.min(most)),
            (rate, most) => rate.or(most),
        };
        let most = frames_per_second_max.map(FrameRate::from_decimal).transpose();
        let most = most.map_err(|error| Refused::new(reason::BAD_REQUEST, error.to_string()))?;
        let hops = self.through_here(&source.hops)?;
        let link = self.links.watch(ways, wish.asker.ip, stream, source.info.format, rate, wish.was_refused);
        let link = link.inspect_err(|_| wish.was_refused = true)?;
        let added = self.key().and_then(|key| {
            let slice = slice_bytes.map_or(SliceSize::Auto, |bytes| SliceSize::Bytes(bytes.min(65_507) as u16));
            let to = RelayTo::new(stream)
                .key(key.clone())
                .delivery(delivery)
                .frames_per_second_max(most)
                .slice(slice)
                .link(link);
            let relayed = source.relayed(&self.relay).map_err(refused)?;
            Ok((relayed.add(wish.asker.at(udp_port), to).map_err(refused)?, key))
        });
        let (watcher, key) = added.inspect_err(|_| self.links.unwatch(stream))?;
        let first = hops.nodes().next();
        let answer = Watching::new(stream, source.name(), &source.info.format, delivery)
            .node(first.map(|node| node.to_string()))
            .frames_per_second(rate)
            .metadata_bytes_max(u32::try_from(source.info.metadata_max).ok())
            .key(key)
            .hops(hops);
        source.wake(&self.voice);
        tracing::info!(stream = ?source.name(), watcher = %wish.asker.ip, "watched");
        wish.was_refused = false;
        (wish.told, wish.watched) = (None, Some(Watched { source: source.id, watcher, answer: answer.clone() }));
        Ok(answer)
    }

    fn key(&self) -> Result<Option<Key>, Refused> {
        self.is_protected.then(Key::random).transpose().map_err(|error| {
            tracing::error!("no key for a watcher: {error}");
            Refused::new(reason::INTERNAL, "the server has no random numbers for a key just now; try again")
        })
    }

    /// Sends to those who waited what has come; `ways` are those to them.
    fn settle(&self, state: &mut State, ways: &Ways) {
        let waiting: Vec<u32> =
            state.wishes.iter().filter(|(_, wish)| wish.watched.is_none()).map(|(stream, _)| *stream).collect();
        for stream in waiting {
            let Some(at) = self.source_of(state, &state.wishes[&stream]) else { continue };
            let State { sources, wishes, begun, full, .. } = &mut *state;
            let wish = wishes.get_mut(&stream).expect("it waits under this lock");
            match self.send(&mut sources[at], wish, ways) {
                Ok(watching) => {
                    *begun += 1;
                    full.retain(|known| *known != stream);
                    self.voice.say(|signal| signal.tell_watching(watching));
                }
                Err(refused) => self.say_why(wish, &refused.message),
            }
        }
    }

    fn stop_sending(&self, state: &mut State, stream: u32) {
        let Some(wish) = state.wishes.get_mut(&stream) else { return };
        add(&mut state.sent, &wish.stats());
        if wish.watched.take().is_some() {
            self.links.unwatch(stream);
        }
    }

    fn end_wish(&self, state: &mut State, stream: u32) {
        self.stop_sending(state, stream);
        state.wishes.remove(&stream);
    }
}

impl State {
    /// Notes that there was no room for a wish; whether that is new.
    fn is_newly_full(&mut self, stream: u32) -> bool {
        if self.full.contains(&stream) {
            return false;
        }
        if self.full.len() == FULL_MAX {
            self.full.pop_front();
        }
        self.full.push_back(stream);
        true
    }
}

fn add(sum: &mut SendStats, more: &SendStats) {
    sum.frames_sent += more.frames_sent;
    sum.frames_skipped += more.frames_skipped;
    sum.bytes += more.bytes;
}

fn refused(error: RelayError) -> Refused {
    let code = match error {
        RelayError::TooMany { .. } | RelayError::Ended => reason::TOO_MANY,
        RelayError::Connect(_) => reason::BAD_REQUEST,
        _ => reason::INTERNAL,
    };
    Refused::new(code, error.to_string())
}

fn too_far(name: &str, peer: &Peer) -> String {
    format!(
        "{name:?} would come through more than {HOPS_MAX} servers or in a circle, as it is not here but at {}; watch it there",
        peer.name
    )
}

/// The name that is most like one, if any is near.
fn nearest(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let likeness = |other: &String| strsim::jaro_winkler(other, name);
    let likely = names.map(|other| (likeness(&other), other)).filter(|(likeness, _)| *likeness >= LIKENESS_MIN);
    likely.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
