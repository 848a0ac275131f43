//! The pages behind a pool: on Linux one sealed memfd, so that other processes can be handed the same memory later.

use std::io;

use memmap2::{Advice, MmapMut, MmapOptions};

/// One mapping, prefaulted, that never moves or shrinks while it lives.
pub(super) struct Memory {
    map: MmapMut,
    #[cfg(target_os = "linux")]
    file: std::fs::File,
}

impl Memory {
    pub(super) fn new(bytes: usize) -> io::Result<Self> {
        let mut memory = Self::map(bytes)?;
        // Huge pages save TLB misses; a kernel that has none for this mapping serves ordinary ones.
        #[cfg(target_os = "linux")]
        if let Err(error) = memory.map.advise(Advice::HugePage) {
            tracing::debug!(%error, "no huge pages for the frame pool; ordinary pages serve");
        }
        memory.prefault();
        Ok(memory)
    }

    #[cfg(target_os = "linux")]
    fn map(bytes: usize) -> io::Result<Self> {
        use rustix::fs::{MemfdFlags, SealFlags};

        let fd = rustix::fs::memfd_create("framewire-pool", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        rustix::fs::ftruncate(&fd, bytes as u64)?;
        // The size is final: no process that is handed the descriptor can shrink it under us (SIGBUS).
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let file = std::fs::File::from(fd);
        // SAFETY: the memfd is ours alone, its size is sealed, and nothing else maps it; bytes in it are only
        // reached through leases, which give either one writer or any number of readers.
        let map = unsafe { MmapOptions::new().len(bytes).map_mut(&file) }?;
        Ok(Self { map, file })
    }

    #[cfg(not(target_os = "linux"))]
    fn map(bytes: usize) -> io::Result<Self> {
        Ok(Self { map: MmapOptions::new().len(bytes).map_anon()? })
    }

    /// Makes the kernel provide every page now, so that no frame pays for it.
    fn prefault(&mut self) {
        #[cfg(target_os = "linux")]
        if self.map.advise(Advice::PopulateWrite).is_ok() {
            return;
        }
        // Before Linux 5.14, and elsewhere: touch each page.
        for page in self.map.chunks_mut(PAGE_BYTES) {
            page[0] = 0;
        }
    }

    pub(super) fn as_ptr(&self) -> *mut u8 {
        self.map.as_ptr().cast_mut()
    }

    #[cfg(target_os = "linux")]
    pub(super) fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.file)
    }
}

/// The smallest page any supported machine has; slots start on its multiples.
pub(super) const PAGE_BYTES: usize = 4096;
