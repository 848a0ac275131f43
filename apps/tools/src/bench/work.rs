//! What a program does with a frame: one loop that makes it, one that reads it, the same for each contender that is measured with both.

use super::stamp::Stamp;

/// Spreads the numbers of frames, which follow each other, over the whole word.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
const WORD: usize = 8;

/// Writes every byte of a frame behind its stamp, differently for each number.
#[inline(never)]
pub(super) fn make(frame: &mut [u8], number: u64) {
    let seed = number.wrapping_mul(SPREAD);
    let (words, rest) = frame[Stamp::LEN..].as_chunks_mut::<WORD>();
    for (at, word) in words.iter_mut().enumerate() {
        *word = seed.wrapping_add(at as u64).to_le_bytes();
    }
    rest.fill(seed as u8);
}

/// Reads every byte of a frame behind its stamp; returns their sum.
#[inline(never)]
pub(super) fn read(frame: &[u8]) -> u64 {
    let (words, rest) = frame[Stamp::LEN..].as_chunks::<WORD>();
    let sum = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

/// What [`read`] returns for a frame of so many bytes that was made with this number: that it does is how a frame is known to be
/// whole, and why neither loop can be left out by the compiler.
pub(super) fn sum(frame_bytes: usize, number: u64) -> u64 {
    let bytes = (frame_bytes - Stamp::LEN) as u64;
    let (words, rest) = (bytes / WORD as u64, bytes % WORD as u64);
    let seed = number.wrapping_mul(SPREAD);
    let counted = words.wrapping_mul(words.wrapping_sub(1)) / 2;
    words.wrapping_mul(seed).wrapping_add(counted).wrapping_add(rest * (seed & 0xff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_as_it_was_made_and_as_no_other() {
        for len in [16, 17, 24, 31, 4_096, 65_533] {
            for number in [0, 1, 59, u64::MAX >> 4] {
                let mut frame = vec![0xff; len];
                make(&mut frame, number);
                assert_eq!(read(&frame), sum(len, number), "{len} bytes, frame {number}");
                assert_eq!(frame[..Stamp::LEN], [0xff; Stamp::LEN]);
                for at in [Stamp::LEN, len - 1] {
                    if (Stamp::LEN..len).contains(&at) {
                        frame[at] ^= 1;
                        assert_ne!(read(&frame), sum(len, number), "byte {at} of {len}, frame {number}");
                        frame[at] ^= 1;
                    }
                }
            }
        }
        assert_ne!(sum(4_096, 1), sum(4_096, 2));
    }
}
