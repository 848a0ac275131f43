//! How many messages a reader may send that it was not asked for: enough for any that were on their way, and no more than the hub's thread
//! can bear.

use crate::time::Time;

/// Messages at once.
const BURST: u32 = 4_096;

/// Messages a second, for as long as one likes: several a frame at a thousand frames a second.
const PER_SECOND: u64 = 8_192;

/// What a connection may still say.
#[derive(Debug)]
pub(super) struct Patience {
    left: u32,
    /// Up to when what was earned has been added.
    refilled: Time,
}

impl Patience {
    pub(super) fn new(now: Time) -> Self {
        Self { left: BURST, refilled: now }
    }

    /// Takes in one message. False where there were too many.
    pub(super) fn bears_one_more(&mut self, now: Time) -> bool {
        const NANOS_A_MESSAGE: u64 = 1_000_000_000 / PER_SECOND;
        let nanos = u64::try_from(now.since(self.refilled).as_nanos()).unwrap_or(u64::MAX);
        if let Ok(earned @ 1..) = u32::try_from((nanos / NANOS_A_MESSAGE).min(BURST.into())) {
            self.left = self.left.saturating_add(earned).min(BURST);
            self.refilled = now;
        }
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_reader_of_two_thousand_frames_a_second_is_borne_for_ever_and_a_flood_is_not() {
        let mut now = Time::ZERO;
        let mut patience = Patience::new(now);
        for _ in 0..100_000 {
            now = now + Duration::from_micros(500);
            assert!(patience.bears_one_more(now));
        }
        let borne = (0..100_000).take_while(|_| patience.bears_one_more(now)).count();
        assert!(borne.abs_diff(BURST as usize) <= 1, "{borne}");
        now = now + Duration::from_secs(3600);
        assert_eq!((0..100_000).take_while(|_| patience.bears_one_more(now)).count(), BURST as usize);
    }
}
