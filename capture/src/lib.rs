//! Where frames come from: a moving test pattern, Y4M and raw frames out of files and pipes, NumPy's arrays, MCAP, pictures and, with the feature
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
//! # A source of your own
//!
//! It is a type that implements [`FrameSource`]; whatever takes sources takes it. What goes wrong in it is a
//! [`CaptureError::Other`], in its own words.
//!
//! ```
//! use framewire_capture::{CaptureError, FrameSource};
//! use framewire_transport::frame::FramePool;
//! use framewire_transport::{FrameFormat, FrameMut, PixelFormat, Presentation, Time};
//!
//! /// Stands for a device that gives gray pictures.
//! struct Device {
//!     format: FrameFormat,
//! }
//!
//! impl FrameSource for Device {
//!     fn format(&self) -> FrameFormat {
//!         self.format
//!     }
//!     fn presentation(&self) -> Presentation {
//!         Presentation::UNKNOWN
//!     }
//!     fn frame_count(&self) -> Option<u64> {
//!         None
//!     }
//!     fn is_live(&self) -> bool {
//!         true
//!     }
//!     fn next_frame(&mut self, frame: &mut FrameMut) -> Result<bool, CaptureError> {
//!         frame
//!             .set_len(self.format.frame_bytes())
//!             .map_err(|error| CaptureError::Other { name: "the device".into(), source: error.into() })?;
//!         frame.info.captured = Time::now();
//!         frame.fill(128);
//!         Ok(true)
//!     }
//!     fn rewind(&mut self) -> Result<(), CaptureError> {
//!         Err(CaptureError::NoRewind { name: "the device".into(), reason: "it is live" })
//!     }
//! }
//!
//! let mut device = Device { format: FrameFormat::new(PixelFormat::Gray8, 640, 480)? };
//! let pool = FramePool::for_format(1, device.format())?;
//! let mut frame = pool.try_acquire().expect("the slot is free");
//! assert!(device.next_frame(&mut frame)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! To send what a source gives, hand `next_frame` what [`Sender::frame`] gives, and [`send`] it; a source need not be a [`FrameSource`]
//! for that, as the example `own_source` of `framewire-transport` shows.
//!
//! Every error has a stable [code](codes).
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `opencv` | cameras and encoded video: `VideoSource`, [`SourceSpec::Camera`] | off: it needs OpenCV's libraries |
//!
//! [`Sender::frame`]: framewire_transport::Sender::frame
//! [`send`]: framewire_transport::Sender::send
//! [`FrameMut`]: framewire_transport::frame::FrameMut
#![deny(unsafe_code)]

pub mod codes;
pub mod colour;
mod error;
mod fifo;
#[allow(unsafe_code, reason = "copies out of a file mapping; each block names its invariant")]
mod mapped_file;
mod mcap;
mod npy;
pub mod pattern;
mod picture;
mod pictures;
mod pipe;
mod place_time;
mod raw;
mod raw_format;
mod raw_stream;
mod recorded_utc;
mod recording;
#[doc(hidden)]
pub mod ros;
mod samples;
mod source;
mod spec;
#[cfg(feature = "opencv")]
mod video;
mod y4m;

pub use error::CaptureError;
pub use framewire_transport::frame::{FrameRate, FrameRateError};
pub use mcap::{McapError, McapFile};
pub use npy::{NpyError, NpyFile};
pub use pattern::PatternSource;
pub use picture::PictureError;
pub use pictures::{PictureFileError, PictureFiles};
pub use pipe::StopDescriptor;
pub use place_time::PlaceTime;
pub use raw::RawSource;
pub use raw_format::{RawFormat, RawFormatError};
pub use raw_stream::RawStream;
pub use recording::{IndexEntry, IndexHeader, Recording, RecordingDamage, index_path};
pub use source::FrameSource;
pub use spec::{SourceOptions, SourceSpec, SourceSpecError};
#[cfg(feature = "opencv")]
pub use video::VideoSource;
pub use y4m::{Y4mError, Y4mFile, Y4mStream};
