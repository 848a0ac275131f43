//! How a frame's slices are dealt out to blocks that are protected on their own.
//!
//! Slice `i` is in block `i` modulo the number of blocks, so that a burst of losses takes a little of each. A block is a
//! Reed-Solomon code word: any of its slices, data or parity, as many as it has of data, restore all of it.

/// Slices of a block at most, parity included.
pub const BLOCK_SLICES_MAX: u32 = 256;

/// Which slices and parity slices of a frame belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParityLayout {
    /// Slices of the frame.
    pub slices: u32,
    /// Blocks that they are dealt out to, at least 1.
    pub blocks: u16,
    /// Parity slices of each block, at least 1.
    pub parities: u8,
}

impl ParityLayout {
    /// For a frame of `slices` slices with `percent` of that (at most 100) in parity, rounded up. `None` where it has no slices, no parity, or
    /// more blocks than can be numbered.
    pub fn new(slices: u32, percent: u32) -> Option<Self> {
        if slices == 0 || percent == 0 {
            return None;
        }
        let percent = percent.min(100);
        let blocks = slices.div_ceil(BLOCK_SLICES_MAX * 100 / (100 + percent));
        let parities = (slices.div_ceil(blocks) * percent).div_ceil(100);
        Some(Self { slices, blocks: u16::try_from(blocks).ok()?, parities: u8::try_from(parities).ok()? })
    }

    /// Slices of each block; the last blocks may lack one, which counts as zeroes.
    pub const fn data(&self) -> u32 {
        self.slices.div_ceil(self.blocks as u32)
    }

    /// Parity slices of the frame.
    pub const fn count(&self) -> u32 {
        self.blocks as u32 * self.parities as u32
    }

    /// Whether no block is larger than it may be.
    pub const fn fits_a_block(&self) -> bool {
        self.data() + self.parities as u32 <= BLOCK_SLICES_MAX
    }

    /// The block of a slice, or of a parity slice.
    pub const fn block_of(&self, index: u32) -> u32 {
        index % self.blocks as u32
    }

    /// The slices of a block, by their place in it. Fewer than [`ParityLayout::data`] where the frame ends before.
    pub fn slices_of(&self, block: u32) -> impl Iterator<Item = u32> + use<> {
        (block..self.slices).step_by(usize::from(self.blocks))
    }

    /// The parity slices of a block, by their place in it.
    pub fn parities_of(&self, block: u32) -> impl Iterator<Item = u32> + use<> {
        (block..self.count()).step_by(usize::from(self.blocks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slice_is_in_one_block_and_no_block_is_too_large() {
        for slices in [1, 2, 3, 71, 196, 197, 1_460, 17_540, 250_000] {
            for percent in [1, 10, 13, 30, 100] {
                let layout = ParityLayout::new(slices, percent).unwrap();
                assert!(layout.fits_a_block() && layout.parities > 0, "{layout:?}");
                assert!(layout.count() * 100 >= slices * percent, "{layout:?}");
                let mut seen = vec![0; slices as usize];
                for block in 0..u32::from(layout.blocks) {
                    assert!(layout.slices_of(block).count() as u32 <= layout.data());
                    assert_eq!(layout.parities_of(block).count(), usize::from(layout.parities));
                    layout.slices_of(block).for_each(|slice| seen[slice as usize] += 1);
                    assert!(layout.slices_of(block).all(|slice| layout.block_of(slice) == block));
                }
                assert!(seen.into_iter().all(|times| times == 1), "{layout:?}");
            }
        }
        assert_eq!(ParityLayout::new(32, 0), None);
        assert_eq!(ParityLayout::new(2, 10), Some(ParityLayout { slices: 2, blocks: 1, parities: 1 }));
        assert_eq!(ParityLayout::new(1_460, 10), Some(ParityLayout { slices: 1_460, blocks: 7, parities: 21 }));
    }
}
