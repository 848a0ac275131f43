//! Pictures of other nodes' streams, fetched from them on behalf of whoever looks here.
//!
//! One connection a node, made when somebody looks at a stream of it and given up a few seconds after the last did. What several pages
//! want is asked for once, and the next picture of a stream only when somebody wants one, so that a slow page, or a slow way, has no
//! picture waiting. A node that does not answer keeps nobody waiting for anything else: what is asked of it meanwhile is answered "none".

mod call;
mod peer;
mod wanted;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use framewire_pictures::ValueRange;
use framewire_process::lock::lock;
use framewire_signal::Pin;
use framewire_signal::directory::{ClusterKey, NodeId};
use tokio::sync::{mpsc, oneshot};

use crate::pictures::Size;

/// Wishes that a node's connection has not taken yet, all pages' together.
const WISHES_MAX: usize = 256;
/// Nodes that pictures are fetched from at once.
const PEERS_MAX: usize = 1_024;

/// Where a node is, and by what it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerAddress {
    /// Of its page: `http://` or `https://`, host, port, and a path if it has one.
    pub(crate) url: String,
    /// Its key, from an entry whose signature is right. Without it no TLS is trusted.
    pub(crate) pin: Option<Pin>,
}

/// Which picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Wish {
    /// The number that the stream is shown by at its node.
    pub(crate) stream: u32,
    pub(crate) size: Size,
    pub(crate) range: ValueRange,
    /// Any but this one; 0 for any.
    pub(crate) seen: u64,
}

/// A picture as its node sent it.
#[derive(Debug, Clone)]
pub(crate) struct PeerPicture {
    /// The number that it has at its node, never 0.
    pub(crate) serial: u64,
    pub(crate) frame: u64,
    /// When the frame came there, by this server's clock; the way here is not counted.
    pub(crate) taken: Instant,
    /// When it came here.
    pub(crate) came: Instant,
    pub(crate) jpeg: Bytes,
}

/// What came of fetching, since the server began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PeerCounts {
    /// Connections to nodes that there are now.
    pub(crate) connected: u64,
    /// Connections that came to nothing.
    pub(crate) failed: u64,
    /// Pictures that came.
    pub(crate) pictures: u64,
    /// Bytes of these.
    pub(crate) bytes: u64,
}

/// The nodes that pictures are fetched from.
#[derive(Debug)]
pub(crate) struct Peers {
    key: Option<ClusterKey>,
    places: Mutex<HashMap<NodeId, Place>>,
    figures: Arc<Figures>,
}

#[derive(Debug)]
struct Place {
    address: PeerAddress,
    wishes: mpsc::Sender<Asked>,
}

/// A wish, and where its answer goes.
struct Asked {
    wish: Wish,
    answer: oneshot::Sender<Option<PeerPicture>>,
}

#[derive(Debug, Default)]
struct Figures {
    connected: AtomicU64,
    failed: AtomicU64,
    pictures: AtomicU64,
    bytes: AtomicU64,
    /// Why nothing comes from a node.
    troubles: Mutex<HashMap<NodeId, String>>,
}

impl Peers {
    /// Of a node of the cluster of this key; without one, it looks where everyone may.
    pub(crate) fn new(key: Option<ClusterKey>) -> Self {
        Self { key, places: Mutex::default(), figures: Arc::default() }
    }

    /// The picture that is wished for, or the next one that is; `None` where there is none for now.
    pub(crate) async fn next(&self, node: NodeId, address: PeerAddress, wish: Wish) -> Option<PeerPicture> {
        let (answer, answered) = oneshot::channel();
        self.ask(node, address, Asked { wish, answer });
        answered.await.ok().flatten()
    }

    /// Why nothing comes from this node.
    pub(crate) fn trouble(&self, node: NodeId) -> Option<String> {
        lock(&self.figures.troubles).get(&node).cloned()
    }

    /// What came of it so far.
    pub(crate) fn counts(&self) -> PeerCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Figures { connected, failed, pictures, bytes, .. } = &*self.figures;
        PeerCounts { connected: of(connected), failed: of(failed), pictures: of(pictures), bytes: of(bytes) }
    }

    /// Hands a wish to the node's connection, which is made where there is none. Where there is no room, it is dropped, and so answered.
    fn ask(&self, node: NodeId, address: PeerAddress, asked: Asked) {
        let mut places = lock(&self.places);
        let asked = match places.get(&node) {
            // Of one that has moved, the connection ends with its sender.
            Some(place) if place.address == address => match place.wishes.try_send(asked) {
                Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => return,
                Err(mpsc::error::TrySendError::Closed(asked)) => asked,
            },
            _ => asked,
        };
        places.retain(|_, place| !place.wishes.is_closed());
        if places.len() >= PEERS_MAX && !places.contains_key(&node) {
            return;
        }
        let (wishes, to_take) = mpsc::channel(WISHES_MAX);
        // There is room for the first.
        let _ = wishes.try_send(asked);
        places.insert(node, Place { address: address.clone(), wishes });
        drop(places);
        let about = peer::About { node, address, key: self.key.clone() };
        tokio::spawn(peer::serve(about, to_take, self.figures.clone()));
    }
}

impl Figures {
    fn fail(&self, node: NodeId, why: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut troubles = lock(&self.troubles);
        if troubles.insert(node, why.clone()).as_ref() != Some(&why) {
            tracing::warn!(%node, "no pictures of this node's streams: {why}");
        }
    }

    fn forget_trouble(&self, node: NodeId) {
        lock(&self.troubles).remove(&node);
    }
}

#[cfg(test)]
mod tests;
