//! Depths as gray: what is not known is black, and spoils nothing beside it.

use framewire_transport::frame::{FrameFormat, PixelFormat};

use crate::limits::Limits;
use crate::raster::{Memory, columns, rows, span};

/// Fills `target` with a gray picture of `size` pixels.
pub(crate) fn shrink(
    frame: &[u8],
    format: &FrameFormat,
    limits: Limits,
    size: (usize, usize),
    target: &mut [u8],
    memory: &mut Memory,
) {
    let Memory { spans, depths, .. } = memory;
    let (width, height, stride) = (format.width() as usize, format.height() as usize, format.stride() as usize);
    columns(size.0, width, spans);
    for (nth, target) in target.chunks_exact_mut(size.0).enumerate() {
        let (first, end) = span(nth, size.1, height);
        depths.clear();
        depths.resize(width, (0.0, 0));
        for row in rows(first, end) {
            let row = &frame[row * stride..];
            match format.pixel() {
                PixelFormat::Depth32f => add(row.chunks_exact(4).map(float), depths),
                _ => add(row.chunks_exact(2).map(word), depths),
            }
        }
        for (&(left, right), value) in spans.iter().zip(target) {
            let all = depths[left..right].iter();
            let (sum, count) = all.fold((0.0, 0), |(sum, count), known| (sum + known.0, count + known.1));
            *value = if count == 0 { 0 } else { limits.shade(sum / f64::from(count)) };
        }
    }
}

fn add(values: impl Iterator<Item = Option<f64>>, depths: &mut [(f64, u32)]) {
    for (known, value) in depths.iter_mut().zip(values) {
        if let Some(value) = value {
            known.0 += value;
            known.1 += 1;
        }
    }
}

/// A depth, unless it is no number or endless, as cameras say that they see none.
pub(crate) fn float(bytes: &[u8]) -> Option<f64> {
    let value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    value.is_finite().then(|| f64::from(value))
}

/// A depth, unless it is 0, which cameras say where they see none.
pub(crate) fn word(bytes: &[u8]) -> Option<f64> {
    let value = u16::from_le_bytes([bytes[0], bytes[1]]);
    (value != 0).then(|| f64::from(value))
}
