//! A stream that has begun: what the sink and the pool that it proposes have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use framewire_ends::{Class, Error, Output, STEP, Slot};
use framewire_transport::{Delivery, Time};
use gst::glib;
use gst::prelude::*;

use super::FramewireSink;
use crate::format::Picture;
use crate::layout::Layout;
use crate::trouble::{self, Silence, Trouble};

/// How long a slot is waited for in `latest` where the caps say no rate.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long a stream that has just begun is waited for, whatever the rate: who takes it gives the slots, and may do so a few frames later.
const OPENING: Duration = Duration::from_secs(1);

/// The stream.
pub(super) struct Outlet {
    pub(super) output: Output,
    pub(super) picture: Picture,
    /// Where planes lie in its slots.
    pub(super) layout: Layout,
    /// What its slots are known by.
    pub(super) id: u64,
    element: glib::WeakRef<FramewireSink>,
    begun: Instant,
    trouble: Trouble,
    /// Whoever waits for a slot is to give up.
    flushes: AtomicBool,
    /// It gives no slots any more, and upstream may not know that yet.
    is_over: AtomicBool,
    /// The sink is not to pause.
    plays: Arc<AtomicBool>,
    /// Frames went out, or were asked for to go out at once.
    has_played: AtomicBool,
    reconnect: bool,
    silence: Silence,
}

/// What came of asking for a slot.
pub(super) enum Granted {
    Slot(Slot),
    /// None came free in time, or upstream has them all.
    None,
    /// The stream is over, and gives none any more.
    Over,
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
            begun: Instant::now(),
            trouble: Trouble::default(),
            flushes: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            plays,
            has_played: AtomicBool::new(false),
            reconnect,
            silence: Silence::default(),
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
        self.slot(go_on, || self.plays(), |wait| self.output.frame(wait))
    }

    /// A slot to copy into and send at once.
    ///
    /// # Errors
    /// The stream cannot go on.
    pub(super) fn grant_to_fill(&self, go_on: impl Fn() -> bool) -> Result<Granted, Error> {
        self.slot(go_on, || true, |wait| self.output.frame_to_fill(wait))
    }

    /// In `every` waits for it while `waits` says so, in `latest` about as long as a picture is shown. In both, a stream that has just begun is waited for for up
    /// to a second until it opens, also before the sink plays, but not once it is to pause.
    fn slot(
        &self,
        go_on: impl Fn() -> bool,
        waits: impl Fn() -> bool,
        ask: impl Fn(Duration) -> Result<Option<Slot>, Error>,
    ) -> Result<Granted, Error> {
        let rate = self.picture.presentation.rate;
        let patience = rate.map_or(PATIENCE, |rate| rate.interval()).min(STEP);
        let asked = || {
            let waits = waits();
            (waits, self.is_to_pause(waits))
        };
        // A pause while it is asked for is one only if it played before.
        asked();
        loop {
            // Before all else: the end of a flush is not told to a stream that another has followed meanwhile.
            if self.is_over.load(Ordering::Acquire) {
                return Ok(Granted::Over);
            }
            if self.flushes.load(Ordering::Acquire) || !go_on() {
                return Ok(Granted::Flushing);
            }
            match ask(patience) {
                Ok(Some(slot)) => return Ok(Granted::Slot(slot)),
                Ok(None) => {
                    self.look()?;
                    let (waits, is_to_pause) = asked();
                    if !(self.is_opening() && !is_to_pause || self.loses_nothing() && waits) {
                        return Ok(Granted::None);
                    }
                }
                // Upstream keeps what it has until more comes: it goes on with memory of its own.
                Err(error) if error.class == Class::SlotsHeld => return Ok(Granted::None),
                Err(error) if error.class == Class::Closed => return Ok(Granted::Over),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether it played, and does not any more: it is to pause then, and waits for upstream.
    fn is_to_pause(&self, plays: bool) -> bool {
        self.has_played.fetch_or(plays, Ordering::AcqRel) && !plays
    }

    /// Whether it has just begun, and nothing is known to be in its way.
    fn is_opening(&self) -> bool {
        self.begun.elapsed() < OPENING && self.output.trouble().is_none() && !self.output.stats().is_open
    }

    /// Whether frames go out, and upstream may wait for that: a sink that is to pause, or to play again after a flush, waits for upstream.
    fn plays(&self) -> bool {
        // A flush takes it back to where it waits for a buffer, without a change of state that it is told of.
        let is_playing = |element: FramewireSink| element.current_state() == gst::State::Playing;
        self.plays.load(Ordering::Acquire) && self.element.upgrade().is_some_and(is_playing)
    }

    /// Tells on the bus what is in the way, and of its end.
    ///
    /// # Errors
    /// Something is in the way, and nobody is to wait for it.
    pub(super) fn look(&self) -> Result<(), Error> {
        let trouble = self.output.trouble();
        let is_silent = trouble.is_none() && !self.output.stats().is_open;
        let does_not_answer = self.silence.look(is_silent, Time::now());
        let target = || self.output.target();
        let away = match trouble {
            Some(why) => Some(format!("{} does not take the stream ({})", target(), trouble::in_words(why))),
            None => does_not_answer.then(|| format!("{} does not answer", target())),
        };
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::TcpListener;

    use framewire_ends::{OutputOptions, ServerPlace};

    use super::*;

    /// More than anything takes on a busy machine.
    const IN_TIME: Duration = Duration::from_secs(60);

    fn begun(output: Output) -> Outlet {
        let caps = gst::Caps::builder("video/x-raw").field("format", "GRAY8").field("width", 64).field("height", 48);
        let picture = crate::format::read(&caps.field("framerate", gst::Fraction::new(1000, 1)).build()).unwrap();
        Outlet::begin(output, picture, &glib::Object::new(), true, Arc::default()).unwrap()
    }

    #[test]
    fn a_stream_that_is_over_says_so_though_it_was_not_told_of_the_end_of_a_flush() {
        gst::init().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let hub = folder.path().join("over.sock").display().to_string();
        let output = Output::publish("cam", Some(hub.parse().unwrap()), OutputOptions::new()).unwrap();
        let outlet = begun(output);
        outlet.flush(true);
        assert!(matches!(outlet.grant(|| true), Ok(Granted::Flushing)));
        outlet.end();
        assert!(matches!(outlet.grant(|| true), Ok(Granted::Over)));
        assert!(matches!(outlet.grant_to_fill(|| false), Ok(Granted::Over)));
    }

    #[test]
    fn a_stream_that_has_just_begun_is_waited_for_longer_than_a_picture_is_shown() {
        gst::init().unwrap();
        // Somebody is there, and says nothing.
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = ServerPlace::Url(format!("http://{}", server.local_addr().unwrap()));
        let mut outlet = begun(Output::serve(&place, "cam", OutputOptions::new()).unwrap());
        // However long this takes.
        outlet.begun += IN_TIME;
        let asked = Cell::new(0);
        let go_on = || asked.replace(asked.get() + 1) < 3;
        assert!(matches!(outlet.grant(go_on), Ok(Granted::Flushing)), "after {} intervals", asked.get());
        // Another that was never there is told at once.
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let place = ServerPlace::Url(format!("http://{nobody}"));
        let outlet = begun(Output::serve(&place, "cam", OutputOptions::new()).unwrap());
        framewire_testing::wait_until("that nobody is there is told", || outlet.output.trouble().is_some());
        assert!(matches!(outlet.grant(|| true), Ok(Granted::None)));
    }

    #[test]
    fn a_sink_that_is_to_pause_does_not_wait_for_a_stream_to_open() {
        gst::init().unwrap();
        // Somebody is there, and says nothing.
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = ServerPlace::Url(format!("http://{}", server.local_addr().unwrap()));
        for delivery in [Delivery::Latest, Delivery::Every] {
            let mut outlet = begun(Output::serve(&place, "cam", OutputOptions::new().delivery(delivery)).unwrap());
            outlet.begun += IN_TIME;
            // Asks for a slot while it plays or does not, of which the one ends with the first question.
            let played = |plays: bool| {
                let (first, asked) = (Cell::new(plays), Cell::new(0));
                let go_on = || asked.replace(asked.get() + 1) < 3;
                outlet.slot(go_on, || first.replace(false), |_wait| Ok(None))
            };
            assert!(matches!(played(false), Ok(Granted::Flushing)), "{delivery:?}: it is to play, and does not wait");
            assert!(matches!(played(true), Ok(Granted::None)), "{delivery:?}: it is to pause, and waits");
            assert!(matches!(played(false), Ok(Granted::None)), "{delivery:?}: it is still to pause, and waits");
        }
    }
}
