//! Painting on the planes of a frame, whatever its pixel format.

use framewire_transport::frame::{FrameFormat, PixelFormat};

use crate::picture::{PictureError, whole};

/// Darkest value painted: black in limited-range video, so that colour conversion leaves it dark.
pub(super) const BLACK: u8 = 16;
/// Brightest value painted: white in limited-range video.
pub(super) const WHITE: u8 = 235;
/// Chroma of anything without colour.
const NEUTRAL: u8 = 128;

/// Pixels after which the gradient repeats.
const PERIOD: usize = 256;
/// Pixels of gradient that are copied at once.
const RUN: usize = 8 * PERIOD;
/// One period more than a run, so that a run can begin at any phase.
const SPAN: usize = RUN + PERIOD;

/// Brightness along the gradient, and U and V along theirs.
static LUMA: [u8; SPAN] = ramps::<SPAN, 1>(BLACK, WHITE);
static CHROMA: [u8; SPAN] = ramps::<SPAN, 1>(64, 192);
/// Blue, green and red, a third of a period apart.
static COLOUR: [u8; 3 * SPAN] = ramps::<{ 3 * SPAN }, 3>(BLACK, WHITE);

/// Values that go up from `low` to `high` and down again once a period; `CHANNELS` of them interleaved.
const fn ramps<const BYTES: usize, const CHANNELS: usize>(low: u8, high: u8) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let mut i = 0;
    while i < BYTES {
        let at = (i / CHANNELS + (i % CHANNELS) * PERIOD / 3) % PERIOD;
        let height = if at < PERIOD / 2 { at } else { PERIOD - at };
        bytes[i] = low + (height * (high - low) as usize / (PERIOD / 2)) as u8;
        i += 1;
    }
    bytes
}

/// A frame being painted.
pub(super) struct Canvas<'a> {
    bytes: &'a mut [u8],
    format: &'a FrameFormat,
}

impl<'a> Canvas<'a> {
    /// # Errors
    /// `bytes` has not exactly [`FrameFormat::frame_bytes`].
    pub(super) fn new(bytes: &'a mut [u8], format: &'a FrameFormat) -> Result<Self, PictureError> {
        whole(bytes.len(), format)?;
        Ok(Self { bytes, format })
    }

    pub(super) fn size(&self) -> (u32, u32) {
        (self.format.width(), self.format.height())
    }

    /// Covers every byte with frame `number`'s gradient: each row is a copy of the precomputed one at its own phase.
    pub(super) fn gradient(&mut self, number: u64) {
        let number = number as u8;
        let mut rest = &mut *self.bytes;
        for plane in 0..self.format.planes() {
            let (pixels, tail) = rest.split_at_mut(self.format.plane_bytes(plane));
            rest = tail;
            let (table, motion): (&[u8], u8) = match (self.format.pixel(), plane) {
                (PixelFormat::Bgr24, _) => (&COLOUR, number.wrapping_mul(3)),
                (_, 0) => (&LUMA, number.wrapping_mul(3)),
                (_, 1) => (&CHROMA, number.wrapping_mul(2)),
                (_, _) => (&CHROMA, 128_u8.wrapping_sub(number)),
            };
            let pixel_bytes = self.format.bytes_per_pixel(plane);
            let row_bytes = self.format.plane_size(plane).0 as usize * pixel_bytes;
            let rows = pixels.chunks_exact_mut(self.format.plane_stride(plane) as usize);
            for (y, row) in rows.enumerate() {
                let (picture, gap) = row.split_at_mut(row_bytes);
                let phase = usize::from((y as u8).wrapping_add(motion)) * pixel_bytes;
                for run in picture.chunks_mut(RUN * pixel_bytes) {
                    run.copy_from_slice(&table[phase..phase + run.len()]);
                }
                gap.fill(0);
            }
        }
    }

    /// Fills a rectangle with a brightness, without colour. What lies outside the frame is left out.
    pub(super) fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, brightness: u8) {
        let mut rest = &mut *self.bytes;
        for plane in 0..self.format.planes() {
            let (pixels, tail) = rest.split_at_mut(self.format.plane_bytes(plane));
            rest = tail;
            let (across, down) = if plane == 0 { (1, 1) } else { self.format.pixel().chroma_divisors() };
            let (columns, rows) = self.format.plane_size(plane);
            let pixel_bytes = self.format.bytes_per_pixel(plane);
            let value = if plane == 0 { brightness } else { NEUTRAL };
            let edge = |at: u32, by: u32, end: u32| at.div_ceil(by).min(end) as usize;
            let (left, right) = ((x / across).min(columns) as usize, edge(x.saturating_add(width), across, columns));
            let (top, bottom) = ((y / down).min(rows) as usize, edge(y.saturating_add(height), down, rows));
            let stride = self.format.plane_stride(plane) as usize;
            for row in pixels.chunks_exact_mut(stride).take(bottom).skip(top) {
                row[left * pixel_bytes..right * pixel_bytes].fill(value);
            }
        }
    }
}

/// Bytes from pixel to pixel, plane by plane.
trait PlaneLayout {
    fn planes(&self) -> usize;
    fn bytes_per_pixel(&self, plane: usize) -> usize;
}

impl PlaneLayout for FrameFormat {
    fn planes(&self) -> usize {
        self.pixel().planes()
    }

    fn bytes_per_pixel(&self, plane: usize) -> usize {
        if plane == 0 { self.pixel().bytes_per_pixel() as usize } else { 1 }
    }
}
