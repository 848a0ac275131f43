//! A descriptor that tells of frames, for programs that wait for several things at once.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, MutexGuard};

/// Readable while a consumer has a frame to take, or the end of the stream to learn of: for `poll`, `select`, `epoll` and what is
/// built on it, such as tokio's `AsyncFd`. From [`Consumer::readiness`](super::Consumer::readiness); clones are the same descriptor,
/// which is closed when the consumer and all of them are dropped. [`Receiver::readiness`](crate::Receiver::readiness) is one for streams to accept.
///
/// It is level-triggered, and only to be waited for: whoever reads from it or writes to it takes its meaning away. Once it is
/// readable, call [`Consumer::try_recv`](super::Consumer::try_recv) until that returns
/// [`RecvError::Timeout`](super::RecvError::Timeout); an edge-triggered wait is then right too. It may be readable without a frame,
/// once, where another thread has taken it; `try_recv` then says so. After the end it stays readable. That a consumer holds every slot
/// is not told by it, but by `try_recv`. The example `async_tokio` waits for frames with it.
#[derive(Debug, Clone)]
pub struct Readiness {
    event: Arc<Event>,
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.reader().as_fd()
    }
}

impl AsRawFd for Readiness {
    fn as_raw_fd(&self) -> RawFd {
        self.event.reader().as_raw_fd()
    }
}

impl Readiness {
    fn new() -> io::Result<Self> {
        Ok(Self { event: Arc::new(Event::new()?) })
    }

    /// Makes it readable.
    pub(crate) fn raise(&self) {
        // Full means that it is readable.
        let _ = rustix::io::write(self.event.writer(), &1_u64.to_ne_bytes());
    }

    /// Makes it not readable.
    fn lower(&self) {
        // Empty means that it was not.
        let _ = rustix::io::read(self.event.reader(), &mut [0; 64]);
    }
}

/// One descriptor on Linux, two ends elsewhere. Neither blocks.
#[derive(Debug)]
struct Event {
    reader: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    writer: OwnedFd,
}

#[cfg(target_os = "linux")]
impl Event {
    fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Self { reader: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    fn writer(&self) -> &OwnedFd {
        &self.reader
    }
}

#[cfg(not(target_os = "linux"))]
impl Event {
    fn new() -> io::Result<Self> {
        let (reader, writer) = std::os::unix::net::UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        Ok(Self { reader: reader.into(), writer: writer.into() })
    }

    fn writer(&self) -> &OwnedFd {
        &self.writer
    }
}

impl Event {
    fn reader(&self) -> &OwnedFd {
        &self.reader
    }
}

/// What can be taken from behind a lock, and the descriptor that tells of it.
pub(crate) trait Tells {
    /// There is something to take, or the end to learn of.
    fn has_something(&self) -> bool;

    /// What is known of the descriptor.
    fn raised(&mut self) -> &mut Raised;
}

/// The descriptor of what is behind a lock, as it is to be at this moment.
///
/// # Errors
/// The system has no descriptor left.
pub(crate) fn descriptor<T: Tells>(mut state: MutexGuard<'_, T>) -> io::Result<Readiness> {
    let readiness = state.raised().readiness()?;
    let raise = if state.has_something() { state.raised().raise() } else { None };
    drop(state);
    if let Some(readiness) = raise {
        readiness.raise();
    }
    Ok(readiness)
}

/// Gives a lock back after something was taken, and has the descriptor say whether there is more. One that nobody has asked for costs nothing.
pub(crate) fn tell<'a, T: Tells>(mut state: MutexGuard<'a, T>, lock: impl FnOnce() -> MutexGuard<'a, T>) {
    if state.has_something() {
        return;
    }
    let Some(readiness) = state.raised().lower() else { return };
    drop(state);
    readiness.lower();
    // What has come since then may have raised it before it was lowered.
    let mut state = lock();
    let again = if state.has_something() { state.raised().raise_again() } else { None };
    drop(state);
    if let Some(readiness) = again {
        readiness.raise();
    }
}

/// What is known of a descriptor: whether there is one, and whether it has been raised since it was lowered.
#[derive(Default)]
pub(crate) struct Raised {
    readiness: Option<Readiness>,
    raised: bool,
}

impl Raised {
    /// The descriptor, made when it is first asked for.
    fn readiness(&mut self) -> io::Result<Readiness> {
        let readiness = match self.readiness.take() {
            Some(readiness) => readiness,
            None => Readiness::new()?,
        };
        Ok(self.readiness.insert(readiness).clone())
    }

    /// There is something to take: the descriptor to raise, once the lock is given back, where it is not raised yet.
    pub(crate) fn raise(&mut self) -> Option<Readiness> {
        if self.raised {
            return None;
        }
        let readiness = self.readiness.clone();
        self.raised = readiness.is_some();
        readiness
    }

    /// There is nothing to take: the descriptor to lower, once the lock is given back. Then it is to be looked again whether there is
    /// something by now, whose raising may have been undone.
    fn lower(&mut self) -> Option<Readiness> {
        self.raised = false;
        self.readiness.clone()
    }

    /// As [`Raised::raise`], whatever was done before.
    fn raise_again(&mut self) -> Option<Readiness> {
        self.raised = false;
        self.raise()
    }
}
