//! The sending half of a link, on a thread of its own.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// A thread that does a number of rounds each time it is asked, and ends when it is dropped.
pub(crate) struct Worker {
    requests: Option<SyncSender<u64>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// `send` sends as many frames as it is told.
    pub(crate) fn start(mut send: impl FnMut(u64) + Send + 'static) -> Self {
        let (requests, asked) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("bench-send".into())
            .spawn(move || asked.iter().for_each(&mut send))
            .expect("the system has a thread left");
        Self { requests: Some(requests), thread: Some(thread) }
    }

    /// Has it send; returns at once.
    pub(crate) fn send(&self, frames: u64) {
        let requests = self.requests.as_ref().expect("open until the drop");
        requests.send(frames).expect("the sending thread lives until the drop");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the sending thread panicked");
        }
    }
}
