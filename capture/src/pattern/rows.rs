//! Which samples a row has, format by format, and the gradient that each of them follows.

use framewire_transport::frame::{BayerOrder, PixelFormat, PixelLayout};

use super::samples::{MILLIMETRES, Storage};
use super::{BLACK, WHITE};

/// Pixels after which the gradient repeats.
const PERIOD: usize = 256;
/// Pixels of gradient that are written at once: a whole number of the groups in which any format packs them.
pub(super) const RUN: usize = 6 * PERIOD;
/// One period more than a run, so that a run can begin at any phase.
const SPAN: usize = RUN + PERIOD;

/// What a sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Brightness, or one of the colours, of this pixel of its group.
    Light(usize),
    /// Chroma, of all pixels of the group.
    Chroma,
    /// How much hides what is behind.
    Alpha,
}

/// The samples of a row of a plane: groups of pixels of this plane, one after the other.
pub(super) struct RowRule {
    /// Pixels of a group.
    pub(super) pixels: usize,
    /// The samples of a group.
    kinds: &'static [Kind],
    /// The samples of the gradient: those of [`SPAN`] pixels.
    gradient: &'static [u8],
}

impl RowRule {
    /// How many samples a row of `columns` pixels has.
    pub(super) const fn samples(&self, columns: usize) -> usize {
        columns * self.kinds.len() / self.pixels
    }

    /// The gradient's samples from this pixel of its period on, which must be the first of a group.
    pub(super) fn gradient(&self, phase: u8) -> &'static [u8] {
        &self.gradient[self.samples(phase as usize / self.pixels * self.pixels)..]
    }

    /// Whether a byte's value follows from the plane alone: each pixel has its own samples, all light or all chroma.
    pub(super) fn is_plain(&self) -> bool {
        self.pixels == 1 && self.kinds.iter().all(|kind| *kind == self.kinds[0])
    }

    /// Calls `each` with the samples of the groups that have a pixel from `left` to before `right`, of a row of `columns`; light of other
    /// pixels in these groups is left out.
    pub(super) fn samples_of(&self, left: usize, right: usize, columns: usize, mut each: impl FnMut(usize, Kind)) {
        let end = self.samples(columns);
        for group in left / self.pixels..right.div_ceil(self.pixels) {
            let (first, pixel) = (group * self.kinds.len(), group * self.pixels);
            for (nth, kind) in self.kinds.iter().enumerate() {
                let is_outside = matches!(kind, Kind::Light(at) if !(left..right).contains(&(pixel + at)));
                if !is_outside && first + nth < end {
                    each(first + nth, *kind);
                }
            }
        }
    }
}

/// A value along the gradient: up from `low` to `high` and down again once a period.
#[derive(Clone, Copy)]
struct Ramp {
    low: u8,
    high: u8,
    /// Pixels by which it is ahead.
    ahead: usize,
}

const LUMA: Ramp = Ramp { low: BLACK, high: WHITE, ahead: 0 };
const BLUE: Ramp = LUMA;
/// The colours are a third of a period apart.
const GREEN: Ramp = Ramp { ahead: PERIOD / 3, ..LUMA };
const RED: Ramp = Ramp { ahead: 2 * PERIOD / 3, ..LUMA };
const U: Ramp = Ramp { low: 64, high: 192, ahead: 0 };
const V: Ramp = Ramp { ahead: PERIOD / 3, ..U };
const OPAQUE: Ramp = Ramp { low: 255, high: 255, ahead: 0 };

/// The samples of `SPAN` pixels, `SAMPLES` to each group of `pixels`.
const fn samples<const BYTES: usize, const SAMPLES: usize>(
    ramps: [Ramp; SAMPLES],
    at: [usize; SAMPLES],
    pixels: usize,
) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let mut i = 0;
    while i < BYTES {
        let Ramp { low, high, ahead } = ramps[i % SAMPLES];
        let x = (i / SAMPLES * pixels + at[i % SAMPLES] + ahead) % PERIOD;
        let height = if x < PERIOD / 2 { x } else { PERIOD - x };
        bytes[i] = low + (height * (high - low) as usize / (PERIOD / 2)) as u8;
        i += 1;
    }
    bytes
}

/// A rule with its gradient: `name: pixels of a group, [ramp of a sample, its pixel, what it is];`.
macro_rules! rules {
    ($($name:ident: $pixels:literal px, [$(($ramp:ident, $at:literal, $kind:expr)),+];)*) => {
        $(static $name: RowRule = RowRule {
            pixels: $pixels,
            kinds: &[$($kind),+],
            gradient: {
                const SAMPLES: usize = [$($at),+].len();
                static GRADIENT: [u8; SPAN / $pixels * SAMPLES] = samples([$($ramp),+], [$($at),+], $pixels);
                &GRADIENT
            },
        };)*
    };
}

rules! {
    GRAY: 1 px, [(LUMA, 0, Kind::Light(0))];
    CHROMA: 1 px, [(U, 0, Kind::Chroma)];
    CHROMA_PAIRS: 1 px, [(U, 0, Kind::Chroma), (V, 0, Kind::Chroma)];
    RGB: 1 px, [(RED, 0, Kind::Light(0)), (GREEN, 0, Kind::Light(0)), (BLUE, 0, Kind::Light(0))];
    BGR: 1 px, [(BLUE, 0, Kind::Light(0)), (GREEN, 0, Kind::Light(0)), (RED, 0, Kind::Light(0))];
    RGBA: 1 px, [(RED, 0, Kind::Light(0)), (GREEN, 0, Kind::Light(0)), (BLUE, 0, Kind::Light(0)), (OPAQUE, 0, Kind::Alpha)];
    BGRA: 1 px, [(BLUE, 0, Kind::Light(0)), (GREEN, 0, Kind::Light(0)), (RED, 0, Kind::Light(0)), (OPAQUE, 0, Kind::Alpha)];
    YUYV: 2 px, [(LUMA, 0, Kind::Light(0)), (U, 0, Kind::Chroma), (LUMA, 1, Kind::Light(1)), (V, 0, Kind::Chroma)];
    UYVY: 2 px, [(U, 0, Kind::Chroma), (LUMA, 0, Kind::Light(0)), (V, 0, Kind::Chroma), (LUMA, 1, Kind::Light(1))];
    RED_GREEN: 2 px, [(RED, 0, Kind::Light(0)), (GREEN, 1, Kind::Light(1))];
    GREEN_RED: 2 px, [(GREEN, 0, Kind::Light(0)), (RED, 1, Kind::Light(1))];
    GREEN_BLUE: 2 px, [(GREEN, 0, Kind::Light(0)), (BLUE, 1, Kind::Light(1))];
    BLUE_GREEN: 2 px, [(BLUE, 0, Kind::Light(0)), (GREEN, 1, Kind::Light(1))];
}

/// The samples of row `y` of a plane. Packed bits are brightness, whatever a camera means by them, and so is what is no picture.
pub(super) fn rule(pixel: PixelFormat, plane: usize, y: usize) -> &'static RowRule {
    let is_even = y.is_multiple_of(2);
    match (pixel.layout(), plane) {
        (PixelLayout::Rgb, _) => &RGB,
        (PixelLayout::Bgr, _) => &BGR,
        (PixelLayout::Rgba, _) => &RGBA,
        (PixelLayout::Bgra, _) => &BGRA,
        (PixelLayout::YuvPlanar, 1..) => &CHROMA,
        (PixelLayout::YuvSemiPlanar, 1..) => &CHROMA_PAIRS,
        (PixelLayout::YuvPacked, _) if pixel == PixelFormat::Yuyv => &YUYV,
        (PixelLayout::YuvPacked | PixelLayout::V210, _) => &UYVY,
        (PixelLayout::Bayer(order), _) => match (order, is_even) {
            (BayerOrder::Rggb, true) | (BayerOrder::Gbrg, false) => &RED_GREEN,
            (BayerOrder::Rggb, false) | (BayerOrder::Gbrg, true) => &GREEN_BLUE,
            (BayerOrder::Grbg, true) | (BayerOrder::Bggr, false) => &GREEN_RED,
            (BayerOrder::Grbg, false) | (BayerOrder::Bggr, true) => &BLUE_GREEN,
        },
        _ => &GRAY,
    }
}

/// How the samples of a format are stored.
pub(super) fn storage(pixel: PixelFormat) -> Storage {
    match (pixel.layout(), pixel.sample_bytes()) {
        (PixelLayout::V210, _) => Storage::V210,
        (PixelLayout::Packed, _) => Storage::Packed(pixel.bits()),
        (PixelLayout::DepthFloat, _) => Storage::Metres,
        (PixelLayout::Depth, _) => MILLIMETRES,
        // Of its 16 bits p010 uses the upper ones.
        (PixelLayout::YuvSemiPlanar, Some(2)) => Storage::Word { bits: pixel.bits(), up: 16 - pixel.bits() },
        (_, Some(2)) => Storage::Word { bits: pixel.bits(), up: 0 },
        _ => Storage::Byte,
    }
}
