//! What a system lacks and is done without: said once, with what follows and what mends it.

use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering};

/// What is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    NoExec,
    PeerDescriptor,
    ProcessDescriptor,
    ReopenedFile,
    CoreDumps,
    HugePages,
    PopulateRead,
    PopulateWrite,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Somebody may be worse off than they think.
    Warned,
    /// Frames go as they would, or somewhat slower at first.
    Noted,
}

impl Lack {
    const fn told(self) -> (Weight, &'static str) {
        match self {
            Self::NoExec => (
                Weight::Noted,
                "memory files are made without saying that they are not to be executed, which Linux 6.3 and later let them say \
                 (MFD_NOEXEC_SEAL); nothing else needs it",
            ),
            Self::PeerDescriptor => (
                Weight::Noted,
                "processes at a socket are known by their numbers, since it gives no descriptor of them (SO_PEERPIDFD); Linux 6.5 and later \
                 do, where the filter of the sandbox or container allows it",
            ),
            Self::ProcessDescriptor => (
                Weight::Warned,
                "the system gives no descriptors of other processes: only their sockets tell of their end, which those keep open that they \
                 forked; allow the system call pidfd_open in the filter of the sandbox or container",
            ),
            Self::ReopenedFile => (
                Weight::Warned,
                "memory files are handed on as they were opened, and their seals alone keep them from being written to; mount /proc in the \
                 sandbox or container",
            ),
            Self::CoreDumps => (
                Weight::Warned,
                "frames will be in core dumps; allow madvise (MADV_DONTDUMP) in the filter of the sandbox or container, or make no core dumps \
                 (ulimit -c 0)",
            ),
            Self::HugePages => (
                Weight::Noted,
                "frames are in ordinary pages; huge ones need a kernel that has them (/sys/kernel/mm/transparent_hugepage), and madvise \
                 (MADV_HUGEPAGE) allowed",
            ),
            Self::PopulateRead => (
                Weight::Noted,
                "a frame's pages are mapped when it is first read; Linux 5.14 and later map them before, where madvise (MADV_POPULATE_READ) is \
                 allowed",
            ),
            Self::PopulateWrite => (
                Weight::Noted,
                "a pool's pages are provided one by one; Linux 5.14 and later provide them at once, where madvise (MADV_POPULATE_WRITE) is \
                 allowed",
            ),
        }
    }

    /// Says it, the first time that this process meets it.
    pub(crate) fn tell(self, error: &dyn Display) {
        static TOLD: AtomicU32 = AtomicU32::new(0);
        let bit = 1 << self as u32;
        // Looked at first: some are met with each frame.
        if TOLD.load(Ordering::Relaxed) & bit != 0 || TOLD.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return;
        }
        let (weight, text) = self.told();
        match weight {
            Weight::Warned => tracing::warn!(%error, "{text}"),
            Weight::Noted => tracing::info!(%error, "{text}"),
        }
    }
}
