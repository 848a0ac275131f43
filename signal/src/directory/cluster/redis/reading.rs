//! What others have written: looked for each second, and where a message says that there is something new.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{FromRedisValue, RedisResult, Value};
use tokio::time::{Instant, sleep, sleep_until};

use super::looks::Looks;
use super::session::Session;
use super::{ANSWER_WITHIN, Again, COMPARED_MAX, Carried, Health, Place, Way, said};
use crate::directory::cluster::run::Brought;
use crate::directory::node::NodeId;
use crate::directory::signed::{ENTRY_BYTES_MAX, HEAD_BYTES};

/// Everything that was said is looked for this often, whatever messages came or did not.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// Messages that come within this long are followed together.
const LOOKED_APART: Duration = Duration::from_millis(20);
/// Entries may be long, and the way to them narrow.
const ENTRIES_WITHIN: Duration = Duration::from_secs(5);
/// Entries that are asked for at once: 2 MiB at most.
const ENTRIES_AT_ONCE: usize = 8;

/// The first bytes of an entry, which are its own alone.
type Head = [u8; HEAD_BYTES];
/// In place of them where the key holds no text.
const NO_TEXT: Head = [0; HEAD_BYTES];

pub(super) async fn run(place: &Place, carried: &Carried, health: &Health) {
    let mut again = Again::new();
    loop {
        let problem = match Session::open(place).await {
            Ok(session) => {
                carried.shared.engine_connects.fetch_add(1, Ordering::Relaxed);
                let looks = Looks::start(place).await;
                let mut reading = Reading { place, carried, session, looks, heads: HashMap::new(), went: Ok(()) };
                let problem = reading.work(health).await;
                reading.session.over(problem).await
            }
            Err(problem) => problem,
        };
        health.tell(Way::Read, Err(problem));
        again.pause().await;
    }
}

/// By one connection.
struct Reading<'a> {
    place: &'a Place,
    carried: &'a Carried,
    session: Session<'a>,
    looks: Looks,
    /// What was read last under each node's key.
    heads: HashMap<NodeId, Head>,
    /// What may be refused, though the connection stands.
    went: Result<(), String>,
}

impl Reading<'_> {
    /// Until it cannot read; with why.
    async fn work(&mut self, health: &Health) -> String {
        let mut round_at = Instant::now();
        loop {
            let done = tokio::select! {
                () = self.looks.come() => {
                    sleep(LOOKED_APART).await;
                    let looked = self.looks.take();
                    self.read(looked).await
                }
                () = sleep_until(round_at) => {
                    round_at = Instant::now() + ROUND_EVERY;
                    self.round().await
                }
            };
            if let Err(problem) = done {
                return problem;
            }
            health.tell(Way::Read, self.went.clone());
        }
    }

    /// Looks for all nodes: those in the index, and those that were known.
    async fn round(&mut self) -> Result<(), String> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("SCARD").arg(self.place.index());
        // Of more than are compared any: those that are known stay.
        pipeline.cmd("SRANDMEMBER").arg(self.place.index()).arg(COMPARED_MAX);
        let mut answers = self.session.ask(&mut pipeline, ANSWER_WITHIN).await?.into_iter();
        let count = answers.next().map(|count| count.and_then(|count| Ok(u64::from_redis_value(count)?)));
        let members =
            answers.next().map(|members| members.and_then(|members| Ok(Vec::<Vec<u8>>::from_redis_value(members)?)));
        match (count, members) {
            (Some(Ok(count)), Some(Ok(members))) => {
                self.went = Ok(());
                self.carried.nodes.send_if_modified(|nodes| std::mem::replace(nodes, count) != count);
                let named = |member: &Vec<u8>| std::str::from_utf8(member).ok()?.parse::<NodeId>().ok();
                let mut nodes: Vec<_> = members.iter().filter_map(named).chain(self.heads.keys().copied()).collect();
                nodes.sort_unstable();
                nodes.dedup();
                self.read(nodes).await
            }
            (Some(Err(error)), _) | (_, Some(Err(error))) => {
                self.went = Err(said::explain(&error, self.place));
                let known = self.heads.keys().copied().collect();
                self.read(known).await
            }
            _ => Err("it answers less than it is asked".into()),
        }
    }

    /// Reads what these nodes say, where it is not what they said before.
    async fn read(&mut self, nodes: Vec<NodeId>) -> Result<(), String> {
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
                        self.went = Err(said::explain(&error, self.place));
                        return Ok(());
                    }
                },
            };
            if self.heads.insert(node, head) == Some(head) || self.is_own(node, &head) {
                continue;
            }
            if head == NO_TEXT {
                // Nothing of ours: counted, as any other.
                bring(self.carried, Vec::new()).await;
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
                self.carried.shared.received_bytes.fetch_add(entry.len() as u64, Ordering::Relaxed);
                bring(self.carried, entry).await;
            }
        }
        // The own comes back with the next renewal, and is missed by nobody before.
        expired.retain(|node| *node != self.carried.node);
        if !expired.is_empty() {
            let mut pipeline = redis::pipe();
            let command = pipeline.cmd("SREM").arg(self.place.index());
            expired.iter().for_each(|node| {
                command.arg(node.to_string());
            });
            // Another did it, or may.
            let _ = self.session.ask(&mut pipeline, ANSWER_WITHIN).await?;
        }
        Ok(())
    }

    /// Whether it is what this server has written itself. What else is under its key is read: another server takes itself for this one.
    fn is_own(&self, node: NodeId, head: &Head) -> bool {
        node == self.carried.node && self.carried.own.borrow().starts_with(head)
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
        let answers = self.session.ask(&mut pipeline, within).await?;
        if answers.len() != nodes.len() {
            return Err("it answers something else than it is asked".into());
        }
        let bytes = |answer: RedisResult<Value>| answer.and_then(|value| Ok(Vec::<u8>::from_redis_value(value)?));
        Ok(answers.into_iter().map(bytes).collect())
    }
}

async fn bring(carried: &Carried, bytes: Vec<u8>) {
    // Where nobody takes it any more, the program ends.
    let _ = carried.heard.send(Brought { bytes, became: None }).await;
}

fn padded(bytes: &[u8]) -> Head {
    let mut head = NO_TEXT;
    let kept = bytes.len().min(HEAD_BYTES);
    head[..kept].copy_from_slice(&bytes[..kept]);
    head
}
