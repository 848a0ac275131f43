//! Which slices of a frame have arrived.

/// A fixed number of bits, allocated once and reused from frame to frame.
#[derive(Debug)]
pub(super) struct Bitmap {
    words: Box<[u64]>,
}

impl Bitmap {
    pub(super) fn new(bits: usize) -> Self {
        Self { words: vec![0; bits.div_ceil(64)].into_boxed_slice() }
    }

    /// Clears the first `bits` bits (and what shares their last word).
    pub(super) fn clear(&mut self, bits: usize) {
        self.words[..bits.div_ceil(64)].fill(0);
    }

    pub(super) fn contains(&self, bit: usize) -> bool {
        self.words[bit / 64] & (1 << (bit % 64)) != 0
    }

    /// Sets a bit; false where it was set already.
    pub(super) fn insert(&mut self, bit: usize) -> bool {
        let (word, mask) = (&mut self.words[bit / 64], 1 << (bit % 64));
        let new = *word & mask == 0;
        *word |= mask;
        new
    }

    /// The bits as bytes, the least significant of each first.
    pub(super) fn bytes(&self, bits: usize) -> impl Iterator<Item = u8> + '_ {
        self.words.iter().flat_map(|word| word.to_le_bytes()).take(bits.div_ceil(8))
    }

    /// The first bit at or after `from` and below `end` that is not set.
    pub(super) fn first_unset(&self, from: usize, end: usize) -> Option<usize> {
        let mut bit = from;
        while bit < end {
            let left = !(self.words[bit / 64] >> (bit % 64));
            let skip = left.trailing_zeros() as usize;
            // Bits shifted in from above count as unset; stay inside this word.
            let next = bit - bit % 64 + 64;
            if skip < 64 && bit + skip < next {
                return (bit + skip < end).then_some(bit + skip);
            }
            bit = next;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_unset_agrees_with_a_plain_search() {
        let mut bitmap = Bitmap::new(200);
        for bit in [0, 1, 2, 63, 64, 65, 127, 128, 199].into_iter().chain(70..120) {
            assert!(bitmap.insert(bit));
            assert!(!bitmap.insert(bit));
        }
        for from in 0..200 {
            for end in [from, 64, 100, 128, 200] {
                let plain = (from..end).find(|bit| !bitmap.contains(*bit));
                assert_eq!(bitmap.first_unset(from, end), plain, "{from}..{end}");
            }
        }
        bitmap.clear(200);
        assert_eq!(bitmap.first_unset(0, 200), Some(0));
    }
}
