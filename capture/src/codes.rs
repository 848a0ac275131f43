#![doc = include_str!("../ERRORS.md")]

use crate::error::CaptureError;
use crate::mcap::McapError;
use crate::npy::NpyError;
use crate::picture::PictureError;
use crate::pictures::PictureFileError;
use crate::raw_format::RawFormatError;
use crate::spec::SourceSpecError;
use crate::y4m::Y4mError;

framewire_transport::error_codes! {
    SourceSpecError {
        Self::Empty => "source-not-named",
        Self::Pattern { .. } => "invalid-pattern",
        Self::Camera(_) => "invalid-camera",
    }
    RawFormatError {
        Self::Form(_) => "invalid-raw-format",
        Self::Size(_) => "invalid-frame-size",
        Self::Stride(_) => "invalid-stride",
    } => {
        Self::Format(error) => error,
        Self::Rate(error) => error,
    }
    CaptureError {
        Self::NotFound { .. } => "source-not-found",
        Self::Directory { .. } => "source-is-directory",
        Self::Device { .. } => "source-is-device",
        Self::Empty { .. } => "source-empty",
        Self::Stopped { .. } => "source-stopped",
        Self::Io { .. } => "source-unreadable",
        Self::RawFormatMissing { .. } => "raw-format-missing",
        Self::RawFormatContradicts { .. } => "raw-format-contradicts",
        Self::Index { .. } => "index-unusable",
        Self::NeedsOpenCv { .. } => "needs-opencv",
        Self::PixelFixed { .. } => "pixel-format-fixed",
        Self::Truncated { .. } => "source-truncated",
        Self::Shrunk { .. } => "source-shrunk",
        Self::NoRewind { .. } => "no-rewind",
        Self::SlotTooSmall { .. } => "slot-too-small",
        Self::Undecodable { .. } => "source-undecodable",
        Self::FormatChanged { .. } => "source-format-changed",
        Self::Lost { .. } => "source-lost",
        Self::Metadata { .. } => "source-metadata-too-long",
        Self::Other { .. } => "source-failed",
    } => {
        Self::Format { source, .. } => source,
        Self::Mcap { source, .. } => source,
        Self::Npy { source, .. } => source,
        Self::PictureFile { source, .. } => source,
        Self::Y4m { source, .. } => source,
        Self::Picture(error) => error,
    }
    Y4mError {
        Self::Magic(_) => "y4m-not-one",
        Self::HeaderEndless => "y4m-header-endless",
        Self::HeaderTruncated(_) => "y4m-header-truncated",
        Self::Missing(_) => "y4m-size-missing",
        Self::Parameter { .. } => "y4m-parameter",
        Self::ColourSpace { .. } => "y4m-colour-space",
        Self::FrameLine { .. } => "y4m-frame-line",
    } => {
        Self::Format(error) => error,
    }
    McapError {
        Self::Magic => "mcap-not-one",
        Self::NoImages(_) => "mcap-no-images",
        Self::Topic { .. } => "mcap-topic",
        Self::Empty(_) => "mcap-no-image",
        Self::Compressed(_) => "mcap-compressed",
        Self::Image { .. } => "mcap-image",
        Self::Encoding(_) => "mcap-encoding",
    } => {
        Self::Format(error) => error,
    }
    NpyError {
        Self::Magic(_) => "npy-not-one",
        Self::Version(..) => "npy-version",
        Self::HeaderLong { .. } => "npy-header-long",
        Self::HeaderTruncated(_) => "npy-header-truncated",
        Self::Header { .. } => "npy-header",
        Self::Missing(_) => "npy-header-incomplete",
        Self::Fortran => "npy-fortran-order",
        Self::BigEndian(_) => "npy-big-endian",
        Self::Pickled(_) => "npy-pickled",
        Self::Fields => "npy-fields",
        Self::Type { .. } => "npy-type",
        Self::Shape { .. } => "npy-shape",
        Self::Channels { .. } => "npy-channels",
        Self::Pixel { .. } => "npy-pixel",
    } => {
        Self::Format(error) => error,
    }
    PictureFileError {
        Self::NotOne(_) => "picture-file-not-one",
        Self::Truncated => "picture-file-truncated",
        Self::Damaged(_) => "picture-file-damaged",
        Self::Samples(_) => "picture-file-samples",
        Self::TooLarge => "picture-file-too-large",
        Self::Differs { .. } => "picture-file-differs",
    } => {
        Self::Format(error) => error,
    }
    PictureError {
        Self::Bytes { .. } => "picture-length",
        Self::NotBgr24 { .. } => "picture-not-bgr24",
        Self::NotYuv { .. } => "picture-not-yuv",
        Self::SizesDiffer { .. } => "picture-sizes-differ",
    }
}
