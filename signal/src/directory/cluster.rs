//! The directory at work: a thread of its own that says the own entry, hears the others', and ages them.

mod config;
#[cfg(feature = "mdns")]
mod peers;
#[cfg(feature = "cluster")]
mod redis;
mod run;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde::Serialize;
use thiserror::Error;
use tokio::sync::{Notify, watch};

pub use self::config::{ClusterConfig, EnginePassword, RedisConfig};
use super::core::{Directory, DirectoryCounters};
use super::entry::OwnState;
use super::found::Found;
use super::key::ClusterKey;
use super::signed::EntryError;
use super::view::View;
use crate::limit;
use crate::unpoisoned::unpoisoned;

/// A server's part in a cluster. It runs on a thread of its own; nothing here waits for an engine or another server, and where all of
/// them are away the own streams are in the view as ever.
///
/// Dropping it ends the thread; what it said of this server grows old at the others.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    view: watch::Receiver<Arc<View>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and the program share.
#[derive(Debug)]
struct Shared {
    /// What the server has, where the thread has not taken it yet.
    own: Mutex<Option<OwnState>>,
    /// Told when there is something in `own`, or `ends`.
    news: Notify,
    ends: Notify,
    own_entry: Mutex<Arc<[u8]>>,
    counters: Mutex<DirectoryCounters>,
    engines: Mutex<Vec<EngineState>>,
    #[cfg(feature = "mdns")]
    peers: Mutex<peers::Places>,
    engine_errors: AtomicU64,
    engine_connects: AtomicU64,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

#[cfg(any(feature = "cluster", feature = "mdns"))]
impl Shared {
    /// An engine that has not been tried yet.
    fn add_engine(&self, engine: &'static str) {
        unpoisoned(self.engines.lock()).push(EngineState { engine, is_up: false, problem: None });
    }

    /// How it does: up where there is no problem. What changes is logged, once.
    fn set_engine(&self, engine: &'static str, problem: Option<String>) {
        if problem.is_some() {
            self.engine_errors.fetch_add(1, Ordering::Relaxed);
        }
        let mut engines = unpoisoned(self.engines.lock());
        let Some(state) = engines.iter_mut().find(|state| state.engine == engine) else { return };
        let after = EngineState { engine, is_up: problem.is_none(), problem };
        if *state == after {
            return;
        }
        let is_news = state.is_up != after.is_up || state.problem.is_none();
        *state = after.clone();
        drop(engines);
        match &after.problem {
            Some(problem) if is_news => {
                tracing::warn!(engine, "{problem}; it is tried again, and the own streams go on without it");
            }
            Some(problem) => tracing::debug!(engine, "{problem}"),
            None => tracing::info!(engine, "the directory is up"),
        }
    }
}

/// How one engine does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EngineState {
    /// `redis` or `mdns`.
    pub engine: &'static str,
    /// Whether it carries entries at the moment.
    pub is_up: bool,
    /// What is wrong, for people, with what to do; absent while it is up, and before it has been tried.
    pub problem: Option<String>,
}

/// What a cluster's directory has counted since it began, for metrics and summaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct ClusterCounters {
    /// What became of entries.
    #[serde(flatten)]
    pub directory: DirectoryCounters,
    /// Times that an engine, or a server that was asked for its entry, failed.
    pub engine_errors: u64,
    /// Times that an engine was connected to.
    pub engine_connects: u64,
    /// Bytes of entries that came in.
    pub received_bytes: u64,
    /// Bytes of entries that were said.
    pub sent_bytes: u64,
}

/// Why a server does not take part in a cluster.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// The server's name or address cannot be: a usage error.
    #[error("this server cannot be a node: {0}")]
    Own(EntryError),
    /// Redis is asked for, and there is no key that entries could be signed with: a usage error.
    #[error(
        "a cluster has a key, so that its servers know each other; make one by framewire token --file FILE, and give all of them --cluster-key-file FILE"
    )]
    NoKey,
    /// The engine's address is none: a usage error. Secrets in it are not repeated.
    #[error("{given:?} is not the address of an engine: {problem}; write redis://HOST:PORT or rediss://HOST:PORT")]
    Url {
        /// What was given.
        given: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The prefix cannot be: a usage error.
    #[error(
        "{prefix:?} cannot be the prefix of a cluster's keys; use 1 to 64 characters of printable ASCII without spaces"
    )]
    Prefix {
        /// What was given.
        prefix: String,
    },
    /// This program was built without it.
    #[error("this program was built without {what} (feature {feature})")]
    NotBuilt {
        /// What is asked for.
        what: &'static str,
        /// What brings it.
        feature: &'static str,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes ({0}); wait until it has started up")]
    Random(io::Error),
    /// The system gave no thread.
    #[error("the directory's thread did not start ({source}); {remedy}", source = .0, remedy = limit::remedy_for_thread(.0))]
    Thread(io::Error),
}

impl Cluster {
    /// Starts to take part, and returns at once. That an engine is away is no error: [`Cluster::engines`] tells.
    ///
    /// # Errors
    /// The configuration cannot be, or the system gives no thread.
    pub fn start(config: ClusterConfig) -> Result<Self, ClusterError> {
        config.check()?;
        // Without one nobody is believed, and nobody believes.
        let key = match &config.key {
            Some(key) => key.clone(),
            None => ClusterKey::of_nobody().map_err(ClusterError::Random)?,
        };
        let mut directory = Directory::new(config.own.clone(), key).map_err(ClusterError::Own)?;
        let (said, view) = watch::channel(Arc::new(directory.view(std::time::Duration::ZERO)));
        let shared = Arc::new(Shared {
            own: Mutex::new(None),
            news: Notify::new(),
            ends: Notify::new(),
            own_entry: Mutex::new(Arc::from([])),
            counters: Mutex::default(),
            engines: Mutex::default(),
            #[cfg(feature = "mdns")]
            peers: Mutex::default(),
            engine_errors: AtomicU64::new(0),
            engine_connects: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
        });
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ClusterError::Thread)?;
        let theirs = shared.clone();
        let run = move || {
            runtime.block_on(run::run(config, directory, &theirs, said));
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("fw-directory".into()).spawn(run).map_err(ClusterError::Thread)?;
        Ok(Self { shared, view, thread: Some(thread) })
    }

    /// Says what this server has from now on: to be called when a stream came, went or became another, and each second or so for the figures. Does not wait.
    pub fn set_own(&self, state: OwnState) {
        *unpoisoned(self.shared.own.lock()) = Some(state);
        self.shared.news.notify_one();
    }

    /// What is known of the cluster, at most a second old. Does not wait.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// The views as they come: at each change, and each second for the ages in them.
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// The own entry as it was said last, signed: what `GET /api/node` answers a node ([`NodeProof`](super::NodeProof)) with. Empty before the first, which is said at once.
    pub fn own_entry(&self) -> Arc<[u8]> {
        unpoisoned(self.shared.own_entry.lock()).clone()
    }

    /// How the engines do; none where there are none.
    pub fn engines(&self) -> Vec<EngineState> {
        unpoisoned(self.shared.engines.lock()).clone()
    }

    /// The servers that mDNS tells of and that answered in the last 6 s as nodes of this cluster; those that were killed are not among them, whatever is still announced. By name; empty
    /// without mDNS, and without a cluster key, by which they are asked.
    pub fn found(&self) -> Vec<Found> {
        #[cfg(feature = "mdns")]
        {
            let mut found = unpoisoned(self.shared.peers.lock()).answering(tokio::time::Instant::now());
            found.sort_by(|a, b| (&a.name, a.node, &a.url).cmp(&(&b.name, b.node, &b.url)));
            found
        }
        #[cfg(not(feature = "mdns"))]
        Vec::new()
    }

    /// What was counted.
    pub fn counters(&self) -> ClusterCounters {
        let shared = &self.shared;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ClusterCounters {
            directory: *unpoisoned(shared.counters.lock()),
            engine_errors: read(&shared.engine_errors),
            engine_connects: read(&shared.engine_connects),
            received_bytes: read(&shared.received_bytes),
            sent_bytes: read(&shared.sent_bytes),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shared.ends.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say where it panicked: that was printed.
            let _ = thread.join();
        }
    }
}
