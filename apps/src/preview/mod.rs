//! Small pictures of a stream for people to look at, made beside the data path.
//!
//! A frame is taken only when somebody waits for a picture and one is due, so a stream that nobody looks at costs a picture
//! a second, and one that many look at no more than one that few do. One thread makes all pictures, with low priority: it
//! scales a frame down, gives its slot back, and encodes the rest. Where it cannot keep up, pictures are fewer.

mod jpeg;
mod scale;
mod tap;
mod worker;

use std::sync::Arc;
use std::time::Instant;

pub(crate) use tap::PictureTap;
pub(crate) use worker::PreviewWorker;

/// How pictures are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PreviewConfig {
    /// Pictures a second of each stream, at most; 0 for none at all.
    pub(crate) rate: f64,
    /// Width of a tile's picture in pixels, at most.
    pub(crate) width: u32,
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
