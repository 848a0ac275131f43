//! Files of pictures: one, a directory of them, or those that a pattern of names matches.

mod decode;
mod error;
mod jpeg;
mod names;

use std::io;
use std::path::{Path, PathBuf};

use framewire_transport::Time;
use framewire_transport::frame::{FrameFormat, FrameMut, PixelFormat, Presentation};

use crate::error::CaptureError;
use crate::source::{FrameSource, fit};

use decode::Refusal;

pub(crate) use decode::is_picture;
pub use error::PictureFileError;
pub(crate) use names::{EXTENSIONS, is_pattern};

/// Pictures, a file each: PNG, JPEG and TIFF (its first picture), whatever their names end with.
///
/// They are gray8, gray16, rgb24 or rgba32 as the files are, or another format that is asked for and that such samples may be of: bgr24
/// and bgra32, for which bytes change places; a Bayer format, depth16, gray10, for which none do. Palettes become rgb24, gray of fewer
/// than 8 bits becomes gray8; profiles, gamma and rotation are not applied. 16-bit colour and gray with alpha, which no pixel format has,
/// are refused.
///
/// All are of one size and pixel format. Opening reads the headers of all, so that one which differs is refused before anything is
/// sent. A file that turns out to be cut or damaged when it is reached is [`CaptureError::PictureFile`] with its name, after the pictures
/// before it.
pub struct PictureFiles {
    files: Vec<PathBuf>,
    format: FrameFormat,
    next: usize,
    compressed: Vec<u8>,
}

impl PictureFiles {
    /// These files, in this order; `wanted` is the pixel format asked for.
    ///
    /// # Errors
    /// No files; one that cannot be read, is no picture, or differs from the first; samples that cannot be of the format asked for.
    pub fn new(files: Vec<PathBuf>, wanted: Option<PixelFormat>) -> Result<Self, CaptureError> {
        let Some(first) = files.first() else {
            return Err(CaptureError::NotFound { path: PathBuf::new() });
        };
        let format = decode::format(first, wanted).map_err(|refusal| refused(first, 0, refusal))?;
        let has = format.pixel();
        if let Some(wanted) = wanted.filter(|wanted| *wanted != has) {
            return Err(CaptureError::PixelFixed { name: quoted(first), has, wanted });
        }
        for file in &files[1..] {
            let found = decode::format(file, wanted).map_err(|refusal| refused(file, 0, refusal))?;
            if found != format {
                let differs = PictureFileError::Differs { found, first: quoted(first), expected: format };
                return Err(refused(file, 0, differs.into()));
            }
        }
        Ok(Self { files, format, next: 0, compressed: Vec::new() })
    }

    /// The pictures in a directory: files whose names end with png, jpg, jpeg, tif or tiff, in natural order (frame-2 before frame-10).
    /// Others, hidden ones and directories in it are left out.
    ///
    /// # Errors
    /// A directory that cannot be read or has none; and as [`PictureFiles::new`].
    pub fn in_directory(directory: &Path, wanted: Option<PixelFormat>) -> Result<Self, CaptureError> {
        let name = quoted(directory);
        let (files, others) =
            names::in_directory(directory).map_err(|source| CaptureError::io("read", &name, source))?;
        if files.is_empty() {
            return Err(CaptureError::Directory { path: directory.into() });
        }
        if others > 0 {
            tracing::info!(directory = name, others, "files that are not called as pictures are left out");
        }
        Self::new(files, wanted)
    }

    /// The files whose names match a pattern, such as `shots/*.png`, in natural order. All have to be pictures. A `*` and a `?` stop at a `/`,
    /// a `**` does not, and a leading `.` has to be written.
    ///
    /// # Errors
    /// A pattern that matches no file, or is none; and as [`PictureFiles::new`].
    pub fn matching(pattern: &Path, wanted: Option<PixelFormat>) -> Result<Self, CaptureError> {
        let files = names::matching(pattern).map_err(|source| CaptureError::io("read", &quoted(pattern), source))?;
        if files.is_empty() {
            return Err(CaptureError::NotFound { path: pattern.into() });
        }
        Self::new(files, wanted)
    }
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}

/// What went wrong with `file`, before which `given` frames were given.
fn refused(file: &Path, given: usize, refusal: Refusal) -> CaptureError {
    let name = quoted(file);
    match refusal {
        // One that was there when it was opened is no matter of how it was called.
        Refusal::Io(error) if given == 0 && error.kind() == io::ErrorKind::NotFound => {
            CaptureError::NotFound { path: file.into() }
        }
        Refusal::Io(source) => CaptureError::io("read", &name, source),
        Refusal::Picture(source) => CaptureError::PictureFile { name, frame: given as u64, source },
    }
}

impl FrameSource for PictureFiles {
    fn format(&self) -> FrameFormat {
        self.format
    }

    /// Files of pictures say nothing of a rate.
    fn presentation(&self) -> Presentation {
        Presentation::UNKNOWN
    }

    fn frame_count(&self) -> Option<u64> {
        Some(self.files.len() as u64)
    }

    fn is_live(&self) -> bool {
        false
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        let Some(file) = self.files.get(self.next) else { return Ok(false) };
        fit(frame, &self.format)?;
        frame.info.captured = Time::now();
        decode::decode(file, &self.format, &mut self.compressed, frame)
            .map_err(|refusal| refused(file, self.next, refusal))?;
        self.next += 1;
        Ok(true)
    }

    fn rewind(&mut self) -> Result<(), CaptureError> {
        self.next = 0;
        Ok(())
    }
}
