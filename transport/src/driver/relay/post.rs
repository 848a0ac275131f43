//! What the program's threads ask of a relay's thread.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::Place;
use super::stream::Feed;
use super::watcher::WatcherShared;
use crate::backend::{ConnectedSocket, Waker};
use crate::crypto::Key;
use crate::frame::{Consumer, FrameRate, Readiness};
use crate::send::{LinkBudget, SendConfig};
use crate::unpoisoned::unpoisoned;

/// One thing to do. Ids are never used twice.
pub(super) enum Task {
    /// Send on what this consumer gets.
    Stream { id: u64, consumer: Consumer, readiness: Readiness, feed: Arc<Feed> },
    /// Send it there, too.
    Watcher(Box<NewWatcher>),
    /// Nobody is to get it any more.
    EndStream { id: u64 },
    /// This one is not.
    EndWatcher { stream: u64, id: u64 },
    /// Panic.
    #[cfg(test)]
    Panic,
}

/// Whom a stream is to be sent to.
pub(super) struct NewWatcher {
    pub(super) stream: u64,
    pub(super) id: u64,
    pub(super) socket: ConnectedSocket,
    pub(super) config: SendConfig,
    pub(super) key: Option<Key>,
    pub(super) frames_per_second_max: Option<FrameRate>,
    pub(super) link: Option<LinkBudget>,
    pub(super) shared: Arc<WatcherShared>,
    pub(super) place: Place,
}

/// Where tasks wait for the thread.
pub(super) struct Post {
    /// `None` once the thread is no more.
    tasks: Mutex<Option<Vec<Task>>>,
    stops: AtomicBool,
    waker: Waker,
}

impl Post {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { tasks: Mutex::new(Some(Vec::new())), stops: AtomicBool::new(false), waker: Waker::new()? })
    }

    /// False where the thread is no more: then nobody does it.
    pub(super) fn put(&self, task: Task) -> bool {
        if let Some(tasks) = &mut *unpoisoned(self.tasks.lock()) {
            tasks.push(task);
        } else {
            return false;
        }
        self.waker.wake();
        true
    }

    /// Has the thread end, once the streams are closed.
    pub(super) fn stop(&self) {
        self.stops.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stops.load(Ordering::Acquire)
    }

    /// For the thread: takes what waits, behind what `into` has.
    pub(super) fn take(&self, into: &mut Vec<Task>) {
        if let Some(tasks) = &mut *unpoisoned(self.tasks.lock()) {
            into.append(tasks);
        }
    }

    /// For the thread, as its last deed: what waits is dropped, and so is all that would.
    pub(super) fn close(&self) {
        let left = unpoisoned(self.tasks.lock()).take();
        // Not under the lock: what is dropped may have things to say.
        drop(left);
    }

    /// The thread sleeps on this.
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }
}
