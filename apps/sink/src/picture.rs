//! Frames as OpenCV shows and encodes them: blue, green, red, rows packed.

use framewire_pictures::{Layout, Limits, Look, is_ranged};
use framewire_transport::frame::{ColourRange, FrameFormat, PixelFormat};

use crate::error::SinkError;
use crate::holds::cannot_hold;
use crate::rows::Rows;

/// Hands frames through where they are as needed, and through one buffer of its own where they are not.
pub(crate) struct Picture {
    kind: &'static str,
    from: FrameFormat,
    rows: Rows,
    is_full_range: bool,
    picture: framewire_pictures::Picture,
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
        Ok(Self {
            kind,
            from: *from,
            rows: Rows::new(name, from)?,
            is_full_range: range == ColourRange::Full,
            picture: framewire_pictures::Picture::new(),
            bgr: Vec::new(),
        })
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
        let limits = is_ranged(self.from.pixel()).then(|| Limits::measured(frame, &self.from));
        let look = Look { limits, is_full_range: self.is_full_range };
        if !self.picture.take(frame, &self.from, u32::MAX, look) {
            return Err(cannot_hold(self.kind, &self.from));
        }
        self.picture.to_rgb();
        let pixels = self.picture.pixels();
        match self.picture.layout() {
            Layout::Gray => self.bgr.extend(pixels.iter().flat_map(|gray| [*gray; 3])),
            Layout::Rgb | Layout::Ycbcr => {
                self.bgr.extend_from_slice(pixels);
                self.bgr.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
            }
        }
        Ok(&self.bgr)
    }
}
