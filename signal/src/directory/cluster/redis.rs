//! Entries by way of Redis or Valkey: one key a node, which expires by itself, and an index of who has one.
//!
//! What is written is whole each time, so that a Redis that was emptied, restarted or away is full again with the next renewal. What is read is compared by
//! its first bytes, which hold the signature: an entry that is the same is not read again. Messages only say where to look.

mod line;
mod looks;
mod said;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisResult, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::line::Ration;
use self::looks::Looks;
use super::Shared;
use super::config::{RedisConfig, RedisUrl};
use crate::directory::node::NodeId;
use crate::directory::signed::{ENTRY_BYTES_MAX, HEAD_BYTES};
use crate::directory::{GONE_AFTER, LIVE_FOR, NODES_MAX};

/// What the engine is called.
pub(super) const ENGINE: &str = "redis";
/// Everything that was said is looked for this often, whatever messages came or did not.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// Messages that come within this long are followed together.
const LOOKED_APART: Duration = Duration::from_millis(20);
/// An answer to little takes as long at most; a Redis that is frozen never gives one.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Entries may be long, and the way to them narrow.
const ENTRIES_WITHIN: Duration = Duration::from_secs(5);
/// Entries that are asked for at once: 2 MiB at most.
const ENTRIES_AT_ONCE: usize = 8;
/// Nodes whose entries are compared: some more than are remembered, for those that are dead and not known to be.
const COMPARED_MAX: usize = NODES_MAX + 64;
/// Waits between two attempts to connect: the first, and the longest. So short that views are equal 5 s after it is back.
const AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The first bytes of an entry, which are its own alone.
type Head = [u8; HEAD_BYTES];
/// In place of them where the key holds no text.
const NO_TEXT: Head = [0; HEAD_BYTES];

/// What the engine has of the loop that it works for.
pub(super) struct Carried {
    pub(super) node: NodeId,
    /// The own entry, whenever it is to be said.
    pub(super) own: watch::Receiver<Arc<[u8]>>,
    pub(super) heard: mpsc::Sender<Vec<u8>>,
    /// How many nodes there are in all.
    pub(super) nodes: watch::Sender<u64>,
    pub(super) shared: Arc<Shared>,
}

/// For as long as the thread lives: whatever goes wrong, it is tried again.
pub(super) async fn run(config: RedisConfig, mut carried: Carried) {
    let Ok(url) = RedisUrl::parse(&config.url) else { return };
    let place = Place { url, config };
    let mut again_after = AGAIN_AFTER.0;
    loop {
        let begun = Instant::now();
        let problem = match Session::open(&place).await {
            Ok(mut session) => {
                carried.shared.engine_connects.fetch_add(1, Ordering::Relaxed);
                let problem = session.work(&mut carried).await;
                // One that turns everybody away says why before it is asked, and is gone when it is.
                let greeting = if session.was_answered { None } else { line::greeting(&place).await };
                greeting.map_or(problem, |said| said::explain_text(None, &said, &place))
            }
            Err(problem) => problem,
        };
        carried.shared.set_engine(ENGINE, Some(problem));
        if begun.elapsed() > LIVE_FOR {
            again_after = AGAIN_AFTER.0;
        }
        sleep(jittered(again_after)).await;
        again_after = (2 * again_after).min(AGAIN_AFTER.1);
    }
}

/// Half of it at least: nodes that lost the same Redis at once do not all come at once.
fn jittered(longest: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness they come together, and that is all.
    let _ = crate::auth::fill_random(&mut byte);
    longest.mul_f64(0.5 + f64::from(byte[0]) / 512.0)
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

/// One connection, until something is wrong with it.
struct Session<'a> {
    place: &'a Place,
    connection: MultiplexedConnection,
    ration: Ration,
    looks: Looks,
    /// What was read last under each node's key.
    heads: HashMap<NodeId, Head>,
    /// What stands in the way of saying, and of reading: either may be forbidden alone.
    said_problem: Option<String>,
    read_problem: Option<String>,
    was_answered: bool,
}

impl<'a> Session<'a> {
    async fn open(place: &'a Place) -> Result<Self, String> {
        let (connection, ration) = line::connect(place).await?;
        Ok(Self {
            place,
            connection,
            ration,
            looks: Looks::start(place).await,
            heads: HashMap::new(),
            said_problem: None,
            read_problem: None,
            was_answered: false,
        })
    }

    /// Says and hears, until it cannot; with why.
    async fn work(&mut self, carried: &mut Carried) -> String {
        carried.own.mark_changed();
        let mut round_at = Instant::now();
        loop {
            let done = tokio::select! {
                changed = carried.own.changed() => match changed {
                    Ok(()) => self.say(carried).await,
                    Err(_) => return "it is no longer needed".into(),
                },
                () = self.looks.come() => {
                    sleep(LOOKED_APART).await;
                    let looked = self.looks.take(carried.node);
                    self.read(looked, carried).await
                }
                () = sleep_until(round_at) => {
                    round_at = Instant::now() + ROUND_EVERY;
                    self.round(carried).await
                }
            };
            if let Err(problem) = done {
                return problem;
            }
            let problem = self.said_problem.as_ref().or(self.read_problem.as_ref());
            carried.shared.set_engine(ENGINE, problem.cloned());
        }
    }

    /// Writes the own entry, and tells of it. Where that is refused, others' are read all the same.
    async fn say(&mut self, carried: &mut Carried) -> Result<(), String> {
        let own = carried.own.borrow_and_update().clone();
        if own.is_empty() {
            return Ok(());
        }
        let (node, index) = (carried.node.to_string(), self.place.index());
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(self.place.key_of(carried.node)).arg(&own[..]).arg("PX").arg(millis(LIVE_FOR));
        pipeline.cmd("SADD").arg(&index).arg(&node);
        // Nothing of a cluster stays behind when all of it is gone.
        pipeline.cmd("PEXPIRE").arg(&index).arg(millis(GONE_AFTER));
        pipeline.cmd("PUBLISH").arg(self.place.channel()).arg(&node);
        let answers = self.ask(&pipeline, ANSWER_WITHIN).await?;
        // Messages may be forbidden: there are rounds.
        let refused = answers.iter().take(3).find_map(|answer| answer.as_ref().err());
        self.said_problem = refused.map(|error| said::explain(error, self.place));
        if self.said_problem.is_none() {
            carried.shared.sent_bytes.fetch_add(own.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Looks for all nodes: those in the index, and those that were known.
    async fn round(&mut self, carried: &mut Carried) -> Result<(), String> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SCARD").arg(self.place.index());
        // Of more than are compared any: those that are known stay.
        pipeline.cmd("SRANDMEMBER").arg(self.place.index()).arg(COMPARED_MAX);
        let mut answers = self.ask(&pipeline, ANSWER_WITHIN).await?.into_iter();
        let count = answers.next().map(|count| count.and_then(|count| Ok(u64::from_redis_value(count)?)));
        let members =
            answers.next().map(|members| members.and_then(|members| Ok(Vec::<Vec<u8>>::from_redis_value(members)?)));
        match (count, members) {
            (Some(Ok(count)), Some(Ok(members))) => {
                self.read_problem = None;
                carried.nodes.send_if_modified(|nodes| std::mem::replace(nodes, count) != count);
                let named = |member: &Vec<u8>| std::str::from_utf8(member).ok()?.parse::<NodeId>().ok();
                let nodes = members.iter().filter_map(named).chain(self.heads.keys().copied());
                let mut nodes: Vec<_> = nodes.filter(|node| *node != carried.node).collect();
                nodes.sort_unstable();
                nodes.dedup();
                self.read(nodes, carried).await
            }
            (Some(Err(error)), _) | (_, Some(Err(error))) => {
                self.read_problem = Some(said::explain(&error, self.place));
                let known = self.heads.keys().copied().collect();
                self.read(known, carried).await
            }
            _ => Err("it answers less than it is asked".into()),
        }
    }

    /// Reads what these nodes say, where it is not what they said before.
    async fn read(&mut self, nodes: Vec<NodeId>, carried: &mut Carried) -> Result<(), String> {
        let is_known = |node: &NodeId| self.heads.contains_key(node);
        let room = COMPARED_MAX.saturating_sub(self.heads.len());
        let (mut known, unknown): (Vec<_>, Vec<_>) = nodes.into_iter().partition(is_known);
        known.extend(unknown.into_iter().take(room));
        if known.is_empty() {
            return Ok(());
        }
        let heads = self.ranges(&known, HEAD_BYTES, ANSWER_WITHIN).await?;
        let mut expired = Vec::new();
        let mut newer = Vec::new();
        for (node, head) in known.into_iter().zip(heads) {
            let head = match head {
                // Its key expired, or is gone with all others: it is in the index again when it is said again.
                Ok(head) if head.is_empty() => {
                    self.heads.remove(&node);
                    expired.push(node);
                    continue;
                }
                Ok(head) => padded(&head),
                Err(error) => match error.code() {
                    Some("WRONGTYPE") => NO_TEXT,
                    _ => {
                        self.read_problem = Some(said::explain(&error, self.place));
                        return Ok(());
                    }
                },
            };
            if self.heads.insert(node, head) == Some(head) {
                continue;
            }
            if head == NO_TEXT {
                // Nothing of ours: counted, as any other.
                let _ = carried.heard.send(Vec::new()).await;
            } else {
                newer.push(node);
            }
        }
        for nodes in newer.chunks(ENTRIES_AT_ONCE) {
            // One byte more than an entry has tells that it is none.
            let entries = self.ranges(nodes, ENTRY_BYTES_MAX + 1, ENTRIES_WITHIN).await?;
            for (node, entry) in nodes.iter().zip(entries) {
                let Ok(entry) = entry else { continue };
                if entry.is_empty() {
                    continue;
                }
                self.heads.insert(*node, padded(&entry));
                carried.shared.received_bytes.fetch_add(entry.len() as u64, Ordering::Relaxed);
                let _ = carried.heard.send(entry).await;
            }
        }
        if !expired.is_empty() {
            let mut pipeline = redis::pipe();
            let command = pipeline.cmd("SREM").arg(self.place.index());
            expired.iter().for_each(|node| {
                command.arg(node.to_string());
            });
            // Another did it, or may.
            let _ = self.ask(&pipeline, ANSWER_WITHIN).await?;
        }
        Ok(())
    }

    /// The first bytes under each of these nodes' keys.
    async fn ranges(
        &mut self,
        nodes: &[NodeId],
        bytes: usize,
        within: Duration,
    ) -> Result<Vec<RedisResult<Vec<u8>>>, String> {
        let mut pipeline = redis::pipe();
        for node in nodes {
            pipeline.cmd("GETRANGE").arg(self.place.key_of(*node)).arg(0).arg(bytes - 1);
        }
        let answers = self.ask(&pipeline, within).await?;
        if answers.len() != nodes.len() {
            return Err("it answers something else than it is asked".into());
        }
        let bytes = |answer: RedisResult<Value>| answer.and_then(|value| Ok(Vec::<u8>::from_redis_value(value)?));
        Ok(answers.into_iter().map(bytes).collect())
    }

    /// One answer to each command.
    ///
    /// # Errors
    /// The connection is of no more use.
    async fn ask(&mut self, pipeline: &Pipeline, within: Duration) -> Result<Vec<RedisResult<Value>>, String> {
        let mut pipeline = pipeline.clone();
        pipeline.ignore_errors();
        self.ration.renew();
        let asked = timeout(within, pipeline.query_async(&mut self.connection)).await;
        let Ok(answers) = asked else { return Err(said::silent(self.place, within)) };
        self.was_answered |= answers.is_ok();
        answers.map_err(|error| said::explain(&error, self.place))
    }
}

fn padded(bytes: &[u8]) -> Head {
    let mut head = NO_TEXT;
    let kept = bytes.len().min(HEAD_BYTES);
    head[..kept].copy_from_slice(&bytes[..kept]);
    head
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
