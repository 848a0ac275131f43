//! What somebody has asked to watch, and how they get it.

use framewire_figures::snapshot::WatcherSnapshot;
use framewire_signal::Asker;
use framewire_signal::message::{Role, WatchRequest, Watching};
use framewire_transport::{Delivery, SendState, SendStats, Watcher};

/// What somebody has asked to watch.
pub(super) struct Wish {
    pub(super) asker: Asker,
    pub(super) request: WatchRequest,
    pub(super) watched: Option<Watched>,
    /// Why the stream is not sent, as it was said last: each reason is said once.
    pub(super) told: Option<String>,
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
    pub(super) fn new(asker: &Asker, request: &WatchRequest) -> Self {
        Self { asker: *asker, request: request.clone(), watched: None, told: None, has_heard_nearest: false }
    }

    /// Whether it is the same that is asked again, as after a reconnect.
    pub(super) fn is(&self, asker: &Asker, request: &WatchRequest) -> bool {
        (self.asker.at(0), &self.request) == (asker.at(0), request)
    }

    /// How it gets on, for who looks; `node` is the name of the node that asks, if one does.
    pub(super) fn shown(&self, node: impl FnOnce(&str) -> Option<String>) -> Option<WatcherSnapshot> {
        let watcher = &self.watched.as_ref()?.watcher;
        let stats = watcher.stats();
        let state = match watcher.state() {
            SendState::Open => "open",
            SendState::Opening { .. } if stats.frames_sent == 0 => "opening",
            _ => "silent",
        };
        let asks = self.request.hops.first().filter(|_| self.asker.role == Role::Node);
        Some(WatcherSnapshot {
            address: self.asker.ip.to_string(),
            node: asks.map(|id| node(id).unwrap_or_else(|| id.clone())),
            delivery: self.request.delivery.unwrap_or(Delivery::Latest).name().to_owned(),
            state: state.to_owned(),
            frames_per_second_max: self.request.frames_per_second_max,
            frames_sent: stats.frames_sent,
            frames_skipped: stats.frames_skipped,
            bytes_sent: stats.bytes,
        })
    }

    /// What has been sent for it.
    pub(super) fn stats(&self) -> SendStats {
        self.watched.as_ref().map_or_else(SendStats::default, |watched| watched.watcher.stats())
    }
}
