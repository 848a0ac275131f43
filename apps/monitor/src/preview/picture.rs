//! What a picture is.

use std::time::Instant;

use bytes::Bytes;
use framewire_pictures::{ValueRange, is_ranged};
use framewire_transport::PixelFormat;

/// How pictures are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PreviewConfig {
    /// Pictures a second of each stream, at most; 0 for none at all.
    pub rate: f64,
    /// Width of a tile's picture in pixels, at most.
    pub width: u32,
}

/// Which picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PictureSize {
    /// As wide as [`PreviewConfig::width`], at most.
    Tile,
    /// As the frame is, as far as [`FULL_WIDTH_MAX`].
    Full,
}

/// Which picture, and how its values are shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PictureKind {
    pub(crate) size: PictureSize,
    /// Automatic for formats that have no range to choose.
    pub(crate) range: ValueRange,
}

impl PictureKind {
    /// What a page shows first.
    pub(crate) const TILE: Self = Self { size: PictureSize::Tile, range: ValueRange::Automatic };

    /// Of frames of this format, for which a range may mean nothing.
    pub(crate) fn of(pixel: PixelFormat, size: PictureSize, range: ValueRange) -> Self {
        Self { size, range: if is_ranged(pixel) { range } else { ValueRange::Automatic } }
    }

    /// Whether somebody gave its range: there are as many such kinds as there are numbers.
    pub(crate) fn is_given(&self) -> bool {
        self.range != ValueRange::Automatic
    }
}

/// What fills a screen. Beyond, encoding a picture takes longer than looking at it is worth.
pub(crate) const FULL_WIDTH_MAX: u32 = 1920;

/// A JPEG picture of a frame.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    /// Counts the pictures of its stream, from 1.
    pub(crate) serial: u64,
    pub(crate) taken: Instant,
    /// The number of the frame.
    pub(crate) frame: u64,
    pub(crate) kind: PictureKind,
    pub(crate) jpeg: Bytes,
}
