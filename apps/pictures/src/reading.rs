//! How the frames of each format are read.

use framewire_transport::frame::{BayerOrder, FrameFormat, PixelFormat, PixelLayout};

use crate::picture::Layout;
use crate::raster::{Channel, Meaning, Raster, Samples};

/// Whether a picture can be made of frames of this format: of all but packed bits and bytes.
pub fn is_pictured(pixel: PixelFormat) -> bool {
    !matches!(pixel.layout(), PixelLayout::Packed | PixelLayout::Bytes)
}

/// Whether its pictures are shown by [`Limits`](crate::Limits): grays and Bayer of more than 8 bits, and depths.
pub fn is_ranged(pixel: PixelFormat) -> bool {
    match pixel.layout() {
        PixelLayout::Gray | PixelLayout::Bayer(_) => pixel.bits() > 8,
        PixelLayout::Depth | PixelLayout::DepthFloat => true,
        _ => false,
    }
}

/// How the frames of a format become pictures.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Each raster fills its own values of the picture.
    Rasters(Layout, Vec<Raster>),
    /// Bayer at its full size: the raster is its one plane.
    Demosaic(BayerOrder, Raster),
    /// Depths: some are not known.
    Depth,
}

impl Reading {
    /// How frames of `format` become a picture `width` pixels wide; `None` where they are none.
    pub(crate) fn new(format: &FrameFormat, width: u32) -> Option<Self> {
        let pixel = format.pixel();
        let samples = if pixel.sample_bytes() == Some(2) { Samples::Words } else { Samples::Bytes };
        // The ten bits of p010 are the upper ones of sixteen.
        let bits = if pixel == PixelFormat::P010 { 16 } else { pixel.bits() };
        let raster = |plane: usize, meaning, step: usize, channels: &[Channel]| {
            let (width, height) = format.plane_size(plane);
            let stride = format.plane_stride(plane) as usize;
            Raster {
                begin: (0..plane).map(|plane| format.plane_bytes(plane)).sum(),
                width: width as usize,
                height: height as usize,
                stride,
                row_bytes: width as usize * step * samples.bytes().unwrap_or(1),
                samples,
                meaning,
                bits,
                step,
                channels: channels.to_vec(),
            }
        };
        let one = Channel::new;
        let colours = |step, [red, green, blue]: [usize; 3]| {
            let raster = raster(0, Meaning::Light, step, &[one(0, red), one(1, green), one(2, blue)]);
            Self::Rasters(Layout::Rgb, vec![raster])
        };
        let gray = || Self::Rasters(Layout::Gray, vec![raster(0, Meaning::Light, 1, &[one(0, 0)])]);
        // Two pixels have a colour difference each; all lie in one plane.
        let packed = |samples, luma: usize, chroma: [usize; 2]| {
            let whole = raster(0, Meaning::Luma, 2, &[one(0, luma)]);
            let row_bytes = if samples == Samples::V210 { whole.width.div_ceil(6) * 16 } else { whole.row_bytes };
            let luma = Raster { samples, row_bytes, ..whole };
            let channels = vec![one(1, chroma[0]), one(2, chroma[1])];
            let width = luma.width / 2;
            let chroma = Raster { meaning: Meaning::Chroma, width, step: 4, channels, ..luma.clone() };
            Self::Rasters(Layout::Ycbcr, vec![luma, chroma])
        };
        Some(match pixel.layout() {
            PixelLayout::Gray => gray(),
            PixelLayout::Rgb => colours(3, [0, 1, 2]),
            PixelLayout::Bgr => colours(3, [2, 1, 0]),
            PixelLayout::Rgba => colours(4, [0, 1, 2]),
            PixelLayout::Bgra => colours(4, [2, 1, 0]),
            PixelLayout::YuvPlanar => {
                let plane = |nth, meaning| raster(nth, meaning, 1, &[one(nth, 0)]);
                let planes = vec![plane(0, Meaning::Luma), plane(1, Meaning::Chroma), plane(2, Meaning::Chroma)];
                Self::Rasters(Layout::Ycbcr, planes)
            }
            PixelLayout::YuvSemiPlanar => {
                let luma = raster(0, Meaning::Luma, 1, &[one(0, 0)]);
                let chroma = raster(1, Meaning::Chroma, 2, &[one(1, 0), one(2, 1)]);
                Self::Rasters(Layout::Ycbcr, vec![luma, chroma])
            }
            PixelLayout::YuvPacked if pixel == PixelFormat::Uyvy => packed(samples, 1, [0, 2]),
            PixelLayout::YuvPacked => packed(samples, 0, [1, 3]),
            // Its samples are in the order of uyvy.
            PixelLayout::V210 => packed(Samples::V210, 1, [0, 2]),
            // No cell is whole.
            PixelLayout::Bayer(_) if format.width() < 2 || format.height() < 2 => gray(),
            PixelLayout::Bayer(order) => {
                let plane = raster(0, Meaning::Light, 1, &[one(0, 0), one(1, 1), one(2, 2)]);
                if width > format.width() / 2 { Self::Demosaic(order, plane) } else { cells(order, plane) }
            }
            PixelLayout::Depth | PixelLayout::DepthFloat => Self::Depth,
            _ => return None,
        })
    }
}

/// Each 2×2 cell is a pixel: two rows of the plane are one of the raster.
fn cells(order: BayerOrder, plane: Raster) -> Reading {
    let below = plane.stride / plane.samples.bytes().unwrap_or(1);
    let [red, blue, greens] = match order {
        BayerOrder::Rggb => [[0, 0], [below + 1, 0], [1, below]],
        BayerOrder::Grbg => [[1, 0], [below, 0], [0, below + 1]],
        BayerOrder::Gbrg => [[below, 0], [1, 0], [0, below + 1]],
        BayerOrder::Bggr => [[below + 1, 0], [0, 0], [1, below]],
    };
    let channels = vec![
        Channel::new(0, red[0]),
        Channel { target: 1, sample: greens[0], second: Some(greens[1]) },
        Channel::new(2, blue[0]),
    ];
    let raster = Raster {
        width: plane.width / 2,
        height: plane.height / 2,
        stride: plane.stride * 2,
        row_bytes: plane.stride + plane.row_bytes,
        step: 2,
        channels,
        ..plane
    };
    Reading::Rasters(Layout::Rgb, vec![raster])
}
