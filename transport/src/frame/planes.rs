//! A frame's bytes, plane by plane.

use super::format::FrameFormat;

/// One plane of a frame, to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plane<'a> {
    /// Its bytes, `stride` × `height` of them, what is between rows included.
    pub bytes: &'a [u8],
    /// Pixels in a row, of this plane: a chroma plane of 4:2:0 has half as many as the picture, rounded up.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from the beginning of one row to the next, at least those of `width` pixels.
    pub stride: u32,
}

impl<'a> Plane<'a> {
    /// Its rows from the top, each `stride` bytes long: the pixels, and behind them what is between rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        // No plane has a stride of zero.
        self.bytes.chunks_exact(self.stride.max(1) as usize)
    }
}

/// One plane of a frame, to write.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaneMut<'a> {
    /// Its bytes, as in [`Plane::bytes`].
    pub bytes: &'a mut [u8],
    /// As [`Plane::width`].
    pub width: u32,
    /// As [`Plane::height`].
    pub height: u32,
    /// As [`Plane::stride`].
    pub stride: u32,
}

/// The planes of a frame in their order in memory, the first one first.
#[derive(Debug, Clone)]
pub struct Planes<'a> {
    layout: Layout,
    rest: &'a [u8],
}

/// The planes of a frame in their order in memory, to write.
#[derive(Debug)]
pub struct PlanesMut<'a> {
    layout: Layout,
    rest: &'a mut [u8],
}

/// Which planes are still to come.
#[derive(Debug, Clone)]
struct Layout {
    format: Option<FrameFormat>,
    next: usize,
}

/// Where a plane is and what it looks like.
struct Shape {
    bytes: usize,
    width: u32,
    height: u32,
    stride: u32,
}

impl Layout {
    fn new(format: Option<&FrameFormat>, len: usize) -> Self {
        let format = format.map(|format| format.of_length(len));
        Self { format: format.filter(|format| format.frame_bytes() <= len), next: 0 }
    }

    fn left(&self) -> usize {
        self.format.map_or(0, |format| format.pixel().planes() - self.next)
    }

    fn next(&mut self) -> Option<Shape> {
        let (plane, format) = (self.next, self.format.filter(|_| self.left() > 0)?);
        self.next += 1;
        let (width, height) = format.plane_size(plane);
        Some(Shape { bytes: format.plane_bytes(plane), width, height, stride: format.plane_stride(plane) })
    }
}

impl<'a> Planes<'a> {
    /// None where the format is not known or the bytes are fewer than a frame's.
    pub(super) fn new(format: Option<&FrameFormat>, bytes: &'a [u8]) -> Self {
        Self { layout: Layout::new(format, bytes.len()), rest: bytes }
    }
}

impl<'a> PlanesMut<'a> {
    /// None where the format is not known or the bytes are fewer than a frame's.
    pub(super) fn new(format: Option<&FrameFormat>, bytes: &'a mut [u8]) -> Self {
        Self { layout: Layout::new(format, bytes.len()), rest: bytes }
    }
}

impl<'a> Iterator for Planes<'a> {
    type Item = Plane<'a>;

    fn next(&mut self) -> Option<Plane<'a>> {
        let Shape { bytes, width, height, stride } = self.layout.next()?;
        let (bytes, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(Plane { bytes, width, height, stride })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.layout.left(), Some(self.layout.left()))
    }
}

impl<'a> Iterator for PlanesMut<'a> {
    type Item = PlaneMut<'a>;

    fn next(&mut self) -> Option<PlaneMut<'a>> {
        let Shape { bytes, width, height, stride } = self.layout.next()?;
        let (bytes, rest) = std::mem::take(&mut self.rest).split_at_mut_checked(bytes)?;
        self.rest = rest;
        Some(PlaneMut { bytes, width, height, stride })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.layout.left(), Some(self.layout.left()))
    }
}

impl ExactSizeIterator for Planes<'_> {}
impl ExactSizeIterator for PlanesMut<'_> {}
