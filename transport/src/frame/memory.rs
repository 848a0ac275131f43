//! The pages behind a pool: on Linux one sealed memfd, so that other processes can be handed the same memory.
//!
//! No reference to the mapping is ever made here, only pointers: others hold references into it, and the kernel writes to it.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, OwnedFd};
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(target_os = "linux")]
use memmap2::Advice;
use memmap2::{MmapOptions, MmapRaw};

#[cfg(target_os = "linux")]
use super::memfd::{self, Right, Unsealable};
#[cfg(target_os = "linux")]
use crate::lack::Lack;

/// One mapping that never moves or shrinks while it lives. Its pages are there after [`Memory::provide`].
pub(super) struct Memory {
    map: MmapRaw,
    #[cfg(target_os = "linux")]
    file: OwnedFd,
    /// The same, [opened](Self::for_readers) to read alone.
    #[cfg(target_os = "linux")]
    for_readers: OnceLock<OwnedFd>,
    /// Nobody but those who have it mapped by now writes to the pages any more.
    #[cfg(target_os = "linux")]
    is_sealed: AtomicBool,
}

/// Why there are no pages.
#[derive(Debug)]
pub(super) enum NoMemory {
    /// The system, or the filter of a sandbox, lets this process make no memory file.
    #[cfg(target_os = "linux")]
    FilesRefused(io::Error),
    /// It has no memory, or the process no descriptor.
    Short(io::Error),
}

impl From<io::Error> for NoMemory {
    fn from(error: io::Error) -> Self {
        Self::Short(error)
    }
}

impl NoMemory {
    /// What a system call that makes a memory file failed with: not for want of anything, where none is named.
    #[cfg(target_os = "linux")]
    fn of_file(error: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        match error {
            Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::INVAL => Self::FilesRefused(error.into()),
            _ => Self::Short(error.into()),
        }
    }
}

impl Memory {
    /// Maps so many bytes, all zeroes. No page is taken before it is touched or provided.
    pub(super) fn new(bytes: usize) -> Result<Self, NoMemory> {
        let memory = Self::map(bytes)?;
        // Huge pages save TLB misses; a kernel that has none for this mapping serves ordinary ones.
        #[cfg(target_os = "linux")]
        if let Err(error) = memory.map.advise(Advice::HugePage) {
            Lack::HugePages.tell(&error);
        }
        #[cfg(target_os = "linux")]
        memory.keep_out_of_core_dumps();
        Ok(memory)
    }

    #[cfg(target_os = "linux")]
    fn map(bytes: usize) -> Result<Self, NoMemory> {
        let file = memfd::create("framewire-pool", bytes).map_err(NoMemory::of_file)?;
        let map = MmapOptions::new().len(bytes).map_raw(&file)?;
        Ok(Self { map, file, for_readers: OnceLock::new(), is_sealed: AtomicBool::new(false) })
    }

    /// Maps a pool of another process, which has been [checked](memfd::check).
    #[cfg(target_os = "linux")]
    pub(super) fn foreign(file: OwnedFd, bytes: usize, right: Right) -> io::Result<Self> {
        let options = {
            let mut options = MmapOptions::new();
            options.len(bytes);
            options
        };
        let map = match right {
            Right::Read => options.map_raw_read_only(&file)?,
            Right::Write => options.map_raw(&file)?,
        };
        let is_sealed = AtomicBool::new(right == Right::Read);
        let memory = Self { map, file, for_readers: OnceLock::new(), is_sealed };
        memory.keep_out_of_core_dumps();
        Ok(memory)
    }

    /// Frames are many and large, and may show what is nobody's business.
    #[cfg(target_os = "linux")]
    fn keep_out_of_core_dumps(&self) {
        if let Err(error) = self.map.advise(Advice::DontDump) {
            Lack::CoreDumps.tell(&error);
        }
    }

    /// From here on, whoever is handed the descriptor can read and no more; those who have it mapped to write go on.
    ///
    /// # Errors
    /// It is handed to nobody, then: the system has no such seal, or whoever has it already has sealed it against all seals.
    #[cfg(target_os = "linux")]
    pub(super) fn seal(&self) -> Result<(), Unsealable> {
        memfd::seal_writes(self.file.as_fd())?;
        self.is_sealed.store(true, Ordering::Release);
        Ok(())
    }

    /// Has the kernel map the pages from `from` on that are there already, so that no first look at a frame pays for it.
    #[cfg(target_os = "linux")]
    pub(super) fn populate_read(&self, from: usize, bytes: usize) {
        let end = from.saturating_add(bytes).min(self.map.len());
        if from < end
            && let Err(error) = self.map.advise_range(Advice::PopulateRead, from, end - from)
        {
            Lack::PopulateRead.tell(&error);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn map(bytes: usize) -> Result<Self, NoMemory> {
        Ok(Self { map: MmapOptions::new().len(bytes).map_anon()?.into() })
    }

    /// Makes the kernel provide `bytes` bytes of pages from `from` on, as far as there are so many, so that no frame pays
    /// for them. What is in them stays. Only before anybody has a slot.
    ///
    /// # Errors
    /// The system has no memory.
    pub(super) fn provide(&self, from: usize, bytes: usize) -> io::Result<()> {
        let end = from.saturating_add(bytes).min(self.map.len());
        if from >= end {
            return Ok(());
        }
        #[cfg(target_os = "linux")]
        match self.map.advise_range(Advice::PopulateWrite, from, end - from) {
            // Before Linux 5.14 there is no such advice.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Lack::PopulateWrite.tell(&error),
            provided => return provided,
        }
        for page in (from..end).step_by(PAGE_BYTES) {
            // SAFETY: `page` is below the mapping's length.
            let byte = unsafe { self.map.as_mut_ptr().add(page) };
            // SAFETY: inside the mapping, whose pages are zero where nothing was written to them.
            let value = unsafe { byte.read_volatile() };
            // SAFETY: inside the mapping; nobody has a slot of a pool whose pages are still to be provided.
            unsafe { byte.write_volatile(value) };
        }
        Ok(())
    }

    pub(super) fn as_ptr(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    /// The memfd, where it is sealed.
    #[cfg(target_os = "linux")]
    pub(super) fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.is_sealed.load(Ordering::Acquire).then(|| self.file.as_fd())
    }

    /// The memfd as a stranger is handed it: open to read alone. It is opened once, before anybody else has it, and handed on as it is from
    /// then on: whoever has it can change its mode, so that it could not be opened again.
    ///
    /// # Errors
    /// The process has no descriptor left.
    #[cfg(target_os = "linux")]
    pub(super) fn for_readers(&self) -> io::Result<OwnedFd> {
        let opened = match self.for_readers.get() {
            Some(opened) => opened,
            None => {
                let opened = memfd::read_only(self.file.as_fd())?;
                self.for_readers.get_or_init(|| opened)
            }
        };
        opened.try_clone()
    }

    /// The memfd as it was made, which whoever is handed it can map to write until it is sealed.
    #[cfg(target_os = "linux")]
    pub(super) fn writable_descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The smallest page any supported machine has; slots start on its multiples.
pub(super) const PAGE_BYTES: usize = 4096;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_system_that_refuses_memory_files_is_told_from_one_that_has_no_memory() {
        // What filters of system calls answer with.
        for refused in [Errno::PERM, Errno::ACCESS, Errno::NOSYS, Errno::INVAL] {
            assert!(matches!(NoMemory::of_file(refused), NoMemory::FilesRefused(_)), "{refused}");
        }
        for short in [Errno::NOMEM, Errno::MFILE, Errno::NFILE] {
            assert!(matches!(NoMemory::of_file(short), NoMemory::Short(_)), "{short}");
        }
    }

    #[test]
    fn no_frame_is_in_a_core_dump() {
        let memory = Memory::new(64 << 10).unwrap();
        let address = format!("{:x}-", memory.as_ptr() as usize);
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mapping = maps.lines().skip_while(|line| !line.starts_with(&address));
        let flags = mapping.into_iter().find_map(|line| line.strip_prefix("VmFlags:")).expect("the mapping");
        assert!(flags.split_whitespace().any(|flag| flag == "dd"), "{flags}");
    }
}
