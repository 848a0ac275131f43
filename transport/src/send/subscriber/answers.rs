//! What the receiver says.

use super::{RETRY_MAX, RETRY_MIN, Subscriber, WINDOW_MAX};
use crate::charge::charged_bytes;
use crate::send::config::{ClosedReport, SendState};
use crate::send::fec::Way;
use crate::send::gate::FrameGate;
use crate::send::repair::RepairRun;
use crate::time::Time;
use crate::wire::{
    Accept, AnyPrelude, Challenge, Closed, Delivery, Feedback, Kind, Nack, Prelude, Refuse, RefuseReason, WireError,
};

impl Subscriber {
    /// Takes in a datagram from the receiver.
    pub fn handle_datagram(&mut self, bytes: &[u8], now: Time) {
        if self.try_handle(bytes, now).is_err() {
            self.stats.rejected += 1;
        }
    }

    fn try_handle(&mut self, bytes: &[u8], now: Time) -> Result<(), WireError> {
        let prelude = match Prelude::parse(bytes) {
            Err(WireError::Version(version)) => return self.handle_other_version(bytes, version),
            prelude => prelude?,
        };
        if prelude.stream != self.config.stream {
            return Err(WireError::Value("stream"));
        }
        match prelude.kind {
            // These two come from who has no keys, and only cause a question.
            Kind::Challenge | Kind::Refuse => {}
            _ if self.is_protected() => return self.handle_sealed(prelude, bytes, now),
            _ => {}
        }
        self.handle_answer(prelude, bytes, now)
    }

    pub(super) fn check_epoch(&self, prelude: Prelude) -> Result<(), WireError> {
        if prelude.epoch == self.config.epoch { Ok(()) } else { Err(WireError::Value("epoch")) }
    }

    /// Takes in what the receiver says; what had to be sealed has been opened.
    pub(super) fn handle_answer(&mut self, prelude: Prelude, bytes: &[u8], now: Time) -> Result<(), WireError> {
        self.check_epoch(prelude)?;
        match prelude.kind {
            Kind::Challenge => self.handle_challenge(&Challenge::parse(bytes)?, now),
            Kind::Accept => self.handle_accept(&Accept::parse(bytes)?, now),
            Kind::Refuse => self.handle_refuse(&Refuse::parse(bytes)?, now),
            Kind::Feedback => self.handle_feedback(&Feedback::parse(bytes)?, now),
            Kind::Nack => {
                let nack = Nack::parse(bytes)?;
                self.handle_nack(&nack, nack.bitmap(bytes)?, now);
            }
            Kind::Closed => self.handle_closed(&Closed::parse(bytes)?, now),
            Kind::Slice | Kind::Parity | Kind::Ping | Kind::Open | Kind::Close => {
                return Err(WireError::Kind(prelude.kind as u8));
            }
        }
        Ok(())
    }

    /// The far end speaks another version of the protocol: a refusal, whatever else it says.
    fn handle_other_version(&mut self, bytes: &[u8], version: u8) -> Result<(), WireError> {
        let AnyPrelude { stream, epoch, .. } = Prelude::parse_any_version(bytes)?;
        if !self.is_opening() || stream != self.config.stream || epoch != self.config.epoch {
            return Err(WireError::Version(version));
        }
        self.refuse(Some(RefuseReason::Version), version.into());
        Ok(())
    }

    fn handle_challenge(&mut self, challenge: &Challenge, now: Time) {
        if !self.is_opening() {
            // One that answers no opening says that our address is another one to the receiver than before.
            if self.state == SendState::Open && challenge.path_bytes == 0 {
                self.doubt(Some(challenge.cookie), now);
            }
            return;
        }
        if self.cookie != challenge.cookie {
            self.cookie = challenge.cookie;
            // A receiver that has another one for every opening would have them asked for as fast as the path goes.
            if self.challenged.is_none_or(|last| now.since(last) >= RETRY_MIN) {
                self.challenged = Some(now);
                self.due = now;
            }
        }
        if !self.hear_of_path(challenge.path_bytes, now) {
            self.ask_again(now);
        }
    }

    /// The receiver is there, but the stream is not open: asks again soon, whatever the pause was before.
    fn ask_again(&mut self, now: Time) {
        self.state = SendState::Opening { attempts: 0 };
        self.due = self.due.min(now + RETRY_MIN);
    }

    fn handle_refuse(&mut self, refuse: &Refuse, now: Time) {
        if self.is_opening() {
            self.refuse(RefuseReason::from_wire(refuse.reason), refuse.limit);
        } else if self.state == SendState::Open {
            // It has been open; whoever is there now does not know it.
            self.doubt(None, now);
        }
    }

    /// The next attempt is to wait, counted from the last one: anybody can say this again and again, and must not keep it off for ever.
    fn refuse(&mut self, reason: Option<RefuseReason>, limit: u64) {
        self.state = SendState::Refused { reason, limit };
        self.due = self.asked + RETRY_MAX;
    }

    pub(super) fn handle_accept(&mut self, accept: &Accept, now: Time) {
        if !self.is_opening() {
            return;
        }
        if self.hear_of_path(accept.path_bytes, now) {
            return;
        }
        if !self.path.is_proven() {
            // The stream could be open, but not yet for slices of this size.
            self.ask_again(now);
            return;
        }
        self.state = SendState::Open;
        self.begins_later = true;
        self.heard = now;
        if accept.delivered == 0 {
            // A receiver that has not had this stream before counts from 0; an earlier one's frames still count.
            self.delivered_before = self.stats.frames_delivered;
        }
        self.way.handle_echo(accept.echo_ns, 0, accept.receiver_ns, now);
        self.receiver_time.hear(accept.receiver_ns, now);
        self.take_credit(accept.frame_limit, accept.sequence_limit);
        // Half of the socket's buffer: the rest is for what the receiving thread has not come to yet.
        let burst = accept.buffer_bytes / 2 / charged_bytes(usize::from(self.config.slice_bytes)) as u32;
        let slices = self.config.cut().slices() + u32::from(self.fec.parity_max(&self.config));
        self.pacer.set_frames(self.config.spread(), slices, burst);
        // A ping right away, whatever else is heard by then, gives the receiver its first sample of our clock, and of the way.
        self.ping_first = true;
    }

    fn handle_feedback(&mut self, feedback: &Feedback, now: Time) {
        if self.state != SendState::Open || feedback.report < self.report_next.value() {
            return;
        }
        // Nothing beyond what has been sent can have been seen or settled.
        if feedback.settled > self.handed || feedback.sequence_seen > self.next_sequence {
            self.stats.rejected += 1;
            return;
        }
        self.report_next.raise(feedback.report.saturating_add(1));
        self.heard = now;
        self.way.handle_echo(feedback.echo_ns, feedback.echo_held_ns, feedback.receiver_ns, now);
        self.receiver_time.hear(feedback.receiver_ns, now);
        let before = (self.frame_limit, self.sequence_limit, self.sequence_seen);
        self.take_credit(feedback.frame_limit, feedback.sequence_limit);
        self.sequence_seen.raise(feedback.sequence_seen);
        if let Some(gate) = &mut self.gate {
            let round_trip = self.way.measured().unwrap_or_default();
            let slices = self.outbox.current().map_or(self.config.cut().slices(), |outgoing| outgoing.count());
            gate.handle_feedback(self.sequence_seen.value(), slices, round_trip, now);
        }
        let way = Way {
            round_trip: self.way.measured().unwrap_or_default(),
            is_slow: self.gate.as_ref().is_some_and(FrameGate::is_slow),
        };
        self.fec.handle_report((self.sequence_seen.value(), feedback.arrived), way, &self.config, now);
        let delivered = self.delivered_before.saturating_add(feedback.delivered).min(self.stats.frames);
        if delivered > self.stats.frames_delivered {
            self.stats.frames_delivered = delivered;
            self.undelivered_since = None;
        }
        let waiting = self.outbox.first_number();
        self.settle(feedback.settled, now);
        let progressed = match self.config.delivery {
            Delivery::Every => before != (self.frame_limit, self.sequence_limit, self.sequence_seen),
            // On a slow link each ping would bring some.
            Delivery::Latest => waiting != self.outbox.first_number(),
        };
        if progressed {
            self.probes = 0;
        }
        self.tail_probe &= self.in_flight();
        self.due = now + self.patience();
        if !self.hear_of_path(feedback.path_bytes, now) {
            self.grow_slices(now);
        }
    }

    fn take_credit(&mut self, frame_limit: u64, sequence_limit: u64) {
        self.frame_limit.raise(frame_limit);
        self.sequence_limit.raise(sequence_limit.min(self.next_sequence + WINDOW_MAX));
    }

    fn handle_nack(&mut self, nack: &Nack, bitmap: &[u8], now: Time) {
        if self.state != SendState::Open {
            return;
        }
        self.heard = now;
        let Some(outgoing) = self.outbox.find(nack.frame) else { return };
        let bits = u32::try_from(bitmap.len() * 8).unwrap_or(u32::MAX);
        let asked = if bitmap.is_empty() { 0..u32::MAX } else { nack.first..nack.first.saturating_add(bits) };
        if self.repairs.overlaps(nack.frame, &asked) {
            return;
        }
        if self.budget.as_ref().is_some_and(|budget| budget.is_exhausted() || !budget.has_left(nack.frame)) {
            return;
        }
        // Only what has been sent once can be sent again.
        let sent = outgoing.next;
        if bitmap.is_empty() {
            self.repairs.push(RepairRun { frame: nack.frame, first: 0, count: sent });
        } else {
            self.repairs.push_bitmap(nack.frame, nack.first, sent, bitmap);
        }
    }

    pub(super) fn handle_closed(&mut self, closed: &Closed, now: Time) {
        if !self.close_sent {
            return;
        }
        self.heard = now;
        // Nothing became of frames that there were not.
        let frames = self.stats.frames;
        let delivered = self.delivered_before.saturating_add(closed.delivered).min(frames);
        let (incomplete, no_slot) = (closed.incomplete.min(frames), closed.no_slot.min(frames));
        self.stats.frames_delivered = self.stats.frames_delivered.max(delivered);
        self.settle(u64::MAX, now);
        self.state = SendState::Closed(ClosedReport { delivered, incomplete, no_slot, is_forgotten: false });
    }
}
