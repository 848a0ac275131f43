//! What comes again and again, and is told now and then.

use std::time::Duration;

use crate::time::Time;

/// How often what strangers or the system's limits bring about is told of a hub: it may come with each of many tries.
#[cfg(target_os = "linux")]
pub(crate) const SELDOM: Duration = Duration::from_secs(10);

/// When something was told last, and how often it has come since.
#[derive(Debug, Default)]
pub(crate) struct Told {
    at: Option<Time>,
    untold: u64,
}

impl Told {
    /// It has come again: whether to tell, at most once in `apart`; how often it has come since it was last told, this time included.
    pub(crate) fn news(&mut self, now: Time, apart: Duration) -> Option<u64> {
        self.untold += 1;
        if self.at.is_some_and(|at| now.since(at) < apart) {
            return None;
        }
        self.at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_and_again_is_told_at_once_and_then_now_and_then_with_its_number() {
        let mut told = Told::default();
        let (begun, second) = (Time::ZERO + Duration::from_secs(5), Duration::from_secs(1));
        assert_eq!(told.news(begun, second), Some(1));
        assert!((0..1000).all(|_| told.news(begun, second).is_none()));
        assert_eq!(told.news(begun + second, second), Some(1001));
    }
}
