//! What belongs to a stream at its source, whoever gets it: its frames, their numbers, and parity that is made once for all.

use super::parity::ParityShelf;
use super::subscriber::Subscriber;
use super::{SendConfig, slots_ready};
use crate::frame::{Frame, FrameFormat};
use crate::time::Time;
use crate::wire::{Delivery, FRAME_NUMBER_END};

/// The source of one stream. It numbers frames; each [`Subscriber`] brings them to one receiver, and holds each as long as that
/// needs it: a slot is free again once the last of them has let it go.
#[derive(Debug)]
pub struct Publication {
    format: FrameFormat,
    /// Bytes that follow a frame's pixels at most.
    tail_max: u16,
    delivery: Delivery,
    next_number: u64,
    parity: ParityShelf,
}

/// A frame with its number in a publication, which stands beside it: the frame's own may be another, that of the stream which it
/// came from. Cloning it copies nothing.
#[derive(Debug, Clone)]
pub struct Published {
    number: u64,
    frame: Frame,
}

impl Published {
    /// Its place in the publication, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What is sent.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl Publication {
    /// One of frames that have this format. In `every`, all subscribers that are there get all of them; in `latest` the newest, and a source that
    /// cannot keep up may skip some ([`Publication::skip`]).
    pub fn new(format: FrameFormat, delivery: Delivery) -> Self {
        Self { format, tail_max: 0, delivery, next_number: 0, parity: ParityShelf::default() }
    }

    /// The same with room for so many bytes, metadata and time, behind each frame's pixels; by default there is none.
    pub fn with_tails(self, tail_max: u16) -> Self {
        Self { tail_max, ..self }
    }

    /// The same, whose first frame has this number: the frames before it went another way.
    pub(crate) fn beginning_at(self, first: u64) -> Self {
        Self { next_number: first, ..self }
    }

    /// The number that the next frame gets.
    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Gives a frame its number. It is to be handed to every subscriber ([`Subscriber::handle_frame`]).
    ///
    /// # Errors
    /// The frame itself where its length is not the format's, or it has more behind its pixels than there may be.
    #[expect(
        clippy::result_large_err,
        reason = "the frame goes back to whom it came from; a box would be an allocation"
    )]
    pub fn publish(&mut self, frame: Frame) -> Result<Published, Frame> {
        self.publish_as(self.next_number, frame)
    }

    /// The same under a number of its own, which is none below [`Publication::next_number`]: there are no frames of the numbers before it, and every subscriber is to
    /// hear of those.
    #[expect(
        clippy::result_large_err,
        reason = "the frame goes back to whom it came from; a box would be an allocation"
    )]
    pub(super) fn publish_as(&mut self, number: u64, frame: Frame) -> Result<Published, Frame> {
        let is_next = (self.next_number..FRAME_NUMBER_END).contains(&number);
        if !is_next || !self.format.holds(frame.len()) || frame.tail().bytes() > self.tail_max.into() {
            return Err(frame);
        }
        self.next_number = number + 1;
        Ok(Published { number, frame })
    }

    /// Gives a number to a frame that the source could not even write, because no slot was free; every subscriber is to hear of it
    /// ([`Subscriber::handle_skipped`]). False in `every`, where the source waits instead: each number is waited for at the other
    /// end, so a frame that is not sent gets none.
    pub fn skip(&mut self) -> bool {
        match self.delivery {
            Delivery::Every => false,
            Delivery::Latest => {
                self.next_number += 1;
                true
            }
        }
    }

    /// Brings the stream to one more receiver, from the next frame on. Where the publication is `latest`, so is the subscriber,
    /// whatever its configuration says; a subscriber to `every` may be either.
    pub fn subscribe(&self, config: SendConfig, now: Time) -> Subscriber {
        let delivery = if self.delivery == Delivery::Latest { Delivery::Latest } else { config.delivery };
        let config = SendConfig { delivery, format: self.format, tail_max: self.tail_max, ..config };
        Subscriber::new(config, self.next_number, now)
    }

    pub(super) fn parity(&mut self) -> &mut ParityShelf {
        &mut self.parity
    }
}

/// Has the subscribers of one publication let go of frames, for a source that finds no slot free: in `latest`, those of which
/// nothing has been sent. Where there are several subscribers, those that lag most also give up what they alone still hold, so
/// that they keep nobody else from getting frames: in `latest` at once, in `every` only if their receiver says nothing.
///
/// A single subscriber is waited for.
pub fn make_room<'a>(subscribers: impl IntoIterator<Item = &'a mut Subscriber>, now: Time) {
    let mut subscribers: Vec<_> = subscribers.into_iter().collect();
    subscribers.iter_mut().for_each(|subscriber| subscriber.drop_replaceable());
    let from = |subscriber: &&mut Subscriber| subscriber.holds_from();
    let Some(least) = subscribers.iter().map(from).min() else { return };
    let others_from = subscribers.iter().map(from).filter(|from| *from > least).min();
    if let Some(others_from) = others_from {
        let lags = subscribers.into_iter().filter(|subscriber| subscriber.holds_from() == least);
        lags.for_each(|subscriber| subscriber.let_go(others_from, now));
    }
}

/// Frames that a subscriber in `latest` may have on their way where there are others, of a source with so many slots: enough are left
/// for one that is written and one that leaves to the others.
pub fn share_of(slots: usize, frame_bytes: usize) -> usize {
    slots.saturating_sub(slots_ready(frame_bytes)).max(1)
}
