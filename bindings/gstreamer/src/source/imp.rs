//! The source itself: how it finds its stream, and what becomes of a frame.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use framewire_ends::{Class, Error, OpenOptions, STEP, Source, SourceStats};
use framewire_transport::Time;
use gst::glib;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use gst_video::VideoMeta;

use super::bearings::{Age, Bearings};
use super::settings::{Place, Settings};
use crate::choices::TimestampMode;
use crate::format;
use crate::trouble::{self, Trouble};

/// How often a stream of this machine is looked for that is not there.
const LOOKED_FOR_EVERY: Duration = Duration::from_millis(100);

#[derive(Default)]
pub struct FramewireSrc {
    settings: Mutex<Settings>,
    state: Mutex<State>,
    /// Nothing is to be waited for: the pipeline pauses, or flushes.
    is_unlocked: Mutex<bool>,
    unlocked: Condvar,
    trouble: Trouble,
    pub(super) copied: AtomicU64,
    /// What times of UTC are called.
    pub(super) utc: OnceLock<gst::Caps>,
}

#[derive(Default)]
pub(super) struct State {
    source: Option<Arc<Source>>,
    /// Where it is to be looked for anew.
    hub: Option<OpenOptions>,
    /// What those counted that came before it.
    past: SourceStats,
    pub(super) bearings: Option<Arc<Bearings>>,
    /// The number of the frame that is to follow.
    pub(super) next: Option<u64>,
    pub(super) age: Age,
    pub(super) last_pts: Option<gst::ClockTime>,
    /// How often the hub was gone, as it was told.
    hub_losses: u64,
    /// It was told that frames are copied, since there was room last.
    pub(super) tells_of_copies: bool,
    /// It was told that others send here, too.
    pub(super) tells_of_others: bool,
}

#[glib::object_subclass]
impl ObjectSubclass for FramewireSrc {
    const NAME: &'static str = "GstFramewireSrc";
    type Type = super::FramewireSrc;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for FramewireSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(super::properties::all);
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        super::properties::set(&mut self.settings(), value, pspec.name());
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "frames-copied" => self.copied.load(Ordering::Relaxed).to_value(),
            "stats" => self.stats().to_value(),
            name => super::properties::value(&self.settings(), name),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let source = self.obj();
        source.set_live(true);
        source.set_format(gst::Format::Time);
        source.set_do_timestamp(false);
    }
}

impl GstObjectImpl for FramewireSrc {}

impl ElementImpl for FramewireSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Framewire source",
                "Source/Video/Network",
                "Takes raw video from a hub of this machine, a Framewire server, or whoever sends here, in the memory that it arrived in",
                "Framewire",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = format::caps_of_all();
            gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &caps).into_iter().collect()
        });
        TEMPLATES.as_ref()
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::PausedToPlaying {
            self.state().age.play(Time::now());
        }
        self.parent_change_state(transition)
    }

    fn send_event(&self, event: gst::Event) -> bool {
        let begins_anew = matches!(event.view(), gst::EventView::FlushStop(flush) if flush.resets_time());
        let pad = self.obj().src_pad().clone();
        // No frame is on its way then, whose time would be the last of before.
        let _no_frame = begins_anew.then(|| {
            let streaming = pad.stream_lock();
            self.state().last_pts = None;
            streaming
        });
        self.parent_send_event(event)
    }
}

impl BaseSrcImpl for FramewireSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let place = self.settings().place().map_err(trouble::as_message)?;
        let (source, hub) = match place {
            Place::Found(source) => (Some(Arc::new(source)), None),
            Place::Hub(options) => (None, Some(options)),
        };
        *self.state() = State { source, hub, ..State::default() };
        self.copied.store(0, Ordering::Relaxed);
        self.trouble.forget();
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let ended = std::mem::take(&mut *self.state());
        // Frames that downstream has stay as they are.
        if let Some(source) = ended.source {
            source.close();
        }
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        *self.is_unlocked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.unlocked.notify_all();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.is_unlocked.lock().unwrap_or_else(PoisonError::into_inner) = false;
        Ok(())
    }

    /// The caps are those of the stream: there is nothing to agree on.
    fn negotiate(&self) -> Result<(), gst::LoggableError> {
        Ok(())
    }

    /// Frames are where they are: no pool is needed, and downstream is only asked whether it reads where their planes lie.
    fn decide_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        let reads_meta = query.find_allocation_meta::<VideoMeta>().is_some();
        if let Some(bearings) = &self.state().bearings {
            bearings.reads_meta.store(reads_meta, Ordering::Relaxed);
        }
        while query.allocation_pools().next().is_some() {
            query.remove_nth_allocation_pool(0);
        }
        Ok(())
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let age = match self.settings().timestamp_mode {
                TimestampMode::Capture => self.state().age.told(),
                TimestampMode::Receive => Duration::ZERO,
            };
            latency.set(true, gst::ClockTime::try_from(age).unwrap_or_default(), gst::ClockTime::NONE);
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }
}

impl PushSrcImpl for FramewireSrc {
    fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        loop {
            let source = self.source()?;
            match source.recv(STEP) {
                Ok(Some(taken)) => {
                    self.trouble.look(&*self.obj(), None);
                    if let Some(buffer) = self.buffer(&source, taken)? {
                        return Ok(CreateSuccess::NewBuffer(buffer));
                    }
                }
                Ok(None) => self.look(&source)?,
                Err(error) => self.goes_on_after(error)?,
            }
            if self.is_unlocked() {
                return Err(gst::FlowError::Flushing);
            }
        }
    }
}

impl FramewireSrc {
    /// Where frames come from; a stream of this machine is waited for.
    fn source(&self) -> Result<Arc<Source>, gst::FlowError> {
        loop {
            let (source, hub) = {
                let state = self.state();
                (state.source.clone(), state.hub.clone())
            };
            if let Some(source) = source {
                return Ok(source);
            }
            // It was stopped.
            let hub = hub.ok_or(gst::FlowError::Flushing)?;
            let (stream, reconnect) = {
                let settings = self.settings();
                (settings.stream.clone(), settings.reconnect)
            };
            match Source::open(stream.as_deref(), &hub, &mut || !self.is_unlocked()) {
                Ok(Some(source)) => {
                    let source = Arc::new(source);
                    let mut state = self.state();
                    state.hub_losses = 0;
                    state.source = Some(source.clone());
                    return Ok(source);
                }
                Ok(None) => return Err(gst::FlowError::Flushing),
                Err(error) if reconnect && is_to_come(&error) => {
                    self.trouble.look(&*self.obj(), Some(trouble::text(error)));
                    self.sleep(LOOKED_FOR_EVERY)?;
                }
                Err(error) => {
                    trouble::fail(&*self.obj(), error, false);
                    return Err(gst::FlowError::Error);
                }
            }
        }
    }

    /// Nothing came for a while: says why, where that is known.
    fn look(&self, source: &Source) -> Result<(), gst::FlowError> {
        let trouble = source.trouble();
        if let Some(trouble) = &trouble
            && !self.settings().reconnect
        {
            let text = format!("{trouble}; and reconnect=false says not to wait");
            trouble::fail(&*self.obj(), Error::new(Class::UnknownStream, "no-reconnect", text), false);
            return Err(gst::FlowError::Error);
        }
        let away =
            trouble.or_else(|| self.is_gone(source).then(|| "the stream has gone, and is waited for".to_owned()));
        if away.is_some() {
            self.trouble.look(&*self.obj(), away);
        }
        Ok(())
    }

    /// Whether a stream that was there is not any more; of a hub that is gone, the first time that it is looked.
    fn is_gone(&self, source: &Source) -> bool {
        let stats = source.stats();
        // Each stream but the first came back; what was gone besides was its hub, which the stream outlives.
        let losses = stats.reconnects.saturating_sub(stats.streams.saturating_sub(1));
        let is_hub_lost = std::mem::replace(&mut self.state().hub_losses, losses) < losses;
        is_hub_lost || (stats.streams > 0 && source.streams().is_empty())
    }

    /// What is done about an error of the source's.
    fn goes_on_after(&self, error: Error) -> Result<(), gst::FlowError> {
        let reconnect = self.settings().reconnect;
        match error.class {
            Class::Closed => Err(gst::FlowError::Flushing),
            // Downstream gives one back sooner or later.
            Class::SlotsHeld | Class::Timeout => Ok(()),
            Class::Ended if !reconnect => Err(gst::FlowError::Eos),
            Class::Ended | Class::Interrupted if reconnect && self.state().hub.is_some() => {
                // It is looked for anew, and may come back as another.
                let ended = self.state().source.take();
                if let Some(ended) = ended {
                    ended.close();
                    let mut counted = ended.stats();
                    (counted.held, counted.reconnects) = (0, counted.reconnects + 1);
                    let mut state = self.state();
                    state.past = state.past.and(counted);
                }
                Ok(())
            }
            Class::Ended => Err(gst::FlowError::Eos),
            _ => {
                trouble::fail(&*self.obj(), error, false);
                Err(gst::FlowError::Error)
            }
        }
    }

    /// What became of the frames so far.
    fn stats(&self) -> gst::Structure {
        let (source, past) = {
            let state = self.state();
            (state.source.clone(), state.past)
        };
        let stats = past.and(source.as_ref().map(|source| source.stats()).unwrap_or_default());
        let address = source.and_then(|source| source.local_addr()).map(|address| address.to_string());
        gst::Structure::builder("framewire-src-stats")
            .field("frames-taken", stats.taken)
            .field("frames-dropped", stats.dropped)
            .field("frames-lost", stats.lost)
            .field("frames-skipped", stats.skipped)
            .field("frames-copied", self.copied.load(Ordering::Relaxed))
            .field("bytes", stats.bytes)
            .field("streams", stats.streams)
            .field("reconnects", stats.reconnects)
            .field("held", stats.held as u64)
            .field_if_some("local-address", address)
            .build()
    }

    pub(super) fn is_unlocked(&self) -> bool {
        *self.is_unlocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, unless nothing is to be waited for.
    fn sleep(&self, time: Duration) -> Result<(), gst::FlowError> {
        let is_unlocked = self.is_unlocked.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.unlocked.wait_timeout_while(is_unlocked, time, |is_unlocked| !*is_unlocked);
        let (is_unlocked, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *is_unlocked { Err(gst::FlowError::Flushing) } else { Ok(()) }
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a stream that is not there may come.
fn is_to_come(error: &Error) -> bool {
    matches!(error.class, Class::UnknownStream | Class::Interrupted | Class::Timeout) || error.code == "no-hub"
}
