//! A stream at one server: what is said there, and what is sent.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use framewire_figures::counts::FramesDropped;
use framewire_figures::summary::ServerFigures;
use framewire_process::exit::{Failure, say};
use framewire_process::progress::REFRESH;
use framewire_process::stop::Stop;
use framewire_signal::message::Grant;
use framewire_transport::frame::Frame;
use framewire_transport::{Bitrate, ClosedReport, Delivery, Pace, SendError, SendState, Sender, SenderConfig};

use super::talk::{Said, Talk, Wish};
use super::thinning::Thinning;

/// How long the receiver may take to confirm the end; then the figures of this side stand alone.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// Where nothing is to be lost, so many frames of a source that has several servers are on their way to each: one that has gone holds
/// no more of the source's slots than that.
pub(super) const ON_THEIR_WAY_MAX: u64 = 6;
/// How long such a server is waited for at a time.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Where a source's frames go to one server. The thread that reads the source sends by it, another one speaks with the server.
pub(super) struct Outlet {
    /// As people are told of it.
    pub(super) server: String,
    delivery: Delivery,
    sender: OnceLock<Sender>,
    given_up: OnceLock<Failure>,
    thinning: Mutex<Thinning>,
    /// Nobody wants its frames.
    is_idle: AtomicBool,
    /// From one frame to the next, where that is known.
    interval: Option<Duration>,
    /// Frames of a stream that is to lose none, which passed while the server was not there.
    missed: AtomicU64,
    /// Those that had not gone there yet when somebody asked to stop.
    left: AtomicU64,
}

impl Outlet {
    pub(super) fn new(server: String, delivery: Delivery, interval: Option<Duration>) -> Self {
        Self {
            server,
            delivery,
            sender: OnceLock::new(),
            given_up: OnceLock::new(),
            thinning: Mutex::default(),
            is_idle: AtomicBool::new(false),
            interval,
            missed: AtomicU64::new(0),
            left: AtomicU64::new(0),
        }
    }

    /// What sends, once the server has opened the stream.
    pub(super) fn sender(&self) -> Option<&Sender> {
        self.sender.get()
    }

    /// Why nothing more goes there, where that is so.
    pub(super) fn given_up(&self) -> Option<&Failure> {
        self.given_up.get()
    }

    pub(super) fn give_up(&self, failure: Failure) {
        let _first = self.given_up.set(failure);
    }

    /// Whether nobody wants its frames.
    pub(super) fn is_idle(&self) -> bool {
        self.is_idle.load(Ordering::Acquire)
    }

    fn thinning(&self) -> MutexGuard<'_, Thinning> {
        self.thinning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Speaks with the server until `done`: opens the stream, and says what comes of it. `look` is called now and then.
    pub(super) fn keep_up(
        &self,
        talk: &mut Talk,
        limit: Option<Duration>,
        config: impl FnOnce() -> SenderConfig,
        (stop, done): (&Stop, &Stop),
        mut look: impl FnMut(&Talk),
    ) {
        match self.open(talk, limit, config, (stop, done), &mut look) {
            Ok(true) => {}
            Ok(false) => return,
            Err(failure) => return self.give_up(failure),
        }
        let Some(sender) = self.sender() else { return };
        look(talk);
        while !done.is_stopped() && self.given_up().is_none() {
            talk.listen(sender);
            talk.wishes().into_iter().for_each(|wish| self.heed(wish, sender));
            if let Some(refused) = talk.take_refused() {
                self.give_up(refused);
            }
            look(talk);
        }
    }

    /// False where it came to nothing before the end.
    fn open(
        &self,
        talk: &mut Talk,
        limit: Option<Duration>,
        config: impl FnOnce() -> SenderConfig,
        until: (&Stop, &Stop),
        look: impl FnMut(&Talk),
    ) -> Result<bool, Failure> {
        let Some(way) = talk.wait_until_opened(limit, until, look)? else { return Ok(false) };
        let config = config().share(way.invitation.clone()).key(way.key.clone()).protection(way.protection);
        let sender = Sender::connect(way.peer, config).map_err(Failure::runtime)?;
        talk.tell_of_protection(&way, sender.path());
        self.heed(Wish::Grant(way.grant), &sender);
        Ok(self.sender.set(sender).is_ok())
    }

    /// Does as the server wants it. Of what is to lose nothing no frame is left out: it goes slower.
    fn heed(&self, wish: Wish, sender: &Sender) {
        match wish {
            Wish::Idle(is_idle) => {
                if self.is_idle.swap(is_idle, Ordering::AcqRel) != is_idle {
                    tracing::info!(server = %self.server, is_idle, "whether anybody wants the stream");
                }
                self.thinning().set_idle(is_idle, self.interval);
            }
            Wish::Grant(grant) => {
                let grant = grant.filter(Grant::is_usable);
                sender.set_pace(pace(grant));
                self.thinning().grant(grant.and_then(|grant| grant.frames_per_second));
                if let Some(grant) = grant {
                    tracing::info!(server = %self.server, ?grant, "granted");
                }
            }
        }
    }

    /// Whether frames go there now.
    pub(super) fn is_there(&self) -> bool {
        self.given_up().is_none() && self.sender().is_some_and(|sender| sender.state() == SendState::Open)
    }

    /// Whether the next frame is one that the server wants. Where nothing is to be lost, all are.
    pub(super) fn wants_next(&self, now: Instant) -> bool {
        let restarts = || self.sender().map(|sender| sender.stats().restarts).unwrap_or_default();
        self.delivery == Delivery::Every || self.thinning().passes_to(self.is_there(), restarts(), now)
    }

    /// A frame was there that did not go there.
    pub(super) fn skip(&self) {
        if let (Some(sender), None) = (self.sender(), self.given_up()) {
            sender.skip();
        }
    }

    /// Sends a frame that goes to several. One of which nothing is lost is waited for while it is there; any other waits for nobody.
    ///
    /// # Errors
    /// The stream cannot go on there.
    pub(super) fn send(&self, frame: &Frame, now: Instant, stop: &Stop) -> Result<(), Failure> {
        let sender = self.sender().filter(|_| self.given_up().is_none());
        let Some(sender) = sender.filter(|sender| self.delivery == Delivery::Latest || self.has_room(sender, stop))
        else {
            self.miss(stop);
            return Ok(());
        };
        if !self.wants_next(now) {
            sender.skip();
            return Ok(());
        }
        sender.send_shared(frame.clone()).map(drop).map_err(Failure::runtime)
    }

    /// It does not get the frame. Whoever asks to stop has it so: that is none that it lacks.
    fn miss(&self, stop: &Stop) {
        if self.delivery == Delivery::Latest {
            return;
        }
        if stop.is_stopped() {
            self.left.fetch_add(1, Ordering::Relaxed);
        } else if self.missed.fetch_add(1, Ordering::Relaxed) == 0 {
            say(format_args!(
                "framewire-client: {} is not there, and the others are: frames go on without it, which it lacks",
                self.server
            ));
        }
    }

    /// Waits until few enough frames are on their way there; false where it is gone, or somebody asks to stop meanwhile.
    fn has_room(&self, sender: &Sender, stop: &Stop) -> bool {
        loop {
            if !self.is_there() {
                return false;
            }
            let stats = sender.stats();
            if stats.frames.saturating_sub(stats.frames_delivered) < ON_THEIR_WAY_MAX {
                return true;
            }
            match sender.wait_until_settled(LOOK_AGAIN) {
                Ok(()) => return true,
                Err(_) if stop.is_stopped() => return false,
                Err(_) => {}
            }
        }
    }

    /// Ends the stream. Without an answer, or when somebody asked to stop, the figures of this side stand alone.
    ///
    /// # Errors
    /// The stream could not go on.
    pub(super) fn close(&self, is_one_of_several: bool, stop: &Stop) -> Result<Option<ClosedReport>, Failure> {
        let Some(sender) = self.sender() else { return Ok(None) };
        // A file's last frames wait as long as the server is away, unless somebody loses patience, or others have them.
        let begun = Instant::now();
        let is_over = self.given_up().is_some();
        let may_wait = |begun: Instant| !is_one_of_several || self.is_there() || begun.elapsed() < CLOSE_WAIT;
        while self.delivery == Delivery::Every && !is_over && !stop.is_stopped() && may_wait(begun) {
            match sender.wait_until_settled(REFRESH) {
                Ok(()) => break,
                Err(SendError::Unanswered { .. } | SendError::NoSharedMemory { .. }) => {}
                Err(error) => return Err(Failure::runtime(error)),
            }
        }
        let wait = if stop.is_stopped() || is_over { Duration::from_secs(1) } else { CLOSE_WAIT };
        match sender.close(wait) {
            Ok(report) => Ok(Some(report)),
            // One that was open, and has no place for now: nobody answers for it.
            Err(SendError::Refused { reason: Some(reason), .. })
                if reason.is_for_now() && sender.stats().frames_delivered > 0 =>
            {
                Ok(None)
            }
            Err(SendError::Unanswered { .. } | SendError::NoSharedMemory { .. }) if stop.is_stopped() => Ok(None),
            Err(error @ (SendError::Unanswered { .. } | SendError::NoSharedMemory { .. })) => {
                tracing::warn!("{error}");
                Ok(None)
            }
            Err(error) => Err(Failure::runtime(error)),
        }
    }

    /// What became of the frames that were there for it.
    pub(super) fn account(&self, report: Option<ClosedReport>, said: &Said) -> ServerFigures {
        let (missed, server) = (self.missed() + self.left.load(Ordering::Relaxed), self.server.clone());
        let mut dropped = FramesDropped { skipped_at_source: missed, ..FramesDropped::default() };
        let Some(sender) = self.sender() else {
            return ServerFigures { server, frames_sent: missed, frames_dropped: dropped, ..ServerFigures::default() };
        };
        let stats = sender.stats();
        let delivered = report.map_or(stats.frames_delivered, |report| report.delivered);
        dropped.skipped_at_source += stats.frames_skipped - stats.frames_no_credit;
        dropped.no_credit = stats.frames_no_credit;
        if let Some(report) = report.filter(|report| !report.is_forgotten) {
            dropped.incomplete = report.incomplete;
            dropped.no_slot = report.no_slot;
        }
        let frames_sent = stats.frames + missed;
        dropped.lost = frames_sent.saturating_sub(delivered + dropped.total());
        let turns = said.turns(delivered);
        ServerFigures { server, frames_sent, frames_delivered: delivered, frames_dropped: dropped, turns }
    }

    /// Of frames that were to arrive, those that passed while the server was not there.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

/// How fast a stream may be sent that has this of a link; as fast as that goes, where it is not shared out.
fn pace(grant: Option<Grant>) -> Pace {
    let Some(grant) = grant else { return Pace::new() };
    let bits = grant.bits_per_second.clamp(Bitrate::MIN.bits_per_second(), Bitrate::MAX.bits_per_second());
    let micros = |micros: Option<u32>| micros.map(|micros| Duration::from_micros(micros.into()));
    Pace::new()
        .rate_max(Bitrate::from_bits_per_second(bits))
        .burst_bytes(grant.burst_bytes)
        .phase(micros(grant.phase_us))
        .cycle(micros(grant.cycle_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_kept_to_also_where_its_numbers_are_beyond_what_a_sender_can_do() {
        assert_eq!(pace(None), Pace::new());
        let granted = pace(Some(Grant::new(7, 80_000_000, 50_000).phase_us(4_000).cycle_us(5_000)));
        assert_eq!(granted.rate_max.map(Bitrate::bits_per_second), Some(80_000_000));
        assert_eq!((granted.burst_bytes, granted.phase), (Some(50_000), Some(Duration::from_millis(4))));
        assert_eq!(granted.cycle, Some(Duration::from_millis(5)));
        for (bits, expected) in [(1, Bitrate::MIN), (u64::MAX, Bitrate::MAX)] {
            assert_eq!(pace(Some(Grant::new(7, bits, 1))).rate_max, Some(expected));
        }
    }

    #[test]
    fn frames_that_pass_while_a_server_is_not_there_are_in_its_account_where_none_is_to_be_lost() {
        let of = |delivery| {
            let (outlet, stop) = (Outlet::new("http://a".into(), delivery, None), Stop::new());
            (0..3).for_each(|_| outlet.miss(&stop));
            let figures = outlet.account(None, &Said::default());
            (figures.frames_sent, figures.frames_delivered, figures.frames_dropped.skipped_at_source)
        };
        assert_eq!((of(Delivery::Every), of(Delivery::Latest)), ((3, 0, 3), (0, 0, 0)));
    }

    #[test]
    fn a_frame_that_had_not_gone_there_when_somebody_asked_to_stop_is_in_its_account_and_none_that_it_lacks() {
        let (outlet, stop) = (Outlet::new("http://a".into(), Delivery::Every, None), Stop::new());
        stop.interrupt();
        outlet.miss(&stop);
        let figures = outlet.account(None, &Said::default());
        assert_eq!((figures.frames_sent, figures.frames_dropped.skipped_at_source, outlet.missed()), (1, 1, 0));
    }
}
