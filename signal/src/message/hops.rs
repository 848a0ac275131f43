//! The servers that a stream comes through: as a wish and its answer say them, and as both ends check them.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Refused, reason};
use crate::directory::NodeId;

/// Most servers that a stream comes through between its sender and who watches it, the first among them: beyond, each adds a frame's time, and a loop
/// is likelier than a use.
pub const HOPS_MAX: usize = 3;

/// Servers that a stream comes through, in the order of its frames: at most [`HOPS_MAX`], none of them twice. None at all by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<NodeId>", into = "Vec<NodeId>")]
pub struct Hops(Vec<NodeId>);

/// Servers that no stream may come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HopsError {
    /// They are more than [`HOPS_MAX`].
    #[error("{0} servers are more than a stream may come through, {HOPS_MAX}; watch it nearer to its sender")]
    TooMany(usize),
    /// One is among them twice.
    #[error(
        "the stream would come through the server {0} twice, in a circle; watch it at the one that has it from its sender"
    )]
    Twice(NodeId),
}

impl Hops {
    /// These servers, the one nearest to the stream's sender first.
    ///
    /// # Errors
    /// They are too many, or one is among them twice.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Result<Self, HopsError> {
        Self::join(nodes, [])
    }

    /// The same, and this server behind them.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn then(&self, node: NodeId) -> Result<Self, HopsError> {
        Self::join(self.nodes(), [node])
    }

    /// This server, and the same behind it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn after(&self, node: NodeId) -> Result<Self, HopsError> {
        Self::join([node], self.nodes())
    }

    /// The same, and these behind them: the whole way of a stream that came through the first and goes on through the others.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn followed_by(&self, others: &Self) -> Result<Self, HopsError> {
        Self::join(self.nodes(), others.nodes())
    }

    /// The servers, the one nearest to the stream's sender first.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        self.0.iter().copied()
    }

    /// Whether this server is among them.
    pub fn contains(&self, node: NodeId) -> bool {
        self.0.contains(&node)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn join(
        first: impl IntoIterator<Item = NodeId>,
        then: impl IntoIterator<Item = NodeId>,
    ) -> Result<Self, HopsError> {
        let nodes: Vec<NodeId> = first.into_iter().chain(then).collect();
        if nodes.len() > HOPS_MAX {
            return Err(HopsError::TooMany(nodes.len()));
        }
        match (1..nodes.len()).find(|at| nodes[..*at].contains(&nodes[*at])) {
            Some(at) => Err(HopsError::Twice(nodes[at])),
            None => Ok(Self(nodes)),
        }
    }
}

impl TryFrom<Vec<NodeId>> for Hops {
    type Error = HopsError;

    fn try_from(nodes: Vec<NodeId>) -> Result<Self, HopsError> {
        Self::new(nodes)
    }
}

impl From<Hops> for Vec<NodeId> {
    fn from(hops: Hops) -> Self {
        hops.0
    }
}

impl From<HopsError> for Refused {
    fn from(error: HopsError) -> Self {
        Self::new(reason::HOPS, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(byte: u8) -> NodeId {
        NodeId::new([byte; 16])
    }

    fn hops<const N: usize>(bytes: [u8; N]) -> Result<Hops, HopsError> {
        Hops::new(bytes.map(node))
    }

    #[test]
    fn a_way_of_three_servers_is_one_and_a_fourth_or_one_that_comes_again_makes_it_none() {
        let three = hops([1, 2, 3]).unwrap();
        assert_eq!((three.len(), three.contains(node(2)), three.contains(node(4))), (3, true, false));
        assert_eq!(three.then(node(4)), Err(HopsError::TooMany(4)));
        assert_eq!(three.after(node(4)), Err(HopsError::TooMany(4)));
        let two = hops([1, 2]).unwrap();
        assert_eq!(two.then(node(3)), Ok(three.clone()));
        assert_eq!(hops([2, 3]).unwrap().after(node(1)), Ok(three));
        assert_eq!(two.then(node(1)), Err(HopsError::Twice(node(1))));
        assert_eq!(two.after(node(2)), Err(HopsError::Twice(node(2))));
        assert_eq!(two.followed_by(&hops([2]).unwrap()), Err(HopsError::Twice(node(2))));
        assert_eq!(two.followed_by(&hops([3, 4]).unwrap()), Err(HopsError::TooMany(4)));
        assert_eq!(Hops::default().followed_by(&two), Ok(two));
    }

    #[test]
    fn what_the_network_says_is_held_to_the_same() {
        let text = |byte| node(byte).to_string();
        let written = json!([text(1), text(2), text(3)]);
        assert_eq!(serde_json::to_value(hops([1, 2, 3]).unwrap()).unwrap(), written);
        assert_eq!(serde_json::from_value::<Hops>(written).unwrap(), hops([1, 2, 3]).unwrap());
        for wrong in [
            json!([text(1), text(2), text(3), text(4)]),
            json!([text(1), text(2), text(1)]),
            json!(vec!["a"; 10_000]),
            json!(["A".repeat(32)]),
            json!("a"),
            json!([7]),
            json!(null),
        ] {
            assert!(serde_json::from_value::<Hops>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
