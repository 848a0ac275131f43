//! Where the planes of a picture lie in its bytes, on either side, and how it is copied from one into the other.

use framewire_transport::{Frame, FrameFormat, FrameMut};
use gst_video::{VideoInfo, VideoMeta};

use crate::format::Picture;

/// Where the planes of a picture begin, and how far apart their rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) offsets: Vec<usize>,
    pub(crate) strides: Vec<i32>,
    pub(crate) bytes: usize,
}

impl Layout {
    /// As Framewire has them: one plane behind the other.
    pub(crate) fn of(format: &FrameFormat) -> Self {
        let (mut offsets, mut strides, mut bytes) = (Vec::new(), Vec::new(), 0);
        for plane in 0..format.pixel().planes() {
            offsets.push(bytes);
            // A frame is below 4 GiB, and GStreamer's strides are below 2.
            strides.push(i32::try_from(format.plane_stride(plane)).unwrap_or(i32::MAX));
            bytes += format.plane_bytes(plane);
        }
        Self { offsets, strides, bytes }
    }

    /// As GStreamer has them where nothing else is said.
    pub(crate) fn of_info(info: &VideoInfo) -> Self {
        Self { offsets: info.offset().to_vec(), strides: info.stride().to_vec(), bytes: info.size() }
    }

    /// The same of a picture of which it may not know more than the caps: rows of mosaics are multiples of four bytes.
    pub(crate) fn usual(picture: &Picture) -> Self {
        match &picture.info {
            Some(info) => Self::of_info(info),
            None => Self::of_rows(&picture.format, packed(&picture.format, 0).next_multiple_of(4)),
        }
    }

    /// One plane whose rows are so many bytes apart.
    fn of_rows(format: &FrameFormat, stride: usize) -> Self {
        let bytes = stride * format.height() as usize;
        Self { offsets: vec![0], strides: vec![i32::try_from(stride).unwrap_or(i32::MAX)], bytes }
    }

    /// Says of a buffer that its planes lie so.
    pub(crate) fn tell(&self, buffer: &mut gst::BufferRef, info: &VideoInfo) {
        let flags = gst_video::VideoFrameFlags::empty();
        // It fails for formats alone that no info is of.
        let _ = VideoMeta::add_full(
            buffer,
            flags,
            info.format(),
            info.width(),
            info.height(),
            &self.offsets,
            &self.strides,
        );
    }

    /// Whether the planes of a buffer lie so; without a word of its own they lie as usual.
    pub(crate) fn is_of(&self, buffer: &gst::BufferRef, picture: &Picture) -> bool {
        if buffer.size() != self.bytes {
            return false;
        }
        let Some(meta) = buffer.meta::<VideoMeta>() else { return *self == Self::usual(picture) };
        meta.offset() == self.offsets
            && meta.stride() == self.strides
            && (meta.width(), meta.height()) == (picture.format.width(), picture.format.height())
    }
}

/// Copies the picture of a buffer into a slot, whatever the buffer says of where its planes lie.
///
/// # Errors
/// The buffer has fewer bytes than its caps say, or says of its planes what cannot be.
pub(crate) fn fill(slot: &mut FrameMut, buffer: &gst::BufferRef, picture: &Picture) -> Result<(), String> {
    let format = &picture.format;
    let short = || {
        format!(
            "a buffer of {} bytes is no frame of {format}, which has {}",
            buffer.size(),
            Layout::usual(picture).bytes
        )
    };
    let Some(info) = &picture.info else {
        // Some elements put rows of mosaics without a gap, others as GStreamer does by itself.
        let bytes = buffer.map_readable().map_err(|_| "a buffer cannot be read".to_owned())?;
        let (packed, rows) = (packed(format, 0), format.height() as usize);
        let stride = [packed.next_multiple_of(4), packed].into_iter().find(|stride| stride * rows <= bytes.len());
        let stride = stride.ok_or_else(short)?;
        let is_copied = |plane: framewire_transport::frame::PlaneMut<'_>| {
            copy_rows(&bytes, stride, plane.bytes, plane.stride as usize, packed, rows)
        };
        return slot.planes_mut().next().is_some_and(is_copied).then_some(()).ok_or_else(short);
    };
    let usual = Layout::of_info(info);
    let meta = buffer.meta::<VideoMeta>();
    let (offsets, strides) = match &meta {
        Some(meta) => {
            let is_other = meta.format() != info.format()
                || (meta.width(), meta.height()) != (info.width(), info.height())
                || (meta.n_planes() as usize) < format.pixel().planes();
            if is_other {
                let is = format!("{} of {}x{}", meta.format(), meta.width(), meta.height());
                return Err(format!("a buffer says that it is {is} (GstVideoMeta), and its caps say {format}"));
            }
            (meta.offset(), meta.stride())
        }
        None if buffer.size() < usual.bytes => return Err(short()),
        None => (usual.offsets.as_slice(), usual.strides.as_slice()),
    };
    for (at, plane) in slot.planes_mut().enumerate() {
        let (offset, stride) = (offsets[at], strides[at]);
        let beyond = || {
            format!(
                "a buffer of {} bytes says that plane {at} of {format} begins at {offset} and has rows {stride} bytes apart (GstVideoMeta), which is not within it",
                buffer.size()
            )
        };
        let stride = usize::try_from(stride).map_err(|_| "rows from the bottom up".to_owned())?;
        let (row, rows) = (packed(format, at), plane.height as usize);
        let needed = spanned(stride, row, rows).ok_or_else(beyond)?;
        let is_copied =
            read(buffer, offset, needed, |from| copy_rows(from, stride, plane.bytes, plane.stride as usize, row, rows));
        if !is_copied {
            return Err(beyond());
        }
    }
    Ok(())
}

/// Reads so many bytes of a buffer where they lie, or in one piece where they lie in several; false where they are not within it.
fn read(buffer: &gst::BufferRef, from: usize, bytes: usize, read: impl FnOnce(&[u8]) -> bool) -> bool {
    // GStreamer maps a plane by its first byte, and does not look where it ends.
    let Some(end) = from.checked_add(bytes).filter(|end| *end <= buffer.size()) else { return false };
    let Some((memories, skip)) = buffer.find_memory(from..end) else { return false };
    if memories.len() == 1 {
        let mapped = buffer.peek_memory(memories.start).map_readable();
        return mapped.is_ok_and(|mapped| mapped.get(skip..).is_some_and(read));
    }
    buffer.map_readable().is_ok_and(|mapped| mapped.get(from..end).is_some_and(read))
}

/// A copy of a frame in memory of its own, with its planes where they are to lie.
pub(crate) fn copied(frame: &Frame, format: &FrameFormat, to: &Layout) -> Option<gst::Buffer> {
    let mut bytes = vec![0; to.bytes];
    for (at, plane) in frame.planes().enumerate() {
        let stride = usize::try_from(*to.strides.get(at)?).ok()?;
        let into = bytes.get_mut(*to.offsets.get(at)?..)?;
        let rows = plane.height as usize;
        if !copy_rows(plane.bytes, plane.stride as usize, into, stride, packed(format, at), rows) {
            return None;
        }
    }
    Some(gst::Buffer::from_mut_slice(bytes))
}

/// Bytes of a row of a plane without what is behind it.
fn packed(format: &FrameFormat, plane: usize) -> usize {
    FrameFormat::new(format.pixel(), format.width(), format.height())
        // Whose rows may be longer can have them shorter.
        .map_or(0, |packed| packed.plane_stride(plane) as usize)
}

/// Bytes from the first of so many rows to the last, without what is behind that; `None` where no memory has as many.
fn spanned(stride: usize, row: usize, rows: usize) -> Option<usize> {
    rows.saturating_sub(1).checked_mul(stride)?.checked_add(row)
}

/// False where either has fewer bytes than that.
fn copy_rows(from: &[u8], stride: usize, into: &mut [u8], into_stride: usize, row: usize, rows: usize) -> bool {
    let (Some(needed), Some(taken)) = (spanned(stride, row, rows), spanned(into_stride, row, rows)) else {
        return false;
    };
    if stride < row || into_stride < row || from.len() < needed || into.len() < taken {
        return false;
    }
    if stride == into_stride {
        into[..needed].copy_from_slice(&from[..needed]);
        return true;
    }
    for (from, into) in from.chunks(stride).zip(into.chunks_mut(into_stride)).take(rows) {
        into[..row].copy_from_slice(&from[..row]);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_copied_from_one_stride_to_another_and_nothing_beyond_them() {
        let from: Vec<u8> = (1..=11).collect();
        let mut into = [0; 8];
        assert!(copy_rows(&from, 4, &mut into, 3, 2, 3));
        assert_eq!(into, [1, 2, 0, 5, 6, 0, 9, 10]);
    }

    #[test]
    fn what_is_too_short_is_not_copied() {
        let mut into = [0; 6];
        assert!(!copy_rows(&[1; 9], 4, &mut into, 2, 2, 3));
        assert!(copy_rows(&[1; 10], 4, &mut into, 2, 2, 3));
        assert!(!copy_rows(&[1; 10], 4, &mut into[..5], 2, 2, 3));
        assert!(!copy_rows(&[1; 10], 1, &mut into, 2, 2, 3));
    }
}
