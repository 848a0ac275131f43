//! Frames that got no slot: each is counted once, at its first slice, and not begun afterwards.

use crate::rising::Rising;

/// Frames below the newest one passed over that are still told apart.
const REMEMBERED: u64 = u64::BITS as u64;

/// The frames that were passed over. It goes on over epochs: a frame that is sent again has had its fate.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PassedOver {
    /// One more than the newest of them.
    below: Rising,
    /// Bit *i* is set where the frame `below` - 1 - *i* is one of them.
    newest: u64,
}

impl PassedOver {
    /// Whether a newer frame, or this one, was passed over: it is not begun any more.
    pub(super) const fn is_before(&self, number: u64) -> bool {
        number < self.below.value()
    }

    /// Passes a frame over. True where that is news.
    pub(super) fn add(&mut self, number: u64) -> bool {
        let before = self.below.value();
        if self.below.raise(number.saturating_add(1)) {
            let shift = self.below.value() - before;
            self.newest = if shift < REMEMBERED { self.newest << shift | 1 } else { 1 };
            return true;
        }
        let age = before - 1 - number;
        let is_news = age < REMEMBERED && self.newest >> age & 1 == 0;
        if is_news {
            self.newest |= 1 << age;
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_frame_is_news_once() {
        let mut passed_over = PassedOver::default();
        for number in [5, 4, 7, 6, 70, 71, 0] {
            assert_eq!(passed_over.add(number), number != 0, "{number}");
            assert!(!passed_over.add(number), "{number}");
        }
        assert!(passed_over.is_before(71) && !passed_over.is_before(72));
        assert!(passed_over.add(u64::MAX - 1) && !passed_over.add(u64::MAX - 1));
    }
}
