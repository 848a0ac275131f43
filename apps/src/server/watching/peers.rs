//! The other servers, as who looks for a stream sees them.

use framewire_signal::ClientConfig;

/// Who else may have a stream that is not here.
pub(crate) trait Peers: Send + Sync {
    /// This server's id and name among them; `None` where it is alone.
    fn own(&self) -> Option<(String, String)>;

    /// The node that has a stream of this name (`NAME`, or `NAME@NODE`), of those that this may still come through.
    fn find(&self, name: &str, passed: &[String]) -> Option<Peer>;

    /// The names of their streams.
    fn names(&self) -> Vec<String>;

    /// What the node of this id is called.
    fn name_of(&self, node: &str) -> Option<String>;
}

/// A node that has a stream.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Its id.
    pub(crate) node: String,
    /// What people call it.
    pub(crate) name: String,
    /// What the stream is called there.
    pub(crate) stream: String,
    /// How it is spoken with.
    pub(crate) client: ClientConfig,
}

/// A server that knows of no other.
pub(crate) struct Alone;

impl Peers for Alone {
    fn own(&self) -> Option<(String, String)> {
        None
    }

    fn find(&self, _name: &str, _passed: &[String]) -> Option<Peer> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn name_of(&self, _node: &str) -> Option<String> {
        None
    }
}
