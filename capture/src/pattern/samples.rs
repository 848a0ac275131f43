//! How the samples of a row lie in its bytes.

/// Millimetres in a metre: depth is whole millimetres in 16 bits, and metres as floating-point numbers.
const MM_PER_METRE: f32 = 1000.0;
/// Bits that depth takes of its 16: up to 16 metres in millimetres.
const DEPTH_BITS: u32 = 14;

/// How a sample is stored. What is painted has 8 bits, and takes the upper ones of a sample's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    /// A byte.
    Byte,
    /// The `bits` of a little-endian word of 16 that begin `up` bits above its lowest.
    Word { bits: u32, up: u32 },
    /// A little-endian number of 32 bits with a floating point: metres.
    Metres,
    /// Three of 10 bits in a little-endian word of 32, the first lowest.
    V210,
    /// This many bits each, 10 or 12, one after the other, the lowest of the first byte first.
    Packed(u32),
}

/// Depth in 16 bits.
pub(super) const MILLIMETRES: Storage = Storage::Word { bits: DEPTH_BITS, up: 0 };

impl Storage {
    /// Bits of a sample that mean something.
    const fn bits(self) -> u32 {
        match self {
            Self::Byte => 8,
            Self::Word { bits, .. } | Self::Packed(bits) => bits,
            Self::Metres => DEPTH_BITS,
            Self::V210 => 10,
        }
    }

    /// Bytes that this many samples take from the beginning of a row on.
    pub(super) const fn bytes(self, samples: usize) -> usize {
        match self {
            Self::Byte => samples,
            Self::Word { .. } => samples * 2,
            Self::Metres => samples * 4,
            Self::V210 => samples.div_ceil(3) * 4,
            Self::Packed(bits) => (samples * bits as usize).div_ceil(8),
        }
    }

    /// What an 8-bit value is among a sample's bits.
    pub(super) const fn level(self, value: u8) -> u32 {
        (value as u32) << (self.bits() - 8)
    }

    /// The same with its upper bits once more in the lower ones, so that all bits of samples are in use.
    const fn fine(self, value: u8) -> u32 {
        let more = self.bits() - 8;
        self.level(value) | (value as u32) >> (8 - more)
    }

    /// Stores a sample.
    pub(super) fn store(self, row: &mut [u8], index: usize, level: u32) {
        match self {
            Self::Byte => row[index] = level as u8,
            Self::Word { up, .. } => row[index * 2..][..2].copy_from_slice(&((level << up) as u16).to_le_bytes()),
            Self::Metres => row[index * 4..][..4].copy_from_slice(&metres(level)),
            Self::V210 => {
                let (word, shift) = (&mut row[index / 3 * 4..][..4], index % 3 * 10);
                let before = u32::from_le_bytes([word[0], word[1], word[2], word[3]]) & !(0x3ff << shift);
                word.copy_from_slice(&(before | level << shift).to_le_bytes());
            }
            Self::Packed(bits) => {
                // 10 or 12 bits that begin at an even one never reach into a third byte.
                let (bytes, shift) = (&mut row[index * bits as usize / 8..][..2], index * bits as usize % 8);
                let mask = ((1_u32 << bits) - 1) << shift;
                let before = u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) & !mask;
                bytes.copy_from_slice(&((before | level << shift) as u16).to_le_bytes());
            }
        }
    }

    /// Reads a sample.
    pub(super) fn load(self, row: &[u8], index: usize) -> u32 {
        match self {
            Self::Byte => row[index].into(),
            Self::Word { up, .. } => u32::from(u16::from_le_bytes([row[index * 2], row[index * 2 + 1]]) >> up),
            Self::Metres => {
                let bytes = &row[index * 4..][..4];
                let metres = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                // What is no number or below zero becomes zero, and what is too large the largest.
                ((metres * MM_PER_METRE).round() as u32).min((1 << DEPTH_BITS) - 1)
            }
            Self::V210 => {
                let word = &row[index / 3 * 4..][..4];
                u32::from_le_bytes([word[0], word[1], word[2], word[3]]) >> (index % 3 * 10) & 0x3ff
            }
            Self::Packed(bits) => {
                let at = index * bits as usize;
                let word = u16::from_le_bytes([row[at / 8], row[at / 8 + 1]]);
                u32::from(word) >> (at % 8) & ((1 << bits) - 1)
            }
        }
    }

    /// Stores samples from the beginning of `row` on, and zeroes in what is left of the last bytes that they touch.
    pub(super) fn store_all(self, row: &mut [u8], values: &[u8]) {
        match self {
            Self::Byte => row[..values.len()].copy_from_slice(values),
            Self::Word { up, .. } => {
                for (word, value) in row.chunks_exact_mut(2).zip(values) {
                    word.copy_from_slice(&((self.fine(*value) << up) as u16).to_le_bytes());
                }
            }
            Self::Metres => {
                for (sample, value) in row.chunks_exact_mut(4).zip(values) {
                    sample.copy_from_slice(&metres(self.fine(*value)));
                }
            }
            Self::V210 => self.store_groups::<3, 4>(row, values),
            Self::Packed(12) => self.store_groups::<2, 3>(row, values),
            Self::Packed(_) => self.store_groups::<4, 5>(row, values),
        }
    }

    /// The same where `SAMPLES` of them take `BYTES` bytes, the first one the lowest bits.
    fn store_groups<const SAMPLES: usize, const BYTES: usize>(self, row: &mut [u8], values: &[u8]) {
        let bits = self.bits();
        let together = |group: &[u8]| {
            let shifted =
                group.iter().enumerate().map(|(nth, value)| u64::from(self.fine(*value)) << (nth as u32 * bits));
            shifted.fold(0, |all, sample| all | sample).to_le_bytes()
        };
        let (groups, rest) = values.as_chunks::<SAMPLES>();
        for (bytes, group) in row.chunks_exact_mut(BYTES).zip(groups) {
            bytes.copy_from_slice(&together(group)[..BYTES]);
        }
        let (from, to) = (groups.len() * BYTES, self.bytes(values.len()));
        row[from..to].copy_from_slice(&together(rest)[..to - from]);
    }
}

fn metres(millimetres: u32) -> [u8; 4] {
    (millimetres as f32 / MM_PER_METRE).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORAGES: [Storage; 9] = [
        Storage::Byte,
        Storage::Word { bits: 10, up: 0 },
        Storage::Word { bits: 10, up: 6 },
        Storage::Word { bits: 12, up: 0 },
        Storage::Word { bits: 16, up: 0 },
        MILLIMETRES,
        Storage::Metres,
        Storage::V210,
        Storage::Packed(10),
    ];

    #[test]
    fn samples_read_back_and_leave_their_neighbours_alone() {
        for storage in STORAGES.into_iter().chain([Storage::Packed(12)]) {
            let mut row = vec![0; storage.bytes(24)];
            for index in 0..24 {
                storage.store(&mut row, index, storage.level(index as u8 * 10 + 3));
            }
            // Twice, so that what was there before does not show.
            for index in (0..24).rev() {
                storage.store(&mut row, index, storage.level(index as u8 * 7 + 1));
            }
            for index in 0..24 {
                assert_eq!(storage.load(&row, index), storage.level(index as u8 * 7 + 1), "{storage:?}");
            }
        }
    }

    #[test]
    fn all_at_once_is_the_same_as_one_by_one_and_ends_in_zeroes() {
        for storage in STORAGES.into_iter().chain([Storage::Packed(12)]) {
            for count in 0..24 {
                let values: Vec<u8> = (0..count).map(|value| value * 11).collect();
                let mut row = vec![0xff; storage.bytes(values.len())];
                storage.store_all(&mut row, &values);
                let mut expected = vec![0; row.len()];
                for (index, value) in values.iter().enumerate() {
                    storage.store(&mut expected, index, storage.fine(*value));
                }
                assert_eq!(row, expected, "{count} of {storage:?}");
            }
        }
    }

    #[test]
    fn bits_lie_where_the_formats_say() {
        let stored = |storage: Storage, levels: &[u32]| {
            let mut row = vec![0; storage.bytes(levels.len())];
            for (index, level) in levels.iter().enumerate() {
                storage.store(&mut row, index, *level);
            }
            row
        };
        assert_eq!(stored(Storage::Word { bits: 10, up: 0 }, &[0x3ff, 1]), [0xff, 0x03, 1, 0]);
        assert_eq!(stored(Storage::Word { bits: 10, up: 6 }, &[0x3ff, 1]), [0xc0, 0xff, 0x40, 0]);
        assert_eq!(stored(Storage::V210, &[0x3ff, 0, 0x200]), [0xff, 0x03, 0, 0x20]);
        // The first pixel's lowest bits fill the first byte.
        assert_eq!(stored(Storage::Packed(10), &[0x3ff, 0, 0, 0x201]), [0xff, 0x03, 0, 0x40, 0x80]);
        assert_eq!(stored(Storage::Packed(12), &[0xabc, 0xdef]), [0xbc, 0xfa, 0xde]);
        assert_eq!(stored(Storage::Metres, &[1500]), 1.5_f32.to_le_bytes());
        assert_eq!(stored(MILLIMETRES, &[1500]), 1500_u16.to_le_bytes());
    }

    #[test]
    fn a_depth_that_is_no_number_is_none() {
        for (metres, level) in [(f32::NAN, 0), (-1.0, 0), (f32::INFINITY, 0x3fff), (2.0, 2000)] {
            assert_eq!(Storage::Metres.load(&metres.to_le_bytes(), 0), level);
        }
    }
}
