//! A stream of another process, as a program reads it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::super::error::ShareError;
use super::super::points::{Point, at};
use super::super::process::Process;
use super::super::subscription_config::{SharedStreamInfo, SubscriptionStats};
use super::call;
use super::mapped::Mapped;
use super::signal::Signal;
use super::standing::{Request, Standing, Step, Waiting};
use crate::frame::{Frame, RecvError};
use crate::unpoisoned::unpoisoned;

/// How long a program is waited for that holds every slot that it may, before it is told: another of its threads may give one back.
const HELD_PATIENCE: Duration = Duration::from_millis(100);

/// How often busy polling looks for a frame before it looks at the clock.
const LOOKS: usize = 64;

/// A stream that another process shares: frames are read in the very memory that they arrived in. From [`Reader::subscribe`](super::Reader::subscribe).
/// It can be used by several threads; each frame goes to one of them. Dropping it unsubscribes; frames that were taken stay.
///
/// As a descriptor ([`AsFd`]) it is readable while there is a frame to take, the end of the stream or of its hub to learn of, or a hub to be
/// looked for: for `poll`, `epoll` and what is built on it, such as tokio's `AsyncFd`. It is level-triggered, and only to be waited for.
/// Once it is readable, call [`Subscription::try_recv`] until that returns [`RecvError::Timeout`]; an edge-triggered wait is then right
/// too. It may be readable without a frame. After the end it stays readable. It is the same one for as long as the subscription lives, and
/// costs nothing before it is asked for.
pub struct Subscription {
    standing: Mutex<Standing>,
    signal: Signal,
    /// Threads that sleep.
    sleepers: AtomicUsize,
    busy_poll: Duration,
    process: Process,
    /// What the stream was when it was first granted.
    first: SharedStreamInfo,
}

impl Subscription {
    pub(super) fn new(request: Request, mapped: Mapped, busy_poll: Duration) -> Result<Self, ShareError> {
        let first = mapped.info.clone();
        Ok(Self {
            standing: Mutex::new(Standing::new(request, mapped)),
            signal: Signal::new().map_err(ShareError::System)?,
            sleepers: AtomicUsize::new(0),
            busy_poll,
            process: Process::this(),
            first,
        })
    }

    /// The next frame by this subscription's policy; waits for it. Where the hub was gone, it is waited for too, and looked for ten times a
    /// second.
    ///
    /// # Errors
    /// [`RecvError::Ended`] after the last frame. [`RecvError::HubGone`] once when the hub is gone: the next call waits for its return.
    /// [`RecvError::HoldsAllSlots`] where the program has held every slot that it may for 100 ms without giving one back.
    /// [`RecvError::CutOff`] where the hub gives this reader no more frames; [`RecvError::Forked`] in a child process.
    pub fn recv(&self) -> Result<Frame, RecvError> {
        self.recv_until(None)
    }

    /// As [`Subscription::recv`], but waits at most `timeout`.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] when none came, [`RecvError::HoldsAllSlots`] when none could come; and as [`Subscription::recv`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// The next frame if one waits; with none, whoever waits for the descriptor is told of the next.
    ///
    /// # Errors
    /// [`RecvError::Timeout`] when none waits, [`RecvError::HoldsAllSlots`] when none can before a frame is dropped; and as
    /// [`Subscription::recv`].
    pub fn try_recv(&self) -> Result<Frame, RecvError> {
        let mut standing = self.lock()?;
        match standing.step(&self.signal, true, self.sleepers.load(Ordering::Relaxed), Instant::now()) {
            Step::Frame(frame) => Ok(frame),
            Step::Error(error) => Err(error),
            Step::Nothing(_) => Err(none_came(&standing)),
        }
    }

    /// The frames until the stream ends; waits for each, and for a hub that is gone.
    pub fn frames(&self) -> SubscriptionFrames<'_> {
        SubscriptionFrames { subscription: self }
    }

    /// What the stream is, as it was told last.
    pub fn info(&self) -> SharedStreamInfo {
        self.look().map_or_else(|| self.first.clone(), |standing| standing.info().clone())
    }

    /// What became of its frames, since it began.
    pub fn stats(&self) -> SubscriptionStats {
        self.look().map_or_else(SubscriptionStats::default, |standing| standing.stats())
    }

    /// In how many slots of the hub there are frames that were taken and are not dropped yet, clones of them and
    /// [`Bytes`](bytes::Bytes) made of them included.
    pub fn slots_held(&self) -> usize {
        self.stats().held
    }

    /// Whether its hub is there, as far as is known.
    pub fn is_connected(&self) -> bool {
        self.look().is_some_and(|standing| standing.is_connected())
    }

    /// Whether the stream has ended because its source closed it. One whose source is gone otherwise has ended too
    /// ([`RecvError::Ended`]), and may come again under its name.
    pub fn is_closed(&self) -> bool {
        self.look().is_some_and(|standing| standing.is_closed())
    }

    /// Its state, to be looked at. In a child process `None` where a thread of the parent had it when the child was forked: nobody there gives
    /// it back.
    fn look(&self) -> Option<MutexGuard<'_, Standing>> {
        match self.process.is_this() {
            true => Some(unpoisoned(self.standing.lock())),
            false => self.standing.try_lock().ok(),
        }
    }

    fn lock(&self) -> Result<MutexGuard<'_, Standing>, RecvError> {
        // Before the lock, which a thread of the parent may have held.
        if self.process.is_this() { Ok(unpoisoned(self.standing.lock())) } else { Err(RecvError::Forked) }
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<Frame, RecvError> {
        // Since when, and after how many slots that were given back, every slot has been held.
        let mut held: Option<(Instant, u64)> = None;
        let mut polls_for = self.busy_poll;
        loop {
            let mut standing = self.lock()?;
            let now = Instant::now();
            let is_polling = !polls_for.is_zero();
            let waiting = match standing.step(&self.signal, !is_polling, self.sleepers.load(Ordering::Relaxed), now) {
                Step::Frame(frame) => return Ok(frame),
                Step::Error(error) => return Err(error),
                Step::Nothing(waiting) => waiting,
            };
            if is_polling {
                drop(standing);
                polls_for = match &waiting {
                    // Nothing to look for: none can come.
                    Waiting::Hub { all_held: Some(_), .. } | Waiting::Away(_) => Duration::ZERO,
                    Waiting::Hub { link, borrower, all_held: None } => {
                        let control = link.control();
                        let is_over = || control.told.ended.load(Ordering::Relaxed) != 0;
                        let until = deadline.into_iter().chain(now.checked_add(polls_for)).min();
                        let is_found = spin(|| borrower.has_offer(control) || is_over(), until);
                        if is_found && !is_over() { polls_for } else { Duration::ZERO }
                    }
                };
                continue;
            }
            // Counted with the lock: whoever takes it from here on knows that somebody sleeps.
            self.sleepers.fetch_add(1, Ordering::Relaxed);
            let none = none_came(&standing);
            drop(standing);
            let patience = match &waiting {
                Waiting::Hub { all_held: Some((_, given_back)), .. } => {
                    let since = match held {
                        Some((since, before)) if before == *given_back => since,
                        _ => held.insert((now, *given_back)).0,
                    };
                    Some(since + HELD_PATIENCE)
                }
                Waiting::Hub { all_held: None, .. } => {
                    held = None;
                    None
                }
                Waiting::Away(_) => None,
            };
            let until = deadline.into_iter().chain(patience).min();
            let is_over = until.is_some_and(|until| until <= now);
            if !is_over {
                self.sleep(&waiting, until.map(|until| until - now), now);
            }
            self.sleepers.fetch_sub(1, Ordering::Relaxed);
            if is_over {
                return Err(none);
            }
            polls_for = Duration::ZERO;
        }
    }

    /// Sleeps until there is something to look at.
    fn sleep(&self, waiting: &Waiting, timeout: Option<Duration>, now: Instant) {
        let nudge = PollFd::from_borrowed_fd(self.signal.nudge(), PollFlags::IN);
        let woken = match waiting {
            Waiting::Hub { link, .. } => {
                let pipe = PollFd::from_borrowed_fd(link.pipe(), PollFlags::IN);
                match link.hub() {
                    Some(hub) => {
                        let hub = PollFd::from_borrowed_fd(hub, PollFlags::IN);
                        call::wait(&mut [pipe, nudge, hub], timeout)
                    }
                    None => call::wait(&mut [pipe, nudge], timeout),
                }
            }
            Waiting::Away(until) => {
                let left = until.saturating_duration_since(now);
                call::wait(&mut [nudge], Some(timeout.map_or(left, |timeout| timeout.min(left))))
            }
        };
        at(Point::Woken);
        if let Err(error) = woken {
            // Not to be expected of descriptors that are open; the core is not to be burnt on it all the same.
            tracing::warn!(%error, "the system refuses to poll");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Why there is no frame, where the stream goes on.
fn none_came(standing: &Standing) -> RecvError {
    standing.all_held().map_or(RecvError::Timeout, |slots| RecvError::HoldsAllSlots { slots })
}

/// Looks for something until then. Whether it was found.
fn spin(has_something: impl Fn() -> bool, until: Option<Instant>) -> bool {
    loop {
        for _ in 0..LOOKS {
            if has_something() {
                return true;
            }
            std::hint::spin_loop();
        }
        if until.is_some_and(|until| until <= Instant::now()) {
            return false;
        }
    }
}

impl AsFd for Subscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        if self.process.is_this() {
            let mut standing = unpoisoned(self.standing.lock());
            if !standing.is_followed() {
                standing.follow(&self.signal);
            }
        }
        self.signal.as_fd()
    }
}

impl AsRawFd for Subscription {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("stream", &self.info().name).field("stats", &self.stats()).finish()
    }
}

/// The frames of a [`Subscription`] until its stream ends, also beyond the end of a hub that comes back. In place of one, the reason why
/// there can be none: [`RecvError::HoldsAllSlots`], [`RecvError::CutOff`] and [`RecvError::Forked`], and nothing else.
#[derive(Debug)]
pub struct SubscriptionFrames<'a> {
    subscription: &'a Subscription,
}

impl Iterator for SubscriptionFrames<'_> {
    type Item = Result<Frame, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.subscription.recv() {
                Err(RecvError::Ended) => return None,
                Err(RecvError::HubGone) => {}
                next => return Some(next),
            }
        }
    }
}
