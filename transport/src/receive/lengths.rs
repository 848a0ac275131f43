//! How long the frames to come are likely to be, by those that came.

/// Frames whose lengths are remembered.
const REMEMBERED: usize = 4;

/// The lengths of the frames that were begun last, bytes. Those to come are expected to be as long as the longest of them: cells that
/// stay empty cost less than payloads that find none.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    bytes: [u32; REMEMBERED],
    /// Where the next one is noted.
    next: usize,
}

impl Lengths {
    pub(super) fn note(&mut self, bytes: u32) {
        self.bytes[self.next] = bytes;
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// `None` before the first frame.
    pub(super) fn expected(&self) -> Option<u32> {
        // No frame has no bytes.
        self.bytes.iter().copied().max().filter(|bytes| *bytes > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_expected_to_be_as_long_as_the_longest_of_the_last_four() {
        let mut lengths = Lengths::default();
        assert_eq!(lengths.expected(), None);
        let expected = [9, 1, 2, 3, 4, 1, 1, 1, 1].map(|bytes| {
            lengths.note(bytes);
            lengths.expected().unwrap()
        });
        assert_eq!(expected, [9, 9, 9, 9, 4, 4, 4, 4, 1]);
    }
}
