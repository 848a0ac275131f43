//! Where frames come from: a moving test pattern, Y4M and raw frames out of files and pipes and, with the feature
//! `opencv`, cameras and encoded video.
//!
//! Every source is a [`FrameSource`] that writes pixels straight into the [`FrameMut`] it is given.
//! [`SourceSpec`] names one the way a command line does.
//!
//! ```
//! use framewire_capture::{FrameSource, SourceOptions, SourceSpec, pattern};
//! use framewire_transport::frame::FramePool;
//!
//! let spec: SourceSpec = "pattern:640x480:yuv420p".parse()?;
//! let mut source = spec.open(&SourceOptions::default())?;
//! let pool = FramePool::new(2, source.format().frame_bytes())?;
//! let mut frame = pool.try_acquire().expect("both slots are free");
//! assert!(source.next_frame(&mut frame)?);
//! assert_eq!(pattern::read_frame_number(&frame, &source.format()), Some(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`FrameMut`]: framewire_transport::frame::FrameMut
#![deny(unsafe_code)]

pub mod codes;
pub mod colour;
mod error;
mod fifo;
#[allow(unsafe_code, reason = "copies out of a file mapping; each block names its invariant")]
mod mapped_file;
pub mod pattern;
mod picture;
mod pipe;
mod raw;
mod raw_format;
mod raw_stream;
mod recording;
mod source;
mod spec;
#[cfg(feature = "opencv")]
mod video;
mod y4m;

pub use error::CaptureError;
pub use framewire_transport::frame::{FrameRate, FrameRateError};
pub use pattern::PatternSource;
pub use picture::PictureError;
pub use pipe::StopDescriptor;
pub use raw::RawSource;
pub use raw_format::{RawFormat, RawFormatError};
pub use raw_stream::RawStream;
pub use recording::{IndexEntry, IndexHeader, Recording, RecordingDamage, index_path};
pub use source::FrameSource;
pub use spec::{SourceOptions, SourceSpec, SourceSpecError};
#[cfg(feature = "opencv")]
pub use video::VideoSource;
pub use y4m::{Y4mError, Y4mFile, Y4mStream};
