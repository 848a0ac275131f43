//! A count that grows, said now and then.

use std::time::{Duration, Instant};

/// How often it is said at most.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// When it is worth saying again that a count has grown: peers could make it grow as fast as they like.
#[derive(Debug, Default)]
pub struct News {
    count: u64,
    said: Option<Instant>,
}

impl News {
    /// The count, where it is news.
    pub fn of(&mut self, count: u64, now: Instant) -> Option<u64> {
        let due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= SAID_EVERY);
        (count > self.count && due).then(|| {
            (self.count, self.said) = (count, Some(now));
            count
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_is_said_at_once_and_then_only_now_and_then() {
        let start = Instant::now();
        let mut news = News::default();
        assert_eq!(news.of(0, start), None);
        assert_eq!(news.of(3, start), Some(3));
        assert_eq!(news.of(90, start + Duration::from_secs(9)), None);
        assert_eq!(news.of(91, start + Duration::from_secs(10)), Some(91));
        assert_eq!(news.of(91, start + Duration::from_secs(99)), None);
    }
}
