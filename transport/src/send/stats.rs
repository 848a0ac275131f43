//! What a sender counts.

/// Counters of one stream, from its start. None goes down. The receiver's account of the same frames is
/// [`ClosedReport`](crate::ClosedReport), at the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendStats {
    /// Frames handed to the sender, and those it was told of by [`Sender::skip`](crate::Sender::skip); each got a number.
    pub frames: u64,
    /// Frames whose every slice was sent at least once.
    pub frames_sent: u64,
    /// Frames dropped before a slice of them was sent, because a newer one came or the source had no slot (`latest` only).
    pub frames_skipped: u64,
    /// Of these, how many while the receiver granted no credit; the others while the link carried an earlier frame, the stream
    /// was not open, or the source had no slot.
    pub frames_no_credit: u64,
    /// Frames of which slices were sent and then no more, because the stream began anew or the receiver had given them up (`latest`
    /// only). Once the stream is closed, `frames` is the sum of these, the sent and the skipped.
    pub frames_abandoned: u64,
    /// Frames that the receiver reported complete.
    pub frames_delivered: u64,
    /// Slices sent, repairs included.
    pub slices: u64,
    /// Slices sent again.
    pub slices_resent: u64,
    /// Parity slices sent.
    pub slices_parity: u64,
    /// Payload bytes sent, repairs included and parity not.
    pub bytes: u64,
    /// How often the stream began anew: because the receiver was gone, or for smaller slices.
    pub restarts: u64,
    /// Datagrams from the receiver that were dropped: malformed, of another stream or epoch, or about what was never sent.
    pub rejected: u64,
}
