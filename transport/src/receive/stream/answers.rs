//! What a receiver says to its sender: that the stream is open, how far it has come and may go, what is missing, and that all is settled.

use super::{CONTROL_MAX, ReceiveStream, Told};
use crate::crypto::SEAL_LEN;
use crate::receive::sealed::Session;
use crate::time::Time;
use crate::wire::{Accept, Closed, Feedback, Open, SealedAccept, SealedOpen, TIME_UNKNOWN};

impl ReceiveStream {
    /// Writes the next datagram for the sender; returns its length.
    pub fn poll_transmit(&mut self, now: Time, out: &mut [u8; CONTROL_MAX]) -> Option<usize> {
        let sequence_limit = self.grant();
        if let Some(echo_ns) = self.pending.accept.take() {
            let accept = self.accept(echo_ns, sequence_limit, now);
            if let Some(len) = self.put_accept(&accept, out) {
                return Some(len);
            }
        }
        let len = self.write_answer(now, out)?;
        match &mut self.session {
            Some(session) => Some(session.seal(out, len)),
            // Nothing is said in clear of what is protected.
            None => (!self.is_protected()).then_some(len),
        }
    }

    fn accept(&mut self, echo_ns: u64, sequence_limit: u64, now: Time) -> Accept {
        Accept {
            stream: self.config.open.stream,
            epoch: self.config.open.epoch,
            flags: 0,
            path_bytes: std::mem::take(&mut self.path_bytes),
            frame_limit: self.reassembler.frame_limit(),
            sequence_limit,
            receiver_ns: now.as_nanos(),
            // A sealed one is said again as it was, and echoes nothing.
            echo_ns: if self.is_protected() { TIME_UNKNOWN } else { echo_ns },
            delivered: self.reassembler.stats().frames_delivered,
            buffer_bytes: u32::try_from(self.config.buffer_bytes).unwrap_or(u32::MAX),
            slots: self.reassembler.slot_count() as u32,
        }
    }

    /// Writes the answer to an opening; with the first one to a protected stream's opening its keys are there.
    fn put_accept(&mut self, accept: &Accept, out: &mut [u8; CONTROL_MAX]) -> Option<usize> {
        let Some(opening) = &self.config.sealed else { return Some(put(out, &accept.emit())) };
        if self.session.is_none() {
            self.session = Session::new(opening, accept);
        }
        let accept = self.session.as_ref()?.accept(accept.path_bytes);
        Some(put(out, &accept.emit()))
    }

    fn write_answer(&mut self, now: Time, out: &mut [u8; CONTROL_MAX]) -> Option<usize> {
        if std::mem::take(&mut self.pending.closed) {
            return Some(put(out, &self.closed().emit()));
        }
        if std::mem::take(&mut self.pending.feedback) {
            return Some(put(out, &self.feedback(now).emit()));
        }
        let (id, round_trip) = ((self.config.open.stream, self.config.open.epoch), self.way.round_trip());
        let len = self.loss.poll_nack(&self.reassembler, id, round_trip, now, out)?;
        self.reassembler.stats_mut().nacks_sent += 1;
        Some(len)
    }

    pub(super) fn closed(&self) -> Closed {
        let Open { stream, epoch, .. } = self.config.open;
        let stats = self.reassembler.stats();
        Closed {
            stream,
            epoch,
            flags: 0,
            reserved: 0,
            delivered: stats.frames_delivered,
            incomplete: stats.frames_incomplete,
            no_slot: stats.frames_no_slot,
        }
    }

    fn feedback(&mut self, now: Time) -> Feedback {
        let (echo_ns, echo_held_ns) = self.sender_time.echo(now);
        let report = self.reports;
        self.reports += 1;
        let frame_limit = self.reassembler.frame_limit();
        let settled = self.reassembler.settled();
        let (sequence_seen, sequence_limit) = (self.sequence_seen.value(), self.grant());
        self.told = Told { sequence_seen, settled, frame_limit };
        Feedback {
            stream: self.config.open.stream,
            epoch: self.config.open.epoch,
            flags: 0,
            path_bytes: std::mem::take(&mut self.path_bytes),
            report,
            settled,
            frame_limit,
            sequence_seen,
            sequence_limit,
            delivered: self.reassembler.stats().frames_delivered,
            arrived: self.arrived,
            receiver_ns: now.as_nanos(),
            echo_ns,
            echo_held_ns,
        }
    }

    /// How far the sender may go, as it is told now.
    fn grant(&mut self) -> u64 {
        self.sequence_limit.raise(self.sequence_limit());
        self.sequence_limit.value()
    }
}

fn put(out: &mut [u8; CONTROL_MAX], bytes: &[u8]) -> usize {
    out[..bytes.len()].copy_from_slice(bytes);
    bytes.len()
}

// An answer is never longer than the opening it answers: a forged one amplifies nothing.
const _: () = assert!(Feedback::LEN + SEAL_LEN <= CONTROL_MAX && Accept::LEN <= Open::LEN);
const _: () = assert!(SealedAccept::LEN <= CONTROL_MAX && SealedAccept::LEN <= SealedOpen::LEN);
