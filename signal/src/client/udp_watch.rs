//! Whether datagrams pass between a client and a server that answers on Socket.IO.

use std::time::{Duration, Instant};

/// How long a stream may take to open before people are told.
const OPEN_PATIENCE: Duration = Duration::from_secs(3);
/// A server that is there says something each quarter of a second.
const HEARD_LATELY: Duration = Duration::from_secs(1);

/// Judges whether a stream does not open though its server is heard on Socket.IO all the while, so that what is between the two drops datagrams: of who
/// sends, the server's answers do not come; of who watches, nothing of the stream does.
#[derive(Debug, Default)]
pub struct UdpWatch {
    /// Since when the stream has not been open and the server has been heard.
    since: Option<Instant>,
    told: bool,
}

impl UdpWatch {
    /// The stream is open, or has come.
    pub fn is_open(&mut self) {
        *self = Self::default();
    }

    /// The stream is not open, and is waited for; the server was heard last at `heard` ([`SignalClient::last_heard`](crate::SignalClient::last_heard)), or is
    /// not asked for it now. True where people are to be told: 3 s after it was first so, once until it is open.
    pub fn is_unopened(&mut self, heard: Option<Instant>, now: Instant) -> bool {
        if heard.is_none_or(|heard| now.saturating_duration_since(heard) > HEARD_LATELY) {
            // It has gone, or has not been heard since this machine slept: that is no matter of UDP.
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let is_due = !self.told && now.saturating_duration_since(since) > OPEN_PATIENCE;
        self.told |= is_due;
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_answers_on_socket_io_alone_is_told_of_once_and_one_that_has_gone_is_not() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        // How often it is told in ten seconds of a closed stream, where the server is heard until then.
        let told = |watch: &mut UdpWatch, from: u64, heard_until: u64| {
            let looks = (from..from + 10_000).step_by(125);
            looks.filter(|millis| watch.is_unopened(Some(at((*millis).min(heard_until))), at(*millis))).count()
        };
        let mut watch = UdpWatch::default();
        assert_eq!(told(&mut watch, 0, u64::MAX), 1);
        assert_eq!(told(&mut watch, 10_000, u64::MAX), 0, "it has been told");
        watch.is_open();
        assert_eq!(told(&mut watch, 20_000, u64::MAX), 1, "it is told again of another time");
        // Killed at once, and a second and two after the stream had closed.
        for heard_until in [0, 1_000, 1_900] {
            assert_eq!(told(&mut UdpWatch::default(), 0, heard_until), 0, "{heard_until}");
        }
        let mut watch = UdpWatch::default();
        assert!(!(0..100).any(|millis| watch.is_unopened(None, at(millis * 125))));
        // It is back: UDP gets its time from then on.
        assert_eq!((1..24).filter(|look| watch.is_unopened(Some(at(look * 125)), at(look * 125))).count(), 0);
    }
}
