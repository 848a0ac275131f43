//! Slots as GStreamer's memory: granted ones to write into, leased ones to read.

use framewire_ends::Slot;
use framewire_transport::Frame;

/// A slot that upstream writes into. It is given back where the memory is freed unsent.
struct Granted {
    slot: Slot,
    /// Whose slot it is: [`take`] asks for it.
    outlet: u64,
}

impl AsMut<[u8]> for Granted {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.slot
    }
}

/// Memory over a slot to write into.
pub(crate) fn writable(slot: Slot, outlet: u64) -> gst::Memory {
    gst::Memory::from_mut_slice(Granted { slot, outlet })
}

/// Memory over a frame to read. The frame's slot is given back when the last of those that have the memory lets it go.
pub(crate) fn readable(frame: Frame) -> gst::Memory {
    gst::Memory::from_slice(frame)
}

/// Takes the slot of an outlet out of the buffer that it was granted in, which has no memory any more; `None` where there is none, or somebody else has the
/// buffer or its memory too, and then nothing has changed.
pub(crate) fn take(buffer: &gst::Buffer, outlet: u64) -> Option<Slot> {
    if !buffer.is_writable() || buffer.n_memory() != 1 {
        return None;
    }
    // SAFETY: its one reference is held by whoever handed it to this function, for as long as it runs; nobody else can come by it meanwhile, nor change it.
    let buffer = unsafe { gst::BufferRef::from_mut_ptr(buffer.as_mut_ptr()) };
    let memory = buffer.memory(0)?;
    let is_whole = memory.offset() == 0 && memory.size() == memory.maxsize();
    buffer.remove_all_memory();
    // SAFETY: it is alive, as `memory` holds it; the count is read alone. Where it is 1 nobody else has it who could hold it once more: what is made of a part
    // of it, or mapped, holds it too.
    let holds = unsafe { (*memory.as_ptr()).mini_object.refcount };
    if !is_whole || holds != 1 {
        buffer.append_memory(memory);
        return None;
    }
    match memory.try_into_inner::<Granted>() {
        Ok(granted) if granted.outlet == outlet => Some(granted.slot),
        Ok(granted) => {
            buffer.append_memory(writable(granted.slot, granted.outlet));
            None
        }
        Err((memory, _)) => {
            buffer.append_memory(memory);
            None
        }
    }
}
