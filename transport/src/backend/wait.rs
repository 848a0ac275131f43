//! Sleeping until a socket has something, somebody calls, or time is up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// Wakes a thread that sleeps in [`wait`]. Calls are remembered: one before the sleep ends it at once.
#[derive(Debug)]
pub struct Waker {
    event: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    writer: OwnedFd,
}

impl Waker {
    /// Takes one or two descriptors from the system.
    ///
    /// # Errors
    /// Where the system has none left.
    #[cfg(target_os = "linux")]
    pub fn new() -> io::Result<Self> {
        use rustix::event::EventfdFlags;
        Ok(Self { event: rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    /// Takes one or two descriptors from the system.
    ///
    /// # Errors
    /// Where the system has none left.
    #[cfg(not(target_os = "linux"))]
    pub fn new() -> io::Result<Self> {
        let (event, writer) = rustix::pipe::pipe()?;
        for end in [&event, &writer] {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        Ok(Self { event, writer })
    }

    /// Ends the sleep of the thread in [`wait`], or its next one.
    pub fn wake(&self) {
        #[cfg(target_os = "linux")]
        let writer = &self.event;
        #[cfg(not(target_os = "linux"))]
        let writer = &self.writer;
        // Full means that a call is pending already.
        let _ = rustix::io::write(writer, &1_u64.to_ne_bytes());
    }

    /// Sleeps until it is called, or `timeout` has passed: for a socket that is to be left alone. Where the system refuses
    /// to poll, the time passes all the same.
    pub fn sleep(&self, timeout: Duration) {
        match poll(&mut [PollFd::new(&self.event, PollFlags::IN)], timeout) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => self.clear(),
            Err(_) => std::thread::sleep(timeout),
        }
    }

    /// Takes back calls that have ended a sleep elsewhere than in [`wait`].
    pub(crate) fn clear(&self) {
        let mut bytes = [0; 64];
        // Empty means that the sleep ended for another reason.
        let _ = rustix::io::read(&self.event, &mut bytes[..]);
    }
}

/// Readable once it is called, until [`Waker::clear`].
impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Sleeps until `socket` can be read (where `writable`: written), `waker` is called, or `timeout` has passed. Before it
/// sleeps it looks for either for as long as `busy_poll`.
///
/// # Errors
/// Where the system refuses to poll; an interruption by a signal is a wake-up.
pub fn wait(
    socket: BorrowedFd<'_>,
    writable: bool,
    waker: &Waker,
    timeout: Duration,
    busy_poll: Duration,
) -> io::Result<()> {
    let interest = if writable { PollFlags::OUT } else { PollFlags::IN };
    let mut descriptors = [PollFd::from_borrowed_fd(socket, interest), PollFd::new(&waker.event, PollFlags::IN)];
    let begun = Instant::now();
    let mut found = Ok(0);
    while begun.elapsed() < busy_poll.min(timeout) && found == Ok(0) {
        found = poll(&mut descriptors, Duration::ZERO);
        std::hint::spin_loop();
    }
    if found == Ok(0) {
        found = poll(&mut descriptors, timeout.saturating_sub(busy_poll));
    }
    match found {
        Ok(_) if !descriptors[1].revents().is_empty() => waker.clear(),
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn poll(descriptors: &mut [PollFd<'_>], timeout: Duration) -> Result<usize, Errno> {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    rustix::event::poll(descriptors, Some(&timeout))
}
