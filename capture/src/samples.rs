//! What the samples of a file are taken for that says how many a pixel has, and not what they mean.

use framewire_transport::frame::{PixelFormat, PixelLayout};

/// What one sample is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    Uint8,
    Uint16,
    Float32,
}

impl Sample {
    /// As NumPy calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "uint8",
            Self::Uint16 => "uint16",
            Self::Float32 => "float32",
        }
    }

    pub(crate) const fn bytes(self) -> u32 {
        match self {
            Self::Uint8 => 1,
            Self::Uint16 => 2,
            Self::Float32 => 4,
        }
    }

    /// What pixels of so many such samples are taken for where nothing else is asked for.
    pub(crate) const fn pixel(self, channels: u32) -> Option<PixelFormat> {
        match (self, channels) {
            (Self::Uint8, 1) => Some(PixelFormat::Gray8),
            (Self::Uint8, 3) => Some(PixelFormat::Rgb24),
            (Self::Uint8, 4) => Some(PixelFormat::Rgba32),
            (Self::Uint16, 1) => Some(PixelFormat::Gray16),
            (Self::Float32, 1) => Some(PixelFormat::Depth32f),
            _ => None,
        }
    }

    /// Whether pixels of so many such samples may be of this format.
    pub(crate) fn may_be(self, channels: u32, pixel: PixelFormat) -> bool {
        let fits = match pixel.layout() {
            PixelLayout::Gray | PixelLayout::Bayer(_) | PixelLayout::Depth => channels == 1 && self != Self::Float32,
            PixelLayout::DepthFloat => channels == 1 && self == Self::Float32,
            PixelLayout::Rgb | PixelLayout::Bgr => channels == 3,
            PixelLayout::Rgba | PixelLayout::Bgra => channels == 4,
            _ => false,
        };
        fits && pixel.sample_bytes() == Some(self.bytes())
    }

    /// The names of all formats that such pixels may be of.
    pub(crate) fn names(self, channels: u32) -> String {
        let may = PixelFormat::ALL.iter().filter(|pixel| self.may_be(channels, **pixel));
        may.map(|pixel| pixel.name()).collect::<Vec<_>>().join(", ")
    }
}
