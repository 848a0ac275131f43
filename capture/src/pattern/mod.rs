//! A moving picture that says which frame it is, to people and to programs.
//!
//! A diagonal gradient and a bar move; the frame's number stands in the middle in decimal digits (where the frame is
//! large enough) and at the top left as a strip of blocks, which [`read_frame_number`] reads back. The same number and
//! format always give the same bytes ([`draw`]), so a receiver can check every byte it was given.
//!
//! # The strip
//! 96 bits, most significant first: the number's 64, then a check of 32, `((number ^ 0x4652414d45574952) *
//! 0x9e3779b97f4a7c15 mod 2^64) >> 32`. A bright block (235) is 1, a dark one (16) is 0; chroma is neutral (128), and
//! in bgr24 all three channels are alike. Blocks are square and fill rows from the top left corner: three rows of 32, or
//! six of 16 in a frame less than 32 pixels wide. A block's side is the frame's width over the blocks in a row, or its
//! height over four times the rows, whichever is less, rounded down, from 1 to 16 pixels. A frame narrower than 16
//! pixels, or lower than the rows, has no strip.

mod digits;
mod paint;
mod strip;

use framewire_transport::Time;
use framewire_transport::frame::{
    ChromaPlace, FrameFormat, FrameMut, FrameRate, PixelFormat, Presentation, SampleAspect, Scan,
};

use crate::error::CaptureError;
use crate::picture::PictureError;
use crate::source::{FrameSource, fit};
use paint::{BLACK, Canvas, WHITE};

pub use strip::read_frame_number;

/// What the pattern says of its rate, in frames a second: that of a fast camera. It is drawn whenever it is asked for.
const FRAMES_PER_SECOND: u32 = 60;

/// The moving pattern as a live source, counting its frames from 0.
pub struct PatternSource {
    format: FrameFormat,
    next: u64,
}

impl PatternSource {
    /// A pattern of any format, from frame 0 on. It draws at once and never waits.
    pub const fn new(format: FrameFormat) -> Self {
        Self { format, next: 0 }
    }
}

impl FrameSource for PatternSource {
    fn format(&self) -> FrameFormat {
        self.format
    }

    /// 60 frames a second, each one moment, in square pixels.
    fn presentation(&self) -> Presentation {
        Presentation::UNKNOWN
            .rate(FrameRate::per_second(FRAMES_PER_SECOND).ok())
            .scan(Scan::Progressive)
            .aspect(SampleAspect::SQUARE)
            .chroma(match self.format.pixel() {
                PixelFormat::Yuv420p => ChromaPlace::Center,
                _ => ChromaPlace::Unknown,
            })
    }

    /// It has no end.
    fn frame_count(&self) -> Option<u64> {
        None
    }

    fn is_live(&self) -> bool {
        true
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        fit(frame, &self.format)?;
        frame.info.captured = Time::now();
        draw(frame, &self.format, self.next)?;
        self.next = self.next.wrapping_add(1);
        Ok(true)
    }

    fn rewind(&mut self) -> Result<(), CaptureError> {
        self.next = 0;
        Ok(())
    }
}

/// Draws frame `number`. Every byte is written, bytes between rows as zero, and depends on nothing but the arguments.
///
/// # Errors
/// `bytes` has not exactly [`FrameFormat::frame_bytes`]; nothing is drawn then.
pub fn draw(bytes: &mut [u8], format: &FrameFormat, number: u64) -> Result<(), PictureError> {
    let mut canvas = Canvas::new(bytes, format)?;
    canvas.gradient(number);
    // The bar crosses the picture in four seconds at the pattern's own rate, and in no less than one frame a pixel.
    let (width, height) = (format.width(), format.height());
    let step = u64::from((width / 240).max(1));
    let bar = (number % u64::from(width)) * step % u64::from(width);
    canvas.fill(bar as u32, 0, (width / 32).max(1), height, WHITE);
    let strip_height = strip::draw(&mut canvas, number);
    digits::draw(&mut canvas, number, strip_height);
    Ok(())
}

#[cfg(test)]
mod tests;
