//! Nodes for which there is no room: they are counted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::directory::GONE_AFTER;
use crate::directory::node::NodeId;

/// Most that are told from each other.
const COUNTED_MAX: usize = 16_384;

/// When each was heard last.
#[derive(Debug, Default)]
pub(super) struct Crowd(BTreeMap<NodeId, Duration>);

impl Crowd {
    pub(super) fn add(&mut self, node: NodeId, now: Duration) {
        if self.0.len() < COUNTED_MAX || self.0.contains_key(&node) {
            self.0.insert(node, now);
        }
    }

    pub(super) fn remove(&mut self, node: NodeId) {
        self.0.remove(&node);
    }

    pub(super) fn age(&mut self, now: Duration) {
        self.0.retain(|_, at| now.saturating_sub(*at) < GONE_AFTER);
    }

    /// How many.
    pub(super) fn nodes(&self) -> u64 {
        self.0.len() as u64
    }
}
