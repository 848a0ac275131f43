//! The sink itself: its properties, how it begins and ends, and what becomes of a buffer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use framewire_ends::{Class, Error, Output, Slot};
use framewire_transport::Time;
use gst::glib;
use gst::glib::translate::{ToGlibPtr, try_from_glib};
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_video::VideoMeta;

use super::outlet::{Granted, Outlet};
use super::pool::SlotPool;
use super::settings::Settings;
use super::stats::Counts;
use crate::clock::Clock;
use crate::{format, layout, memory, metadata, trouble};

/// How long the end of a stream waits for what was sent to arrive: where nothing is to be lost, and else.
const FAREWELL_OF_EVERY: Duration = Duration::from_secs(5);
const FAREWELL_OF_LATEST: Duration = Duration::from_millis(500);

static LOG: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("framewiresink", gst::DebugColorFlags::empty(), Some("Framewire's sink")));

#[derive(Default)]
pub struct FramewireSink {
    settings: Mutex<Settings>,
    state: Mutex<State>,
    /// Nothing is to be waited for: the pipeline pauses, or flushes.
    is_unlocked: AtomicBool,
    /// It plays, and is not to pause.
    plays: Arc<AtomicBool>,
    /// It is to be looked again whether the source is live.
    is_live_stale: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Where the next stream goes, whose caps are not known yet: it has its name already.
    output: Option<Output>,
    outlet: Option<Arc<Outlet>>,
    counts: Counts,
    is_live: bool,
    /// Caps that cannot be sent were told of.
    has_told_of_caps: bool,
    /// Buffers that cannot be sent were told of, since the last that could.
    has_told_of_buffer: bool,
}

#[glib::object_subclass]
impl ObjectSubclass for FramewireSink {
    const NAME: &'static str = "GstFramewireSink";
    type Type = super::FramewireSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for FramewireSink {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(super::properties::all);
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        // The types are those of the properties' own declarations.
        super::properties::set(&mut self.settings(), value, pspec.name());
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "frames-copied" => self.state().counts.copied.to_value(),
            "stats" => {
                let state = self.state();
                let open = state.outlet.as_ref().map(|outlet| outlet.output.stats());
                state.counts.structure(open.as_ref()).to_value()
            }
            name => super::properties::value(&self.settings(), name),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let sink = self.obj();
        // A buffer that is kept as the last one is one that cannot be sent where it lies.
        sink.set_property("enable-last-sample", false);
        sink.set_property("qos", true);
        // A frame that lies in its slot is sent in no time.
        sink.set_property("processing-deadline", 0_u64);
        self.is_live_stale.store(true, Ordering::Release);
    }
}

impl GstObjectImpl for FramewireSink {}

impl ElementImpl for FramewireSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Framewire sink",
                "Sink/Video/Network",
                "Sends raw video to a Framewire server, to a program that listens, or to the programs of this machine, out of the memory that upstream writes it into",
                "Framewire",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = format::caps_of_all();
            gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &caps)
                .into_iter()
                .collect()
        });
        TEMPLATES.as_ref()
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            // Until here, properties may be set.
            gst::StateChange::ReadyToPaused => self.prepare()?,
            gst::StateChange::PausedToReady => {
                let outlet = self.state().outlet.clone();
                if let Some(outlet) = outlet {
                    // Before the elements behind this one: one of them may wait for a slot, and would be waited for.
                    outlet.flush(true);
                }
            }
            gst::StateChange::PausedToPlaying => self.plays.store(true, Ordering::Release),
            // Upstream may wait for a slot, and is waited for with a buffer.
            gst::StateChange::PlayingToPaused => self.plays.store(false, Ordering::Release),
            _ => {}
        }
        let changed = self.parent_change_state(transition);
        let has_failed = transition == gst::StateChange::ReadyToPaused && changed.is_err();
        if transition == gst::StateChange::PausedToReady || has_failed {
            self.leave();
        }
        changed
    }

    fn send_event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Latency {
            self.is_live_stale.store(true, Ordering::Release);
        }
        self.parent_send_event(event)
    }
}

impl BaseSinkImpl for FramewireSink {
    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.is_unlocked.store(true, Ordering::Release);
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.is_unlocked.store(false, Ordering::Release);
        Ok(())
    }

    fn event(&self, event: gst::Event) -> bool {
        let outlet = self.state().outlet.clone();
        match (event.view(), outlet) {
            (gst::EventView::FlushStart(_), Some(outlet)) => outlet.flush(true),
            (gst::EventView::FlushStop(_), Some(outlet)) => outlet.flush(false),
            (gst::EventView::Eos(_), Some(outlet)) if outlet.loses_nothing() => {
                let settled = self.preroll(&event).map_or(Ok(false), |_| self.settle(&outlet));
                let goes_on = settled.unwrap_or_else(|error| {
                    trouble::fail(&*self.obj(), error, true);
                    false
                });
                // In a flush nothing more is waited for, which the end would be.
                if !goes_on {
                    return false;
                }
            }
            _ => {}
        }
        self.parent_event(event)
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        let answered = BaseSinkImplExt::parent_query(self, query);
        let refused = match query.view() {
            gst::QueryView::AcceptCaps(accept) if answered && !accept.result() => Some(accept.caps_owned()),
            gst::QueryView::Caps(caps) if answered => {
                let is_none = caps.result().is_some_and(|result| result.is_empty());
                caps.filter_owned().filter(|filter| is_none && !filter.is_empty())
            }
            _ => None,
        };
        if let Some(caps) = refused {
            self.refuse_once(&caps);
        }
        answered
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        self.begin(caps).map_err(|error| {
            let told = gst::loggable_error!(LOG, "{error}");
            trouble::fail(&*self.obj(), error, true);
            told
        })
    }

    fn propose_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        let (caps, needs_pool) = query.get_owned();
        let outlet = self.state().outlet.clone();
        let picture = caps.as_ref().and_then(|caps| format::read(caps).ok());
        if let (Some(caps), Some(outlet), Some(picture)) = (caps, outlet, picture)
            && picture.format == outlet.picture.format
        {
            let bytes = u32::try_from(outlet.layout.bytes).unwrap_or(u32::MAX);
            // Who needs none asks for what it does not know the size of.
            let pool = if needs_pool { SlotPool::of(outlet, &caps).ok() } else { None };
            if pool.is_some() || !needs_pool {
                query.add_allocation_pool(pool.as_ref(), bytes, 0, 0);
            }
        }
        query.add_allocation_meta::<VideoMeta>(None);
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let outlet = self.state().outlet.clone().ok_or(gst::FlowError::NotNegotiated)?;
        self.send(&outlet, buffer).inspect_err(|flow| gst::debug!(LOG, imp = self, "a buffer was not sent: {flow}"))
    }
}

impl FramewireSink {
    fn output(&self) -> Result<Output, Error> {
        let settings = self.settings().clone();
        settings.output(&self.obj().name())
    }

    /// Takes what the first stream needs that is nobody else's, its name for one.
    fn prepare(&self) -> Result<(), gst::StateChangeError> {
        let output = self.output().map_err(|error| {
            self.post_error_message(trouble::as_message(error));
            gst::StateChangeError
        })?;
        *self.state() = State { output: Some(output), ..State::default() };
        Ok(())
    }

    /// Ends what there is. No other thread begins anything by now; one may have, while the state changed.
    fn leave(&self) {
        let (outlet, output) = {
            let mut state = self.state();
            (state.outlet.clone(), state.output.take())
        };
        if let Some(outlet) = outlet {
            self.end(&outlet);
        }
        if let Some(output) = output {
            // Its name is another's to take.
            output.close(Duration::ZERO);
        }
    }

    /// Begins the stream of these caps, unless it is the one that there is.
    fn begin(&self, caps: &gst::Caps) -> Result<(), Error> {
        self.is_live_stale.store(true, Ordering::Release);
        let picture = format::read(caps).map_err(|why| Error::new(Class::Format, "caps-not-sent", why))?;
        let (before, output) = {
            let mut state = self.state();
            state.has_told_of_caps = false;
            (state.outlet.clone(), state.output.take())
        };
        if let Some(before) = before {
            if before.picture == picture {
                return Ok(());
            }
            if before.loses_nothing() {
                self.settle(&before)?;
            }
            // Readers know the stream by its name: it comes back in another format.
            self.end(&before);
        }
        let output = output.map_or_else(|| self.output(), Ok)?;
        let reconnect = self.settings().reconnect;
        let outlet = Outlet::begin(output, picture, &self.obj(), reconnect, self.plays.clone())?;
        gst::info!(LOG, imp = self, "sends {} to {}", outlet.picture.format, outlet.output.target());
        self.state().outlet = Some(Arc::new(outlet));
        Ok(())
    }

    /// Waits until it plays, and has the pause that is there meanwhile be one that is reached.
    fn preroll(&self, event: &gst::Event) -> Result<gst::FlowSuccess, gst::FlowError> {
        let sink = self.obj();
        let sink: &gst_base::BaseSink = sink.upcast_ref();
        // SAFETY: both live as long as this runs, and the event is looked at alone. A serialized event is handled with the lock held that this asks for.
        let flow = unsafe { gst_base::ffi::gst_base_sink_do_preroll(sink.to_glib_none().0, event.as_mut_ptr().cast()) };
        // SAFETY: any number is a flow, if need be an error.
        unsafe { try_from_glib(flow) }
    }

    /// Waits until all that a stream sent has arrived, after a pause again; false where a flush has ended that.
    fn settle(&self, outlet: &Outlet) -> Result<bool, Error> {
        while !outlet.settle(|| !self.is_unlocked.load(Ordering::Acquire))? {
            if self.obj().wait_preroll().is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends a stream, and keeps what it counted.
    fn end(&self, outlet: &Outlet) {
        outlet.end();
        let is_open = outlet.output.stats().is_open;
        let patience = match outlet.loses_nothing() {
            // Who never was there takes nothing in.
            _ if !is_open => Duration::ZERO,
            true => FAREWELL_OF_EVERY,
            false => FAREWELL_OF_LATEST,
        };
        if !outlet.output.close(patience) && outlet.loses_nothing() {
            gst::warning!(LOG, imp = self, "{} did not confirm all frames in time", outlet.output.target());
        }
        let ended = outlet.output.stats();
        let mut state = self.state();
        state.counts.end(&ended);
        state.outlet = None;
    }

    fn send(&self, outlet: &Outlet, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let failed = |error| {
            trouble::fail(&*self.obj(), error, true);
            gst::FlowError::Error
        };
        outlet.look().map_err(failed)?;
        let captured = self.captured(buffer);
        // Where the buffer lies in a slot, and nobody else has it, that is sent.
        let granted = if outlet.layout.is_of(buffer, &outlet.picture) { memory::take(buffer, outlet.id) } else { None };
        let slot = if granted.is_some() { granted } else { self.filled(outlet, buffer)? };
        let Some(mut slot) = slot else { return Ok(gst::FlowSuccess::Ok) };
        slot.info.captured = captured;
        if let Err(why) = metadata::fill(&mut slot, buffer, outlet.picture.metadata.as_deref()) {
            return Ok(self.refuse(&why));
        }
        self.state().has_told_of_buffer = false;
        match outlet.output.send(slot) {
            Ok(_) => Ok(gst::FlowSuccess::Ok),
            Err(error) if error.class == Class::Closed => Err(gst::FlowError::Flushing),
            Err(error) => Err(failed(error)),
        }
    }

    /// A slot with a copy of the buffer; `None` where that was not sent, which is counted.
    fn filled(&self, outlet: &Outlet, buffer: &gst::Buffer) -> Result<Option<Slot>, gst::FlowError> {
        loop {
            match outlet.grant_to_fill(|| !self.is_unlocked.load(Ordering::Acquire)) {
                Ok(Granted::Slot(mut slot)) => {
                    if slot.set_len(outlet.layout.bytes).is_err() {
                        return Err(gst::FlowError::Error);
                    }
                    if let Err(why) = layout::fill(&mut slot, buffer, &outlet.picture) {
                        self.refuse(&why);
                        return Ok(None);
                    }
                    self.state().counts.copied += 1;
                    return Ok(Some(slot));
                }
                Ok(Granted::None) => {
                    outlet.output.skip();
                    self.drop_for_want_of_slots(outlet, buffer);
                    return Ok(None);
                }
                Ok(Granted::Over) => return Err(gst::FlowError::Flushing),
                // While it pauses, the buffer waits here.
                Ok(Granted::Flushing) => drop(self.obj().wait_preroll()?),
                Err(error) => {
                    trouble::fail(&*self.obj(), error, true);
                    return Err(gst::FlowError::Error);
                }
            }
        }
    }

    /// Says of a buffer that cannot be sent why, the first time of a row.
    fn refuse(&self, why: &str) -> gst::FlowSuccess {
        let was_told = {
            let mut state = self.state();
            state.counts.refused += 1;
            std::mem::replace(&mut state.has_told_of_buffer, true)
        };
        if !was_told {
            gst::element_imp_warning!(self, gst::StreamError::Format, ("{why}: it was not sent"));
        }
        gst::FlowSuccess::Ok
    }

    fn refuse_once(&self, caps: &gst::Caps) {
        if std::mem::replace(&mut self.state().has_told_of_caps, true) {
            return;
        }
        gst::element_imp_warning!(
            self,
            gst::CoreError::Negotiation,
            (
                "{caps} cannot be sent; put videoconvert before. What can be sent is video/x-raw or video/x-bayer, in system memory, of: {}",
                format::names()
            )
        );
    }

    fn drop_for_want_of_slots(&self, outlet: &Outlet, buffer: &gst::Buffer) {
        let (without_slot, is_live) = {
            let mut state = self.state();
            state.counts.without_slot += 1;
            (state.counts.without_slot, state.is_live)
        };
        let sent = outlet.output.stats().sent;
        let running = self.running(buffer);
        let message = gst::message::Qos::builder(is_live)
            .src(&*self.obj())
            .running_time_if_some(running)
            .timestamp_if_some(buffer.pts())
            .duration_if_some(buffer.duration())
            .stats(
                gst::GenericFormattedValue::Buffers(gst::format::Buffers::try_from(sent).ok()),
                gst::GenericFormattedValue::Buffers(gst::format::Buffers::try_from(without_slot).ok()),
            )
            .build();
        // Without a bus nobody wants to know.
        let _ = self.obj().post_message(message);
    }

    /// When the picture was taken: its time, where it comes from a live source; else it is left to be when it is sent.
    fn captured(&self, buffer: &gst::Buffer) -> Time {
        let sink = self.obj();
        if self.is_live_stale.swap(false, Ordering::AcqRel) {
            let is_live = sink.query_latency().is_ok_and(|(_, is_live, _, _)| is_live);
            self.state().is_live = is_live;
        }
        let is_live = self.state().is_live;
        let (Some(clock), Some(base), Some(running)) = (sink.clock(), sink.base_time(), self.running(buffer)) else {
            return Time::ZERO;
        };
        if !is_live {
            return Time::ZERO;
        }
        // No picture was taken later than now.
        Clock::new(&clock, base).moment(running).min(Time::now())
    }

    fn running(&self, buffer: &gst::Buffer) -> Option<gst::ClockTime> {
        let segment = self.obj().segment();
        segment.downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts()?)
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
