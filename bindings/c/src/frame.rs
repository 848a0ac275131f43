//! Frames: pixels in the memory that they arrived in, and what is known of them.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::time::{Duration, UNIX_EPOCH};

use framewire_ends::array::{ArrayLayout, of_length};
use framewire_ends::{Class, Error, Taken};
use framewire_transport::{FrameFormat, MetadataKind};

use crate::array::fw_array;
use crate::border::{self, call, make, not_null, put, say};
use crate::format::name_of;
use crate::result::{fw_error, fw_result};
use crate::stream::fw_stream;

/// What the bytes of metadata are, as their source said.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fw_metadata_kind {
    /// Any bytes.
    FW_METADATA_BYTES = 0,
    /// A JSON text, UTF-8, without a zero at its end.
    FW_METADATA_JSON = 1,
    /// CBOR, RFC 8949.
    FW_METADATA_CBOR = 2,
}

/// One picture, in the memory that it arrived in, read-only. It holds a slot of its stream until it and its
/// clones are released with fw_frame_release, whatever becomes of its source meanwhile.
pub struct fw_frame {
    taken: Taken,
    /// Of this frame: one of bytes is as long as it is.
    format: FrameFormat,
    stream: OnceLock<fw_stream>,
}

/// Bytes of a frame, from `start` on, before `stop`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fw_range {
    /// The first.
    pub start: usize,
    /// The one behind the last.
    pub stop: usize,
}

impl fw_frame {
    pub(crate) fn new(taken: Taken) -> Self {
        let of_stream = *taken.frame.format().unwrap_or(&taken.stream.format);
        Self { format: of_length(of_stream, taken.frame.len()), taken, stream: OnceLock::new() }
    }
}

/// A plane of a frame of so many bytes: where it begins, and how many bytes it has. `None` where there is none.
pub(crate) fn plane_of(format: &FrameFormat, frame_bytes: usize, plane: u32) -> Option<(usize, usize)> {
    let plane = usize::try_from(plane).ok().filter(|plane| *plane < format.pixel().planes())?;
    let (start, bytes) =
        ((0..plane).map(|before| format.plane_bytes(before)).sum::<usize>(), format.plane_bytes(plane));
    (start + bytes <= frame_bytes).then_some((start, bytes))
}

/// A frame as one array, or one of its planes.
///
/// # Errors
/// Its planes make no one array; there is no such plane.
pub(crate) fn array_of(format: &FrameFormat, frame_bytes: usize, plane: Option<u32>) -> Result<fw_array, Error> {
    let layout = match plane {
        None => ArrayLayout::of_frame(format, frame_bytes),
        Some(plane) => ArrayLayout::of_plane(format, plane as usize),
    };
    let layout = layout.filter(|layout| layout.offset + layout.span_bytes() <= frame_bytes);
    layout.map(fw_array::from).ok_or_else(|| {
        let planes = format.pixel().planes();
        let text = match plane {
            None => format!(
                "the planes of {format} with rows of {} bytes make no one array; take its {planes} planes one by one",
                format.stride()
            ),
            Some(plane) => format!("{format} has no plane {plane} in {frame_bytes} bytes; it has 0 to {}", planes - 1),
        };
        Error::new(Class::Format, "no-array", text)
    })
}

/// Its bytes, all planes one behind the other. NULL of NULL. Borrowed until it is released.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_data(frame: Option<&fw_frame>) -> *const u8 {
    say(frame, ptr::null(), |frame| frame.taken.frame.as_ptr())
}

/// How many bytes of pixels it has.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_bytes(frame: Option<&fw_frame>) -> usize {
    say(frame, 0, |frame| frame.taken.frame.len())
}

/// How many planes it has, 1 to 3.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_planes(frame: Option<&fw_frame>) -> u32 {
    say(frame, 0, |frame| frame.format.pixel().planes() as u32)
}

/// The bytes of one plane, from 0 on. `*stride` is how many bytes there are from row to row, `*bytes` how many
/// the plane has. NULL, and 0, where there is no such plane.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_plane(
    frame: Option<&fw_frame>,
    plane: u32,
    stride: Option<&mut MaybeUninit<usize>>,
    bytes: Option<&mut MaybeUninit<usize>>,
) -> *const u8 {
    let found = say(frame, None, |frame| {
        let (start, bytes) = plane_of(&frame.format, frame.taken.frame.len(), plane)?;
        Some((frame.taken.frame[start..].as_ptr(), frame.format.plane_stride(plane as usize) as usize, bytes))
    });
    let (data, plane_stride, plane_bytes) = found.unwrap_or((ptr::null(), 0, 0));
    put(stride, plane_stride);
    put(bytes, plane_bytes);
    data
}

/// Width and height of one plane, from 0 on, in its own pixels. False, and 0, where there is no such plane.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_plane_size(
    frame: Option<&fw_frame>,
    plane: u32,
    width: Option<&mut MaybeUninit<u32>>,
    height: Option<&mut MaybeUninit<u32>>,
) -> bool {
    let size = say(frame, None, |frame| {
        let plane = usize::try_from(plane).ok().filter(|plane| *plane < frame.format.pixel().planes())?;
        Some(frame.format.plane_size(plane))
    });
    put(width, size.map_or(0, |(width, _)| width));
    put(height, size.map_or(0, |(_, height)| height));
    size.is_some()
}

/// Width in pixels; of a frame of bytes, how many there are.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_width(frame: Option<&fw_frame>) -> u32 {
    say(frame, 0, |frame| frame.format.width())
}

/// Height in pixels.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_height(frame: Option<&fw_frame>) -> u32 {
    say(frame, 0, |frame| frame.format.height())
}

/// Bytes from row to row of the first plane.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_stride(frame: Option<&fw_frame>) -> u32 {
    say(frame, 0, |frame| frame.format.stride())
}

/// The code of its format: an fw_pixel_format.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_format(frame: Option<&fw_frame>) -> u32 {
    say(frame, 0, |frame| frame.format.pixel().code().into())
}

/// The name of its format, such as "bgr24". A static text; NULL of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_format_name(frame: Option<&fw_frame>) -> *const c_char {
    say(frame, ptr::null(), |frame| name_of(frame.format.pixel()))
}

/// The frame as one array. `array->size` is set before. FW_ERROR with FW_CLASS_FORMAT where its planes make
/// none: use fw_frame_plane_array.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_frame_array(
    frame: Option<&fw_frame>,
    array: *mut fw_array,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || {
        let frame = not_null(frame, "frame")?;
        let layout = array_of(&frame.format, frame.taken.frame.len(), None)?;
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        unsafe { border::write(array, &layout) }?;
        Ok(fw_result::FW_OK)
    })
}

/// One plane of the frame, from 0 on, as an array. `array->size` is set before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_frame_plane_array(
    frame: Option<&fw_frame>,
    plane: u32,
    array: *mut fw_array,
    err: Option<&mut MaybeUninit<Option<Box<fw_error>>>>,
) -> fw_result {
    call(err, || {
        let frame = not_null(frame, "frame")?;
        let layout = array_of(&frame.format, frame.taken.frame.len(), Some(plane))?;
        // SAFETY: NULL, or a struct that begins with its size, as the header asks for.
        unsafe { border::write(array, &layout) }?;
        Ok(fw_result::FW_OK)
    })
}

/// Its number in its stream, from 0 on, without gaps at its source: a gap is frames that did not come.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_number(frame: Option<&fw_frame>) -> u64 {
    say(frame, 0, |frame| frame.taken.frame.info().number)
}

/// When the picture was taken, on this machine's CLOCK_MONOTONIC; 0 while the clocks of the two machines are
/// not compared yet.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_captured_ns(frame: Option<&fw_frame>) -> u64 {
    say(frame, 0, |frame| frame.taken.frame.info().captured.as_nanos())
}

/// When the picture was taken as UTC, nanoseconds since 1970. False, and 0, where its source did not say.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_captured_utc_ns(frame: Option<&fw_frame>, utc_ns: Option<&mut MaybeUninit<u64>>) -> bool {
    let since = say(frame, None, |frame| frame.taken.frame.captured_utc()?.duration_since(UNIX_EPOCH).ok());
    told_ns(since, utc_ns)
}

/// Nanoseconds from when the picture was taken until it was whole here. False, and 0, where the clocks of the
/// two machines are not compared yet, and of frames that were made on this machine.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_latency_ns(frame: Option<&fw_frame>, latency_ns: Option<&mut MaybeUninit<u64>>) -> bool {
    told_ns(say(frame, None, |frame| frame.taken.frame.info().latency), latency_ns)
}

fn told_ns(duration: Option<Duration>, place: border::Place<'_, u64>) -> bool {
    let nanos = duration.and_then(|duration| u64::try_from(duration.as_nanos()).ok());
    put(place, nanos.unwrap_or(0));
    nanos.is_some()
}

/// Whether every byte of it has come. Only with `partial` are there others.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_is_complete(frame: Option<&fw_frame>) -> bool {
    say(frame, false, |frame| frame.taken.frame.is_complete())
}

/// The bytes that have not come, and are zeroes: how many ranges of them there are, in their order. The first
/// `capacity` of them are written to `ranges`, which may be NULL where that is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fw_frame_missing(frame: Option<&fw_frame>, ranges: *mut fw_range, capacity: usize) -> usize {
    say(frame, 0, |frame| {
        let mut count = 0;
        for range in frame.taken.frame.missing() {
            if count < capacity && !ranges.is_null() {
                // SAFETY: fewer than the caller says there are.
                let place = unsafe { ranges.add(count) };
                // SAFETY: one of those.
                unsafe { place.write(fw_range { start: range.start, stop: range.end }) };
            }
            count += 1;
        }
        count
    })
}

/// What its source set beside the pixels: `*bytes` bytes that are, as the source says, of `*kind` (an
/// fw_metadata_kind). NULL, and 0, where it set nothing, and of a frame that is not complete. Borrowed until
/// the frame is released.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_metadata(
    frame: Option<&fw_frame>,
    kind: Option<&mut MaybeUninit<u32>>,
    bytes: Option<&mut MaybeUninit<usize>>,
) -> *const u8 {
    let found = say(frame, None, |frame| {
        frame.taken.frame.metadata().map(|metadata| (metadata.kind, metadata.bytes.as_ptr(), metadata.bytes.len()))
    });
    put(kind, found.map_or(0, |(kind, ..)| fw_metadata_kind::from(kind) as u32));
    put(bytes, found.map_or(0, |(.., bytes)| bytes));
    found.map_or(ptr::null(), |(_, data, _)| data)
}

impl From<MetadataKind> for fw_metadata_kind {
    fn from(kind: MetadataKind) -> Self {
        match kind {
            MetadataKind::Json => Self::FW_METADATA_JSON,
            MetadataKind::Cbor => Self::FW_METADATA_CBOR,
            _ => Self::FW_METADATA_BYTES,
        }
    }
}

/// Which slot of its stream it is in, from 0 on, for diagnosis.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_slot(frame: Option<&fw_frame>) -> u32 {
    say(frame, 0, |frame| frame.taken.frame.slot() as u32)
}

/// What it is of. NULL of NULL. Borrowed until the frame is released.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_stream(frame: Option<&fw_frame>) -> Option<&fw_stream> {
    let frame = frame?;
    Some(frame.stream.get_or_init(|| fw_stream::new(frame.taken.stream.clone(), None)))
}

/// The same frame once more, in the same memory: released by itself. NULL of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_clone(frame: Option<&fw_frame>) -> Option<Box<fw_frame>> {
    let frame = frame?;
    make(None, || Ok(Box::new(fw_frame { taken: frame.taken.clone(), format: frame.format, stream: OnceLock::new() })))
}

/// Gives a frame back; with the last of its clones its slot. It may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fw_frame_release(frame: Option<Box<fw_frame>>) {
    say(Some(&()), (), |()| drop(frame));
}
