//! Nodes that two servers call themselves by: they share a state directory, or have copies of one, as of a machine's image.
//!
//! Of two runs of a node the newer is believed. One that has ended says nothing more; where the older goes on to speak, it is another server's.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::directory::node::NodeId;
use crate::directory::{GONE_AFTER, LIVE_FOR};

/// What a run said that has ended may be on its way for so long after the next has begun.
const LATE_FOR: Duration = Duration::from_secs(2 * LIVE_FOR.as_secs());

/// Incarnation and sequence.
type Said = (u64, u64);

/// What is heard of runs that should be over, of nodes that are known: no more than those.
#[derive(Debug, Default)]
pub(super) struct Twins(BTreeMap<NodeId, Other>);

#[derive(Debug)]
struct Other {
    said: Said,
    heard_at: Duration,
    /// When it was plain that there is a second server, last.
    seen_at: Option<Duration>,
}

impl Twins {
    /// What a run says that is older than the one that is believed, whose first word was heard at `newer_since`. Whether it is a twin's.
    pub(super) fn hear_older(&mut self, node: NodeId, said: Said, newer_since: Duration, now: Duration) -> bool {
        let other = self.0.entry(node).or_insert(Other { said, heard_at: now, seen_at: None });
        let has_risen = said > other.said;
        other.said = other.said.max(said);
        other.heard_at = now;
        let is_of_twin = has_risen && now.saturating_sub(newer_since) >= LATE_FOR;
        if is_of_twin {
            other.seen_at = Some(now);
        }
        is_of_twin
    }

    /// A twin, beyond doubt.
    pub(super) fn add(&mut self, node: NodeId, said: Said, now: Duration) {
        self.0.insert(node, Other { said, heard_at: now, seen_at: Some(now) });
    }

    /// Whether two servers are this node, as far as was heard of late: an engine may have what one says for a while, then what the other does.
    pub(super) fn has(&self, node: NodeId, now: Duration) -> bool {
        let seen_at = self.0.get(&node).and_then(|other| other.seen_at);
        seen_at.is_some_and(|at| now.saturating_sub(at) < GONE_AFTER)
    }

    pub(super) fn remove(&mut self, node: NodeId) {
        self.0.remove(&node);
    }

    pub(super) fn age(&mut self, now: Duration) {
        self.0.retain(|_, other| now.saturating_sub(other.heard_at) < GONE_AFTER);
    }
}
