//! A file or a pipe that frames are written to, and that is never left with half of one.

use std::fmt::Display;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IoSlice, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use framewire_process::lock::lock;

use crate::error::SinkError;
use crate::sink::SinkReport;

/// What messages call it.
pub(crate) const STDOUT: &str = "standard output";

/// Parts of a frame that one call of the system takes: its head, its pixels, what belongs to it. More take more calls.
const PARTS_MAX: usize = 128;

/// How a file is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creation {
    /// The user named it, and there is nothing in it to lose: a device, a pipe, a file without a byte.
    Named,
    /// Nothing that is there is touched.
    Fresh,
}

/// One output that streams have in turn, and where only the first can write a header: standard output.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    /// Its bytes, and what they say.
    header: Option<(Vec<u8>, String)>,
    /// Its reader has gone, or was left with a part of a frame: nothing can follow.
    is_closed: bool,
}

impl Turns {
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        lock(&self.0)
    }
}

/// Where bytes go.
pub(crate) trait Destination: Write + Send {
    /// Takes the last `bytes` bytes back; false where they are gone for good, as in a pipe.
    fn take_back(&mut self, bytes: u64) -> io::Result<bool>;

    /// Whether what was written can be written over, which it cannot in a pipe.
    fn is_rewritable(&self) -> bool {
        false
    }

    /// Writes over what stands at `offset`, which has that many bytes.
    fn overwrite(&mut self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Destination for File {
    fn is_rewritable(&self) -> bool {
        self.metadata().is_ok_and(|metadata| metadata.is_file())
    }

    #[cfg(unix)]
    fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, bytes, offset)
    }

    #[cfg(not(unix))]
    fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = self.stream_position()?;
        self.seek(SeekFrom::Start(offset))?;
        let written = self.write_all(bytes);
        self.seek(SeekFrom::Start(end))?;
        written
    }

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
pub(crate) struct FrameOutput<D> {
    destination: D,
    name: String,
    frames: u64,
    bytes: u64,
    turns: Option<Arc<Turns>>,
    /// The file, where it was not there before.
    made: Option<PathBuf>,
    /// A write has failed.
    has_failed: bool,
    /// It ends with a part of a frame, which nothing can follow.
    is_torn: bool,
}

impl FrameOutput<File> {
    /// Creates the file, or, where the user named it, opens what is there and has no byte. A new one may be read by its owner's
    /// group (mode 0640, less what the umask takes); one that is there keeps its mode.
    pub(crate) fn create(path: &Path, creation: Creation) -> Result<Self, SinkError> {
        let name = format!("'{}'", path.display());
        let mut options = OpenOptions::new();
        options.write(true).truncate(false);
        match creation {
            // Follows no link either, wherever that leads.
            Creation::Fresh => options.create_new(true),
            Creation::Named => options.create(true),
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o640);
            // A pipe that nobody reads is an error at once: whoever asked decides whether to ask again.
            if creation == Creation::Named {
                options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
            }
        }
        let is_new = path.symlink_metadata().is_err();
        let file = options.open(path).and_then(waits_for_its_reader).inspect(widen_pipe);
        let output = match file {
            Ok(file) => Self { made: is_new.then(|| path.to_owned()), ..Self::new(file, name) },
            #[cfg(unix)]
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                return Err(SinkError::NoReader { name });
            }
            Err(source) => return Err(SinkError::Create { name, source }),
        };
        // Somebody may have come before, after it was looked at.
        if output.file_bytes().is_some_and(|bytes| bytes > 0) {
            return Err(SinkError::Create { name: output.name, source: io::ErrorKind::AlreadyExists.into() });
        }
        Ok(output)
    }

    /// Whether it is a file, which has an end that can be moved, and no device or pipe.
    pub(crate) fn is_file(&self) -> bool {
        self.file_bytes().is_some()
    }

    fn file_bytes(&self) -> Option<u64> {
        self.destination.metadata().ok().filter(Metadata::is_file).map(|metadata| metadata.len())
    }

    /// Standard output, without the line buffer that Rust puts before it.
    pub(crate) fn stdout(turns: Arc<Turns>) -> Result<Self, SinkError> {
        check_stdout()?;
        let name = STDOUT.to_owned();
        match unbuffered_stdout() {
            Ok(file) => {
                widen_pipe(&file);
                Ok(Self::new(file, name).in_turn(turns))
            }
            Err(source) => Err(SinkError::Create { name, source }),
        }
    }
}

/// Refuses to fill a terminal with noise.
pub(crate) fn check_stdout() -> Result<(), SinkError> {
    if io::stdout().is_terminal() { Err(SinkError::Terminal) } else { Ok(()) }
}

/// Writing waits for a pipe's reader, whichever way it was opened.
#[cfg(unix)]
fn waits_for_its_reader(file: File) -> io::Result<File> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// So many bytes of a pipe wait for its reader, where the system lets them: a frame takes a sixteenth of the calls.
#[cfg(target_os = "linux")]
const PIPE_BYTES: usize = 1 << 20;

/// Where the system refuses, as it does when a user's pipes have taken what they may, the pipe stays as it is.
#[cfg(target_os = "linux")]
fn widen_pipe(file: &File) {
    if file.metadata().is_ok_and(|there| std::os::unix::fs::FileTypeExt::is_fifo(&there.file_type())) {
        // Whoever made it may have made it larger.
        if rustix::pipe::fcntl_getpipe_size(file).is_ok_and(|bytes| bytes < PIPE_BYTES) {
            let _ = rustix::pipe::fcntl_setpipe_size(file, PIPE_BYTES);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn widen_pipe(_: &File) {}

#[cfg(not(unix))]
fn waits_for_its_reader(file: File) -> io::Result<File> {
    Ok(file)
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
    pub(crate) const fn new(destination: D, name: String) -> Self {
        Self { destination, name, frames: 0, bytes: 0, turns: None, made: None, has_failed: false, is_torn: false }
    }

    /// One that streams have in turn.
    pub(crate) fn in_turn(self, turns: Arc<Turns>) -> Self {
        Self { turns: Some(turns), ..self }
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether what was written can be written over.
    pub(crate) fn is_rewritable(&self) -> bool {
        self.destination.is_rewritable()
    }

    /// Bytes written so far, with headers.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a write has failed.
    pub(crate) const fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Ends. A file that was made for frames of which none could be written is taken away: the next attempt makes another.
    pub(crate) fn report(self) -> SinkReport {
        if self.has_failed && self.discard_if_empty() {
            return SinkReport { name: self.name, files: 0, frames: 0, bytes: 0 };
        }
        SinkReport { name: self.name, files: 1, frames: self.frames, bytes: self.bytes }
    }

    /// Takes the file away where it was made here and has no frame; whether it did.
    pub(crate) fn discard_if_empty(&self) -> bool {
        let made = self.made.as_ref().filter(|_| self.frames == 0);
        made.is_some_and(|path| std::fs::remove_file(path).is_ok())
    }

    /// Takes the last frame back, which has this many bytes, because of a `problem` with what belongs to it. It does not count even
    /// where it cannot be cut off.
    ///
    /// # Errors
    /// [`SinkError::Torn`] where it is still there: nothing more is written.
    pub(crate) fn take_back_frame(&mut self, bytes: u64, problem: &dyn Display) -> Result<(), SinkError> {
        self.has_failed = true;
        self.frames -= 1;
        let taken_back = self.destination.take_back(bytes);
        match taken_back.and_then(|taken| if taken { Ok(()) } else { Err(io::ErrorKind::NotSeekable.into()) }) {
            Ok(()) => {
                self.bytes -= bytes;
                Ok(())
            }
            Err(source) => Err(self.torn(problem, source)),
        }
    }

    fn torn(&mut self, problem: &dyn Display, source: io::Error) -> SinkError {
        self.is_torn = true;
        SinkError::Torn { name: self.name.clone(), frames: self.frames, problem: problem.to_string(), source }
    }

    /// Writes what stands before the first frame, and says `says`; where an earlier stream has written the same here, frames follow
    /// that.
    pub(crate) fn write_header(&mut self, header: &[u8], says: &str) -> Result<(), SinkError> {
        let before = self.turns.as_ref().and_then(|turns| turns.lock().header.clone());
        if let Some((before, said)) = before {
            let other =
                || SinkError::OtherFormat { name: self.name.clone(), before: said.clone(), now: says.to_owned() };
            return if before == header && said == says { Ok(()) } else { Err(other()) };
        }
        match self.write_all_or_nothing(std::iter::once(header)) {
            Ok(()) => {
                if let Some(turns) = &self.turns {
                    turns.lock().header = Some((header.to_owned(), says.to_owned()));
                }
                Ok(())
            }
            Err(failed) if failed.is_closed() => Err(self.closed()),
            Err(failed) => Err(SinkError::Header { name: self.name.clone(), source: failed.source }),
        }
    }

    /// Writes one frame, in parts that follow each other, from where they are (`writev`); after an error nothing of it is left.
    pub(crate) fn write_frame(&mut self, parts: &[&[u8]]) -> Result<(), SinkError> {
        self.write_rows(parts.iter().copied())
    }

    /// As [`FrameOutput::write_frame`], of parts that are found while they are written, such as a picture's rows.
    pub(crate) fn write_rows<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]> + Clone) -> Result<(), SinkError> {
        match self.write_all_or_nothing(parts.clone()) {
            Ok(()) => {
                self.frames += 1;
                Ok(())
            }
            Err(failed) if failed.is_closed() => Err(self.closed()),
            Err(Failed { source: problem, taken_back: Err(source), written }) if written > 0 => {
                Err(self.torn(&problem, source))
            }
            Err(failed) => Err(SinkError::Write {
                name: self.name.clone(),
                frame: self.frames,
                written: failed.written,
                bytes: parts.map(|part| part.len() as u64).sum(),
                kept: match failed.taken_back {
                    Ok(true) => format!("it was cut back to its {} whole frames", self.frames),
                    _ if failed.written == 0 => format!("it has {} whole frames", self.frames),
                    _ => "its reader was given a part of the frame".to_owned(),
                },
                source: failed.source,
            }),
        }
    }

    /// Writes over what stands before the last frame, which has `frame_bytes` bytes; after an error that frame is taken back.
    pub(crate) fn overwrite_before_frame(
        &mut self,
        offset: u64,
        bytes: &[u8],
        frame_bytes: u64,
    ) -> Result<(), SinkError> {
        let Err(source) = self.destination.overwrite(offset, bytes) else { return Ok(()) };
        self.take_back_frame(frame_bytes, &source)?;
        let kept = format!("it has {} whole frames", self.frames);
        Err(SinkError::Write {
            name: self.name.clone(),
            frame: self.frames,
            written: frame_bytes,
            bytes: frame_bytes,
            kept,
            source,
        })
    }

    /// Writes what stands behind the last frame, whole or not at all. What ends with a part of a frame has no such end, and neither has a
    /// pipe whose reader is gone.
    ///
    /// # Errors
    /// What the system said. The frames are there.
    pub(crate) fn write_end(&mut self, end: &[u8]) -> io::Result<()> {
        if self.is_torn {
            return Ok(());
        }
        match self.write_all_or_nothing(std::iter::once(end)) {
            Err(failed) if !failed.is_closed() => Err(failed.source),
            _ => Ok(()),
        }
    }

    fn closed(&self) -> SinkError {
        SinkError::Closed { name: self.name.clone(), frames: self.frames }
    }

    fn write_all_or_nothing<'a>(&mut self, parts: impl Iterator<Item = &'a [u8]>) -> Result<(), Failed> {
        if self.is_torn {
            let source = io::Error::other("it ends with a part of a frame");
            return Err(Failed { source, written: 0, taken_back: Ok(false) });
        }
        // Nothing written is how the system says that no more can be.
        let mut parts = parts.filter(|part| !part.is_empty());
        let mut written = 0;
        loop {
            let (mut slices, mut count) = ([IoSlice::new(&[]); PARTS_MAX], 0);
            for (slice, part) in slices.iter_mut().zip(&mut parts) {
                *slice = IoSlice::new(part);
                count += 1;
            }
            if count == 0 {
                break;
            }
            let mut rest = &mut slices[..count];
            while !rest.is_empty() {
                let source = match self.destination.write_vectored(rest) {
                    Ok(0) => io::ErrorKind::WriteZero.into(),
                    Ok(bytes) => {
                        IoSlice::advance_slices(&mut rest, bytes);
                        written += bytes as u64;
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => error,
                };
                self.has_failed = true;
                let taken_back = self.destination.take_back(written);
                let failed = Failed { source, written, taken_back };
                self.is_torn |= failed.leaves_a_part();
                if let Some(turns) = self.turns.as_ref().filter(|_| failed.is_closed() || failed.leaves_a_part()) {
                    turns.lock().is_closed = true;
                }
                return Err(failed);
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

    /// What follows would not be read as what it is.
    fn leaves_a_part(&self) -> bool {
        self.written > 0 && !matches!(self.taken_back, Ok(true))
    }
}

#[cfg(test)]
mod tests;
