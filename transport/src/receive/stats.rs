//! What a receiver counts.

/// Counters of one stream, from its start. None goes down. Each of the [`frames_passed`](Self::frames_passed) is in exactly one of
/// `frames_delivered`, `frames_incomplete`, `frames_no_slot` and [`ReceiveStats::frames_unseen`]; of the unseen ones
/// [`SourceCounts`] says how many were never sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiveStats {
    /// The first frame number that was this receiver's business; what came before it went to nobody, or to an earlier
    /// receiver.
    pub first_frame: u64,
    /// Frames complete and handed on.
    pub frames_delivered: u64,
    /// Frames of which some slices arrived and some did not, in time.
    pub frames_incomplete: u64,
    /// Of these, the frames that were handed on with what they have.
    pub frames_partial: u64,
    /// Frames for which no slot was free: consumers held them all.
    pub frames_no_slot: u64,
    /// Of the frames delivered, those of which slices had to be sent again.
    pub frames_repaired: u64,
    /// Of the frames delivered, those of which slices were restored from parity.
    pub frames_restored: u64,
    /// Frame numbers whose fate is settled, from `first_frame` on.
    pub frames_passed: u64,
    /// Slices taken in.
    pub slices: u64,
    /// Payload bytes taken in.
    pub bytes: u64,
    /// Slices that landed elsewhere than predicted and were moved.
    pub slices_moved: u64,
    /// Slices taken in that had been asked for.
    pub slices_repaired: u64,
    /// Slices restored from parity.
    pub slices_restored: u64,
    /// Parity slices taken in.
    pub slices_parity: u64,
    /// Datagrams that the system dropped because the stream's socket buffer was full: lost here, not on the wire.
    pub socket_drops: u64,
    /// Requests to send slices again; each asks for one or more.
    pub nacks_sent: u64,
    /// How often the sender began anew (epochs after the first): it was restarted, or its address or slice size changed.
    pub restarts: u64,
    /// Datagrams that were dropped, by cause.
    pub rejected: RejectedCounts,
}

impl ReceiveStats {
    /// Frames of which nothing arrived: lost whole, or never sent (the sender knows which).
    pub fn frames_unseen(&self) -> u64 {
        self.frames_passed.saturating_sub(self.frames_delivered + self.frames_incomplete + self.frames_no_slot)
    }
}

/// What the sender says of the frames that did not come, as of its newest report: it sends one a second at least, and one
/// at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceCounts {
    /// Frames that it dropped before it had sent them whole.
    pub skipped: u64,
    /// Of these, how many because this receiver granted no credit.
    pub no_credit: u64,
    /// Frames of which nothing came although they were sent; at least so many.
    pub lost: u64,
}

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    Malformed,
    Stream,
    Epoch,
    Size,
    Late,
    Duplicate,
    Ahead,
    NoSlot,
    Forged,
    Replayed,
}

/// Datagrams that were dropped, by cause. Duplicates and late ones are normal on a network that repairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectedCounts {
    /// Not a datagram of this protocol and version, or fields that contradict each other.
    pub malformed: u64,
    /// Of a stream that is not this one.
    pub stream: u64,
    /// Of an earlier run of the sender.
    pub epoch: u64,
    /// A frame or slice of another size than agreed.
    pub size: u64,
    /// Of a frame that is settled already.
    pub late: u64,
    /// A slice that had arrived already.
    pub duplicate: u64,
    /// Of a frame beyond the credit.
    pub ahead: u64,
    /// Of a frame for which no slot was free.
    pub no_slot: u64,
    /// On a protected stream: not sealed under its keys, or changed on the way. Counted before anything of it was believed.
    pub forged: u64,
    /// On a protected stream: sealed as it should be, and here before. A network that doubles datagrams does so too.
    pub replayed: u64,
}

impl RejectedCounts {
    pub(crate) fn count(&mut self, cause: Rejected) {
        *match cause {
            Rejected::Malformed => &mut self.malformed,
            Rejected::Stream => &mut self.stream,
            Rejected::Epoch => &mut self.epoch,
            Rejected::Size => &mut self.size,
            Rejected::Late => &mut self.late,
            Rejected::Duplicate => &mut self.duplicate,
            Rejected::Ahead => &mut self.ahead,
            Rejected::NoSlot => &mut self.no_slot,
            Rejected::Forged => &mut self.forged,
            Rejected::Replayed => &mut self.replayed,
        } += 1;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        let Self { malformed, stream, epoch, size, late, duplicate, ahead, no_slot, forged, replayed } = self;
        malformed + stream + epoch + size + late + duplicate + ahead + no_slot + forged + replayed
    }
}
