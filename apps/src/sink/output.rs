//! A file or a pipe that frames are written to, and that is never left with half of one.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Seek, SeekFrom, Write};
use std::path::Path;

use super::place::Creation;
use super::{SinkError, SinkReport};

/// Where bytes go.
pub(super) trait Destination: Write + Send {
    /// Takes the last `bytes` bytes back; false where they are gone for good, as in a pipe.
    fn take_back(&mut self, bytes: u64) -> io::Result<bool>;
}

impl Destination for File {
    fn take_back(&mut self, bytes: u64) -> io::Result<bool> {
        if !self.metadata()?.is_file() {
            return Ok(false);
        }
        let end = self.stream_position()?.saturating_sub(bytes);
        self.set_len(end)?;
        self.seek(SeekFrom::Start(end))?;
        Ok(true)
    }
}

/// Writes whole frames, and counts them.
pub(super) struct FrameOutput<D> {
    destination: D,
    name: String,
    frames: u64,
    bytes: u64,
}

impl FrameOutput<File> {
    /// Creates the file, or, unless it must be a fresh one, empties the one that is there. A named pipe waits here for its
    /// reader.
    pub(super) fn create(path: &Path, creation: Creation) -> Result<Self, SinkError> {
        let output = Self::open(path, creation)?;
        output.empty()?;
        Ok(output)
    }

    /// As [`FrameOutput::create`], and leaves what is there until [`FrameOutput::empty`].
    pub(super) fn open(path: &Path, creation: Creation) -> Result<Self, SinkError> {
        let name = format!("'{}'", path.display());
        // A fresh one follows no link either, wherever that leads.
        let fresh = creation == Creation::Fresh;
        match OpenOptions::new().write(true).create(true).truncate(false).create_new(fresh).open(path) {
            Ok(file) => Ok(Self::new(file, name)),
            Err(source) => Err(SinkError::Create { name, source }),
        }
    }

    /// Empties a file; a device or a pipe has nothing to empty.
    pub(super) fn empty(&self) -> Result<(), SinkError> {
        // A file that is new is left alone: ext4 takes one that was cut to nothing for one that is being replaced, and has
        // whoever closes it wait until all of it is on its way to the disk.
        let emptied =
            if self.file_bytes().is_some_and(|bytes| bytes > 0) { self.destination.set_len(0) } else { Ok(()) };
        emptied.map_err(|source| SinkError::Create { name: self.name.clone(), source })
    }

    /// Whether it is a file, which has an end that can be moved, and no device or pipe.
    pub(super) fn is_file(&self) -> bool {
        self.file_bytes().is_some()
    }

    fn file_bytes(&self) -> Option<u64> {
        self.destination.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len())
    }

    /// Standard output, without the line buffer that Rust puts before it.
    pub(super) fn stdout() -> Result<Self, SinkError> {
        if io::stdout().is_terminal() {
            return Err(SinkError::Terminal);
        }
        let name = "standard output".to_owned();
        match unbuffered_stdout() {
            Ok(file) => Ok(Self::new(file, name)),
            Err(source) => Err(SinkError::Create { name, source }),
        }
    }
}

#[cfg(unix)]
fn unbuffered_stdout() -> io::Result<File> {
    use std::os::fd::AsFd;
    io::stdout().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(windows)]
fn unbuffered_stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    io::stdout().as_handle().try_clone_to_owned().map(File::from)
}

impl<D: Destination> FrameOutput<D> {
    pub(super) const fn new(destination: D, name: String) -> Self {
        Self { destination, name, frames: 0, bytes: 0 }
    }

    /// What messages call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes written so far, with headers.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn report(self) -> SinkReport {
        SinkReport { name: self.name, files: 1, frames: self.frames, bytes: self.bytes }
    }

    /// Takes the last frame back, which has this many bytes.
    pub(super) fn take_back_frame(&mut self, bytes: u64) {
        if self.destination.take_back(bytes).is_ok_and(|taken_back| taken_back) {
            self.frames -= 1;
            self.bytes -= bytes;
        }
    }

    /// Writes what stands before the first frame.
    pub(super) fn write_header(&mut self, header: &[u8]) -> Result<(), SinkError> {
        match self.write_all_or_nothing(&[header]) {
            Ok(()) => Ok(()),
            Err(failed) if failed.is_closed() => Err(self.closed()),
            Err(failed) => Err(SinkError::Header { name: self.name.clone(), source: failed.source }),
        }
    }

    /// Writes one frame, in parts that follow each other; after an error nothing of it is left.
    pub(super) fn write_frame(&mut self, parts: &[&[u8]]) -> Result<(), SinkError> {
        match self.write_all_or_nothing(parts) {
            Ok(()) => {
                self.frames += 1;
                Ok(())
            }
            Err(failed) if failed.is_closed() => Err(self.closed()),
            Err(failed) => Err(SinkError::Write {
                name: self.name.clone(),
                frame: self.frames,
                written: failed.written,
                bytes: parts.iter().map(|part| part.len() as u64).sum(),
                kept: match failed.taken_back {
                    Ok(true) => format!("it was cut back to its {} whole frames", self.frames),
                    Ok(false) if failed.written == 0 => format!("it has {} whole frames", self.frames),
                    Ok(false) => "its reader was given a part of the frame".to_owned(),
                    Err(error) => format!("it ends inside the frame, for it could not be cut back ({error})"),
                },
                source: failed.source,
            }),
        }
    }

    fn closed(&self) -> SinkError {
        SinkError::Closed { name: self.name.clone(), frames: self.frames }
    }

    fn write_all_or_nothing(&mut self, parts: &[&[u8]]) -> Result<(), Failed> {
        let mut written = 0;
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let source = match self.destination.write(rest) {
                    Ok(0) => io::ErrorKind::WriteZero.into(),
                    Ok(bytes) => {
                        rest = &rest[bytes..];
                        written += bytes as u64;
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => error,
                };
                let taken_back = self.destination.take_back(written);
                return Err(Failed { source, written, taken_back });
            }
        }
        self.bytes += written;
        Ok(())
    }
}

struct Failed {
    source: io::Error,
    written: u64,
    taken_back: io::Result<bool>,
}

impl Failed {
    /// The reader of a pipe has gone. Rust's programs ignore SIGPIPE, so this comes as an error.
    fn is_closed(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }
}
