//! Slots to write frames into.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use framewire_ends::array::{not_of_length, of_length};
use framewire_ends::{Class, Error, Output, Slot};
use framewire_transport::{FrameFormat, FrameMut, MetadataKind, Time};

use crate::array::fw_array;
use crate::border::{self, call, not_null, not_null_mut, null, put, say};
use crate::frame::{array_of, fw_metadata_kind, plane_of};
use crate::result::{fw_error, fw_result};

/// A slot to write the next frame into. It is given back with fw_slot_send or fw_slot_discard, and what its
/// pointers point to with it. It may outlive its output.
pub struct fw_slot {
    frame: Slot,
    output: Arc<Output>,
    format: Option<FrameFormat>,
}

impl fw_slot {
    pub(crate) fn new(frame: Slot, output: Arc<Output>) -> Self {
        Self { format: frame.format().copied(), frame, output }
    }

    /// The format that the frame has now.
    fn format(&self) -> Option<FrameFormat> {
        self.format.map(|format| of_length(format, self.frame.len()))
    }
}

/// What bytes of metadata are, as C says it.
///
/// # Errors
/// There is no such kind.
pub(crate) fn kind_of(kind: u32) -> Result<MetadataKind, Error> {
    let kinds = MetadataKind::ALL.into_iter().find(|known| fw_metadata_kind::from(*known) as u32 == kind);
    kinds.ok_or_else(|| {
        let text = format!("there is no kind {kind} of metadata; use one of fw_metadata_kind");
        Error::new(Class::Argument, "metadata-kind", text)
    })
}

/// # Errors
/// A frame of the stream does not have so many bytes.
pub(crate) fn set_length(frame: &mut FrameMut, bytes: usize) -> Result<(), Error> {
    if let Some(format) = frame.format().filter(|format| !format.holds(bytes)) {
        return Err(not_of_length(format, bytes));
    }
    frame.set_len(bytes).map_err(|error| Error::new(Class::Format, "frame-length", error.to_string()))
}

/// Sets the times that are not 0.
pub(crate) fn set_times(frame: &mut FrameMut, captured_ns: u64, captured_utc_ns: u64) {
    frame.info.captured = Time::from_nanos(captured_ns);
    frame.info.captured_utc = match captured_utc_ns {
        0 => None,
        nanos => UNIX_EPOCH.checked_add(Duration::from_nanos(nanos)),
    };
}

/// Its bytes, to write; all planes one behind the other. NULL of NULL. They are the caller's alone until the
/// slot is sent or discarded.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_data(slot: Option<&mut fw_slot>) -> *mut u8 {
    slot.map_or(ptr::null_mut(), |slot| slot.frame.as_mut_ptr())
}

/// How many bytes the frame has.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_bytes(slot: Option<&fw_slot>) -> usize {
    say(slot, 0, |slot| slot.frame.len())
}

/// How many planes it has, 1 to 3.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_planes(slot: Option<&fw_slot>) -> u32 {
    say(slot, 0, |slot| slot.format().map_or(0, |format| format.pixel().planes() as u32))
}

/// The bytes of one plane, from 0 on, to write. `*stride` is how many bytes there are from row to row, `*bytes`
/// how many the plane has. NULL, and 0, where there is no such plane.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_plane(
    slot: Option<&mut fw_slot>,
    plane: u32,
    stride: Option<&mut MaybeUninit<usize>>,
    bytes: Option<&mut MaybeUninit<usize>>,
) -> *mut u8 {
    let found = slot.and_then(|slot| {
        let format = slot.format()?;
        let (start, bytes) = plane_of(&format, slot.frame.len(), plane)?;
        Some((slot.frame[start..].as_mut_ptr(), format.plane_stride(plane as usize) as usize, bytes))
    });
    let (data, plane_stride, plane_bytes) = found.unwrap_or((ptr::null_mut(), 0, 0));
    put(stride, plane_stride);
    put(bytes, plane_bytes);
    data
}

/// Width in pixels; of a frame of bytes, how many there are.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_width(slot: Option<&fw_slot>) -> u32 {
    say(slot, 0, |slot| slot.format().map_or(0, |format| format.width()))
}

/// Height in pixels.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_height(slot: Option<&fw_slot>) -> u32 {
    say(slot, 0, |slot| slot.format().map_or(0, |format| format.height()))
}

/// Bytes from row to row of the first plane.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_stride(slot: Option<&fw_slot>) -> u32 {
    say(slot, 0, |slot| slot.format().map_or(0, |format| format.stride()))
}

/// The code of its format: an fw_pixel_format.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_format(slot: Option<&fw_slot>) -> u32 {
    say(slot, 0, |slot| slot.format().map_or(0, |format| format.pixel().code().into()))
}

/// The frame as one array; its offset is counted from fw_slot_data. `array->size` is set before. FW_ERROR with
/// FW_CLASS_FORMAT where its planes make none: use fw_slot_plane_array.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_slot_array(
    slot: Option<&fw_slot>,
    array: *mut fw_array,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || {
        let layout = layout_of(slot, None)?;
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        unsafe { border::write(array, &layout) }?;
        Ok(fw_result::FW_OK)
    })
}

/// One plane of the frame, from 0 on, as an array; its offset is counted from fw_slot_data. `array->size` is
/// set before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_slot_plane_array(
    slot: Option<&fw_slot>,
    plane: u32,
    array: *mut fw_array,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || {
        let layout = layout_of(slot, Some(plane))?;
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        unsafe { border::write(array, &layout) }?;
        Ok(fw_result::FW_OK)
    })
}

fn layout_of(slot: Option<&fw_slot>, plane: Option<u32>) -> Result<fw_array, Error> {
    let slot = not_null(slot, "slot")?;
    let format = slot.format().ok_or_else(|| null("slot's format"))?;
    array_of(&format, slot.frame.len(), plane)
}

/// Says how many bytes the frame has: of FW_BYTES 1 to as many as the stream began with, of others exactly what
/// they have. Pointers stay. Bytes beyond the new length are no longer the caller's: metadata may be put there.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_set_length(
    slot: Option<&mut fw_slot>,
    bytes: usize,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || {
        set_length(&mut not_null_mut(slot, "slot")?.frame, bytes)?;
        Ok(fw_result::FW_OK)
    })
}

/// Sets the bytes that go with the frame, in place of those that it had; they are copied. With none, `data` may
/// be NULL. `kind` is an fw_metadata_kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_slot_set_metadata(
    slot: Option<&mut fw_slot>,
    kind: u32,
    data: *const u8,
    bytes: usize,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || {
        let slot = not_null_mut(slot, "slot")?;
        // SAFETY: as many bytes as the caller says.
        let metadata = unsafe { border::bytes(data, bytes, "metadata") }?;
        slot.frame.set_metadata(kind_of(kind)?, metadata)?;
        Ok(fw_result::FW_OK)
    })
}

/// Says when the picture was taken, on CLOCK_MONOTONIC. 0, the default: when it is sent.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_set_captured_ns(slot: Option<&mut fw_slot>, captured_ns: u64) {
    if let Some(slot) = slot {
        slot.frame.info.captured = Time::from_nanos(captured_ns);
    }
}

/// Says when the picture was taken as UTC, nanoseconds since 1970, where it has a time of its own, such as that
/// of its place in a file. 0, the default: by the clock of this machine.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_set_captured_utc_ns(slot: Option<&mut fw_slot>, captured_utc_ns: u64) {
    if let Some(slot) = slot {
        let captured = slot.frame.info.captured.as_nanos();
        set_times(&mut slot.frame, captured, captured_utc_ns);
    }
}

/// Sends the frame, and takes the slot, whatever becomes of it. `*number` is the frame's number. It waits for
/// nobody. FW_ERROR where the output was closed, or cannot go on.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_send(
    slot: Option<Box<fw_slot>>,
    number: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    let mut sent = 0;
    let result = call(err, || {
        let fw_slot { frame, output, .. } = *slot.ok_or_else(|| null("slot"))?;
        sent = output.send(frame)?;
        Ok(fw_result::FW_OK)
    });
    put(number, sent);
    result
}

/// Gives a slot back unsent. It may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_slot_discard(slot: Option<Box<fw_slot>>) {
    say(Some(&()), (), |()| drop(slot));
}
