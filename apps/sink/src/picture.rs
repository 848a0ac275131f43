//! Frames as OpenCV shows and encodes them: blue, green, red, rows packed.

use framewire_transport::frame::{ColourRange, FrameFormat, PixelFormat};

use crate::error::SinkError;
use crate::rows::Rows;
use crate::shown::Shown;

/// Hands frames through where they are as needed, and through one buffer of its own where they are not.
pub(crate) struct Picture {
    from: FrameFormat,
    rows: Rows,
    shown: Shown,
    bgr: Vec<u8>,
}

impl Picture {
    /// Turns frames of `from` into packed bgr24.
    ///
    /// # Errors
    /// A picture that is too large in bgr24.
    pub(crate) fn new(
        name: &str,
        kind: &'static str,
        from: &FrameFormat,
        range: ColourRange,
    ) -> Result<Self, SinkError> {
        FrameFormat::new(PixelFormat::Bgr24, from.width(), from.height())
            .map_err(|source| SinkError::Format { name: name.to_owned(), source })?;
        Ok(Self { from: *from, rows: Rows::new(name, from)?, shown: Shown::new(kind, from, range), bgr: Vec::new() })
    }

    /// The packed picture in `frame`.
    ///
    /// # Errors
    /// A frame that has not the size of the format, or that no picture can be made of.
    pub(crate) fn packed<'a>(&'a mut self, frame: &'a [u8]) -> Result<&'a [u8], SinkError> {
        let rows = self.rows.of(frame)?;
        self.bgr.clear();
        if self.from.pixel() == PixelFormat::Bgr24 {
            if frame.len() == self.rows.bytes() {
                return Ok(frame);
            }
            rows.for_each(|row| self.bgr.extend_from_slice(row));
            return Ok(&self.bgr);
        }
        let (pixels, is_gray) = self.shown.of(frame)?;
        if is_gray {
            self.bgr.extend(pixels.iter().flat_map(|gray| [*gray; 3]));
        } else {
            self.bgr.extend_from_slice(pixels);
            self.bgr.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
        }
        Ok(&self.bgr)
    }
}
