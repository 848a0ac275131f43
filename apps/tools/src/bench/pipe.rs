//! A bare wake by a pipe: a few bytes that a reader sleeps for. No message between two processes that sleep is faster.
//!
//! The bytes are the frame's stamp, and there is no frame: a pipe carries sixteen in the time of one.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use framewire_process::exit::Failure;
use framewire_process::stop::Stop;
use framewire_transport::Time;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;

use super::contender::{Arrived, ReceiveLink, SendLink};
use super::folder::Folder;
use super::patience::{LOOK_AROUND, PATIENCE, Wait, poll};
use super::stamp::Stamp;

/// A pipe with a name, which the far end opens by it.
pub(super) struct Pipe {
    folder: Folder,
}

impl Pipe {
    pub(super) fn new() -> Result<Self, Failure> {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let pipe = Self { folder: Folder::new()? };
        mknodat(CWD, pipe.path(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).map_err(|error| broken(&error.into()))?;
        Ok(pipe)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("pipe")
    }
}

/// The sending half.
pub(super) struct PipeSender {
    file: File,
    stop: Stop,
}

impl PipeSender {
    /// Once the far end has opened the pipe; nobody finds it any more then.
    pub(super) fn open(pipe: &Pipe, stop: &Stop) -> Result<Self, Failure> {
        // What does not block can be left where the far end is stuck.
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let file = options.open(pipe.path()).map_err(|error| broken(&error))?;
        Ok(Self { file, stop: stop.clone() })
    }
}

impl SendLink for PipeSender {
    fn send(&mut self, stamp: Stamp) -> Result<(), Failure> {
        let mut bytes = [0; Stamp::LEN];
        stamp.write_now(&mut bytes);
        let mut wait = None;
        loop {
            // A pipe takes as few bytes whole or not at all.
            match self.file.write(&bytes) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait.get_or_insert_with(|| Wait::begin(&self.stop, PATIENCE))
                        .check("the pipe took nothing", "is the far end still there?")?;
                    is_ready(&self.file, PollFlags::OUT)?;
                }
                Err(error) => return Err(broken(&error)),
            }
        }
    }
}

/// The receiving half.
pub(super) struct PipeReceiver {
    file: File,
    busy_poll: bool,
    /// Something was read: from then on the pipe's end is the sender's.
    begun: bool,
    stop: Stop,
}

impl PipeReceiver {
    /// Opens the pipe that the near end has made. With `busy_poll` it is read until it has something, without sleeping.
    pub(super) fn open(path: &Path, busy_poll: bool, stop: &Stop) -> Result<Self, Failure> {
        // So that it does not wait for the writer, who waits for this end.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let file = options.open(path).map_err(|error| broken(&error))?;
        if !busy_poll {
            rustix::fs::fcntl_setfl(&file, OFlags::empty()).map_err(|error| broken(&error.into()))?;
        }
        Ok(Self { file, busy_poll, begun: false, stop: stop.clone() })
    }

    /// Before anybody writes, a pipe reads as at its end.
    fn wait_for_writer(&mut self) -> Result<(), Failure> {
        let wait = Wait::begin(&self.stop, PATIENCE);
        while !is_ready(&self.file, PollFlags::IN)? {
            wait.check("nothing came through the pipe", "is the sender still there?")?;
        }
        self.begun = true;
        Ok(())
    }
}

impl ReceiveLink for PipeReceiver {
    fn next_frame(&mut self) -> Result<Arrived, Failure> {
        if !self.begun {
            self.wait_for_writer()?;
        }
        let mut bytes = [0; Stamp::LEN];
        if self.busy_poll {
            poll(&self.stop, || match (&self.file).read(&mut bytes) {
                Ok(0) => Err(broken(&ErrorKind::UnexpectedEof.into())),
                Ok(_) => Ok(Some(())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(broken(&error)),
            })?;
        } else {
            // It ends with the sender, and so with the process that started this one.
            self.file.read_exact(&mut bytes).map_err(|error| broken(&error))?;
        }
        let completed = Time::now();
        let stamp = Stamp::parse(&bytes).ok_or_else(|| Failure::runtime("the pipe carried no stamp"))?;
        Ok(Arrived { stamp, completed, latency: None })
    }
}

/// Waits a moment for the pipe; whether there is something to be done with it.
fn is_ready(pipe: &impl AsFd, flags: PollFlags) -> Result<bool, Failure> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: LOOK_AROUND.subsec_nanos().into() };
    match rustix::event::poll(&mut [PollFd::new(pipe, flags)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(broken(&error.into())),
    }
}

fn broken(error: &io::Error) -> Failure {
    Failure::runtime(format!("the pipe failed: {error}; is the other end still there?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stamp::Phase;

    #[test]
    fn stamps_come_through_in_order_however_the_reader_waits() {
        for busy_poll in [false, true] {
            let (stop, pipe) = (Stop::new(), Pipe::new().unwrap());
            let mut receiver = PipeReceiver::open(&pipe.path(), busy_poll, &stop).unwrap();
            let mut sender = PipeSender::open(&pipe, &stop).unwrap();
            let folder = pipe.path().parent().unwrap().to_owned();
            drop(pipe);
            assert!(!folder.exists());
            std::thread::scope(|scope| {
                // More than a pipe holds.
                scope.spawn(move || {
                    for number in 0..10_000 {
                        let stamp = Stamp { phase: Phase::Rate, last: number == 9_999, number, sent: Time::ZERO };
                        sender.send(stamp).unwrap();
                    }
                });
                for number in 0..10_000 {
                    let arrived = receiver.next_frame().unwrap();
                    assert_eq!((arrived.stamp.number, arrived.stamp.last), (number, number == 9_999));
                }
                assert!(receiver.next_frame().unwrap_err().to_string().contains("the pipe failed"));
            });
        }
    }
}
