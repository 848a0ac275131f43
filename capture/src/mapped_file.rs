//! A file mapped read-only, copied out of with its length checked first.

use std::fs::File;
use std::path::Path;

use memmap2::{MmapOptions, MmapRaw};

use crate::error::CaptureError;

/// A regular file in memory, of the length it had when it was opened.
///
/// Reading a mapped page behind a file's end raises SIGBUS, which ends the process. The length is therefore asked for
/// before each copy, and a file that was cut is [`CaptureError::Shrunk`]. What remains is a cut in the few microseconds
/// between the question and the end of the copy: that one still ends the process.
pub(crate) struct MappedFile {
    name: String,
    file: File,
    map: MmapRaw,
}

impl MappedFile {
    /// Maps `file`, which must not be empty.
    pub(crate) fn new(path: &Path, file: File) -> Result<Self, CaptureError> {
        let name = format!("'{}'", path.display());
        let map =
            MmapOptions::new().map_raw_read_only(&file).map_err(|source| CaptureError::io("map", &name, source))?;
        // Frames are read once, in order. Advice that is refused costs speed, nothing else.
        #[cfg(unix)]
        if let Err(error) = map.advise(memmap2::Advice::Sequential) {
            tracing::debug!(file = name, %error, "the system took no advice on reading the file");
        }
        Ok(Self { name, file, map })
    }

    /// What messages call the file: its path in quotes.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of the file when it was opened.
    pub(crate) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Copies the bytes from `start` on, as many as `into` has; `frame` is for the message where they are gone.
    ///
    /// # Panics
    /// Where the range is not inside the file as it was when it was opened.
    pub(crate) fn copy(&self, start: u64, into: &mut [u8], frame: u64) -> Result<(), CaptureError> {
        let end = start + into.len() as u64;
        assert!(end <= self.len(), "bytes {start} to {end} are not in a mapping of {}", self.len());
        let bytes = self.file.metadata().map_err(|source| CaptureError::io("read", &self.name, source))?.len();
        if bytes < end {
            return Err(CaptureError::Shrunk { name: self.name.clone(), frame, bytes, expected: end });
        }
        // SAFETY: `start` is at most the mapping's length, checked above, so the pointer stays in the mapping.
        let source = unsafe { self.map.as_ptr().add(start as usize) };
        // SAFETY: `into.len()` bytes from `source` lie in the mapping, checked above, which lives as long as `self` and
        // is readable. `into` is a reference to other memory: this private mapping is handed out nowhere. No reference
        // to the mapping is made, so another process that writes to the file changes pixels and nothing else.
        unsafe { std::ptr::copy_nonoverlapping(source, into.as_mut_ptr(), into.len()) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_cut_while_it_is_mapped_is_an_error_and_no_signal() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 10_000]).unwrap();
        let mapped = MappedFile::new(file.path(), file.reopen().unwrap()).unwrap();
        let mut into = [0; 100];
        mapped.copy(9_900, &mut into, 0).unwrap();
        assert_eq!(into, [7; 100]);
        file.as_file().set_len(50).unwrap();
        mapped.copy(0, &mut into[..50], 0).unwrap();
        let error = mapped.copy(9_900, &mut into, 3).unwrap_err();
        assert!(matches!(error, CaptureError::Shrunk { frame: 3, bytes: 50, expected: 10_000, .. }), "{error}");
        assert!(error.to_string().contains("was cut to 50 bytes while it was read"));
    }

    #[test]
    #[should_panic(expected = "bytes 9 to 11 are not in a mapping of 10")]
    fn a_range_behind_the_end_panics() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 10]).unwrap();
        let mapped = MappedFile::new(file.path(), file.reopen().unwrap()).unwrap();
        let _ = mapped.copy(9, &mut [0; 2], 0);
    }
}
