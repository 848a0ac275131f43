//! Waits for many descriptors at once, each with a token of its own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// Descriptors that are told of at once; what is ready beyond that is told next time.
pub(super) const EVENTS_MAX: usize = 256;

/// What is ready.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) token: u64,
    /// Something can be read, or there is an error to learn of.
    pub(super) readable: bool,
    pub(super) writable: bool,
}

/// An epoll instance.
pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self::of(epoll::create(CreateFlags::CLOEXEC)?))
    }

    /// Its descriptor, for another thread: what it is told of stays.
    pub(super) fn into_descriptor(self) -> OwnedFd {
        self.epoll
    }

    /// The one that [`Poller::into_descriptor`] gave.
    pub(super) fn of(epoll: OwnedFd) -> Self {
        Self { epoll, events: Vec::with_capacity(EVENTS_MAX) }
    }

    /// Has the descriptor told of under this token, while it can be read. It is forgotten once it is closed.
    pub(super) fn add(&self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// The same also while it can be written, or not any more.
    pub(super) fn set_writable(&self, descriptor: impl AsFd, token: u64, writable: bool) -> io::Result<()> {
        let flags = if writable { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        Ok(epoll::modify(&self.epoll, descriptor, EventData::new_u64(token), flags)?)
    }

    /// Does not tell of it any more.
    pub(super) fn remove(&self, descriptor: impl AsFd) {
        // One that was closed is not there.
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// Sleeps until something is ready or `timeout` has passed, after it has looked for as long as `busy_poll`; adds to `ready` what is.
    pub(super) fn wait(&mut self, timeout: Duration, busy_poll: Duration, ready: &mut Vec<Ready>) -> io::Result<()> {
        let begun = std::time::Instant::now();
        while !self.look(ready)? && !timeout.is_zero() {
            let waited = begun.elapsed();
            if waited >= timeout {
                break;
            }
            if waited < busy_poll {
                std::hint::spin_loop();
                continue;
            }
            // Of a poll the time is given in nanoseconds: slices that leave at a rate wait for less than epoll's millisecond.
            let left = timeout - waited;
            let left = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match rustix::event::poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&left)) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether something is ready now.
    fn look(&mut self, ready: &mut Vec<Ready>) -> io::Result<bool> {
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&Timespec::default())) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().map(|event| {
            // Copied: the kernel packs its events.
            let Event { flags, data, .. } = *event;
            Ready {
                token: data.u64(),
                readable: flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP),
                writable: flags.contains(EventFlags::OUT),
            }
        }));
        Ok(!self.events.is_empty())
    }
}
