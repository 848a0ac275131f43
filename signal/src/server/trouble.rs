//! What lasts, and is said when it begins, now and then while it goes on, and when it is over.

use std::time::Duration;

use tokio::time::Instant;

/// How often what goes on is said.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// How long after it was said what has been over meanwhile is said to have begun again.
const BEGINS_EVERY: Duration = Duration::from_secs(10);

/// Something that is tried again and again, and whether its failing is news.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Since it was said last.
    times: u64,
    said: Option<Instant>,
    /// It was said to have begun, and not that it is over.
    goes_on: bool,
}

impl Trouble {
    /// How often it has failed since that was said, where it is to be said now.
    pub(super) fn failed(&mut self, now: Instant) -> Option<u64> {
        self.times = self.times.saturating_add(1);
        let wait = if self.goes_on { SAID_EVERY } else { BEGINS_EVERY };
        self.said.is_none_or(|said| now.saturating_duration_since(said) >= wait).then(|| {
            (self.said, self.goes_on) = (Some(now), true);
            std::mem::take(&mut self.times)
        })
    }

    /// That it went well; whether it is to be said that the trouble is over.
    pub(super) fn passed(&mut self) -> bool {
        std::mem::take(&mut self.goes_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_ten_times_a_second_for_an_hour_is_said_when_it_begins_once_a_minute_and_when_it_is_over() {
        let (start, mut trouble) = (Instant::now(), Trouble::default());
        let said: Vec<u64> =
            (0..36_000).filter_map(|tenth| trouble.failed(start + Duration::from_millis(100 * tenth))).collect();
        assert_eq!(said.len(), 60);
        assert_eq!((said[0], said[1], said[59]), (1, 600, 600));
        assert!(trouble.passed() && !trouble.passed());
    }

    #[test]
    fn what_comes_and_goes_is_said_to_begin_and_to_be_over_once_in_a_while() {
        let (start, mut trouble) = (Instant::now(), Trouble::default());
        let (mut began, mut over) = (Vec::new(), 0);
        for tenth in 0..300 {
            began.extend(trouble.failed(start + Duration::from_millis(100 * tenth)));
            over += usize::from(trouble.passed());
        }
        assert_eq!((began, over), (vec![1, 100, 100], 3));
    }
}
