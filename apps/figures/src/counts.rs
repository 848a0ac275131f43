//! What a stream has counted: one type from the transport to summaries, the page, metrics and `framewire top`.

use std::fmt;

use framewire_transport::{ReceiveStats, RejectedCounts, SourceCounts};
use serde::{Deserialize, Serialize};

/// What a stream, or several together, has counted since it began. It only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCounts {
    /// Frames complete, as whoever takes them counts.
    #[serde(default)]
    pub frames_delivered: u64,
    /// Bytes of these.
    #[serde(default)]
    pub bytes: u64,
    /// Frames that were not delivered, by cause.
    #[serde(default)]
    pub frames_dropped: FramesDropped,
    /// Of the frames delivered, those that lacked slices at first.
    #[serde(default)]
    pub frames_repaired: FramesRepaired,
    /// Of the incomplete frames, those that were handed on with what they have.
    #[serde(skip)]
    pub frames_partial: u64,
    /// Slices that landed elsewhere than predicted and were moved.
    #[serde(skip)]
    pub slices_moved: u64,
    /// Datagrams that came to nothing, by cause.
    #[serde(skip)]
    pub datagrams_dropped: DatagramsDropped,
}

impl StreamCounts {
    /// Counts a frame.
    pub fn add_frame(&mut self, bytes: usize) {
        self.frames_delivered += 1;
        self.bytes += bytes as u64;
    }

    /// Takes over what the transport has counted, and how many frames this program's own threads and sinks were too slow for.
    pub fn take_over(&mut self, stats: &ReceiveStats, source: SourceCounts, slow_consumer: u64) {
        self.frames_dropped = FramesDropped {
            skipped_at_source: source.skipped.saturating_sub(source.no_credit),
            no_credit: source.no_credit,
            lost: source.lost.max(self.frames_dropped.lost),
            incomplete: stats.frames_incomplete,
            no_slot: stats.frames_no_slot,
            slow_consumer,
        };
        self.frames_repaired = FramesRepaired { by_nack: stats.frames_repaired, by_fec: stats.frames_restored };
        self.frames_partial = stats.frames_partial;
        self.slices_moved = stats.slices_moved;
        self.datagrams_dropped = DatagramsDropped::of(stats);
    }

    /// As [`StreamCounts::take_over`], when the stream is over: what the source will not speak of any more is lost.
    pub fn take_over_last(&mut self, stats: &ReceiveStats, source: SourceCounts, slow_consumer: u64) {
        self.take_over(stats, source, slow_consumer);
        let lost = &mut self.frames_dropped.lost;
        *lost = stats.frames_unseen().saturating_sub(source.skipped).max(*lost);
    }

    /// What two streams have counted together.
    pub fn add(&mut self, other: &Self) {
        let Self {
            frames_delivered,
            bytes,
            frames_dropped,
            frames_repaired,
            frames_partial,
            slices_moved,
            datagrams_dropped,
        } = other;
        self.frames_delivered += frames_delivered;
        self.bytes = self.bytes.saturating_add(*bytes);
        self.frames_dropped.add(frames_dropped);
        self.frames_repaired.by_nack += frames_repaired.by_nack;
        self.frames_repaired.by_fec += frames_repaired.by_fec;
        self.frames_partial += frames_partial;
        self.slices_moved += slices_moved;
        self.datagrams_dropped.add(datagrams_dropped);
    }
}

/// Frames that were not delivered, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FramesDropped {
    /// Replaced by a newer one before it was sent (`latest`): the link carried an earlier one, no stream was open, or no slot was
    /// free.
    pub skipped_at_source: u64,
    /// The same, because the receiver granted no credit: it was too slow.
    pub no_credit: u64,
    /// Nothing of it arrived.
    pub lost: u64,
    /// Some of it arrived, not all in time.
    pub incomplete: u64,
    /// The receiver had no slot for it.
    pub no_slot: u64,
    /// Complete, but a consumer was too slow for it. Such a frame counts as delivered too.
    pub slow_consumer: u64,
}

impl FramesDropped {
    /// Adds those of another stream. What a sender says of itself may be any number.
    pub fn add(&mut self, other: &Self) {
        let Self { skipped_at_source, no_credit, lost, incomplete, no_slot, slow_consumer } = other;
        for (sum, more) in [
            (&mut self.skipped_at_source, skipped_at_source),
            (&mut self.no_credit, no_credit),
            (&mut self.lost, lost),
            (&mut self.incomplete, incomplete),
            (&mut self.no_slot, no_slot),
            (&mut self.slow_consumer, slow_consumer),
        ] {
            *sum = sum.saturating_add(*more);
        }
    }

    /// Each cause by name, with its frames.
    pub fn causes(&self) -> [(&'static str, u64); 6] {
        let Self { skipped_at_source, no_credit, lost, incomplete, no_slot, slow_consumer } = *self;
        [
            ("skipped_at_source", skipped_at_source),
            ("no_credit", no_credit),
            ("lost", lost),
            ("incomplete", incomplete),
            ("no_slot", no_slot),
            ("slow_consumer", slow_consumer),
        ]
    }

    /// All of them; the largest number where they are more.
    pub fn total(&self) -> u64 {
        self.causes().iter().fold(0, |sum, (_, frames)| u64::saturating_add(sum, *frames))
    }
}

/// Frames that were delivered although slices were lost; one may be in both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FramesRepaired {
    /// Slices were asked for and sent again.
    pub by_nack: u64,
    /// Slices were restored from parity.
    pub by_fec: u64,
}

/// Datagrams that came to nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatagramsDropped {
    /// The socket's buffer was full: lost in this machine, not on the wire.
    pub socket: u64,
    /// Not a datagram of this protocol, or fields that contradict each other.
    pub malformed: u64,
    /// Of another stream.
    pub stream: u64,
    /// Of an earlier run of the sender.
    pub epoch: u64,
    /// A frame or slice of another size than agreed.
    pub size: u64,
    /// Of a frame that was settled already.
    pub late: u64,
    /// A slice that had arrived already.
    pub duplicate: u64,
    /// Of a frame beyond the credit.
    pub ahead: u64,
    /// Of a frame for which no slot was free.
    pub no_slot: u64,
    /// Of a protected stream, and not made under its keys, or changed on the way.
    pub forged: u64,
    /// Of a protected stream, recorded and shown again, or doubled on the way.
    pub replayed: u64,
}

impl DatagramsDropped {
    /// What a stream has counted so far.
    pub fn of(stats: &ReceiveStats) -> Self {
        let RejectedCounts {
            malformed, stream, epoch, size, late, duplicate, ahead, no_slot, forged, replayed, ..
        } = stats.rejected;
        let socket = stats.socket_drops;
        Self { socket, malformed, stream, epoch, size, late, duplicate, ahead, no_slot, forged, replayed }
    }

    /// Each cause by name, with its datagrams.
    pub fn causes(&self) -> [(&'static str, u64); 11] {
        let Self { socket, malformed, stream, epoch, size, late, duplicate, ahead, no_slot, forged, replayed } = *self;
        [
            ("socket", socket),
            ("malformed", malformed),
            ("stream", stream),
            ("epoch", epoch),
            ("size", size),
            ("late", late),
            ("duplicate", duplicate),
            ("ahead", ahead),
            ("no_slot", no_slot),
            ("forged", forged),
            ("replayed", replayed),
        ]
    }

    /// Adds those of another stream.
    fn add(&mut self, other: &Self) {
        let Self { socket, malformed, stream, epoch, size, late, duplicate, ahead, no_slot, forged, replayed } = other;
        self.socket += socket;
        self.malformed += malformed;
        self.stream += stream;
        self.epoch += epoch;
        self.size += size;
        self.late += late;
        self.duplicate += duplicate;
        self.ahead += ahead;
        self.no_slot += no_slot;
        self.forged += forged;
        self.replayed += replayed;
    }
}

/// Those who had not what lets them in, since a server began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnedAway {
    /// Proofs of a token that were wrong, late or none.
    pub proofs: u64,
    /// Connections that spoke no TLS to its end.
    pub tls: u64,
    /// Openings of protected streams that were not made under their key.
    pub openings_forged: u64,
    /// Openings of protected streams that had opened something before.
    pub openings_replayed: u64,
}

impl TurnedAway {
    /// Whether there was nobody.
    pub fn is_nobody(&self) -> bool {
        *self == Self::default()
    }
}

/// As people read it: what there was none of is left out.
impl fmt::Display for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { proofs, tls, openings_forged, openings_replayed } = *self;
        let all = [
            (proofs, "by a failed proof"),
            (tls, "without TLS to its end"),
            (openings_forged, "by a forged opening"),
            (openings_replayed, "by a replayed opening"),
        ];
        let mut said = all.into_iter().filter(|(count, _)| *count > 0);
        let Some((count, what)) = said.next() else { return write!(f, "nobody") };
        write!(f, "{count} {what}")?;
        said.try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_turned_away_is_said_without_what_there_was_none_of() {
        let away = TurnedAway { proofs: 2, openings_replayed: 1, ..TurnedAway::default() };
        assert_eq!(away.to_string(), "2 by a failed proof, 1 by a replayed opening");
        assert_eq!((TurnedAway::default().to_string(), TurnedAway::default().is_nobody()), ("nobody".to_owned(), true));
    }

    fn stats() -> ReceiveStats {
        let mut stats = ReceiveStats::default();
        (stats.frames_passed, stats.frames_delivered, stats.frames_incomplete) = (10, 6, 1);
        stats
    }

    #[test]
    fn what_the_source_will_not_speak_of_any_more_is_lost_and_is_not_taken_back() {
        let mut counts = StreamCounts::default();
        counts.take_over(&stats(), SourceCounts::default(), 2);
        assert_eq!((counts.frames_dropped.lost, counts.frames_dropped.total()), (0, 3));
        counts.take_over_last(&stats(), SourceCounts::default(), 2);
        assert_eq!((counts.frames_dropped.lost, counts.frames_dropped.total()), (3, 6));
        counts.take_over(&stats(), SourceCounts::default(), 2);
        assert_eq!(counts.frames_dropped.lost, 3);
    }

    #[test]
    fn streams_add_up_and_sums_of_hostile_numbers_do_not_overflow() {
        let mut counts = StreamCounts::default();
        counts.add_frame(10);
        counts.take_over(&stats(), SourceCounts::default(), 0);
        let mut both = counts;
        both.add(&counts);
        assert_eq!((both.frames_delivered, both.bytes, both.frames_dropped.incomplete), (2, 20, 2));
        let wild = FramesDropped { lost: u64::MAX, no_slot: u64::MAX, ..FramesDropped::default() };
        both.frames_dropped.add(&wild);
        both.frames_dropped.add(&wild);
        assert_eq!(both.frames_dropped.total(), u64::MAX);
    }
}
