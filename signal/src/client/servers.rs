//! At which of its servers a client is, and when it goes to the next.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

/// How long a server that was lost may be away before the next is tried, and up to as much more at random: a client of a server that
/// dies is not back at another in step with all others.
const AWAY: Duration = Duration::from_millis(500);
/// How long a server may take until it has let the client in, where there are others; twice as long in each further round, up to the longest.
const FIRST_ROUND: Duration = Duration::from_secs(2);
const LONGEST_ROUND: Duration = Duration::from_secs(15);

/// How it ended at the server that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was no connection.
    Unreachable,
    /// There was none, or it ended, because the server does not want the client or its stream, or is not known to be the right one.
    Refused,
    /// There was one for a while.
    Lost,
    /// There was one, on which the server has not said for so long what it was to say that waiting for it helps nobody.
    Silent,
    /// There was one that held for no time.
    Dropped,
    /// The server says to go elsewhere.
    Moved,
    /// It does not want the client, and is out of the list from now on.
    Forgotten,
}

/// The servers of a list, by their places in it: those that the client was given take turns, and between any two rounds of them one that it was told of.
#[derive(Debug)]
pub(super) struct Servers {
    /// So many of the list, from its beginning.
    given: usize,
    /// Those behind them.
    told: usize,
    current: usize,
    /// Of those, the one whose turn is next.
    next_told: usize,
    backoff: Backoff,
    /// Tried in vain since the last connection that held.
    failures: u32,
    was_refused: bool,
    /// Until when the current one is waited for, which was lost.
    leave_at: Option<Instant>,
}

impl Servers {
    /// So many that the client was given, at least one.
    pub(super) fn new(given: usize) -> Self {
        let backoff = Backoff::default();
        Self { given, told: 0, current: 0, next_told: 0, backoff, failures: 0, was_refused: false, leave_at: None }
    }

    fn is_alone(&self) -> bool {
        self.given + self.told == 1
    }

    /// How many attempts one round is.
    fn round(&self) -> u32 {
        u32::try_from(self.given + usize::from(self.told > 0)).unwrap_or(u32::MAX)
    }

    /// The one to try.
    pub(super) fn current(&self) -> usize {
        self.current
    }

    /// Attempts since the last connection that held.
    pub(super) fn attempts(&self) -> u32 {
        self.backoff.attempts()
    }

    /// Until when the current one may take to let the client in; `None` where there is no other.
    pub(super) fn give_up_at(&self, now: Instant) -> Option<Instant> {
        if self.is_alone() {
            return None;
        }
        let round = self.failures / self.round();
        let longest = FIRST_ROUND.saturating_mul(2_u32.saturating_pow(round)).min(LONGEST_ROUND);
        Some(self.leave_at.unwrap_or(now + longest))
    }

    /// The list has changed: so many with those that the client was given, and the one that was tried last is here.
    pub(super) fn take_over(&mut self, count: usize, current: usize) {
        (self.told, self.current) = (count.saturating_sub(self.given), current);
    }

    /// The connection that has ended had held, however it ended.
    pub(super) fn has_held(&mut self) {
        self.backoff.reset();
        (self.failures, self.was_refused, self.leave_at) = (0, false, None);
    }

    /// It ended so: how long to wait before the next attempt. `random` is uniform in 0 to 1.
    pub(super) fn next(&mut self, outcome: Outcome, now: Instant, random: f64) -> Duration {
        if matches!(outcome, Outcome::Lost | Outcome::Silent | Outcome::Moved) {
            self.has_held();
        }
        if self.is_alone() {
            return self.backoff.next(outcome == Outcome::Refused, random);
        }
        let jitter = AWAY.mul_f64(random.clamp(0.0, 1.0));
        match outcome {
            Outcome::Lost => {
                self.leave_at = Some(now + AWAY + jitter);
                return self.backoff.next(false, random);
            }
            Outcome::Silent | Outcome::Moved => {
                self.go_on();
                return jitter;
            }
            Outcome::Unreachable | Outcome::Dropped | Outcome::Refused | Outcome::Forgotten => {}
        }
        // It was lost, and may be back: tried again, unless that is too late then.
        if let Some(leave_at) = self.leave_at.filter(|_| outcome == Outcome::Unreachable) {
            let in_ = self.backoff.next(false, random);
            if now + in_ < leave_at {
                return in_;
            }
        }
        if self.leave_at.take().is_some() {
            // The wait for it was no round.
            self.backoff.reset();
        }
        if outcome == Outcome::Forgotten {
            // The next has its place, and the others are asked as if it had never been there.
            self.told = self.told.saturating_sub(1);
            (self.next_told, self.current) = (self.current.saturating_sub(self.given), 0);
        } else {
            self.was_refused |= outcome == Outcome::Refused;
            self.failures = self.failures.saturating_add(1);
            self.go_on();
        }
        let is_round_over = self.failures.is_multiple_of(self.round());
        let in_ = if is_round_over { self.backoff.next(self.was_refused, random) } else { Duration::ZERO };
        self.was_refused &= !is_round_over;
        in_
    }

    fn go_on(&mut self) {
        self.current = if self.current >= self.given {
            self.next_told = self.current - self.given + 1;
            0
        } else if self.current + 1 < self.given {
            self.current + 1
        } else {
            self.next_told.checked_rem(self.told).map_or(0, |next| self.given + next)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn one_server_alone_is_tried_again_and_again() {
        let (mut servers, now) = (Servers::new(1), Instant::now());
        let mut waits = |outcome| servers.next(outcome, now, 0.0);
        assert_eq!([Outcome::Unreachable; 4].map(&mut waits), [100, 200, 400, 400].map(millis));
        assert_eq!([Outcome::Lost, Outcome::Unreachable].map(&mut waits), [100, 200].map(millis));
        assert_eq!([Outcome::Refused; 4].map(&mut waits), [400, 800, 1600, 2000].map(millis));
        assert_eq!((servers.current(), servers.give_up_at(now)), (0, None));
    }

    #[test]
    fn a_server_that_is_lost_is_waited_for_and_left_within_a_second() {
        for (random, away) in [(0.0, 500), (1.0, 1000)] {
            let (mut servers, begun) = (Servers::new(3), Instant::now());
            let mut now = begun;
            let mut next = servers.next(Outcome::Lost, now, random);
            while servers.current() == 0 {
                now += next;
                assert!(servers.give_up_at(now).unwrap() <= begun + millis(away));
                next = servers.next(Outcome::Unreachable, now, random);
            }
            assert_eq!((servers.current(), next), (1, Duration::ZERO));
            assert!(now <= begun + millis(away), "{:?}", now - begun);
        }
    }

    #[test]
    fn a_server_that_is_silent_or_says_to_go_is_not_waited_for() {
        for outcome in [Outcome::Silent, Outcome::Moved] {
            let (mut servers, now) = (Servers::new(2), Instant::now());
            assert_eq!(servers.next(outcome, now, 0.5), millis(250));
            assert_eq!(servers.current(), 1);
            assert_eq!(servers.next(outcome, now, 0.0), Duration::ZERO);
            assert_eq!(servers.current(), 0, "the first comes after the last");
        }
    }

    #[test]
    fn dead_servers_are_passed_over_at_once_and_all_of_them_are_asked_again_with_growing_waits() {
        let (mut servers, now) = (Servers::new(3), Instant::now());
        let mut tried = Vec::new();
        for _ in 0..9 {
            let at = servers.current();
            tried.push((at, servers.next(Outcome::Unreachable, now, 0.0).as_millis()));
        }
        let round = |wait| [(0, 0), (1, 0), (2, wait)];
        assert_eq!(tried, [round(100), round(200), round(400)].concat());
    }

    #[test]
    fn where_one_of_them_refuses_all_are_asked_less_often() {
        let (mut servers, now) = (Servers::new(2), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..6 {
            servers.next(Outcome::Refused, now, 0.0);
            waits.push(servers.next(Outcome::Unreachable, now, 0.0).as_millis());
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000]);
    }

    #[test]
    fn a_slow_server_gets_more_time_in_each_round_and_a_connection_that_held_starts_it_over() {
        let (mut servers, now) = (Servers::new(2), Instant::now());
        let mut patience = Vec::new();
        for _ in 0..5 {
            patience.push((servers.give_up_at(now).unwrap() - now).as_secs());
            servers.next(Outcome::Unreachable, now, 0.0);
            servers.next(Outcome::Dropped, now, 0.0);
        }
        assert_eq!(patience, [2, 4, 8, 15, 15]);
        servers.next(Outcome::Moved, now, 0.0);
        assert_eq!(servers.give_up_at(now).unwrap() - now, FIRST_ROUND);
    }

    #[test]
    fn one_that_is_forgotten_makes_room_for_the_next_and_nobody_is_asked_less_often_for_it() {
        let (mut servers, now) = (Servers::new(1), Instant::now());
        servers.take_over(3, 0);
        servers.next(Outcome::Unreachable, now, 0.0);
        assert_eq!(servers.current(), 1);
        assert_eq!((servers.next(Outcome::Forgotten, now, 0.0), servers.current()), (Duration::ZERO, 0));
        assert_eq!((servers.next(Outcome::Unreachable, now, 0.0), servers.current()), (millis(100), 1));
        assert_eq!((servers.next(Outcome::Forgotten, now, 0.0), servers.current()), (millis(200), 0));
        // It is alone again.
        assert_eq!([(); 3].map(|()| servers.next(Outcome::Unreachable, now, 0.0)), [400; 3].map(millis));
        assert_eq!((servers.current(), servers.give_up_at(now)), (0, None));
    }

    #[test]
    fn those_that_were_given_are_asked_between_any_two_that_were_told_of() {
        let (mut servers, now) = (Servers::new(2), Instant::now());
        servers.take_over(5, 0);
        let mut turns = Vec::new();
        for _ in 0..11 {
            turns.push(servers.current());
            servers.next(Outcome::Unreachable, now, 0.0);
        }
        assert_eq!(turns, [0, 1, 2, 0, 1, 3, 0, 1, 4, 0, 1]);
    }

    #[test]
    fn a_list_that_changes_is_gone_through_from_where_the_client_was() {
        let (mut servers, now) = (Servers::new(1), Instant::now());
        servers.take_over(3, 0);
        servers.next(Outcome::Moved, now, 0.0);
        assert_eq!(servers.current(), 1);
        // Where it is now stands elsewhere in the new list.
        servers.take_over(2, 1);
        servers.next(Outcome::Silent, now, 0.0);
        assert_eq!(servers.current(), 0);
        servers.take_over(1, 0);
        assert_eq!(servers.next(Outcome::Lost, now, 0.0), millis(100));
    }

    #[test]
    fn one_that_refuses_what_it_had_granted_begins_a_round_of_its_own() {
        let (mut servers, now) = (Servers::new(2), Instant::now());
        // The first is dead, the second lets the client in, and much later it refuses what it has.
        servers.next(Outcome::Unreachable, now, 0.0);
        servers.has_held();
        assert_eq!(servers.next(Outcome::Refused, now, 0.0), Duration::ZERO, "the other is asked at once");
        assert_eq!((servers.current(), servers.next(Outcome::Unreachable, now, 0.0)), (0, millis(100)));
    }
}
