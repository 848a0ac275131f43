//! Pools whose pages are still to come.

use std::any::Any;
use std::sync::Arc;

use super::memory::{Memory, NoMemory};
use super::pool::{FramePool, PoolError, PoolShared};
use super::slots::SlotTable;

/// A pool whose pages the system has still to provide, bit by bit: nobody has a slot of it yet.
pub(crate) struct PoolInMaking {
    pool: FramePool,
    bytes: usize,
    provided: usize,
    /// Bytes that are to be provided.
    ready: usize,
    /// Another process is to map it before it is sealed.
    is_for_a_writer: bool,
}

impl PoolInMaking {
    /// Reserves the addresses; takes no memory.
    ///
    /// # Errors
    /// As [`FramePool::new`].
    pub(crate) fn new(slots: usize, slot_bytes: usize) -> Result<Self, PoolError> {
        let bytes = FramePool::bytes(slots, slot_bytes)?;
        let memory = Memory::new(bytes).map_err(|error| match error {
            #[cfg(target_os = "linux")]
            NoMemory::FilesRefused(source) => PoolError::MemoryFiles(source),
            NoMemory::Short(source) => PoolError::Memory { slots, slot_bytes, source },
        })?;
        let stride = bytes / slots;
        let slots = SlotTable::new(slots);
        let shared = PoolShared::new(slots, memory, slot_bytes, stride);
        Ok(Self {
            pool: FramePool { shared: Arc::new(shared) },
            bytes,
            provided: 0,
            ready: bytes,
            is_for_a_writer: false,
        })
    }

    /// Has the pages of the first `ready` slots provided alone, and only these handed out: the others cost address space until they are
    /// made [usable](FramePool::set_usable).
    pub(crate) fn with_spares(mut self, ready: usize) -> Self {
        let slots = self.pool.slot_count();
        let ready = ready.clamp(1, slots);
        self.ready = self.bytes / slots * ready;
        self.pool.set_usable(ready);
        self
    }

    /// Leaves the file open to another process that is to write frames into it, until [`FramePool::seal`].
    #[cfg(target_os = "linux")]
    pub(crate) fn for_a_writer(self) -> Self {
        Self { is_for_a_writer: true, ..self }
    }

    /// Keeps `what`, a right to the memory for example, until the memory has been given back.
    pub(crate) fn holding(self, what: impl Any + Send + Sync) -> Self {
        let _first = self.pool.shared.held.set(Box::new(what));
        self
    }

    /// Bytes that are still to be provided.
    pub(crate) fn left(&self) -> usize {
        self.ready - self.provided
    }

    /// Has the system provide the next pages, at most `bytes` of them, which should be a multiple of a page.
    ///
    /// # Errors
    /// [`PoolError::Memory`].
    pub(crate) fn provide(&mut self, bytes: usize) -> Result<(), PoolError> {
        let (slots, slot_bytes) = (self.pool.slot_count(), self.pool.slot_bytes());
        let bytes = bytes.min(self.left());
        let provided = self.pool.shared.memory.provide(self.provided, bytes);
        provided.map_err(|source| PoolError::Memory { slots, slot_bytes, source })?;
        self.provided += bytes;
        Ok(())
    }

    /// The pool, with every page there.
    ///
    /// # Errors
    /// [`PoolError::Memory`].
    pub(crate) fn finish(mut self) -> Result<FramePool, PoolError> {
        self.provide(self.left())?;
        #[cfg(target_os = "linux")]
        if !self.is_for_a_writer
            && let Err(error) = self.pool.seal()
        {
            tracing::debug!(%error, "the frame pool cannot be sealed; it is shared with nobody");
        }
        Ok(self.pool)
    }
}
