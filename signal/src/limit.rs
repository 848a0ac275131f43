//! Which of the system's limits was reached, and how it is raised.

use std::io;

/// What to do about an error that a limit of this process, or of the system, stands behind.
pub(crate) fn remedy(error: &io::Error) -> Option<&'static str> {
    use rustix::io::Errno;
    match Errno::from_io_error(error)? {
        Errno::MFILE => Some("raise this process's limit of open files (ulimit -n, LimitNOFILE=)"),
        Errno::NFILE => Some("the whole system has too many files open: raise fs.file-max"),
        Errno::AGAIN => Some("raise the limit of processes and threads (ulimit -u, TasksMax=, pids.max)"),
        Errno::NOMEM | Errno::NOBUFS => Some("the system has no memory for it: free some"),
        _ => None,
    }
}

/// The same for a thread with its descriptors, which nothing but such a limit stands in the way of.
pub(crate) fn remedy_for_thread(error: &io::Error) -> &'static str {
    remedy(error).unwrap_or("check this process's limits of open files and of threads (ulimit -n, ulimit -u)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_named_by_what_raises_it() {
        use rustix::io::Errno;
        for (errno, names) in [
            (Errno::MFILE, "ulimit -n"),
            (Errno::NFILE, "fs.file-max"),
            (Errno::AGAIN, "ulimit -u"),
            (Errno::NOMEM, "memory"),
        ] {
            let said = remedy_for_thread(&errno.into());
            assert!(said.contains(names), "{errno}: {said}");
        }
        assert_eq!(remedy(&Errno::CONNREFUSED.into()), None);
    }
}
