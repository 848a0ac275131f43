//! Entries from the servers themselves, where mDNS tells of them: each is asked every 2 s, so that who answers lives, whatever was announced.

mod ask;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, interval, sleep};

use self::ask::Asking;
use super::{ClusterConfig, Shared};
use crate::directory::found::Found;
use crate::directory::mdns::{Announced, FOUND_MAX, Mdns, announced};
use crate::directory::{GONE_AFTER, LIVE_FOR, RENEWED_EVERY};
use crate::unpoisoned::unpoisoned;

/// What the engine is called.
pub(super) const ENGINE: &str = "mdns";
/// How often it is looked whether there is multicast, where there was none, and whether there is too much.
const LOOKED_AFTER_EVERY: Duration = Duration::from_secs(5);
/// How often a server is asked that has not answered for as long as it takes to be gone: what is announced is remembered for longer than it is true.
const DOUBTED_EVERY: Duration = Duration::from_secs(30);

/// Servers that were found, by the names that they are announced as.
pub(super) type Peers = BTreeMap<String, Peer>;

/// A server that was found.
#[derive(Debug)]
pub(super) struct Peer {
    found: Found,
    /// When it answered last.
    answered: Arc<Mutex<Option<Instant>>>,
    asking: AbortHandle,
}

impl Peer {
    /// The server, where it answered lately.
    pub(super) fn answering(&self) -> Option<Found> {
        let answered = *unpoisoned(self.answered.lock());
        answered.is_some_and(|at| at.elapsed() < LIVE_FOR).then(|| self.found.clone())
    }
}

/// For as long as the thread lives: where there is no multicast it is tried again, for interfaces come and go.
pub(super) async fn run(config: ClusterConfig, heard: mpsc::Sender<Vec<u8>>, shared: Arc<Shared>) {
    let mut asked = JoinSet::new();
    loop {
        let problem = match open(&config) {
            Ok(mdns) => {
                shared.engine_connects.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                shared.set_engine(ENGINE, None);
                listen(mdns, &config, &heard, &shared, &mut asked).await
            }
            Err(problem) => problem,
        };
        shared.set_engine(ENGINE, Some(problem));
        sleep(LOOKED_AFTER_EVERY).await;
    }
}

fn open(config: &ClusterConfig) -> Result<Mdns, String> {
    // Without a key none is asked, and none looked for.
    let mdns = if config.key.is_some() { Mdns::look() } else { Mdns::silent() };
    let mdns = mdns.map_err(|error| error.to_string())?;
    mdns.announce(&config.own, &config.version)?;
    Ok(mdns)
}

/// Until nothing is heard any more, or too much; with why.
async fn listen(
    mdns: Mdns,
    config: &ClusterConfig,
    heard: &mpsc::Sender<Vec<u8>>,
    shared: &Arc<Shared>,
    asked: &mut JoinSet<()>,
) -> String {
    let mut look_after = interval(LOOKED_AFTER_EVERY);
    loop {
        let event = tokio::select! {
            event = mdns.heard() => event,
            _ = look_after.tick() => {
                if mdns.is_flooded().await {
                    return "so much is announced on this network that it cannot be told apart; find out who does".into();
                }
                // Those that are announced no more are asked for as long as they answer.
                while asked.try_join_next().is_some() {}
                unpoisoned(shared.peers.lock()).retain(|_, peer| !peer.asking.is_finished());
                continue;
            }
        };
        let Some(event) = event else { return "mDNS has ended by itself".into() };
        match announced(event) {
            Some(Announced::Came(_, found)) if found.node == Some(config.own.node) => {}
            Some(Announced::Came(name, found)) => come(name, found, config, heard, shared, asked),
            // One that said good-bye does not answer any more; one whose announcement was not repeated may.
            Some(Announced::Went(_)) | None => {}
        }
    }
}

fn come(
    name: String,
    found: Found,
    config: &ClusterConfig,
    heard: &mpsc::Sender<Vec<u8>>,
    shared: &Arc<Shared>,
    asked: &mut JoinSet<()>,
) {
    let mut peers = unpoisoned(shared.peers.lock());
    match peers.get(&name) {
        Some(peer) if peer.found == found && !peer.asking.is_finished() => return,
        // It is at another place now.
        Some(peer) => peer.asking.abort(),
        None if peers.len() >= FOUND_MAX => return,
        None => {}
    }
    let answered = Arc::new(Mutex::new(None));
    let Some(key) = config.key.clone() else { return };
    let asking = Asking::new(found.clone(), key);
    let asking = asked.spawn(ask_on(asking, answered.clone(), heard.clone(), shared.clone()));
    peers.insert(name, Peer { found, answered, asking });
}

/// Asks a server, until it has not answered for so long that whatever announced it is long gone.
async fn ask_on(
    mut asking: Asking,
    answered: Arc<Mutex<Option<Instant>>>,
    heard: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
) {
    use std::sync::atomic::Ordering::Relaxed;
    let begun = Instant::now();
    loop {
        match asking.ask().await {
            Ok(entry) => {
                *unpoisoned(answered.lock()) = Some(Instant::now());
                shared.received_bytes.fetch_add(entry.len() as u64, Relaxed);
                let _ = heard.send(entry).await;
            }
            Err(problem) => {
                shared.engine_errors.fetch_add(1, Relaxed);
                tracing::debug!(url = asking.url(), "{problem}");
            }
        }
        let last = unpoisoned(answered.lock()).unwrap_or(begun);
        let silent_for = last.elapsed();
        if silent_for > 75 * DOUBTED_EVERY {
            return;
        }
        sleep(if silent_for < GONE_AFTER { RENEWED_EVERY } else { DOUBTED_EVERY }).await;
    }
}
