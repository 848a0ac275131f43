//! How many datagrams the kernel moves in one call.

use super::Random;

/// The most datagrams that one call moves.
pub(crate) const BATCH_MAX: usize = 64;

/// Sizes of batches, by the seed: a call moves what there is, up to the size that is drawn for it.
#[derive(Debug)]
pub(crate) struct Batches {
    random: Random,
    /// The most that a call of this peer has room for, 1 to [`BATCH_MAX`].
    most: usize,
    /// How many batches of so many datagrams the receiver has read.
    pub(crate) read: [u64; BATCH_MAX + 1],
}

impl Batches {
    /// Of a peer that moves its datagrams one at a time, one that has the most room there is, or one between them.
    pub(super) fn new(seed: u64) -> Self {
        // Of its own, so that the same seed has the same weather whatever the batches are.
        let mut random = Random::new(seed ^ 0x6261_7463_6865_7300);
        let most = match random.below(6) {
            0 => 1,
            1 | 2 => BATCH_MAX,
            _ => 1 + random.below(BATCH_MAX as u64) as usize,
        };
        Self { random, most, read: [0; BATCH_MAX + 1] }
    }

    /// The most datagrams that a call has room for.
    pub(super) fn room(&self) -> usize {
        self.most
    }

    /// Of so many datagrams that could be moved, how many are: all that there is room for, or fewer, where the kernel was
    /// asked while they came.
    pub(super) fn size(&mut self, there: usize) -> usize {
        let all = there.min(self.most);
        if self.random.below(2) == 0 { all } else { 1 + self.random.below(all as u64) as usize }
    }
}
