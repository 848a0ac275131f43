//! Small pictures of a stream for people to look at, made beside the data path.
//!
//! A frame is taken only when somebody waits for a picture and one is due, so a stream that nobody looks at costs a picture
//! a second, and one that many look at no more than one that few do. One thread makes all pictures, when nothing else
//! wants the processor: it scales a frame down, gives its slot back, and encodes the rest. Where it cannot keep up, pictures are fewer.

mod desk;
mod jpeg;
mod maker;
mod picture;
mod tap;
mod worker;

pub(crate) use jpeg::JPEG_BYTES_MAX;
pub use picture::PreviewConfig;
pub(crate) use picture::{Picture, PictureKind, PictureSize};
pub use tap::PictureTap;
pub use worker::PreviewWorker;
