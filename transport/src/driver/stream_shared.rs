//! What a stream's thread shares with the program and with the listener.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::opening::{Opening, OpeningId};
use super::sharing::Sharing;
use crate::backend::Waker;
use crate::frame::SLOTS_MAX;
use crate::receive::{EndReason, LastWord, ReceiveStats, SourceCounts};
use crate::time::Time;
use crate::unpoisoned::unpoisoned;
use crate::wire::{Cut, EPOCHS_AHEAD_MAX, Open, SealedOpen};

/// What a stream's thread and the program share.
pub(super) struct StreamShared {
    /// What opened it first.
    pub(super) open: Open,
    /// How its frames were cut then.
    pub(super) cut: Cut,
    state: Mutex<StreamState>,
    /// Its consumers want no more frames.
    pub(super) stop: AtomicBool,
    /// The receiver ends, or has another stream in its place: there is not even time to answer a close.
    pub(super) abandon: AtomicBool,
    pub(super) over: AtomicBool,
    pub(super) waker: Arc<Waker>,
    /// Where other processes read it, if they do.
    sharing: Mutex<Option<Arc<Sharing>>>,
}

pub(super) struct StreamState {
    /// What opened it last: the address may be another one by then.
    pub(super) opening: OpeningId,
    /// The newest opening by whoever has the stream's key, where it is protected.
    newest: Option<Opening>,
    /// The sender's run at present.
    pub(super) epoch: u32,
    /// Frames below this number are settled.
    pub(super) settled: u64,
    /// When the sender was last heard.
    pub(super) heard: Time,
    /// Set by the listener, taken by the stream's thread: an opening that goes on with this stream, from an address that has been
    /// proved, which may be another one than before.
    proven: Option<Opening>,
    pub(super) stats: ReceiveStats,
    pub(super) ended: Option<EndReason>,
    /// What its sender was told, once it is closed.
    pub(super) last_word: Option<LastWord>,
    pub(super) source: SourceCounts,
    /// Of the largest slice at present.
    pub(super) slice_bytes: u16,
}

impl StreamState {
    /// The run that the stream is in, or that it has been told to go on with and has not come to yet.
    fn newest_epoch(&self) -> u32 {
        match self.opening.epoch.wrapping_sub(self.epoch) {
            1..=EPOCHS_AHEAD_MAX => self.opening.epoch,
            _ => self.epoch,
        }
    }
}

impl StreamShared {
    /// A stream that was opened just now; `waker` wakes its thread.
    pub(super) fn new(opening: &Opening, waker: Arc<Waker>) -> Self {
        let open = opening.open;
        let state = StreamState {
            opening: opening.id(),
            newest: opening.sealed.is_some().then(|| opening.clone()),
            epoch: open.epoch,
            settled: 0,
            heard: Time::now(),
            proven: None,
            stats: ReceiveStats::default(),
            ended: None,
            last_word: None,
            source: SourceCounts::default(),
            slice_bytes: open.slice_bytes,
        };
        Self {
            open,
            cut: opening.cut(),
            state: Mutex::new(state),
            stop: AtomicBool::new(false),
            abandon: AtomicBool::new(false),
            over: AtomicBool::new(false),
            waker,
            sharing: Mutex::default(),
        }
    }

    pub(super) fn set_sharing(&self, sharing: Sharing) {
        *unpoisoned(self.sharing.lock()) = Some(Arc::new(sharing));
    }

    pub(super) fn sharing(&self) -> Option<Arc<Sharing>> {
        unpoisoned(self.sharing.lock()).clone()
    }

    /// Nobody comes to read it any more: what it keeps of its memory for those goes.
    pub(super) fn end_sharing(&self) {
        let ended = unpoisoned(self.sharing.lock()).take();
        drop(ended);
    }

    pub(super) fn opening(&self) -> OpeningId {
        self.lock().opening
    }

    /// Whether an opening goes on with this stream: a later run of the same sender, which sends the same.
    pub(super) fn is_continued_by(&self, opening: &Opening) -> bool {
        let open = &opening.open;
        let what =
            |open: &Open| (open.stream, open.pixel, open.width, open.height, open.stride, open.tail_max, open.delivery);
        let state = self.lock();
        let ahead = open.epoch.wrapping_sub(state.newest_epoch());
        // A program that was started anew counts its frames from 0, in an epoch of its own.
        let goes_on = (1..=EPOCHS_AHEAD_MAX).contains(&ahead)
            && open.first_frame.saturating_add(SLOTS_MAX as u64) >= state.settled;
        // An opening that contradicts itself moves no stream.
        let can_be = open.format().is_ok() && usize::from(open.slice_bytes) <= self.cut.largest_slice();
        let is_cut_so = opening.sealed.is_some() == self.is_protected();
        what(open) == what(&self.open) && can_be && is_cut_so && goes_on && !self.is_over()
    }

    /// Whether an opening is one of the run at present, or of one shortly before it: a repetition, or a copy that waited.
    pub(super) fn has_had(&self, opening: OpeningId) -> bool {
        let state = self.lock();
        let behind = state.newest_epoch().wrapping_sub(opening.epoch);
        state.opening.stream == opening.stream && state.opening.has_way_of(&opening) && behind <= EPOCHS_AHEAD_MAX
    }

    /// Whether nothing is believed of it that is not sealed.
    pub(super) fn is_protected(&self) -> bool {
        self.cut.tag_bytes() > 0
    }

    /// The newest opening, where it came as this datagram.
    pub(super) fn newest_as(&self, datagram: &SealedOpen) -> Option<Opening> {
        let state = self.lock();
        let is_same = |newest: &&Opening| newest.sealed.as_ref().is_some_and(|sealed| sealed.is(datagram));
        state.newest.as_ref().filter(is_same).cloned()
    }

    /// The sender has proved its address, and goes on from there.
    pub(super) fn continue_from(&self, opening: &Opening) {
        let mut state = self.lock();
        state.opening = opening.id();
        if opening.sealed.is_some() {
            state.newest = Some(opening.clone());
        }
        state.proven = Some(opening.clone());
        drop(state);
        self.waker.wake();
    }

    /// Where the sender has proved to be since this was asked last, if it has.
    pub(super) fn take_proven(&self) -> Option<Opening> {
        self.lock().proven.take()
    }

    /// The way of the last opening could not be taken: the stream stays where it is, in the run that it is in.
    pub(super) fn stay_at(&self, peer: SocketAddr, local: SocketAddr, epoch: u32) {
        let mut state = self.lock();
        // The listener may have heard the sender at yet another address meanwhile, which is followed next.
        if state.proven.is_none() {
            (state.opening.peer, state.opening.local, state.opening.epoch) = (peer, local, epoch);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, StreamState> {
        unpoisoned(self.state.lock())
    }

    pub(super) fn abandon(&self) {
        self.abandon.store(true, Ordering::Release);
        self.stop();
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether the stream delivers no more frames.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::opening::made_up::opening;

    const HERE: [&str; 3] = ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3"];

    /// A stream in run 5, from the first address.
    fn stream() -> StreamShared {
        StreamShared::new(&opening(7, 5, HERE[0]), Arc::new(Waker::new().unwrap()))
    }

    #[test]
    fn while_the_thread_has_not_come_to_a_later_run_an_earlier_one_goes_on_with_nothing() {
        let stream = stream();
        let (sixth, seventh) = (opening(7, 6, HERE[1]), opening(7, 7, HERE[2]));
        assert!(stream.is_continued_by(&sixth) && stream.is_continued_by(&seventh));
        stream.continue_from(&seventh);
        // It waited on its way.
        assert!(!stream.is_continued_by(&sixth), "an older address would take the place of the newer one");
        assert!(!stream.is_continued_by(&seventh), "the same run would begin again");
        assert!(stream.is_continued_by(&opening(7, 8, HERE[0])));
        assert!(stream.has_had(seventh.id()) && stream.has_had(opening(7, 6, HERE[2]).id()));
        assert!(!stream.has_had(sixth.id()), "it came from elsewhere");
        assert_eq!(stream.take_proven().map(|proven| proven.id()), Some(seventh.id()));
    }

    #[test]
    fn a_way_that_cannot_be_taken_is_no_longer_the_streams_and_its_opening_may_come_again() {
        let stream = stream();
        let (before, next) = (stream.opening(), opening(7, 6, HERE[1]));
        stream.continue_from(&next);
        assert_eq!(stream.take_proven().map(|taken| taken.id()), Some(next.id()));
        stream.stay_at(before.peer, before.local, before.epoch);
        assert_eq!(stream.opening(), before);
        assert!(stream.is_continued_by(&next));
    }

    #[test]
    fn a_way_that_cannot_be_taken_does_not_undo_the_one_that_was_heard_of_meanwhile() {
        let stream = stream();
        let (before, newer) = (stream.opening(), opening(7, 7, HERE[2]));
        stream.continue_from(&opening(7, 6, HERE[1]));
        stream.take_proven();
        stream.continue_from(&newer);
        stream.stay_at(before.peer, before.local, before.epoch);
        assert_eq!(stream.opening(), newer.id());
        assert!(stream.has_had(newer.id()) && !stream.is_continued_by(&newer));
        assert_eq!(stream.take_proven().map(|taken| taken.id()), Some(newer.id()));
    }
}
