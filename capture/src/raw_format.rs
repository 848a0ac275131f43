//! A frame format as text, for bytes that do not say themselves what they are.

use std::fmt;
use std::str::FromStr;

use framewire_transport::frame::{FormatError, FrameFormat, PixelFormat};
use thiserror::Error;

use framewire_transport::frame::{FrameRate, FrameRateError};

/// What the bytes of headerless frames mean, written `WIDTHxHEIGHT:PIXEL[@FPS]`, as in `1920x1080:gray8@30`.
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
    #[error("'{0}' is no frame format; write WIDTHxHEIGHT:PIXEL or WIDTHxHEIGHT:PIXEL@FPS, such as 1920x1080:gray8@30")]
    Form(String),
    /// The size is none.
    #[error("'{0}' is no frame size; write WIDTHxHEIGHT in pixels, such as 1920x1080")]
    Size(String),
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
        let pixel: PixelFormat = pixel.parse()?;
        Ok(Self { format: FrameFormat::new(pixel, width, height)?, rate })
    }
}

impl fmt::Display for RawFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}:{}", self.format.width(), self.format.height(), self.format.pixel())?;
        self.rate.map_or(Ok(()), |rate| write!(f, "@{rate}"))
    }
}

/// Reads `WIDTHxHEIGHT`; whether such a frame can be is left to [`FrameFormat`].
pub(crate) fn parse_size(text: &str) -> Result<(u32, u32), RawFormatError> {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
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
            for rate in ["", "@30", "@30000/1001"] {
                let text = format!("640x480:{pixel}{rate}");
                let raw: RawFormat = text.parse().unwrap();
                assert_eq!(raw.format, FrameFormat::new(pixel, 640, 480).unwrap());
                assert_eq!(raw.to_string(), text);
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
        assert!(message("4x4:rgb").contains("unknown pixel format 'rgb'"));
        assert_eq!("5x3:yuv420p".parse::<RawFormat>().unwrap().format.frame_bytes(), 5 * 3 + 2 * 3 * 2);
        assert!(message("4x4:gray8@never").contains("'never' is no frame rate"));
        assert!(message("").contains("is no frame format"));
    }
}
