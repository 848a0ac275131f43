//! Where received frames go: nowhere, into a file, onto standard output, or, with the feature `opencv`, into an encoded
//! video or a window.

mod error;
mod files;
mod null;
mod output;
mod picture;
mod place;
mod raw;
mod roll;
mod safe_name;
mod spec;
#[cfg(all(test, target_os = "linux"))]
pub(crate) mod tiny_disk;
mod trial;
#[cfg(feature = "opencv")]
mod video;
#[cfg(feature = "opencv")]
mod window;
mod y4m;

use std::fmt;

#[cfg(feature = "opencv")]
use framewire_capture::FrameRate;
use framewire_transport::frame::{Frame, FrameFormat, Presentation};

pub use error::SinkError;
pub use place::Places;
pub(crate) use place::{Opening, absolute};
pub use roll::{Roll, RollLimit};
pub use safe_name::safe_name;
pub use spec::{SinkSpec, SinkSpecError, VideoCodec};

/// A rate for containers that need one, when the stream has none.
const RATE_UNKNOWN: u32 = 30;

/// What a sink is told of the stream whose frames it takes. Clones are for the parts of one recording: they count time from the
/// same moment.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Of every frame.
    pub format: FrameFormat,
    /// What the source says of its pictures.
    pub presentation: Presentation,
    /// The stream's name as its client chose it; may be empty.
    pub name: String,
    /// The stream's id.
    pub stream: u32,
    epoch: raw::SharedEpoch,
}

impl Recorded {
    /// A stream of frames of `format`.
    pub fn new(format: FrameFormat, said: impl Into<Presentation>, name: &str, stream: u32) -> Self {
        Self { format, presentation: said.into(), name: name.to_owned(), stream, epoch: Default::default() }
    }

    /// For encoders: the stream's rate, or, where it has none, one that players are content with.
    #[cfg(feature = "opencv")]
    fn rate_or_default(&self) -> FrameRate {
        let unknown = || FrameRate::per_second(RATE_UNKNOWN).expect("a whole number of frames a second is a rate");
        self.presentation.rate.unwrap_or_else(unknown)
    }
}

/// Takes frames one after the other.
pub trait Sink: Send {
    /// Takes a frame; what is kept of it has been handed to the system when this returns.
    ///
    /// # Errors
    /// [`SinkError::Closed`] where whoever looks has gone, which is a way to end and no failure. After any other error
    /// the frames before this one are whole, and the sink can be tried again.
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError>;

    /// Bytes that it has written so far, with headers; 0 where it writes none.
    fn bytes(&self) -> u64 {
        0
    }

    /// Ends: what is needed at the end of a file is written.
    ///
    /// # Errors
    /// What could not be written.
    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError>;
}

/// What a sink took.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkReport {
    /// The sink as messages call it, such as `'out.y4m'` or `standard output`.
    pub name: String,
    /// Files written: 0 for what is none, more than 1 for a recording in parts.
    pub files: u64,
    /// Whole frames.
    pub frames: u64,
    /// Bytes written, with headers; for sinks that encode or show, bytes of the frames taken.
    pub bytes: u64,
}

impl fmt::Display for SinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} frames, {} bytes", self.name, self.frames, self.bytes)
    }
}

#[cfg(test)]
mod tests;
