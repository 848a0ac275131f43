//! The hub: the process in whose slots frames are, and where others of this machine come to read them.
//!
//! One thread of it answers who connects and looks after who is gone ([`worker`](self)); frames go to readers on the thread that publishes
//! them ([`SharedStream`]), over words in shared memory.

mod alarm;
mod bell;
mod connection;
mod directory;
mod discard;
mod listing;
mod patience;
mod seat;
mod stream;
#[cfg(test)]
mod tests;
mod worker;

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

pub(crate) use self::stream::{Charge, MemoryLeft, SharedStream, StreamToShare, slots_with_readers};

use self::bell::Bell;
use self::directory::Directory;
use self::worker::Worker;
use super::messages::Name;
use super::process::Process;
use super::socket::listening::{Listening, Names, Place};
use super::socket::peer::Peer;
use super::{ShareConfig, ShareError};
use crate::unpoisoned::unpoisoned;
use crate::wire::Open;

/// Slots that there may be for the readers of a stream: one that reads has two at least, and its stream has one and keeps one.
const READER_SLOTS: std::ops::RangeInclusive<usize> = 2..=62;

/// A local sender at the hub's door: its connection, of which nothing but its first message has been read, and what that said.
pub(crate) struct Entering {
    pub(crate) socket: OwnedFd,
    pub(crate) peer: Peer,
    pub(crate) open: Open,
    /// What the stream's announcement said, or 0.
    pub(crate) nonce: u64,
    /// The network namespace that it must share with the hub, or 0.
    pub(crate) network: u64,
}

impl fmt::Debug for Entering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the secret.
        f.debug_struct("Entering").field("peer", &self.peer).field("open", &self.open).finish_non_exhaustive()
    }
}

/// Whoever takes in local senders, on the hub's thread: it must not wait.
pub(crate) type Entrance = Arc<dyn Fn(Entering) + Send + Sync>;

/// Where streams are shared. Dropping it ends the sharing; frames that readers have stay theirs.
pub(crate) struct Hub {
    shared: Arc<HubShared>,
    /// What lies at its place.
    names: Names,
    process: Process,
    /// Has the thread begin.
    begins: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the hub's thread and the program's share.
struct HubShared {
    config: ShareConfig,
    bell: Arc<Bell>,
    state: Mutex<HubState>,
}

#[derive(Default)]
struct HubState {
    directory: Directory,
    /// Takes local senders in, where somebody does.
    entrance: Option<Entrance>,
    next_serial: u64,
    /// Streams that were listed without a name.
    unnamed: u64,
    is_stopped: bool,
}

impl HubShared {
    /// How long a reader for which frames wait may take none.
    fn patience(&self) -> Duration {
        self.config.reader_timeout.max(Duration::from_millis(1))
    }

    fn lock(&self) -> MutexGuard<'_, HubState> {
        unpoisoned(self.state.lock())
    }
}

impl Hub {
    /// Listens where the configuration says. Nobody is let in before it [begins](Hub::begin).
    ///
    /// # Errors
    /// Another hub is there, the place cannot be, a number is out of range, or the system has no descriptor or thread left.
    pub(crate) fn bind(config: &ShareConfig) -> Result<Self, ShareError> {
        if !READER_SLOTS.contains(&config.reader_slots) {
            let (min, max) = (*READER_SLOTS.start(), *READER_SLOTS.end());
            let what = "slots for readers (--reader-slots)";
            return Err(ShareError::OutOfRange { what, value: config.reader_slots, min, max });
        }
        let endpoint = &config.endpoint;
        let place = Place { path: endpoint.as_path(), is_default: endpoint.is_default(), group: config.group };
        let listening = Listening::bind(place).map_err(|error| ShareError::of_bind(endpoint, &error))?;
        let shared = Arc::new(HubShared {
            config: config.clone(),
            bell: Arc::new(Bell::new().map_err(ShareError::System)?),
            state: Mutex::default(),
        });
        let names = listening.names();
        let worker = Worker::new(listening, shared.clone()).map_err(ShareError::System)?;
        let (begins, begun) = sync_channel(1);
        let thread = Builder::new().name("framewire-share".into()).spawn(move || {
            if begun.recv().is_ok() {
                worker.run();
            }
        });
        let thread = thread.map_err(ShareError::System)?;
        Ok(Self { shared, names, process: Process::this(), begins: Some(begins), thread: Some(thread) })
    }

    /// Lets in who comes, and who has come.
    pub(crate) fn begin(&self) {
        if let Some(begins) = &self.begins {
            // Full means that it has begun.
            let _begun = begins.try_send(());
        }
    }

    /// What it was told.
    pub(crate) fn config(&self) -> &ShareConfig {
        &self.shared.config
    }

    /// Whether this process is a child of the one that the hub is of. Its memory is shared with that one, which alone may use it.
    pub(crate) fn is_forked(&self) -> bool {
        !self.process.is_this()
    }

    fn check_process(&self) -> Result<(), ShareError> {
        match self.is_forked() {
            false => Ok(()),
            true => Err(ShareError::Forked { endpoint: self.config().endpoint.clone() }),
        }
    }

    /// Shares a stream under a name, or else under a number of its own: `stream-1`. It is to be attached to the ring that its frames are
    /// published on.
    ///
    /// # Errors
    /// The name cannot be, the process is a child of the hub's, or the system has no memory or descriptor left.
    pub(crate) fn share(&self, name: Option<&str>, stream: StreamToShare) -> Result<Arc<SharedStream>, ShareError> {
        name.map_or(Ok(()), check_name)?;
        let shared = self.share_unlisted(stream)?;
        match name {
            Some(name) => self.list(name, shared.clone()),
            None => self.list(&self.free_name(), shared.clone()),
        }
        Ok(shared)
    }

    /// A name that no stream has.
    fn free_name(&self) -> String {
        let mut state = self.shared.lock();
        loop {
            state.unnamed += 1;
            let name = format!("stream-{}", state.unnamed);
            // A program may have given a stream this very name.
            if state.directory.find(&name).is_none() {
                return name;
            }
        }
    }

    /// Shares a stream that nobody finds before it is [named](Self::rename).
    ///
    /// # Errors
    /// The process is a child of the hub's, or the system has no memory or descriptor left.
    pub(crate) fn share_unlisted(&self, stream: StreamToShare) -> Result<Arc<SharedStream>, ShareError> {
        self.check_process()?;
        if stream.pool.descriptor().is_none() {
            return Err(ShareError::Unsealed);
        }
        let mut state = self.shared.lock();
        state.next_serial += 1;
        let serial = state.next_serial;
        drop(state);
        let shared = SharedStream::new(serial, stream, &self.shared.config, self.shared.bell.clone());
        shared.map_err(ShareError::System)
    }

    /// Lists a stream under another name from here on; whoever reads it goes on.
    ///
    /// # Errors
    /// The name cannot be.
    pub(crate) fn rename(&self, stream: &Arc<SharedStream>, name: &str) -> Result<(), ShareError> {
        self.check_process()?;
        check_name(name)?;
        self.shared.lock().directory.remove(stream);
        self.list(name, stream.clone());
        Ok(())
    }

    fn list(&self, name: &str, stream: Arc<SharedStream>) {
        self.shared.lock().directory.put(name, stream);
        self.shared.bell.ring();
    }

    /// Ends the sharing; does not wait for the thread. Nothing is left at its place, also where the process ends before the thread does.
    pub(crate) fn end(&self) {
        if self.is_forked() {
            return;
        }
        let mut state = self.shared.lock();
        state.is_stopped = true;
        let entrance = state.entrance.take();
        let streams = state.directory.snapshot();
        drop(state);
        drop(entrance);
        self.names.take_away();
        streams.iter().for_each(|(_, stream)| stream.abandon());
        self.shared.bell.ring();
    }

    /// Has local senders taken in.
    pub(crate) fn set_entrance(&self, entrance: Entrance) {
        self.shared.lock().entrance = Some(entrance);
    }
}

/// # Errors
/// [`ShareError::Name`].
fn check_name(name: &str) -> Result<(), ShareError> {
    match Name::new(name) {
        Some(named) if !named.as_str().is_empty() => Ok(()),
        _ => Err(ShareError::Name(name.chars().take(80).collect())),
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if self.is_forked() {
            // The thread is not in this process.
            std::mem::forget(self.thread.take());
            return;
        }
        self.end();
        drop(self.begins.take());
        let Some(thread) = self.thread.take() else { return };
        // Whoever takes in local senders may have been the last to have it, on its own thread.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the thread that serves readers in other processes panicked");
        }
    }
}
