//! How the hub's thread is called: by programs' threads that changed something, and by those that publish where they leave something to it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// Rung as often as one likes, it wakes the thread once. Its descriptor is nobody's but this process's.
#[derive(Debug)]
pub(super) struct Bell {
    event: OwnedFd,
    has_rung: AtomicBool,
}

impl Bell {
    /// # Errors
    /// The system has no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { event, has_rung: AtomicBool::new(false) })
    }

    /// Calls the thread.
    pub(super) fn ring(&self) {
        if !self.has_rung.swap(true, Ordering::AcqRel) {
            let _called = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
        }
    }

    /// The thread has heard it, and looks for what there is to do after this.
    pub(super) fn heard(&self) {
        let _called = rustix::io::read(&self.event, &mut [0; 8]);
        self.has_rung.swap(false, Ordering::AcqRel);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
