//! Pages of words that two processes share: made by the hub, mapped once at each end.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use memmap2::{Advice, MmapOptions, MmapRaw};

use super::layout::{Control, Inlet, Record};
use crate::frame::memfd::{self, Right, Unfit, Unsealable};
use crate::lack::Lack;

/// What may lie in shared words: atomics alone, for which any bits are a value.
///
/// # Safety
/// Only for types that are made of atomics, without references, and for which zeroes and any other bits are sound; whose alignment is at most
/// that of a page.
pub(crate) unsafe trait Words {}

// SAFETY: atomics of 32 and 64 bits in `repr(C)`, aligned to 64.
unsafe impl Words for Control {}
// SAFETY: as above.
unsafe impl Words for Inlet {}
// SAFETY: as above.
unsafe impl Words for Record {}

/// `count` times `T`, in memory that another process has mapped as well. Derefs to a slice.
pub(crate) struct Shared<T> {
    map: MmapRaw,
    file: OwnedFd,
    count: usize,
    words: PhantomData<T>,
}

// SAFETY: the words are atomics, and the mapping belongs to nobody's thread.
unsafe impl<T: Words> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Words> Sync for Shared<T> {}

/// Why shared words cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoWords {
    /// The file is not what it should be; it has not been mapped.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The system refuses.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl<T: Words> Shared<T> {
    /// Makes them, all zeroes. With [`Right::Read`] whoever is handed the file can read them and no more; else it is to be
    /// [sealed](Self::seal_writes) once the other end has mapped it.
    pub(super) fn new(name: &str, count: usize, others: Right) -> io::Result<Self> {
        let file = memfd::create(name, bytes::<T>(count))?;
        let shared = Self::map(file, count, Right::Write)?;
        if others == Right::Read {
            shared.seal_writes().map_err(io::Error::other)?;
        }
        Ok(shared)
    }

    /// From here on nobody gets a new way to write to them, and nobody can punch holes into the file, at which whoever looks at the words has
    /// to wait. Before that, a thread that others depend on does not touch them.
    ///
    /// # Errors
    /// The other end has sealed the file against this.
    pub(super) fn seal_writes(&self) -> Result<(), Unsealable> {
        memfd::seal_writes(self.file.as_fd())
    }

    /// Maps what another process made, once it has been checked.
    pub(crate) fn received(file: OwnedFd, count: usize, right: Right) -> Result<Self, NoWords> {
        memfd::check(file.as_fd(), bytes::<T>(count), right)?;
        Ok(Self::map(file, count, right)?)
    }

    fn map(file: OwnedFd, count: usize, right: Right) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        options.len(bytes::<T>(count));
        let map = match right {
            Right::Read => options.map_raw_read_only(&file)?,
            Right::Write => options.map_raw(&file)?,
        };
        // Words for two: nothing for whoever looks into a crash of one.
        if let Err(error) = map.advise(Advice::DontDump) {
            Lack::CoreDumps.tell(&error);
        }
        Ok(Self { map, file, count, words: PhantomData })
    }

    /// The file, for the other process.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl<T: Words> std::ops::Deref for Shared<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the mapping has `count` times the size of `T` at least, is aligned to a page, cannot shrink (its file is sealed, or was
        // checked to be), and `T` is atomics of which any bits are a value. Where the mapping is read-only, nothing is stored: each end knows
        // which words are its own.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.count) }
    }
}

/// Whole pages, so that both ends reckon alike.
fn bytes<T>(count: usize) -> usize {
    (size_of::<T>() * count).next_multiple_of(4096)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn what_one_end_writes_the_other_reads() {
        let ours = Shared::<Control>::new("control", 1, Right::Write).unwrap();
        let theirs = Shared::<Control>::received(ours.file().try_clone_to_owned().unwrap(), 1, Right::Write).unwrap();
        theirs[0].returned.fetch_or(5, Ordering::AcqRel);
        assert_eq!(ours[0].returned.swap(0, Ordering::AcqRel), 5);
        assert_eq!(theirs[0].returned.load(Ordering::Acquire), 0);
    }

    #[test]
    fn what_both_write_to_has_no_holes_punched_into_it_once_it_is_sealed() {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        let ours = Shared::<Inlet>::new("inlet", 1, Right::Write).unwrap();
        let theirs = Shared::<Inlet>::received(ours.file().try_clone_to_owned().unwrap(), 1, Right::Write).unwrap();
        let punch = || {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(theirs.file(), flags, 0, 4096)
        };
        punch().unwrap();
        ours.seal_writes().unwrap();
        assert_eq!(punch(), Err(Errno::PERM));
        theirs[0].granted.fetch_or(5, Ordering::AcqRel);
        assert_eq!(ours[0].granted.load(Ordering::Acquire), 5, "who has it mapped goes on writing");
        let again = Shared::<Inlet>::received(ours.file().try_clone_to_owned().unwrap(), 1, Right::Write);
        assert!(matches!(again, Err(NoWords::System(_))), "and nobody else begins to");
    }

    #[test]
    fn what_is_for_reading_cannot_be_mapped_to_write_and_a_wrong_size_is_not_mapped() {
        let ours = Shared::<Record>::new("records", 33, Right::Read).unwrap();
        let theirs = memfd::read_only(ours.file()).unwrap();
        assert!(Shared::<Record>::map(ours.file().try_clone_to_owned().unwrap(), 33, Right::Write).is_err());
        assert!(matches!(
            Shared::<Record>::received(theirs.try_clone().unwrap(), 31, Right::Read),
            Err(NoWords::Unfit(Unfit::Size { .. }))
        ));
        assert_eq!(Shared::<Record>::received(theirs, 33, Right::Read).unwrap().len(), 33);
    }
}
