//! A hub's place in the file system: a socket that only those may open who may connect, and a lock beside it by which two hubs never
//! have the same.
//!
//! The lock file is never the place to connect to and says nothing by its being there: only the lock on it counts, which the kernel
//! gives up with the process. A socket that was left behind is taken over by whoever has the lock, where nobody answers on it.

mod lock;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;

use self::lock::Lock;
use crate::limit::remedy;
use crate::share::endpoint::PATH_BYTES_MAX;
use crate::unpoisoned::unpoisoned;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Why there is no hub at a path.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    /// The kernel has no room for it.
    #[error(
        "the path {} has {} bytes, and that of a Unix socket at most {PATH_BYTES_MAX}; choose a shorter one", .0.display(), .0.as_os_str().len()
    )]
    PathTooLong(PathBuf),
    /// Another hub shares its streams there.
    #[error("another process shares its streams at {}; stop it or share at another path", .0.display())]
    InUse(PathBuf),
    /// Somebody listens there, and more wait to be let in than there is room for.
    #[error(
        "a program listens at {}, and {BACKLOG} wait for it to let them in already; see whether it is stopped or overloaded", .0.display()
    )]
    Busy(PathBuf),
    /// There is something that no hub has left there.
    #[error("{} is there and is no socket; it is left alone: share at another path", .0.display())]
    NotASocket(PathBuf),
    /// What system calls take for no group at all, so that the socket would be open to the process's own.
    #[error("{} is the number of no group; share with one that there is, or with none", u32::MAX)]
    NoGroup,
    /// The folder is not one that only this user writes to.
    #[error(
        "the folder {} belongs to user {owner} and its mode is {mode:o}, so that others could take the hub's place; {}", folder.display(), closed(*owner)
    )]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Its mode, without its type.
        mode: u32,
    },
    /// The system refuses something.
    #[error("cannot {what} {}: {source}; {}", path.display(), help(what, path, source))]
    System {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

const MAKE_A_SOCKET: &str = "make a socket for";
const CONNECT: &str = "connect to";

/// What helps where a folder is open to others.
fn closed(owner: u32) -> &'static str {
    if owner == rustix::process::geteuid().as_raw() {
        "close it (chmod 0700), or share at a path in another folder of your own"
    } else {
        "share at a path in a folder of your own"
    }
}

/// What helps where the system refuses something.
fn help(what: &str, path: &Path, source: &io::Error) -> String {
    if let Some(remedy) = remedy(source) {
        return remedy.to_owned();
    }
    let missing =
        || path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()).last();
    match (what, source.kind()) {
        (MAKE_A_SOCKET, _) => "allow Unix sockets in the filter of the sandbox or container".to_owned(),
        (CONNECT, io::ErrorKind::PermissionDenied) => {
            "run as the user who shares there, or have it share with a group of yours (--share-group)".to_owned()
        }
        (CONNECT, _) => "see which program listens there".to_owned(),
        (_, io::ErrorKind::NotFound) if let Some(folder) = missing() => {
            format!("there is no folder {}: make it, or share at another path", folder.display())
        }
        _ => "share at a path that this user may write to".to_owned(),
    }
}

/// What a Unix socket's path is to the kernel.
///
/// # Errors
/// [`ListenError::PathTooLong`], or a path with a byte of zero in it.
pub(crate) fn address(path: &Path) -> Result<SocketAddrUnix, ListenError> {
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(ListenError::PathTooLong(path.to_owned()));
    }
    SocketAddrUnix::new(path).map_err(refused("use the path", path))
}

/// Connects to the hub at a path, without waiting; neither does the socket wait.
///
/// # Errors
/// [`ListenError::PathTooLong`]; [`ListenError::System`] with `ConnectionRefused` or `NotFound` where no hub is there, and
/// [`ListenError::Busy`] where one is for which more wait than it has room for.
pub(crate) fn connect(path: &Path) -> Result<OwnedFd, ListenError> {
    let address = address(path)?;
    let socket = socket().map_err(refused(MAKE_A_SOCKET, path))?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok(socket),
        // Full, and so there: nobody's to be taken for dead.
        Err(Errno::AGAIN) => Err(ListenError::Busy(path.to_owned())),
        Err(error) => Err(refused(CONNECT, path)(error)),
    }
}

fn socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

fn refused(what: &'static str, path: &Path) -> impl FnOnce(Errno) -> ListenError {
    move |source| ListenError::System { what, path: path.to_owned(), source: source.into() }
}

/// Where a hub is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The socket's path.
    pub(crate) path: &'a Path,
    /// Whether nobody named it: its folder is then made, for this user alone, and taken only where it is so.
    pub(crate) is_default: bool,
    /// A group whose members may connect too.
    pub(crate) group: Option<u32>,
}

/// A socket that listens. Dropping it takes away what it put there, if that is still there.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: OwnedFd,
    names: Names,
    refuses_descriptors: bool,
    /// Given up last.
    _lock: Lock,
}

impl Listening {
    /// Listens at a place. Nobody has connected before permissions are what they are to be.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub(crate) fn bind(place: Place<'_>) -> Result<Self, ListenError> {
        let Place { path, is_default, group } = place;
        let address = address(path)?;
        if group == Some(u32::MAX) {
            return Err(ListenError::NoGroup);
        }
        if is_default && let Some(folder) = path.parent() {
            make_folder(folder, group)?;
        }
        // Beside what is nobody's socket, not even a lock is made.
        look(path)?;
        let lock = Lock::take(path)?;
        remove_stale(path)?;
        let socket = socket().map_err(refused(MAKE_A_SOCKET, path))?;
        // The file that binding makes has this mode, less what the process's mask takes away.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(refused("set the mode of", path))?;
        rustix::net::bind(&socket, &address).map_err(|error| match error {
            Errno::ADDRINUSE => ListenError::InUse(path.to_owned()),
            error => refused("make the socket", path)(error),
        })?;
        let stat = rustix::fs::lstat(path).map_err(refused("look at", path))?;
        let mut listening =
            Self { socket, names: Names::of(path, &stat, &lock), refuses_descriptors: false, _lock: lock };
        let mode = Mode::RUSR | Mode::WUSR;
        let mode = match group {
            None => mode,
            Some(group) => {
                rustix::fs::chownat(CWD, path, None, Some(Gid::from_raw(group)), AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(refused("give the group", path))?;
                mode | Mode::RGRP | Mode::WGRP
            }
        };
        rustix::fs::chmod(path, mode).map_err(refused("set the mode of", path))?;
        // Who connects has the same refused, from its first message on.
        listening.refuses_descriptors = refuse_descriptors(&listening.socket);
        // Only from here on does anybody get a connection.
        rustix::net::listen(&listening.socket, BACKLOG).map_err(refused("listen at", path))?;
        Ok(listening)
    }

    /// The next connection, which does not wait; `None` where nobody has come.
    ///
    /// # Errors
    /// The process or the system is short of descriptors or memory.
    pub(crate) fn accept(&self) -> io::Result<Option<OwnedFd>> {
        match rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(connection) => {
                refuse_descriptors(&connection);
                Ok(Some(connection))
            }
            // Whoever gave up meanwhile is not there any more.
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What it put there, for whoever has it taken away before this is dropped.
    pub(crate) fn names(&self) -> Names {
        self.names.clone()
    }

    /// Whether the kernel lets nobody pass descriptors to who is accepted here.
    pub(crate) fn refuses_descriptors(&self) -> bool {
        self.refuses_descriptors
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // Before anything is closed.
        self.names.take_away();
    }
}

/// A file's path, and its device and number, so that nobody else's is taken away.
type Put = (PathBuf, Option<(u64, u64)>);

/// What a hub put into a folder: its socket, and the lock file beside it. As long as it has both open, no other file has their numbers:
/// whoever is the first to take them away does so before they are closed, and nobody later.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    files: Arc<Mutex<Option<[Put; 2]>>>,
}

impl Names {
    fn of(path: &Path, socket: &Stat, lock: &Lock) -> Self {
        let locked = rustix::fs::fstat(&lock.file).ok().map(|stat| identity(&stat));
        let files = [(path.to_owned(), Some(identity(socket))), (lock.path.clone(), locked)];
        Self { files: Arc::new(Mutex::new(Some(files))) }
    }

    /// Takes away those that are still there, once; the lock last, so that nobody finds a socket that is about to go.
    pub(crate) fn take_away(&self) {
        // Until they are gone: whoever is second may close them.
        let mut files = unpoisoned(self.files.lock());
        for (path, bound) in files.take().into_iter().flatten() {
            if rustix::fs::lstat(&path).is_ok_and(|stat| Some(identity(&stat)) == bound) {
                let _gone = rustix::fs::unlink(path);
            }
        }
    }
}

/// Has the kernel refuse descriptors that the other end wants to pass (EPERM), where it can (Linux 6.16): nobody has any to pass to a hub,
/// and some take seconds to close. Whoever receives here still [gives those that came to another thread](super::packet::receive_with).
fn refuse_descriptors(socket: impl AsFd) -> bool {
    /// Not in `libc` yet.
    const SO_PASSRIGHTS: libc::c_int = 83;
    let no: libc::c_int = 0;
    let bytes = size_of_val(&no) as libc::socklen_t;
    // SAFETY: the descriptor is open while it is borrowed; the kernel reads so many bytes of an int.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), libc::SOL_SOCKET, SO_PASSRIGHTS, (&raw const no).cast(), bytes)
    };
    if result != 0 {
        let error = io::Error::last_os_error();
        tracing::debug!(%error, "who connects may pass descriptors; those that come are closed by a thread of their own");
    }
    result == 0
}

fn identity(stat: &Stat) -> (u64, u64) {
    // The fields' types differ between machines.
    #[allow(clippy::unnecessary_cast, reason = "not the same type everywhere")]
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// Makes the folder of a default place where it is missing, and sees that nobody else can put a socket there.
fn make_folder(folder: &Path, group: Option<u32>) -> Result<(), ListenError> {
    match rustix::fs::mkdir(folder, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(refused("make the folder", folder)(error)),
    }
    let found = rustix::fs::lstat(folder).map_err(refused("look at the folder", folder))?;
    let mode = Mode::from_raw_mode(found.st_mode);
    // What the process's mask has taken away from a folder of this user's own. Nobody else can put another in its place.
    let is_own = found.st_uid == rustix::process::geteuid().as_raw();
    if is_own && FileType::from_raw_mode(found.st_mode) == FileType::Directory && !mode.contains(Mode::RWXU) {
        rustix::fs::chmod(folder, Mode::from_raw_mode(found.st_mode & 0o7777) | Mode::RWXU)
            .map_err(refused("set the mode of", folder))?;
    }
    let opened = rustix::fs::open(folder, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(refused("open the folder", folder))?;
    let stat = rustix::fs::fstat(&opened).map_err(refused("look at the folder", folder))?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    if stat.st_uid != rustix::process::geteuid().as_raw() || mode.intersects(Mode::WGRP | Mode::WOTH) {
        let (owner, mode) = (stat.st_uid, mode.as_raw_mode() & 0o7777);
        return Err(ListenError::Folder { folder: folder.to_owned(), owner, mode });
    }
    if let Some(group) = group {
        // Its members get at the sockets in it by their names, and see none of these.
        rustix::fs::fchown(&opened, None, Some(Gid::from_raw(group))).map_err(refused("give the group", folder))?;
        rustix::fs::fchmod(&opened, Mode::RWXU | Mode::XGRP).map_err(refused("set the mode of", folder))?;
    }
    Ok(())
}

/// Whether a socket is there.
///
/// # Errors
/// [`ListenError::NotASocket`].
fn look(path: &Path) -> Result<bool, ListenError> {
    match rustix::fs::lstat(path) {
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(refused("look at", path)(error)),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => Ok(true),
        Ok(_) => Err(ListenError::NotASocket(path.to_owned())),
    }
}

/// Removes a socket on which nobody answers. Whoever calls has the lock.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    if !look(path)? {
        return Ok(());
    }
    match connect(path) {
        Err(ListenError::System { source, .. }) if source.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(ListenError::System { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Somebody answers, is too busy to, or is of another kind or user.
        _ => return Err(ListenError::InUse(path.to_owned())),
    }
    tracing::info!(path = %path.display(), "nobody answers on a socket that was left behind; it is made anew");
    match rustix::fs::unlink(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(refused("remove the socket that was left behind at", path)(error)),
    }
}

#[cfg(test)]
mod tests;
