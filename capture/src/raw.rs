//! Files of frames back to back, without a header.

use std::fs::File;
use std::path::Path;

use framewire_transport::Time;
use framewire_transport::frame::{FrameFormat, FrameMut, Presentation};

use crate::error::CaptureError;
use crate::mapped_file::MappedFile;
use crate::place_time::PlaceTime;
use crate::raw_format::RawFormat;
use crate::source::{FrameSource, fit_length};

/// Headerless frames out of a mapped file, one copy each. Of a format whose frames differ in length a file is pieces of the longest, and
/// the last may be shorter.
///
/// A file of any other that ends inside a frame gives its whole frames and then [`CaptureError::Truncated`]. A file that is cut
/// shorter while it is read is [`CaptureError::Shrunk`]; only a cut in the very instant of a copy is a SIGBUS, which
/// ends the process.
pub struct RawSource {
    file: MappedFile,
    raw: RawFormat,
    next: u64,
    time: PlaceTime,
}

impl RawSource {
    /// Frames of `raw.format` from `file`, a regular file that is not empty; `path` is for messages.
    ///
    /// # Errors
    /// A file that cannot be mapped.
    pub fn new(path: &Path, file: File, raw: RawFormat) -> Result<Self, CaptureError> {
        Ok(Self { file: MappedFile::new(path, file)?, raw, next: 0, time: PlaceTime::now(raw.rate) })
    }
}

impl FrameSource for RawSource {
    fn format(&self) -> FrameFormat {
        self.raw.format
    }

    fn presentation(&self) -> Presentation {
        self.raw.rate.into()
    }

    /// The whole frames; a remainder counts where frames may be shorter.
    fn frame_count(&self) -> Option<u64> {
        let (bytes, each) = (self.file.len(), self.raw.format.frame_bytes() as u64);
        Some(if self.raw.format.is_variable() { bytes.div_ceil(each) } else { bytes / each })
    }

    fn is_live(&self) -> bool {
        false
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        let expected = self.raw.format.frame_bytes() as u64;
        let start = self.next * expected;
        let left = self.file.len().saturating_sub(start);
        if left == 0 {
            return Ok(false);
        }
        if left < expected && !self.raw.format.is_variable() {
            let name = self.file.name().to_owned();
            return Err(CaptureError::Truncated { name, frame: self.next, bytes: left, expected });
        }
        fit_length(frame, &self.raw.format, expected.min(left) as usize)?;
        (frame.info.captured, frame.info.captured_utc) = (Time::now(), self.time.next());
        self.file.copy(start, frame, self.next)?;
        self.time.is_given();
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

    fn source(bytes: &[u8], format: FrameFormat) -> RawSource {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let raw = RawFormat { format, rate: None };
        RawSource::new(file.path(), file.reopen().unwrap(), raw).unwrap()
    }

    fn gray() -> FrameFormat {
        FrameFormat::new(PixelFormat::Gray8, 6, 4).unwrap()
    }

    #[test]
    fn frames_come_out_as_the_bytes_that_went_in_for_every_pixel_format_and_again_after_a_rewind() {
        for pixel in PixelFormat::ALL {
            let packed = FrameFormat::new(pixel, 6, if pixel == PixelFormat::Bytes { 1 } else { 4 }).unwrap();
            let strided = FrameFormat::with_stride(pixel, 6, 4, packed.stride() + 128);
            for format in [Ok(packed), strided].into_iter().flatten() {
                let frame_bytes = format.frame_bytes();
                let bytes: Vec<u8> = (0..3 * frame_bytes).map(|i| i as u8).collect();
                let mut source = source(&bytes, format);
                let pool = FramePool::new(1, frame_bytes).unwrap();
                assert_eq!(source.frame_count(), Some(3));
                for _ in 0..2 {
                    for expected in bytes.chunks(frame_bytes) {
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
    }

    #[test]
    fn a_file_of_bytes_is_pieces_of_the_given_size_and_the_last_may_be_shorter() {
        let format = FrameFormat::new(PixelFormat::Bytes, 10, 1).unwrap();
        for length in 1..41_usize {
            let bytes: Vec<u8> = (0..length as u8).collect();
            let mut source = source(&bytes, format);
            assert_eq!(source.frame_count(), Some(length.div_ceil(10) as u64));
            let pool = FramePool::for_format(1, format).unwrap();
            for _ in 0..2 {
                for expected in bytes.chunks(10) {
                    let mut frame = pool.try_acquire().unwrap();
                    assert!(source.next_frame(&mut frame).unwrap());
                    assert_eq!(&frame[..], expected);
                }
                for _ in 0..2 {
                    assert!(!source.next_frame(&mut pool.try_acquire().unwrap()).unwrap());
                }
                source.rewind().unwrap();
            }
        }
    }

    #[test]
    fn a_remainder_is_named_after_the_whole_frames_whatever_its_size() {
        let pool = FramePool::new(1, 24).unwrap();
        for cut in 1..72_usize {
            let mut source = source(&vec![9; cut], gray());
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
        let error = source(&[0; 24], gray()).next_frame(&mut pool.try_acquire().unwrap()).unwrap_err();
        assert!(error.to_string().starts_with("a slot of 23 bytes does not hold a frame of 24 (6x4 gray8)"), "{error}");
    }
}
