//! A stream that has begun: what the sink and the pool that it proposes have in common.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

/// How long whoever does not want to wait for the other end waits for its first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

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
    reconnect: bool,
    began: Instant,
    was_open: AtomicBool,
}

/// What came of asking for a slot.
pub(super) enum Granted {
    Slot(Slot),
    /// In `latest` none came free in time, or upstream has them all.
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
            reconnect,
            began: Instant::now(),
            was_open: AtomicBool::new(false),
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
        self.slot(go_on, |wait| self.output.frame(wait))
    }

    /// A slot to copy into and send at once.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub(super) fn grant_to_fill(&self, go_on: impl Fn() -> bool) -> Result<Granted, Error> {
        self.slot(go_on, |wait| self.output.frame_to_fill(wait))
    }

    /// In `every` waits for it without end, in `latest` about as long as a picture is shown.
    fn slot(
        &self,
        go_on: impl Fn() -> bool,
        ask: impl Fn(Duration) -> Result<Option<Slot>, Error>,
    ) -> Result<Granted, Error> {
        let rate = self.picture.presentation.rate;
        let patience = rate.map_or(PATIENCE, |rate| rate.interval()).min(STEP);
        loop {
            if self.flushes.load(Ordering::Acquire) || !go_on() {
                return Ok(Granted::Flushing);
            }
            match ask(patience) {
                Ok(Some(slot)) => return Ok(Granted::Slot(slot)),
                Ok(None) => {
                    self.look()?;
                    if !self.loses_nothing() {
                        return Ok(Granted::None);
                    }
                }
                // Upstream keeps what it has until more comes: it goes on with memory of its own.
                Err(error) if error.class == Class::SlotsHeld => return Ok(Granted::None),
                Err(error) if error.class == Class::Closed => return Ok(Granted::Flushing),
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells on the bus what is in the way, and of its end.
    ///
    /// # Errors
    /// Something is in the way, and nobody is to wait for it.
    pub(super) fn look(&self) -> Result<(), Error> {
        let trouble = self.output.trouble();
        if !self.reconnect {
            self.insist(trouble.as_deref())?;
        }
        if let Some(element) = self.element.upgrade() {
            self.trouble.look(&element, trouble);
        }
        Ok(())
    }

    fn insist(&self, trouble: Option<&str>) -> Result<(), Error> {
        let gone = |why: &str| {
            let text = format!("{} {why}, and reconnect=false says not to wait for it", self.output.target());
            Err(Error::new(Class::Refused, "no-reconnect", text))
        };
        if let Some(trouble) = trouble {
            return gone(&format!("is not there ({trouble})"));
        }
        let is_open = self.output.stats().is_open;
        let was_open = self.was_open.swap(is_open, Ordering::AcqRel);
        if is_open || (!was_open && self.began.elapsed() < FIRST_ANSWER) {
            return Ok(());
        }
        gone(if was_open { "has gone" } else { "does not answer" })
    }

    /// Has whoever waits for a slot give up, or wait again from now on.
    pub(super) fn flush(&self, flushes: bool) {
        self.flushes.store(flushes, Ordering::Release);
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
