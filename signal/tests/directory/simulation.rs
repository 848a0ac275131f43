//! Eight servers and their engine, over a network that loses, doubles, delays and reorders what is said, with partitions, an engine that is emptied and whose clock
//! jumps, and servers that restart with clocks that were set anywhere. Then all is healed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use framewire_signal::directory::{Directory, NodeState, OwnState, View};

use super::{key, own, stream};

const NODES: u32 = 8;
/// How long everything goes wrong, in milliseconds.
const TROUBLE_MS: u64 = 40_000;
/// How long after that views may differ.
const EQUAL_AFTER_MS: u64 = 5_000;
/// How long after that a node that is gone may be seen.
const GHOST_MS: u64 = 67_000;
const EXPIRES_MS: i64 = 6_000;

#[test]
fn whatever_goes_wrong_own_streams_are_seen_views_are_equal_soon_after_and_nothing_haunts_them() {
    // By default as many as take 20 s; FRAMEWIRE_SEEDS=10000 at length.
    let seeds = std::env::var("FRAMEWIRE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(400);
    for seed in 0..seeds {
        World::new(seed).run();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A node looks at its clock.
    Tick(u32, u64),
    /// A node reads all keys.
    Round(u32, u64),
    /// Bytes come to the engine.
    Written(u32, Vec<u8>),
    /// A message comes to a node: look there.
    Look(u32, u64, u32),
    /// Bytes come to a node.
    Heard(u32, u64, Vec<u8>),
    /// A node changes its streams.
    Change(u32, u64),
    Kill(u32),
    Start(u32),
    Cut(u32, bool),
    Empty,
    Jump(i64),
    Heal,
    CheckEqual,
    KillOne,
    CheckStale,
    CheckGone,
}

struct Node {
    /// Which run, so that what was meant for the one before does not reach it.
    run: u64,
    directory: Option<Directory>,
    started_ms: u64,
    died_ms: u64,
    incarnation: u64,
    streams: u64,
    is_cut: bool,
    /// The first bytes of what was read last under each key.
    heads: BTreeMap<u32, Vec<u8>>,
}

struct World {
    seed: u64,
    random: u64,
    now_ms: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    /// Of equal times the earlier is first.
    count: u64,
    nodes: Vec<Node>,
    keys: BTreeMap<u32, (Vec<u8>, i64)>,
    engine_ahead_ms: i64,
    is_healed: bool,
    killed: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let node = |_| Node {
            run: 0,
            directory: None,
            started_ms: 0,
            died_ms: 0,
            incarnation: 0,
            streams: 1,
            is_cut: false,
            heads: BTreeMap::new(),
        };
        let nodes = (0..NODES).map(node).collect();
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let keys = BTreeMap::new();
        let events = BinaryHeap::new();
        Self { seed, random, now_ms: 0, events, count: 0, nodes, keys, engine_ahead_ms: 0, is_healed: false, killed: 0 }
    }

    /// Xorshift.
    fn below(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((self.now_ms + ms, self.count, event)));
    }

    fn run(&mut self) {
        for n in 0..NODES {
            let at = self.below(3_000);
            self.after(at, Event::Start(n));
        }
        self.plan_trouble();
        self.after(TROUBLE_MS, Event::Heal);
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.now_ms = at;
            if event == Event::CheckGone {
                return self.check_gone();
            }
            self.handle(event);
        }
        unreachable!("the last event ends it");
    }

    fn plan_trouble(&mut self) {
        for _ in 0..12 {
            let at = self.below(TROUBLE_MS - 1_000);
            let n = self.below(u64::from(NODES)) as u32;
            match self.below(6) {
                0 | 1 => {
                    let lasts = self.below(20_000);
                    self.after(at, Event::Cut(n, true));
                    self.after(at + lasts, Event::Cut(n, false));
                }
                2 => {
                    let away = self.below(30_000);
                    self.after(at, Event::Kill(n));
                    // Some come back only when all is healed, some never.
                    if at + away < TROUBLE_MS {
                        self.after(at + away, Event::Start(n));
                    }
                }
                3 => self.after(at, Event::Empty),
                4 => {
                    let by = self.below(7_200_000) as i64 - 3_600_000;
                    self.after(at, Event::Jump(by));
                }
                // All at once.
                _ => {
                    let lasts = self.below(20_000);
                    for n in 0..NODES {
                        self.after(at, Event::Cut(n, true));
                        self.after(at + lasts, Event::Cut(n, false));
                    }
                }
            }
        }
    }

    /// Sends something between a node and the engine: perhaps never, perhaps twice, perhaps late.
    fn send(&mut self, n: u32, event: Event) {
        if self.nodes[n as usize].is_cut {
            return;
        }
        if self.is_healed {
            let takes = self.below(20);
            return self.after(takes, event);
        }
        if self.one_in(10) {
            return;
        }
        for _ in 0..if self.one_in(10) { 2 } else { 1 } {
            let takes = if self.one_in(10) { self.below(4_000) } else { self.below(50) };
            self.after(takes, event.clone());
        }
    }

    fn engine_ms(&self) -> i64 {
        self.now_ms as i64 + self.engine_ahead_ms
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.now_ms)
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Tick(n, run) if self.nodes[n as usize].run == run => self.tick(n),
            Event::Round(n, run) if self.nodes[n as usize].run == run => {
                self.after(1_000, Event::Round(n, run));
                (0..NODES).for_each(|of| self.read(n, of));
                self.check_own(n);
            }
            Event::Written(n, bytes) => {
                let expires = self.engine_ms() + EXPIRES_MS;
                self.keys.insert(n, (bytes, expires));
                for to in (0..NODES).filter(|to| *to != n) {
                    let run = self.nodes[to as usize].run;
                    self.send(to, Event::Look(to, run, n));
                }
            }
            Event::Look(n, run, of) if self.nodes[n as usize].run == run => self.read(n, of),
            Event::Heard(n, run, bytes) if self.nodes[n as usize].run == run => {
                if let Some(directory) = &mut self.nodes[n as usize].directory {
                    directory.handle_entry(&bytes, now).unwrap();
                }
            }
            Event::Change(n, run) if self.nodes[n as usize].run == run && !self.is_healed => {
                self.nodes[n as usize].streams = 1 + self.below(4);
                self.say_streams(n);
                let after = 500 + self.below(8_000);
                self.after(after, Event::Change(n, run));
            }
            Event::Kill(n) => self.kill(n),
            Event::Start(n) => self.start(n),
            Event::Cut(n, is_cut) => self.nodes[n as usize].is_cut = is_cut && !self.is_healed,
            Event::Empty => self.keys.clear(),
            Event::Jump(by) if !self.is_healed => self.engine_ahead_ms += by,
            Event::Heal => {
                self.is_healed = true;
                self.nodes.iter_mut().for_each(|node| node.is_cut = false);
                // Two at least, so that there is something to see.
                (0..2).for_each(|n| self.start(n));
                self.after(EQUAL_AFTER_MS, Event::CheckEqual);
            }
            Event::CheckEqual => {
                self.check_equal();
                self.after(500, Event::KillOne);
            }
            Event::KillOne => {
                self.killed = (0..NODES).rev().find(|n| self.nodes[*n as usize].directory.is_some()).unwrap();
                self.kill(self.killed);
                self.after(7_000, Event::CheckStale);
                self.after(GHOST_MS, Event::CheckGone);
            }
            Event::CheckStale => {
                self.check_name();
                let killed = self.killed;
                for (n, view) in self.views() {
                    let state = view.node(own(killed, 0).node).map(|node| node.state);
                    assert_eq!(state, Some(NodeState::Stale), "seed {}: {n} on the killed {killed}", self.seed);
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, n: u32) {
        // It was set anywhere in the last 30 years, and what the state directory keeps makes up for it.
        let wall = self.below(1_000_000_000);
        let now_ms = self.now_ms;
        let node = &mut self.nodes[n as usize];
        if node.directory.is_some() {
            return;
        }
        node.run += 1;
        node.incarnation = wall.max(node.incarnation + 1);
        node.started_ms = now_ms;
        node.heads.clear();
        node.directory = Some(Directory::new(own(n, node.incarnation), key()).unwrap());
        let run = node.run;
        self.say_streams(n);
        let at = self.below(1_000);
        self.after(0, Event::Tick(n, run));
        self.after(at, Event::Round(n, run));
        self.after(at, Event::Change(n, run));
    }

    fn kill(&mut self, n: u32) {
        let now_ms = self.now_ms;
        let node = &mut self.nodes[n as usize];
        if node.directory.take().is_some() {
            node.run += 1;
            node.died_ms = now_ms;
        }
    }

    /// One of a name that all have, the others of names that nobody else has.
    fn say_streams(&mut self, n: u32) {
        let node = &mut self.nodes[n as usize];
        let streams = (0..node.streams).map(|id| stream(id, &format!("cam-{n}-{id}")));
        let shared = stream(99, "shared").incarnation(u64::from(n * 7 % 5));
        let state = OwnState::new(streams.chain([shared]).collect());
        if let Some(directory) = &mut node.directory {
            directory.set_own(state);
        }
    }

    fn tick(&mut self, n: u32) {
        let (now, run) = (self.now(), self.nodes[n as usize].run);
        let Some(directory) = &mut self.nodes[n as usize].directory else { return };
        if let Some(bytes) = directory.poll_own(now) {
            self.send(n, Event::Written(n, bytes));
        }
        // As a loop that wakes a little late.
        self.after(50, Event::Tick(n, run));
    }

    /// A node asks for what another said: as the engine's client does, it has it only where it is not what it was.
    fn read(&mut self, n: u32, of: u32) {
        if self.nodes[n as usize].is_cut {
            return;
        }
        let engine_ms = self.engine_ms();
        self.keys.retain(|_, (_, expires)| *expires > engine_ms);
        let Some((bytes, _)) = self.keys.get(&of) else { return };
        let bytes = bytes.clone();
        let node = &mut self.nodes[n as usize];
        let head = bytes[..82].to_vec();
        if node.heads.get(&of) == Some(&head) {
            return;
        }
        let run = node.run;
        // What is lost breaks the connection: the next one reads anew.
        let heard = self.count;
        self.send(n, Event::Heard(n, run, bytes));
        if self.count > heard {
            self.nodes[n as usize].heads.insert(of, head);
        }
    }

    fn views(&mut self) -> Vec<(u32, View)> {
        let now = self.now();
        let nodes = self.nodes.iter_mut().zip(0..);
        nodes.filter_map(|(node, n)| Some((n, node.directory.as_mut()?.view(now)))).collect()
    }

    /// Own streams are never hidden, and what is remembered is bounded.
    fn check_own(&mut self, n: u32) {
        let (now, seed) = (self.now(), self.seed);
        let node = &mut self.nodes[n as usize];
        let Some(directory) = &mut node.directory else { return };
        let view = directory.view(now);
        assert_eq!(view.nodes[0].state, NodeState::Own, "seed {seed}");
        for id in 0..node.streams {
            let seen = view
                .find(&format!("cam-{n}-{id}"))
                .unwrap_or_else(|| panic!("seed {seed}: {n} does not see its own stream {id}"));
            assert_eq!(seen.node.state, NodeState::Own, "seed {seed}");
        }
        let shared = view.find(&format!("shared@node-{n}")).unwrap();
        assert_eq!(shared.node.state, NodeState::Own, "seed {seed}");
        assert!(view.nodes.len() <= NODES as usize && directory.remembered_bytes() < 8 * 2_048, "seed {seed}");
        assert_eq!(directory.counters().twins, 0, "seed {seed}");
        assert!(view.nodes.iter().all(|node| !node.has_twin), "seed {seed}: {n} sees a twin where there is none");
    }

    /// Every node that lives sees the truth of every node that lives.
    fn check_equal(&mut self) {
        let views = self.views();
        let seed = self.seed;
        for (n, view) in &views {
            for (of, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.directory.is_some()) {
                let seen =
                    view.node(own(of as u32, 0).node).unwrap_or_else(|| panic!("seed {seed}: {n} does not see {of}"));
                assert!(matches!(seen.state, NodeState::Own | NodeState::Live), "seed {seed}: {n} on {of}: {seen:?}");
                assert_eq!(seen.entry.incarnation, node.incarnation, "seed {seed}: {n} on {of}");
                assert_eq!(seen.entry.streams.len() as u64, node.streams + 1, "seed {seed}: {n} on {of}");
            }
        }
    }

    /// A name means the same to all, once all know who is silent: one that died at the end of the trouble is live until then to whoever heard it last.
    fn check_name(&mut self) {
        let meant: Vec<_> = self.views().iter().map(|(_, view)| view.find("shared").unwrap().node.entry.node).collect();
        assert!(
            meant.windows(2).all(|two| two[0] == two[1]),
            "seed {}: a name means different streams: {meant:?}",
            self.seed
        );
    }

    /// Nobody sees a node that is long gone.
    fn check_gone(&mut self) {
        let (now_ms, seed) = (self.now_ms, self.seed);
        for (n, view) in self.views() {
            let started_ms = self.nodes[n as usize].started_ms;
            for (of, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.directory.is_none()) {
                let since_ms = now_ms - node.died_ms.max(started_ms).max(TROUBLE_MS);
                assert!(since_ms >= GHOST_MS, "a check that comes too early");
                assert_eq!(view.node(own(of as u32, 0).node), None, "seed {seed}: {n} still sees {of}");
            }
        }
    }
}
