//! What a picture is.

use std::sync::Arc;
use std::time::Instant;

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
    pub(crate) jpeg: Arc<[u8]>,
}
