//! Frames of every pixel format as pictures for people: gray or colour, eight bits a value, as large as they are or smaller.
//!
//! A [`Picture`] is taken of a frame's pixels in one pass over its rows: each pixel of it is the mean of those it stands for, and
//! nothing of the frame's size lies in between. Bayer is demosaiced on the way: each 2×2 cell is a pixel where the picture is half as
//! large as the frame or smaller, and its neighbours give each pixel the colours that it lacks where it is larger. Grays and Bayer of
//! more than 8 bits, and depths, are shown by [`Limits`]: what is black and what is white, [measured](Limits::measured) or given.
//!
//! | formats | layout of the picture |
//! |---|---|
//! | gray, depth | gray |
//! | RGB in any order, Bayer | RGB; alpha is left out |
//! | YUV, planar and packed | Y, Cb, Cr of full range, as JPEG has them; [`Picture::to_rgb`] makes RGB of them |
//! | packed bits (`mono10p` …), `bytes` | none: [`is_pictured`] says so |
#![forbid(unsafe_code)]

mod bayer;
mod depth;
mod jpeg;
mod limits;
mod picture;
mod raster;
mod reading;

pub use jpeg::JpegError;
pub use limits::{Limits, RangeError, ValueRange};
pub use picture::{Layout, Look, Picture};
pub use reading::{is_pictured, is_ranged};
