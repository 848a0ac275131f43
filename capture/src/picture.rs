//! Why bytes and formats do not make a picture.

use framewire_transport::frame::FrameFormat;
use thiserror::Error;

/// What was given to be drawn or converted does not go together. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PictureError {
    /// A slice is not as long as its format says.
    #[error("a frame of {format} has {needed} bytes, not {given}; give exactly its frame_bytes()")]
    Bytes {
        /// The format that was given with the slice.
        format: FrameFormat,
        /// Bytes of the slice.
        given: usize,
        /// Bytes that a frame of the format has.
        needed: usize,
    },
    /// The one side of a conversion has to be bgr24.
    #[error("{format} is not bgr24; give a bgr24 format on this side of the conversion")]
    NotBgr24 {
        /// What was given instead.
        format: FrameFormat,
    },
    /// The other side of a conversion has to be YUV.
    #[error("{format} is not planar YUV of 8 bits; give yuv420p, yuv422p or yuv444p on this side of the conversion")]
    NotYuv {
        /// What was given instead.
        format: FrameFormat,
    },
    /// A conversion does not scale.
    #[error("{bgr} and {yuv} differ in size; a conversion does not scale, so give the same width and height")]
    SizesDiffer {
        /// The bgr24 side.
        bgr: FrameFormat,
        /// The YUV side.
        yuv: FrameFormat,
    },
}

/// That `given` bytes are one frame of `format`.
pub(crate) fn whole(given: usize, format: &FrameFormat) -> Result<(), PictureError> {
    let needed = format.frame_bytes();
    if given == needed { Ok(()) } else { Err(PictureError::Bytes { format: *format, given, needed }) }
}
