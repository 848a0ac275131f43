//! Waits for many descriptors at once, each with a token of its own: by `poll`, where there is no epoll.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// What is ready.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) token: u64,
    /// Something can be read, or there is an error to learn of.
    pub(super) readable: bool,
    pub(super) writable: bool,
}

/// The descriptors that are waited for.
pub(super) struct Poller(RefCell<Vec<Waited>>);

struct Waited {
    /// What it is called by whoever has it.
    number: RawFd,
    /// One of this poller's own: the other may be closed.
    descriptor: OwnedFd,
    token: u64,
    interest: PollFlags,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(RefCell::default()))
    }

    /// What another thread makes the same one of.
    pub(super) fn into_descriptor(self) -> Self {
        self
    }

    /// The one that [`Poller::into_descriptor`] gave.
    pub(super) fn of(poller: Self) -> Self {
        poller
    }

    /// Has the descriptor told of under this token, while it can be read.
    pub(super) fn add(&self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        let descriptor = descriptor.as_fd();
        let waited = Waited {
            number: descriptor.as_raw_fd(),
            descriptor: descriptor.try_clone_to_owned()?,
            token,
            interest: PollFlags::IN,
        };
        self.0.borrow_mut().push(waited);
        Ok(())
    }

    /// The same also while it can be written, or not any more.
    pub(super) fn set_writable(&self, descriptor: impl AsFd, _token: u64, writable: bool) -> io::Result<()> {
        let number = descriptor.as_fd().as_raw_fd();
        let mut all = self.0.borrow_mut();
        let waited = all.iter_mut().find(|waited| waited.number == number).ok_or(Errno::NOENT)?;
        waited.interest = if writable { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        Ok(())
    }

    /// Does not tell of it any more.
    pub(super) fn remove(&self, descriptor: impl AsFd) {
        let number = descriptor.as_fd().as_raw_fd();
        self.0.borrow_mut().retain(|waited| waited.number != number);
    }

    /// Sleeps until something is ready or `timeout` has passed, after it has looked for as long as `busy_poll`; adds to `ready` what is.
    pub(super) fn wait(&mut self, timeout: Duration, busy_poll: Duration, ready: &mut Vec<Ready>) -> io::Result<()> {
        let all = self.0.get_mut();
        let mut descriptors: Vec<_> =
            all.iter().map(|waited| PollFd::new(&waited.descriptor, waited.interest)).collect();
        let begun = std::time::Instant::now();
        loop {
            let waited = begun.elapsed();
            let left = if waited < busy_poll { Duration::ZERO } else { timeout.saturating_sub(waited) };
            let left = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match rustix::event::poll(&mut descriptors, Some(&left)) {
                Ok(0) | Err(Errno::INTR) if begun.elapsed() < timeout => std::hint::spin_loop(),
                Ok(_) | Err(Errno::INTR) => break,
                Err(error) => return Err(error.into()),
            }
        }
        ready.extend(all.iter().zip(&descriptors).filter_map(|(waited, polled)| {
            let found = polled.revents();
            let readable = found.intersects(PollFlags::IN | PollFlags::ERR | PollFlags::HUP);
            let writable = found.contains(PollFlags::OUT);
            (readable || writable).then_some(Ready { token: waited.token, readable, writable })
        }));
        Ok(())
    }
}
