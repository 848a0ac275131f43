//! Entries from the servers themselves, where mDNS tells of them: each is asked every 2 s, so that who answers lives, whatever was announced.
//!
//! Anybody can announce anything, as often as they like. What counts is who answers with an entry of this cluster: nothing that is announced takes the place of
//! one that does.

mod ask;
mod places;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until};

use self::ask::Asking;
use self::places::Come;
pub(super) use self::places::Places;
use super::run::Brought;
use super::{ClusterConfig, Shared};
use crate::directory::core::Heard;
use crate::directory::found::{DiscoverError, Found};
use crate::directory::key::ClusterKey;
use crate::directory::mdns::{Announced, Mdns, announced, own_addresses};
use crate::directory::{GONE_AFTER, RENEWED_EVERY};
use crate::unpoisoned::unpoisoned;

/// What the engine is called.
pub(super) const ENGINE: &str = "mdns";
/// How often it is looked whether there is multicast, where there was none, and whether there is too much.
const LOOKED_AFTER_EVERY: Duration = Duration::from_secs(5);
/// How often a server is asked that has not answered for as long as it takes to be gone, or not to the first few questions: what is announced is remembered for
/// longer than it is true.
const DOUBTED_EVERY: Duration = Duration::from_secs(30);
/// How many questions one is asked that has never answered, before it is doubted.
const FIRST_QUESTIONS: u32 = 3;

/// For as long as the thread lives: where there is no multicast it is tried again, for interfaces come and go.
pub(super) async fn run(config: ClusterConfig, heard: mpsc::Sender<Brought>, shared: Arc<Shared>) {
    let mut asked = JoinSet::new();
    loop {
        let problem = match open(&config) {
            Ok(mdns) => {
                shared.engine_connects.fetch_add(1, Relaxed);
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
    let mdns = mdns.map_err(|error| match error {
        DiscoverError::NoMulticast { problem } => {
            format!("this server is not found by mDNS, and finds no others by it ({problem}); --discover=off where that is not wanted")
        }
        error => error.to_string(),
    })?;
    mdns.announce(&config.own, &config.version)?;
    Ok(mdns)
}

/// Until nothing is heard any more, or too much; with why.
async fn listen(
    mdns: Mdns,
    config: &ClusterConfig,
    heard: &mpsc::Sender<Brought>,
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
                unpoisoned(shared.peers.lock()).forget_finished();
                continue;
            }
        };
        let Some(event) = event else { return "mDNS has ended by itself".into() };
        match announced(event) {
            Some(Announced::Came(name, found)) => {
                if let (Some(key), Some(found)) = (&config.key, of_another(found, config)) {
                    come(name, found, key, heard, shared, asked);
                }
            }
            // One that said good-bye does not answer any more; one whose announcement was not repeated may.
            Some(Announced::Went(_)) | None => {}
        }
    }
}

/// What is announced by this server's own id is its own announcement, or what was left of it by an earlier run; where it has addresses that are not this machine's,
/// another server takes itself for this one, and is asked.
fn of_another(mut found: Found, config: &ClusterConfig) -> Option<Found> {
    if found.node == Some(config.own.node) {
        let own = own_addresses();
        found.addresses.retain(|ip| !own.contains(ip));
        found.url = found.url_at(*found.addresses.first()?);
    }
    Some(found)
}

fn come(
    name: String,
    found: Found,
    key: &ClusterKey,
    heard: &mpsc::Sender<Brought>,
    shared: &Arc<Shared>,
    asked: &mut JoinSet<()>,
) {
    let mut places = unpoisoned(shared.peers.lock());
    match places.come(name, found, Instant::now()) {
        Come::New(number, place) => {
            let asking = Asking::new(place, key.clone());
            let asking = asked.spawn(ask_on(asking, heard.clone(), shared.clone()));
            places.ask_by(number, asking);
        }
        Come::Known | Come::NoRoom => {}
    }
}

/// Asks a server, until it has not answered for so long that whatever announced it is long gone.
async fn ask_on(mut asking: Asking, heard: mpsc::Sender<Brought>, shared: Arc<Shared>) {
    let place = asking.place.clone();
    let mut questions = 0_u32;
    loop {
        let asked_at = Instant::now();
        let answered = match asking.ask().await {
            Ok(entry) => {
                shared.received_bytes.fetch_add(entry.len() as u64, Relaxed);
                is_of_cluster(entry, &heard).await
            }
            Err(problem) => {
                shared.engine_errors.fetch_add(1, Relaxed);
                tracing::debug!(url = place.url(), "{problem}");
                false
            }
        };
        questions = questions.saturating_add(1);
        if answered {
            asking.stay();
            place.answer(Instant::now());
        } else {
            asking.turn_elsewhere();
        }
        let silent_for = place.silence(Instant::now());
        if silent_for > 75 * DOUBTED_EVERY {
            return;
        }
        let is_doubted = if place.has_answered() { silent_for >= GONE_AFTER } else { questions >= FIRST_QUESTIONS };
        tokio::select! {
            () = sleep(if is_doubted { DOUBTED_EVERY } else { RENEWED_EVERY }) => {}
            // It is another run, perhaps, that answers as the one before did not.
            () = place.announced_anew() => {
                questions = 0;
                sleep_until(asked_at + RENEWED_EVERY).await;
            }
        }
    }
}

/// Whether this is what a node says now that lives, as far as the directory knows: whoever heard an entry once can say it again.
async fn is_of_cluster(bytes: Vec<u8>, heard: &mpsc::Sender<Brought>) -> bool {
    let (became, becomes) = oneshot::channel();
    // Where nobody takes it any more, the program ends.
    let _ = heard.send(Brought { bytes, became: Some(became) }).await;
    matches!(becomes.await, Ok(Ok(Heard::New | Heard::Newer | Heard::Same | Heard::NoRoom)))
}
