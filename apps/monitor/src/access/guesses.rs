//! How often somebody may guess.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use framewire_process::lock::lock;
use framewire_signal::Neighbour;

/// Wrong ones of one address within [`WINDOW`]; more are not looked at.
const WRONG_MAX: u32 = 5;
const WINDOW: Duration = Duration::from_secs(1);
/// Addresses that have guessed within the last second and are remembered; beyond, nobody's guess is looked at.
const ADDRESSES_MAX: usize = 4_096;

/// What became of a guess.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// It was not looked at.
    TooMany,
}

/// Wrong guesses of late.
#[derive(Default)]
pub(super) struct Guesses {
    wrong: Mutex<HashMap<Neighbour, (Instant, u32)>>,
}

impl Guesses {
    pub(super) fn judge(&self, from: Neighbour, now: Instant, is_right: impl FnOnce() -> bool) -> Verdict {
        let mut wrong = lock(&self.wrong);
        let is_past = |begun: Instant| now.saturating_duration_since(begun) >= WINDOW;
        let (begun, count) = wrong.get(&from).copied().filter(|(begun, _)| !is_past(*begun)).unwrap_or((now, 0));
        if count >= WRONG_MAX {
            return Verdict::TooMany;
        }
        if wrong.len() >= ADDRESSES_MAX && !wrong.contains_key(&from) {
            wrong.retain(|_, (begun, _)| !is_past(*begun));
            if wrong.len() >= ADDRESSES_MAX {
                return Verdict::TooMany;
            }
        }
        if is_right() {
            return Verdict::Right;
        }
        wrong.insert(from, (begun, count + 1));
        Verdict::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn from(host: u16) -> Neighbour {
        let [high, low] = host.to_be_bytes();
        IpAddr::from([10, 0, high, low]).into()
    }

    #[test]
    fn an_address_guesses_five_times_a_second_and_another_is_none_the_worse() {
        let (guesses, start) = (Guesses::default(), Instant::now());
        let judge =
            |is_right, host, after_ms| guesses.judge(from(host), start + Duration::from_millis(after_ms), || is_right);
        for guess in 0..5 {
            assert_eq!(judge(false, 1, guess), Verdict::Wrong);
        }
        assert_eq!(judge(true, 1, 999), Verdict::TooMany, "not looked at, so that it tells nothing");
        assert_eq!(judge(true, 2, 999), Verdict::Right);
        assert_eq!(judge(true, 1, 1_000), Verdict::Right);
    }

    #[test]
    fn guesses_of_many_addresses_stay_bounded() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for host in 0..ADDRESSES_MAX as u16 {
            assert_eq!(guesses.judge(from(host), now, || false), Verdict::Wrong);
        }
        let beyond = |after| guesses.judge(from(9_999), now + after, || false);
        assert_eq!((beyond(Duration::ZERO), beyond(WINDOW)), (Verdict::TooMany, Verdict::Wrong));
        assert_eq!(guesses.wrong.lock().unwrap().len(), 1);
    }
}
