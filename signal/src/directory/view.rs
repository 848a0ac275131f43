//! What a node knows of its cluster at one moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::entry::{NodeEntry, StreamEntry};
use super::node::NodeId;

/// How fresh what is known of a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NodeState {
    /// The server itself: what it knows of itself is never old.
    Own,
    /// Its entry was renewed in the last 6 s.
    Live,
    /// Not for 6 s.
    Stale,
    /// Not for 60 s; at 66 s it is gone.
    Unreachable,
}

impl NodeState {
    /// Its name: `own`, `live`, `stale`, `unreachable`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Unreachable => "unreachable",
        }
    }

    fn is_fresh(self) -> bool {
        self <= Self::Live
    }
}

/// A node as another sees it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SeenNode {
    /// What it said last.
    pub entry: Arc<NodeEntry>,
    /// How fresh that is.
    pub state: NodeState,
    /// Since its entry was last renewed, when this view was made; 0 of the own.
    pub age: Duration,
    /// Whether another server calls itself by the same id: the state directory of one was copied. What is here of it is what the one says whose run began
    /// later; of the server itself, what it has.
    pub has_twin: bool,
}

/// A stream in a [`View`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SeenStream<'a> {
    /// The node that has it.
    pub node: &'a SeenNode,
    /// The stream.
    pub stream: &'a StreamEntry,
    /// Whether its name alone means it; else it is [`SeenStream::full_name`].
    pub has_plain_name: bool,
}

impl SeenStream<'_> {
    /// The name that means this stream and no other: its name where that is its own, else `name@node`.
    pub fn shown_name(&self) -> String {
        if self.has_plain_name { self.stream.name.clone() } else { self.full_name() }
    }

    /// `name@node`.
    pub fn full_name(&self) -> String {
        format!("{}@{}", self.stream.name, self.node.entry.name)
    }
}

/// What a node knows of its cluster at one moment: itself first, the others by name.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct View {
    /// The own node first where there is one, then the others by their names and ids.
    pub nodes: Vec<SeenNode>,
    /// How many nodes more there are, for which there was no room.
    pub nodes_more: u64,
    /// Which node and stream each plain name means.
    plain: HashMap<String, (usize, usize)>,
}

impl View {
    /// Of these nodes, the own first, in any order otherwise.
    pub(super) fn new(mut nodes: Vec<SeenNode>, nodes_more: u64) -> Self {
        nodes.sort_by(|a, b| {
            let key = |node: &SeenNode| (node.state != NodeState::Own, node.entry.node);
            (key(a).0, &a.entry.name, key(a).1).cmp(&(key(b).0, &b.entry.name, key(b).1))
        });
        let mut plain: HashMap<String, (usize, usize)> = HashMap::new();
        for (n, node) in nodes.iter().enumerate() {
            for (s, stream) in node.entry.streams.iter().enumerate() {
                match plain.get_mut(&stream.name) {
                    None => {
                        plain.insert(stream.name.clone(), (n, s));
                    }
                    Some(place) => {
                        let holder = (&nodes[place.0], &nodes[place.0].entry.streams[place.1]);
                        if right_to_name((node, stream)) > right_to_name(holder) {
                            *place = (n, s);
                        }
                    }
                }
            }
        }
        Self { nodes, nodes_more, plain }
    }

    /// All streams, node by node.
    pub fn streams(&self) -> impl Iterator<Item = SeenStream<'_>> {
        (0..self.nodes.len()).flat_map(move |n| (0..self.nodes[n].entry.streams.len()).map(move |s| self.at(n, s)))
    }

    /// The stream of this name, or of this `name@node`: of equal names the one at a node that is heard of, then the one that is not relayed, then the one whose
    /// source is newer.
    pub fn find(&self, name: &str) -> Option<SeenStream<'_>> {
        if let Some((n, s)) = self.plain.get(name) {
            return Some(self.at(*n, *s));
        }
        // Either part may have an @ of its own.
        let of = name.char_indices().filter(|(_, char)| *char == '@').map(|(at, _)| (&name[..at], &name[at + 1..]));
        let of: Vec<_> = of.collect();
        let named =
            self.streams().filter(|seen| of.contains(&(seen.stream.name.as_str(), seen.node.entry.name.as_str())));
        named.fold(None, |held, seen| match held {
            Some(held) if right_to_name((held.node, held.stream)) >= right_to_name((seen.node, seen.stream)) => {
                Some(held)
            }
            _ => Some(seen),
        })
    }

    /// The node of this id.
    pub fn node(&self, node: NodeId) -> Option<&SeenNode> {
        self.nodes.iter().find(|seen| seen.entry.node == node)
    }

    fn at(&self, n: usize, s: usize) -> SeenStream<'_> {
        let (node, stream) = (&self.nodes[n], &self.nodes[n].entry.streams[s]);
        SeenStream { node, stream, has_plain_name: self.plain.get(&stream.name) == Some(&(n, s)) }
    }
}

/// The higher has the name. The same at every node that sees the same.
fn right_to_name<'a>((node, stream): (&'a SeenNode, &'a StreamEntry)) -> impl Ord + use<'a> {
    use std::cmp::Reverse;
    (
        node.state.is_fresh(),
        Reverse(stream.hops.len()),
        stream.incarnation,
        Reverse(node.entry.node),
        Reverse(stream.id),
    )
}
