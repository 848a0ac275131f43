//! What can go wrong with a sink.

use std::io;

use framewire_capture::PictureError;
use framewire_transport::frame::{FormatError, FrameFormat};
use thiserror::Error;

use crate::sink::SinkReport;

/// Why a sink could not be opened, or did not take a frame.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The file cannot be made.
    #[error("cannot create {name}: {source}; name a file in a directory that exists and that you may write to")]
    Create {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Raw video would fill a terminal with noise.
    #[error("standard output is a terminal; pipe the video into a player: --sink - | ffplay -, or name a file")]
    Terminal,
    /// Nothing was left half-written, unless `kept` says so.
    #[error(
        "cannot write frame {frame} (the first is 0) to {name}: {source}, after {written} of its {bytes} bytes; \
         {kept}; free space there or name another place"
    )]
    Write {
        /// The file, or "standard output".
        name: String,
        /// Number of the frame in this sink, from 0, which is also how many whole ones it has.
        frame: u64,
        /// Bytes of the frame that went out before the failure.
        written: u64,
        /// Bytes of the frame.
        bytes: u64,
        /// What is there now.
        kept: String,
        /// What the system said.
        source: io::Error,
    },
    /// A frame was written in part or without what belongs to it, and could not be taken back: nothing more is written behind that.
    #[error(
        "cannot write a frame to {name}: {problem}; it has {frames} whole frames and a part of another, for it could not be cut back \
         ({source}); free space there or name another place, and cut the part off or leave it to the reader"
    )]
    Torn {
        /// The file.
        name: String,
        /// Whole frames.
        frames: u64,
        /// Why the frame could not be written.
        problem: String,
        /// Why it could not be taken back.
        source: io::Error,
    },
    /// The frames are there, but not what a file of its kind has behind them.
    #[error(
        "cannot write the end of {}: {source}; its {} frames are kept, without summary and footer; free space there, and let \
         `mcap recover` write them", .report.name, .report.frames
    )]
    End {
        /// What is there.
        report: SinkReport,
        /// What the system said.
        source: io::Error,
    },
    /// The file's header could not be written.
    #[error("cannot write the header of {name}: {source}; free space there or name another place")]
    Header {
        /// The file, or "standard output".
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever read or looked has gone: the pipe's reader ended, the window was closed. A way to end, no failure.
    #[error("{name} was closed from the other side after {frames} frames")]
    Closed {
        /// "standard output", the named pipe, or "the window".
        name: String,
        /// Whole frames taken until then.
        frames: u64,
    },
    /// Another stream writes to it now: a pipe, a device and standard output are one stream's at a time.
    #[error("{name} is written to by another stream; this one has it when that one has ended")]
    Taken {
        /// "standard output", the named pipe or the device.
        name: String,
    },
    /// Nobody reads the named pipe any more.
    #[error("nobody reads {name}; it is opened again when somebody does")]
    NoReader {
        /// The pipe.
        name: String,
    },
    /// An earlier stream has written its header there, and a second one cannot follow.
    #[error(
        "{name} goes on with pictures as they were ({before}), and this stream's are others ({now}); send the same, \
         or start the server and its reader again"
    )]
    OtherFormat {
        /// "standard output".
        name: String,
        /// What the header says that was written.
        before: String,
        /// What that of this stream says.
        now: String,
    },
    /// What could be seen at the start: nothing can be recorded there.
    #[error("{name} cannot be recorded to: {problem}")]
    Place {
        /// The sink.
        name: String,
        /// What is in the way, and what to do.
        problem: String,
    },
    /// Each stream has a thread at each sink.
    #[error("the system gave no thread for {name}: {source}; stop other programs, or raise its limit of threads")]
    Thread {
        /// The sink.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The frame does not have the size that was agreed when the sink was opened.
    #[error("a frame of {bytes} bytes came for {name}, which takes {expected}; open the sink with the stream's format")]
    FrameSize {
        /// The sink.
        name: String,
        /// Bytes of the frame.
        bytes: usize,
        /// Bytes of the agreed format.
        expected: usize,
    },
    /// The frame does not fit the pixel format that the sink needs.
    #[error("{name} cannot hold such frames: {source}")]
    Format {
        /// The sink.
        name: String,
        /// Why not.
        source: FormatError,
    },
    /// What the sink writes has no such pictures: they would come out as others.
    #[error("{kind} cannot hold {format} unchanged; use {remedy}")]
    CannotHold {
        /// What the sink writes, such as "Y4M".
        kind: &'static str,
        /// The stream's format.
        format: FrameFormat,
        /// Sinks that can.
        remedy: &'static str,
    },
    /// A picture file cannot be made of a frame.
    #[error(
        "no {kind} file can be made of a frame of {format}: {reason}; use FILE.raw or FILE.mcap, which take every frame"
    )]
    PictureFile {
        /// The kind of file.
        kind: &'static str,
        /// The stream's format.
        format: FrameFormat,
        /// Why not.
        reason: String,
    },
    /// A frame could not be turned into what the sink holds.
    #[error("{name} cannot hold this frame: {source}")]
    Picture {
        /// The sink.
        name: String,
        /// Why not.
        source: PictureError,
    },
    /// Only OpenCV can do this, and it was not compiled in.
    #[error(
        "{name} needs OpenCV, which this build leaves out; install libopencv-dev, clang and libclang-dev and build \
         with --features opencv, or use FILE.y4m, FILE.raw or -"
    )]
    NeedsOpenCv {
        /// The sink.
        name: String,
    },
    /// Encoded video halves its chroma.
    #[error("encoded video cannot hold frames of {width}x{height}: encoders want even sides; use {remedy}")]
    OddSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Sinks that can.
        remedy: &'static str,
    },
    /// OpenCV refused.
    #[error("OpenCV cannot write {name}: {reason}; use FILE.y4m or FILE.raw, or another place")]
    OpenCv {
        /// The file, or "the window".
        name: String,
        /// What it said.
        reason: String,
    },
    /// OpenCV wrote fewer frames than it took, and did not say so.
    #[error(
        "{name} has {found} of {frames} frames: OpenCV could not write the rest; free space there or name another place"
    )]
    Incomplete {
        /// The file.
        name: String,
        /// Frames that were handed to it.
        frames: u64,
        /// Frames that the file has.
        found: u64,
    },
    /// There is nowhere to show a window.
    #[error(
        "a window needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set; use - and a player, or FILE.y4m"
    )]
    NoDisplay,
    /// A window belongs to the thread that opened it.
    #[error("the window was opened on another thread; open it and write to it on one")]
    WrongThread,
}

impl SinkError {
    /// There is no room: where some is made, the sink goes on where it was.
    pub(crate) fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Write { source, .. } | Self::End { source, .. } | Self::Header { source, .. } | Self::Create { source, .. }
            if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// It is somebody else's turn, or nobody's who reads: no failure, and worth trying often.
    pub(crate) const fn is_turn(&self) -> bool {
        matches!(self, Self::Taken { .. } | Self::NoReader { .. })
    }

    /// Time changes nothing about it for this stream.
    pub(crate) const fn is_lasting(&self) -> bool {
        match self {
            Self::Create { .. }
            | Self::Write { .. }
            | Self::Torn { .. }
            | Self::End { .. }
            | Self::Header { .. }
            | Self::OpenCv { .. }
            | Self::Incomplete { .. }
            | Self::Place { .. }
            | Self::Taken { .. }
            | Self::NoReader { .. } => false,
            Self::Terminal
            | Self::Closed { .. }
            | Self::OtherFormat { .. }
            | Self::FrameSize { .. }
            | Self::Format { .. }
            | Self::CannotHold { .. }
            | Self::PictureFile { .. }
            | Self::Picture { .. }
            | Self::NeedsOpenCv { .. }
            | Self::OddSize { .. }
            | Self::NoDisplay
            | Self::Thread { .. }
            | Self::WrongThread => true,
        }
    }
}

/// Why the name of a sink was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SinkSpecError {
    /// No such sink, or no such kind of file.
    #[error(
        "'{0}' is no sink; use null, - for standard output (or -:y4m, -:nut, -:raw), FILE.nut, FILE.y4m, FILE.raw, FILE.mcap, \
         NAME-{{frame}}.png, .jpg or .tif, and with OpenCV FILE.avi, FILE.mp4 or window"
    )]
    Unknown(String),
    /// Only OpenCV can do this, and it was not compiled in.
    #[error(
        "'{0}' needs OpenCV, which this build leaves out; install libopencv-dev, clang and libclang-dev and build with \
         --features opencv, or use FILE.y4m, FILE.raw or -"
    )]
    NeedsOpenCv(String),
    /// Braces around what is no placeholder: a slip, most likely.
    #[error(
        "'{0}' stands for nothing in a sink's name; use {{stream}}, {{part}}, {{time}} and, for pictures, {{frame}}"
    )]
    Placeholder(String),
    /// Directories are not made.
    #[error(
        "{{stream}}, {{part}}, {{time}} and {{frame}} belong into the name of the file, not into its directory '{0}'"
    )]
    PlaceholderInDirectory(String),
    /// Each frame has a file of its own.
    #[error("'{0}' is one name for many pictures; say where the frame's number goes, such as cam-{{frame}}.png")]
    WantsFrame(String),
    /// A file has many frames.
    #[error(
        "'{0}' has {{frame}}, which is for pictures alone (.png, .jpg, .tif); use {{stream}}, {{part}} and {{time}}"
    )]
    NoFrame(String),
    /// No shell has made a directory of it, as in a configuration file or in quotes.
    #[error(
        "'{0}' is a directory to shells alone; write the whole path, such as /home/me/x.y4m (or ./{0}/ if it is one)"
    )]
    Tilde(String),
}
