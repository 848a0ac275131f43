//! The hub's end of a local sender's stream: grants slots, and makes frames of what comes back. It has no thread, no socket and no clock.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use thiserror::Error;

use super::{drain, pipe, wake};
use crate::frame::memfd::{Right, Unsealable};
use crate::frame::{Arrival, Frame, FrameFormat, FrameInfo, FrameParts, FramePool, SLOTS_MAX};
use crate::receive::{ReceiveStats, SourceCounts};
use crate::share::IN_FLIGHT_MAX;
use crate::share::layout::Inlet;
use crate::share::memory::Shared;
use crate::share::points::{self, Point};
use crate::time::Time;
use crate::utc::UtcOffset;
use crate::wire::{Delivery, FRAME_NUMBER_END};

/// Frames that a source may have skipped before its stream was opened by shared memory, beside one for each microsecond since: a thousand a
/// second for seven weeks. What sums are made of stays far from where numbers end.
const SKIPPED_MAX: u64 = 1 << 32;

/// What a sender said that cannot be: nothing is taken from it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Misconduct {
    #[error("it handed over slots ({0:#x}) that it has not been granted")]
    NotGranted(u64),
    #[error("the record of slot {0} says nothing that can be")]
    Record(usize),
    #[error("frame {number} came after frame {before}")]
    Order { number: u64, before: u64 },
    #[error("frame {number} came where frame {next} was due, and a stream of every frame skips none")]
    LeftOut { number: u64, next: u64 },
    #[error("frame {number} came where no source can have got beyond frame {limit}")]
    Jump { number: u64, limit: u64 },
    #[error("a frame of {pixels} bytes and {tail} behind them is none of the stream's")]
    Length { pixels: usize, tail: usize },
}

/// What goes to the sender with its welcome, beside the pool.
pub(crate) struct SendersEnds {
    /// Wakes the hub.
    pub(crate) to_hub: OwnedFd,
    /// Wakes the sender: the end to read.
    pub(crate) to_sender: OwnedFd,
}

/// The hub's end.
pub(crate) struct Landing {
    pool: FramePool,
    inlet: Shared<Inlet>,
    format: FrameFormat,
    tail_max: usize,
    delivery: Delivery,
    /// Since when it is looked at.
    begun: Option<Time>,
    /// The slots that the sender has.
    granted: [Option<Arrival>; SLOTS_MAX],
    /// The same as bits.
    mask: u64,
    /// How many it is to have.
    grants: usize,
    /// No frame below this number follows.
    next: u64,
    stats: ReceiveStats,
    source: SourceCounts,
    from_sender: OwnedFd,
    to_sender: OwnedFd,
}

impl Landing {
    /// A stream whose first frame has this number, in a pool of which `slots` are for it and its consumers.
    ///
    /// # Errors
    /// No memory or descriptor.
    pub(crate) fn new(
        pool: FramePool,
        format: FrameFormat,
        (tail_max, slots): (usize, usize),
        (delivery, first_frame): (Delivery, u64),
    ) -> io::Result<(Self, SendersEnds)> {
        let inlet = Shared::<Inlet>::new("framewire-inlet", 1, Right::Write)?;
        let (from_sender, to_hub) = pipe()?;
        let (to_sender_read, to_sender) = pipe()?;
        inlet[0].account.settled.store(first_frame, Ordering::Release);
        let landing = Self {
            pool,
            inlet,
            format,
            tail_max,
            delivery,
            begun: None,
            granted: [const { None }; SLOTS_MAX],
            mask: 0,
            grants: slots.clamp(1, IN_FLIGHT_MAX),
            next: first_frame,
            stats: ReceiveStats { first_frame, ..ReceiveStats::default() },
            source: SourceCounts::default(),
            from_sender,
            to_sender,
        };
        Ok((landing, SendersEnds { to_hub, to_sender: to_sender_read }))
    }

    fn page(&self) -> &Inlet {
        &self.inlet[0]
    }

    /// The page, for the sender.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.inlet.file()
    }

    /// The sender has mapped the page: nobody else does from here on, and nobody makes this end wait for it.
    ///
    /// # Errors
    /// The sender has sealed the page against it.
    pub(crate) fn seal(&self) -> Result<(), Unsealable> {
        self.inlet.seal_writes()
    }

    /// Whether the sender has taken what it was granted first: it has the page mapped, then. Once the page is sealed.
    pub(crate) fn has_taken_grants(&self) -> bool {
        self.page().granted.load(Ordering::Acquire) == 0
    }

    pub(crate) fn format(&self) -> &FrameFormat {
        &self.format
    }

    /// Readable when the sender has woken this end.
    pub(crate) fn called(&self) -> BorrowedFd<'_> {
        self.from_sender.as_fd()
    }

    pub(crate) fn stats(&self) -> ReceiveStats {
        self.stats
    }

    pub(crate) fn source(&self) -> SourceCounts {
        self.source
    }

    /// Grants slots as far as some are free and the sender has not enough; false where it is to have more.
    pub(crate) fn grant(&mut self) -> bool {
        let mut new = 0;
        while self.mask.count_ones() < self.grants as u32 {
            let Some(arrival) = self.pool.try_arrival() else { break };
            let slot = arrival.slot();
            self.mask |= 1 << slot;
            new |= 1 << slot;
            self.granted[slot] = Some(arrival);
        }
        if new != 0 {
            self.page().granted.fetch_or(new, Ordering::AcqRel);
            points::at(Point::SlotsGranted);
            self.wake_sender();
        }
        self.mask.count_ones() >= self.grants as u32
    }

    /// Makes frames of what the sender has handed over, in their order, and accounts for them and for those that it skipped. Returns how many
    /// there were.
    ///
    /// # Errors
    /// The sender breaks the rules; every frame that keeps to them has been handed on.
    pub(crate) fn collect(
        &mut self,
        now: Time,
        utc: Option<UtcOffset>,
        mut hand_on: impl FnMut(Frame),
    ) -> Result<usize, Misconduct> {
        let limit = self.limit(now);
        // First: what it counts there has been handed over before.
        let counts = self.page().source.read();
        let mut committed = self.page().committed.swap(0, Ordering::AcqRel);
        points::at(Point::CommitsTaken);
        let alien = committed & !self.mask;
        committed &= self.mask;
        let mut landed = [(u64::MAX, 0); IN_FLIGHT_MAX];
        let mut parts = [const { None }; IN_FLIGHT_MAX];
        let (mut count, mut misconduct) = (0, None);
        while committed != 0 && count < IN_FLIGHT_MAX {
            let slot = committed.trailing_zeros() as usize;
            committed &= committed - 1;
            let Some(read) = self.page().records[slot].read() else {
                misconduct.get_or_insert(Misconduct::Record(slot));
                continue;
            };
            landed[count] = (read.info.number, slot << 8 | count);
            parts[count] = Some(read);
            count += 1;
        }
        landed[..count].sort_unstable();
        for &(_, place) in &landed[..count] {
            let Some(parts) = parts[place & 0xff].take() else { continue };
            match self.land(place >> 8, parts, (now, utc), limit) {
                Ok(frame) => hand_on(frame),
                Err(wrong) => {
                    misconduct.get_or_insert(wrong);
                }
            }
        }
        if alien != 0 {
            misconduct.get_or_insert(Misconduct::NotGranted(alien));
        }
        if let Some(misconduct) = misconduct {
            return Err(misconduct);
        }
        self.check_jump(counts.next, limit)?;
        self.account(counts.next, counts.no_credit);
        Ok(count)
    }

    /// Where no source of a `latest` stream can have got beyond by now, whatever it skipped.
    fn limit(&mut self, now: Time) -> u64 {
        let micros = u64::try_from(now.since(*self.begun.get_or_insert(now)).as_micros()).unwrap_or(u64::MAX);
        self.stats.first_frame.saturating_add(SKIPPED_MAX).saturating_add(micros).min(FRAME_NUMBER_END)
    }

    /// Whether every number from the next one on to this one may have been left out.
    fn check_jump(&self, number: u64, limit: u64) -> Result<(), Misconduct> {
        match self.delivery {
            Delivery::Every if number > self.next => Err(Misconduct::LeftOut { number, next: self.next }),
            Delivery::Latest if number > limit => Err(Misconduct::Jump { number, limit }),
            _ => Ok(()),
        }
    }

    /// Makes a frame of a slot that the sender has handed over.
    fn land(
        &mut self,
        slot: usize,
        parts: FrameParts,
        (now, utc): (Time, Option<UtcOffset>),
        limit: u64,
    ) -> Result<Frame, Misconduct> {
        let FrameParts { len, tail, info, gaps } = parts;
        let number = info.number;
        if number < self.next || number >= FRAME_NUMBER_END {
            return Err(Misconduct::Order { number, before: self.next });
        }
        self.check_jump(number, limit)?;
        let wrong = Misconduct::Length { pixels: len, tail: tail.bytes() };
        if gaps.is_some() || !self.format.holds(len) || tail.bytes() > self.tail_max {
            return Err(wrong);
        }
        // Nothing was before this machine began, and nothing is later than now.
        let captured = info.captured.min(now);
        let sent = info.sent.unwrap_or(now).clamp(captured, now);
        let captured_utc = utc.and_then(|utc| utc.at(captured.as_nanos()));
        let landed = FrameInfo {
            number,
            captured,
            captured_there: captured,
            sent: Some(sent),
            begun: sent,
            completed: now,
            latency: Some(now.since(captured)).filter(|_| captured != Time::ZERO),
            captured_utc,
            utc_error: utc.and_then(|utc| utc.error).filter(|_| captured_utc.is_some()),
        };
        self.mask &= !(1 << slot);
        let arrival = self.granted[slot].take().ok_or(Misconduct::NotGranted(1 << slot))?;
        let frame = arrival.complete(len, tail, landed).map_err(|_| wrong)?;
        self.account(number, self.source.no_credit);
        self.stats.frames_delivered += 1;
        self.stats.bytes += (len + tail.bytes()) as u64;
        self.next = number + 1;
        self.stats.frames_passed = self.next - self.stats.first_frame;
        Ok(frame)
    }

    /// Every frame below this number has been handed over, or never will be.
    fn account(&mut self, next: u64, no_credit: u64) {
        self.next = self.next.max(next.min(FRAME_NUMBER_END));
        self.stats.frames_passed = self.next - self.stats.first_frame;
        // Nothing is lost on this way: what did not come was skipped.
        self.source.skipped = self.stats.frames_unseen();
        self.source.no_credit = self.source.no_credit.max(no_credit.min(self.source.skipped));
    }

    /// Tells the sender what is settled. After the frames have been handed on.
    pub(crate) fn settle(&self) {
        let account = &self.page().account;
        account.delivered.store(self.stats.frames_delivered, Ordering::Release);
        account.settled.store(self.next, Ordering::Release);
        self.wake_sender();
    }

    fn wake_sender(&self) {
        if self.page().sender_asleep.swap(0, Ordering::SeqCst) == 1 {
            wake(&self.to_sender);
        }
    }

    /// From here on the sender wakes this end by [`Landing::called`]; false where it has handed something over, or skipped
    /// something, meanwhile.
    pub(crate) fn may_sleep(&self) -> bool {
        self.page().hub_asleep.swap(1, Ordering::SeqCst);
        let has_skipped = self.page().source.read().next.min(FRAME_NUMBER_END) > self.next;
        self.page().committed.load(Ordering::SeqCst) & self.mask == 0 && !has_skipped
    }

    /// This end is awake; false where the sender can wake it no more.
    pub(crate) fn note_awake(&self, was_called: bool) -> bool {
        self.page().hub_asleep.store(0, Ordering::SeqCst);
        !was_called || drain(&self.from_sender)
    }

    /// Whether something has been handed over, without a word to the sender.
    pub(crate) fn has_something(&self) -> bool {
        self.page().committed.load(Ordering::Acquire) & self.mask != 0
    }
}

/// Until a stream's clocks are compared again.
pub(crate) const COMPARE_CLOCKS_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
