//! Painting on the planes of a frame, whatever its pixel format.

use framewire_transport::frame::FrameFormat;

use super::rows::{Kind, RUN, rule, storage};
use super::samples::Storage;
use crate::picture::{PictureError, whole};

/// Darkest value painted: black in limited-range video, so that colour conversion leaves it dark.
pub(super) const BLACK: u8 = 16;
/// Brightest value painted: white in limited-range video.
pub(super) const WHITE: u8 = 235;
/// Chroma of anything without colour.
const NEUTRAL: u8 = 128;
const OPAQUE: u8 = 255;

/// A frame being painted, of any format whose frames are all of one size.
pub(super) struct Canvas<'a> {
    bytes: &'a mut [u8],
    format: &'a FrameFormat,
    storage: Storage,
}

impl<'a> Canvas<'a> {
    /// # Errors
    /// `bytes` has not exactly [`FrameFormat::frame_bytes`].
    pub(super) fn new(bytes: &'a mut [u8], format: &'a FrameFormat) -> Result<Self, PictureError> {
        whole(bytes.len(), format)?;
        Ok(Self { bytes, format, storage: storage(format.pixel()) })
    }

    pub(super) fn size(&self) -> (u32, u32) {
        (self.format.width(), self.format.height())
    }

    /// Covers every byte with frame `number`'s gradient: each row is a copy of the precomputed one at its own phase.
    pub(super) fn gradient(&mut self, number: u64) {
        let (number, storage, format) = (number as u8, self.storage, self.format);
        for (plane, pixels) in planes(self.bytes, format) {
            let motion = match plane {
                0 => number.wrapping_mul(3),
                1 => number.wrapping_mul(2),
                _ => 128_u8.wrapping_sub(number),
            };
            let rows = pixels.chunks_exact_mut(format.plane_stride(plane) as usize);
            for (y, row) in rows.enumerate() {
                let rule = rule(format.pixel(), plane, y);
                let table = rule.gradient((y as u8).wrapping_add(motion));
                let (mut left, mut at) = (rule.samples(format.plane_size(plane).0 as usize), 0);
                let run = rule.samples(RUN);
                while left > 0 {
                    let now = left.min(run);
                    let bytes = storage.bytes(now);
                    storage.store_all(&mut row[at..at + bytes], &table[..now]);
                    (left, at) = (left - now, at + bytes);
                }
                row[at..].fill(0);
            }
        }
    }

    /// Fills a rectangle with a brightness, without colour. What lies outside the frame is left out.
    pub(super) fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, brightness: u8) {
        let (storage, format) = (self.storage, self.format);
        let edge = |at: u32, by: u32, end: u32| at.div_ceil(by).min(end) as usize;
        let light = storage.level(brightness);
        for (plane, pixels) in planes(self.bytes, format) {
            let (across, down) = if plane == 0 { (1, 1) } else { format.pixel().chroma_divisors() };
            let (columns, lines) = format.plane_size(plane);
            let (left, right) = ((x / across).min(columns) as usize, edge(x.saturating_add(width), across, columns));
            let (top, bottom) = ((y / down).min(lines) as usize, edge(y.saturating_add(height), down, lines));
            let rows = pixels.chunks_exact_mut(format.plane_stride(plane) as usize);
            for (y, row) in rows.enumerate().take(bottom).skip(top) {
                let rule = rule(format.pixel(), plane, y);
                if storage == Storage::Byte && rule.is_plain() {
                    let value = if plane == 0 { brightness } else { NEUTRAL };
                    row[rule.samples(left)..rule.samples(right)].fill(value);
                    continue;
                }
                rule.samples_of(left, right, columns as usize, |sample, kind| {
                    let level = match kind {
                        Kind::Light(_) => light,
                        Kind::Chroma => storage.level(NEUTRAL),
                        Kind::Alpha => storage.level(OPAQUE),
                    };
                    storage.store(row, sample, level);
                });
            }
        }
    }
}

/// All planes, each with its number.
fn planes<'a>(bytes: &'a mut [u8], format: &FrameFormat) -> impl Iterator<Item = (usize, &'a mut [u8])> {
    let mut rest = bytes;
    (0..format.pixel().planes()).map(move |plane| {
        let (pixels, tail) = std::mem::take(&mut rest).split_at_mut(format.plane_bytes(plane));
        rest = tail;
        (plane, pixels)
    })
}

/// Whether a square of the first plane of a whole frame is bright, by its mean. It must lie in the frame.
pub(super) fn is_bright(bytes: &[u8], format: &FrameFormat, (x, y): (u32, u32), side: u32) -> bool {
    let storage = storage(format.pixel());
    let (left, right) = (x as usize, (x + side) as usize);
    let (mut sum, mut count) = (0_u64, 0);
    for (at, row) in bytes.chunks_exact(format.stride() as usize).enumerate().skip(y as usize).take(side as usize) {
        let rule = rule(format.pixel(), 0, at);
        rule.samples_of(left, right, format.width() as usize, |sample, kind| {
            if let Kind::Light(_) = kind {
                sum += u64::from(storage.load(row, sample));
                count += 1;
            }
        });
    }
    sum >= count * u64::from(storage.level(128))
}
