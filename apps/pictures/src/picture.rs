//! A picture, and how it is taken of a frame.

use framewire_transport::frame::{FrameFormat, PixelFormat};

use crate::bayer;
use crate::depth;
use crate::limits::Limits;
use crate::raster::{Level, Meaning, Memory};
use crate::reading::{Reading, is_ranged};

/// How the pixels of a [`Picture`] are laid out, rows packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// One byte a pixel.
    Gray,
    /// Red, green, blue: three bytes a pixel.
    Rgb,
    /// Luma and both colour differences, full range, as JPEG has them: three bytes a pixel.
    Ycbcr,
}

impl Layout {
    /// Bytes of a pixel.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::Rgb | Self::Ycbcr => 3,
        }
    }
}

/// How a frame is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Look {
    /// What is black and white in formats that are [ranged](crate::is_ranged); `None` for [all that there can be](Limits::full).
    pub limits: Option<Limits>,
    /// Whether luma and chroma go from 0 to the end, instead of the limited range of video.
    pub is_full_range: bool,
}

/// A picture. Its memory is used again for the next one.
#[derive(Debug, Default)]
pub struct Picture {
    width: u32,
    height: u32,
    layout: Option<Layout>,
    pixels: Vec<u8>,
    memory: Memory,
}

impl Picture {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the picture in `frame`, the pixels of a frame of `format`, no side of it longer than `side_max` pixels and none longer
    /// than it was. Bayer that does not fit is at most half as large as it was. False where no picture can be made: the format is
    /// not [pictured](crate::is_pictured), or `frame` is shorter than a frame of it.
    ///
    /// # Panics
    /// Where `side_max` is 0.
    #[must_use]
    pub fn take(&mut self, frame: &[u8], format: &FrameFormat, side_max: u32, look: Look) -> bool {
        assert!(side_max > 0, "a side of 0 pixels");
        let (width, height) = fit(format, side_max);
        self.pixels.clear();
        (self.width, self.height, self.layout) = (0, 0, None);
        let Some(reading) = Reading::new(format, width).filter(|_| frame.len() >= format.frame_bytes()) else {
            return false;
        };
        let layout = match &reading {
            Reading::Rasters(layout, _) => *layout,
            Reading::Demosaic(..) => Layout::Rgb,
            Reading::Depth => Layout::Gray,
        };
        let (size, values) = ((width as usize, height as usize), layout.bytes_per_pixel());
        self.pixels.resize(size.0 * size.1 * values, 0);
        let (target, memory) = (&mut self.pixels[..], &mut self.memory);
        match reading {
            Reading::Rasters(_, rasters) => {
                for raster in rasters {
                    let level = level(format.pixel(), raster.meaning, raster.bits, look);
                    raster.shrink(frame, level, size, values, target, memory);
                }
            }
            Reading::Demosaic(order, plane) => {
                let level = level(format.pixel(), plane.meaning, plane.bits, look);
                bayer::demosaic(&plane, order, frame, level, size, target, memory);
            }
            Reading::Depth => {
                let limits = look.limits.unwrap_or_else(|| Limits::full(format.pixel()));
                depth::shrink(frame, format, limits, size, target, memory);
            }
        }
        (self.width, self.height, self.layout) = (width, height, Some(layout));
        true
    }

    /// Pixels in a row.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// How its pixels are laid out; gray where none was taken.
    pub fn layout(&self) -> Layout {
        self.layout.unwrap_or(Layout::Gray)
    }

    /// Its pixels, rows packed; none where none was taken.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Makes RGB of luma and colour differences; leaves all else as it is.
    pub fn to_rgb(&mut self) {
        if self.layout != Some(Layout::Ycbcr) {
            return;
        }
        for pixel in self.pixels.chunks_exact_mut(3) {
            let (luma, blue, red) = (i32::from(pixel[0]) << 16, i32::from(pixel[1]) - 128, i32::from(pixel[2]) - 128);
            // 1.402, 0.344136, 0.714136 and 1.772, times 2^16.
            let values = [luma + 91_881 * red, luma - 22_554 * blue - 46_802 * red, luma + 116_130 * blue];
            for (value, sum) in pixel.iter_mut().zip(values) {
                *value = ((sum + (1 << 15)) >> 16).clamp(0, 255) as u8;
            }
        }
        self.layout = Some(Layout::Rgb);
    }
}

/// How samples of `bits` bits become bytes.
fn level(pixel: PixelFormat, meaning: Meaning, bits: u32, look: Look) -> Level {
    let all = ((1_u32 << bits) - 1) as f32;
    let unit = (1_u32 << (bits - 8)) as f32;
    match meaning {
        Meaning::Light => match look.limits.filter(|_| is_ranged(pixel)) {
            None => Level { scale: 255.0 / all, offset: 0.0 },
            Some(limits) => {
                let scale = 255.0 / (limits.high() - limits.low());
                Level { scale: scale as f32, offset: (-limits.low() * scale) as f32 }
            }
        },
        Meaning::Luma if look.is_full_range => Level { scale: 255.0 / all, offset: 0.0 },
        Meaning::Chroma if look.is_full_range => {
            let scale = 255.0 / all;
            Level { scale, offset: 128.0 - 128.0 * unit * scale }
        }
        Meaning::Luma => {
            let scale = 255.0 / (219.0 * unit);
            Level { scale, offset: -16.0 * unit * scale }
        }
        Meaning::Chroma => {
            let scale = 255.0 / (224.0 * unit);
            Level { scale, offset: 128.0 - 128.0 * unit * scale }
        }
    }
}

/// Sides in the same proportion, none longer than `side_max` and none longer than it was.
fn fit(format: &FrameFormat, side_max: u32) -> (u32, u32) {
    let (width, height) = (format.width(), format.height());
    let longest = width.max(height);
    if longest <= side_max {
        return (width, height);
    }
    let is_bayer = matches!(format.pixel().layout(), framewire_transport::frame::PixelLayout::Bayer(_));
    let side_max = if is_bayer { side_max.min((longest / 2).max(1)) } else { side_max };
    let (longest, side_max) = (u64::from(longest), u64::from(side_max));
    let side = |pixels: u32| {
        let scaled = (u64::from(pixels) * side_max + longest / 2) / longest;
        u32::try_from(scaled.max(1)).unwrap_or(u32::MAX).min(pixels)
    };
    (side(width), side(height))
}
