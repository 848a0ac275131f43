//! NUT: raw pictures of nearly every format, each with its exact time, as ffmpeg, ffplay and mpv read them.
//!
//! The bytes of a frame are those that came, without what is between rows. Its time counts from the first frame on, whose own time in UTC
//! is the tag `creation_time`. A syncpoint stands before each frame, so that a reader can begin at any of them and a file that ends
//! anywhere is whole up to there.

mod bytes;
mod clock;
mod headers;
mod index;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use framewire_process::lock::lock;
use framewire_transport::frame::{Frame, FrameFormat, PixelFormat, Presentation};
use jiff::Timestamp;

use clock::{Clock, TICK_MAX, TimeBase};
use index::Index;

use crate::error::SinkError;
use crate::holds::cannot_hold;
use crate::output::{Destination, FrameOutput};
use crate::recorded::Recorded;
use crate::rows::Rows;
use crate::sink::{Sink, SinkReport};
use crate::timeline::{Moment, Timeline};

/// Where the times have come to in an output that streams have in turn.
pub(crate) type SharedClock = Arc<Mutex<Option<Clock>>>;

/// The headers stand once more where a file has grown to this, and then to eight times that, and so on: who has lost the beginning finds them.
const FIRST_COPY: u64 = 1 << 20;

/// Readers hold a frame in one piece of memory whose length they write as a signed number, with some room behind it.
const FRAME_BYTES_MAX: usize = i32::MAX as usize - 64;

/// Whether readers give such pictures back byte for byte.
pub(crate) fn holds(format: &FrameFormat) -> bool {
    tag(format.pixel()).is_some() && format.frame_bytes() <= FRAME_BYTES_MAX
}

/// The code by which readers know a format: ffmpeg's, for what its version 5.1 gives back byte for byte.
fn tag(pixel: PixelFormat) -> Option<[u8; 4]> {
    use PixelFormat::*;
    Some(match pixel {
        Gray8 => *b"Y800",
        Gray10 => *b"Y1\x00\x0A",
        Gray12 => *b"Y1\x00\x0C",
        Gray16 | Depth16 => *b"Y1\x00\x10",
        Rgb24 => *b"RGB\x18",
        Bgr24 => *b"BGR\x18",
        Rgba32 => *b"RGBA",
        Bgra32 => *b"BGRA",
        Yuv420p => *b"I420",
        Yuv422p => *b"Y42B",
        Yuv444p => *b"444P",
        Yuv420p10 => *b"Y3\x0B\x0A",
        Yuv422p10 => *b"Y3\x0A\x0A",
        Yuv444p10 => *b"Y3\x00\x0A",
        Yuv420p12 => *b"Y3\x0B\x0C",
        Yuv422p12 => *b"Y3\x0A\x0C",
        Yuv444p12 => *b"Y3\x00\x0C",
        Yuv420p16 => *b"Y3\x0B\x10",
        Yuv422p16 => *b"Y3\x0A\x10",
        Yuv444p16 => *b"Y3\x00\x10",
        Nv12 => *b"NV12",
        Yuyv => *b"YUY2",
        Uyvy => *b"UYVY",
        V210 => *b"v210",
        BayerRggb8 => *b"\xBARG\x08",
        BayerGrbg8 => *b"\xBAGR\x08",
        BayerGbrg8 => *b"\xBAGB\x08",
        BayerBggr8 => *b"\xBABG\x08",
        // 10 and 12 bits are what 16 are read as, with the sample's values as they are.
        BayerRggb10 | BayerRggb12 | BayerRggb16 => *b"\xBARG\x10",
        BayerGrbg10 | BayerGrbg12 | BayerGrbg16 => *b"\xBAGR\x10",
        BayerGbrg10 | BayerGbrg12 | BayerGbrg16 => *b"\xBAGB\x10",
        BayerBggr10 | BayerBggr12 | BayerBggr16 => *b"\xBABG\x10",
        // p010 and depth32f have none that is read back as themselves; packed samples and bytes are no pictures there.
        _ => return None,
    })
}

pub(crate) struct NutSink<D> {
    output: FrameOutput<D>,
    rows: Rows,
    said: Presentation,
    name: String,
    timeline: Timeline,
    base: TimeBase,
    headers: Vec<u8>,
    clock: Option<Clock>,
    /// That of the streams before, and of those that follow.
    shared: Option<SharedClock>,
    /// Where the last syncpoint stands.
    syncpoint: Option<u64>,
    /// Of a file: a pipe's reader cannot look for its end.
    index: Option<Index>,
    /// Where the headers stand once more.
    next_copy: u64,
    /// It has been told that times are beyond what the format holds.
    is_last_tick_told: bool,
    /// What stands before the pixels of the next frame.
    head: Vec<u8>,
}

impl<D: Destination> NutSink<D> {
    /// Writes the headers, with what the source says of its pictures.
    ///
    /// # Errors
    /// A format that is read back as another or not at all, and what could not be written.
    pub(crate) fn new(mut output: FrameOutput<D>, recorded: &Recorded) -> Result<Self, SinkError> {
        let Recorded { format, presentation, name, .. } = recorded;
        let Some(tag) = tag(format.pixel()).filter(|_| holds(format)) else {
            return Err(cannot_hold("NUT", format));
        };
        let rows = Rows::new(output.name(), format)?;
        let base = TimeBase::of(presentation.rate);
        let headers = headers::headers(tag, format, *presentation, base);
        let rate = presentation.rate.map_or_else(String::new, |rate| format!(", {rate} frames/s"));
        output.write_header(&headers, &format!("{format}{rate}"))?;
        Ok(Self {
            rows,
            said: *presentation,
            name: name.clone(),
            timeline: recorded.timeline(),
            base,
            headers,
            clock: None,
            shared: None,
            syncpoint: None,
            index: None,
            next_copy: FIRST_COPY,
            is_last_tick_told: false,
            head: Vec::with_capacity(512),
            output,
        })
    }

    /// In an output that streams have in turn.
    pub(crate) fn in_turn(self, clock: SharedClock) -> Self {
        Self { shared: Some(clock), ..self }
    }

    /// With an index at the end, which a file has that can be cut back to what it was.
    pub(crate) fn with_index(self) -> Self {
        Self { index: Some(Index::default()), ..self }
    }
}

impl<D: Destination> Sink for NutSink<D> {
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        let rows = self.rows.of(frame)?;
        let utc_ns = self.timeline.place(Moment::of(frame));
        self.head.clear();
        let mut clock = match (self.clock, self.shared.as_ref().and_then(|shared| *lock(shared))) {
            (Some(clock), _) => clock,
            (None, Some(before)) => before.resumed(utc_ns),
            (None, None) => {
                let began = Timestamp::from_nanosecond(utc_ns.into()).unwrap_or(Timestamp::MAX);
                self.head.extend(headers::info(&self.name, &format!("{began:.9}"), self.said));
                Clock::new(self.base, utc_ns)
            }
        };
        let begin = self.output.bytes();
        let is_copy_due = begin >= self.next_copy;
        if is_copy_due {
            self.head.extend_from_slice(headers::repeated(&self.headers));
        }
        let syncpoint = begin + self.head.len() as u64;
        let back = self.syncpoint.map_or(0, |before| syncpoint - before);
        let tick = clock.place(utc_ns);
        headers::put_frame_header(&mut self.head, tick, back, self.rows.bytes());
        self.output.write_rows(std::iter::once(&self.head[..]).chain(rows))?;
        if let Some(shared) = &self.shared {
            *lock(shared) = Some(clock);
        }
        (self.clock, self.syncpoint) = (Some(clock), Some(syncpoint));
        if tick == TICK_MAX && !self.is_last_tick_told {
            self.is_last_tick_told = true;
            tracing::warn!(
                "{} has frames that are said to be {} ns later than 1970, which is more behind its first than NUT can hold: from here on \
                 all have the last time that it can; give the source's frames true times",
                self.output.name(),
                utc_ns
            );
        }
        if let Some(index) = &mut self.index {
            index.note(syncpoint, tick);
        }
        if is_copy_due {
            self.next_copy = self.next_copy.saturating_mul(8);
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.output.bytes()
    }

    fn finish(mut self: Box<Self>) -> Result<SinkReport, SinkError> {
        // The frames are whole without it.
        if let Some(packet) = self.index.as_ref().and_then(Index::packet)
            && let Err(error) = self.output.write_end(&packet)
        {
            let name = self.output.name();
            tracing::warn!("{name} has no index at its end: {error}; readers look through it instead");
        }
        Ok(self.output.report())
    }
}
