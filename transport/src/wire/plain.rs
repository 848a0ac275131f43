//! The original system's wire: a frame as headerless pieces, the last of them shorter than the others.
//!
//! Nothing says which frame or which piece a datagram is, so a lost, reordered or duplicated one spoils a frame; a frame
//! whose length is not the one agreed is dropped and counted. A frame whose length is a multiple of
//! [`PIECE_BYTES`] is ended by an empty datagram.

use std::ops::Range;

/// Bytes of every piece but the last.
pub const PIECE_BYTES: usize = super::DATAGRAM_MAX;

/// How many datagrams a frame takes, the ending one included.
pub const fn piece_count(frame_bytes: usize) -> usize {
    frame_bytes / PIECE_BYTES + 1
}

/// The bytes of piece `index`; empty for the piece that ends a frame of whole pieces, and beyond.
pub fn piece(frame_bytes: usize, index: usize) -> Range<usize> {
    let start = (index * PIECE_BYTES).min(frame_bytes);
    start..(start + PIECE_BYTES).min(frame_bytes)
}

/// Whether a datagram of this length ends a frame.
pub const fn ends_frame(datagram_len: usize) -> bool {
    datagram_len < PIECE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_frame_cover_it_and_only_the_last_ends_it() {
        for frame_bytes in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2_073_600, 3 * PIECE_BYTES] {
            let pieces: Vec<_> = (0..piece_count(frame_bytes)).map(|index| piece(frame_bytes, index)).collect();
            assert_eq!(pieces.iter().map(ExactSizeIterator::len).sum::<usize>(), frame_bytes);
            let ends: Vec<_> = pieces.iter().map(|piece| ends_frame(piece.len())).collect();
            assert_eq!(ends.iter().filter(|ends| **ends).count(), 1, "{frame_bytes}");
            assert!(ends.last().unwrap());
        }
    }
}
