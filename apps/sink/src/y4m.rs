//! Y4M: one text line, then each frame as a line `FRAME` and its planes, rows packed.

use framewire_transport::frame::{ChromaPlace, ColourRange, Frame, FrameFormat, PixelFormat, Presentation, Scan};

use crate::error::SinkError;
use crate::holds::cannot_hold;
use crate::output::{Destination, FrameOutput};
use crate::recorded::RATE_UNKNOWN;
use crate::rows::Rows;
use crate::sink::{Sink, SinkReport};

pub(crate) struct Y4mSink<D> {
    output: FrameOutput<D>,
    rows: Rows,
}

/// Whether Y4M has such pictures.
pub(crate) fn holds(format: &FrameFormat) -> bool {
    colour_space(format.pixel(), ChromaPlace::Unknown).is_some()
}

/// What Y4M calls a format, and what older readers look for; those of more than 8 bits as ffmpeg has them.
fn colour_space(pixel: PixelFormat, chroma: ChromaPlace) -> Option<&'static str> {
    use PixelFormat::*;
    Some(match pixel {
        Gray8 => "mono",
        Gray10 => "mono10",
        Gray12 => "mono12",
        Gray16 => "mono16",
        Yuv420p => match chroma {
            ChromaPlace::Center => "420jpeg",
            ChromaPlace::Left => "420mpeg2",
            ChromaPlace::TopLeft => "420paldv",
            _ => "420",
        },
        Yuv422p => "422",
        Yuv444p => "444",
        Yuv420p10 => "420p10 XYSCSS=420P10",
        Yuv422p10 => "422p10 XYSCSS=422P10",
        Yuv444p10 => "444p10 XYSCSS=444P10",
        Yuv420p12 => "420p12 XYSCSS=420P12",
        Yuv422p12 => "422p12 XYSCSS=422P12",
        Yuv444p12 => "444p12 XYSCSS=444P12",
        Yuv420p16 => "420p16 XYSCSS=420P16",
        Yuv422p16 => "422p16 XYSCSS=422P16",
        Yuv444p16 => "444p16 XYSCSS=444P16",
        _ => return None,
    })
}

impl<D: Destination> Y4mSink<D> {
    /// Writes the header, with what the source says of its pictures.
    pub(crate) fn new(
        mut output: FrameOutput<D>,
        format: &FrameFormat,
        said: impl Into<Presentation>,
    ) -> Result<Self, SinkError> {
        let Presentation { rate, scan, aspect, chroma, range, .. } = said.into();
        let rows = Rows::new(output.name(), format)?;
        let Some(colour_space) = colour_space(format.pixel(), chroma) else {
            return Err(cannot_hold("Y4M", format));
        };
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
        output.write_header(header.as_bytes(), header.trim_end())?;
        Ok(Self { output, rows })
    }
}

impl<D: Destination> Sink for Y4mSink<D> {
    fn write(&mut self, frame: &Frame) -> Result<(), SinkError> {
        self.output.write_rows(std::iter::once(&b"FRAME\n"[..]).chain(self.rows.of(frame)?))
    }

    fn bytes(&self) -> u64 {
        self.output.bytes()
    }

    fn finish(self: Box<Self>) -> Result<SinkReport, SinkError> {
        Ok(self.output.report())
    }
}
