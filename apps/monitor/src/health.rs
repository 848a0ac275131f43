//! Whether the server does all that it was asked for, in words for whoever asks from outside: no path, no stream's name.

use std::fmt;

use framewire_sink::Condition;

use crate::board::Board;

/// How the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does all that it should.
    Fine,
    /// It serves, and some of what it should record it does not.
    Degraded {
        /// Sinks that fail, for a stream that is here or for the last one that was.
        failing: usize,
        /// Of so many.
        sinks: usize,
        /// Frames that all sinks have failed for so far.
        frames: u64,
    },
}

impl Health {
    /// Of the server whose streams are on `board`.
    pub fn of(board: &Board) -> Self {
        let streams = board.streams();
        let fails_a_stream = |name: &str| {
            let mut sinks = streams.iter().flat_map(|stream| &stream.sinks).filter(|sink| sink.name() == name);
            sinks.any(|sink| matches!(sink.condition(), Condition::Failed(_)))
        };
        let failing = board.sinks.iter().filter(|total| total.is_failing() || fails_a_stream(&total.sink)).count();
        if failing == 0 {
            return Self::Fine;
        }
        let frames = board.sinks.iter().map(|total| total.counts().frames_failed).sum();
        Self::Degraded { failing, sinks: board.sinks.len(), frames }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine => f.write_str("ok"),
            Self::Degraded { failing, sinks, frames } => write!(
                f,
                "degraded: recording fails at {failing} of {sinks} sinks, and {frames} frames are not recorded so far; /api/streams \
                 and the log say why"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::board::tests::about;
    use framewire_sink::{Missed, SinkTotals, StreamSink};

    #[test]
    fn a_server_is_degraded_while_a_sink_fails_and_until_it_has_written_again() {
        let totals = [SinkTotals::new("secret/a.raw"), SinkTotals::new("b.raw")];
        let board = Arc::new(Board::new(totals.to_vec()));
        assert_eq!(Health::of(&board).to_string(), "ok");
        let sinks: Vec<_> = totals.iter().map(StreamSink::new).collect();
        let entry = board.add(about(1, "cam"), sinks.clone());
        sinks[0].fail("'secret/a.raw' is full".into());
        sinks[0].add_missed(Missed::Failed, 3);
        let degraded = Health::Degraded { failing: 1, sinks: 2, frames: 3 };
        assert_eq!(Health::of(&board), degraded);
        assert!(!degraded.to_string().contains("secret"));
        // Another stream is recorded there, and this one is not.
        StreamSink::new(&totals[0]).add_frame(1);
        assert_eq!(Health::of(&board), degraded);
        sinks[0].fail("still".into());
        drop(entry);
        assert_eq!(Health::of(&board), degraded, "nobody has seen it work since");
        StreamSink::new(&totals[0]).add_frame(1);
        assert_eq!(Health::of(&board), Health::Fine);
    }
}
