//! Openings of a stream that is open: which go on with it, and which are the listener's to judge.

use std::sync::Arc;

use super::{Pending, ReceiveStream, Told, path_bytes, window};
use crate::receive::parity::parity_store_bytes;
use crate::receive::sealed::{SealedOpening, Session};
use crate::receive::stats::Rejected;
use crate::rising::Rising;
use crate::time::Time;
use crate::wire::{AnyOpen, EPOCHS_AHEAD_MAX, Open};

/// An opening that came from this stream's address and is the listener's to judge: of a later run, or of another stream whose program
/// has the port now.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StrayOpening {
    /// The opening: whether one of a protected stream is its sender's is for the listener to find out, too.
    pub open: AnyOpen,
    /// Bytes of its datagram.
    pub open_bytes: usize,
}

impl ReceiveStream {
    /// The sender has proved to the listener that it is at its address, and has opened this stream from there: for its next run,
    /// or once more because it has not heard our answer. Where the address is another one than before, `has_moved`. `sealed` is the
    /// opening as it came on a protected stream: one that is not is refused there, and any that is on others.
    pub fn handle_proven_open(
        &mut self,
        (open, sealed): (&Open, Option<&Arc<SealedOpening>>),
        open_bytes: usize,
        has_moved: bool,
        now: Time,
    ) {
        if let Err(rejected) = self.try_open((open, sealed), open_bytes, now) {
            self.reassembler.stats_mut().rejected.count(rejected);
        } else if has_moved {
            // The way is another one.
            self.way = self.way.anew();
        }
    }

    /// The sender has not heard our accept; or something that only the listener can judge: a later run, which has to prove its
    /// address first, for anyone can put this one on a datagram, or a stream of another program that has the address now.
    pub(super) fn handle_open(&mut self, open: &AnyOpen, open_bytes: usize, now: Time) -> Result<(), Rejected> {
        if self.ended.is_none() {
            match (open, &self.config.sealed) {
                (AnyOpen::Plain(open), None) if id(open) == id(&self.config.open) => {
                    return self.try_open((open, None), open_bytes, now);
                }
                (AnyOpen::Sealed(datagram), Some(sealed)) if sealed.is(datagram) => {
                    self.check_unused()?;
                    self.accept_again(self.config.open.sender_ns, open_bytes, now);
                    return Ok(());
                }
                _ => {}
            }
        }
        // One with a cookie is answered sooner than one without: whoever floods us has none.
        if open.cookie() != 0 || self.stray.is_none() {
            self.stray = Some(StrayOpening { open: *open, open_bytes });
        }
        Ok(())
    }

    /// Whether the present epoch of a protected stream may be opened once more: only until its sender is known to have the keys, for then it
    /// asks no more. What comes later has waited, or was recorded, and shows of nobody that he is there.
    fn check_unused(&self) -> Result<(), Rejected> {
        if self.session.as_ref().is_some_and(Session::is_used) { Err(Rejected::Replayed) } else { Ok(()) }
    }

    /// Has the opening answered, once more.
    fn accept_again(&mut self, sender_ns: u64, open_bytes: usize, now: Time) {
        self.heard = now;
        self.path_bytes = self.path_bytes.max(path_bytes(open_bytes));
        self.pending.accept = Some(sender_ns);
    }

    fn try_open(
        &mut self,
        (open, sealed): (&Open, Option<&Arc<SealedOpening>>),
        open_bytes: usize,
        now: Time,
    ) -> Result<(), Rejected> {
        if open.stream != self.config.open.stream {
            return Err(Rejected::Stream);
        }
        if sealed.is_some() != self.is_protected() {
            return Err(Rejected::Forged);
        }
        if self.ended.is_some() {
            // The stream is over for its consumers: the listening socket will open a new one.
            return Err(Rejected::Late);
        }
        open.format().map_err(|_| Rejected::Malformed)?;
        // Epochs of one stream count up, and may wrap.
        let ahead = open.epoch.wrapping_sub(self.config.open.epoch);
        if ahead > EPOCHS_AHEAD_MAX {
            return Err(Rejected::Epoch);
        }
        let geometry = |open: &Open| (open.pixel, open.width, open.height, open.stride, open.tail_max, open.delivery);
        let slices_fit = match ahead {
            0 => open.slice_bytes == self.config.open.slice_bytes,
            // Slices may become smaller, and larger again.
            _ => usize::from(open.slice_bytes) <= self.largest_slice,
        };
        if geometry(open) != geometry(&self.config.open) || !slices_fit {
            return Err(Rejected::Size);
        }
        let is_repetition = match (sealed, &self.config.sealed) {
            (Some(sealed), Some(known)) => sealed.ephemeral() == known.ephemeral(),
            _ => ahead == 0,
        };
        if ahead == 0 {
            self.check_unused()?;
        }
        self.config.open.cookie = open.cookie;
        if !is_repetition {
            // New keys, for which the answer is another one.
            (self.config.sealed, self.session) = (sealed.cloned(), None);
        }
        if ahead > 0 {
            self.config.open.epoch = open.epoch;
            self.config.open.slice_bytes = open.slice_bytes;
            self.reassembler.set_utc(open.utc());
            // Of a machine that was started anew: its clock began again.
            self.utc_told = Rising::new(open.sender_ns);
            let cut = self.cut().resized(open.slice_bytes.into());
            self.window = window(open, &cut, self.config.buffer_bytes, self.way.measured());
            // No more memory than was reserved for what the stream was opened with.
            let wanted = parity_store_bytes(&cut, open.parity_max);
            let has_room = wanted <= self.parity_room_bytes;
            let parity_max = if has_room { open.parity_max } else { 0 };
            self.config.open.parity_max = parity_max;
            self.reassembler.start_epoch(open.first_frame, usize::from(open.slice_bytes), parity_max);
            self.reassembler.stats_mut().restarts += 1;
            self.loss.start_epoch(parity_max);
            (self.sequence_seen, self.sequence_limit) = (Rising::default(), Rising::default());
            self.arrived = 0;
            self.path_bytes = 0;
            self.reports = 0;
            self.told = Told::default();
            self.closing = None;
            self.sent = None;
            self.pending = Pending::default();
        }
        self.accept_again(open.sender_ns, open_bytes, now);
        Ok(())
    }

    /// What has come that is for whoever listens for openings.
    pub fn poll_stray(&mut self) -> Option<StrayOpening> {
        self.stray.take()
    }
}

/// What the opening of one run has in common with its repetitions.
fn id(open: &Open) -> (u32, u32, u64) {
    (open.stream, open.epoch, open.cookie)
}
