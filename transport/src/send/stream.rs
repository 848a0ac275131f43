//! A sending stream: the protocol's state from the opening to the close, without a socket and without a clock.
//!
//! The driver's loop: give it frames ([`SendStream::handle_frame`]) and datagrams ([`SendStream::handle_datagram`]), send
//! what [`SendStream::poll_transmit`] and [`SendStream::poll_slices`] yield until there is nothing more, sleep until
//! something comes or [`SendStream::poll_timeout`].

mod control;
mod doubt;
mod reports;
mod slices;

use std::time::Duration;

use self::doubt::Doubt;
use super::config::{ClosedReport, SendConfig, SendState};
use super::fec::{FecControl, Way};
use super::gate::FrameGate;
use super::outbox::{Dropped, Outbox};
use super::pace::{LinkBudget, Pacer};
use super::path::{PathProbe, Verdict, next_lower};
use super::repair::{RepairBudget, RepairQueue, RepairRun};
use super::slots::slots_wanted;
use super::stats::SendStats;
use crate::charge::charged_bytes;
use crate::clock::Heard;
use crate::frame::Frame;
use crate::path_model::PathModel;
use crate::rising::Rising;
use crate::time::Time;
use crate::wire::{
    Accept, AnyPrelude, Challenge, Closed, DATAGRAM_MAX, Delivery, Feedback, Kind, Nack, Prelude, Refuse, RefuseReason,
    WireError, train_slices,
};

/// Room for any datagram of fields that a sender sends: they may be as long as a slice, to try the path.
pub const CONTROL_MAX: usize = DATAGRAM_MAX;
/// A sender that has nothing to send says so four times a second.
const KEEP_ALIVE: Duration = Duration::from_millis(250);
/// With slices on their way and no feedback for this long (or twice the round trip), the sender asks.
const PROBE_AFTER: Duration = Duration::from_millis(5);
/// In `latest`, the same after a frame that no other follows at once.
const TAIL_PROBE_AFTER: Duration = Duration::from_millis(1);
/// So many follow at that pace (or a quarter of the round trip) while no answer shows the frame to be settled; then the
/// pause doubles.
const TAIL_PROBES: u32 = 32;
/// Clocks drift by some microseconds a second.
const CLOCK_PING: Duration = Duration::from_secs(1);
/// A receiver that answers nothing for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// With slices on their way and no frame delivered for this long, the path may have become too narrow for them.
const DOUBT_AFTER: Duration = Duration::from_millis(500);
/// A way that is still not empty after this is measured as it is.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// The pause between attempts to open, doubled from the first to the second, with up to half of it taken off at random
/// so that senders do not come back all at once.
const RETRY_MIN: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_millis(500);
/// A close is repeated after this, until it is answered.
const CLOSE_RETRY: Duration = Duration::from_millis(50);
/// More credit than this at once is not believed.
const WINDOW_MAX: u64 = 1 << 16;

pub(crate) use reports::REPORTED_BYTES_MIN;

/// The sending end of one stream.
#[derive(Debug)]
pub struct SendStream {
    config: SendConfig,
    state: SendState,
    outbox: Outbox,
    repairs: RepairQueue,
    /// In `every` all is repaired that is asked for, as far as credit goes.
    budget: Option<RepairBudget>,
    /// In `every` frames are begun as far as credit goes.
    gate: Option<FrameGate>,
    pacer: Pacer,
    fec: FecControl,
    stats: SendStats,
    way: PathModel,
    /// Since when no frame is begun, so that the way is empty for a measurement.
    draining: Option<Time>,
    /// A ping goes ahead of the next frame.
    ping_first: bool,
    /// The last ping was that one.
    ping_was_first: bool,
    /// That one did not leave, and is still to go.
    ping_owed: bool,
    path: PathProbe,
    /// Larger slices that the path was found to carry, and when.
    wider: Option<(u16, Time)>,
    /// Since when slices have been sent without a frame having been delivered.
    undelivered_since: Option<Time>,
    /// The path carries no slices as small as they may be.
    is_blocked: bool,
    receiver_time: Heard,
    next_number: u64,
    /// Frames that the source could not write since the newest one that it could.
    skipped_behind: u64,
    /// Frames that earlier receivers reported complete.
    delivered_before: u64,
    /// Frames below this have been sent whole, in this epoch or an earlier one.
    sent_below: Rising,
    next_sequence: u64,
    frame_limit: Rising,
    sequence_limit: Rising,
    sequence_seen: Rising,
    /// Feedback below this number was overtaken.
    report_next: Rising,
    cookie: u64,
    /// When the next attempt to open, ping or close is due.
    due: Time,
    heard: Time,
    /// Reports before this are not asked about.
    next_report: Time,
    /// What the network has reported that the path carries; to be proven.
    reported_bytes: Option<u16>,
    /// When the last ping was sent: the clocks are compared once a second at least, however busy the stream is.
    pinged: Time,
    /// A ping is to follow a frame at once, whatever is heard of the slices before its last ones.
    tail_probe: bool,
    /// Pings in a row that brought no progress.
    probes: u32,
    jitter: u64,
    /// A receiver has had the stream, in this epoch or an earlier one.
    was_open: bool,
    /// Something says that the receiver does not know us any more: it is asked, and believed when it does not answer.
    doubted: Option<Doubt>,
    closing: bool,
    /// A close has been sent: every frame has been, too.
    close_sent: bool,
}

impl SendStream {
    /// A stream that begins to open at once.
    pub fn new(config: SendConfig, now: Time) -> Self {
        let config = config.with_slices_that_can_be();
        Self {
            state: SendState::Opening { attempts: 0 },
            outbox: Outbox::new(config.slice_bytes),
            repairs: RepairQueue::new(),
            budget: (config.delivery == Delivery::Latest).then(|| RepairBudget::new(config.frame_slices())),
            gate: (config.delivery == Delivery::Latest).then(|| FrameGate::new(config.interval())),
            pacer: Pacer::new(config.slice_bytes, config.headers_bytes, train(&config)),
            fec: FecControl::new(config.fec, now),
            stats: SendStats::default(),
            way: PathModel::new(false),
            draining: None,
            ping_first: false,
            ping_was_first: false,
            ping_owed: false,
            path: PathProbe::new(config.slice_bytes, !config.slice_is_fixed),
            wider: None,
            undelivered_since: None,
            is_blocked: false,
            receiver_time: Heard::default(),
            next_number: 0,
            skipped_behind: 0,
            delivered_before: 0,
            sent_below: Rising::default(),
            next_sequence: 0,
            frame_limit: Rising::default(),
            sequence_limit: Rising::default(),
            sequence_seen: Rising::default(),
            report_next: Rising::default(),
            cookie: 0,
            due: now,
            heard: now,
            next_report: Time::ZERO,
            reported_bytes: None,
            pinged: now,
            tail_probe: false,
            probes: 0,
            // Any odd number will do; the stream's own makes two senders differ.
            jitter: u64::from(config.stream) << 1 | 1,
            was_open: false,
            doubted: None,
            closing: false,
            close_sent: false,
            config,
        }
    }

    /// Slices leave no faster than a link, which other streams may share, carries them.
    pub fn set_link(&mut self, link: LinkBudget) {
        self.pacer.set_link(link);
    }

    /// The number that the next frame must have.
    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Takes a frame, whose `info().number` is [`SendStream::next_number`] and whose length is the format's. In `latest`
    /// it replaces frames of which nothing has been sent yet.
    ///
    /// # Errors
    /// The frame itself, while as many frames wait as a pool can have slots; try again after the next feedback. Also where its
    /// number or its length is another.
    #[expect(
        clippy::result_large_err,
        reason = "the frame goes back to whom it came from; a box would be an allocation"
    )]
    pub fn handle_frame(&mut self, frame: Frame, now: Time) -> Result<(), Frame> {
        if frame.info().number != self.next_number || frame.len() != self.config.format.frame_bytes() {
            return Err(frame);
        }
        self.drop_replaceable();
        if self.outbox.is_full() {
            return Err(frame);
        }
        self.next_number += 1;
        self.skipped_behind = 0;
        self.stats.frames += 1;
        let number = frame.info().number;
        self.outbox.push(frame);
        if self.state == SendState::Open && (self.credit() == 0 || number >= self.frame_limit.value()) {
            // The word that there is room again may have been lost while there was nothing to send.
            self.due = self.due.min(now + self.patience());
        }
        Ok(())
    }

    /// Counts a frame that the source could not even write, because no slot was free; it gets a number of its own. In
    /// `every`, where the source waits instead, it does nothing.
    pub fn skip_frame(&mut self) {
        if self.config.delivery == Delivery::Every {
            // Every number is waited for at the other end; a frame that is not sent gets none.
            return;
        }
        self.next_number += 1;
        self.stats.frames += 1;
        self.stats.frames_skipped += 1;
        self.skipped_behind += 1;
    }

    /// In `latest`, drops the frames of which nothing has been sent, so that their slots can take newer ones.
    pub fn drop_replaceable(&mut self) {
        if self.config.delivery == Delivery::Latest {
            let dropped = self.outbox.drop_unsent(self.sent_below.value());
            self.note_dropped(dropped);
            // Less than a train waits for more.
            let least = train(&self.config).min(self.config.frame_slices());
            if self.state == SendState::Open && self.credit() < u64::from(least) {
                self.stats.frames_no_credit += dropped.unbegun;
            }
        }
    }

    fn note_dropped(&mut self, dropped: Dropped) {
        self.stats.frames_skipped += dropped.unbegun;
        self.stats.frames_abandoned += dropped.begun;
    }

    /// Slots that a source needs which finds none of its `held` ones free. Those that hold no frame of the stream are the program's
    /// own: where they are all that there is, none comes back before it gets another.
    pub fn slots_wanted(&self, held: usize) -> usize {
        let own = held.saturating_sub(self.outbox.len());
        let is_camera = self.config.delivery == Delivery::Latest && !self.config.interval().is_zero();
        let on_the_way = is_camera.then(|| self.outbox.on_the_way());
        let round_trip = self.way.measured().unwrap_or_default();
        slots_wanted(self.config.format.frame_bytes(), self.config.interval(), round_trip, on_the_way).max(own + 1)
    }

    /// Takes in a datagram from the receiver.
    pub fn handle_datagram(&mut self, bytes: &[u8], now: Time) {
        if self.try_handle(bytes, now).is_err() {
            self.stats.rejected += 1;
        }
    }

    fn try_handle(&mut self, bytes: &[u8], now: Time) -> Result<(), WireError> {
        let prelude = match Prelude::parse(bytes) {
            Err(WireError::Version(version)) => return self.handle_other_version(bytes, version, now),
            prelude => prelude?,
        };
        if prelude.stream != self.config.stream {
            return Err(WireError::Value("stream"));
        }
        if prelude.epoch != self.config.epoch {
            return Err(WireError::Value("epoch"));
        }
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
    fn handle_other_version(&mut self, bytes: &[u8], version: u8, now: Time) -> Result<(), WireError> {
        let AnyPrelude { stream, epoch, .. } = Prelude::parse_any_version(bytes)?;
        if !self.is_opening() || stream != self.config.stream || epoch != self.config.epoch {
            return Err(WireError::Version(version));
        }
        self.state = SendState::Refused { reason: Some(RefuseReason::Version), limit: version.into() };
        self.due = now + RETRY_MAX;
        Ok(())
    }

    fn is_opening(&self) -> bool {
        matches!(self.state, SendState::Opening { .. } | SendState::Refused { .. })
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
            self.due = now;
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

    /// Takes in how long the datagram was that is being answered. True where the path is too narrow: a new epoch began.
    fn hear_of_path(&mut self, path_bytes: u16, now: Time) -> bool {
        let verdict = self.path.hear(path_bytes, self.way.round_trip(), now);
        if self.path.is_proven() {
            // What the network reported was wrong, or is not so any more.
            self.reported_bytes = None;
        }
        self.handle_verdict(verdict, now)
    }

    /// As [`SendStream::hear_of_path`], for what was made of an answer, or of the lack of one.
    fn handle_verdict(&mut self, verdict: Verdict, now: Time) -> bool {
        match verdict {
            Verdict::None => {}
            Verdict::AskOn => self.due = now,
            Verdict::Wide(_) if self.closing => {}
            Verdict::Wide(slice_bytes) => self.wider = Some((slice_bytes, now)),
            Verdict::Narrow => {
                let slice_bytes = self.config.slice_bytes;
                let reported = self.reported_bytes.take().filter(|reported| *reported < slice_bytes);
                self.lower_slices(reported.or(next_lower(slice_bytes)), now);
                return true;
            }
        }
        false
    }

    /// Goes on with smaller slices: frames that are not settled are cut anew.
    fn lower_slices(&mut self, slice_bytes: Option<u16>, now: Time) {
        match slice_bytes {
            Some(slice_bytes) if !self.config.slice_is_fixed => {
                self.cut_slices(slice_bytes, now);
                self.path.handle_lowered(slice_bytes, now);
            }
            _ => self.is_blocked = true,
        }
    }

    /// Goes on with larger slices, where the path was found to carry them: in `every` at once, for what is not settled is sent
    /// again; in `latest` between two frames, for what is on its way would be lost.
    fn grow_slices(&mut self, now: Time) {
        let Some((slice_bytes, since)) = self.wider else { return };
        let is_between = self.config.delivery == Delivery::Every || self.outbox.on_the_way() == 0;
        if self.state == SendState::Open && (is_between || now.since(since) >= DRAIN_MAX) {
            self.cut_slices(slice_bytes, now);
            self.path.handle_grown(slice_bytes, now);
        }
    }

    /// Begins a new epoch with slices of another size.
    fn cut_slices(&mut self, slice_bytes: u16, now: Time) {
        self.config.slice_bytes = slice_bytes;
        // It is the address that a cookie is good for.
        let cookie = self.cookie;
        self.restart(now);
        self.cookie = cookie;
        self.outbox.cut_anew(slice_bytes);
        self.pacer = self.pacer.for_slices(slice_bytes, self.config.headers_bytes, train(&self.config));
        if self.budget.is_some() {
            self.budget = Some(RepairBudget::new(self.config.frame_slices()));
        }
    }

    /// Bytes of a slice, header included, in this epoch.
    pub fn slice_bytes(&self) -> u16 {
        self.config.slice_bytes
    }

    /// Whether the path carries no slices as small as they may be: there is no way on.
    pub fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    fn handle_refuse(&mut self, refuse: &Refuse, now: Time) {
        if self.is_opening() {
            self.state = SendState::Refused { reason: RefuseReason::from_wire(refuse.reason), limit: refuse.limit };
            self.due = now + RETRY_MAX;
        } else if self.state == SendState::Open {
            // It has been open; whoever is there now does not know it.
            self.doubt(None, now);
        }
    }

    fn handle_accept(&mut self, accept: &Accept, now: Time) {
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
        self.was_open = true;
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
        let slices = self.config.frame_slices() + u32::from(self.fec.parity_max(&self.config));
        self.pacer.set_frames(self.config.spread(), slices, burst);
        // A ping right away, whatever else is heard by then, gives the receiver its first sample of our clock, and of the way.
        self.ping_first = true;
    }

    fn handle_feedback(&mut self, feedback: &Feedback, now: Time) {
        if self.state != SendState::Open || feedback.report < self.report_next.value() {
            return;
        }
        // Nothing beyond what has been sent can have been seen or settled.
        if feedback.settled > self.next_number || feedback.sequence_seen > self.next_sequence {
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
            gate.handle_feedback(self.sequence_seen.value(), self.config.frame_slices(), round_trip, now);
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

    /// Frames below `settled` are done with.
    fn settle(&mut self, settled: u64, now: Time) {
        if let Some(outgoing) = self.outbox.current()
            && outgoing.next == outgoing.count
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

    fn handle_closed(&mut self, closed: &Closed, now: Time) {
        if !self.close_sent {
            return;
        }
        self.heard = now;
        let Closed { delivered, incomplete, no_slot, .. } = *closed;
        let delivered = self.delivered_before.saturating_add(delivered).min(self.stats.frames);
        self.stats.frames_delivered = self.stats.frames_delivered.max(delivered);
        self.settle(u64::MAX, now);
        self.state = SendState::Closed(ClosedReport { delivered, incomplete, no_slot, is_forgotten: false });
    }

    /// The receiver is known to be ready: asks at once where the stream is not open.
    pub fn retry(&mut self, now: Time) {
        if self.is_opening() {
            self.due = now;
        }
    }

    /// No frame follows: once every frame is settled, the stream closes.
    pub fn close(&mut self, now: Time) {
        if !self.closing {
            self.closing = true;
            self.wider = None;
            self.due = now;
        }
    }

    /// Whether the stream is closing or closed: frames are not taken any more.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.state == SendState::Open && now >= self.doubt_ends() {
            self.believe_doubt(now);
        }
        if self.state == SendState::Open && now >= self.silence_ends() {
            self.restart(now);
        }
        self.grow_slices(now);
        if let Some(gate) = &mut self.gate {
            gate.handle_timeout(now);
        }
    }

    /// Begins anew: the far end is gone, or has forgotten us.
    fn restart(&mut self, now: Time) {
        self.config.epoch = self.config.epoch.wrapping_add(1);
        self.state = SendState::Opening { attempts: 0 };
        self.probes = 0;
        self.tail_probe = false;
        (self.ping_first, self.ping_was_first, self.ping_owed) = (false, false, false);
        self.draining = None;
        self.path.doubt();
        self.wider = None;
        self.undelivered_since = None;
        self.stats.restarts += 1;
        self.repairs.clear();
        self.cookie = 0;
        self.doubted = None;
        self.next_sequence = 0;
        self.sequence_seen = Rising::default();
        self.sequence_limit = Rising::default();
        self.frame_limit = Rising::default();
        self.report_next = Rising::default();
        self.due = now;
        if self.config.delivery == Delivery::Latest {
            let dropped = self.outbox.keep_newest(self.sent_below.value());
            self.note_dropped(dropped);
        }
        self.outbox.rewind();
        if let Some(budget) = &mut self.budget {
            budget.start_epoch();
        }
        self.fec.start_epoch(now);
        if self.gate.is_some() {
            self.gate = Some(FrameGate::new(self.config.interval()));
        }
    }

    /// How long to wait for feedback before asking for it: longer each time that asking brought nothing.
    fn patience(&self) -> Duration {
        let all_sent = self.outbox.sent_below(self.next_number) == self.next_number;
        if self.config.delivery == Delivery::Latest && all_sent && !self.outbox.is_empty() {
            // Within a frame's time at an even pace: a burst of losses that takes some of them is over at the next.
            let doublings = self.probes.saturating_sub(TAIL_PROBES).min(8);
            ((self.way.round_trip() / 4).max(TAIL_PROBE_AFTER) * (1 << doublings)).min(KEEP_ALIVE)
        } else if self.in_flight() || !self.outbox.is_empty() {
            ((self.way.round_trip() * 2).max(PROBE_AFTER) * (1 << self.probes.min(6))).min(KEEP_ALIVE)
        } else if self.closing {
            CLOSE_RETRY
        } else {
            KEEP_ALIVE
        }
    }

    fn in_flight(&self) -> bool {
        self.sequence_seen.value() < self.next_sequence
    }

    /// Slices that the receiver lets leave now.
    fn credit(&self) -> u64 {
        self.sequence_limit.value().saturating_sub(self.next_sequence)
    }

    /// The first slice after an idle time: an answer is expected sooner than the keep-alive.
    fn expect_answer(&mut self, first_in_flight: bool, now: Time) {
        self.undelivered_since.get_or_insert(now);
        if first_in_flight {
            self.probes = 0;
            self.due = self.due.min(now + (self.way.round_trip() * 2).max(PROBE_AFTER));
        }
    }

    /// When [`SendStream::handle_timeout`] and [`SendStream::poll_transmit`] want to be called next.
    pub fn poll_timeout(&self) -> Time {
        match self.state {
            SendState::Open => {
                let held = self.gate.as_ref().map_or(Time::MAX, FrameGate::poll_timeout);
                let slices = held.min(self.pacer.poll_timeout()).min(self.parity_due());
                self.next_transmit().min(self.silence_ends()).min(self.doubt_ends()).min(slices)
            }
            SendState::Closed(_) => Time::MAX,
            _ => self.due,
        }
    }

    /// At once, where parity is to be made and may be sent.
    fn parity_due(&self) -> Time {
        let is_due = self.outbox.is_parity_due() && self.repairs.is_empty() && self.credit() > 0 && !self.is_blocked;
        if is_due { Time::ZERO } else { Time::MAX }
    }

    /// Where the stream stands.
    pub fn state(&self) -> SendState {
        self.state
    }

    /// Whether every frame that was taken is settled.
    pub fn is_settled(&self) -> bool {
        self.outbox.is_empty()
    }

    /// The shortest round trip of late.
    pub fn round_trip(&self) -> Duration {
        self.way.round_trip()
    }

    /// What has happened so far.
    pub fn stats(&self) -> &SendStats {
        &self.stats
    }
}

/// Slices that leave together.
fn train(config: &SendConfig) -> u32 {
    // At most TRAIN_SLICES_MAX.
    train_slices(usize::from(config.slice_bytes)) as u32
}
