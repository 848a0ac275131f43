//! Frames back to back, byte for byte as they were received, bytes between rows included.

use framewire_transport::frame::Frame;

use super::output::{Destination, FrameOutput};
use super::{Sink, SinkError, SinkReport};

pub(super) struct RawSink<D> {
    output: FrameOutput<D>,
}

impl<D: Destination> RawSink<D> {
    pub(super) const fn new(output: FrameOutput<D>) -> Self {
        Self { output }
    }
}

impl<D: Destination> Sink for RawSink<D> {
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        self.output.write_frame(&[frame])
    }

    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError> {
        Ok(self.output.report())
    }
}
