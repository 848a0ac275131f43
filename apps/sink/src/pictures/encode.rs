//! A frame as the samples of a picture file, and those in the file's form.

use std::io::Cursor;

use framewire_pictures::is_pictured;
use framewire_transport::frame::{ColourRange, FrameFormat, PixelFormat, PixelLayout};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::tiff::TiffEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::error::SinkError;
use crate::rows::Rows;
use crate::shown::Shown;
use crate::spec::PictureKind;

/// Of 100: what most cameras write.
const JPEG_QUALITY: u8 = 90;

/// Sides that JPEG can say.
const JPEG_SIDE_MAX: u32 = 65_535;

/// Whether a picture file can be made of frames of this format.
pub(crate) fn holds(kind: PictureKind, format: &FrameFormat) -> bool {
    let has_room = kind != PictureKind::Jpeg || format.width().max(format.height()) <= JPEG_SIDE_MAX;
    has_room && is_pictured(format.pixel())
}

/// Makes picture files of one stream's frames. Its memory is used again for the next one.
pub(super) struct Encoder {
    kind: PictureKind,
    format: FrameFormat,
    rows: Rows,
    shown: Shown,
    samples: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(
        kind: PictureKind,
        name: &str,
        format: &FrameFormat,
        range: ColourRange,
    ) -> Result<Self, SinkError> {
        Ok(Self {
            kind,
            format: *format,
            rows: Rows::new(name, format)?,
            shown: Shown::new(kind.name(), format, range),
            samples: Vec::new(),
        })
    }

    /// Makes the file of a frame, which has the size of the format.
    ///
    /// # Errors
    /// A frame of another size, and what the file cannot hold.
    pub(super) fn encode(&mut self, frame: &[u8], file: &mut Vec<u8>) -> Result<(), SinkError> {
        let (width, height, kind) = (self.format.width(), self.format.height(), self.kind);
        let (samples, colour) = self.samples(frame)?;
        file.clear();
        let mut to = Cursor::new(file);
        let made = match kind {
            PictureKind::Png => PngEncoder::new(&mut to).write_image(samples, width, height, colour),
            PictureKind::Jpeg => {
                JpegEncoder::new_with_quality(&mut to, JPEG_QUALITY).write_image(samples, width, height, colour)
            }
            PictureKind::Tiff => TiffEncoder::new(&mut to).write_image(samples, width, height, colour),
        };
        made.map_err(|error| SinkError::PictureFile {
            kind: kind.name(),
            format: self.format,
            reason: error.to_string(),
        })
    }

    /// What the file holds of a frame: its own samples where such a file has them, else a picture made of it.
    fn samples<'a>(&'a mut self, frame: &'a [u8]) -> Result<(&'a [u8], ExtendedColorType), SinkError> {
        use PixelFormat::*;
        // JPEG has no alpha, and 8 bits a sample.
        let is_jpeg = self.kind == PictureKind::Jpeg;
        let own = match self.format.pixel() {
            Gray8 => Some(ExtendedColorType::L8),
            Rgb24 | Bgr24 => Some(ExtendedColorType::Rgb8),
            Rgba32 | Bgra32 if !is_jpeg => Some(ExtendedColorType::Rgba8),
            Gray10 | Gray12 | Gray16 | Depth16 if !is_jpeg => Some(ExtendedColorType::L16),
            _ => None,
        };
        match own {
            Some(colour) => Ok((self.own_samples(frame)?, colour)),
            None => self.shown_samples(frame),
        }
    }

    /// The samples as they are, in the order that picture files have.
    fn own_samples<'a>(&'a mut self, frame: &'a [u8]) -> Result<&'a [u8], SinkError> {
        let mut rows = self.rows.of(frame)?;
        let pixel = self.format.pixel();
        let is_swapped = matches!(pixel.layout(), PixelLayout::Bgr | PixelLayout::Bgra);
        let is_foreign = cfg!(target_endian = "big") && pixel.sample_bytes() == Some(2);
        if !is_swapped && !is_foreign && frame.len() == self.rows.bytes() {
            return Ok(frame);
        }
        self.samples.clear();
        rows.by_ref().for_each(|row| self.samples.extend_from_slice(row));
        if is_swapped {
            self.samples.chunks_exact_mut(pixel.bytes_per_pixel() as usize).for_each(|pixel| pixel.swap(0, 2));
        }
        if is_foreign {
            self.samples.chunks_exact_mut(2).for_each(<[u8]>::reverse);
        }
        Ok(&self.samples)
    }

    /// A picture for people, of 8 bits a sample.
    fn shown_samples(&mut self, frame: &[u8]) -> Result<(&[u8], ExtendedColorType), SinkError> {
        // Refuses a frame of another size.
        drop(self.rows.of(frame)?);
        let (pixels, is_gray) = self.shown.of(frame)?;
        Ok((pixels, if is_gray { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 }))
    }
}
