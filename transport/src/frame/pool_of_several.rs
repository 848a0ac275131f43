//! Pools that several processes have: in one file, of which each has mapped what it may.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::format::FrameFormat;
use super::lease::{Frame, FrameParts, SlotLease};
use super::memfd::{Right, Unsealable};
use super::memory::Memory;
use super::pool::{FramePool, PoolShared};
use super::slots::SlotTable;

/// How a pool lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolShape {
    /// Slots, 1 to 64.
    pub(crate) slots: usize,
    /// Bytes of a slot.
    pub(crate) slot_bytes: usize,
    /// Bytes from one slot to the next.
    pub(crate) stride: usize,
    /// The last bytes of a slot, which are for what follows the pixels.
    pub(crate) tail_bytes: usize,
}

impl PoolShape {
    /// Bytes of the file. Of a shape that [can be](Self::can_be).
    pub(crate) fn bytes(&self) -> usize {
        self.slots.saturating_mul(self.stride)
    }

    /// Whether a pool can lie so: what was told by another process.
    pub(crate) fn can_be(&self) -> bool {
        let Self { slots, slot_bytes, stride: between, tail_bytes } = *self;
        let bytes = FramePool::bytes(slots, slot_bytes);
        bytes.is_ok_and(|bytes| slots.checked_mul(between) == Some(bytes)) && tail_bytes < slot_bytes
    }
}

impl FramePool {
    /// A pool that another process made, in a file that has been [checked](super::memfd::check). No slot of it is handed out: with
    /// [`Right::Read`] frames in it are [borrowed](Self::borrow), with `Write` slots are [allowed](Self::allow) one by one.
    pub(crate) fn foreign(file: OwnedFd, shape: &PoolShape, format: FrameFormat, right: Right) -> io::Result<Self> {
        let PoolShape { slots, slot_bytes, stride, tail_bytes } = *shape;
        let memory = Memory::foreign(file, shape.bytes(), right)?;
        let slots = SlotTable::with_none_usable(slots);
        let shared = PoolShared::new(slots, memory, slot_bytes, stride);
        Ok(Self { shared: Arc::new(shared) }.with_format(format, tail_bytes))
    }

    /// How it lies in its file, for another process that is to map it.
    pub(crate) fn shape(&self) -> PoolShape {
        PoolShape {
            slots: self.slot_count(),
            slot_bytes: self.slot_bytes(),
            stride: self.slot_stride(),
            tail_bytes: self.shared.tail_bytes(),
        }
    }

    /// A frame that lies in a slot of a [foreign](Self::foreign) pool, and that its owner keeps as it is until the last clone of this has
    /// been dropped. `None` for what cannot be: a slot that there is not or that is held already, bytes that are not inside it.
    pub(crate) fn borrow(&self, slot: usize, parts: FrameParts) -> Option<Frame> {
        let FrameParts { len, tail, info, gaps } = parts;
        let fits = len.checked_add(tail.bytes()).is_some_and(|end| end <= self.slot_bytes());
        let gaps_fit = gaps.is_none_or(|gaps| gaps.is_inside(self.slot_bytes()));
        if slot >= self.slot_count() || !fits || !gaps_fit || !self.shared.slots.claim(slot as u32) {
            return None;
        }
        Some(Frame::landed(SlotLease::new(self.shared.clone(), slot as u32), (len, tail), info, gaps))
    }

    /// Has these slots, a bit each, handed out too.
    pub(crate) fn allow(&self, slots: u64) {
        self.shared.slots.allow(slots);
    }

    /// Has these slots handed out no more; what is held stays so.
    pub(crate) fn forbid(&self, slots: u64) {
        self.shared.slots.forbid(slots);
    }

    /// Has the first pages of a slot mapped, at most so many bytes of them, so that no first look at a frame pays for it.
    pub(crate) fn populate_read(&self, slot: usize, bytes: usize) {
        let stride = self.slot_stride();
        self.shared.memory.populate_read(slot.saturating_mul(stride), bytes.min(stride));
    }

    /// The file for somebody who is to read it, open to that alone. To be asked for once before anybody has it, and then as often as one likes.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub(crate) fn for_readers(&self) -> io::Result<OwnedFd> {
        self.shared.memory.for_readers()
    }

    /// The file of a pool that was made [for a writer](PoolInMaking::for_a_writer), who maps it before it is [sealed](Self::seal).
    pub(crate) fn writable_descriptor(&self) -> BorrowedFd<'_> {
        self.shared.memory.writable_descriptor()
    }

    /// From here on, whoever is handed the file can read and no more.
    ///
    /// # Errors
    /// The pool is shared with nobody, then: see [`Unsealable`].
    pub(crate) fn seal(&self) -> Result<(), Unsealable> {
        self.shared.memory.seal()
    }
}
