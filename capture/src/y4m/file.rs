//! Y4M out of a mapped file: one copy from the page cache into the slot.

use std::fs::File;
use std::path::Path;

use framewire_transport::Time;
use framewire_transport::frame::{FrameFormat, FrameMut, Presentation};

use super::header::{FRAME_LINE, FRAME_LINE_BYTES_MAX, FrameLine, HEADER_BYTES_MAX, Header, Y4mError, printable};
use crate::error::CaptureError;
use crate::mapped_file::MappedFile;
use crate::place_time::PlaceTime;
use crate::source::{FrameSource, fit};

/// Frames out of a Y4M file.
///
/// A file that ends inside a frame gives its whole frames and then [`CaptureError::Truncated`]. A file that is cut
/// shorter while it is read is [`CaptureError::Shrunk`]; only a cut in the very instant of a copy is a SIGBUS, which
/// ends the process. A file that grows is read to the length it had when it was opened.
pub struct Y4mFile {
    file: MappedFile,
    header: Header,
    /// Where the first frame's line is.
    first: u64,
    /// Where the next frame's line is.
    position: u64,
    next: u64,
    time: PlaceTime,
}

impl Y4mFile {
    /// Reads the header of `file`, a regular file that is not empty; `path` is for messages.
    ///
    /// # Errors
    /// A file that cannot be mapped, and a header that is none, is damaged or names what is not understood.
    pub fn new(path: &Path, file: File) -> Result<Self, CaptureError> {
        let file = MappedFile::new(path, file)?;
        let mut window = [0; HEADER_BYTES_MAX];
        let window = peek(&file, 0, &mut window, 0)?;
        let refused = |source| CaptureError::Y4m { name: file.name().to_owned(), source };
        let line = match window.iter().position(|byte| *byte == b'\n') {
            Some(newline) => &window[..newline],
            None if window.len() < HEADER_BYTES_MAX => return Err(refused(Y4mError::HeaderTruncated(window.len()))),
            None => return Err(refused(Y4mError::HeaderEndless)),
        };
        let header = Header::parse(line).map_err(refused)?;
        header.tell_what_is_not_kept(file.name());
        let first = line.len() as u64 + 1;
        let time = PlaceTime::now(header.presentation.rate);
        Ok(Self { file, header, first, position: first, next: 0, time })
    }
}

/// The bytes of `file` from `start` on: as many as `window` has, or all there are.
fn peek<'a>(file: &MappedFile, start: u64, window: &'a mut [u8], frame: u64) -> Result<&'a [u8], CaptureError> {
    let length = (file.len() - start).min(window.len() as u64) as usize;
    let window = &mut window[..length];
    file.copy(start, window, frame)?;
    Ok(window)
}

impl FrameSource for Y4mFile {
    fn format(&self) -> FrameFormat {
        self.header.format
    }

    fn presentation(&self) -> Presentation {
        self.header.presentation
    }

    /// What the file's size says; fewer where frames carry parameters.
    fn frame_count(&self) -> Option<u64> {
        let each = FRAME_LINE.len() as u64 + self.header.format.frame_bytes() as u64;
        Some((self.file.len() - self.first) / each)
    }

    fn is_live(&self) -> bool {
        false
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        if self.position == self.file.len() {
            return Ok(false);
        }
        let mut window = [0; FRAME_LINE_BYTES_MAX];
        let window = peek(&self.file, self.position, &mut window, self.next)?;
        let expected = self.header.format.frame_bytes() as u64;
        let truncated = |bytes| {
            let name = self.file.name().to_owned();
            Err(CaptureError::Truncated { name, frame: self.next, bytes, expected })
        };
        let start = match FrameLine::parse(window) {
            FrameLine::Whole(length) => self.position + length as u64,
            FrameLine::Partial => return truncated(0),
            FrameLine::Invalid => {
                let source = Y4mError::FrameLine { frame: self.next, found: printable(window) };
                return Err(CaptureError::Y4m { name: self.file.name().to_owned(), source });
            }
        };
        let left = self.file.len() - start;
        if left < expected {
            return truncated(left);
        }
        fit(frame, &self.header.format)?;
        (frame.info.captured, frame.info.captured_utc) = (Time::now(), self.time.next());
        self.file.copy(start, frame, self.next)?;
        self.time.is_given();
        self.position = start + expected;
        self.next += 1;
        Ok(true)
    }

    fn rewind(&mut self) -> Result<(), CaptureError> {
        (self.position, self.next) = (self.first, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use framewire_transport::frame::FramePool;

    use super::*;

    fn open(bytes: &[u8]) -> Result<Y4mFile, CaptureError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Y4mFile::new(file.path(), file.reopen().unwrap())
    }

    /// Three frames of 4x2 4:2:0, the second with parameters.
    fn three_frames() -> (Vec<u8>, Vec<[u8; 12]>) {
        let pictures: Vec<[u8; 12]> = (0..3).map(|i| std::array::from_fn(|j| i * 50 + j as u8)).collect();
        let mut bytes = b"YUV4MPEG2 W4 H2 F25:1\n".to_vec();
        for (picture, line) in pictures.iter().zip(["FRAME\n", "FRAME Ip Xa note\n", "FRAME\n"]) {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(picture);
        }
        (bytes, pictures)
    }

    #[test]
    fn frames_come_out_with_and_without_parameters_and_again_after_a_rewind() {
        let (bytes, pictures) = three_frames();
        let mut source = open(&bytes).unwrap();
        let pool = FramePool::new(1, 12).unwrap();
        for _ in 0..2 {
            for picture in &pictures {
                let mut frame = pool.try_acquire().unwrap();
                assert!(source.next_frame(&mut frame).unwrap());
                assert_eq!(&frame[..], picture);
                assert_ne!(frame.info.captured, Time::ZERO);
            }
            for _ in 0..2 {
                assert!(!source.next_frame(&mut pool.try_acquire().unwrap()).unwrap());
            }
            source.rewind().unwrap();
        }
    }

    #[test]
    fn a_cut_at_any_byte_gives_the_whole_frames_and_names_the_rest() {
        let (bytes, _) = three_frames();
        let ends = [22, 40, 69, 87];
        assert_eq!(bytes.len(), ends[3]);
        let pool = FramePool::new(1, 12).unwrap();
        for cut in 22..=bytes.len() {
            let mut source = open(&bytes[..cut]).unwrap();
            let mut frame = pool.try_acquire().unwrap();
            let whole = ends[1..].iter().filter(|end| **end <= cut).count();
            for _ in 0..whole {
                assert!(source.next_frame(&mut frame).unwrap(), "cut at {cut}");
            }
            match source.next_frame(&mut frame) {
                Ok(more) => assert!(!more && ends.contains(&cut), "cut at {cut}"),
                Err(CaptureError::Truncated { frame, bytes, expected, .. }) => {
                    assert_eq!((frame, expected), (whole as u64, 12));
                    let picture = ends[whole + 1] - 12;
                    assert_eq!(bytes, cut.saturating_sub(picture) as u64, "cut at {cut}");
                }
                Err(other) => panic!("cut at {cut}: {other}"),
            }
        }
    }

    #[test]
    fn a_header_that_ends_early_or_never_is_refused() {
        let (bytes, _) = three_frames();
        for cut in 1..22 {
            let error = open(&bytes[..cut]).err().unwrap();
            assert!(error.to_string().contains("stops inside the Y4M header"), "{error}");
        }
        let endless = [b"YUV4MPEG2 X".as_slice(), &vec![b'x'; 10_000]].concat();
        assert!(open(&endless).err().unwrap().to_string().contains("does not end within 4096 bytes"));
    }

    #[test]
    fn what_is_no_frame_line_is_named_with_its_frame() {
        let mut bytes = three_frames().0;
        bytes[40..45].copy_from_slice(b"FROME");
        let mut source = open(&bytes).unwrap();
        let pool = FramePool::new(1, 12).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        assert!(source.next_frame(&mut frame).unwrap());
        for _ in 0..2 {
            let error = source.next_frame(&mut frame).unwrap_err().to_string();
            assert!(
                error.contains("frame 1 (the first is 0) should begin with FRAME and begins with 'FROME Ip"),
                "{error}"
            );
        }
    }
}
