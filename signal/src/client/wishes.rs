//! What the program wants of the connection's thread.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use crate::message::WatchRequest;
use crate::unpoisoned::unpoisoned;

/// Set by the program, seen by the thread whether it waits inside its runtime or outside.
#[derive(Default)]
pub(super) struct Wishes {
    wanted: Mutex<Wanted>,
    watches: Mutex<Vec<WatchRequest>>,
    outside: Condvar,
    inside: Notify,
}

/// These wishes are never taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) close_stream: bool,
    pub(super) stop: bool,
}

impl Wishes {
    pub(super) fn close_stream(&self) {
        self.wish(|wanted| wanted.close_stream = true);
    }

    pub(super) fn watch(&self, request: WatchRequest) {
        let mut watches = self.watches();
        watches.retain(|other| other.stream != request.stream);
        watches.push(request);
        drop(watches);
        self.inside.notify_one();
    }

    pub(super) fn unwatch(&self, stream: u32) {
        self.watches().retain(|other| other.stream != stream);
        self.inside.notify_one();
    }

    pub(super) fn stop(&self) {
        self.wish(|wanted| wanted.stop = true);
    }

    /// What is to be watched.
    pub(super) fn watches(&self) -> MutexGuard<'_, Vec<WatchRequest>> {
        unpoisoned(self.watches.lock())
    }

    pub(super) fn wanted(&self) -> Wanted {
        *self.lock()
    }

    /// Returns once a wish was made since the last return, or just before.
    pub(super) async fn changed(&self) {
        self.inside.notified().await;
    }

    /// Returns after `timeout`, or at once when the program wants to stop.
    pub(super) fn wait_for_stop(&self, timeout: Duration) {
        let waited = self.outside.wait_timeout_while(self.lock(), timeout, |wanted| !wanted.stop);
        drop(unpoisoned(waited));
    }

    fn wish(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.lock());
        self.outside.notify_all();
        self.inside.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        unpoisoned(self.wanted.lock())
    }
}
