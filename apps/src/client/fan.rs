//! The servers that one source's frames go to.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use framewire_process::exit::Failure;
use framewire_process::progress::REFRESH;
use framewire_process::stop::Stop;
use framewire_transport::frame::{FrameMut, FramePool, SLOTS_MAX};
use framewire_transport::{Delivery, FrameFormat, Time};

use super::outlet::{ON_THEIR_WAY_MAX, Outlet};

/// Slots for what is being written, and for what the window or a slow system keeps.
const SLOTS_OF_SOURCE: usize = 4;
/// How long the others are waited for where nothing is to be lost and one server is there.
const OTHERS_WAIT: Duration = Duration::from_secs(3);

/// The outlets of a source. With one of them, frames are written where it sends them from, which may be the server's own memory; with several,
/// into slots that all of them send from.
pub(super) struct Fan {
    pub(super) outlets: Vec<Outlet>,
    pool: Option<FramePool>,
    delivery: Delivery,
    /// Told when an outlet has opened, or was given up.
    news: Condvar,
    news_lock: Mutex<()>,
}

impl Fan {
    /// # Errors
    /// No memory for what several send from.
    pub(super) fn new(outlets: Vec<Outlet>, format: FrameFormat, delivery: Delivery) -> Result<Self, Failure> {
        let slots = (SLOTS_OF_SOURCE + outlets.len() * ON_THEIR_WAY_MAX as usize).min(SLOTS_MAX);
        let pool = (outlets.len() > 1).then(|| FramePool::for_format(slots, format)).transpose();
        let pool = pool.map_err(Failure::runtime)?;
        Ok(Self { outlets, pool, delivery, news: Condvar::new(), news_lock: Mutex::new(()) })
    }

    pub(super) fn is_of_several(&self) -> bool {
        self.pool.is_some()
    }

    /// An outlet has something new: those who wait look again.
    pub(super) fn tell(&self) {
        drop(self.news_lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.news.notify_all();
    }

    /// Nobody wants any frame, as far as servers have said.
    pub(super) fn is_idle(&self) -> bool {
        let mut asked =
            self.outlets.iter().filter(|outlet| outlet.sender().is_some() && outlet.given_up().is_none()).peekable();
        asked.peek().is_some() && asked.all(Outlet::is_idle)
    }

    /// Waits until somebody wants frames again, or asks to stop.
    pub(super) fn wait_until_wanted(&self, stop: &Stop) {
        while self.is_idle() && !stop.is_stopped() && !self.is_over() {
            self.wait_for_news();
        }
    }

    fn wait_for_news(&self) {
        let lock = self.news_lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.news.wait_timeout(lock, REFRESH / 8).unwrap_or_else(PoisonError::into_inner));
    }

    /// Nothing goes anywhere any more.
    pub(super) fn is_over(&self) -> bool {
        self.outlets.iter().all(|outlet| outlet.given_up().is_some())
    }

    /// Why, where that is so.
    pub(super) fn failure(&self) -> Option<Failure> {
        let first = self.outlets.first().and_then(Outlet::given_up);
        first.filter(|_| self.is_over()).cloned()
    }

    /// Waits until there is a server to send to; where nothing is to be lost, a while longer for the others, which have frames from the first one on
    /// then. False where nobody is there, and none will be.
    pub(super) fn wait_until_begun(&self, stop: &Stop) -> bool {
        let mut first = None;
        loop {
            if stop.is_stopped() || self.is_over() {
                return false;
            }
            let waits = self.delivery == Delivery::Every && self.is_of_several();
            let is_ready = |outlet: &Outlet| if waits { outlet.is_there() } else { outlet.sender().is_some() };
            if self.outlets.iter().any(is_ready) {
                let since = *first.get_or_insert_with(Instant::now);
                let is_decided = |outlet: &Outlet| is_ready(outlet) || outlet.given_up().is_some();
                if !waits || since.elapsed() >= OTHERS_WAIT || self.outlets.iter().all(is_decided) {
                    return true;
                }
            }
            self.wait_for_news();
        }
    }

    /// A slot for the next frame; `None` where there is none within this time.
    ///
    /// # Errors
    /// The one stream cannot go on.
    pub(super) fn frame_timeout(&self, timeout: Duration) -> Result<Option<FrameMut>, Failure> {
        match &self.pool {
            Some(pool) => Ok(pool.acquire_timeout(timeout)),
            None => match self.outlets.first().and_then(Outlet::sender) {
                Some(sender) => sender.frame_timeout(timeout).map_err(Failure::runtime),
                None => Ok(None),
            },
        }
    }

    /// Counts a frame that there was no slot for.
    pub(super) fn skip(&self) {
        self.outlets.iter().for_each(Outlet::skip);
    }

    /// Sends a frame to all that want it.
    ///
    /// # Errors
    /// The one stream cannot go on. Of several, the one that cannot is given up and told of.
    pub(super) fn send(&self, mut frame: FrameMut, stop: &Stop) -> Result<(), Failure> {
        let now = Instant::now();
        if self.pool.is_none() {
            let Some(outlet) = self.outlets.first() else { return Ok(()) };
            let Some(sender) = outlet.sender() else { return Ok(()) };
            if !outlet.wants_next(now) {
                drop(frame);
                sender.skip();
                return Ok(());
            }
            return sender.send(frame).map(drop).map_err(Failure::runtime);
        }
        if frame.info.captured == Time::ZERO {
            frame.info.captured = Time::now();
        }
        let frame = frame.freeze();
        if self.delivery == Delivery::Every {
            self.wait_for_one(stop);
        }
        for outlet in &self.outlets {
            if let Err(failure) = outlet.send(&frame, now, stop) {
                outlet.give_up(failure);
            }
        }
        Ok(())
    }

    /// Where nothing is to be lost and nobody is there, the source waits.
    fn wait_for_one(&self, stop: &Stop) {
        while !stop.is_stopped() && !self.is_over() && !self.outlets.iter().any(Outlet::is_there) {
            self.wait_for_news();
        }
    }
}
