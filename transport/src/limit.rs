//! Which of the system's limits was reached, and how it is raised.

use std::io;

/// Why descriptors that another process sent do not arrive, and what to do. The system does not say which of the two it was.
pub(crate) const DESCRIPTORS_LOST: &str = "this process has as many files open as it may (raise its limit: ulimit -n, LimitNOFILE=), or a \
    security module forbids it to have them (SELinux, AppArmor: allow it)";

/// What to do about an error that a limit of open files stands behind.
pub(crate) fn remedy(error: &io::Error) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        match Errno::from_io_error(error)? {
            Errno::MFILE => Some("raise this process's limit of open files (ulimit -n, LimitNOFILE=)"),
            Errno::NFILE => Some("the whole system has too many files open: raise fs.file-max"),
            _ => None,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        None
    }
}

/// The same, where something is to be said in any case.
#[cfg(target_os = "linux")]
pub(crate) fn help(error: &io::Error) -> &'static str {
    remedy(error).unwrap_or("check this process's limits (ulimit -a), and the machine's memory")
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::io::Errno;

    use crate::driver::ConnectError;
    use crate::frame::PoolError;

    #[test]
    fn who_has_too_many_files_open_is_told_of_that_limit_and_not_of_the_network_or_memory() {
        let peer = "10.0.0.1:12345".parse().unwrap();
        for (errno, socket_says, pool_says) in [
            (Errno::MFILE, "ulimit -n", "ulimit -n"),
            (Errno::NFILE, "fs.file-max", "fs.file-max"),
            (Errno::NETUNREACH, "check the address and the network", "free memory"),
        ] {
            let socket = ConnectError::Socket { peer, source: errno.into() }.to_string();
            let pool = PoolError::Memory { slots: 8, slot_bytes: 1, source: errno.into() }.to_string();
            assert!(socket.contains(socket_says) && pool.contains(pool_says), "{socket}; {pool}");
            assert_eq!(socket.contains("network"), errno == Errno::NETUNREACH, "{socket}");
        }
    }
}
