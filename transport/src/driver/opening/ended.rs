//! Streams that have ended lately, so that what is left of their openings opens nothing.

use std::collections::VecDeque;
use std::time::Duration;

use super::OpeningId;
use crate::time::Time;

/// An opening that was repeated before its answer came may wait in the listening socket this long, while the stream that it
/// opened has come and gone. A sender that means to open the stream again has a new epoch, or repeats itself beyond this.
const REPETITION_MAX: Duration = Duration::from_secs(1);
/// Streams whose end is remembered.
const ENDED_MAX: usize = 256;

/// Openings of streams that have ended lately.
#[derive(Debug, Default)]
pub(in crate::driver) struct Ended {
    openings: VecDeque<(OpeningId, Time)>,
}

impl Ended {
    pub(in crate::driver) fn note(&mut self, opening: OpeningId, now: Time) {
        if self.openings.len() == ENDED_MAX {
            self.openings.pop_front();
        }
        self.openings.push_back((opening, now));
    }

    /// Whether a stream has ended a moment ago: its sender may not know.
    pub(in crate::driver) fn is_recent(&self, stream: u32, now: Time) -> bool {
        self.openings.iter().any(|(ended, at)| ended.stream == stream && now.since(*at) < REPETITION_MAX)
    }

    /// Whether the opening is a repetition of one whose stream is over.
    pub(in crate::driver) fn is_repetition(&self, opening: OpeningId, now: Time) -> bool {
        self.openings.iter().any(|(ended, at)| *ended == opening && now.since(*at) < REPETITION_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_opening_of_a_stream_that_is_over_is_known_for_a_while_and_a_new_epoch_is_not_one() {
        let (peer, local) = ("10.0.0.1:5".parse().unwrap(), "10.0.0.9:5".parse().unwrap());
        let opening = OpeningId { stream: 3, epoch: 7, peer, local };
        let now = Time::from_nanos(7);
        let mut ended = Ended::default();
        assert!(!ended.is_repetition(opening, now));
        ended.note(opening, now);
        assert!(ended.is_repetition(opening, now + REPETITION_MAX / 2));
        assert!(!ended.is_repetition(opening, now + REPETITION_MAX));
        for other in [
            OpeningId { stream: 4, ..opening },
            OpeningId { epoch: 8, ..opening },
            OpeningId { peer: "10.0.0.1:6".parse().unwrap(), ..opening },
            OpeningId { local: "10.0.0.8:5".parse().unwrap(), ..opening },
        ] {
            assert!(!ended.is_repetition(other, now));
        }
        for _ in 0..2 * ENDED_MAX {
            ended.note(OpeningId { stream: 4, ..opening }, now);
        }
        assert!(ended.openings.len() <= ENDED_MAX);
    }
}
