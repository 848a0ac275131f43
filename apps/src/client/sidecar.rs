//! The file beside a source that says what belongs to each of its frames: a line a frame.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::Path;
use std::time::SystemTime;

use framewire_process::exit::Failure;
use framewire_transport::frame::METADATA_MAX;
use framewire_transport::{FrameMut, MetadataKind};
use serde::de::IgnoredAny;

/// Metadata of frames, line by line; all lines are known to be short enough when it has been opened.
#[derive(Debug)]
pub(crate) struct Sidecar {
    name: String,
    lines: Lines,
    /// How many there are.
    count: u64,
    /// Bytes of the file and when it was last written, as it was read through.
    stamp: Stamp,
    told_of_invalid: bool,
    /// That the source and this file are not of one length.
    pub(super) told_of_length: bool,
}

impl Sidecar {
    /// Reads through the file once; `frames` is how many of the source are sent, once through, where that is known.
    ///
    /// # Errors
    /// A file that cannot be read, is no regular one, or has a line that is too long.
    pub(crate) fn open(path: &Path, frames: Option<u64>) -> Result<Self, Failure> {
        let name = format!("'{}'", path.display());
        let cannot =
            |error: io::Error| Failure::usage(format!("cannot read {name} (--metadata): {error}; check the path"));
        // Asked before it is opened, which would wait on a pipe.
        if !path.metadata().map_err(cannot)?.is_file() {
            return Err(Failure::usage(format!(
                "{name} (--metadata) is no file; it is read through before its first line is sent, so save it to a file first"
            )));
        }
        let mut lines = Lines::new(File::open(path).map_err(cannot)?);
        while let Some(length) = lines.read().map_err(cannot)? {
            if length > METADATA_MAX as u64 {
                return Err(Failure::usage(too_long(&name, lines.number, length)));
            }
        }
        let count = lines.number;
        let stamp = lines.stamp().map_err(cannot)?;
        lines.start_over().map_err(cannot)?;
        let mut sidecar = Self { name, lines, count, stamp, told_of_invalid: false, told_of_length: false };
        if let Some(frames) = frames.filter(|frames| *frames > count) {
            sidecar.is_short(format_args!("{frames} frames"));
        }
        Ok(sidecar)
    }

    /// Sets the metadata of the next frame, instead of what its source may have set: none where the line is empty, and behind the last.
    ///
    /// # Errors
    /// A file that cannot be read any more, or has changed meanwhile.
    pub(crate) fn set(&mut self, frame: &mut FrameMut) -> Result<(), Failure> {
        let cannot = |error| Failure::runtime(format!("cannot read {} (--metadata): {error}", self.name));
        let (stamp, length) = (self.lines.stamp().map_err(cannot)?, self.lines.read().map_err(cannot)?);
        // What is read now may be half of a line, or another frame's.
        if stamp != self.stamp {
            return Err(Failure::runtime(format!(
                "{} (--metadata) was written to while it was sent: it had {} bytes, and has {}; save another file, and name that",
                self.name, self.stamp.0, stamp.0
            )));
        }
        let Some(length) = length else {
            self.is_short(format_args!("a source that has more frames"));
            return frame.set_metadata(MetadataKind::Bytes, &[]).map_err(Failure::runtime);
        };
        if length > METADATA_MAX as u64 {
            return Err(Failure::runtime(too_long(&self.name, self.lines.number, length)));
        }
        let line = &self.lines.line;
        let kind = match check_json(line) {
            Ok(()) => MetadataKind::Json,
            Err(error) => {
                if !line.is_empty() && !self.told_of_invalid {
                    self.told_of_invalid = true;
                    tracing::warn!(
                        "{} (--metadata): line {} is no JSON: {error}; it goes as bytes, and so does every other such line, untold",
                        self.name,
                        self.lines.number
                    );
                }
                MetadataKind::Bytes
            }
        };
        frame.set_metadata(kind, line).map_err(Failure::runtime)
    }

    /// The source has ended; what is left here is told of.
    pub(crate) fn is_at_end(&mut self) {
        let left = self.count.saturating_sub(self.lines.number);
        if left > 0 && !self.told_of_length {
            self.told_of_length = true;
            tracing::warn!(
                "{} (--metadata) has {} lines, and the source has {} frames; the last {left} lines belong to none",
                self.name,
                self.count,
                self.lines.number
            );
        }
    }

    /// The source starts over.
    ///
    /// # Errors
    /// A file that cannot be read any more.
    pub(crate) fn start_over(&mut self) -> Result<(), Failure> {
        self.lines
            .start_over()
            .map_err(|error| Failure::runtime(format!("cannot read {} (--metadata): {error}", self.name)))
    }

    fn is_short(&mut self, source: std::fmt::Arguments<'_>) {
        if !self.told_of_length {
            self.told_of_length = true;
            let (name, count) = (&self.name, self.count);
            tracing::warn!(
                "{name} (--metadata) has {count} lines for {source}; the frames behind the last line go without metadata"
            );
        }
    }
}

fn too_long(name: &str, line: u64, length: u64) -> String {
    format!(
        "{name} (--metadata): line {line} has {length} bytes, and a frame's metadata at most {METADATA_MAX}; shorten it"
    )
}

fn check_json(line: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    serde_json::from_str::<IgnoredAny>(text).map(|_| ()).map_err(|error| error.to_string())
}

/// Bytes of a file, and when it was last written.
type Stamp = (u64, SystemTime);

/// Lines of a file, without what ends them, in memory that is used again and again.
#[derive(Debug)]
struct Lines {
    reader: BufReader<File>,
    /// The last that was read, its beginning where it is longer than metadata may be.
    line: Vec<u8>,
    /// Its number, from 1; 0 before the first.
    number: u64,
}

impl Lines {
    fn new(file: File) -> Self {
        Self { reader: BufReader::new(file), line: Vec::with_capacity(METADATA_MAX + 1), number: 0 }
    }

    fn stamp(&self) -> io::Result<Stamp> {
        let metadata = self.reader.get_ref().metadata()?;
        Ok((metadata.len(), metadata.modified()?))
    }

    fn start_over(&mut self) -> io::Result<()> {
        self.number = 0;
        self.reader.rewind()
    }

    /// Reads the next line; its length, or `None` behind the last. What ends it, LF or CR LF, is no part of it; the last need not be ended.
    fn read(&mut self) -> io::Result<Option<u64>> {
        let (mut length, mut last) = (0, 0);
        let mut is_ended = false;
        self.line.clear();
        while !is_ended {
            let there = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                there => there?,
            };
            if there.is_empty() {
                if length == 0 {
                    return Ok(None);
                }
                break;
            }
            let end = there.iter().position(|byte| *byte == b'\n');
            let part = &there[..end.unwrap_or(there.len())];
            // One more than fits, so that CR LF behind a line that just fits is told from one that is too long.
            let room = METADATA_MAX + 1 - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            length += part.len() as u64;
            last = part.last().copied().unwrap_or(last);
            is_ended = end.is_some();
            let taken = part.len() + usize::from(is_ended);
            self.reader.consume(taken);
        }
        if last == b'\r' && is_ended {
            length -= 1;
            self.line.truncate(length.min(self.line.len() as u64) as usize);
        }
        self.number += 1;
        Ok(Some(length))
    }
}

#[cfg(test)]
mod tests {
    use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};

    use super::*;

    type Taken = Option<(MetadataKind, Vec<u8>)>;

    /// What each of so many frames gets, and the sidecar behind them.
    fn metadata_of(text: &[u8], frames: usize) -> (Vec<Taken>, Sidecar) {
        let file = saved(text);
        let mut sidecar = Sidecar::open(file.path(), None).unwrap();
        (taken(&mut sidecar, frames), sidecar)
    }

    fn taken(sidecar: &mut Sidecar, frames: usize) -> Vec<Taken> {
        let pool = FramePool::for_format(1, FrameFormat::new(PixelFormat::Gray8, 4, 2).unwrap()).unwrap();
        let one = |_| {
            let mut frame = pool.try_acquire().unwrap();
            frame.set_len(8).unwrap();
            // What a source may have set.
            frame.set_metadata(MetadataKind::Cbor, b"\xa0").unwrap();
            sidecar.set(&mut frame).unwrap();
            frame.metadata().map(|metadata| (metadata.kind, metadata.bytes.to_vec()))
        };
        (0..frames).map(one).collect()
    }

    fn saved(text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn json(text: &str) -> Taken {
        Some((MetadataKind::Json, text.into()))
    }

    #[test]
    fn a_line_is_a_frames_metadata_byte_for_byte_and_an_empty_one_is_none() {
        let (taken, sidecar) = metadata_of(b"{\"a\": 1}\n\n [1,  2] \r\n\r\n\"\xc3\xa4\"", 7);
        assert_eq!(taken, [json("{\"a\": 1}"), None, json(" [1,  2] "), None, json("\"ä\""), None, None]);
        assert!(sidecar.told_of_length && !sidecar.told_of_invalid, "it is short by two");
        assert_eq!(sidecar.count, 5);
    }

    #[test]
    fn a_file_that_is_written_to_while_it_is_sent_gives_no_frame_half_a_line() {
        let pool = FramePool::for_format(1, FrameFormat::new(PixelFormat::Gray8, 4, 2).unwrap()).unwrap();
        for text in [&b"{\"a\""[..], b"{}\n{}\n{}\n", &[0; 400_000], &[b'x'; 5_000]] {
            let file = saved(b"{\"a\": 1}\n{\"a\": 2}\n");
            let mut sidecar = Sidecar::open(file.path(), None).unwrap();
            let mut frame = pool.try_acquire().unwrap();
            sidecar.set(&mut frame).unwrap();
            std::fs::write(file.path(), text).unwrap();
            let refused = sidecar.set(&mut frame).unwrap_err().to_string();
            assert!(refused.contains("was written to while it was sent: it had 18 bytes"), "{refused}");
            assert_eq!(frame.metadata().unwrap().bytes, b"{\"a\": 1}");
        }
    }

    #[test]
    fn what_is_no_json_goes_as_bytes_and_is_told_of() {
        let (taken, sidecar) = metadata_of(b"{\"a\": 1}\n{'a': 1}\n\xff\n{} {}\n   \n", 5);
        let bytes = |bytes: &[u8]| Some((MetadataKind::Bytes, bytes.to_vec()));
        assert_eq!(taken, [json("{\"a\": 1}"), bytes(b"{'a': 1}"), bytes(b"\xff"), bytes(b"{} {}"), bytes(b"   ")]);
        assert!(sidecar.told_of_invalid && !sidecar.told_of_length);
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_with_its_number_and_length_when_the_file_is_opened() {
        let of = |length: usize, end: &str| format!("{{}}\n\"{}\"{end}", "x".repeat(length - 2));
        for end in ["", "\n", "\r\n"] {
            let (taken, _) = metadata_of(of(4_096, end).as_bytes(), 2);
            assert_eq!(taken[1].as_ref().map(|(_, bytes)| bytes.len()), Some(4_096));
            for length in [4_097, 4_098, 100_000] {
                let file = saved(of(length, end).as_bytes());
                let said = Sidecar::open(file.path(), None).unwrap_err().to_string();
                assert!(
                    said.contains(&format!("line 2 has {length} bytes, and a frame's metadata at most 4096")),
                    "{said}"
                );
            }
        }
        // Without an end behind it, a CR is the line's own.
        assert_eq!(metadata_of(b"1\r", 1).0, [json("1\r")]);
    }

    #[test]
    fn it_begins_anew_with_its_source_and_tells_once_that_it_is_longer_or_shorter() {
        let file = saved(b"1\n2\n3\n");
        let mut sidecar = Sidecar::open(file.path(), Some(3)).unwrap();
        for _ in 0..2 {
            assert_eq!(taken(&mut sidecar, 3), [json("1"), json("2"), json("3")]);
            sidecar.is_at_end();
            assert!(!sidecar.told_of_length);
            sidecar.start_over().unwrap();
        }
        assert_eq!(taken(&mut sidecar, 2), [json("1"), json("2")]);
        sidecar.is_at_end();
        assert!(sidecar.told_of_length, "a line is left");
        assert!(Sidecar::open(file.path(), Some(4)).unwrap().told_of_length, "a frame is left");
    }

    #[test]
    fn a_file_that_is_not_there_or_no_file_is_refused() {
        let said = Sidecar::open(Path::new("/missing.jsonl"), None).unwrap_err().to_string();
        assert!(said.contains("cannot read '/missing.jsonl' (--metadata)"), "{said}");
        let said = Sidecar::open(Path::new("/dev/null"), None).unwrap_err().to_string();
        assert!(said.contains("'/dev/null' (--metadata) is no file"), "{said}");
    }
}
