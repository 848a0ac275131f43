//! How many streams of this machine may come to nothing: each costs the slots that are made for it. A user that opens one after the other
//! and sends nothing has to wait; one whose streams have frames, or last, never has.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::time::Time;
use crate::unpoisoned::unpoisoned;

/// Streams at once of which nobody knows yet what they come to.
const BURST: u32 = 64;
/// One more may come to nothing in such a time.
const ONE_IN: Duration = Duration::from_millis(500);
/// A stream that has been open for so long has not come to nothing, with frames or without.
pub(super) const LASTING: Duration = Duration::from_secs(1);
/// Users that are told apart; of more, whoever has done least is forgotten.
const USERS_MAX: usize = 16;

/// What users have left.
#[derive(Debug, Default)]
pub(in crate::driver) struct Churn(Mutex<[Option<Account>; USERS_MAX]>);

#[derive(Debug, Clone, Copy)]
struct Account {
    user: u32,
    left: u32,
    /// Up to when what has come back was added.
    refilled: Time,
}

/// A stream that may come to nothing. It is dropped where it has, and where its user gets it [back](Churn::give_back).
#[derive(Debug)]
pub(super) struct Attempt {
    churn: Arc<Churn>,
    user: u32,
}

impl Churn {
    fn lock(&self) -> MutexGuard<'_, [Option<Account>; USERS_MAX]> {
        unpoisoned(self.0.lock())
    }

    /// Lets one more stream of this user come, or says in what time one may.
    pub(super) fn attempt(self: &Arc<Self>, user: u32, now: Time) -> Result<Attempt, Duration> {
        let mut accounts = self.lock();
        let account = account_of(&mut accounts, user, now);
        let since = now.since(account.refilled);
        let earned = u32::try_from(since.as_nanos() / ONE_IN.as_nanos()).unwrap_or(u32::MAX);
        if earned > 0 {
            account.left = account.left.saturating_add(earned).min(BURST);
            // What has been waited for beside that counts for the next one.
            account.refilled = if account.left == BURST { now } else { account.refilled + ONE_IN * earned };
        }
        match account.left.checked_sub(1) {
            Some(left) => account.left = left,
            None => return Err(ONE_IN.saturating_sub(now.since(account.refilled))),
        }
        Ok(Attempt { churn: self.clone(), user })
    }

    /// Takes an attempt of this user's for none: the stream has come to something, or this process lacks what it needs.
    pub(super) fn give_back(&self, user: u32) {
        let mut accounts = self.lock();
        if let Some(account) = accounts.iter_mut().flatten().find(|account| account.user == user) {
            account.left = (account.left + 1).min(BURST);
        }
    }
}

fn account_of(accounts: &mut [Option<Account>; USERS_MAX], user: u32, now: Time) -> &mut Account {
    let of_user = accounts.iter().position(|account| account.is_some_and(|account| account.user == user));
    let place = of_user.unwrap_or_else(|| {
        let left = |place: &usize| accounts[*place].map_or(u32::MAX, |account| account.left);
        let place = (0..USERS_MAX).max_by_key(left).unwrap_or(0);
        accounts[place] = None;
        place
    });
    accounts[place].get_or_insert(Account { user, left: BURST, refilled: now })
}

impl Attempt {
    /// The stream has come to something.
    pub(super) fn succeed(self) {
        self.churn.give_back(self.user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_come_to_nothing_are_let_in_at_a_bounded_rate_and_all_others_at_any() {
        let churn = Arc::new(Churn::default());
        let mut now = Time::ZERO;
        for _ in 0..10_000 {
            churn.attempt(1, now).unwrap().succeed();
        }
        let let_in = |user, now| (0..10_000).take_while(|_| churn.attempt(user, now).map(drop).is_ok()).count();
        assert_eq!(let_in(1, now), BURST as usize);
        assert_eq!(churn.attempt(1, now + ONE_IN / 4).unwrap_err(), ONE_IN / 4 * 3);
        assert_eq!(let_in(2, now), BURST as usize, "another user has nothing to do with it");
        let mut more = 0;
        for _ in 0..1_000 {
            now = now + Duration::from_millis(30);
            more += let_in(1, now);
        }
        assert_eq!(more, 60, "30 s, one each half a second");
        now = now + Duration::from_secs(3_600);
        assert_eq!(let_in(1, now), BURST as usize);
    }

    #[test]
    fn of_more_users_than_are_told_apart_those_that_did_most_are_remembered() {
        let churn = Arc::new(Churn::default());
        let now = Time::ZERO;
        while churn.attempt(1, now).is_ok() {}
        for user in 2..1_000 {
            drop(churn.attempt(user, now).unwrap());
        }
        assert!(churn.attempt(1, now).is_err());
    }
}
