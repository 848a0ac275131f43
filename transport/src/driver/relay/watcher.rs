//! One watcher of a stream that is sent on, as a program uses it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::post::{Post, Task};
use crate::crypto::Suite;
use crate::send::{SendState, SendStats};
use crate::unpoisoned::unpoisoned;

/// Whom a stream is sent on to: from [`RelayStream::add`](super::RelayStream::add). Dropping it closes the stream to this receiver, which is told, within
/// [`RelayConfig::linger`](super::RelayConfig::linger); that is not waited for.
pub struct Watcher {
    /// Of its stream, and its own.
    ids: (u64, u64),
    stream: u32,
    peer: SocketAddr,
    post: Arc<Post>,
    shared: Arc<WatcherShared>,
}

/// What its stream's thread and the program share of it.
pub(super) struct WatcherShared(Mutex<Figures>);

/// A watcher, as it was when the thread last looked at it.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) state: SendState,
    pub(super) stats: SendStats,
    pub(super) round_trip: Duration,
    pub(super) slice_bytes: u16,
    pub(super) suite: Option<Suite>,
}

impl WatcherShared {
    pub(super) fn new(slice_bytes: u16) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Figures {
            state: SendState::Opening { attempts: 0 },
            stats: SendStats::default(),
            round_trip: Duration::from_millis(1),
            slice_bytes,
            suite: None,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Figures> {
        unpoisoned(self.0.lock())
    }
}

impl Watcher {
    pub(super) fn new(
        ids: (u64, u64),
        stream: u32,
        peer: SocketAddr,
        post: Arc<Post>,
        shared: Arc<WatcherShared>,
    ) -> Self {
        Self { ids, stream, peer, post, shared }
    }

    /// Where it is.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The stream's id towards it.
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// Where the stream to it stands. One that is asked for a while, [`SendState::Opening`] with many attempts, is not there.
    pub fn state(&self) -> SendState {
        self.shared.lock().state
    }

    /// Whether nothing is sent to it any more: its stream has ended, and was closed there or could not be; or its relay has ended. What else is told of it stays as it was.
    pub fn has_ended(&self) -> bool {
        // The thread lets go of what they share once it is done with it, however that is.
        Arc::strong_count(&self.shared) == 1
    }

    /// What has happened so far, as its stream's thread last published it. Frames that it was too slow for, that [`RelayTo::frames_per_second_max`](super::RelayTo::frames_per_second_max)
    /// left out, that were missing from the stream, and that came before it answered, which it does not count itself, are in [`SendStats::frames_skipped`]; those that it was cut short in, in
    /// [`SendStats::frames_abandoned`].
    pub fn stats(&self) -> SendStats {
        self.shared.lock().stats
    }

    /// The shortest round trip of the last ten seconds; before the first, 1 ms.
    pub fn round_trip(&self) -> Duration {
        self.shared.lock().round_trip
    }

    /// Bytes of a slice, header included.
    pub fn slice_bytes(&self) -> u16 {
        self.shared.lock().slice_bytes
    }

    /// The cipher that the stream is protected by; `None` where it is plain, and while it is not open.
    pub fn protection(&self) -> Option<Suite> {
        self.shared.lock().suite
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let (stream, id) = self.ids;
        self.post.put(Task::EndWatcher { stream, id });
    }
}
