//! The lock beside a socket, by which two hubs never have the same path.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::{ListenError, identity, refused};

/// The right to a socket's path, held as a lock on the file beside it.
#[derive(Debug)]
pub(super) struct Lock {
    pub(super) path: PathBuf,
    pub(super) file: OwnedFd,
}

impl Lock {
    pub(super) fn take(socket: &Path) -> Result<Self, ListenError> {
        /// Whoever had it may take the file away just when it is opened; not more often than this.
        const TRIES: usize = 16;
        let mut name = OsString::from(socket);
        name.push(".lock");
        let path = PathBuf::from(name);
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        for _ in 0..TRIES {
            let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
                .map_err(refused("make the lock file", &path))?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::AGAIN) => return Err(ListenError::InUse(socket.to_owned())),
                Err(Errno::INTR) => continue,
                locked => locked.map_err(refused("lock", &path))?,
            }
            let lock = Self { path: path.clone(), file };
            // A lock on a file that has no name any more, or whose name is another's, keeps nobody away.
            if lock.is_in_place() {
                // Whatever the process's mask took away: whoever comes next has to open it.
                if let Err(error) = rustix::fs::fchmod(&lock.file, Mode::RUSR | Mode::WUSR) {
                    tracing::debug!(%error, "the lock file is another user's, and keeps its mode");
                }
                return Ok(lock);
            }
        }
        Err(ListenError::InUse(socket.to_owned()))
    }

    /// Whether the file that is locked is the one that others find.
    pub(super) fn is_in_place(&self) -> bool {
        let there = rustix::fs::lstat(&self.path);
        rustix::fs::fstat(&self.file).is_ok_and(|here| there.is_ok_and(|there| identity(&there) == identity(&here)))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked: whoever opens it from now on opens another one. That of another hub, or what somebody else put there, stays.
        if self.is_in_place() {
            let _gone = rustix::fs::unlink(&self.path);
        }
    }
}
