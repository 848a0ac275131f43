//! As what a stream is opened that goes from server to server: its newest place has its name.

use std::time::SystemTime;

/// At which of its servers a client has asked for its stream last, and as what.
#[derive(Debug, Default)]
pub(super) struct Incarnation {
    last: Option<(usize, u64)>,
}

impl Incarnation {
    /// What to say at the server of this id: as the program has it, until the stream goes elsewhere; then `now`, in nanoseconds of UTC since
    /// 1970, and always more than before. Nothing where the program says nothing.
    pub(super) fn at(&mut self, server: usize, of_program: Option<u64>, now: u64) -> Option<u64> {
        let said = match self.last {
            Some((last, said)) if last == server => said,
            Some((_, said)) => now.max(said.saturating_add(1)),
            None => of_program?,
        };
        self.last = Some((server, said));
        Some(said)
    }
}

/// Of a clock that stands before 1970, nothing.
pub(super) fn utc_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_newer_at_each_server_that_it_goes_to_and_the_same_where_it_comes_back() {
        let mut incarnation = Incarnation::default();
        let mut at = |server, now| incarnation.at(server, Some(100), now);
        assert_eq!([at(0, 500), at(0, 600)], [Some(100); 2], "it has not moved");
        assert_eq!([at(1, 700), at(1, 800)], [Some(700); 2]);
        assert_eq!(at(0, 900), Some(900));
        // A clock that was set back makes nothing older.
        assert_eq!([at(2, 50), at(1, 50)], [Some(901), Some(902)]);
    }

    #[test]
    fn a_program_that_says_nothing_of_it_has_none_anywhere() {
        let mut incarnation = Incarnation::default();
        assert_eq!([0, 1, 0].map(|server| incarnation.at(server, None, 700)), [None; 3]);
    }
}
