//! Both ends' cores over a network that exists only in this test: seeded, in virtual time, no socket.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

mod batches;
mod middle;
mod nonces;
mod pair;
mod peer;
mod receiving;
mod switch;
mod truth;
pub(crate) mod varied;
mod way;
mod weather;

pub(crate) use self::batches::BATCH_MAX;
pub(crate) use self::middle::Middle;
pub(crate) use self::pair::{Pair, picture};
pub(crate) use self::peer::Peer;
pub(crate) use self::switch::{Port, Switch};
pub(crate) use self::way::Towards;
pub(crate) use self::weather::{Rate, Weather};

/// Xorshift: a failing seed replays exactly.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}
