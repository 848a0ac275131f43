//! What a sender asks of a way to its receiver, whichever it is.

use std::net::SocketAddr;
use std::time::Duration;

use super::error::{NotSent, SendError};
use crate::backend::BackendKind;
use crate::crypto::{Key, Suite};
use crate::frame::{Frame, FrameMut, FramePool};
use crate::send::{ClosedReport, Pace, SendState, SendStats};
use crate::wire::{Delivery, PathKind};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The stream is open.
    Open,
    /// Every frame sent so far is settled.
    Settled,
    /// The far end has confirmed the close.
    Closed,
}

/// How a stream stands on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) state: SendState,
    /// Of this way alone.
    pub(crate) stats: SendStats,
    pub(crate) round_trip: Duration,
    /// 0 where nothing is cut.
    pub(crate) slice_bytes: u16,
    /// The cipher that the stream is protected by, where it is open and protected.
    pub(crate) protection: Option<Suite>,
    /// The number that the next frame gets.
    pub(crate) next_number: u64,
    /// The stream cannot go on.
    pub(crate) failed: bool,
}

/// What is left of a way that is not taken any more.
#[derive(Debug)]
pub(crate) struct Carried {
    /// In `every`, the frames that are not settled, in their order: the last of them has the number before `next_number`.
    pub(crate) frames: Vec<Frame>,
    /// The number that the next new frame gets.
    pub(crate) next_number: u64,
    /// What the way has counted, the carried frames with it.
    pub(crate) stats: SendStats,
    /// The last epoch that a receiver may know, where it knows any.
    pub(crate) epoch: Option<u32>,
}

impl Carried {
    /// What is to be counted of the way for good: each frame that it has begun with has one fate. The carried ones are counted by the next.
    pub(crate) fn counted(&self, delivery: Delivery) -> SendStats {
        let mut stats = self.stats;
        let carried = self.frames.len() as u64;
        stats.frames = stats.frames.saturating_sub(carried);
        match delivery {
            // What is settled has been sent, and all the others are carried.
            Delivery::Every => stats.frames_sent = stats.frames,
            Delivery::Latest => {
                let fates = stats.frames_sent + stats.frames_skipped + stats.frames_abandoned;
                stats.frames_abandoned += stats.frames.saturating_sub(fates);
            }
        }
        stats
    }
}

/// One way to the receiver.
pub(crate) trait Way: Send + Sync {
    fn path(&self) -> PathKind;

    /// What moves datagrams, where there are any.
    fn backend(&self) -> BackendKind;

    /// Where its frames are.
    fn pool(&self) -> &FramePool;

    /// A slot; `None` where none came free in time, or the way is retired.
    ///
    /// # Errors
    /// The stream cannot go on.
    fn frame_timeout(&self, timeout: Duration) -> Result<Option<FrameMut>, SendError>;

    /// Sends a frame of its own pool, whose length was checked.
    ///
    /// # Errors
    /// The frame, and why: also where the way is retired.
    fn send(&self, frame: FrameMut) -> Result<u64, NotSent>;

    /// Sends a frame of any pool, which was checked.
    ///
    /// # Errors
    /// The frame, and why: also where the way is retired.
    #[expect(
        clippy::result_large_err,
        reason = "the frame goes back to whom it came from; a box would be an allocation"
    )]
    fn send_shared(&self, frame: Frame) -> Result<u64, (SendError, Frame)>;

    /// Counts so many frames that the source had no slot for; false where the way is retired.
    fn skip(&self, count: u64) -> bool;

    /// Before its first frame: that has this number, which is a later one than the way was made for. What is below it is counted elsewhere.
    fn begin_at(&self, number: u64);

    /// Waits for a moment; what is returned says something of [`Moment::Closed`] alone.
    ///
    /// # Errors
    /// Refused, not in time, or the stream cannot go on: also where the way is retired.
    fn wait(&self, moment: Moment, timeout: Duration) -> Result<ClosedReport, SendError>;

    /// No frame follows.
    fn close(&self);

    /// The receiver is at this address.
    fn redirect(&self, peer: SocketAddr);

    /// The receiver has this key for the stream.
    fn set_key(&self, key: Key);

    /// Frames are to be sent so; of one that goes by no link, it says nothing.
    fn set_pace(&self, pace: Pace);

    fn standing(&self) -> Standing;

    /// Whether the way takes nothing any more.
    fn is_retired(&self) -> bool;

    /// Why the stream does not go on this way, where the way itself has ended.
    fn trouble(&self) -> Option<String>;

    /// Has nothing leave and nothing come in until [`Way::resume`] or [`Way::retire`], so that another way can be tried; frames are taken as ever.
    /// Returns the lowest number that is not settled; `None` where the stream is open, which goes on.
    fn pause(&self) -> Option<u64>;

    /// Goes on after [`Way::pause`].
    fn resume(&self);

    /// Ends it, whatever is lost: whoever waits for it returns.
    fn stop(&self);

    /// Ends it, if it may: from then on it takes nothing. What it has not settled is the next way's. `None` where it stays.
    fn retire(&self) -> Option<Carried>;
}
