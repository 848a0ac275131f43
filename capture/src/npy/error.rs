//! Why an array was refused.

use framewire_transport::frame::{FormatError, PixelFormat};
use thiserror::Error;

/// Why a file of an array as `numpy.save` writes it cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NpyError {
    /// It does not begin as one does.
    #[error(
        "it is no array of NumPy's: it begins with '{0}', not with \\x93NUMPY; write one with numpy.save (a .npz is an archive of several)"
    )]
    Magic(String),
    /// A version of the file's form that nobody has described.
    #[error("it is of version {0}.{1} of NumPy's form, and 1.0, 2.0 and 3.0 are known; write it again with numpy.save")]
    Version(u8, u8),
    /// The header's length is beyond what any array needs.
    #[error(
        "its header says that it has {bytes} bytes, and an array of pictures needs no more than {max}; the file is damaged: write it again"
    )]
    HeaderLong {
        /// What the file says.
        bytes: u64,
        /// What is taken.
        max: u64,
    },
    /// It stops inside the header.
    #[error("it stops inside the header, after {0} bytes; write or copy it again")]
    HeaderTruncated(u64),
    /// The header is not what `numpy.save` writes. It is read by its form, and never executed.
    #[error("its header cannot be read at its byte {at}: {expected} is expected there; write it again with numpy.save")]
    Header {
        /// Where, counted from the header's own beginning.
        at: usize,
        /// What is expected there.
        expected: &'static str,
    },
    /// The header leaves out what it has to say.
    #[error("its header has no {0}; write it again with numpy.save")]
    Missing(&'static str),
    /// The first index moves fastest, so that a row is not in one piece.
    #[error("it is in Fortran order, in which rows do not lie in one piece; save numpy.ascontiguousarray(array)")]
    Fortran,
    /// The bytes of a number are the other way round.
    #[error(
        "its numbers ({0}) are big-endian, and frames are little-endian; save array.astype(array.dtype.newbyteorder('<'))"
    )]
    BigEndian(String),
    /// Its elements are Python's objects, which only executing them would bring back.
    #[error("it holds pickled objects ({0}), which are never executed here; save numbers: array.astype(numpy.uint8)")]
    Pickled(String),
    /// An element has several fields.
    #[error("an element is a record of fields; save one field, such as array['depth'], as uint8, uint16 or float32")]
    Fields,
    /// No pixel format has samples of this type.
    #[error(
        "its numbers are '{descr}'{name}, and frames have uint8, uint16 or float32; save array.astype(numpy.uint8), or what fits",
        name = .name.map(|name| format!(" ({name})")).unwrap_or_default()
    )]
    Type {
        /// As the header has it.
        descr: String,
        /// What NumPy calls it, where it is known.
        name: Option<&'static str>,
    },
    /// The shape is not that of pictures.
    #[error("its shape is {shape}: {reason}")]
    Shape {
        /// As NumPy writes it.
        shape: String,
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },
    /// Samples of the type do not come in such groups.
    #[error(
        "its shape is {shape} of {sample}, and there is no pixel format of {channels} such samples{remedy}",
        remedy = if *channels == 1 { "" } else { "; save one plane of it, or uint8" }
    )]
    Channels {
        /// As NumPy writes it.
        shape: String,
        /// What NumPy calls a sample.
        sample: &'static str,
        /// Samples of a pixel.
        channels: u32,
    },
    /// A pixel format was asked for that the array's numbers are not.
    #[error("its shape is {shape} of {sample}, which is {has}, and --pixel asks for {wanted}; it may be one of {may}")]
    Pixel {
        /// As NumPy writes it.
        shape: String,
        /// What NumPy calls a sample.
        sample: &'static str,
        /// What it is taken for where nothing is asked.
        has: PixelFormat,
        /// What was asked for.
        wanted: PixelFormat,
        /// What such samples may be.
        may: String,
    },
    /// Size and pixel format do not go together.
    #[error(transparent)]
    Format(#[from] FormatError),
}
