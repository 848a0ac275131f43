//! What can go wrong between a source and a frame.

use std::io;
use std::path::PathBuf;

use framewire_transport::frame::{FormatError, FrameFormat, MetadataTooLong, PixelFormat, PixelLayout};
use thiserror::Error;

use crate::mcap::McapError;
use crate::npy::NpyError;
use crate::picture::PictureError;
use crate::pictures::{EXTENSIONS, PictureFileError};
use crate::pipe::Stopped;
use crate::y4m::Y4mError;

/// Why a source could not be opened, or did not give its next frame.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// There is no such file.
    #[error("no file '{}'; check the path, or use pattern, camera:N or - for Y4M on standard input", path.display())]
    NotFound {
        /// The path given.
        path: PathBuf,
    },
    /// The path names a directory without pictures.
    #[error(
        "'{}' is a directory with no pictures in it ({}); name a file in it, or a directory of pictures",
        path.display(),
        EXTENSIONS.join(", ")
    )]
    Directory {
        /// The path given.
        path: PathBuf,
    },
    /// The path names a device.
    #[error("'{}' is a device, not a file; use camera:N for a camera (camera:0 for /dev/video0)", path.display())]
    Device {
        /// The path given.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("'{}' is empty; record or copy it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Whoever waited for the source was asked to stop.
    #[error("asked to stop while waiting for {name}")]
    Stopped {
        /// The source.
        name: String,
    },
    /// The system refused to open, map or read.
    #[error("cannot {action} {name}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file, or "standard input".
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Raw files do not say what is in them.
    #[error(
        "'{}' has no header that says what is in it; give its format, such as --raw-format 1920x1080:gray8@30",
        path.display()
    )]
    RawFormatMissing {
        /// The file.
        path: PathBuf,
    },
    /// The index beside a recording cannot be used.
    #[error(
        "{name} does not say what is in the recording: {reason}; give --raw-format, such as 1920x1080:gray8@30, to play it without \
         the times of its frames"
    )]
    Index {
        /// The index.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The index of a recording and what was given do not go together.
    #[error(
        "{name}: its index says {index}, and --raw-format says {given}; leave --raw-format out, or move the index away if it \
         belongs to another file"
    )]
    RawFormatContradicts {
        /// The recording.
        name: String,
        /// What the index says.
        index: String,
        /// What was given.
        given: String,
    },
    /// Only OpenCV reads this source, and it was not compiled in.
    #[error(
        "{name} needs OpenCV, which this build leaves out; install libopencv-dev, clang and libclang-dev and build \
         with --features opencv{}",
        if *camera { "" } else { ", or turn the file into Y4M: ffmpeg -i FILE -pix_fmt yuv420p FILE.y4m" }
    )]
    NeedsOpenCv {
        /// The source.
        name: String,
        /// Whether it is a camera rather than a file.
        camera: bool,
    },
    /// The size does not go with the pixel format.
    #[error("{name}: {source}")]
    Format {
        /// The source.
        name: String,
        /// Why not.
        source: FormatError,
    },
    /// A pixel format was asked for that the source does not have, and this source is not converted.
    #[error(
        "{name} is {has}, and --pixel asks for {wanted}; leave --pixel out{}",
        conversion(*wanted)
    )]
    PixelFixed {
        /// The source.
        name: String,
        /// Its pixel format.
        has: PixelFormat,
        /// What was asked for.
        wanted: PixelFormat,
    },
    /// The stream is no Y4M that can be used.
    #[error("{name}: {source}")]
    Y4m {
        /// The file, or "standard input".
        name: String,
        /// What is wrong with it.
        source: Y4mError,
    },
    /// The file is no array of pictures that can be sent.
    #[error("{name}: {source}")]
    Npy {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: NpyError,
    },
    /// The file is no MCAP file whose images can be sent.
    #[error("{name}: {source}")]
    Mcap {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: McapError,
    },
    /// A frame's metadata does not fit behind it.
    #[error("{name}: frame {frame} (the first is 0): {source}")]
    Metadata {
        /// The source.
        name: String,
        /// Number of the frame, from 0, which is also how many were given.
        frame: u64,
        /// How long it is, and how long it may be.
        source: MetadataTooLong,
    },
    /// A file is no picture that can be sent, or not one that goes with those before it.
    #[error("{name}: {source}{}", given_before(*frame))]
    PictureFile {
        /// The file.
        name: String,
        /// How many pictures were given before it.
        frame: u64,
        /// What is wrong with it.
        source: PictureFileError,
    },
    /// The source stops inside a frame. Every whole frame before it was given.
    #[error(
        "{name} stops inside frame {frame} (the first is 0): {bytes} of its {expected} bytes are there; the {frame} \
         whole frames before it were given; record or copy it again to have the rest"
    )]
    Truncated {
        /// The file, or "standard input".
        name: String,
        /// Number of the broken frame, from 0, which is also how many whole ones were given.
        frame: u64,
        /// Picture bytes that are there.
        bytes: u64,
        /// Picture bytes that a frame has.
        expected: u64,
    },
    /// Somebody cut the file shorter while it was read.
    #[error(
        "{name} was cut to {bytes} bytes while it was read, and frame {frame} (the first is 0) ends at byte \
         {expected}; do not write to a file that is being sent"
    )]
    Shrunk {
        /// The file.
        name: String,
        /// Number of the frame that is gone, from 0.
        frame: u64,
        /// Bytes of the file now.
        bytes: u64,
        /// Bytes the frame needs the file to have.
        expected: u64,
    },
    /// The source cannot start over.
    #[error("{name} cannot start over: {reason}; leave --loop out, or save it to a file first")]
    NoRewind {
        /// The source.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// The slot handed in is smaller than a frame.
    #[error(
        "a slot of {slot_bytes} bytes does not hold a frame of {frame_bytes} ({format}); make the pool's slots \
         that large"
    )]
    SlotTooSmall {
        /// Bytes of the slot.
        slot_bytes: usize,
        /// Bytes of a frame.
        frame_bytes: usize,
        /// The source's format.
        format: FrameFormat,
    },
    /// A picture could not be drawn or converted.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// OpenCV found no way to read the source.
    #[error("OpenCV cannot open {name}: {reason}; {remedy}")]
    Undecodable {
        /// The source.
        name: String,
        /// What OpenCV said.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A frame does not have the source's size.
    #[error(
        "{name} changed from {from} to {to} at frame {frame} (the first is 0); a stream keeps one size: cut the file \
         there, or scale it: ffmpeg -i IN -vf scale=W:H OUT"
    )]
    FormatChanged {
        /// The source.
        name: String,
        /// Number of the first frame of another size, from 0.
        frame: u64,
        /// What was agreed.
        from: FrameFormat,
        /// What came, as OpenCV describes it.
        to: String,
    },
    /// A source of another crate failed, in its own words.
    #[error("{name}: {source}")]
    Other {
        /// The source.
        name: String,
        /// What happened, and what to do.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A camera stopped giving frames, or OpenCV failed on one.
    #[error("{name} gave {frame} frames and then none: {reason}; {remedy}")]
    Lost {
        /// The source.
        name: String,
        /// How many frames it gave.
        frame: u64,
        /// What OpenCV said.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl CaptureError {
    pub(crate) fn io(action: &'static str, name: &str, source: io::Error) -> Self {
        let name = name.to_owned();
        if source.get_ref().is_some_and(|inner| inner.is::<Stopped>()) {
            return Self::Stopped { name };
        }
        Self::Io { action, name, source }
    }
}

fn given_before(frames: u64) -> String {
    match frames {
        0 => String::new(),
        1 => "; the picture before it was given".to_owned(),
        frames => format!("; the {frames} pictures before it were given"),
    }
}

/// How ffmpeg makes a file of this pixel format that is read here, as the end of a remedy; nothing where it does not.
fn conversion(wanted: PixelFormat) -> String {
    let convert = |options: &str| format!(", or convert it: ffmpeg -i IN {options}");
    let raw = "OUT.raw, and say what that is with --raw-format";
    match (wanted.ffmpeg(), wanted.layout(), wanted.bits()) {
        (Some(name), PixelLayout::Gray | PixelLayout::YuvPlanar, 8) => convert(&format!("-pix_fmt {name} OUT.y4m")),
        (Some(name), PixelLayout::Gray | PixelLayout::YuvPlanar, _) => {
            convert(&format!("-pix_fmt {name} -strict -1 OUT.y4m"))
        }
        (None, PixelLayout::V210, _) => convert(&format!("-c:v v210 -f rawvideo {raw}")),
        (Some(name), _, _) => convert(&format!("-pix_fmt {name} -f rawvideo {raw}")),
        (None, _, _) => String::new(),
    }
}
