//! Nodes that are gone: so that what an engine still has of them does not bring them back.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::directory::NODES_MAX;
use crate::directory::node::NodeId;

/// For how long what a node said before it was gone is known again, since it was last heard.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// The last of what each of them said, for at most as many as are remembered alive.
#[derive(Debug, Default)]
pub(super) struct Gone(BTreeMap<NodeId, (Said, Duration)>);

/// Incarnation and sequence.
type Said = (u64, u64);

impl Gone {
    pub(super) fn add(&mut self, node: NodeId, said: Said, now: Duration) {
        if self.0.len() >= NODES_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, (_, at))| *at).map(|(node, _)| *node)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(node, (said, now));
    }

    /// Whether what the node is heard to say now came after all that it said before it was gone. The very last is remembered for as long as it is heard: its
    /// engine does not forget it.
    pub(super) fn is_news(&mut self, node: NodeId, said: Said, now: Duration) -> bool {
        let Some((last, at)) = self.0.get_mut(&node) else { return true };
        if said == *last {
            *at = now;
        }
        said > *last
    }

    pub(super) fn remove(&mut self, node: NodeId) {
        self.0.remove(&node);
    }

    pub(super) fn age(&mut self, now: Duration) {
        self.0.retain(|_, (_, at)| now.saturating_sub(*at) < KNOWN_FOR);
    }
}
