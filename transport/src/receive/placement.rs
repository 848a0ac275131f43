//! Puts slices that landed elsewhere than they belong into their places: an in-place permutation.
//!
//! The receiver predicts where each datagram's payload belongs and has the kernel put it there. After a loss or a
//! reordering the payloads of a batch are shifted against the prediction. Every cell that was predicted may hold a
//! payload that belongs into another predicted cell, so payloads are moved along chains: a cell's own payload leaves
//! before another one enters. A closed chain is opened with one scratch cell.

use crate::frame::Arrival;

/// Where one datagram's payload lands or belongs: a place and a byte range in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// Which of the reassembler's places.
    pub(super) place: u8,
    /// First byte in the slot.
    pub(super) offset: usize,
    /// Bytes there is room for, or of payload.
    pub(super) len: usize,
}

#[derive(Debug, Clone, Copy, Default)]
enum Move {
    #[default]
    None,
    /// The payload waits for its move to a predicted cell or a free one.
    Waiting(Spot),
    /// It is on the chain being followed.
    OnChain(Spot),
}

/// Where consecutive datagrams' payloads land in one slot: `cells` cells of `cell` bytes, from `offset` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LandingRun {
    /// First byte in the slot.
    pub offset: usize,
    /// Bytes for each payload.
    pub cell: usize,
    /// How many.
    pub cells: usize,
}

/// Consecutive spots in one place, `cell` bytes apart.
#[derive(Debug, Clone, Copy)]
struct Run {
    place: u8,
    first_spot: usize,
    first_offset: usize,
    cells: usize,
    cell: usize,
}

/// The predicted spots of one batch, and the moves it turned out to need.
#[derive(Debug)]
pub(super) struct Placement {
    /// How many spots there are.
    spots: usize,
    runs: Vec<Run>,
    /// One for each spot, from the first move of a batch on: most batches need none.
    moves: Vec<Move>,
    waiting: usize,
    chain: Vec<usize>,
    scratch: Box<[u8]>,
    /// Payloads whose size is not their cell's, so that their target may straddle two cells: taken out first.
    straddlers: Vec<(Spot, usize)>,
    /// Bytes of `straddler_bytes` in use.
    straddled: usize,
    straddler_bytes: Box<[u8]>,
}

impl Placement {
    /// For at most `spots` spots a batch, each at most `cell` bytes.
    pub(super) fn new(spots: usize, runs: usize, cell: usize) -> Self {
        Self {
            spots: 0,
            runs: Vec::with_capacity(runs),
            moves: Vec::with_capacity(spots),
            waiting: 0,
            chain: Vec::with_capacity(spots),
            scratch: vec![0; cell].into_boxed_slice(),
            straddlers: Vec::with_capacity(spots),
            straddled: 0,
            // A batch of cells; slices of two sizes only meet where a sender changes their size within an epoch.
            straddler_bytes: vec![0; cell * spots.min(STRADDLER_CELLS)].into_boxed_slice(),
        }
    }

    /// How many datagrams have a spot.
    pub(super) fn spots(&self) -> usize {
        self.spots
    }

    pub(super) fn spot(&self, spot: usize) -> Option<Spot> {
        self.runs.iter().find_map(|run| {
            let cell = spot.checked_sub(run.first_spot).filter(|cell| *cell < run.cells)?;
            Some(Spot { place: run.place, offset: run.first_offset + cell * run.cell, len: run.cell })
        })
    }

    /// The spots in order: the place of each run, and where in its slot.
    pub(super) fn runs(&self) -> impl Iterator<Item = (u8, LandingRun)> {
        self.runs
            .iter()
            .map(|run| (run.place, LandingRun { offset: run.first_offset, cell: run.cell, cells: run.cells }))
    }

    /// Forgets the last batch.
    pub(super) fn clear(&mut self) {
        self.spots = 0;
        self.runs.clear();
        self.moves.clear();
        self.straddlers.clear();
        self.straddled = 0;
        self.waiting = 0;
    }

    /// Predicts that the next datagrams land in `cells` cells of `place`, `cell` bytes each, from `first_offset` on.
    pub(super) fn predict(&mut self, place: u8, first_offset: usize, cell: usize, cells: usize) {
        self.runs.push(Run { place, first_spot: self.spots, first_offset, cells, cell });
        self.spots += cells;
    }

    /// The payload that `landed` at a spot belongs to `target`. True where it has to be moved (or set aside) for that;
    /// `None` where it is of a size that cannot be placed in this batch any more.
    #[inline]
    pub(super) fn belongs(
        &mut self,
        (spot, landed): (usize, Spot),
        target: Spot,
        arrivals: &Arrivals<'_>,
    ) -> Option<bool> {
        if (landed.place, landed.offset) == (target.place, target.offset) {
            return Some(false);
        }
        self.plan_move((spot, landed), target, arrivals).then_some(true)
    }

    /// False where there is no room to set the payload aside.
    fn plan_move(&mut self, (spot, landed): (usize, Spot), target: Spot, arrivals: &Arrivals<'_>) -> bool {
        if self.fits_a_cell(&target) {
            self.moves.resize(self.spots, Move::None);
            self.moves[spot] = Move::Waiting(target);
            self.waiting += 1;
            return true;
        }
        let used = self.straddled;
        let Some(aside) = self.straddler_bytes.get_mut(used..used + target.len) else { return false };
        arrivals.at(landed.place).read(landed.offset, aside);
        self.straddlers.push((target, used));
        self.straddled += target.len;
        true
    }

    /// Forgets the moves into a place: the frame they belong to is given up. What landed there may still have to leave.
    pub(super) fn cancel_into(&mut self, place: u8) {
        for pending in &mut self.moves {
            if matches!(pending, Move::Waiting(target) if target.place == place) {
                *pending = Move::None;
                self.waiting -= 1;
            }
        }
        // Their bytes stay set aside, unused, until the batch ends.
        for (target, _) in self.straddlers.iter_mut().filter(|(target, _)| target.place == place) {
            target.len = 0;
        }
    }

    /// Whether a target touches no predicted cell, or lies at the start of exactly one.
    fn fits_a_cell(&self, target: &Spot) -> bool {
        self.runs.iter().filter(|run| run.place == target.place).all(|run| {
            let end = run.first_offset + run.cells * run.cell;
            let apart = target.offset >= end || target.offset + target.len <= run.first_offset;
            let aligned = target.offset >= run.first_offset
                && (target.offset - run.first_offset).is_multiple_of(run.cell)
                && target.len <= run.cell;
            apart || aligned
        })
    }

    /// The spot that is the predicted cell at the target, if there is one.
    fn spot_at(&self, target: &Spot) -> Option<usize> {
        self.runs.iter().find_map(|run| {
            let from_start = target.offset.checked_sub(run.first_offset)?;
            let cell = from_start / run.cell;
            (run.place == target.place && cell < run.cells).then_some(run.first_spot + cell)
        })
    }

    /// Moves every payload that waits. Bytes in cells that no accepted datagram landed in are overwritten freely.
    pub(super) fn settle(&mut self, arrivals: &mut Arrivals<'_>) {
        let mut spot = 0;
        while self.waiting > 0 {
            if matches!(self.moves[spot], Move::Waiting(_)) {
                self.follow_chain(spot, arrivals);
            }
            spot += 1;
        }
        for (target, at) in &self.straddlers {
            arrivals.at_mut(target.place).write(target.offset, &self.straddler_bytes[*at..*at + target.len]);
        }
    }

    fn follow_chain(&mut self, start: usize, arrivals: &mut Arrivals<'_>) {
        let mut on_scratch = None;
        let mut spot = start;
        self.chain.clear();
        while let Move::Waiting(target) = self.moves[spot] {
            self.moves[spot] = Move::OnChain(target);
            self.chain.push(spot);
            match self.spot_at(&target) {
                Some(next) => spot = next,
                None => break,
            }
        }
        // Targets are distinct, so a chain that closes does so where it began. The payload it began with goes to
        // scratch; then the moves run from the chain's end back to its start.
        if self.chain.len() > 1 && spot == start {
            let (Some(landed), Move::OnChain(target)) = (self.spot(start), self.moves[start]) else { return };
            arrivals.at(landed.place).read(landed.offset, &mut self.scratch[..target.len]);
            on_scratch = Some(start);
        }
        while let Some(spot) = self.chain.pop() {
            let Move::OnChain(target) = self.moves[spot] else { continue };
            if on_scratch == Some(spot) {
                arrivals.at_mut(target.place).write(target.offset, &self.scratch[..target.len]);
            } else if let Some(landed) = self.spot(spot) {
                arrivals.transfer(landed, &target);
            }
            self.moves[spot] = Move::None;
            self.waiting -= 1;
        }
    }
}

/// Cells of room for payloads of unequal size; more of them in one batch are dropped and repaired.
const STRADDLER_CELLS: usize = 32;

/// The slots that places stand for.
pub(super) struct Arrivals<'a> {
    slots: &'a mut [Option<Arrival>],
}

impl<'a> Arrivals<'a> {
    pub(super) fn new(slots: &'a mut [Option<Arrival>]) -> Self {
        Self { slots }
    }

    fn at(&self, place: u8) -> &Arrival {
        self.slots[usize::from(place)]
            .as_ref()
            .expect("a predicted or claimed place keeps its slot until the batch ends")
    }

    fn at_mut(&mut self, place: u8) -> &mut Arrival {
        self.slots[usize::from(place)]
            .as_mut()
            .expect("a predicted or claimed place keeps its slot until the batch ends")
    }

    fn transfer(&mut self, from: Spot, to: &Spot) {
        if from.place == to.place {
            self.at_mut(to.place).move_within(from.offset, to.offset, to.len);
            return;
        }
        let Ok([source, target]) = self.slots.get_disjoint_mut([usize::from(from.place), usize::from(to.place)]) else {
            return;
        };
        if let (Some(source), Some(target)) = (source, target) {
            target.copy_from(source, from.offset, to.offset, to.len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameInfo, FramePool, Tail};
    use proptest::prelude::*;

    const CELL: usize = 4;

    /// Cell `i` of place `p` is predicted by spot `p * cells + i`; `belongs[spot]` says where its payload should go.
    fn settle(cells: usize, belongs: &[Option<usize>]) -> Vec<u8> {
        let pool = FramePool::new(2, cells * CELL).unwrap();
        let mut slots = [pool.try_arrival(), pool.try_arrival()];
        let mut placement = Placement::new(2 * cells, 2, CELL);
        for place in 0..2 {
            placement.predict(place, 0, CELL, cells);
        }
        for (spot, target) in belongs.iter().enumerate() {
            let landed = placement.spot(spot).unwrap();
            slots[usize::from(landed.place)].as_mut().unwrap().write(landed.offset, &[spot as u8 + 1; CELL]);
            if let Some(target) = target {
                let belongs = Spot { place: (target / cells) as u8, offset: target % cells * CELL, len: CELL };
                let moved = placement.belongs((spot, landed), belongs, &Arrivals::new(&mut slots)).unwrap();
                assert_eq!(moved, *target != spot);
            }
        }
        placement.settle(&mut Arrivals::new(&mut slots));
        slots
            .into_iter()
            .flatten()
            .flat_map(|slot| slot.complete(cells * CELL, Tail::NONE, FrameInfo::default()).unwrap().to_vec())
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn every_payload_that_was_accepted_ends_where_it_belongs(
            order in Just((0..24).collect::<Vec<usize>>()).prop_shuffle(),
            kept in proptest::collection::vec(any::<bool>(), 24),
        ) {
            let belongs: Vec<_> = order.iter().zip(&kept).map(|(target, kept)| kept.then_some(*target)).collect();
            let bytes = settle(12, &belongs);
            for (spot, target) in belongs.iter().enumerate() {
                if let Some(target) = target {
                    prop_assert_eq!(&bytes[target * CELL..(target + 1) * CELL], &[spot as u8 + 1; CELL]);
                }
            }
        }
    }

    #[test]
    fn payloads_of_another_size_are_taken_out_before_the_others_move() {
        let pool = FramePool::new(1, 32).unwrap();
        let mut slots = [pool.try_arrival()];
        let mut placement = Placement::new(4, 1, 8);
        placement.predict(0, 0, 8, 4);
        slots[0].as_mut().unwrap().write(0, b"aaa.....bbb.....ccc.....ddd.....");
        // Slices of 3 bytes landed in cells of 8.
        for spot in 0..4 {
            let landed = placement.spot(spot).unwrap();
            let belongs = Spot { place: 0, offset: spot * 3, len: 3 };
            placement.belongs((spot, landed), belongs, &Arrivals::new(&mut slots)).unwrap();
        }
        placement.settle(&mut Arrivals::new(&mut slots));
        let frame = slots[0].take().unwrap().complete(12, Tail::NONE, FrameInfo::default()).unwrap();
        assert_eq!(&frame[..], b"aaabbbcccddd");
    }
}
