//! Batches that the watchers of a thread share: each is filled, sent and given back, so that a thread needs as many as there are kinds of them, and one more for each
//! socket that is full.

use crate::backend::SendBatch;
use crate::driver::{batch_of, send_batch_datagrams};
use crate::wire::Cut;

/// Bytes that a batch has at most, but a train in any case: the others have their turn after that.
const BATCH_BYTES: usize = 1 << 20;
/// Spare ones that are kept.
const SPARE_MAX: usize = 16;

/// Datagrams of a batch: few different numbers, so that streams of different formats share them.
pub(super) fn datagrams(cut: &Cut) -> usize {
    let most = send_batch_datagrams(&cut.of(u32::MAX)).min(BATCH_BYTES / cut.slice_bytes());
    send_batch_datagrams(cut).next_power_of_two().min(most).max(cut.train())
}

/// What a batch can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    datagrams: usize,
    head_bytes: usize,
    /// With a scratch, for payloads of this size.
    scratch: Option<u16>,
}

impl Kind {
    fn of(cut: &Cut) -> Self {
        let scratch = (cut.tag_bytes() > 0).then(|| cut.payload_bytes());
        Self { datagrams: datagrams(cut), head_bytes: cut.head_bytes(), scratch }
    }
}

/// Those that nobody uses, the one that was used last at the end.
pub(super) struct Batches {
    spare: Vec<(Kind, SendBatch)>,
}

impl Batches {
    pub(super) fn new() -> Self {
        Self { spare: Vec::with_capacity(SPARE_MAX) }
    }

    /// An empty one for slices that are cut so.
    pub(super) fn take(&mut self, cut: &Cut) -> SendBatch {
        let kind = Kind::of(cut);
        match self.spare.iter().rposition(|(of, _)| *of == kind) {
            Some(at) => self.spare.remove(at).1,
            None => batch_of(cut, kind.datagrams),
        }
    }

    /// Gives one back that was taken for slices that are cut so, whatever is in it.
    pub(super) fn give_back(&mut self, cut: Cut, mut batch: SendBatch) {
        batch.clear();
        if self.spare.len() == SPARE_MAX {
            self.spare.remove(0);
        }
        self.spare.push((Kind::of(&cut), batch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_many_formats_share_a_few_batches_and_none_is_too_small_or_large_for_its_slices() {
        let mut kinds = Vec::new();
        for frame_bytes in (1..200).map(|nth| nth * 31_337) {
            for slice_bytes in [1_472, 65_507] {
                for cut in [Cut::new(frame_bytes, slice_bytes), Cut::with_tags(frame_bytes, slice_bytes)] {
                    let datagrams = datagrams(&cut);
                    assert!(datagrams >= cut.train() && datagrams * cut.slice_bytes() <= BATCH_BYTES, "{cut:?}");
                    // The longest slices that a path carries; a frame of fewer bytes has shorter ones.
                    if cut.slices() > 1 && !kinds.contains(&Kind::of(&cut)) {
                        kinds.push(Kind::of(&cut));
                    }
                }
            }
        }
        assert!(kinds.len() <= SPARE_MAX, "{kinds:?}");
    }

    #[test]
    fn one_that_is_used_again_and_again_stays_whatever_others_are_given_back() {
        let mut batches = Batches::new();
        let often = Cut::new(1_000_000, 1_472);
        batches.give_back(often, batch_of(&often, datagrams(&often)));
        for slice_bytes in 600..1_400 {
            let batch = batches.take(&often);
            assert!(batches.spare.iter().all(|(kind, _)| *kind != Kind::of(&often)));
            batches.give_back(often, batch);
            let seldom = Cut::with_tags(1_000_000, slice_bytes);
            batches.give_back(seldom, batch_of(&seldom, datagrams(&seldom)));
        }
        assert_eq!(batches.spare.len(), SPARE_MAX);
        assert!(batches.spare.iter().any(|(kind, _)| *kind == Kind::of(&often)));
    }
}
