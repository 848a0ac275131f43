//! What a sink is told of the stream whose frames it takes.

use std::sync::OnceLock;

#[cfg(feature = "opencv")]
use framewire_capture::FrameRate;
use framewire_transport::Time;
use framewire_transport::frame::{Frame, FrameFormat, Presentation};
use jiff::{SignedDuration, Timestamp};

use crate::timeline::{SharedAnchor, Timeline};

/// A rate for containers that need one, when the stream has none.
pub(crate) const RATE_UNKNOWN: u32 = 30;

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
    pub(crate) epoch: SharedEpoch,
    pub(crate) anchor: SharedAnchor,
}

impl Recorded {
    /// A stream of frames of `format`.
    pub fn new(format: FrameFormat, said: impl Into<Presentation>, name: &str, stream: u32) -> Self {
        Self {
            format,
            presentation: said.into(),
            name: name.to_owned(),
            stream,
            epoch: Default::default(),
            anchor: Default::default(),
        }
    }

    /// Gives the frames of another file of the recording their times.
    pub(crate) fn timeline(&self) -> Timeline {
        Timeline::new(&self.anchor)
    }

    /// For encoders: the stream's rate, or, where it has none, one that players are content with.
    #[cfg(feature = "opencv")]
    pub(crate) fn rate_or_default(&self) -> FrameRate {
        let unknown = || FrameRate::per_second(RATE_UNKNOWN).expect("a whole number of frames a second is a rate");
        self.presentation.rate.unwrap_or_else(unknown)
    }
}

/// What the times of a recording count from, for all its parts.
#[derive(Debug)]
pub(crate) struct Epoch {
    /// When its first frame had arrived.
    pub(crate) started: Timestamp,
    /// When that was taken, on its sender's clock.
    pub(crate) first: Time,
}

impl Epoch {
    pub(crate) fn of(frame: &Frame) -> Self {
        let arrived = frame.info().completed;
        let since = if arrived == Time::ZERO { Default::default() } else { Time::now().since(arrived) };
        let now = Timestamp::now();
        let since = SignedDuration::try_from(since).unwrap_or(SignedDuration::ZERO);
        Self { started: now.checked_sub(since).unwrap_or(now), first: taken(frame) }
    }
}

/// Shared by the parts of a recording.
pub(crate) type SharedEpoch = std::sync::Arc<OnceLock<Epoch>>;

/// When the picture was taken, on one clock for all frames of a stream.
pub(crate) fn taken(frame: &Frame) -> Time {
    match frame.info().captured_there {
        Time::ZERO => frame.info().captured,
        there => there,
    }
}
