//! Waiting for what threads and processes of their own bring about, and say to nobody.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

/// What is to come has come by then on any machine, however much else it has to do.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Often enough for whoever waits, and seldom enough for who is waited for, which may have this core.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Looks until what is waited for, which `what` names, is there, and returns it. What `look` finds in its place is told where it never comes.
///
/// # Panics
/// It has not come within [`PATIENCE`].
#[track_caller]
pub fn wait_for<T, E: Display>(what: impl Display, look: impl FnMut() -> Result<T, E>) -> T {
    wait_as_long_as(PATIENCE, what, look)
}

/// Looks until that is so which `what` says.
///
/// # Panics
/// It is not so within [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: impl Display, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()).ok_or("it is not so"));
}

#[track_caller]
fn wait_as_long_as<T, E: Display>(patience: Duration, what: impl Display, mut look: impl FnMut() -> Result<T, E>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => assert!(begun.elapsed() < patience, "waited {patience:?} for this: {what}; {instead}"),
        }
        thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_returned_and_looked_for_no_more() {
        let mut looks = 0..;
        let mut look = || looks.next().filter(|look| *look >= 3).ok_or("too early");
        assert_eq!(wait_for("the third look", &mut look), 3);
        assert_eq!(look(), Ok(4));
        let mut looks = 0..3;
        wait_until("no look is left", || looks.next().is_none());
    }

    #[test]
    #[should_panic(expected = "waited 0ns for this: a frame; 2 slots are free")]
    fn what_never_comes_is_named_with_what_there_is_instead() {
        wait_as_long_as(Duration::ZERO, "a frame", || Err::<(), _>("2 slots are free"));
    }
}
