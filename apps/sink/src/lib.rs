//! Where received frames go: nowhere, into a file, onto standard output, or, with the feature `opencv`, into an encoded
//! video or a window.
//!
//! A [`SinkSpec`] says which, as a command line has it; opened for a stream ([`Recorded`]) among the [`Places`] of a server it is
//! a [`Sink`], which takes frames one after the other. A server's sinks together are its [`Recording`]: for each stream a
//! [`Recorder`] has every sink written on a thread of its own, tried again after a failure, and counted ([`StreamSink`],
//! [`SinkTotals`]).
#![forbid(unsafe_code)]

#[cfg(test)]
mod disk;
mod error;
mod files;
mod holds;
mod job;
mod kinds;
mod mcap;
mod null;
mod nut;
mod open;
mod output;
#[cfg(feature = "opencv")]
mod picture;
mod pictures;
mod places;
mod progress;
mod raw;
mod recorded;
mod recorder;
mod recording;
mod retry;
mod roll;
mod rows;
mod safe_name;
mod shown;
mod sink;
mod spec;
mod template;
mod thinning;
mod timeline;
#[cfg(all(test, target_os = "linux"))]
mod tiny_disk;
mod trial;
#[cfg(feature = "opencv")]
mod video;
#[cfg(feature = "opencv")]
mod window;
mod y4m;

pub use error::{SinkError, SinkSpecError};
pub use places::Places;
pub use progress::{Condition, Missed, SinkTotals, StreamSink};
pub use recorded::Recorded;
pub use recorder::Recorder;
pub use recording::{Asked, Recording, SlowSink};
pub use roll::{Roll, RollLimit};
pub use safe_name::safe_name;
pub use sink::{Sink, SinkReport};
pub use spec::{PictureKind, Piped, SinkSpec, VideoCodec};
pub use trial::try_all;

#[cfg(test)]
mod tests;
