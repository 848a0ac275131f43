//! The monotonic clocks of two processes of one machine, which differ where they are in different time namespaces.

use crate::time::Time;

/// By how much the clock of whoever answered is ahead of this process's: not at all where what it showed lies between the question and the
/// answer, whatever that took; else by what is the same for ever.
pub(super) fn ahead_ns(asked: Time, there_ns: u64, answered: Time) -> i64 {
    match (asked.as_nanos()..=answered.as_nanos()).contains(&there_ns) {
        true => 0,
        false => there_ns.wrapping_sub(answered.as_nanos()).cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_is_not_taken_for_another_clock_and_another_clock_is_told() {
        let time = Time::from_nanos;
        assert_eq!(ahead_ns(time(100), 150, time(9_000_000_000)), 0);
        assert_eq!(ahead_ns(time(100), 99, time(200)), -101);
        assert_eq!(ahead_ns(time(100), 201, time(200)), 1);
        assert_eq!(ahead_ns(time(100), 7_000_000_000, time(200)), 6_999_999_800);
    }
}
