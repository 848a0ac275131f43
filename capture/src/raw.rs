//! Files of frames back to back, without a header.

use std::fs::File;
use std::path::Path;

use framewire_transport::Time;
use framewire_transport::frame::{FrameFormat, FrameMut, Presentation};

use crate::error::CaptureError;
use crate::mapped_file::MappedFile;
use crate::raw_format::RawFormat;
use crate::source::{FrameSource, fit};

/// Headerless frames out of a mapped file, one copy each.
///
/// A file that ends inside a frame gives its whole frames and then [`CaptureError::Truncated`]. A file that is cut
/// shorter while it is read is [`CaptureError::Shrunk`]; only a cut in the very instant of a copy is a SIGBUS, which
/// ends the process.
pub struct RawSource {
    file: MappedFile,
    raw: RawFormat,
    next: u64,
}

impl RawSource {
    /// Frames of `raw.format` from `file`, a regular file that is not empty; `path` is for messages.
    ///
    /// # Errors
    /// A file that cannot be mapped.
    pub fn new(path: &Path, file: File, raw: RawFormat) -> Result<Self, CaptureError> {
        Ok(Self { file: MappedFile::new(path, file)?, raw, next: 0 })
    }
}

impl FrameSource for RawSource {
    fn format(&self) -> FrameFormat {
        self.raw.format
    }

    fn presentation(&self) -> Presentation {
        self.raw.rate.into()
    }

    /// The whole frames; a remainder does not count.
    fn frame_count(&self) -> Option<u64> {
        Some(self.file.len() / self.raw.format.frame_bytes() as u64)
    }

    fn is_live(&self) -> bool {
        false
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        let expected = self.raw.format.frame_bytes() as u64;
        let start = self.next * expected;
        let left = self.file.len() - start;
        if left == 0 {
            return Ok(false);
        }
        if left < expected {
            let name = self.file.name().to_owned();
            return Err(CaptureError::Truncated { name, frame: self.next, bytes: left, expected });
        }
        fit(frame, &self.raw.format)?;
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use framewire_transport::frame::{FramePool, PixelFormat};

    use super::*;

    fn source(bytes: &[u8], pixel: PixelFormat) -> RawSource {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let raw = RawFormat { format: FrameFormat::new(pixel, 6, 4).unwrap(), rate: None };
        RawSource::new(file.path(), file.reopen().unwrap(), raw).unwrap()
    }

    #[test]
    fn frames_come_out_as_the_bytes_that_went_in_for_every_pixel_format_and_again_after_a_rewind() {
        for pixel in PixelFormat::ALL {
            let bytes: Vec<u8> = (0..3 * 6 * 4 * 3).map(|i| i as u8).collect();
            let frame_bytes = FrameFormat::new(pixel, 6, 4).unwrap().frame_bytes();
            let mut source = source(&bytes[..3 * frame_bytes], pixel);
            let pool = FramePool::new(1, frame_bytes).unwrap();
            assert_eq!(source.frame_count(), Some(3));
            for _ in 0..2 {
                for expected in bytes[..3 * frame_bytes].chunks(frame_bytes) {
                    let mut frame = pool.try_acquire().unwrap();
                    assert!(source.next_frame(&mut frame).unwrap());
                    assert_eq!(&frame[..], expected);
                    assert_ne!(frame.info.captured, Time::ZERO);
                }
                assert!(!source.next_frame(&mut pool.try_acquire().unwrap()).unwrap());
                source.rewind().unwrap();
            }
        }
    }

    #[test]
    fn a_remainder_is_named_after_the_whole_frames_whatever_its_size() {
        let pool = FramePool::new(1, 24).unwrap();
        for cut in 1..72_usize {
            let mut source = source(&vec![9; cut], PixelFormat::Gray8);
            let mut frame = pool.try_acquire().unwrap();
            for _ in 0..cut / 24 {
                assert!(source.next_frame(&mut frame).unwrap());
            }
            let end = source.next_frame(&mut frame);
            match cut % 24 {
                0 => assert!(!end.unwrap()),
                rest => {
                    let error = end.unwrap_err();
                    let CaptureError::Truncated { frame, bytes, expected, .. } = error else { panic!("{error}") };
                    assert_eq!((frame, bytes, expected), ((cut / 24) as u64, rest as u64, 24));
                }
            }
        }
    }

    #[test]
    fn a_slot_that_is_too_small_is_an_error_with_both_sizes() {
        let pool = FramePool::new(1, 23).unwrap();
        let error = source(&[0; 24], PixelFormat::Gray8).next_frame(&mut pool.try_acquire().unwrap()).unwrap_err();
        assert!(error.to_string().starts_with("a slot of 23 bytes does not hold a frame of 24 (6x4 gray8)"), "{error}");
    }
}
