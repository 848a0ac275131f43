//! What becomes of a frame: a buffer where it lies, or a copy; its time, its number, and what is said of it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use framewire_ends::{Source, Stream, Taken};
use framewire_transport::{Frame, Time};
use gst::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_video::VideoInfo;

use super::bearings::Bearings;
use super::imp::FramewireSrc;
use crate::choices::TimestampMode;
use crate::clock::Clock;
use crate::{layout, memory, metadata};

static LOG: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("framewiresrc", gst::DebugColorFlags::empty(), Some("Framewire's source"))
});

impl FramewireSrc {
    /// The buffer of a frame; `None` of a frame of another stream than the one that is sent on.
    pub(super) fn buffer(&self, source: &Source, taken: Taken) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let Taken { frame, stream } = taken;
        let before = self.state().bearings.as_ref().map(|bearings| bearings.stream.clone());
        if !before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &stream)) {
            if before.is_some_and(|before| before.name != stream.name && is_open(source, &before)) {
                self.tell_of_others(&stream);
                return Ok(None);
            }
            self.follow(&stream)?;
        }
        let is_last = source.stats().held >= self.settings().slots();
        let number = frame.info().number;
        let (bearings, is_apart) = {
            let mut state = self.state();
            let is_apart = state.next.replace(number.wrapping_add(1)) != Some(number);
            // It was stopped meanwhile.
            (state.bearings.clone().ok_or(gst::FlowError::Flushing)?, is_apart)
        };
        let mut buffer = self.placed(&bearings, &frame, is_last)?;
        self.tell_of_copies(is_last);
        let said = buffer.make_mut();
        self.time(said, &frame, is_apart);
        said.set_offset(number);
        said.set_offset_end(number.wrapping_add(1));
        if is_apart {
            said.set_flags(gst::BufferFlags::DISCONT);
        }
        if !frame.is_complete() {
            said.set_flags(gst::BufferFlags::CORRUPTED);
        }
        metadata::tell(&frame, said, self.utc.get_or_init(metadata::utc));
        Ok(Some(buffer))
    }

    /// Has downstream know of another stream, or of the same in another format.
    fn follow(&self, stream: &Arc<Stream>) -> Result<(), gst::FlowError> {
        let source = self.obj();
        let (bearings, caps) = Bearings::take(stream).map_err(|why| {
            gst::element_error!(source, gst::StreamError::Format, ("{}: {why}", stream.name));
            gst::FlowError::NotNegotiated
        })?;
        gst::info!(LOG, obj = source, "'{}' is {}", stream.name, stream.format);
        if source.src_pad().current_caps().as_ref() != Some(&caps) {
            // Who is not linked to anything takes all.
            let is_taken = source.src_pad().peer_query_accept_caps(&caps) && source.set_caps(&caps).is_ok();
            if !is_taken && self.is_unlocked() {
                return Err(gst::FlowError::Flushing);
            }
            if !is_taken {
                let is_interlaced = bearings.picture.info.as_ref().is_some_and(VideoInfo::is_interlaced);
                let remedy = if is_interlaced { "deinterlace" } else { "videoconvert" };
                gst::element_error!(
                    source,
                    gst::CoreError::Negotiation,
                    ("downstream takes no {caps}, which is what '{}' has; put {remedy} behind", stream.name)
                );
                return Err(gst::FlowError::NotNegotiated);
            }
        }
        // Only now: what downstream does not know yet, it is to be told with the next frame.
        {
            let mut state = self.state();
            (state.bearings, state.next) = (Some(Arc::new(bearings)), None);
        }
        // Downstream is asked what it reads.
        source.negotiate();
        Ok(())
    }

    /// A buffer with the frame where it lies, where that can be; else with a copy of it.
    fn placed(&self, bearings: &Bearings, frame: &Frame, is_last: bool) -> Result<gst::Buffer, gst::FlowError> {
        let stays = bearings.can_stay() && !is_last;
        let to = if bearings.can_stay() { &bearings.layout } else { &bearings.usual };
        let mut buffer = if stays {
            let mut buffer = gst::Buffer::new();
            buffer.make_mut().append_memory(memory::readable(frame.clone()));
            buffer
        } else {
            self.copied.fetch_add(1, Ordering::Relaxed);
            layout::copied(frame, &bearings.stream.format, to).ok_or(gst::FlowError::Error)?
        };
        if let Some(info) = &bearings.picture.info {
            to.tell(buffer.make_mut(), info);
        }
        Ok(buffer)
    }

    fn time(&self, buffer: &mut gst::BufferRef, frame: &Frame, is_apart: bool) {
        let source = self.obj();
        let info = frame.info();
        let now = Time::now();
        let is_known = info.captured != Time::ZERO && self.settings().timestamp_mode == TimestampMode::Capture;
        // No picture was taken later than now, whatever its source says.
        let moment = if is_known { info.captured.min(now) } else { now };
        let (rate, pts, is_older) = {
            let mut state = self.state();
            let rate = state.bearings.as_ref().and_then(|bearings| bearings.picture.presentation.rate);
            let running = match (source.clock(), source.base_time()) {
                (Some(clock), Some(base)) => Some(Clock::new(&clock, base).running(moment)),
                _ => None,
            };
            // Each later than the one before: what was taken before the pipeline began is at its beginning, the estimate of another machine's clock moves, and
            // a stream may come back from another machine.
            let least = state.last_pts.map_or(gst::ClockTime::ZERO, |last| last + gst::ClockTime::NSECOND);
            let pts = running.map(|running| running.max(least));
            state.last_pts = pts.or(state.last_pts);
            (rate, pts, is_known && !is_apart && state.age.note(moment, now))
        };
        buffer.set_pts(pts);
        buffer.set_duration(rate.and_then(|rate| gst::ClockTime::try_from(rate.interval()).ok()));
        if is_older {
            // Who plays it asks anew how old frames are.
            let _ = source.post_message(gst::message::Latency::builder().src(&*source).build());
        }
    }

    fn tell_of_copies(&self, copies: bool) {
        let told = std::mem::replace(&mut self.state().tells_of_copies, copies);
        if copies && !told {
            gst::element_imp_info!(
                self,
                gst::ResourceError::NoSpaceLeft,
                (
                    "downstream holds as many frames as slots= says ({}): from here on they are copied; let queues be shorter, or say more slots",
                    self.settings().slots()
                )
            );
        }
    }

    fn tell_of_others(&self, stream: &Stream) {
        if !std::mem::replace(&mut self.state().tells_of_others, true) {
            let peer = stream.peer.map_or_else(String::new, |peer| format!(" from {peer}"));
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Read,
                (
                    "another stream, '{}'{peer}, comes here, too, and is left out; have it sent to another address",
                    stream.name
                )
            );
        }
    }
}

fn is_open(source: &Source, stream: &Stream) -> bool {
    source.streams().iter().any(|open| open.name == stream.name)
}
