//! The way between two hosts, on which datagrams are lost, doubled, cut, delayed and queued.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use framewire_transport::Time;

use super::{Random, Weather};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Towards {
    Receiver,
    Sender,
}

/// The model counts datagrams, and means ones that follow each other closely: so long after its begin, a burst is over for
/// each of its datagrams in any case. 1,500 bytes take that long at 120 Mbit/s.
const BURST_SLOT: Duration = Duration::from_micros(100);

type InFlight = Reverse<(Time, u64, Towards, Vec<u8>)>;

/// What is on its way, and how the way is by now.
#[derive(Debug)]
pub(super) struct Way {
    flying: BinaryHeap<InFlight>,
    /// For each direction, whether a burst of losses is on or off, and since when.
    in_burst: [(bool, Time); 2],
    /// When the link towards the receiver has carried what is queued.
    link_free: Time,
    /// Datagrams that have travelled, either way.
    pub(super) sent: u64,
    pub(super) bytes_sent: usize,
}

impl Way {
    pub(super) fn new(now: Time) -> Self {
        Self { flying: BinaryHeap::new(), in_burst: [(false, now); 2], link_free: now, sent: 0, bytes_sent: 0 }
    }

    /// A datagram leaves.
    pub(super) fn fly(
        &mut self,
        weather: &Weather,
        random: &mut Random,
        now: Time,
        towards: Towards,
        mut bytes: Vec<u8>,
    ) {
        if self.is_lost(weather, random, now, towards) || bytes.len() > weather.datagram_max {
            return;
        }
        if random.chance(weather.cut) {
            bytes.truncate(random.below(bytes.len() as u64) as usize);
        }
        let Some(queued) = self.queue(weather, now, towards, bytes.len()) else { return };
        let copies = if random.chance(weather.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            self.bytes_sent += bytes.len();
            let late = if random.chance(weather.delayed) { weather.latency * 3 } else { Duration::ZERO };
            self.sent += 1;
            let at = weather.interrupt_after(now + queued + weather.latency + late);
            self.flying.push(Reverse((at, self.sent, towards, bytes.clone())));
        }
    }

    /// When the next datagram arrives.
    pub(super) fn next_arrival(&self) -> Option<Time> {
        self.flying.peek().map(|Reverse((at, ..))| *at)
    }

    /// What has arrived by now, one datagram after the other.
    pub(super) fn arrive(&mut self, now: Time) -> Option<(Towards, Vec<u8>)> {
        self.next_arrival().filter(|at| *at <= now)?;
        self.flying.pop().map(|Reverse((_, _, towards, bytes))| (towards, bytes))
    }

    /// What is on its way is lost.
    pub(super) fn drop_all(&mut self) {
        self.flying.clear();
    }

    /// Bursts come and go for each direction on its own. A loss of 1000 per thousand is an outage.
    fn is_lost(&mut self, weather: &Weather, random: &mut Random, now: Time, towards: Towards) -> bool {
        let Weather { lost, burst, .. } = *weather;
        if burst <= 1 || lost >= 1_000 {
            return random.chance(lost);
        }
        let (in_burst, begun) = self.in_burst[towards as usize];
        // What makes a burst (a full queue, a fading signal) passes with time, also where little is sent.
        let in_burst = in_burst && now.since(begun) < BURST_SLOT * burst as u32;
        // Bursts end after `burst` datagrams in the mean, and begin so often that `lost` of a thousand are in one.
        let turns = if in_burst { random.below(burst) == 0 } else { random.below(burst * (1_000 - lost)) < lost };
        if turns {
            self.in_burst[towards as usize] = (!in_burst, now);
        }
        in_burst != turns
    }

    /// How long a datagram waits for the link, and takes on it; `None` where the queue is full.
    fn queue(&mut self, weather: &Weather, now: Time, towards: Towards, bytes: usize) -> Option<Duration> {
        let Some(rate) = weather.rate.filter(|_| towards == Towards::Receiver) else {
            return Some(Duration::ZERO);
        };
        let waits = self.link_free.since(now);
        if waits > rate.queue {
            return None;
        }
        let takes = waits + rate.time_for(bytes);
        self.link_free = now + takes;
        Some(takes)
    }
}
