//! A frame format as text, for bytes that do not say themselves what they are.

use std::fmt;
use std::str::FromStr;

use framewire_transport::frame::{FormatError, FrameFormat, PixelFormat};
use thiserror::Error;

use framewire_transport::frame::{FrameRate, FrameRateError};

/// What the bytes of headerless frames mean, written `WIDTHxHEIGHT:PIXEL[:STRIDE][@FPS]`, as in `1920x1080:gray8@30`.
///
/// The stride is the bytes from row to row of the first plane, where there is a gap between rows. Frames of `bytes` are as wide as the
/// longest has bytes, and 1 high: `65536x1:bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RawFormat {
    /// Geometry of every frame.
    pub format: FrameFormat,
    /// Frames a second, where given.
    pub rate: Option<FrameRate>,
}

impl RawFormat {
    /// Frames of this format, at a rate where one is known.
    pub fn new(format: FrameFormat, rate: impl Into<Option<FrameRate>>) -> Self {
        Self { format, rate: rate.into() }
    }
}

/// Why the text of a raw format was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RawFormatError {
    /// The text does not have the form.
    #[error(
        "'{0}' is no frame format; write WIDTHxHEIGHT:PIXEL or WIDTHxHEIGHT:PIXEL@FPS, such as 1920x1080:gray8@30, with :STRIDE behind PIXEL where rows have gaps"
    )]
    Form(String),
    /// The size is none.
    #[error("'{0}' is no frame size; write WIDTHxHEIGHT in pixels, such as 1920x1080")]
    Size(String),
    /// The bytes from row to row are no number.
    #[error("'{0}' is no stride; write the bytes from row to row, as in 1000x750:gray8:1024")]
    Stride(String),
    /// Size and pixel format do not go together, or the pixel format is unknown.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The rate is none.
    #[error(transparent)]
    Rate(#[from] FrameRateError),
}

impl FromStr for RawFormat {
    type Err = RawFormatError;

    fn from_str(text: &str) -> Result<Self, RawFormatError> {
        let form = || RawFormatError::Form(text.chars().take(60).collect());
        let (geometry, rate) = match text.split_once('@') {
            Some((geometry, rate)) => (geometry, Some(rate.parse()?)),
            None => (text, None),
        };
        let (size, pixel) = geometry.split_once(':').ok_or_else(form)?;
        let (width, height) = parse_size(size)?;
        let (pixel, stride) = pixel.split_once(':').map_or((pixel, None), |(pixel, stride)| (pixel, Some(stride)));
        let pixel: PixelFormat = pixel.parse()?;
        let format = match stride {
            None => FrameFormat::new(pixel, width, height)?,
            Some(stride) => FrameFormat::with_stride(pixel, width, height, parse_stride(stride)?)?,
        };
        Ok(Self { format, rate })
    }
}

impl fmt::Display for RawFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pixel, width, height, stride) =
            (self.format.pixel(), self.format.width(), self.format.height(), self.format.stride());
        write!(f, "{width}x{height}:{pixel}")?;
        if FrameFormat::new(pixel, width, height) != Ok(self.format) {
            write!(f, ":{stride}")?;
        }
        self.rate.map_or(Ok(()), |rate| write!(f, "@{rate}"))
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn parse_stride(text: &str) -> Result<u32, RawFormatError> {
    number(text).ok_or_else(|| RawFormatError::Stride(text.chars().take(40).collect()))
}

/// Reads `WIDTHxHEIGHT`; whether such a frame can be is left to [`FrameFormat`].
pub(crate) fn parse_size(text: &str) -> Result<(u32, u32), RawFormatError> {
    text.split_once('x')
        .and_then(|(width, height)| Some((number(width)?, number(height)?)))
        .ok_or_else(|| RawFormatError::Size(text.chars().take(40).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_reads_back_from_its_own_text() {
        for pixel in PixelFormat::ALL {
            let height = if pixel == PixelFormat::Bytes { 1 } else { 480 };
            for rate in ["", "@30", "@30000/1001"] {
                let text = format!("640x{height}:{pixel}{rate}");
                let raw: RawFormat = text.parse().unwrap();
                assert_eq!(raw.format, FrameFormat::new(pixel, 640, height).unwrap());
                assert_eq!(raw.to_string(), text);
                for alias in pixel.aliases().map(str::to_owned).chain([pixel.name().to_ascii_uppercase()]) {
                    assert_eq!(format!("640x{height}:{alias}{rate}").parse(), Ok(raw), "{alias}");
                }
            }
            let stride = FrameFormat::new(pixel, 640, height).unwrap().stride() + 128;
            let text = format!("640x{height}:{pixel}:{stride}@25");
            let strided = FrameFormat::with_stride(pixel, 640, height, stride);
            match text.parse::<RawFormat>() {
                Ok(raw) => assert_eq!((Ok(raw.format), raw.to_string()), (strided, text)),
                Err(error) => assert_eq!((pixel, error), (PixelFormat::Bytes, strided.unwrap_err().into())),
            }
        }
        assert_eq!("4x4:gray8@29.97".parse::<RawFormat>().unwrap().to_string(), "4x4:gray8@30000/1001");
    }

    #[test]
    fn what_is_no_format_is_refused_with_the_value_and_the_form() {
        let message = |text: &str| text.parse::<RawFormat>().unwrap_err().to_string();
        assert!(message("1920x1080").contains("'1920x1080' is no frame format; write WIDTHxHEIGHT:PIXEL"));
        assert!(message("1920:gray8").contains("'1920' is no frame size"));
        assert!(message("+4x4:gray8").contains("'+4x4' is no frame size"));
        assert!(message("99999999999x1:gray8").contains("is no frame size"));
        assert!(message("0x4:gray8").contains("no pixels"));
        assert!(message("4x4:rgb25").contains("unknown pixel format 'rgb25'; did you mean rgb24?"));
        assert_eq!("5x3:yuv420p".parse::<RawFormat>().unwrap().format.frame_bytes(), 5 * 3 + 2 * 3 * 2);
        assert!(message("4x4:gray8@never").contains("'never' is no frame rate"));
        assert!(message("").contains("is no frame format"));
        assert!(message("4x4:gray8:").contains("'' is no stride"));
        assert!(message("4x4:gray8:-4").contains("'-4' is no stride; write the bytes from row to row"));
        assert!(message("4x4:gray8:3").contains("a stride of 3 bytes does not fit rows of 4"));
        assert!(message("4x4:gray16:9").contains("a multiple of 2 bytes apart, and 9 is none; use 10"));
        assert!(message("48x4:v210:200").contains("a multiple of 128 bytes apart, and 200 is none; use 256"));
        for pixel in ["yuyv", "uyvy", "v210"] {
            assert!(message(&format!("5x3:{pixel}")).contains("a width of 5 is no multiple of that; use 6"), "{pixel}");
        }
        for (pixel, bytes) in
            [("nv12", 15 + 2 * 3 * 2), ("p010", 2 * (15 + 2 * 3 * 2)), ("yuv420p10", 2 * (15 + 2 * 3 * 2))]
        {
            assert_eq!(format!("5x3:{pixel}").parse::<RawFormat>().unwrap().format.frame_bytes(), bytes, "{pixel}");
        }
        assert!(message("64x2:bytes").contains("use 128x1"));
    }
}
