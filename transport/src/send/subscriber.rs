//! What belongs to one receiver of a stream: the protocol's state from the opening to the close, without a socket and without a
//! clock.
//!
//! The driver's loop: give it frames ([`Subscriber::handle_frame`]) and datagrams ([`Subscriber::handle_datagram`]), send
//! what [`Subscriber::poll_transmit`] and [`Subscriber::poll_slices`] yield until there is nothing more, sleep until
//! something comes or [`Subscriber::poll_timeout`].

mod answers;
mod control;

mod doubt;
mod feed;
mod protected;
mod reports;
mod slice_size;
mod slices;

use std::time::Duration;

use self::doubt::Doubt;
use self::protected::Protected;
use super::config::{SendConfig, SendState};
use super::distribution::Thinning;
use super::fec::FecControl;
use super::gate::FrameGate;
use super::outbox::Outbox;
use super::pace::{LinkBudget, Pace, Pacer};
use super::path::PathProbe;
use super::phase::FramePhase;
use super::repair::{RepairBudget, RepairQueue};
use super::stats::SendStats;
use crate::clock::Heard;
use crate::frame::SLOTS_MAX;
use crate::path_model::PathModel;
use crate::rising::Rising;
use crate::time::Time;
use crate::utc::UtcOffset;
use crate::wire::{DATAGRAM_MAX, Delivery};

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

pub use feed::NotTaken;
pub(crate) use reports::REPORTED_BYTES_MIN;

/// One receiver of a [`Publication`](super::Publication), as its source sees it.
#[derive(Debug)]
pub struct Subscriber {
    config: SendConfig,
    state: SendState,
    outbox: Outbox,
    repairs: RepairQueue,
    /// In `every` all is repaired that is asked for, as far as credit goes.
    budget: Option<RepairBudget>,
    /// In `every` frames are begun as far as credit goes.
    gate: Option<FrameGate>,
    pacer: Pacer,
    /// Where frames are to be begun at a moment of their own.
    phase: Option<FramePhase>,
    fec: FecControl,
    stats: SendStats,
    way: PathModel,
    /// Since when no frame is begun, so that the way is empty for a measurement.
    draining: Option<Time>,
    /// In `latest`, how many frames may be on their way.
    share: usize,
    /// In `latest`, how many frames may wait of which nothing has been sent.
    waiting_max: usize,
    /// The number of the last frame that it was handed.
    last_handed: u64,
    /// A frame takes longer to leave than a few newer ones to come.
    is_slow: bool,
    /// Where it gets no more than so many frames a second.
    thinning: Option<Thinning>,
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
    /// The number of the first frame that it was to be handed.
    joined: u64,
    /// The number of the next frame that it will be handed.
    handed: u64,
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
    /// When a challenge with another cookie was last answered at once.
    challenged: Option<Time>,
    /// When the next attempt to open, ping or close is due.
    due: Time,
    /// When the last attempt to open was made.
    asked: Time,
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
    /// Earlier frames are not the next receiver's to account for: another one has had the stream, they were let go, or it joins one that goes on already.
    begins_later: bool,
    /// Something says that the receiver does not know us any more: it is asked, and believed when it does not answer.
    doubted: Option<Doubt>,
    /// This machine's wall clock.
    utc: Option<UtcOffset>,
    closing: bool,
    /// A close has been sent: every frame has been, too.
    close_sent: bool,
    /// The keys, where the stream is protected.
    protected: Option<Protected>,
}

impl Subscriber {
    /// One that begins to open the stream at once, and is handed the publication's frames from `next` on.
    pub(super) fn new(config: SendConfig, next: u64, now: Time) -> Self {
        let config = config.with_slices_that_can_be();
        Self {
            state: SendState::Opening { attempts: 0 },
            outbox: Outbox::new(config.cut()),
            repairs: RepairQueue::new(),
            budget: (config.delivery == Delivery::Latest).then(|| RepairBudget::new(config.cut().slices())),
            gate: (config.delivery == Delivery::Latest).then(|| FrameGate::new(config.interval())),
            pacer: Pacer::new(config.slice_bytes, config.headers_bytes, train(&config)),
            phase: None,
            fec: FecControl::new(config.fec, now),
            stats: SendStats::default(),
            way: PathModel::new(false),
            draining: None,
            share: SLOTS_MAX,
            waiting_max: 1,
            last_handed: next,
            is_slow: false,
            thinning: None,
            ping_first: false,
            ping_was_first: false,
            ping_owed: false,
            path: PathProbe::new(config.slice_bytes, !config.slice_is_fixed),
            wider: None,
            undelivered_since: None,
            is_blocked: false,
            receiver_time: Heard::default(),
            joined: next,
            handed: next,
            skipped_behind: 0,
            delivered_before: 0,
            sent_below: Rising::default(),
            next_sequence: 0,
            frame_limit: Rising::default(),
            sequence_limit: Rising::default(),
            sequence_seen: Rising::default(),
            report_next: Rising::default(),
            cookie: 0,
            challenged: None,
            due: now,
            asked: now,
            heard: now,
            next_report: Time::ZERO,
            reported_bytes: None,
            pinged: now,
            tail_probe: false,
            probes: 0,
            // Any odd number will do; the stream's own makes two senders differ.
            jitter: u64::from(config.stream) << 1 | 1,
            begins_later: false,
            doubted: None,
            utc: None,
            closing: false,
            close_sent: false,
            protected: None,
            config,
        }
    }

    /// What this machine's wall clock shows; `None` where that cannot be said. The receiver is told with the next opening or ping.
    pub fn set_utc(&mut self, utc: Option<UtcOffset>) {
        self.utc = match (self.utc, utc) {
            (Some(known), Some(utc)) => Some(known.compared_again(utc)),
            (_, utc) => utc,
        };
    }

    /// Slices leave no faster than a link, which other streams may share, carries them.
    pub fn set_link(&mut self, link: LinkBudget) {
        self.pacer.set_link(link);
    }

    /// Slices leave, and frames are begun, as was granted, from now on.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pacer.set_rate_max(pace.rate_max, pace.burst_bytes);
        self.phase = pace.phase.map(|phase| FramePhase::new(phase, pace.cycle));
    }

    /// The epoch that a receiver may know.
    pub(crate) fn epoch(&self) -> u32 {
        self.config.epoch
    }

    /// The number that the next frame must have.
    pub fn next_number(&self) -> u64 {
        self.handed
    }

    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.state, SendState::Opening { .. } | SendState::Refused { .. })
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
        if self.state == SendState::Open && now >= self.rekeying_ends() {
            self.restart_from_here(now);
        }
        self.grow_slices(now);
        if let Some(gate) = &mut self.gate {
            gate.handle_timeout(now);
        }
        if let Some(phase) = &mut self.phase {
            phase.handle_timeout(now);
        }
    }

    /// Begins anew: the far end is gone, or has forgotten us.
    fn restart(&mut self, now: Time) {
        if let Some(protected) = &mut self.protected {
            protected.end_epoch(self.config.epoch);
        }
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
        if let Some(thinning) = &mut self.thinning {
            thinning.begin_anew();
        }
    }

    /// The same from the address that the receiver knows: it is that which a cookie is good for.
    fn restart_from_here(&mut self, now: Time) {
        let cookie = self.cookie;
        self.restart(now);
        self.cookie = cookie;
    }

    /// How long to wait for feedback before asking for it: longer each time that asking brought nothing.
    fn patience(&self) -> Duration {
        let all_sent = self.outbox.sent_below(self.handed) == self.handed;
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

    /// When [`Subscriber::handle_timeout`] and [`Subscriber::poll_transmit`] want to be called next.
    pub fn poll_timeout(&self) -> Time {
        match self.state {
            SendState::Open => {
                let held = self.gate.as_ref().map_or(Time::MAX, FrameGate::poll_timeout);
                let held = held.min(self.phase.as_ref().map_or(Time::MAX, FramePhase::poll_timeout));
                let slices = held.min(self.pacer.poll_timeout()).min(self.parity_due());
                let keys = self.rekeying_ends();
                self.next_transmit().min(self.silence_ends()).min(self.doubt_ends()).min(slices).min(keys)
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
    config.cut().train() as u32
}
