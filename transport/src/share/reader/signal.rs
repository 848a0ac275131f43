//! The one descriptor of a subscription, which stays the same when the hub is gone and another takes its place: an epoll set with whatever
//! there is to wait for in it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::mapped::Link;

/// Readable while there is something to take, to learn or to do. It is only to be waited for.
#[derive(Debug)]
pub(super) struct Signal {
    set: OwnedFd,
    /// Readable where something waits that no byte in a pipe tells of, and for good after the end.
    nudge: OwnedFd,
    is_raised: AtomicBool,
    /// While the hub is gone: when it is to be looked for again.
    timer: OwnedFd,
}

impl Signal {
    /// Takes three descriptors from the system.
    ///
    /// # Errors
    /// It has none left.
    pub(super) fn new() -> io::Result<Self> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        let nudge = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let timer =
            rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        epoll::add(&set, &nudge, EventData::new_u64(0), EventFlags::IN)?;
        epoll::add(&set, &timer, EventData::new_u64(0), EventFlags::IN)?;
        Ok(Self { set, nudge, is_raised: AtomicBool::new(false), timer })
    }

    /// What a blocked thread waits for beside its hub.
    pub(super) fn nudge(&self) -> BorrowedFd<'_> {
        self.nudge.as_fd()
    }

    /// Makes it readable, and wakes every thread that sleeps. This and [`Signal::lower`] are for one thread at a time.
    pub(super) fn raise(&self) {
        self.is_raised.store(true, Ordering::Relaxed);
        // Full means that it is readable.
        let _ = rustix::io::write(&self.nudge, &1_u64.to_ne_bytes());
    }

    /// Takes that back.
    pub(super) fn lower(&self) {
        if self.is_raised.swap(false, Ordering::Relaxed) {
            // It was raised, so that this takes that back.
            let _ = rustix::io::read(&self.nudge, &mut [0; 8][..]);
        }
    }

    /// From here on it tells of this hub's frames and of its end.
    pub(super) fn follow(&self, link: &Link) {
        for (descriptor, event) in [(Some(link.pipe()), EventFlags::IN), (link.hub(), EventFlags::IN)] {
            let Some(descriptor) = descriptor else { continue };
            match epoll::add(&self.set, descriptor, EventData::new_u64(0), event) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => tracing::warn!(
                    %error, "the descriptor of a subscription tells of no frames; raise fs.epoll.max_user_watches"
                ),
            }
        }
    }

    /// From here on it does not.
    pub(super) fn leave(&self, link: &Link) {
        for descriptor in [Some(link.pipe()), link.hub()].into_iter().flatten() {
            // One that nobody follows is none to leave.
            let _ = epoll::delete(&self.set, descriptor);
        }
    }

    /// Has it be readable after each such time.
    pub(super) fn tick(&self, interval: Option<Duration>) {
        let interval = interval.unwrap_or_default();
        let it_interval = Timespec {
            tv_sec: i64::try_from(interval.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: interval.subsec_nanos().into(),
        };
        let every = Itimerspec { it_interval, it_value: it_interval };
        if let Err(error) = rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &every) {
            tracing::warn!(%error, "no timer for a hub that is gone: who waits for the descriptor alone does not read on");
        }
    }

    /// The time that it told of has been used.
    pub(super) fn ticked(&self) {
        // Empty where it was not the timer that told.
        let _ = rustix::io::read(&self.timer, &mut [0; 8][..]);
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}
