//! The lines of an index, one after the other, whatever state a crash left it in.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::index::{IndexEntry, IndexHeader};
use super::metadata;

/// Longer than any line that is written: a name has at most 64 characters, and metadata in Base64 5,464.
const LINE_BYTES_MAX: u64 = 8192;

/// Reads an index line by line: one of days has millions.
pub(super) struct IndexReader {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Where the first frame's line is.
    first: u64,
}

impl IndexReader {
    /// Reads the header of `file`. The inner error says what is wrong with it.
    pub(super) fn new(file: File) -> io::Result<Result<(Self, IndexHeader), String>> {
        let mut reader = Self { reader: BufReader::new(file), line: Vec::with_capacity(256), first: 0 };
        if !reader.read_line()? {
            let bytes = reader.line.len();
            return Ok(Err(format!("its first line does not end within its {bytes} bytes")));
        }
        reader.first = reader.reader.stream_position()?;
        Ok(IndexHeader::parse(&reader.line).map(|header| (reader, header)))
    }

    /// The next frame's line: `None` at the end, and an inner `None` for a line that is no frame's.
    pub(super) fn next_entry(&mut self) -> io::Result<Option<Option<IndexEntry>>> {
        let ended = !self.read_line()?;
        if ended && self.line.is_empty() {
            return Ok(None);
        }
        Ok(Some(IndexEntry::parse(&self.line)))
    }

    /// The metadata in the line that was read last; the error says what is wrong with it.
    pub(super) fn metadata(&self) -> metadata::InLine<'_> {
        metadata::parse(&self.line)
    }

    /// Goes back to the first frame's line.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.reader.seek(SeekFrom::Start(self.first)).map(|_| ())
    }

    /// Reads a line, without its end; false where the file ends before the line does.
    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line)?;
        if self.line.pop_if(|byte| *byte == b'\n').is_some() {
            return Ok(true);
        }
        if (self.line.len() as u64) < LINE_BYTES_MAX {
            return Ok(false);
        }
        self.reader.skip_until(b'\n')?;
        Ok(true)
    }
}
