//! Several descriptors as one.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use crate::error::{Class, Error};

/// A descriptor that is readable while one of those is that it watches.
pub(super) struct Watched {
    epoll: OwnedFd,
}

impl Watched {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(no_descriptor)? })
    }

    pub(super) fn add(&self, fd: impl AsFd) -> Result<(), Error> {
        epoll::add(&self.epoll, fd, EventData::new_u64(0), EventFlags::IN).map_err(no_descriptor)
    }

    pub(super) fn remove(&self, fd: impl AsFd) {
        // Closing it would not do: it stays in the set for as long as a forked child has it open too. One that was never in it is let be.
        let _ = epoll::delete(&self.epoll, fd);
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// A descriptor that becomes readable again and again.
///
/// # Errors
/// The system has no descriptor left.
pub(super) fn ticks(every: Duration) -> Result<OwnedFd, Error> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags).map_err(no_descriptor)?;
    let every = Timespec::try_from(every).map_err(|_| no_descriptor(Errno::INVAL))?;
    let times = Itimerspec { it_interval: every, it_value: every };
    rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times).map_err(no_descriptor)?;
    Ok(timer)
}

/// A descriptor that is readable from now on.
///
/// # Errors
/// The system has no descriptor left.
pub(super) fn always_readable() -> Result<OwnedFd, Error> {
    rustix::event::eventfd(1, rustix::event::EventfdFlags::CLOEXEC).map_err(no_descriptor)
}

/// Takes what made a descriptor of ticks readable; whether there was something.
pub(super) fn ticked(timer: &OwnedFd) -> bool {
    rustix::io::read(timer, &mut [0; 8]).is_ok()
}

/// Waits until it is readable, a signal comes, or for so long.
///
/// # Errors
/// The system does not wait for it.
pub(super) fn wait(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<(), Error> {
    // A time that no clock reaches is none.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(no_descriptor(error)),
    }
}

/// What is told where the system gives no descriptor.
pub(super) fn no_descriptor(error: impl fmt::Display) -> Error {
    let text =
        format!("the system gave no descriptor to wait for frames with ({error}); raise the limit of open files");
    Error::new(Class::System, "no-descriptor", text)
}
