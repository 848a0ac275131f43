//! A stream that has begun: what the sink and the pool that it proposes have in common.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use framewire_ends::{Class, Error, Output, STEP, Slot};
use framewire_transport::Delivery;
use gst::glib;
use gst::prelude::*;

use super::FramewireSink;
use crate::format::Picture;
use crate::layout::Layout;
use crate::trouble::Trouble;

/// How long a slot is waited for in `latest` where the caps say no rate.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long the other end may take for an answer before it counts as away.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// The stream.
pub(super) struct Outlet {
    pub(super) output: Output,
    pub(super) picture: Picture,
    /// Where planes lie in its slots.
    pub(super) layout: Layout,
    /// What its slots are known by.
    pub(super) id: u64,
    element: glib::WeakRef<FramewireSink>,
    trouble: Trouble,
    /// Whoever waits for a slot is to give up.
    flushes: AtomicBool,
    /// It gives no slots any more, and upstream may not know that yet.
    is_over: AtomicBool,
    /// Frames go out, and upstream may wait for that: while the pipeline is to pause, the sink waits for upstream.
    plays: Arc<AtomicBool>,
    reconnect: bool,
    /// Since when the other end has not answered.
    silent_since: Mutex<Option<Instant>>,
}

/// What came of asking for a slot.
pub(super) enum Granted {
    Slot(Slot),
    /// None came free in time, upstream has them all, or the stream is over.
    None,
    /// Nothing is waited for any more.
    Flushing,
}

impl Outlet {
    /// Begins the stream of an output.
    ///
    /// # Errors
    /// As [`Output::begin`].
    pub(super) fn begin(
        output: Output,
        picture: Picture,
        element: &FramewireSink,
        reconnect: bool,
        plays: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        output.begin_as(picture.format, picture.presentation)?;
        Ok(Self {
            layout: Layout::of(&picture.format),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            output,
            picture,
            element: element.downgrade(),
            trouble: Trouble::default(),
            flushes: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            plays,
            reconnect,
            silent_since: Mutex::default(),
        })
    }

    pub(super) fn loses_nothing(&self) -> bool {
        self.output.options().delivery == Delivery::Every
    }

    /// A slot for upstream to write into, which counts as one that it has.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub(super) fn grant(&self, go_on: impl Fn() -> bool) -> Result<Granted, Error> {
        self.slot(go_on, || self.plays.load(Ordering::Acquire), |wait| self.output.frame(wait))
    }

    /// A slot to copy into and send at once.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub(super) fn grant_to_fill(&self, go_on: impl Fn() -> bool) -> Result<Granted, Error> {
        self.slot(go_on, || true, |wait| self.output.frame_to_fill(wait))
    }

    /// In `every` waits for it while `waits` says so, in `latest` about as long as a picture is shown.
    fn slot(
        &self,
        go_on: impl Fn() -> bool,
        waits: impl Fn() -> bool,
        ask: impl Fn(Duration) -> Result<Option<Slot>, Error>,
    ) -> Result<Granted, Error> {
        let rate = self.picture.presentation.rate;
        let patience = rate.map_or(PATIENCE, |rate| rate.interval()).min(STEP);
        loop {
            if self.flushes.load(Ordering::Acquire) || !go_on() {
                return Ok(Granted::Flushing);
            }
            if self.is_over.load(Ordering::Acquire) {
                return Ok(Granted::None);
            }
            match ask(patience) {
                Ok(Some(slot)) => return Ok(Granted::Slot(slot)),
                Ok(None) => {
                    self.look()?;
                    if !(self.loses_nothing() && waits()) {
                        return Ok(Granted::None);
                    }
                }
                // Upstream keeps what it has until more comes: it goes on with memory of its own.
                Err(error) if matches!(error.class, Class::SlotsHeld | Class::Closed) => return Ok(Granted::None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells on the bus what is in the way, and of its end.
    ///
    /// # Errors
    /// Something is in the way, and nobody is to wait for it.
    pub(super) fn look(&self) -> Result<(), Error> {
        let away = self.output.trouble().map(|why| format!("{} is not there ({why})", self.output.target()));
        let away = away.or_else(|| self.silence());
        if !self.reconnect
            && let Some(away) = away
        {
            let text = format!("{away}, and reconnect=false says not to wait for it");
            return Err(Error::new(Class::Refused, "no-reconnect", text));
        }
        if let Some(element) = self.element.upgrade() {
            self.trouble.look(&element, away);
        }
        Ok(())
    }

    /// That the other end does not answer, once it has not for a while.
    fn silence(&self) -> Option<String> {
        let is_open = self.output.stats().is_open;
        let mut silent_since = self.silent_since.lock().unwrap_or_else(PoisonError::into_inner);
        if is_open {
            *silent_since = None;
            return None;
        }
        let since = silent_since.get_or_insert_with(Instant::now);
        (since.elapsed() >= ANSWERED_WITHIN).then(|| format!("{} does not answer", self.output.target()))
    }

    /// Has whoever waits for a slot give up, or wait again from now on.
    pub(super) fn flush(&self, flushes: bool) {
        self.flushes.store(flushes, Ordering::Release);
    }

    /// It gives no slots from now on; upstream goes on with memory of its own until it knows of the stream that follows.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Waits until all that was sent has arrived, for as long as `go_on` says so; whether it has.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub(super) fn settle(&self, go_on: impl Fn() -> bool) -> Result<bool, Error> {
        while go_on() && !self.flushes.load(Ordering::Acquire) {
            match self.output.wait_until_settled(STEP) {
                Ok(true) => return Ok(true),
                Ok(false) => self.look()?,
                Err(error) if error.class == Class::Closed => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}
