//! What protected streams were opened by lately, so that each opening opens once.

use std::collections::VecDeque;

use super::cookie::COOKIE_LIFE;
use crate::time::Time;

/// Openings that are remembered. None but who has a key can make more of them come.
const REMEMBERED: usize = 4_096;

/// The ephemeral keys of the openings that have opened something or gone on with it, for as long as their cookies are good: who
/// recorded one opens nothing by it, neither in another life of the stream nor after its end.
#[derive(Debug, Default)]
pub(in crate::driver) struct Ephemerals {
    known: VecDeque<([u8; 32], Time)>,
}

impl Ephemerals {
    /// Notes one that was authentic, and whose cookie was good by now.
    pub(in crate::driver) fn note(&mut self, ephemeral: &[u8; 32], now: Time) {
        while self.known.front().is_some_and(|(_, at)| is_past(*at, now)) {
            self.known.pop_front();
        }
        if self.is_known(ephemeral, now) {
            return;
        }
        if self.known.len() == REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back((*ephemeral, now));
    }

    /// Whether it has opened something.
    pub(in crate::driver) fn is_known(&self, ephemeral: &[u8; 32], now: Time) -> bool {
        self.known.iter().any(|(known, at)| known == ephemeral && !is_past(*at, now))
    }
}

fn is_past(at: Time, now: Time) -> bool {
    now.since(at) > COOKIE_LIFE
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ephemeral(number: u32) -> [u8; 32] {
        let mut ephemeral = [7; 32];
        ephemeral[..4].copy_from_slice(&number.to_le_bytes());
        ephemeral
    }

    #[test]
    fn an_opening_is_known_for_as_long_as_its_cookie_may_be_good_and_no_other_is() {
        let begin = Time::from_nanos(7);
        let mut ephemerals = Ephemerals::default();
        ephemerals.note(&ephemeral(1), begin);
        assert!(ephemerals.is_known(&ephemeral(1), begin + COOKIE_LIFE));
        assert!(!ephemerals.is_known(&ephemeral(2), begin));
        assert!(!ephemerals.is_known(&ephemeral(1), begin + COOKIE_LIFE + Duration::from_nanos(1)));
        ephemerals.note(&ephemeral(1), begin);
        ephemerals.note(&ephemeral(2), begin + COOKIE_LIFE * 2);
        assert_eq!(ephemerals.known.len(), 1, "what is past is forgotten");
    }

    #[test]
    fn however_many_open_the_memory_is_bounded_and_the_newest_are_known() {
        let mut ephemerals = Ephemerals::default();
        (0..3 * REMEMBERED as u32).for_each(|number| ephemerals.note(&ephemeral(number), Time::ZERO));
        assert_eq!(ephemerals.known.len(), REMEMBERED);
        let newest = 3 * REMEMBERED as u32 - 1;
        assert!(ephemerals.is_known(&ephemeral(newest), Time::ZERO));
        assert!(ephemerals.is_known(&ephemeral(newest + 1 - REMEMBERED as u32), Time::ZERO));
        assert!(!ephemerals.is_known(&ephemeral(0), Time::ZERO));
    }
}
