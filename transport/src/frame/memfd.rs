//! Files that exist in memory alone and can be handed to other processes, sealed so that neither end can pull pages away from the other.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat};
use rustix::io::Errno;
use thiserror::Error;

use crate::lack::Lack;

/// Makes such a file, all zeroes, whose size is final: nobody who has it can shrink it under a mapping (SIGBUS), or make it grow.
pub(crate) fn create(name: &str, bytes: usize) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3 there is no such flag; from then on a system may demand it (`vm.memfd_noexec`).
        Err(error @ Errno::INVAL) => {
            let fd = rustix::fs::memfd_create(name, flags)?;
            Lack::NoExec.tell(&error);
            fd
        }
        made => made?,
    };
    rustix::fs::ftruncate(&fd, bytes as u64)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW)?;
    Ok(fd)
}

/// Why a file cannot be sealed against new writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unsealable {
    /// Whoever was handed it did that first.
    #[error(
        "whoever was handed the memory has sealed it against further seals (F_SEAL_SEAL) before its owner could; see what that process is"
    )]
    ByAnother,
    /// The system has no such seal, or a filter refuses it.
    #[error("the system cannot seal memory against writing ({0}; it takes Linux 5.1)")]
    System(Errno),
}

/// From here on nobody gets a new way to write to it, and no seal is added. Mappings that write go on writing.
///
/// # Errors
/// Linux before 5.1 has no such seal; somebody else has sealed it against all seals.
pub(crate) fn seal_writes(fd: BorrowedFd<'_>) -> Result<(), Unsealable> {
    let seals = SealFlags::FUTURE_WRITE | SealFlags::SEAL;
    match fcntl_add_seals(fd, seals) {
        Err(Errno::PERM) => match fcntl_get_seals(fd) {
            // It does not matter by whom.
            Ok(there) if there.contains(seals) => Ok(()),
            Ok(there) if there.contains(SealFlags::SEAL) => Err(Unsealable::ByAnother),
            _ => Err(Unsealable::System(Errno::PERM)),
        },
        sealed => sealed.map_err(Unsealable::System),
    }
}

/// The same file, opened to be read alone: what a stranger is handed. Some security modules judge a descriptor by how it was opened; the
/// seals alone keep who has it from writing. Where the system has no `/proc`, it is a descriptor as ours.
///
/// # Errors
/// The process has no descriptor left.
pub(crate) fn read_only(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(opened) => Ok(opened),
        Err(error @ (Errno::MFILE | Errno::NFILE)) => Err(error.into()),
        Err(error) => {
            Lack::ReopenedFile.tell(&error);
            fd.try_clone_to_owned()
        }
    }
}

/// What whoever is handed such a file may do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// Nobody gets a new way to write to it.
    Read,
    /// Both ends write to it.
    Write,
}

/// Why a file that was received is not mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unfit {
    #[error("it has {bytes} bytes where {expected} were told")]
    Size { bytes: u64, expected: u64 },
    #[error("it is not sealed against {0}, so that it could change under whoever reads it")]
    Unsealed(&'static str),
    #[error("it is no memory file ({0})")]
    NoMemoryFile(Errno),
}

/// Checks a file that was received, before it is mapped: once it has these seals, no access to a mapping of it can fail.
pub(crate) fn check(fd: BorrowedFd<'_>, bytes: usize, right: Right) -> Result<(), Unfit> {
    let seals = fcntl_get_seals(fd).map_err(Unfit::NoMemoryFile)?;
    let needed = [(SealFlags::SHRINK, "shrinking", true), (SealFlags::FUTURE_WRITE, "writing", right == Right::Read)];
    for (seal, against, is_needed) in needed {
        if is_needed && !seals.contains(seal) {
            return Err(Unfit::Unsealed(against));
        }
    }
    let found = fstat(fd).map_err(Unfit::NoMemoryFile)?.st_size.unsigned_abs();
    let expected = bytes as u64;
    if found == expected { Ok(()) } else { Err(Unfit::Size { bytes: found, expected }) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_file_is_fit_once_it_is_sealed_and_has_its_size() {
        let fd = create("test", 8192).unwrap();
        assert_eq!(check(fd.as_fd(), 8192, Right::Write), Ok(()));
        assert_eq!(check(fd.as_fd(), 8192, Right::Read), Err(Unfit::Unsealed("writing")));
        assert_eq!(check(fd.as_fd(), 4096, Right::Write), Err(Unfit::Size { bytes: 8192, expected: 4096 }));
        seal_writes(fd.as_fd()).unwrap();
        assert_eq!(check(fd.as_fd(), 8192, Right::Read), Ok(()));
        assert_eq!(fcntl_add_seals(&fd, SealFlags::WRITE), Err(Errno::PERM), "no seal follows");
        assert_eq!(seal_writes(fd.as_fd()), Ok(()), "it is sealed as it should be");
        let unsealed = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        assert_eq!(check(unsealed.as_fd(), 0, Right::Write), Err(Unfit::Unsealed("shrinking")));
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        assert!(matches!(check(reader.as_fd(), 0, Right::Read), Err(Unfit::NoMemoryFile(_))));
    }

    #[test]
    fn who_kept_a_file_from_being_sealed_is_said() {
        let fd = create("test", 4096).unwrap();
        fcntl_add_seals(&fd, SealFlags::SEAL).unwrap();
        let error = seal_writes(fd.as_fd()).unwrap_err();
        assert_eq!(error, Unsealable::ByAnother);
        assert!(!error.to_string().contains("Linux"), "{error}");
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        assert!(matches!(seal_writes(reader.as_fd()), Err(Unsealable::System(_))));
    }

    #[test]
    fn a_read_only_descriptor_maps_to_read_and_in_no_other_way() {
        let fd = create("test", 4096).unwrap();
        seal_writes(fd.as_fd()).unwrap();
        let reader = read_only(fd.as_fd()).unwrap();
        assert!(memmap2::MmapOptions::new().map_raw(&reader).is_err());
        assert!(memmap2::MmapOptions::new().map_raw_read_only(&reader).is_ok());
        assert_eq!(check(reader.as_fd(), 4096, Right::Read), Ok(()));
    }

    #[test]
    fn whoever_is_handed_a_sealed_file_to_read_changes_nothing_in_it_whatever_it_opens_or_sets() {
        use rustix::fs::{FallocateFlags, fallocate, fchmod, ftruncate};
        let fd = create("test", 8192).unwrap();
        let ours = memmap2::MmapOptions::new().map_raw(&fd).unwrap();
        seal_writes(fd.as_fd()).unwrap();
        let handed = read_only(fd.as_fd()).unwrap();
        // It is its user's too, who can open it anew, for whatever.
        fchmod(&handed, Mode::from_raw_mode(0o666)).unwrap();
        let path = format!("/proc/self/fd/{}", handed.as_raw_fd());
        let anew = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
        for file in [&handed, &anew] {
            assert!(rustix::io::pwrite(file, b"x", 0).is_err());
            assert!(memmap2::MmapOptions::new().map_raw(file).is_err());
            for flags in [FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, FallocateFlags::ZERO_RANGE] {
                assert!(fallocate(file, flags, 0, 4096).is_err(), "{flags:?}");
            }
            assert!(ftruncate(file, 0).is_err() && ftruncate(file, 16_384).is_err());
            assert!(fcntl_add_seals(file, SealFlags::WRITE).is_err());
            let read = memmap2::MmapOptions::new().map_raw_read_only(file).unwrap();
            // SAFETY: the mapping is looked at by nobody.
            let removed =
                unsafe { rustix::mm::madvise(read.as_mut_ptr().cast(), read.len(), rustix::mm::Advice::LinuxRemove) };
            assert!(removed.is_err());
            // SAFETY: the mapping is of a file that does not shrink; only its rights are asked for.
            let made =
                unsafe { rustix::mm::mprotect(read.as_mut_ptr().cast(), read.len(), rustix::mm::MprotectFlags::WRITE) };
            assert_eq!(made, Err(Errno::ACCESS));
        }
        // SAFETY: inside the mapping.
        assert_eq!(unsafe { ours.as_ptr().read_volatile() }, 0);
    }
}
