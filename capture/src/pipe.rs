//! Reading what another program writes, and ending the wait for it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use thiserror::Error;

/// A descriptor that becomes readable, or is hung up, when whoever waits for a source is to stop waiting.
pub type StopDescriptor = Arc<OwnedFd>;

/// Whoever waited for the pipe was asked to stop: what a [`Pipe`] fails with, inside an [`io::Error`].
#[derive(Debug, Error)]
#[error("asked to stop while waiting for it")]
pub(crate) struct Stopped;

/// Standard input or a named pipe. Reading waits for its writer and for the wish to stop alike.
pub(crate) struct Pipe {
    file: File,
    stop: Option<StopDescriptor>,
    /// What was read to see what the bytes are; it is given again.
    head: Vec<u8>,
    given: usize,
}

impl Pipe {
    /// Standard input. The descriptor's flags are shared with other programs and stay as they are.
    pub(crate) fn stdin(stop: Option<StopDescriptor>) -> io::Result<Self> {
        Ok(Self::new(io::stdin().as_fd().try_clone_to_owned()?, stop))
    }

    /// A named pipe. Does not wait for its writer: reading does.
    pub(crate) fn open(path: &Path, stop: Option<StopDescriptor>) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(Self::new(rustix::fs::open(path, flags, Mode::empty())?, stop))
    }

    fn new(descriptor: OwnedFd, stop: Option<StopDescriptor>) -> Self {
        Self { file: descriptor.into(), stop, head: Vec::new(), given: 0 }
    }

    /// Whether the bytes begin like this. Waits for as many, or the end, or the first that differs; none is lost.
    pub(crate) fn starts_with(&mut self, start: &[u8]) -> io::Result<bool> {
        while self.head.len() < start.len() && start.starts_with(&self.head) {
            let mut more = vec![0; start.len() - self.head.len()];
            match self.read_more(&mut more)? {
                0 => break,
                length => self.head.extend_from_slice(&more[..length]),
            }
        }
        Ok(self.head.starts_with(start))
    }

    fn read_more(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            self.wait()?;
            match self.file.read(into) {
                // Another reader of the same pipe was faster, or a writer has opened it and written nothing yet.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                done => return done,
            }
        }
    }

    /// Waits until something can be read, the writer has gone, or somebody wants to stop.
    fn wait(&self) -> io::Result<()> {
        let own = PollFd::new(&self.file, PollFlags::IN);
        let done = match &self.stop {
            None => poll(&mut [own], None).map(|_| false),
            Some(stop) => {
                let mut both = [own, PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN)];
                poll(&mut both, None).map(|_| !both[1].revents().is_empty())
            }
        };
        match done {
            Ok(true) => Err(io::Error::other(Stopped)),
            // Interrupted by a signal: the read that follows may wait no longer than the next one.
            Err(rustix::io::Errno::INTR) => self.wait(),
            other => other.map(drop).map_err(io::Error::from),
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given < self.head.len() {
            let length = (&self.head[self.given..]).read(into)?;
            self.given += length;
            return Ok(length);
        }
        self.read_more(into)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pipe_and_stop() -> (Pipe, io::PipeWriter, io::PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        let (stopping, stop) = io::pipe().unwrap();
        (Pipe::new(reader.into(), Some(Arc::new(stopping.into()))), writer, stop)
    }

    fn is_stop(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Stopped>())
    }

    #[test]
    fn who_waits_for_a_writer_is_freed_by_the_wish_to_stop_and_stays_so() {
        let (mut pipe, writer, stop) = pipe_and_stop();
        let waiting = std::thread::spawn(move || {
            let mut byte = [0];
            [pipe.read(&mut byte).unwrap_err(), pipe.read(&mut byte).unwrap_err()]
        });
        drop(stop);
        assert!(waiting.join().unwrap().iter().all(is_stop));
        drop(writer);
    }

    #[test]
    fn what_was_looked_at_is_read_again() {
        for (written, is_like) in [(&b"abcdef"[..], true), (b"abX", false), (b"ab", false), (b"", false)] {
            let (mut pipe, mut writer, _stop) = pipe_and_stop();
            writer.write_all(written).unwrap();
            drop(writer);
            assert_eq!(pipe.starts_with(b"abcd").unwrap(), is_like);
            let mut all = Vec::new();
            pipe.read_to_end(&mut all).unwrap();
            assert_eq!(all, written);
        }
    }

    #[test]
    fn what_differs_at_once_is_not_waited_for() {
        let (mut pipe, mut writer, _stop) = pipe_and_stop();
        writer.write_all(b"x").unwrap();
        assert!(!pipe.starts_with(b"abcd").unwrap());
    }

    #[test]
    fn a_named_pipe_waits_for_its_writer_and_ends_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let mut pipe = Pipe::open(&path, None).unwrap();
        let writing = std::thread::spawn(move || std::fs::write(path, b"frames"));
        let mut all = Vec::new();
        pipe.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"frames");
        writing.join().unwrap().unwrap();
    }
}
