//! A sink that counts.

use framewire_transport::frame::Frame;

use crate::error::SinkError;
use crate::sink::{Sink, SinkReport};

/// Throws frames away, and counts them.
#[derive(Default)]
pub(crate) struct NullSink {
    frames: u64,
    bytes: u64,
}

impl Sink for NullSink {
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        self.frames += 1;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError> {
        Ok(SinkReport { name: "null".to_owned(), files: 0, frames: self.frames, bytes: self.bytes })
    }
}
