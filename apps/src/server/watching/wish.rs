//! What somebody has asked to watch, and how they get it.

use framewire_figures::snapshot::WatcherSnapshot;
use framewire_signal::Asker;
use framewire_signal::directory::NodeId;
use framewire_signal::message::{Hops, Role, WatchRequest, Watching};
use framewire_transport::{Delivery, SendState, SendStats, Watcher};

/// What somebody has asked to watch.
pub(super) struct Wish {
    pub(super) asker: Asker,
    pub(super) request: WatchRequest,
    /// What the stream goes on through: this server, and those of the request.
    pub(super) onward: Hops,
    pub(super) watched: Option<Watched>,
    /// Why the stream is not sent, as it was said last: each reason is said once.
    pub(super) told: Option<String>,
    /// There was no room for it on its link.
    pub(super) was_refused: bool,
    /// The nearest name has been said.
    pub(super) has_heard_nearest: bool,
}

/// A wish that is granted.
pub(super) struct Watched {
    pub(super) source: u64,
    pub(super) watcher: Watcher,
    /// What was answered.
    pub(super) answer: Watching,
}

impl Wish {
    pub(super) fn new(asker: &Asker, request: &WatchRequest, onward: Hops) -> Self {
        Self {
            asker: *asker,
            request: request.clone(),
            onward,
            watched: None,
            told: None,
            was_refused: false,
            has_heard_nearest: false,
        }
    }

    /// Whether it is the same that is asked again, as after a reconnect.
    pub(super) fn is(&self, asker: &Asker, request: &WatchRequest) -> bool {
        (self.asker.at(0), &self.request) == (asker.at(0), request)
    }

    /// How it gets on, for who looks; `node` is the name of the node that asks, if one does.
    pub(super) fn shown(&self, node: impl FnOnce(NodeId) -> Option<String>) -> Option<WatcherSnapshot> {
        let watcher = &self.watched.as_ref()?.watcher;
        let stats = watcher.stats();
        let state = match watcher.state() {
            SendState::Open => "open",
            SendState::Opening { .. } if stats.frames_sent == 0 => "opening",
            _ => "silent",
        };
        let asks = self.request.hops.nodes().next().filter(|_| self.asker.role == Role::Node);
        Some(WatcherSnapshot {
            address: self.asker.ip.to_string(),
            node: asks.map(|id| node(id).unwrap_or_else(|| id.to_string())),
            delivery: self.request.delivery.unwrap_or(Delivery::Latest).name().to_owned(),
            state: state.to_owned(),
            frames_per_second_max: self.request.frames_per_second_max,
            frames_sent: stats.frames_sent,
            frames_skipped: stats.frames_skipped,
            bytes_sent: stats.bytes,
        })
    }

    /// Whether it is this source's.
    pub(super) fn is_of(&self, source: u64) -> bool {
        self.watched.as_ref().is_some_and(|watched| watched.source == source)
    }

    /// What has been sent for it.
    pub(super) fn stats(&self) -> SendStats {
        self.watched.as_ref().map_or_else(SendStats::default, |watched| watched.watcher.stats())
    }
}

/// A stream that is wanted, and what it goes on through from this server on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    /// How many those are: in the order of this, the nearest come first.
    far: usize,
    pub(super) name: String,
    pub(super) onward: Hops,
}

impl Wanted {
    pub(super) fn of(wish: &Wish) -> Self {
        Self { far: wish.onward.len(), name: wish.request.name.clone(), onward: wish.onward.clone() }
    }
}
