//! Whether the path carries datagrams as large as a slice: one of that size must have arrived before slices are sent.
//!
//! What asks for an answer (an opening, a ping) is sent padded to the slice's size and bare in turn, and an answer tells how
//! long the datagram was that it answers. Where bare ones are answered time and again and padded ones never, the path drops
//! what is so large, and says nothing of it.

use crate::wire::SLICE_BYTES_MIN;

/// Padded datagrams that must vanish, with bare ones answered after each, before the path counts as too narrow for them. On
/// a path that loses a tenth of everything at random, that happens once in 800 openings.
const LOST_MAX: u32 = 4;
/// The same where there is no smaller size to go on with, and the stream fails.
const LOST_MAX_AT_LAST: u32 = 40;
/// Sizes to try in turn, header included: Ethernet with large frames, Ethernet, a tunnel through it, the least of IPv6 and of
/// IPv4; each less the headers in front of a slice.
const LADDER: [u16; 5] = [8_952, 1_452, 1_372, 1_232, SLICE_BYTES_MIN as u16];

/// The next smaller slice size to try, header included; `None` where every path carries these already.
pub(super) fn next_lower(slice_bytes: u16) -> Option<u16> {
    LADDER.into_iter().find(|lower| *lower < slice_bytes)
}

/// What is known of one size.
#[derive(Debug)]
pub(super) struct PathProbe {
    slice_bytes: u16,
    is_proven: bool,
    /// A padded datagram was sent and has not been answered.
    is_outstanding: bool,
    lost: u32,
    lost_max: u32,
    next_is_padded: bool,
}

impl PathProbe {
    /// `has_lower` tells whether there is a smaller size to go on with.
    pub(super) fn new(slice_bytes: u16, has_lower: bool) -> Self {
        let lost_max = if has_lower { LOST_MAX } else { LOST_MAX_AT_LAST };
        let is_proven = usize::from(slice_bytes) <= SLICE_BYTES_MIN;
        Self { slice_bytes, is_proven, is_outstanding: false, lost: 0, lost_max, next_is_padded: true }
    }

    /// Whether a datagram of this size has arrived.
    pub(super) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Asks for new proof, unless that is being done.
    pub(super) fn doubt(&mut self) {
        if self.is_proven {
            self.is_proven = usize::from(self.slice_bytes) <= SLICE_BYTES_MIN;
            (self.is_outstanding, self.lost, self.next_is_padded) = (false, 0, true);
        }
    }

    /// The length to send the next datagram with, which has `len` bytes of fields and asks for an answer.
    pub(super) fn pad(&mut self, len: usize) -> usize {
        let is_padded = !self.is_proven && self.next_is_padded;
        self.next_is_padded = !is_padded;
        if !is_padded {
            return len;
        }
        self.is_outstanding = true;
        len.max(usize::from(self.slice_bytes))
    }

    /// The last datagram did not leave: it says nothing of the path.
    pub(super) fn handle_not_sent(&mut self) {
        self.is_outstanding = false;
    }

    /// Takes in an answer to a datagram of `path_bytes`; 0 where it answers none. True where the path is too narrow.
    pub(super) fn hear(&mut self, path_bytes: u16) -> bool {
        if path_bytes >= self.slice_bytes {
            self.is_proven = true;
        } else if !self.is_proven && path_bytes > 0 && std::mem::take(&mut self.is_outstanding) {
            self.lost += 1;
            self.next_is_padded = true;
        }
        !self.is_proven && self.lost >= self.lost_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_proven_by_an_answer_and_given_up_after_four_that_had_none() {
        let mut probe = PathProbe::new(9_000, true);
        for lost in 1..=LOST_MAX {
            assert_eq!((probe.pad(60), probe.pad(60)), (9_000, 60));
            assert!(!probe.hear(0));
            assert_eq!(probe.hear(60), lost == LOST_MAX);
            // The same answer twice says nothing new.
            assert_eq!(probe.hear(60), lost == LOST_MAX);
        }
        let mut probe = PathProbe::new(9_000, true);
        assert_eq!(probe.pad(60), 9_000);
        assert!(!probe.hear(9_000) && probe.is_proven());
        assert_eq!((probe.pad(60), probe.pad(60)), (60, 60));
        probe.doubt();
        assert!(!probe.is_proven() && probe.pad(60) == 9_000);
    }

    #[test]
    fn what_did_not_leave_is_not_missed() {
        let mut probe = PathProbe::new(9_000, true);
        for _ in 0..2 * LOST_MAX {
            assert_eq!(probe.pad(60), 9_000);
            probe.handle_not_sent();
            assert_eq!(probe.pad(60), 60);
            assert!(!probe.hear(60));
        }
    }

    #[test]
    fn every_size_has_a_smaller_one_down_to_what_every_path_carries() {
        let mut sizes = vec![65_507];
        while let Some(lower) = next_lower(sizes[sizes.len() - 1]) {
            sizes.push(lower);
        }
        assert_eq!(sizes, [65_507, 8_952, 1_452, 1_372, 1_232, 548]);
        assert!(PathProbe::new(548, false).is_proven());
    }
}
