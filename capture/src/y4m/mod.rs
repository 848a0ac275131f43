//! Y4M, the uncompressed video that ffmpeg, GStreamer and every encoder read and write: one text line, then each frame
//! as a line `FRAME` and its planes.

mod file;
mod header;
mod stream;

pub use file::Y4mFile;
pub use header::Y4mError;
pub use stream::Y4mStream;

pub(crate) use header::MAGIC;
