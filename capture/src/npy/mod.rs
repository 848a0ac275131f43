//! Arrays as `numpy.save` writes them, out of a mapped file: one copy from the page cache into the slot.

mod arrangement;
mod error;
mod header;
mod literal;

use std::fs::File;
use std::path::Path;

use framewire_transport::Time;
use framewire_transport::frame::{FrameFormat, FrameMut, PixelFormat, Presentation};

use crate::error::CaptureError;
use crate::mapped_file::MappedFile;
use crate::source::{FrameSource, fit};

use arrangement::Arrangement;
use header::{Extent, PREFIX_BYTES_MAX};

pub use error::NpyError;
pub(crate) use header::MAGIC;

/// The pictures of an array in an `.npy` file, of any version of its form.
///
/// The array is HxW, HxWxC, NxHxW or NxHxWxC, in C order. Of three dimensions the last is C where it is 1, 3 or 4, and W where not. Numbers
/// are uint8 (gray8, with C of 3 rgb24, of 4 rgba32), little-endian uint16 (gray16) or float32 (depth32f), unless another format of such
/// samples is asked for: bgr24, bgra32, gray10, depth16, a Bayer format. Where that has one sample a pixel, an array of three dimensions
/// is NxHxW, unless its last is 1.
///
/// A file that ends inside a picture gives its whole ones and then [`CaptureError::Truncated`]. A file that is cut shorter while it is
/// read is [`CaptureError::Shrunk`]; only a cut in the very instant of a copy is a SIGBUS, which ends the process.
pub struct NpyFile {
    file: MappedFile,
    array: Arrangement,
    /// Where the first picture is.
    first: u64,
    next: u64,
}

impl NpyFile {
    /// Reads the header of `file`, a regular file that is not empty; `path` is for messages. Its pictures are `wanted`, where that is given.
    ///
    /// # Errors
    /// A file that cannot be mapped or ends inside its first picture, and a header that is none, is damaged, or says that no pictures of these formats follow.
    pub fn new(path: &Path, file: File, wanted: Option<PixelFormat>) -> Result<Self, CaptureError> {
        let file = MappedFile::new(path, file)?;
        let refused = |source| CaptureError::Npy { name: file.name().to_owned(), source };
        let mut window = [0; PREFIX_BYTES_MAX];
        let window = &mut window[..file.len().min(PREFIX_BYTES_MAX as u64) as usize];
        file.copy(0, window, 0)?;
        let extent = Extent::parse(window).map_err(refused)?;
        let first = extent.start + extent.bytes as u64;
        if first > file.len() {
            return Err(refused(NpyError::HeaderTruncated(file.len())));
        }
        let mut literal = vec![0; extent.bytes];
        file.copy(extent.start, &mut literal, 0)?;
        let array = header::arrangement(&literal, wanted).map_err(refused)?;
        let (there, said) = (file.len() - first, array.frames * array.format.frame_bytes() as u64);
        let expected = array.format.frame_bytes() as u64;
        if there < expected {
            let name = file.name().to_owned();
            return Err(CaptureError::Truncated { name, frame: 0, bytes: there, expected });
        }
        if there > said {
            let (file, bytes) = (file.name(), there - said);
            tracing::warn!(file, bytes, "bytes follow the array, and are not sent; one file holds one array");
        }
        Ok(Self { file, array, first, next: 0 })
    }
}

impl FrameSource for NpyFile {
    fn format(&self) -> FrameFormat {
        self.array.format
    }

    fn presentation(&self) -> Presentation {
        Presentation::UNKNOWN
    }

    /// The whole pictures that are there.
    fn frame_count(&self) -> Option<u64> {
        Some(self.array.frames.min((self.file.len() - self.first) / self.array.format.frame_bytes() as u64))
    }

    fn is_live(&self) -> bool {
        false
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        if self.next == self.array.frames {
            return Ok(false);
        }
        let expected = self.array.format.frame_bytes() as u64;
        let start = self.first + self.next * expected;
        let left = self.file.len() - start;
        if left < expected {
            let name = self.file.name().to_owned();
            return Err(CaptureError::Truncated { name, frame: self.next, bytes: left, expected });
        }
        fit(frame, &self.array.format)?;
        frame.info.captured = Time::now();
        self.file.copy(start, frame, self.next)?;
        self.next += 1;
        Ok(true)
    }

    fn rewind(&mut self) -> Result<(), CaptureError> {
        self.next = 0;
        Ok(())
    }
}
