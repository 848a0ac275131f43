//! The frames that a subscriber is handed, until they are settled or dropped.

use std::time::Duration;

use super::{SILENCE_MAX, Subscriber, Thinning, train};
use crate::frame::Frame;
use crate::send::config::SendState;
use crate::send::gate::FrameGate;
use crate::send::outbox::Dropped;
use crate::send::publication::Published;
use crate::send::slots::SlotNeed;
use crate::time::Time;
use crate::wire::Delivery;

/// With other subscribers waiting, an opening is given three round trips to be answered, or this.
const ANSWER_MIN: Duration = Duration::from_millis(50);

/// A subscriber did not take a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotTaken {
    /// As many frames wait as a pool can have slots; there is room again after the next feedback.
    #[error("as many frames wait as a subscriber can hold; try again once it has room")]
    Full,
    /// Another frame of the publication comes next.
    #[error("frame {number} is not the next one, which is {next}; hand over each in order")]
    Order {
        /// Of the frame.
        number: u64,
        /// What comes next.
        next: u64,
    },
}

impl Subscriber {
    /// Takes the next frame of the publication. In `latest` it replaces frames of which nothing has been sent yet.
    ///
    /// # Errors
    /// There is no room for it ([`Subscriber::has_room`]), or it is not the next one.
    pub fn handle_frame(&mut self, published: &Published, now: Time) -> Result<(), NotTaken> {
        let (number, next) = (published.number(), self.handed);
        if number != next {
            return Err(NotTaken::Order { number, next });
        }
        // To whoever opens the stream anew, an opening says what was skipped before the one frame that waits.
        let kept = if self.state == SendState::Open { self.waiting_max - 1 } else { 0 };
        self.drop_beyond(kept);
        if self.outbox.is_full() {
            return Err(NotTaken::Full);
        }
        self.handed += 1;
        self.skipped_behind = 0;
        self.stats.frames += 1;
        self.last_handed = number;
        self.outbox.push(published.clone());
        if self.state == SendState::Open && (self.credit() == 0 || number >= self.frame_limit.value()) {
            // The word that there is room again may have been lost while there was nothing to send.
            self.due = self.due.min(now + self.patience());
        }
        Ok(())
    }

    /// Whether it takes another frame: up to as many as a pool can have slots, and in `latest` in place of one that waits.
    pub fn has_room(&self) -> bool {
        !self.outbox.is_full() || (self.config.delivery == Delivery::Latest && self.outbox.has_unsent())
    }

    /// The source could not write the next frame, because no slot was free ([`Publication::skip`](super::super::Publication::skip)).
    pub fn handle_skipped(&mut self) {
        self.handed += 1;
        self.stats.frames += 1;
        self.stats.frames_skipped += 1;
        self.skipped_behind += 1;
    }

    /// In `latest`, drops the frames of which nothing has been sent, so that their slots can take newer ones.
    pub fn drop_replaceable(&mut self) {
        self.drop_beyond(0);
    }

    /// The same of all but the newest `kept` of them.
    fn drop_beyond(&mut self, kept: usize) {
        if self.config.delivery == Delivery::Latest {
            // Less than a train of the next frame waits for more.
            let slices = self.outbox.current().map_or(self.config.cut().slices(), |outgoing| outgoing.count());
            let least = train(&self.config).min(slices);
            let dropped = self.outbox.drop_unsent(kept, self.sent_below.value());
            self.note_dropped(dropped);
            if self.state == SendState::Open && self.credit() < u64::from(least) {
                self.stats.frames_no_credit += dropped.unbegun;
            }
        }
    }

    pub(super) fn note_dropped(&mut self, dropped: Dropped) {
        self.stats.frames_skipped += dropped.unbegun;
        self.stats.frames_abandoned += dropped.begun;
    }

    /// How many frames it may have on their way in `latest`, where their slots are not its own alone; all of a pool's by default.
    /// At least one.
    pub fn set_share(&mut self, frames: usize) {
        self.share = frames.max(1);
    }

    /// How many frames may wait in `latest` of which nothing has been sent, at least 1, the default: then a newer one replaces it.
    pub(in crate::send) fn set_waiting_max(&mut self, frames: usize) {
        self.waiting_max = frames.max(1);
    }

    /// Its receiver comes to a stream that goes on already: it has nothing to account for that was skipped before it was there.
    pub(in crate::send) fn begin_later(&mut self) {
        self.begins_later = true;
    }

    /// It gets no more than one frame in each interval, from now on.
    pub fn set_interval_min(&mut self, interval: Duration) {
        self.thinning = Some(Thinning::new(interval));
    }

    /// Whether it is to get a frame that comes now.
    pub(in crate::send) fn wants_frame(&mut self, now: Time) -> bool {
        self.thinning.as_mut().is_none_or(|thinning| thinning.lets(now))
    }

    /// `leaving` is what [`Subscriber::leaving`] says: whether its way is slower than frames come.
    pub(in crate::send) fn note_pace(&mut self, leaving: Option<u64>, from: u64) {
        match leaving {
            Some(number) if number < from => self.is_slow = true,
            Some(_) => {}
            // What it was last handed has left in time.
            None => self.is_slow &= self.last_handed < from,
        }
    }

    /// Whether it is; one that is not open sends nothing.
    pub(in crate::send) fn is_slow(&self) -> bool {
        self.is_slow && self.state == SendState::Open
    }

    /// There are no frames of the next `count` numbers.
    pub(in crate::send) fn handle_missing(&mut self, count: u64) {
        self.handed += count;
        self.stats.frames += count;
        self.stats.frames_skipped += count;
        self.skipped_behind += count;
    }

    /// The oldest frame that it needs however many newer ones come, where those from `from` on are new: the one of which some slices have been sent and not all, and on a
    /// link that is slower than that the one that is not settled, whose repairs take as long.
    pub(in crate::send) fn leaving(&mut self, from: u64) -> Option<u64> {
        let begun = self.outbox.first_begun();
        let gate_is_slow = self.gate.as_ref().is_some_and(FrameGate::is_slow);
        self.is_slow |= gate_is_slow && begun.is_some_and(|number| number < from);
        match self.is_slow {
            true => begun,
            false => self.outbox.current().filter(|outgoing| outgoing.next > 0).map(|outgoing| outgoing.number()),
        }
    }

    /// Lets go of the frames below this number but one, in `latest`, whatever has become of them.
    pub(in crate::send) fn let_go_below(&mut self, below: u64, but: Option<u64>, now: Time) {
        if self.holds_from() >= below {
            return;
        }
        match but {
            None => self.settle(below, now),
            Some(but) => {
                let dropped = self.outbox.drop_below(below, but, self.sent_below.value());
                self.note_dropped(dropped);
                let half_sent = self.outbox.current().filter(|outgoing| outgoing.next > 0);
                let goes_on = half_sent.map_or(below, |outgoing| outgoing.number());
                if let Some(gate) = &mut self.gate {
                    gate.handle_settled(goes_on);
                }
            }
        }
    }

    /// The lowest number that it holds, or that it will be handed.
    pub(in crate::send) fn holds_from(&self) -> u64 {
        self.outbox.first_number().unwrap_or(self.handed)
    }

    /// Other subscribers need the slots of frames below this number, which they have had.
    pub(in crate::send) fn let_go(&mut self, below: u64, now: Time) {
        match self.config.delivery {
            Delivery::Latest => self.settle(below, now),
            Delivery::Every if self.is_silent(now) && self.holds_from() < below => {
                self.settle(below, now);
                // What comes is all that the next receiver has to account for.
                self.begins_later = true;
                // An opening may have said that the stream goes on with a frame which is gone now.
                self.config.epoch = self.config.epoch.wrapping_add(1);
            }
            Delivery::Every => {}
        }
    }

    /// Whether nothing is heard of the receiver, and no answer to an opening is on its way.
    fn is_silent(&self, now: Time) -> bool {
        let answer = (self.way.round_trip() * 3).max(ANSWER_MIN);
        self.is_opening() && now.since(self.heard) >= SILENCE_MAX && now.since(self.asked) >= answer
    }

    /// Slots that a source needs which finds none of its `held` ones free. With several subscribers, the most that one of them wants.
    pub fn slots_wanted(&self, held: usize) -> usize {
        self.slot_need().wanted(held, 0)
    }

    /// What decides that.
    pub(crate) fn slot_need(&self) -> SlotNeed {
        let interval = self.config.interval();
        let is_camera = self.config.delivery == Delivery::Latest && !interval.is_zero();
        SlotNeed {
            frame_bytes: self.config.format.frame_bytes(),
            interval,
            round_trip: self.way.measured().unwrap_or_default(),
            on_the_way: is_camera.then(|| self.outbox.on_the_way()),
            in_stream: self.outbox.len(),
        }
    }

    /// Frames below `settled` are done with.
    pub(super) fn settle(&mut self, settled: u64, now: Time) {
        if let Some(outgoing) = self.outbox.current()
            && outgoing.next == outgoing.count()
            && outgoing.number() < settled
        {
            // It was complete before its parity had left.
            let number = outgoing.number();
            self.note_whole(number, now);
        }
        let dropped = self.outbox.settle(settled, self.sent_below.value());
        self.note_dropped(dropped);
        if let Some(gate) = &mut self.gate {
            gate.handle_settled(settled);
        }
    }

    /// Gives back, in their order, the frames that are not settled, for another way; nothing is to be sent after that. In `latest`, where a newer one
    /// takes their place, there are none. `None` where the stream is open, or closed: then it stays.
    pub(crate) fn give_back(&mut self) -> Option<Vec<Frame>> {
        if !self.is_opening() {
            return None;
        }
        let given_back = self.outbox.give_back();
        Some(match self.config.delivery {
            Delivery::Every => given_back,
            Delivery::Latest => Vec::new(),
        })
    }

    /// Whether every frame that was taken is settled.
    pub fn is_settled(&self) -> bool {
        self.outbox.is_empty()
    }
}
