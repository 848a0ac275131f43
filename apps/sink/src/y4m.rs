//! Y4M: one text line, then each frame as a line `FRAME` and its planes, rows packed.
//!
//! bgr24 has no colour space in Y4M and is written as 4:4:4, BT.601 with limited range (see
//! [`framewire_capture::colour`]).

use framewire_transport::frame::{ChromaPlace, ColourRange, Frame, FrameFormat, PixelFormat, Presentation, Scan};

use crate::error::SinkError;
use crate::output::{Destination, FrameOutput};
use crate::picture::Picture;
use crate::recorded::RATE_UNKNOWN;
use crate::sink::{Sink, SinkReport};

pub(crate) struct Y4mSink<D> {
    output: FrameOutput<D>,
    picture: Picture,
}

impl<D: Destination> Y4mSink<D> {
    /// Writes the header, with what the source says of its pictures.
    pub(crate) fn new(
        mut output: FrameOutput<D>,
        format: &FrameFormat,
        said: impl Into<Presentation>,
    ) -> Result<Self, SinkError> {
        let Presentation { rate, scan, aspect, chroma, range, .. } = said.into();
        let (pixel, colour_space, range) = match format.pixel() {
            PixelFormat::Gray8 => (PixelFormat::Gray8, "mono", range),
            PixelFormat::Yuv420p => {
                let colour_space = match chroma {
                    ChromaPlace::Center => "420jpeg",
                    ChromaPlace::Left => "420mpeg2",
                    ChromaPlace::TopLeft => "420paldv",
                    _ => "420",
                };
                (PixelFormat::Yuv420p, colour_space, range)
            }
            PixelFormat::Yuv422p => (PixelFormat::Yuv422p, "422", range),
            PixelFormat::Yuv444p => (PixelFormat::Yuv444p, "444", range),
            // Whatever it was before, it is converted to this.
            _ => (PixelFormat::Yuv444p, "444", ColourRange::Limited),
        };
        let picture = Picture::new(output.name(), format, pixel)?;
        let (num, den) = rate.map_or((RATE_UNKNOWN, 1), |rate| (rate.num(), rate.den()));
        let scan = match scan {
            Scan::Progressive => 'p',
            Scan::TopFirst => 't',
            Scan::BottomFirst => 'b',
            // A mixed file has to say for each frame which it is, and that is not known here.
            _ => '?',
        };
        let aspect = aspect.map_or_else(|| "0:0".to_owned(), |aspect| aspect.to_string());
        let range = match range {
            ColourRange::Full => " XCOLORRANGE=FULL",
            ColourRange::Limited => " XCOLORRANGE=LIMITED",
            _ => "",
        };
        let (width, height) = (format.width(), format.height());
        let header = format!("YUV4MPEG2 W{width} H{height} F{num}:{den} I{scan} A{aspect} C{colour_space}{range}\n");
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
