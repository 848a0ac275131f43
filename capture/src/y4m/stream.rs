//! Y4M out of anything that can be read, such as a pipe.

use std::io::{self, BufRead, BufReader, Read};

use framewire_transport::Time;
use framewire_transport::frame::{FrameFormat, FrameMut, Presentation};

use super::header::{FRAME_LINE_BYTES_MAX, FrameLine, HEADER_BYTES_MAX, Header, MAGIC, Y4mError, printable};
use crate::error::CaptureError;
use crate::source::{FrameSource, fit};

/// Read ahead this much at most: what one read of a Linux pipe gives. Larger pictures go straight into the slot.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// Frames out of a Y4M stream. `next_frame` waits for the writer at the other end.
///
/// A stream that ends inside a frame gives its whole frames and then [`CaptureError::Truncated`].
pub struct Y4mStream<R> {
    reader: BufReader<R>,
    name: String,
    header: Header,
    next: u64,
    /// How the stream went wrong: there is no way on, so asking again gives the same answer.
    broken: Option<Broken>,
}

#[derive(Debug, Clone)]
enum Broken {
    Truncated(u64),
    Line(String),
}

impl<R: Read> Y4mStream<R> {
    /// Waits for the header from `reader` and reads it; `name` is for messages.
    ///
    /// # Errors
    /// A reader that fails, and a header that is none, is damaged or names what is not understood.
    pub fn new(name: &str, reader: R) -> Result<Self, CaptureError> {
        let mut reader = BufReader::with_capacity(READ_AHEAD_BYTES, reader);
        let header = read_header(&mut reader, name)?;
        header.tell_what_is_not_kept(name);
        Ok(Self { reader, name: name.to_owned(), header, next: 0, broken: None })
    }

    fn failed(&self, source: io::Error) -> CaptureError {
        CaptureError::io("read", &self.name, source)
    }

    fn broken(&mut self, broken: Broken) -> CaptureError {
        let name = self.name.clone();
        let error = match &broken {
            Broken::Truncated(bytes) => {
                let expected = self.header.format.frame_bytes() as u64;
                CaptureError::Truncated { name, frame: self.next, bytes: *bytes, expected }
            }
            Broken::Line(found) => {
                CaptureError::Y4m { name, source: Y4mError::FrameLine { frame: self.next, found: found.clone() } }
            }
        };
        self.broken = Some(broken);
        error
    }

    /// Passes over the header of a stream that follows the one before it, as when a named pipe's next writer was quick.
    ///
    /// # Errors
    /// Frames of another format follow.
    fn pass_header(&mut self) -> Result<(), CaptureError> {
        let is_header = loop {
            match self.reader.fill_buf() {
                Ok(bytes) => break bytes.first() == MAGIC.first(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        };
        if !is_header {
            return Ok(());
        }
        let followed = read_header(&mut self.reader, &self.name).and_then(|header| {
            let (from, to) = (self.header.format, header.format);
            let (name, frame, to_text) = (self.name.clone(), self.next, to.to_string());
            if to == from { Ok(()) } else { Err(CaptureError::FormatChanged { name, frame, from, to: to_text }) }
        });
        followed.inspect_err(|_| self.broken = Some(Broken::Line("another stream".to_owned())))
    }

    /// Reads the line before a frame; false where the stream ends before it.
    fn read_frame_line(&mut self) -> Result<bool, CaptureError> {
        let mut line = [0; FRAME_LINE_BYTES_MAX];
        let mut length = 0;
        while length < line.len() && (length == 0 || line[length - 1] != b'\n') {
            match read_some(&mut self.reader, &mut line[length..=length]).map_err(|error| self.failed(error))? {
                0 => break,
                _ => length += 1,
            }
            // Something else is noticed at once, and not after a kilobyte that may never come.
            if FrameLine::parse(&line[..length]) == FrameLine::Invalid {
                break;
            }
        }
        let line = &line[..length];
        match FrameLine::parse(line) {
            FrameLine::Whole(_) => Ok(true),
            FrameLine::Partial if line.is_empty() => Ok(false),
            FrameLine::Partial => Err(self.broken(Broken::Truncated(0))),
            FrameLine::Invalid => Err(self.broken(Broken::Line(printable(line)))),
        }
    }
}

impl<R: Read + Send> FrameSource for Y4mStream<R> {
    fn format(&self) -> FrameFormat {
        self.header.format
    }

    fn presentation(&self) -> Presentation {
        self.header.presentation
    }

    fn frame_count(&self) -> Option<u64> {
        None
    }

    fn is_live(&self) -> bool {
        false
    }

    fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
        if let Some(broken) = self.broken.take() {
            return Err(self.broken(broken));
        }
        // Before anything is taken off the stream, so that a larger slot can still have the frame.
        fit(frame, &self.header.format)?;
        self.pass_header()?;
        if !self.read_frame_line()? {
            return Ok(false);
        }
        frame.info.captured = Time::now();
        let mut filled = 0;
        while filled < frame.len() {
            match read_some(&mut self.reader, &mut frame[filled..]) {
                Ok(0) => return Err(self.broken(Broken::Truncated(filled as u64))),
                Ok(bytes) => filled += bytes,
                Err(error) => {
                    // What was read of this frame is gone, so there is no way back into step.
                    self.broken = Some(Broken::Truncated(filled as u64));
                    return Err(self.failed(error));
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

/// Waits for a header and reads it.
fn read_header(reader: &mut BufReader<impl Read>, name: &str) -> Result<Header, CaptureError> {
    let refused = |source| CaptureError::Y4m { name: name.to_owned(), source };
    let mut line = Vec::new();
    reader
        .take(HEADER_BYTES_MAX as u64)
        .read_until(b'\n', &mut line)
        .map_err(|source| CaptureError::io("read", name, source))?;
    if line.pop_if(|byte| *byte == b'\n').is_none() {
        return Err(refused(match line.len() {
            HEADER_BYTES_MAX => Y4mError::HeaderEndless,
            length => Y4mError::HeaderTruncated(length),
        }));
    }
    Header::parse(&line).map_err(refused)
}

/// One read, repeated where a signal interrupted it.
fn read_some(reader: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use framewire_transport::frame::FramePool;

    use super::*;

    /// Hands out its bytes in reads of odd sizes, with interruptions between, as a pipe may.
    struct Trickle<'a> {
        bytes: &'a [u8],
        reads: usize,
    }

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.reads += 1;
            if self.reads.is_multiple_of(3) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let length = (self.reads % 7 + 1).min(into.len()).min(self.bytes.len());
            let (now, later) = self.bytes.split_at(length);
            into[..length].copy_from_slice(now);
            self.bytes = later;
            Ok(length)
        }
    }

    fn stream(bytes: &[u8]) -> Result<Y4mStream<Trickle<'_>>, CaptureError> {
        Y4mStream::new("the pipe", Trickle { bytes, reads: 0 })
    }

    fn two_frames() -> Vec<u8> {
        let mut bytes = b"YUV4MPEG2 W4 H2 Cmono F25:1\n".to_vec();
        for i in 0..2 {
            bytes.extend_from_slice(b"FRAME Xa\n");
            bytes.extend_from_slice(&[i + b'0'; 8]);
        }
        bytes
    }

    #[test]
    fn frames_come_out_of_a_trickle_and_then_the_end() {
        let bytes = two_frames();
        let mut source = stream(&bytes).unwrap();
        let pool = FramePool::new(1, 8).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        for expected in [b"00000000", b"11111111"] {
            assert!(source.next_frame(&mut frame).unwrap());
            assert_eq!(&frame[..], expected);
        }
        assert!(!source.next_frame(&mut frame).unwrap());
        assert!(source.rewind().unwrap_err().to_string().contains("the pipe cannot start over"));
    }

    #[test]
    fn a_cut_at_any_byte_gives_the_whole_frames_and_names_the_rest_again_and_again() {
        let bytes = two_frames();
        let header = 28;
        let pool = FramePool::new(1, 8).unwrap();
        for cut in 0..=bytes.len() {
            let Ok(mut source) = stream(&bytes[..cut]) else {
                assert!(cut < header);
                continue;
            };
            let mut frame = pool.try_acquire().unwrap();
            for _ in 0..(cut - header) / 17 {
                assert!(source.next_frame(&mut frame).unwrap());
            }
            let rest = (cut - header) % 17;
            for _ in 0..2 {
                match source.next_frame(&mut frame) {
                    Ok(more) => assert!(!more && rest == 0, "cut at {cut}"),
                    Err(CaptureError::Truncated { bytes, expected: 8, .. }) => {
                        assert_eq!(bytes, rest.saturating_sub(9) as u64, "cut at {cut}");
                    }
                    Err(other) => panic!("cut at {cut}: {other}"),
                }
            }
        }
    }

    #[test]
    fn a_stream_of_the_same_format_may_follow_another_and_one_of_another_format_is_told() {
        let bytes = [two_frames(), two_frames()].concat();
        let mut source = stream(&bytes).unwrap();
        let pool = FramePool::new(1, 8).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        for _ in 0..4 {
            assert!(source.next_frame(&mut frame).unwrap());
        }
        assert!(!source.next_frame(&mut frame).unwrap());
        let bytes = [&two_frames()[..], b"YUV4MPEG2 W2 H2 Cmono\n"].concat();
        let mut source = stream(&bytes).unwrap();
        for _ in 0..2 {
            assert!(source.next_frame(&mut frame).unwrap());
        }
        assert!(matches!(source.next_frame(&mut frame), Err(CaptureError::FormatChanged { frame: 2, .. })));
        assert!(source.next_frame(&mut frame).is_err());
    }

    #[test]
    fn an_endless_header_and_an_endless_frame_line_are_bounded() {
        let endless = Y4mStream::new("the pipe", b"YUV4MPEG2 ".chain(io::repeat(b'x')));
        assert!(endless.err().unwrap().to_string().contains("does not end within 4096 bytes"));
        let start: &[u8] = b"YUV4MPEG2 W4 H2 Cmono\nFRAME ";
        let mut source = Y4mStream::new("the pipe", start.chain(io::repeat(b'x'))).unwrap();
        let pool = FramePool::new(1, 8).unwrap();
        let error = source.next_frame(&mut pool.try_acquire().unwrap()).unwrap_err();
        assert!(error.to_string().contains("should begin with FRAME and begins with 'FRAME xxx"), "{error}");
    }

    #[test]
    fn a_small_slot_takes_nothing_off_the_stream() {
        let bytes = two_frames();
        let mut source = stream(&bytes).unwrap();
        let small = FramePool::new(1, 7).unwrap();
        let error = source.next_frame(&mut small.try_acquire().unwrap()).unwrap_err();
        assert!(matches!(error, CaptureError::SlotTooSmall { slot_bytes: 7, frame_bytes: 8, .. }));
        let pool = FramePool::new(1, 8).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        assert!(source.next_frame(&mut frame).unwrap());
        assert_eq!(&frame[..], b"00000000");
    }
}
