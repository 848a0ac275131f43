//! A frame's bytes in memory of its own.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

/// Bytes that Python may write into at any time: nothing here ever makes a reference to them.
pub(crate) struct OwnedBytes {
    first: NonNull<u8>,
    len: usize,
}

/// A line of the cache: what every item, and whatever computes with vectors, is content with.
const ALIGNMENT: usize = 64;

impl OwnedBytes {
    /// A copy; `None` where the system has no memory for it.
    pub(crate) fn copy_of(bytes: &[u8]) -> Option<Self> {
        let mut copy = Self::uninitialised(bytes.len())?;
        copy.fill_with(bytes);
        Some(copy)
    }

    fn uninitialised(len: usize) -> Option<Self> {
        let layout = Layout::from_size_align(len.max(1), ALIGNMENT).ok()?;
        // SAFETY: the size is not zero.
        let first = NonNull::new(unsafe { alloc(layout) })?;
        Some(Self { first, len })
    }

    fn fill_with(&mut self, bytes: &[u8]) {
        // SAFETY: as long as both, the callers see to that, and just allocated.
        unsafe { self.first.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), self.len.min(bytes.len())) };
    }

    /// Its first byte.
    pub(crate) fn first(&self) -> *mut u8 {
        self.first.as_ptr()
    }

    /// Copies it once more.
    pub(crate) fn twin(&self) -> Option<Self> {
        let twin = Self::uninitialised(self.len)?;
        // SAFETY: both are of this length, and the twin is new. Who writes meanwhile has what came first or last, byte by byte.
        unsafe { twin.first.as_ptr().copy_from_nonoverlapping(self.first.as_ptr(), self.len) };
        Some(twin)
    }
}

impl Drop for OwnedBytes {
    fn drop(&mut self) {
        let Ok(layout) = Layout::from_size_align(self.len.max(1), ALIGNMENT) else { return };
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.first.as_ptr(), layout) };
    }
}

// SAFETY: plain bytes, freed by whoever is last.
unsafe impl Send for OwnedBytes {}
// SAFETY: it is read and written through raw pointers alone, as Python's threads agree among themselves.
unsafe impl Sync for OwnedBytes {}
