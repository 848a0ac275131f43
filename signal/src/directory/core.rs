//! The rules of the directory: who is believed what, for how long, and when the own entry is said. No threads, no sockets, no clock.

mod crowd;
mod gone;
mod twins;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use self::crowd::Crowd;
use self::gone::Gone;
use self::twins::Twins;
use super::entry::{NodeEntry, OwnNode, OwnState};
use super::key::ClusterKey;
use super::node::NodeId;
use super::signed::{self, EntryError};
use super::view::{NodeState, SeenNode, View};
use super::{GONE_AFTER, LIVE_FOR, NODES_MAX, REMEMBERED_BYTES_MAX, RENEWED_EVERY, STALE_FOR};

/// Least time between two entries of the own: what changes in between is said together.
const SAID_APART: Duration = Duration::from_millis(100);

/// What one node knows of its cluster. Time is the `now` of each call: any clock that never goes back, such as the time since the
/// program began. What the clocks of other machines show is never asked.
#[derive(Debug)]
pub struct Directory {
    own: OwnNode,
    key: ClusterKey,
    state: OwnState,
    sequence: u64,
    /// When the first entry of this run was said, and the last.
    begun_at: Option<Duration>,
    said_at: Option<Duration>,
    /// Whether something changed that others are told of before the next renewal.
    has_news: bool,
    others: BTreeMap<NodeId, Remembered>,
    others_bytes: usize,
    gone: Gone,
    twins: Twins,
    crowd: Crowd,
    /// How many nodes an engine says that there are in all.
    counted: u64,
    counters: DirectoryCounters,
}

/// What another node said last.
#[derive(Debug)]
struct Remembered {
    entry: Arc<NodeEntry>,
    bytes: usize,
    /// When the first of its run was heard.
    begun_at: Duration,
    /// When that was news.
    heard_at: Duration,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// Of a node that was not known.
    New,
    /// Newer than what was known of the node.
    Newer,
    /// What was known already.
    Same,
    /// Older than what was known, or of a node that is gone since.
    Older,
    /// The own: nothing that is heard changes what a server knows of itself.
    Own,
    /// There is no room for more nodes.
    NoRoom,
}

/// What a [`Directory`] has counted since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct DirectoryCounters {
    /// Entries that were news of another node.
    pub entries_taken: u64,
    /// Entries that were not news: heard again, out of order, or the own.
    pub entries_known: u64,
    /// Entries for which there was no room.
    pub entries_without_room: u64,
    /// Bytes that are no entry.
    pub unreadable: u64,
    /// Entries that are not signed by this cluster's key.
    pub forged: u64,
    /// Entries of more than 256 KiB.
    pub too_large: u64,
    /// Entries that are signed and have what cannot be.
    pub out_of_bounds: u64,
    /// Entries that another server says of itself by the own id: two share a state directory, or have copies of one.
    pub twins: u64,
}

impl Directory {
    /// Of this server, which says nothing yet and knows of nobody.
    ///
    /// # Errors
    /// [`EntryError::OutOfBounds`] where its name or its address cannot be.
    pub fn new(own: OwnNode, key: ClusterKey) -> Result<Self, EntryError> {
        let state = OwnState::default();
        NodeEntry::of(&own, &state, 0).check().map_err(|problem| EntryError::OutOfBounds { problem })?;
        Ok(Self {
            own,
            key,
            state,
            sequence: 0,
            begun_at: None,
            said_at: None,
            has_news: true,
            others: BTreeMap::new(),
            others_bytes: 0,
            gone: Gone::default(),
            twins: Twins::default(),
            crowd: Crowd::default(),
            counted: 0,
            counters: DirectoryCounters::default(),
        })
    }

    /// Which server this is.
    pub fn own(&self) -> &OwnNode {
        &self.own
    }

    /// What it has from now on. Others are told within 100 ms where a stream came, went or became another, or its key did, and with the next renewal where only figures did.
    pub fn set_own(&mut self, state: OwnState) {
        let (before, after) = (&self.state.streams, &state.streams);
        self.has_news |= self.state.pin != state.pin;
        self.has_news |= before.len() != after.len() || !before.iter().zip(after).all(|(a, b)| a.is_as(b));
        self.state = state;
    }

    /// Takes what an engine brought.
    ///
    /// # Errors
    /// It is no entry of this cluster's: nothing changes but the counters.
    pub fn handle_entry(&mut self, bytes: &[u8], now: Duration) -> Result<Heard, EntryError> {
        let entry = signed::open(&self.key, bytes).inspect_err(|error| {
            let counter = match error {
                EntryError::TooLarge { .. } => &mut self.counters.too_large,
                EntryError::Unreadable => &mut self.counters.unreadable,
                EntryError::Forged => &mut self.counters.forged,
                EntryError::OutOfBounds { .. } => &mut self.counters.out_of_bounds,
            };
            *counter += 1;
        })?;
        self.age(now);
        let heard = self.take(entry, bytes.len(), now);
        let counter = match heard {
            Heard::New | Heard::Newer => &mut self.counters.entries_taken,
            Heard::Same | Heard::Older | Heard::Own => &mut self.counters.entries_known,
            Heard::NoRoom => &mut self.counters.entries_without_room,
        };
        *counter += 1;
        Ok(heard)
    }

    fn take(&mut self, entry: NodeEntry, bytes: usize, now: Duration) -> Heard {
        let node = entry.node;
        let said = (entry.incarnation, entry.sequence);
        if node == self.own.node {
            self.look_for_own_twin(said, now);
            return Heard::Own;
        }
        let known = self.others.get(&node);
        if let Some(known) = known.filter(|known| known.entry.incarnation > entry.incarnation) {
            self.twins.hear_older(node, said, known.begun_at, now);
        }
        match known.map(|known| said.cmp(&(known.entry.incarnation, known.entry.sequence))) {
            Some(std::cmp::Ordering::Equal) => return Heard::Same,
            Some(std::cmp::Ordering::Less) => return Heard::Older,
            Some(std::cmp::Ordering::Greater) => {}
            None if !self.gone.is_news(node, said, now) => return Heard::Older,
            None => {}
        }
        let is_new = known.is_none();
        let of_same_run = known.filter(|known| known.entry.incarnation == entry.incarnation);
        let begun_at = of_same_run.map_or(now, |known| known.begun_at);
        let freed = known.map_or(0, |known| known.bytes);
        if !self.make_room(is_new, bytes.saturating_sub(freed), now) {
            self.crowd.add(node, now);
            return Heard::NoRoom;
        }
        self.crowd.remove(node);
        self.gone.remove(node);
        self.others_bytes = self.others_bytes - freed + bytes;
        self.others.insert(node, Remembered { entry: Arc::new(entry), bytes, begun_at, heard_at: now });
        if is_new { Heard::New } else { Heard::Newer }
    }

    /// What an earlier run of this server said is heard until it is overwritten; a later one cannot be, and one that has ended says nothing more.
    fn look_for_own_twin(&mut self, said: (u64, u64), now: Duration) {
        let node = self.own.node;
        let is_of_twin = if said > (self.own.incarnation, self.sequence) {
            self.twins.add(node, said, now);
            true
        } else {
            said.0 < self.own.incarnation && self.twins.hear_older(node, said, self.begun_at.unwrap_or(now), now)
        };
        self.counters.twins += u64::from(is_of_twin);
    }

    /// Whether there is room: of nodes that are not heard of, the one that is silent for longest makes it.
    fn make_room(&mut self, is_new: bool, bytes: usize, now: Duration) -> bool {
        let has_room = |directory: &Self| {
            (!is_new || directory.others.len() < NODES_MAX) && directory.others_bytes + bytes <= REMEMBERED_BYTES_MAX
        };
        while !has_room(self) {
            let silent = self.others.iter().min_by_key(|(_, other)| other.heard_at);
            let Some(node) = silent.filter(|(_, other)| other.silence(now) >= LIVE_FOR).map(|(node, _)| *node) else {
                return false;
            };
            self.forget(node, now);
        }
        true
    }

    fn forget(&mut self, node: NodeId, now: Duration) {
        let Some(other) = self.others.remove(&node) else { return };
        self.others_bytes -= other.bytes;
        self.twins.remove(node);
        self.gone.add(node, (other.entry.incarnation, other.entry.sequence), now);
    }

    /// Forgets what is too old.
    fn age(&mut self, now: Duration) {
        let is_gone = |(_, other): &(&NodeId, &Remembered)| other.silence(now) >= GONE_AFTER;
        let gone: Vec<_> = self.others.iter().filter(is_gone).map(|(node, _)| *node).collect();
        gone.into_iter().for_each(|node| self.forget(node, now));
        self.gone.age(now);
        self.twins.age(now);
        self.crowd.age(now);
    }

    /// How many nodes there are in all, by an engine that does not bring the entries of those for which there is no room.
    pub fn handle_count(&mut self, nodes: u64) {
        self.counted = nodes;
    }

    /// The own entry, signed, where it is to be said now: every 2 s, and within 100 ms of a change. Its sequence rises each time.
    pub fn poll_own(&mut self, now: Duration) -> Option<Vec<u8>> {
        if now < self.own_is_due_at() {
            return None;
        }
        self.begun_at.get_or_insert(now);
        self.said_at = Some(now);
        self.has_news = false;
        self.sequence += 1;
        let mut entry = NodeEntry::of(&self.own, &self.state, self.sequence);
        loop {
            match signed::seal(&self.key, &entry) {
                Ok(bytes) => return Some(bytes),
                // The streams are all of it that can be so long.
                Err(_) => {
                    let kept = entry.streams.len() * 3 / 4;
                    entry.streams_more += (entry.streams.len() - kept) as u64;
                    entry.streams.truncate(kept);
                }
            }
        }
    }

    /// When [`Directory::poll_own`] has something to say next.
    pub fn own_is_due_at(&self) -> Duration {
        let after = if self.has_news { SAID_APART } else { RENEWED_EVERY };
        self.said_at.map_or(Duration::ZERO, |at| at + after)
    }

    /// What is known now: all own streams, and what others said that is not too old.
    pub fn view(&mut self, now: Duration) -> View {
        self.age(now);
        let mut own = NodeEntry::of(&self.own, &OwnState::default().pin(self.state.pin), self.sequence);
        // All of it: there is always room for the truth.
        (own.load, own.links, own.streams) = (self.state.load, self.state.links.clone(), self.state.streams.clone());
        let has_twin = self.twins.has(self.own.node, now);
        let own = SeenNode { entry: Arc::new(own), state: NodeState::Own, age: Duration::ZERO, has_twin };
        let others = self.others.iter().map(|(node, other)| {
            let age = other.silence(now);
            let state = match age {
                age if age < LIVE_FOR => NodeState::Live,
                age if age < STALE_FOR => NodeState::Stale,
                _ => NodeState::Unreachable,
            };
            SeenNode { entry: other.entry.clone(), state, age, has_twin: self.twins.has(*node, now) }
        });
        let nodes: Vec<_> = std::iter::once(own).chain(others).collect();
        // An engine counts also those whose keys have just expired: while there is room, all are known.
        let is_full = self.others.len() >= NODES_MAX || self.crowd.nodes() > 0;
        let uncounted = if is_full { self.counted.saturating_sub(nodes.len() as u64) } else { 0 };
        View::new(nodes, self.crowd.nodes().max(uncounted))
    }

    /// What it has counted.
    pub fn counters(&self) -> DirectoryCounters {
        self.counters
    }

    /// Bytes of what others said that are remembered, as they were signed.
    pub fn remembered_bytes(&self) -> usize {
        self.others_bytes
    }
}

impl Remembered {
    fn silence(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard_at)
    }
}
