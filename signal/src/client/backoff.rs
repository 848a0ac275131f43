//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// First wait, before jitter: a server that restarts is back soon, and a refused connect costs next to nothing.
const FIRST: Duration = Duration::from_millis(100);
/// Longest wait for a server that is away: a stream shall flow again within a second of the server's return.
const AWAY_MAX: Duration = Duration::from_millis(400);
/// Longest wait after the server refused: it is there, and asking sooner will hardly change its mind.
const REFUSED_MAX: Duration = Duration::from_secs(2);

/// Doubles from [`FIRST`], less up to a half at random so that clients of one server do not come back in step.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The wait before the next attempt. `random` is uniform in 0 to 1.
    pub(super) fn next(&mut self, is_refused: bool, random: f64) -> Duration {
        let longest = if is_refused { REFUSED_MAX } else { AWAY_MAX };
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(self.attempts));
        self.attempts = self.attempts.saturating_add(1);
        doubled.min(longest).mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
    }

    /// As [`next`](Self::next). Without randomness there is no jitter, which does no harm to one client.
    pub(super) fn next_at_random(&mut self, is_refused: bool) -> Duration {
        self.next(is_refused, random())
    }

    /// Attempts since the last success.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// A connection held: the next wait is the first again.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Uniform in 0 to 1.
pub(super) fn random() -> f64 {
    getrandom::u32().map_or(0.0, |random| f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(is_refused: bool, random: f64) -> Vec<u64> {
        let mut backoff = Backoff::default();
        (0..7).map(|_| backoff.next(is_refused, random).as_millis() as u64).collect()
    }

    #[test]
    fn waits_double_up_to_less_than_half_a_second_for_a_server_that_is_away() {
        assert_eq!(waits(false, 0.0), [100, 200, 400, 400, 400, 400, 400]);
    }

    #[test]
    fn waits_grow_to_two_seconds_for_a_server_that_refuses() {
        assert_eq!(waits(true, 0.0), [100, 200, 400, 800, 1600, 2000, 2000]);
    }

    #[test]
    fn jitter_takes_at_most_a_half() {
        assert_eq!(waits(false, 1.0), [50, 100, 200, 200, 200, 200, 200]);
    }

    #[test]
    fn a_success_starts_it_over_and_a_million_failures_do_not_overflow() {
        let mut backoff = Backoff { attempts: u32::MAX };
        assert_eq!(backoff.next(false, 0.0), AWAY_MAX);
        assert_eq!(backoff.attempts(), u32::MAX);
        backoff.reset();
        assert_eq!(backoff.next(false, 0.0), FIRST);
    }
}
