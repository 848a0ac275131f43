//! What a subscriber is told besides: openings, pings and closes, and when.

use std::time::Duration;

use super::{
    CLOCK_PING, CLOSE_RETRY, CONTROL_MAX, DOUBT_AFTER, PROBE_AFTER, RETRY_MAX, RETRY_MIN, SILENCE_MAX, Subscriber,
};
use crate::frame::{FrameRate, Presentation, SampleAspect};
use crate::send::config::{SendConfig, SendState};
use crate::time::Time;
use crate::wire::{Close, Delivery, Open, Ping, utc_fields};

impl Subscriber {
    /// Writes the next datagram of fields that is due; returns its length.
    pub fn poll_transmit(&mut self, now: Time, out: &mut [u8; CONTROL_MAX]) -> Option<usize> {
        if now < self.next_transmit() {
            return None;
        }
        let len = self.write_due(now, out)?;
        self.pacer.handle_control(len, now);
        Some(len)
    }

    fn write_due(&mut self, now: Time, out: &mut [u8]) -> Option<usize> {
        match self.state {
            SendState::Opening { attempts } => {
                self.asked = now;
                self.state = SendState::Opening { attempts: attempts.saturating_add(1) };
                self.due = now + self.backoff(attempts);
                self.put_sealed_opening(&self.open(now), out)
            }
            SendState::Refused { .. } => {
                self.asked = now;
                self.due = now + self.jittered(RETRY_MAX);
                self.put_sealed_opening(&self.open(now), out)
            }
            SendState::Open => self.ping_or_close(now, out),
            SendState::Closed(_) => None,
        }
    }

    pub(super) fn next_transmit(&self) -> Time {
        match self.state {
            SendState::Open if self.tail_probe || self.ping_first => Time::ZERO,
            SendState::Open if self.ping_owed => self.due.min(self.pinged + PROBE_AFTER),
            SendState::Open => self.due.min(self.pinged + CLOCK_PING),
            _ => self.due,
        }
    }

    fn open(&self, now: Time) -> Open {
        let SendConfig { stream, epoch, format, delivery, slice_bytes, deadline, tail_max, clock_id, .. } = self.config;
        let Presentation { rate, scan, aspect, chroma, range } = self.config.presentation;
        // The first receiver of a stream of its own has all to account for that the subscriber was handed, also what was skipped while it was not there yet.
        let (first_frame, skipped, no_credit) = match self.outbox.first_number() {
            _ if !self.begins_later => (self.joined, 0, 0),
            // What was skipped since is newer than the frames that wait: while a stream is not open, that is one.
            Some(oldest) => (oldest, self.stats.frames_skipped - self.skipped_behind, self.stats.frames_no_credit),
            None => (self.handed, self.stats.frames_skipped, self.stats.frames_no_credit),
        };
        let (utc_ns, utc_error_us) = utc_fields(self.utc, now.as_nanos());
        Open {
            stream,
            epoch,
            flags: 0,
            slice_bytes,
            cookie: self.cookie,
            first_frame,
            width: format.width(),
            height: format.height(),
            stride: format.stride(),
            // The format was checked: a frame fits 32 bits.
            frame_bytes: format.frame_bytes() as u32,
            rate_num: rate.map_or(0, FrameRate::num),
            rate_den: rate.map_or(0, FrameRate::den),
            aspect_num: aspect.map_or(0, SampleAspect::num),
            aspect_den: aspect.map_or(0, SampleAspect::den),
            scan: scan as u8,
            chroma: chroma as u8,
            range: range as u8,
            paced: u8::from(self.config.paced && rate.is_some()),
            deadline_us: micros(deadline),
            pixel: format.pixel().code(),
            tail_max,
            parity_max: self.fec.parity_max(&self.config),
            delivery: delivery as u8,
            reserved: 0,
            clock_id,
            sender_ns: now.as_nanos(),
            skipped,
            no_credit,
            utc_ns,
            utc_error_us,
        }
    }

    fn ping_or_close(&mut self, now: Time, out: &mut [u8]) -> Option<usize> {
        let SendConfig { stream, epoch, delivery, .. } = self.config;
        let sent_below = self.outbox.sent_below(self.handed);
        let all_sent = sent_below == self.handed && self.repairs.is_empty();
        let settled = match delivery {
            Delivery::Every => self.outbox.is_empty(),
            Delivery::Latest => all_sent,
        };
        let skipped = self.stats.frames_skipped;
        let no_credit = self.stats.frames_no_credit;
        self.ping_was_first = self.ping_first || self.ping_owed;
        (self.tail_probe, self.ping_first, self.ping_owed) = (false, false, false);
        if self.closing && settled {
            // With a frame on its way, it asks for what that lacks, too.
            self.due =
                now + if self.outbox.is_empty() { self.close_pause(now) } else { self.patience().min(CLOSE_RETRY) };
            self.probes = self.probes.saturating_add(1);
            // In place of the ping that may be due too.
            self.pinged = now;
            self.close_sent = true;
            let close = Close { stream, epoch, flags: 0, reserved: 0, frames: self.handed, skipped, no_credit };
            let len = put(out, &close.emit(), 0);
            return self.seal_control(out, Close::LEN, len);
        }
        self.due = now + self.patience();
        self.probes = self.probes.saturating_add(1);
        self.pinged = now;
        if self.undelivered_since.is_some_and(|since| now.since(since) >= DOUBT_AFTER) {
            // Slices that follow are watched again.
            self.undelivered_since = None;
            self.path.doubt();
        }
        let len = self.path.pad_ping(self.sealed_len(Ping::LEN), now);
        let (echo_ns, echo_held_ns) = self.receiver_time.echo(now);
        let (utc_ns, utc_error_us) = utc_fields(self.utc, now.as_nanos());
        let ping = Ping {
            stream,
            epoch,
            flags: 0,
            // A slice's, at most.
            length: len as u16,
            sender_ns: now.as_nanos(),
            sequence: self.next_sequence,
            frame: sent_below,
            echo_ns,
            echo_held_ns,
            skipped,
            no_credit,
            utc_ns,
            utc_error_us,
        };
        let len = put(out, &ping.emit(), len);
        self.seal_control(out, Ping::LEN, len)
    }

    /// A receiver that is gone is asked more and more seldom.
    fn close_pause(&self, now: Time) -> Duration {
        if now.since(self.heard) < SILENCE_MAX { CLOSE_RETRY } else { RETRY_MAX }
    }

    /// Writes an opening, as long as the path is to be tried with.
    pub(super) fn put_opening(&mut self, out: &mut [u8], bytes: &[u8]) -> usize {
        put(out, bytes, self.path.pad(bytes.len()))
    }

    fn backoff(&mut self, attempts: u32) -> Duration {
        self.jittered((RETRY_MIN * (1 << attempts.min(8))).min(RETRY_MAX))
    }

    /// Half to all of the pause. Xorshift: the spread matters, not the secrecy.
    fn jittered(&mut self, pause: Duration) -> Duration {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let parts = u32::try_from(self.jitter % 512).unwrap_or(0);
        pause / 2 + pause / 1024 * parts
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// Writes `bytes`, and zeroes behind them up to `len`.
fn put(out: &mut [u8], bytes: &[u8], len: usize) -> usize {
    out[..bytes.len()].copy_from_slice(bytes);
    out[bytes.len()..len.max(bytes.len())].fill(0);
    len.max(bytes.len())
}
