//! Who is at the other end of a Unix socket: the credentials that the kernel noted when it connected, and a descriptor of its process,
//! which becomes readable when that ends.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use libc::{SO_PEERCRED, SO_PEERGROUPS, SO_PEERPIDFD, SOL_SOCKET, c_int, c_void, gid_t, socklen_t, ucred};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::lack::Lack;

/// The process that connected. Its number may be another process's by the time it is shown; what is acted on is the descriptor.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its number, 0 where that is in a process namespace that this one does not see.
    pub(crate) pid: u32,
    /// Its effective user when it connected.
    pub(crate) uid: u32,
    /// Its effective group when it connected.
    pub(crate) gid: u32,
    /// Readable when the process has ended. `None` where the system gives none: then only the socket tells.
    pub(crate) pidfd: Option<OwnedFd>,
}

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// The user that this process runs as; root may always.
    uid: u32,
    /// A group whose members may too.
    group: Option<u32>,
}

impl Allowed {
    /// This process's own user, root, and the members of `group`.
    pub(crate) fn own_and(group: Option<u32>) -> Self {
        Self { uid: rustix::process::geteuid().as_raw(), group }
    }

    /// Whether a process with these credentials may; `is_member` says whether it is in a group besides its first one.
    fn lets(self, uid: u32, gid: u32, is_member: impl FnOnce(u32) -> bool) -> bool {
        uid == self.uid || uid == 0 || self.group.is_some_and(|group| gid == group || is_member(group))
    }
}

impl Peer {
    /// The process at the other end. `None` where it has ended by now.
    ///
    /// # Errors
    /// The socket is no connected Unix socket, or the process has no descriptor left.
    pub(crate) fn of(socket: impl AsFd) -> io::Result<Option<Self>> {
        let ucred { pid, uid, gid } = credentials(&socket)?;
        let pidfd = match pidfd(&socket, pid) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Self { pid: u32::try_from(pid).unwrap_or(0), uid, gid, pidfd }))
    }

    /// Whether this process may be here.
    pub(crate) fn is_allowed(&self, socket: impl AsFd, allowed: Allowed) -> bool {
        allowed.lets(self.uid, self.gid, |group| groups(socket).is_ok_and(|groups| groups.contains(&group)))
    }

    /// Whether it runs as the same user as this process.
    pub(crate) fn is_own_user(&self) -> bool {
        self.uid == rustix::process::geteuid().as_raw()
    }
}

/// The number of the process at the other end; `None` where that is in a process namespace that this one does not see.
///
/// # Errors
/// The socket is no Unix socket.
pub(crate) fn pid(socket: impl AsFd) -> io::Result<Option<u32>> {
    Ok(u32::try_from(credentials(socket)?.pid).ok().filter(|pid| *pid != 0))
}

fn credentials(socket: impl AsFd) -> io::Result<ucred> {
    let mut credentials = ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let bytes = size_of::<ucred>();
    // SAFETY: the pointer is to `bytes` writable bytes of a C struct of integers, for which every value is one.
    let got = unsafe { option(socket, SO_PEERCRED, (&raw mut credentials).cast(), bytes) }?;
    if got != bytes {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(credentials)
}

/// The process's descriptor from the socket itself (Linux 6.5), which cannot be another process's; else by its number, which is right as
/// long as the socket is open at the other end: whoever looks at both learns of the end by one of them.
///
/// # Errors
/// The process has ended (`ESRCH`), or this one has no descriptor left.
fn pidfd(socket: impl AsFd, pid: i32) -> Result<Option<OwnedFd>, Errno> {
    let mut fd: c_int = -1;
    // SAFETY: the pointer is to the four writable bytes of an int.
    let lack = match unsafe { option(&socket, SO_PEERPIDFD, (&raw mut fd).cast(), size_of::<c_int>()) } {
        // SAFETY: the kernel has just opened it for this call, and nobody else has it.
        Ok(_) if fd >= 0 => return Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) })),
        Ok(_) => Errno::NOPROTOOPT,
        Err(error) => match Errno::from_io_error(&error) {
            // Without it, a process that was forked from the other one would keep all that is leased to that.
            Some(error @ (Errno::SRCH | Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => return Err(error),
            lack => lack.unwrap_or(Errno::NOPROTOOPT),
        },
    };
    let Some(pid) = Pid::from_raw(pid) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => {
            // Only here: kernels before 6.16 say EINVAL of a process that has been waited for, which then has no number either.
            Lack::PeerDescriptor.tell(&lack);
            Ok(Some(pidfd))
        }
        Err(error @ (Errno::SRCH | Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(error),
        Err(error) => {
            Lack::ProcessDescriptor.tell(&error);
            Ok(None)
        }
    }
}

/// The groups that the process was in besides its first when it connected.
fn groups(socket: impl AsFd) -> io::Result<Vec<gid_t>> {
    /// No process is in more (NGROUPS_MAX).
    const GROUPS_MAX: usize = 65_536;
    let mut groups = vec![0; 32];
    loop {
        let bytes = size_of::<gid_t>() * groups.len();
        // SAFETY: the pointer is to so many writable bytes of integers.
        match unsafe { option(&socket, SO_PEERGROUPS, groups.as_mut_ptr().cast(), bytes) } {
            Ok(got) => {
                groups.truncate(got / size_of::<gid_t>());
                return Ok(groups);
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) && groups.len() < GROUPS_MAX => {
                groups.resize(groups.len() * 8, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// `getsockopt` at the level of sockets; how many bytes it wrote.
///
/// # Safety
/// `value` is valid for writes of `bytes` bytes, and any bytes may be there.
unsafe fn option(socket: impl AsFd, name: c_int, value: *mut c_void, bytes: usize) -> io::Result<usize> {
    let mut len = socklen_t::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open while it is borrowed; the kernel writes at most `len` bytes to `value`, which is valid for as many.
    let result = unsafe { libc::getsockopt(socket, SOL_SOCKET, name, value, &raw mut len) };
    if result == 0 { Ok(len as usize) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    #[test]
    fn the_kernel_says_who_is_there() {
        let (here, _there) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let peer = Peer::of(&here).unwrap().unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert_eq!(peer.gid, rustix::process::getegid().as_raw());
        assert!(peer.is_own_user() && peer.is_allowed(&here, Allowed::own_and(None)));
        groups(&here).unwrap();
        let pidfd = peer.pidfd.unwrap();
        assert!(rustix::io::fcntl_getfd(&pidfd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        assert_eq!(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&now)).unwrap(), 0, "this process lives");
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(!Peer::of(&nobody).unwrap().unwrap().is_allowed(&nobody, Allowed::own_and(None)));
    }

    #[test]
    fn the_descriptor_of_a_process_tells_of_its_end_and_one_that_has_ended_has_none() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let (other, _there) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // A UDP socket has no peer process, as kernels before 6.5 say of every socket: it is found by its number.
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let pidfd_by_number = pidfd(&udp, pid).unwrap().unwrap();
        assert!(pidfd(&other, 0).is_ok());
        child.kill().unwrap();
        assert_eq!(poll(&mut [PollFd::new(&pidfd_by_number, PollFlags::IN)], None).unwrap(), 1);
        child.wait().unwrap();
        assert_eq!(pidfd(&udp, pid).unwrap_err(), Errno::SRCH);
        assert!(pidfd(&udp, 0).unwrap().is_none(), "a process of a namespace that is not seen here");
    }

    #[test]
    fn the_own_user_root_and_the_members_of_the_group_may_connect_and_no_others() {
        let own = Allowed { uid: 1000, group: None };
        let shared = Allowed { uid: 1000, group: Some(44) };
        let in_44 = |group| group == 44;
        assert!(own.lets(1000, 7, |_| false) && own.lets(0, 0, |_| false));
        assert!(!own.lets(1001, 1000, in_44) && !own.lets(1001, 0, in_44));
        assert!(shared.lets(1001, 44, |_| false) && shared.lets(1001, 7, in_44));
        assert!(!shared.lets(1001, 7, |_| false));
    }
}
