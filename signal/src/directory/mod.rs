//! The directory of a cluster: which servers there are, which streams each has, and how they do.
//!
//! A server's own streams are *truth*: they are known without asking anybody. What others say is *hearsay*: each server (a *node*) says of
//! itself what it has in an *entry* ([`NodeEntry`]), signed with the cluster's key, and whoever hears it keeps it for as long as it is renewed.
//! An engine carries the entries: none, Redis or Valkey, or the servers themselves where mDNS tells of them. Nothing waits for an
//! engine: where it is away, a server goes on with its own streams, and what it heard of others grows old.
//!
//! | you want to | begin at |
//! |---|---|
//! | take part: say what is here, know what is elsewhere | [`Cluster::start`], [`Cluster::set_own`], [`Cluster::view`] |
//! | know which stream a name means | [`View::find`] |
//! | find servers on this network, without being one | [`discover`] |
//! | ask a server for its entry | [`NodeProof`] |
//! | the rules alone, without threads and clocks | [`Directory`] |
//!
//! The bytes of an entry and the keys under which Redis has them are in `DIRECTORY.md`.

#[cfg(feature = "client")]
mod cluster;
mod core;
mod entry;
mod found;
mod hex;
mod key;
#[cfg(feature = "mdns")]
mod mdns;
mod node;
mod proof;
mod signed;
mod view;

#[cfg(feature = "client")]
pub use self::cluster::{
    Cluster, ClusterConfig, ClusterCounters, ClusterError, EnginePassword, EngineState, RedisConfig,
};
pub use self::core::{Directory, DirectoryCounters, Heard};
pub use self::entry::{Guard, LinkEntry, Load, NodeEntry, OwnNode, OwnState, StreamEntry, StreamState};
pub use self::found::{DiscoverError, Found, discover};
pub use self::key::ClusterKey;
pub use self::node::{KeptNode, NodeId, NodeIdError};
pub use self::proof::{NodeProof, NodeProofError};
pub use self::signed::{ENTRY_BYTES_MAX, EntryError};
pub use self::view::{NodeState, SeenNode, SeenStream, View};

use std::time::Duration;

/// How often a node says its entry anew, though nothing has changed: 2 s.
pub const RENEWED_EVERY: Duration = Duration::from_secs(2);
/// A node is [`NodeState::Live`] until its entry has been the same for this long: 6 s, three renewals.
pub const LIVE_FOR: Duration = Duration::from_secs(6);
/// A node is [`NodeState::Stale`] until its entry has been the same for this long, and [`NodeState::Unreachable`] from then on: 60 s.
pub const STALE_FOR: Duration = Duration::from_secs(60);
/// A node is gone once its entry has been the same for this long: 66 s.
pub const GONE_AFTER: Duration = Duration::from_secs(66);
/// How many other nodes are remembered at once; there may be more, which are counted.
pub const NODES_MAX: usize = 1024;
/// How many streams an entry may have.
pub const STREAMS_MAX: usize = 1024;
/// How many bytes the entries of other nodes may have in all, as they were signed: 64 MiB.
pub const REMEMBERED_BYTES_MAX: usize = 64 << 20;
