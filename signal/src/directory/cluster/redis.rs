//! Entries by way of Redis or Valkey: one key a node, which expires by itself, and an index of who has one.
//!
//! What is written is whole each time, so that a Redis that was emptied, restarted or away is full again with the next renewal. What is read is compared by
//! its first bytes, which hold the signature: an entry that is the same is not read again. Messages only say where to look.
//!
//! Writing and reading have a connection each: the own key is renewed while an answer that is long, or slow, is still on its way.

mod line;
mod looks;
mod reading;
mod said;
mod session;
mod writing;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::Shared;
use super::config::{RedisConfig, RedisUrl};
use super::run::Brought;
use crate::directory::node::NodeId;
use crate::directory::{LIVE_FOR, NODES_MAX};
use crate::unpoisoned::unpoisoned;

/// What the engine is called.
pub(super) const ENGINE: &str = "redis";
/// An answer to little takes as long at most; a Redis that is frozen never gives one.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Nodes whose entries are compared: some more than are remembered, for those that are dead and not known to be.
const COMPARED_MAX: usize = NODES_MAX + 64;
/// Waits between two attempts to connect: the first, and the longest. So short that views are equal 5 s after it is back.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// What the engine has of the loop that it works for.
pub(super) struct Carried {
    pub(super) node: NodeId,
    /// The own entry, whenever it is to be said.
    pub(super) own: watch::Receiver<Arc<[u8]>>,
    pub(super) heard: mpsc::Sender<Brought>,
    /// How many nodes there are in all.
    pub(super) nodes: watch::Sender<u64>,
    pub(super) shared: Arc<Shared>,
}

/// For as long as the thread lives: whatever goes wrong, it is tried again.
pub(super) async fn run(config: RedisConfig, carried: Carried) {
    let Ok(url) = RedisUrl::parse(&config.url) else { return };
    let place = Place { url, config };
    let health = Health { shared: carried.shared.clone(), ways: Mutex::default() };
    tokio::join!(
        writing::run(&place, carried.node, carried.own.clone(), &carried.shared, &health),
        reading::run(&place, &carried, &health),
    );
}

/// Which Redis, and what is ours in it.
struct Place {
    url: RedisUrl,
    config: RedisConfig,
}

impl Place {
    fn key_of(&self, node: NodeId) -> String {
        format!("{}:node:{node}", self.config.prefix)
    }

    fn index(&self) -> String {
        format!("{}:nodes", self.config.prefix)
    }

    fn channel(&self) -> String {
        format!("{}:look", self.config.prefix)
    }
}

/// Either may be forbidden, or broken, alone.
#[derive(Debug, Clone, Copy)]
enum Way {
    Written,
    Read,
}

/// How the engine does: it is up where both ways are.
struct Health {
    shared: Arc<Shared>,
    ways: Mutex<Ways>,
}

/// How each went last; `None` where it was never tried.
#[derive(Debug, Default)]
struct Ways {
    written: Option<Result<(), String>>,
    read: Option<Result<(), String>>,
}

impl Health {
    fn tell(&self, way: Way, went: Result<(), String>) {
        let mut ways = unpoisoned(self.ways.lock());
        let last = match way {
            Way::Written => &mut ways.written,
            Way::Read => &mut ways.read,
        };
        let went = Some(went);
        // What goes on as it did is no news, but for the count of what goes wrong.
        if *last == went && went == Some(Ok(())) {
            return;
        }
        *last = went;
        let all = [&ways.written, &ways.read];
        // That others do not see this server is worse than that it does not see them.
        let problem = all.into_iter().flatten().find_map(|went| went.as_ref().err()).cloned();
        let is_known = all.into_iter().all(Option::is_some);
        drop(ways);
        if problem.is_some() || is_known {
            self.shared.set_engine(ENGINE, problem);
        }
    }
}

/// How soon it is tried again.
struct Again {
    begun: Instant,
    after: Duration,
}

impl Again {
    fn new() -> Self {
        Self { begun: Instant::now(), after: AGAIN_AFTER.0 }
    }

    /// After an attempt that came to an end: the sooner the longer it lasted.
    async fn pause(&mut self) {
        if self.begun.elapsed() > LIVE_FOR {
            self.after = AGAIN_AFTER.0;
        }
        sleep(jittered(self.after)).await;
        self.after = (2 * self.after).min(AGAIN_AFTER.1);
        self.begun = Instant::now();
    }
}

/// Half of it at least: nodes that lost the same Redis at once do not all come at once.
fn jittered(longest: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness they come together, and that is all.
    let _ = crate::auth::fill_random(&mut byte);
    longest.mul_f64(0.5 + f64::from(byte[0]) / 512.0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
