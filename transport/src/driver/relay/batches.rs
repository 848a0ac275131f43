//! Batches that the watchers of a thread share: each is filled, sent and given back, so that a thread needs as many as there are sizes of slices, and one more for each
//! socket that is full.

use crate::backend::SendBatch;
use crate::driver::{batch_of, send_batch_datagrams};
use crate::wire::Cut;

/// Bytes that a batch has at most, but a train in any case: the others have their turn after that.
const BATCH_BYTES: usize = 1 << 20;
/// Spare ones that are kept.
const SPARE_MAX: usize = 16;

/// Datagrams of a batch.
pub(super) fn datagrams(cut: &Cut) -> usize {
    send_batch_datagrams(cut).min(BATCH_BYTES / cut.slice_bytes()).max(cut.train())
}

/// Those that nobody uses.
pub(super) struct Batches {
    spare: Vec<(Cut, SendBatch)>,
}

impl Batches {
    pub(super) fn new() -> Self {
        Self { spare: Vec::with_capacity(SPARE_MAX) }
    }

    /// An empty one for slices that are cut so.
    pub(super) fn take(&mut self, cut: &Cut) -> SendBatch {
        match self.spare.iter().position(|(of, _)| of == cut) {
            Some(at) => self.spare.swap_remove(at).1,
            None => batch_of(cut, datagrams(cut)),
        }
    }

    /// Gives one back, whatever is in it.
    pub(super) fn give_back(&mut self, cut: Cut, mut batch: SendBatch) {
        batch.clear();
        if self.spare.len() == SPARE_MAX {
            self.spare.remove(0);
        }
        self.spare.push((cut, batch));
    }
}
