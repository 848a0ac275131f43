//! What a subscriber is sent of the frames: repairs, then slices as far as credit, the gate and the pace allow, then parity.

use super::protected::Protected;
use super::{DRAIN_MAX, Subscriber, TAIL_PROBE_AFTER};
use crate::send::config::SendState;
use crate::send::gate::FrameGate;
use crate::send::outbox::{Outgoing, Parity, RunHead, SliceRun};
use crate::send::parity::{OutgoingParity, Percents};
use crate::send::publication::Publication;
use crate::send::repair::{RepairBudget, RepairRun};
use crate::time::Time;
use crate::wire::{Delivery, Flags};

impl Subscriber {
    /// The next slices to send: repairs first, then new ones as far as credit goes; at most `max`. What is returned
    /// counts as sent. Credit for less than a whole train is left until there is more. The publication makes the parity.
    pub fn poll_slices(&mut self, publication: &mut Publication, max: u32, now: Time) -> Option<SliceRun<'_>> {
        self.pacer.forget_refusal();
        if self.state != SendState::Open || self.is_blocked {
            return None;
        }
        // `max` fits 32 bits, so the smaller of the two does.
        let max = u64::from(max).min(self.credit()) as u32;
        if max == 0 {
            return None;
        }
        let first_in_flight = !self.in_flight();
        let (number, head, count) = match self.poll_repair(max, now) {
            Some(repair) => repair,
            None if self.repairs.is_empty() => self.poll_new(publication, max, now)?,
            None => return None,
        };
        self.next_sequence += u64::from(count);
        self.expect_answer(first_in_flight, now);
        if let RunHead::Slice(header) = head {
            self.stats.slices += u64::from(count);
            self.stats.bytes += self.outbox.find(number).map_or(0, |frame| frame.payload_len(header.index, count));
        }
        self.note_progress(number, head, count, now);
        let outgoing = self.outbox.find(number)?;
        let frame = match (&head, &outgoing.parity) {
            (RunHead::Parity(_), Parity::Leaving(parity)) => parity.bytes(),
            _ => outgoing.frame(),
        };
        let sealer = self.protected.as_mut().and_then(Protected::slices);
        Some(SliceRun { frame, count, cut: outgoing.cut(), head, sealer })
    }

    /// Slices that were asked for again.
    fn poll_repair(&mut self, max: u32, now: Time) -> Option<(u64, RunHead, u32)> {
        let run: RepairRun = loop {
            // What was settled in the meantime needs no repair.
            let outbox = &self.outbox;
            let waiting = self.repairs.front_of(|frame| outbox.find(frame).is_some())?;
            if self.budget.as_ref().is_some_and(RepairBudget::is_exhausted) {
                // Where more is lost than may be sent again, newer frames are worth more.
                self.repairs.clear();
                return None;
            }
            let (repairs, budget, mut run) = (&mut self.repairs, &mut self.budget, None);
            self.pacer.take(max.min(waiting), true, now, |granted| {
                let grant = |frame, slice| budget.as_mut().is_none_or(|budget| budget.grant(frame, slice));
                run = repairs.take(granted, grant);
                run.map_or(0, |run| run.count)
            });
            match run {
                Some(run) => break run,
                None if self.pacer.is_refused() => return None,
                // None of it may be sent again, and it is off the queue.
                None => {}
            }
        };
        let id = (self.config.stream, self.config.epoch);
        let head = RunHead::Slice(self.outbox.find(run.frame)?.header(id, run.first, self.next_sequence, true));
        self.stats.slices_resent += u64::from(run.count);
        Some((run.frame, head, run.count))
    }

    /// Slices of the oldest frame that is not sent whole, or of its parity.
    fn poll_new(&mut self, publication: &mut Publication, max: u32, now: Time) -> Option<(u64, RunHead, u32)> {
        let outgoing = self.outbox.current()?;
        let (number, first, left) = (outgoing.number(), outgoing.next, outgoing.count() - outgoing.next);
        if number >= self.frame_limit.value()
            || (first == 0 && (self.is_held(now) || !self.may_begin(now) || !self.is_in_phase(number, now)))
        {
            return None;
        }
        if left == 0 {
            return self.poll_parity(publication, max, now);
        }
        let worth = self.worth_sending(max);
        let choose = |granted| worth.of(first, granted, first + left);
        let count = self.pacer.take(max.min(left), false, now, choose);
        if count == 0 {
            return None;
        }
        let percent = self.fec.percent(&self.config, now);
        let (id, sequence) = ((self.config.stream, self.config.epoch), self.next_sequence);
        let outgoing = self.outbox.current()?;
        if first == 0 {
            outgoing.note_begun(now);
            if let Some(gate) = &mut self.gate {
                gate.handle_begun(number, now);
            }
        }
        outgoing.next += count;
        if count == left && percent > 0 {
            outgoing.parity = Parity::Wanted(percent);
        }
        if let Some(budget) = &mut self.budget {
            budget.handle_new(count);
        }
        Some((number, RunHead::Slice(outgoing.header(id, first, sequence, false)), count))
    }

    /// What decides how many slices are worth sending where credit lets `max` leave.
    fn worth_sending(&self, max: u32) -> Worth {
        let train = self.pacer.train();
        // Room is the caller's affair; only credit is worth waiting for, and only where it will be enough.
        let window = self.sequence_limit.value().saturating_sub(self.sequence_seen.value());
        let may_wait = u64::from(max) == self.credit() && self.in_flight() && window >= 2 * u64::from(train);
        Worth { train, may_wait }
    }

    /// Parity of the frame whose slices have all left.
    fn poll_parity(&mut self, publication: &mut Publication, max: u32, now: Time) -> Option<(u64, RunHead, u32)> {
        let outgoing = self.outbox.current()?;
        let number = outgoing.number();
        match outgoing.parity {
            Parity::Wanted(percent) => {
                outgoing.parity = Parity::Due(percent);
                return None;
            }
            Parity::Due(percent) => {
                self.outbox.release_parity();
                let outgoing = self.outbox.current()?;
                let cut = self.config.cut();
                let percents = Percents { wanted: percent, most: self.fec.percent_max(&self.config) };
                let made = publication.parity().of(&outgoing.published, cut, percents);
                outgoing.parity = made.map_or(Parity::None, |made| Parity::Leaving(OutgoingParity::new(made)));
            }
            Parity::None | Parity::Leaving(_) => {}
        }
        let Parity::Leaving(parity) = &self.outbox.find(number)?.parity else {
            self.note_sent(number, now);
            return self.poll_new(publication, max, now);
        };
        let (first, end) = parity.progress();
        let worth = self.worth_sending(max);
        let choose = |granted| worth.of(first, granted, end);
        let count = self.pacer.take(max.min(end - first), false, now, choose);
        if count == 0 {
            return None;
        }
        let (id, sequence) = ((self.config.stream, self.config.epoch), self.next_sequence);
        let outgoing = self.outbox.current()?;
        let (captured, cut) = (outgoing.captured(), outgoing.cut());
        let Parity::Leaving(parity) = &mut outgoing.parity else { return None };
        let head = RunHead::Parity(parity.header(id, (&outgoing.published, captured), &cut, sequence));
        parity.handle_sent(count);
        self.stats.slices_parity += u64::from(count);
        Some((number, head, count))
    }

    /// Whether the next frame waits for what is more than one frame's affair.
    fn is_held(&mut self, now: Time) -> bool {
        // Slices become larger as soon as those on their way have arrived.
        self.wider.is_some() || self.is_measuring(now)
    }

    /// Whether the next frame is held so that the round trip is measured without it: where slices queue on the way all the time,
    /// each sample has their queue in it, and in time nothing would tell how long the way is.
    fn is_measuring(&mut self, now: Time) -> bool {
        if !self.way.is_unconfirmed(now) {
            self.draining = None;
            return false;
        }
        let (round_trip, interval) = (self.way.round_trip(), self.config.interval());
        let is_empty = match &self.gate {
            // A camera whose frames follow each other within a round trip never leaves the way empty, and would lose some.
            Some(gate) if !gate.is_slow() && round_trip > interval && !interval.is_zero() => {
                gate.queued(self.sequence_seen.value(), round_trip, now) == 0
            }
            _ => !self.in_flight(),
        };
        let since = *self.draining.get_or_insert(now);
        if is_empty || now.since(since) >= DRAIN_MAX {
            self.draining = None;
            self.way.handle_confirming(now);
            self.ping_first = true;
        }
        true
    }

    /// Whether the next frame may be begun now.
    fn may_begin(&mut self, now: Time) -> bool {
        let round_trip = self.way.measured().unwrap_or_default();
        if self.gate.is_some() && self.outbox.on_the_way() >= self.share {
            return false;
        }
        let oldest = self.outbox.first_number();
        let (Some(gate), Some(outgoing)) = (&mut self.gate, self.outbox.current()) else { return true };
        let all_settled = oldest == Some(outgoing.number());
        gate.queued(self.sequence_seen.value(), round_trip, now) <= FrameGate::nearly_none(outgoing.count())
            && gate.lets(outgoing.number(), outgoing.frame().info().captured, all_settled, now)
    }

    /// Whether it is the moment at which frames are to be begun. For one that others wait behind it always is: nothing that had to wait would be made up for, were there
    /// one moment a frame.
    fn is_in_phase(&mut self, number: u64, now: Time) -> bool {
        if self.outbox.len() - self.outbox.on_the_way() > 1 {
            return true;
        }
        let far_ns = self.way.clock().far(now);
        self.phase.as_mut().is_none_or(|phase| phase.lets(number, self.config.interval(), far_ns, now))
    }

    /// Notes how far the frame has been sent, unless these are repairs.
    fn note_progress(&mut self, number: u64, head: RunHead, count: u32, now: Time) {
        debug_assert!(count > 0);
        let is_repair = matches!(head, RunHead::Slice(header) if header.flags & Flags::REPAIR != 0);
        if !is_repair {
            self.note_sent(number, now);
        }
    }

    /// Notes how far a frame has been sent by now.
    fn note_sent(&mut self, number: u64, now: Time) {
        let is_whole = self.outbox.find(number).is_some_and(Outgoing::is_sent);
        if let Some(gate) = &mut self.gate {
            let round_trip = self.way.measured().unwrap_or_default();
            gate.handle_sent(self.next_sequence, is_whole, round_trip, now);
        }
        if is_whole {
            self.note_whole(number, now);
        }
    }

    /// All of a frame has left.
    pub(super) fn note_whole(&mut self, number: u64, now: Time) {
        if self.sent_below.raise(number + 1) {
            self.stats.frames_sent += 1;
        }
        if self.config.delivery == Delivery::Latest && self.outbox.current().is_none() {
            // Nothing follows that would show the receiver that the last slices are missing: tell it.
            self.tail_probe |= self.fec.is_losing(now);
            self.due = self.due.min(now + TAIL_PROBE_AFTER);
        }
    }
}

/// Whether less than a train is worth sending.
#[derive(Debug, Clone, Copy)]
struct Worth {
    train: u32,
    /// Credit for more of it will come.
    may_wait: bool,
}

impl Worth {
    /// How many of the `granted` slices from `first` on are: whole trains, where credit for more of one will come.
    fn of(self, first: u32, granted: u32, end: u32) -> u32 {
        match whole_trains(first, granted, end, self.train) {
            0 if self.may_wait => 0,
            0 => granted.min(end - first),
            count => count,
        }
    }
}

/// How many slices from `first` on may go where `max` could: to the end of a whole train, counted from the start of the
/// frame, or of the frame. 0 where the end of a train is further off.
fn whole_trains(first: u32, max: u32, frame_slices: u32, train: u32) -> u32 {
    let left = frame_slices - first;
    if max >= left { left } else { ((first + max) / train * train).saturating_sub(first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    pub(super) fn runs_end_where_trains_or_the_frame_end() {
        // (first, max, slices of the frame, slices of a train) and how many go.
        let cases = [
            ((0, 44, 100, 44), 44),
            ((0, 90, 100, 44), 88),
            ((0, 43, 100, 44), 0),
            ((44, 44, 100, 44), 44),
            ((88, 12, 100, 44), 12),
            ((88, 11, 100, 44), 0),
            ((50, 44, 100, 44), 38),
            ((50, 37, 100, 44), 0),
            ((0, 7, 100, 1), 7),
        ];
        for ((first, max, slices, train), count) in cases {
            assert_eq!(whole_trains(first, max, slices, train), count, "{first}, {max}, {slices}, {train}");
        }
    }
}
