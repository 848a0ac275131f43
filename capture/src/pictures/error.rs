//! Why a file of a picture was refused.

use framewire_transport::frame::{FormatError, FrameFormat};
use thiserror::Error;

/// Why a file of a picture cannot be sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PictureFileError {
    /// It is of no kind that is read.
    #[error("it is no PNG, JPEG or TIFF: it begins with '{0}'; convert it: ffmpeg -i IN OUT.png")]
    NotOne(String),
    /// It ends before the picture does.
    #[error("it stops inside the picture; write or copy it again")]
    Truncated,
    /// It cannot be decoded.
    #[error("it is damaged: {0}; write it again")]
    Damaged(String),
    /// Its samples are none that a frame has.
    #[error(
        "it has {0}, and pictures here have 8 or 16 bits of gray, or 8 of each of RGB or RGBA; convert it: ffmpeg -i IN -pix_fmt rgb24 OUT.png"
    )]
    Samples(String),
    /// It asks for more memory than a picture of its size needs.
    #[error("it asks for more memory than a picture of its size needs; write it again, as a plain picture")]
    TooLarge,
    /// A stream has one size and one pixel format.
    #[error(
        "it is {found}, and {first} is {expected}; a stream keeps one size and one format: put it elsewhere, or convert it: ffmpeg -i IN -vf scale={}:{} -pix_fmt {} OUT.png",
        expected.width(), expected.height(), expected.pixel().ffmpeg().unwrap_or(expected.pixel().name())
    )]
    Differs {
        /// What this one is.
        found: FrameFormat,
        /// The first picture.
        first: String,
        /// What that one is.
        expected: FrameFormat,
    },
    /// Such a size cannot be sent.
    #[error(transparent)]
    Format(#[from] FormatError),
}
