//! Pictures as JPEG files.

use jpeg_encoder::{ColorType, Encoder, EncodingError};

use crate::{Layout, Picture};

/// A picture has no JPEG file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JpegError {
    /// Of its size there is none.
    #[error("a JPEG file has 1 to 65,535 pixels a side; a picture of {width}x{height} has none")]
    Size {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// The encoder refuses it.
    #[error("the picture cannot be encoded: {0}")]
    Encoder(#[from] EncodingError),
}

impl Picture {
    /// As a JPEG file, of a quality of 1 to 100.
    ///
    /// # Errors
    /// [`JpegError::Size`] where it is empty or a side is too long, [`JpegError::Encoder`] as the encoder says.
    pub fn to_jpeg(&self, quality: u8) -> Result<Vec<u8>, JpegError> {
        let (width, height) = (self.width(), self.height());
        let sides = [width, height].map(|side| u16::try_from(side).ok().filter(|side| *side > 0));
        let [Some(columns), Some(rows)] = sides else { return Err(JpegError::Size { width, height }) };
        let layout = match self.layout() {
            Layout::Gray => ColorType::Luma,
            Layout::Rgb => ColorType::Rgb,
            Layout::Ycbcr => ColorType::Ycbcr,
        };
        let mut jpeg = Vec::with_capacity(self.pixels().len() / 4);
        Encoder::new(&mut jpeg, quality).encode(self.pixels(), columns, rows, layout)?;
        Ok(jpeg)
    }
}

#[cfg(test)]
mod tests {
    use framewire_transport::PixelFormat;
    use framewire_transport::frame::FrameFormat;

    use super::*;
    use crate::Look;

    #[test]
    fn a_picture_of_any_layout_is_a_file_and_an_empty_one_is_refused_with_its_size() {
        let empty = Picture::new().to_jpeg(70).unwrap_err();
        assert!(matches!(empty, JpegError::Size { width: 0, height: 0 }), "{empty}");
        for pixel in [PixelFormat::Gray8, PixelFormat::Bgr24, PixelFormat::Nv12] {
            let format = FrameFormat::new(pixel, 64, 48).unwrap();
            let mut picture = Picture::new();
            let frame = vec![100; format.frame_bytes()];
            assert!(picture.take(&frame, &format, 64, Look { limits: None, is_full_range: true }));
            let jpeg = picture.to_jpeg(70).unwrap();
            assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]), "{pixel:?}");
        }
    }
}
