//! The parties that are in the test's own process, and what is looked at in them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use framewire_transport::frame::Frame;
use framewire_transport::{
    Endpoint, PublishConfig, PublishedStream, Publisher, Reader, ShareConfig, Subscription, SubscriptionConfig,
};

use super::{roles, stamped};

pub(crate) use framewire_testing::PATIENCE;
pub(crate) const POLICIES: [&str; 3] = ["latest", "queue", "block"];
pub(crate) const SLOTS: usize = 6;

/// What is counted here is the process's: one test at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder of its own, gone when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fw-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("hub.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn publisher(socket: &Path) -> (Publisher, PublishedStream) {
    let publisher = Publisher::bind(ShareConfig::new(Endpoint::path(socket).unwrap()).block(true)).unwrap();
    let stream = publisher.stream("front", PublishConfig::new(stamped::format()).slots(SLOTS)).unwrap();
    (publisher, stream)
}

/// Waits until it is so; how long that took.
pub(crate) fn time_until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    framewire_testing::wait_until(what, is_so);
    begun.elapsed()
}

pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What a reader has seen, for another thread.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) frames: AtomicU64,
    pub(crate) torn: AtomicU64,
    pub(crate) stop: AtomicBool,
}

/// Has other threads of a test stop when this is dropped, also where the test has failed: a scope waits for them.
pub(crate) struct Stops<'a, const N: usize>(pub(crate) [&'a AtomicBool; N]);

impl<const N: usize> Drop for Stops<'_, N> {
    fn drop(&mut self) {
        self.0.iter().for_each(|stop| stop.store(true, Ordering::Release));
    }
}

/// Reads until it is told to stop, keeps the last frames, and looks at each twice: when it comes and before it goes.
pub(crate) fn read_on(subscription: &Subscription, seen: &Seen) {
    let mut kept: VecDeque<(u64, Frame)> = VecDeque::new();
    while !seen.stop.load(Ordering::Acquire) {
        let Ok(frame) = subscription.recv_timeout(Duration::from_millis(100)) else { continue };
        match stamped::read(&frame) {
            Some(number) => kept.push_back((number, frame)),
            None => drop(seen.torn.fetch_add(1, Ordering::AcqRel)),
        }
        seen.frames.fetch_add(1, Ordering::AcqRel);
        if kept.len() == 2
            && let Some((number, frame)) = kept.pop_front()
            && stamped::read(&frame) != Some(number)
        {
            seen.torn.fetch_add(1, Ordering::AcqRel);
        }
    }
    let is_whole = |(number, frame): &(u64, Frame)| stamped::read(frame) == Some(*number);
    assert!(kept.iter().all(is_whole), "a frame has changed in a reader's hands");
}

/// Publishes until it is told to stop.
pub(crate) fn publish_on(stream: &PublishedStream, stop: &AtomicBool) {
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        let Ok(Some(mut frame)) = stream.frame_timeout(Duration::from_millis(100)) else { continue };
        stamped::write(&mut frame, number);
        stream.send(frame).unwrap();
        number += 1;
        std::thread::sleep(Duration::from_micros(300));
    }
}

pub(crate) fn subscribe(socket: &Path, policy: &str) -> Subscription {
    let reader = Reader::connect(Endpoint::path(socket).unwrap()).unwrap();
    let config = SubscriptionConfig::new().policy(roles::policy(policy)).hold(3);
    reader.subscribe_with("front", config).unwrap()
}
