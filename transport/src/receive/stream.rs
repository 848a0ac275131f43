//! A receiving stream: the protocol's state from the opening to the close, without a socket and without a clock.
//!
//! The driver's loop: [`ReceiveStream::predict`] → have datagrams land → [`ReceiveStream::handle_datagram`] for each →
//! [`ReceiveStream::end_batch`] → take frames with [`ReceiveStream::poll_frame`] and answers with
//! [`ReceiveStream::poll_transmit`] until there are none, and what [`ReceiveStream::poll_stray`] has for the listener → sleep
//! until a datagram comes or [`ReceiveStream::poll_timeout`].

mod answers;
mod opening;

use std::time::Duration;

pub use self::opening::StrayOpening;
use super::closed::LastWord;
use super::config::{AcceptError, EndReason, ReassemblerConfig, ReceiveConfig};
use super::loss::LossDetector;
use super::parity::parity_room_bytes;
use super::placement::LandingRun;
use super::reassembler::Reassembler;
use super::sealed::Session;
use super::source::SourceAccount;
use super::stats::{ReceiveStats, Rejected, SourceCounts};
use super::window::window;
use crate::clock::Heard;
use crate::crypto::{SEAL_LEN, Suite};
use crate::frame::{Arrival, Frame, FrameFormat, FramePool, Presentation};
use crate::path_model::PathModel;
use crate::rising::Rising;
use crate::time::Time;
use crate::wire::{
    AnyOpen, Close, Closed, Cut, Delivery, Flags, Kind, NACK_BITMAP_MAX, Nack, Open, PIPELINED_SHARE, ParityHeader,
    Ping, Prelude, SealedOpen, SliceHeader, WireError, fields_len,
};

/// Room for any datagram that a receiver sends.
pub const CONTROL_MAX: usize = Nack::LEN + NACK_BITMAP_MAX + SEAL_LEN;
/// The longest fields of a datagram that a sender sends and that is no slice.
const FIELDS_MAX: usize = SealedOpen::LEN;
/// A sender says something at least four times a second; one that is silent for this long is gone.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Frames without an interval of their own are given up after this, in `latest`.
const DEADLINE_WITHOUT_INTERVAL: Duration = Duration::from_millis(100);
/// A deadline shorter than this would give up frames that the scheduler merely delayed.
const DEADLINE_MIN: Duration = Duration::from_millis(20);
/// Feedback a window: so fine that a sender never runs dry while one is on its way.
const FEEDBACK_PER_WINDOW: u64 = 4;
/// In `latest`, at least so many feedbacks a frame.
const FEEDBACK_PER_FRAME: u32 = 2 * PIPELINED_SHARE;

/// The receiving end of one stream.
#[derive(Debug)]
pub struct ReceiveStream {
    config: ReceiveConfig,
    /// Bytes of the largest slice that there is memory for.
    largest_slice: usize,
    delivery: Delivery,
    format: FrameFormat,
    presentation: Presentation,
    reassembler: Reassembler,
    loss: LossDetector,
    way: PathModel,
    sender_time: Heard,
    window: u64,
    deadline: Duration,
    first_frame: u64,
    sequence_seen: Rising,
    /// Slices below it may be sent: what was granted stays so, whatever the window is afterwards.
    sequence_limit: Rising,
    /// Slices and parity slices of this epoch that have come.
    arrived: u64,
    /// Bytes that may be taken for parity: those that were reserved when the stream was opened.
    parity_room_bytes: usize,
    /// Bytes of the longest opening or ping since the last answer.
    path_bytes: u16,
    reports: u64,
    /// What the sender was last told, to see when it should be told more.
    told: Told,
    pending: Pending,
    /// Frames below this number had left the sender at this time: in `latest`, those that have not come a deadline later
    /// will not.
    sent: Option<(u64, Time)>,
    closing: Option<Close>,
    /// When the sender last told of its wall clock, nanoseconds on its monotonic one.
    utc_told: Rising,
    /// An opening for the listener.
    stray: Option<StrayOpening>,
    source: SourceAccount,
    heard: Time,
    ended: Option<EndReason>,
    /// The keys of the present epoch of a protected stream, from when its opening is answered.
    session: Option<Session>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Told {
    sequence_seen: u64,
    settled: u64,
    frame_limit: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pending {
    /// An accept that echoes this time.
    accept: Option<u64>,
    feedback: bool,
    /// A close that waits for its answer until every frame is settled.
    close: bool,
    closed: bool,
}

impl ReceiveStream {
    /// Accepts an opening. Slots come from `pool`, which must have [`Reassembler::slot_bytes`] in each.
    ///
    /// # Errors
    /// Fields of the opening that cannot be, or no memory.
    pub fn new(config: ReceiveConfig, pool: FramePool, now: Time) -> Result<Self, AcceptError> {
        let open = &config.open;
        let format = open.format()?;
        let presentation = open.presentation()?;
        let delivery = open.delivery()?;
        let cut = config.cut();
        let mut reassembler = Reassembler::new(
            ReassemblerConfig {
                format,
                cut,
                delivery,
                first_frame: open.first_frame,
                parity_max: open.parity_max,
                partial: config.partial,
                batch_max: config.batch_max,
            },
            pool,
        )?;
        reassembler.set_utc(open.utc());
        let interval = open.interval();
        Ok(Self {
            delivery,
            format,
            presentation,
            reassembler,
            loss: LossDetector::new(delivery, open.parity_max),
            way: PathModel::new(open.clock_id != 0 && open.clock_id == config.clock_id),
            sender_time: Heard::default(),
            window: window(open, &cut, config.buffer_bytes, None),
            deadline: match (open.deadline_us, interval.is_zero()) {
                (0, true) => DEADLINE_WITHOUT_INTERVAL,
                (0, false) => interval.max(DEADLINE_MIN),
                (chosen, _) => Duration::from_micros(u64::from(chosen)),
            },
            first_frame: open.first_frame,
            sequence_seen: Rising::default(),
            sequence_limit: Rising::default(),
            arrived: 0,
            parity_room_bytes: parity_room_bytes(&cut, open.parity_max),
            path_bytes: path_bytes(config.open_bytes),
            reports: 0,
            told: Told::default(),
            pending: Pending { accept: Some(open.sender_ns), ..Pending::default() },
            sent: None,
            closing: None,
            utc_told: Rising::new(open.sender_ns),
            stray: None,
            source: SourceAccount::new(open.skipped, open.no_credit),
            heard: now,
            ended: None,
            session: None,
            largest_slice: cut.largest_slice(),
            config,
        })
    }

    /// The format of every frame.
    pub fn format(&self) -> &FrameFormat {
        &self.format
    }

    /// What happens to frames that are not complete in time.
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Bytes of the largest slice, header included, in this epoch.
    pub fn slice_bytes(&self) -> u16 {
        self.config.open.slice_bytes
    }

    /// How the frames of this epoch are cut.
    pub fn cut(&self) -> &Cut {
        self.reassembler.cut()
    }

    /// The sender's run.
    pub fn epoch(&self) -> u32 {
        self.config.open.epoch
    }

    /// Every frame below this number is settled.
    pub fn settled(&self) -> u64 {
        self.reassembler.settled()
    }

    /// When the sender was last heard.
    pub fn heard(&self) -> Time {
        self.heard
    }

    /// How a protected stream's slices are sealed; `None` where they are not, or its opening has not been answered yet.
    pub fn suite(&self) -> Option<Suite> {
        self.session.as_ref().map(Session::suite)
    }

    /// Whether only what is sealed is believed.
    fn is_protected(&self) -> bool {
        self.config.sealed.is_some()
    }

    /// What was said to the sender at the close, for whoever answers it when this is gone; `None` for a stream that was not closed.
    pub fn last_word(&mut self) -> Option<LastWord> {
        if self.ended != Some(EndReason::Closed) {
            return None;
        }
        let closed = self.closed();
        Some(match &mut self.session {
            Some(session) => LastWord::sealed(&closed, |datagram| session.seal(datagram, Closed::LEN)),
            None => LastWord::new(&closed),
        })
    }

    /// The system grants another receive buffer, bytes.
    pub fn set_buffer_bytes(&mut self, buffer_bytes: usize) {
        self.config.buffer_bytes = buffer_bytes;
        self.window = window(&self.config.open, self.cut(), buffer_bytes, self.way.measured());
    }

    /// Slices that the sender may have on their way.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Predicts where the next datagrams belong; see [`ReceiveStream::landings`].
    pub fn predict(&mut self, max: usize) {
        self.reassembler.predict(max);
    }

    /// Where the datagrams' payloads are to land, in order: what follows the first [`Cut::head_bytes`] bytes of each.
    pub fn landings(&self) -> impl Iterator<Item = (&Arrival, LandingRun)> {
        self.reassembler.landings()
    }

    /// How many datagrams the prediction has a spot for.
    pub fn predicted(&self) -> usize {
        self.reassembler.predicted()
    }

    /// Puts what follows a datagram's head at a spot of the prediction, as the kernel would: for networks that are not
    /// sockets.
    pub fn land(&mut self, spot: usize, payload: &[u8]) {
        self.reassembler.land(spot, payload);
    }

    /// Takes in a datagram of `len` bytes: `head` are its first bytes (up to [`Cut::head_bytes`]), the others landed at
    /// `spot` of the prediction.
    pub fn handle_datagram(&mut self, spot: usize, head: &[u8], len: usize, now: Time) {
        if let Err(rejected) = self.try_handle(spot, head, len, now) {
            self.reassembler.stats_mut().rejected.count(rejected);
        }
    }

    fn try_handle(&mut self, spot: usize, head: &[u8], len: usize, now: Time) -> Result<(), Rejected> {
        let malformed = |_: WireError| Rejected::Malformed;
        let prelude = Prelude::parse(head).map_err(malformed)?;
        if prelude.stream != self.config.open.stream && prelude.kind != Kind::Open {
            return Err(Rejected::Stream);
        }
        if prelude.kind == Kind::Slice {
            let slice = SliceHeader::parse_checked(head, len, self.cut()).map_err(malformed)?;
            self.check_slice((slice.epoch, slice.sequence), (spot, head, len))?;
            self.heard = now;
            let was_overtaken = self.see(slice.sequence);
            self.reassembler.handle_slice(&slice, spot, now);
            if was_overtaken && slice.flags & Flags::REPAIR == 0 {
                self.loss.handle_overtaken(slice.frame, slice.index, now);
            }
            return Ok(());
        }
        if prelude.kind == Kind::Parity {
            let parity = ParityHeader::parse_checked(head, len, self.cut()).map_err(malformed)?;
            self.check_slice((parity.epoch, parity.sequence), (spot, head, len))?;
            self.heard = now;
            self.see(parity.sequence);
            self.reassembler.handle_parity(&parity, spot, now);
            return Ok(());
        }
        // Other datagrams are short; their tail landed where a payload was expected.
        let mut bytes = [0; FIELDS_MAX];
        let head_len = head.len().min(self.cut().head_bytes());
        bytes[..head_len].copy_from_slice(&head[..head_len]);
        if len > head_len {
            let tail = len.min(bytes.len());
            self.reassembler.read_landed(spot, &mut bytes[head_len..tail]);
        }
        let bytes = &mut bytes[..len.min(FIELDS_MAX)];
        // Of one that is longer than what lands here the rest was cut off: it is as long as it says.
        let was_cut = len > self.cut().head_bytes() + self.reassembler.landing_bytes(spot);
        let whole = |says: u16| if was_cut { len.max(usize::from(says)) } else { len };
        match prelude.kind {
            Kind::Open => {
                let open = AnyOpen::parse(bytes).map_err(malformed)?;
                self.handle_open(&open, whole(open.slice_bytes()), now)
            }
            Kind::Ping => {
                self.open_control(prelude, bytes)?;
                let ping = Ping::parse_checked(bytes).map_err(malformed)?;
                // No more than there is memory for: the sender takes it for the size of its slices. Nor more than it says itself, for no seal
                // covers what is behind it.
                let len = whole(ping.length).min(ping.length.into()).min(self.largest_slice);
                self.handle_ping(&ping, path_bytes(len), now);
                Ok(())
            }
            Kind::Close => {
                self.open_control(prelude, bytes)?;
                self.handle_close(&Close::parse_checked(bytes).map_err(malformed)?, now);
                Ok(())
            }
            _ => Err(Rejected::Malformed),
        }
    }

    /// A slice, or a parity slice, whose fields agree: whether it is of this epoch and within what was granted, and on a protected
    /// stream sealed by the sender. Its payload lies open from then on; of one that is refused nothing is believed, and what lay where it
    /// landed is gone.
    fn check_slice(
        &mut self,
        (epoch, sequence): (u32, u64),
        (spot, head, len): (usize, &[u8], usize),
    ) -> Result<(), Rejected> {
        self.check_epoch(epoch)?;
        if sequence >= self.sequence_limit() {
            return Err(Rejected::Ahead);
        }
        if !self.is_protected() {
            return Ok(());
        }
        let session = self.session.as_mut().ok_or(Rejected::Forged)?;
        let payload = len - self.reassembler.cut().head_bytes();
        let opened = |payload: &mut [u8]| session.open_slice(sequence, head, payload);
        self.reassembler.change_landed(spot, payload, opened).ok_or(Rejected::Size)?
    }

    /// On a protected stream, opens a datagram of fields where it lies.
    fn open_control(&mut self, prelude: Prelude, bytes: &mut [u8]) -> Result<(), Rejected> {
        self.check_epoch(prelude.epoch)?;
        if !self.is_protected() {
            return Ok(());
        }
        let session = self.session.as_mut().ok_or(Rejected::Forged)?;
        let fields = fields_len(prelude.kind, bytes).ok_or(Rejected::Malformed)?;
        session.open_control(bytes, fields)
    }

    /// A slice has come: whether it is of use or not, it has left the socket buffer. Tells whether one that left later had
    /// come before.
    fn see(&mut self, sequence: u64) -> bool {
        self.arrived += 1;
        !self.sequence_seen.raise(sequence + 1)
    }

    /// What was granted stays so, though the window may have become smaller.
    fn sequence_limit(&self) -> u64 {
        self.sequence_limit.value().max(self.sequence_seen.value().saturating_add(self.window))
    }

    fn check_epoch(&self, epoch: u32) -> Result<(), Rejected> {
        if epoch == self.config.open.epoch { Ok(()) } else { Err(Rejected::Epoch) }
    }

    fn handle_ping(&mut self, ping: &Ping, path_bytes: u16, now: Time) {
        self.heard = now;
        self.path_bytes = self.path_bytes.max(path_bytes);
        self.sender_time.hear(ping.sender_ns, now);
        // One that was overtaken tells of a wall clock that may have been set since.
        if self.utc_told.raise(ping.sender_ns) {
            self.reassembler.set_utc(ping.utc());
        }
        self.way.handle_echo(ping.echo_ns, ping.echo_held_ns, ping.sender_ns, now);
        self.window = window(&self.config.open, self.cut(), self.config.buffer_bytes, self.way.measured());
        // A ping travels behind the slices it speaks of: what has not arrived by now has been lost or overtaken.
        if ping.sequence <= self.sequence_limit() {
            self.sequence_seen.raise(ping.sequence);
            if let Some(session) = &mut self.session {
                session.note_sent(ping.sequence);
            }
        }
        if ping.frame <= self.reassembler.frame_limit() {
            self.loss.handle_sent(ping.frame);
            if ping.frame > self.reassembler.settled() {
                self.sent.get_or_insert((ping.frame, now));
            }
        }
        self.source.handle_report(self.reassembler.stats(), ping.frame, ping.skipped, ping.no_credit);
        self.pending.feedback = true;
    }

    fn handle_close(&mut self, close: &Close, now: Time) {
        self.heard = now;
        self.closing = Some(*close);
        self.source.handle_report(self.reassembler.stats(), close.frames, close.skipped, close.no_credit);
        self.pending.close = true;
        self.loss.handle_sent(close.frames.min(self.reassembler.frame_limit()));
        // In `latest`, what does not come within a deadline from now never will.
        if close.frames > self.reassembler.settled() && self.sent.is_none_or(|(frame, _)| frame < close.frames) {
            self.sent = Some((close.frames, now));
        }
        self.pending.feedback = true;
    }

    /// Ends the batch: frames that are complete can be polled, and answers too. The caller must hold no landing lease
    /// of this batch any more.
    pub fn end_batch(&mut self, now: Time) {
        let clock = self.way.clock();
        self.reassembler.end_batch(now, |far_ns| clock.near(far_ns));
        self.update();
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.delivery == Delivery::Latest {
            let clock = self.way.clock();
            self.reassembler.expire(now, self.deadline, |far_ns| clock.near(far_ns));
            if let Some((frame, heard)) = self.sent
                && now.since(heard) >= self.deadline
            {
                self.sent = None;
                self.reassembler.settle_unseen(frame);
            }
        }
        self.update();
    }

    /// Ends a stream whose sender has been silent too long. To be called only when no datagram is waiting: after this
    /// process was stopped for a while, what the sender said in the meantime comes first.
    pub fn handle_idle(&mut self, now: Time) {
        if now.since(self.heard) >= SILENCE_MAX {
            self.ended.get_or_insert(EndReason::Silent);
        }
    }

    fn update(&mut self) {
        let settled = self.reassembler.settled();
        // What is settled is no longer waited for.
        self.sent = self.sent.filter(|(frame, _)| *frame > settled);
        if self.pending.close && self.closing.is_some_and(|close| settled >= close.frames) {
            self.pending.close = false;
            self.pending.closed = true;
            self.ended.get_or_insert(EndReason::Closed);
        }
        let settled = self.reassembler.settled();
        self.reassembler.stats_mut().frames_passed = settled - self.first_frame.min(settled);
        self.source.handle_passed(self.reassembler.stats());
        let slices = self.sequence_seen.value() - self.told.sequence_seen;
        let step = match self.delivery {
            Delivery::Every => self.window / FEEDBACK_PER_WINDOW,
            // A sender begins a frame when the one before it has nearly arrived: it should know in time.
            Delivery::Latest => {
                (self.window / FEEDBACK_PER_WINDOW).min(u64::from(self.cut().slices() / FEEDBACK_PER_FRAME))
            }
        }
        .max(1);
        // Room that has opened matters to a sender that may be waiting for it.
        let starved =
            self.told.frame_limit <= self.reassembler.seen() && self.reassembler.frame_limit() > self.told.frame_limit;
        if slices >= step || settled > self.told.settled || starved {
            self.pending.feedback = true;
        }
    }

    /// The next finished frame.
    pub fn poll_frame(&mut self) -> Option<Frame> {
        self.reassembler.poll_frame()
    }

    /// When [`ReceiveStream::handle_timeout`] and [`ReceiveStream::poll_transmit`] want to be called next, if no datagram
    /// comes first.
    pub fn poll_timeout(&mut self, now: Time) -> Time {
        let silent = if self.ended.is_some() { Time::MAX } else { self.heard + SILENCE_MAX };
        let nack = self.loss.poll_timeout(&self.reassembler, self.way.round_trip(), now);
        let deadline = match self.delivery {
            Delivery::Latest => {
                let oldest = self.reassembler.oldest_unfinished();
                let given_up = oldest.map(|(_, oldest)| oldest.given_up_at(self.deadline));
                let sent = self.sent.map(|(_, heard)| heard + self.deadline);
                given_up.into_iter().chain(sent).min()
            }
            Delivery::Every => None,
        };
        [nack, deadline].into_iter().flatten().fold(silent, Time::min)
    }

    /// Whether the sender may be waiting for a slot: tell it as soon as one is free.
    pub fn is_starved(&self) -> bool {
        self.told.frame_limit <= self.reassembler.seen()
    }

    /// Why the stream is over, once it is. A closed stream goes on answering the sender's repeated closes.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// The system has dropped this many datagrams for this stream in all, because its socket's buffer was full.
    pub fn set_socket_drops(&mut self, datagrams: u64) {
        self.reassembler.stats_mut().socket_drops = datagrams;
    }

    /// What the sender says of the frames that did not come.
    pub fn source(&self) -> SourceCounts {
        self.source.counts()
    }

    /// What the source says of its pictures.
    pub fn presentation(&self) -> &Presentation {
        &self.presentation
    }

    /// What has happened so far.
    pub fn stats(&self) -> &ReceiveStats {
        self.reassembler.stats()
    }
}

fn path_bytes(datagram_bytes: usize) -> u16 {
    u16::try_from(datagram_bytes).unwrap_or(u16::MAX)
}

const _: () = assert!(Ping::LEN + SEAL_LEN <= FIELDS_MAX && Open::LEN <= FIELDS_MAX);
