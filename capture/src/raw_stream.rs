//! Frames back to back, without a header, out of anything that can be read.

use std::io::{self, Read};

use framewire_transport::Time;
use framewire_transport::frame::{FrameFormat, FrameMut, Presentation};

use crate::error::CaptureError;
use crate::raw_format::RawFormat;
use crate::source::{FrameSource, fit, fit_length};

/// Headerless frames out of a pipe. `next_frame` waits for the writer at the other end; bytes go straight into the slot.
///
/// Of a format whose frames differ in length a stream is pieces of the longest, and the last may be shorter. A stream of any other that
/// ends inside a frame gives its whole frames and then [`CaptureError::Truncated`].
pub struct RawStream<R> {
    reader: R,
    name: String,
    raw: RawFormat,
    next: u64,
    /// Bytes of a frame that were read before the stream went wrong: there is no way back into step.
    broken: Option<u64>,
}

impl<R: Read> RawStream<R> {
    /// Frames of `raw.format` from `reader`; `name` is for messages.
    pub fn new(name: &str, reader: R, raw: RawFormat) -> Self {
        Self { reader, name: name.to_owned(), raw, next: 0, broken: None }
    }

    fn truncated(&mut self, bytes: u64) -> CaptureError {
        self.broken = Some(bytes);
        let expected = self.raw.format.frame_bytes() as u64;
        CaptureError::Truncated { name: self.name.clone(), frame: self.next, bytes, expected }
    }
}

impl<R: Read + Send> FrameSource for RawStream<R> {
    fn format(&self) -> FrameFormat {
        self.raw.format
    }

    fn presentation(&self) -> Presentation {
        self.raw.rate.into()
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }

    fn is_live(&self) -> bool {
        false
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        if let Some(bytes) = self.broken {
            return Err(self.truncated(bytes));
        }
        fit(frame, &self.raw.format)?;
        let mut filled = 0;
        while filled < frame.len() {
            match self.reader.read(&mut frame[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) if self.raw.format.is_variable() => fit_length(frame, &self.raw.format, filled)?,
                Ok(0) => return Err(self.truncated(filled as u64)),
                Ok(bytes) => {
                    if filled == 0 {
                        frame.info.captured = Time::now();
                    }
                    filled += bytes;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.broken = (filled > 0).then_some(filled as u64);
                    return Err(CaptureError::io("read", &self.name, error));
                }
            }
        }
        self.next += 1;
        Ok(true)
    }

    fn rewind(&mut self) -> Result<(), CaptureError> {
        Err(CaptureError::NoRewind { name: self.name.clone(), reason: "what was read from a pipe is gone" })
    }
}

#[cfg(test)]
mod tests {
    use framewire_transport::frame::FramePool;

    use super::*;

    #[test]
    fn a_cut_at_any_byte_gives_the_whole_frames_and_names_the_rest_again_and_again() {
        let bytes: Vec<u8> = (0..3 * 24).collect();
        let pool = FramePool::new(1, 24).unwrap();
        for cut in 0..=bytes.len() {
            // In reads of a few bytes, as a slow writer gives them.
            let reader = bytes[..cut].chunks(5).fold(Box::new(io::empty()) as Box<dyn Read + Send>, |before, chunk| {
                Box::new(before.chain(io::Cursor::new(chunk.to_vec())))
            });
            let mut source = RawStream::new("the pipe", reader, "6x4:gray8@25".parse().unwrap());
            assert_eq!(source.frame_rate().unwrap().to_string(), "25");
            let mut frame = pool.try_acquire().unwrap();
            for expected in bytes[..cut].chunks_exact(24) {
                assert!(source.next_frame(&mut frame).unwrap());
                assert_eq!(&frame[..], expected);
                assert_ne!(frame.info.captured, Time::ZERO);
            }
            for _ in 0..2 {
                match source.next_frame(&mut frame) {
                    Ok(more) => assert!(!more && cut % 24 == 0, "cut at {cut}"),
                    Err(CaptureError::Truncated { frame, bytes, expected: 24, .. }) => {
                        assert_eq!((frame, bytes), ((cut / 24) as u64, (cut % 24) as u64));
                    }
                    Err(other) => panic!("cut at {cut}: {other}"),
                }
            }
        }
    }

    #[test]
    fn a_stream_of_bytes_is_pieces_of_the_given_size_and_the_last_may_be_shorter() {
        let bytes: Vec<u8> = (0..25).collect();
        let reader = bytes.chunks(3).fold(Box::new(io::empty()) as Box<dyn Read + Send>, |before, chunk| {
            Box::new(before.chain(io::Cursor::new(chunk.to_vec())))
        });
        let mut source = RawStream::new("the pipe", reader, "10x1:bytes".parse().unwrap());
        let pool = FramePool::for_format(1, source.format()).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        for expected in bytes.chunks(10) {
            assert!(source.next_frame(&mut frame).unwrap());
            assert_eq!(&frame[..], expected);
        }
        for _ in 0..2 {
            assert!(!source.next_frame(&mut frame).unwrap());
        }
    }
}
