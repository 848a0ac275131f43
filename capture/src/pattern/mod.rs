//! A moving picture that says which frame it is, to people and to programs, in every pixel format.
//!
//! A diagonal gradient and a bar move; the frame's number stands in the middle in decimal digits (where the frame is
//! large enough) and at the top left as a strip of blocks, which [`read_frame_number`] reads back. The same number and
//! format always give the same bytes ([`draw`]), so a receiver can check every byte it was given.
//!
//! # The strip
//! 96 bits, most significant first: the number's 64, then a check of 32, `((number ^ 0x4652414d45574952) *
//! 0x9e3779b97f4a7c15 mod 2^64) >> 32`. A bright block (235) is 1, a dark one (16) is 0; chroma is neutral (128), and
//! the colours of a pixel are alike. Blocks are square and fill rows from the top left corner: three rows of 32, or
//! six of 16 in a frame less than 32 pixels wide. A block's side is the frame's width over the blocks in a row, or its
//! height over four times the rows, whichever is less, rounded down, from 1 to 16 pixels. A frame narrower than 16
//! pixels, or lower than the rows, has no strip.
//!
//! # Values
//! They are those of 8 bits, and take the upper bits of larger samples (235 is 940 in 10 bits and 60,160 in 16); the gradient uses the
//! lower bits too. Alpha is opaque. Bayer mosaics have the gradient's colours, each at its place. Depth is 64 times the value in
//! millimetres, as metres in floating point: 1 to 15 metres. Packed bits (mono10p, bayer_rggb12p, ...) are brightness, the first pixel
//! in the lowest bits.
//!
//! # Bytes
//! A frame of `bytes` is no picture. It begins with the strip's 96 bits as 12 bytes, the most significant first; behind them byte `i`,
//! counted from the frame's first, is `(number + i) mod 251`. One of fewer than 12 has no number. Frames differ in length
//! ([`frame_len`]).

mod digits;
mod paint;
mod payload;
mod rows;
mod samples;
mod strip;

use framewire_transport::Time;
use framewire_transport::frame::{ChromaPlace, FrameFormat, FrameMut, FrameRate, Presentation, SampleAspect, Scan};

use crate::error::CaptureError;
use crate::picture::{PictureError, whole};
use crate::source::{FrameSource, fit_length};
use paint::{BLACK, Canvas, WHITE};

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
            .chroma(match self.format.pixel().chroma_divisors() {
                (2, 2) => ChromaPlace::Center,
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
        fit_length(frame, &self.format, frame_len(&self.format, self.next))?;
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

/// How many bytes frame `number` has: [`FrameFormat::frame_bytes`], but for `bytes`, where that is the most. Frames of those become
/// shorter by a 32nd of the most from one to the next, sixteen times, and begin again; of fewer than 24 they are all alike.
pub fn frame_len(format: &FrameFormat, number: u64) -> usize {
    let bytes = format.frame_bytes();
    if format.is_variable() { payload::length(bytes, number) } else { bytes }
}

/// Draws frame `number`. Every byte is written, bytes between rows as zero, and depends on nothing but the arguments.
///
/// # Errors
/// `bytes` has not exactly [`FrameFormat::frame_bytes`], or, of a format whose frames differ in length, more than these or none;
/// nothing is drawn then.
pub fn draw(bytes: &mut [u8], format: &FrameFormat, number: u64) -> Result<(), PictureError> {
    if format.is_variable() {
        if !(1..=format.frame_bytes()).contains(&bytes.len()) {
            return whole(bytes.len(), format);
        }
        payload::draw(bytes, number);
        return Ok(());
    }
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

/// The number drawn into a frame of any format by [`draw`]; `None` where there is none to be read: another picture, a
/// damaged strip, fewer bytes than the format says, or a frame too small for a number (see the [module](self)).
///
/// Each block of a strip counts by its mean brightness, so lossy compression and colour conversion at the same size do no harm.
pub fn read_frame_number(bytes: &[u8], format: &FrameFormat) -> Option<u64> {
    if format.is_variable() {
        return payload::read(bytes);
    }
    (bytes.len() >= format.frame_bytes()).then(|| strip::read(bytes, format))?
}

#[cfg(test)]
mod tests;
