//! Y4M: one text line, then each frame as a line `FRAME` and its planes, rows packed.
//!
//! bgr24 has no colour space in Y4M and is written as 4:4:4, BT.601 with limited range (see
//! [`framewire_capture::colour`]).

use framewire_capture::FrameRate;
use framewire_transport::frame::{Frame, FrameFormat, PixelFormat};

use super::output::{Destination, FrameOutput};
use super::picture::Picture;
use super::{Sink, SinkError, SinkReport};

pub(super) struct Y4mSink<D> {
    output: FrameOutput<D>,
    picture: Picture,
}

impl<D: Destination> Y4mSink<D> {
    /// Writes the header.
    pub(super) fn new(mut output: FrameOutput<D>, format: &FrameFormat, rate: FrameRate) -> Result<Self, SinkError> {
        let (pixel, colour_space) = match format.pixel() {
            PixelFormat::Gray8 => (PixelFormat::Gray8, "Cmono"),
            PixelFormat::Yuv420p => (PixelFormat::Yuv420p, "C420jpeg"),
            PixelFormat::Yuv422p => (PixelFormat::Yuv422p, "C422"),
            PixelFormat::Yuv444p => (PixelFormat::Yuv444p, "C444"),
            _ => (PixelFormat::Yuv444p, "C444 XCOLORRANGE=LIMITED"),
        };
        let picture = Picture::new(output.name(), format, pixel)?;
        let (width, height, num, den) = (format.width(), format.height(), rate.num(), rate.den());
        let header = format!("YUV4MPEG2 W{width} H{height} F{num}:{den} Ip A1:1 {colour_space}\n");
        output.write_header(header.as_bytes())?;
        Ok(Self { output, picture })
    }
}

impl<D: Destination> Sink for Y4mSink<D> {
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        self.output.write_frame(&[b"FRAME\n", self.picture.packed(frame)?])
    }

    fn bytes(&self) -> u64 {
        self.output.bytes()
    }

    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError> {
        Ok(self.output.report())
    }
}
