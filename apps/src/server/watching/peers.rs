//! The other servers, as who looks for a stream sees them.

use framewire_signal::ClientConfig;
use framewire_signal::directory::NodeId;
use framewire_signal::message::Hops;

/// Who else may have a stream that is not here.
pub(crate) trait Peers: Send + Sync {
    /// This server's id and name among them; `None` where it is alone.
    fn own(&self) -> Option<(NodeId, String)>;

    /// The node that has a stream of this name (`NAME`, or `NAME@NODE`): none of those that it goes on through, this server first.
    fn find(&self, name: &str, onward: &Hops) -> Option<Peer>;

    /// The names of their streams.
    fn names(&self) -> Vec<String>;

    /// What the node of this id is called.
    fn name_of(&self, node: NodeId) -> Option<String>;
}

/// A node that has a stream.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Its id.
    pub(crate) node: NodeId,
    /// Which run of it.
    pub(crate) incarnation: u64,
    /// What people call it.
    pub(crate) name: String,
    /// What the stream is called there.
    pub(crate) stream: String,
    /// How it is spoken with.
    pub(crate) client: ClientConfig,
}

impl Peer {
    /// Whether who is asked by the one is asked by the other: the same run of the same node, by the same address and key.
    pub(crate) fn is_where(&self, other: &Self) -> bool {
        let reached = |peer: &Self| (peer.node, peer.incarnation, peer.client.pin, peer.client.insecure);
        reached(self) == reached(other) && self.client.server_url == other.client.server_url
    }
}

/// A server that knows of no other.
pub(crate) struct Alone;

impl Peers for Alone {
    fn own(&self) -> Option<(NodeId, String)> {
        None
    }

    fn find(&self, _name: &str, _onward: &Hops) -> Option<Peer> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn name_of(&self, _node: NodeId) -> Option<String> {
        None
    }
}
