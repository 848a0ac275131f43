//! What takes frames.

use std::fmt;

use framewire_transport::frame::Frame;

use crate::error::SinkError;

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
    /// What could not be written; [`SinkError::End`] where all frames are there.
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
