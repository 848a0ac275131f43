//! Which sink, as a command line says it.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use super::files::FilesSink;
use super::null::NullSink;
use super::output::FrameOutput;
use super::place::{Creation, Held, Opening, Places, Template};
use super::raw::RawSink;
use super::roll::Roll;
use super::y4m::Y4mSink;
use super::{Recorded, Sink, SinkError};

/// A sink by name: `null`, `-` for Y4M on standard output, `FILE.y4m`, `FILE.raw` and, with the feature `opencv`,
/// `FILE.avi`, `FILE.mp4` and `window`. In a file's name `{stream}`, `{part}` and `{time}` stand for what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkSpec {
    /// Frames are counted and thrown away.
    Null,
    /// Y4M on standard output.
    Stdout,
    /// A Y4M file. One that is there is left, and a number follows the name.
    Y4m(PathBuf),
    /// Frames back to back, as received, with an index beside them. A file that is there is left, as with Y4M.
    Raw(PathBuf),
    /// Encoded video. A file that is there is left, as with Y4M. Needs the feature `opencv`.
    Video(PathBuf, VideoCodec),
    /// A window on the display. Needs the feature `opencv`.
    Window,
}

/// How a video file is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoCodec {
    /// Motion JPEG, in an `.avi`.
    Mjpg,
    /// MPEG-4 part 2, in an `.mp4`.
    Mp4v,
}

/// Why the name of a sink was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SinkSpecError {
    /// No such sink, or no such kind of file.
    #[error(
        "'{0}' is no sink; use null, - for Y4M on standard output, FILE.y4m, FILE.raw, and with OpenCV FILE.avi, \
         FILE.mp4 or window"
    )]
    Unknown(String),
    /// Only OpenCV can do this, and it was not compiled in.
    #[error(
        "'{0}' needs OpenCV, which this build leaves out; install libopencv-dev, clang and libclang-dev and build with \
         --features opencv, or use FILE.y4m, FILE.raw or -"
    )]
    NeedsOpenCv(String),
    /// Braces around what is no placeholder: a slip, most likely.
    #[error("'{0}' stands for nothing in a sink's name; use {{stream}}, {{part}} and {{time}}")]
    Placeholder(String),
    /// Directories are not made.
    #[error("{{stream}}, {{part}} and {{time}} belong into the name of the file, not into its directory '{0}'")]
    PlaceholderInDirectory(String),
    /// No shell has made a directory of it, as in a configuration file or in quotes.
    #[error(
        "'{0}' is a directory to shells alone; write the whole path, such as /home/me/x.y4m (or ./{0}/ if it is one)"
    )]
    Tilde(String),
}

impl FromStr for SinkSpec {
    type Err = SinkSpecError;

    fn from_str(text: &str) -> Result<Self, SinkSpecError> {
        Self::from_os(OsStr::new(text))
    }
}

impl SinkSpec {
    /// A sink by name; that of a file is any bytes that the system takes.
    ///
    /// # Errors
    /// What is no sink, or needs OpenCV in a build without it.
    pub fn from_os(name: &OsStr) -> Result<Self, SinkSpecError> {
        let path = PathBuf::from(name);
        let shown = || path.to_string_lossy().chars().take(60).collect::<String>();
        // A name that is nothing but an extension has none: ".y4m" is a hidden file.
        let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
        let spec = match (name.to_str().unwrap_or_default(), extension.as_deref()) {
            ("null", _) => Self::Null,
            ("-", _) => Self::Stdout,
            ("window", _) => Self::Window,
            (_, Some("y4m")) => Self::Y4m(path.clone()),
            (_, Some("raw")) => Self::Raw(path.clone()),
            (_, Some("avi")) => Self::Video(path.clone(), VideoCodec::Mjpg),
            (_, Some("mp4")) => Self::Video(path.clone(), VideoCodec::Mp4v),
            _ => return Err(SinkSpecError::Unknown(shown())),
        };
        // Said now, as usage, and not when the first stream comes.
        if !cfg!(feature = "opencv") && matches!(spec, Self::Video(..) | Self::Window) {
            return Err(SinkSpecError::NeedsOpenCv(shown()));
        }
        if let Some(path) = spec.path() {
            Template::new(path).check()?;
        }
        Ok(spec)
    }
}

impl fmt::Display for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Stdout => f.write_str("-"),
            Self::Window => f.write_str("window"),
            Self::Y4m(path) | Self::Raw(path) | Self::Video(path, _) => path.display().fmt(f),
        }
    }
}

impl SinkSpec {
    /// Where its files are, as the user named them.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Y4m(path) | Self::Raw(path) | Self::Video(path, _) => Some(path),
            Self::Null | Self::Stdout | Self::Window => None,
        }
    }

    /// Opens the sink for a stream; its files get names that no other stream or sink of `places` has. A window must be opened on
    /// the thread that writes to it. A named pipe waits here for its reader.
    ///
    /// # Errors
    /// A place that cannot be written to, standard output that is a terminal, a pipe or a device that another stream has, a
    /// format that the sink cannot hold, and what needs OpenCV in a build without it.
    pub fn open(&self, recorded: &Recorded, places: &Arc<Places>, roll: Roll) -> Result<Box<dyn Sink>, SinkError> {
        self.open_as(Opening::First, recorded, places, roll)
    }

    /// As [`SinkSpec::open`], where it may be that the stream has begun long ago.
    pub(crate) fn open_as(
        &self,
        opening: Opening,
        recorded: &Recorded,
        places: &Arc<Places>,
        roll: Roll,
    ) -> Result<Box<dyn Sink>, SinkError> {
        Ok(match self {
            Self::Null => Box::new(NullSink::default()),
            Self::Stdout => {
                let (turns, hold) = places.stdout()?;
                let output = FrameOutput::stdout(turns)?;
                Box::new(Held::new(Y4mSink::new(output, &recorded.format, recorded.presentation)?, hold))
            }
            Self::Window => open_window(&recorded.format)?,
            Self::Y4m(path) | Self::Raw(path) | Self::Video(path, _) => {
                Box::new(FilesSink::open(self, Template::new(path), opening, recorded, places, roll)?)
            }
        })
    }

    /// As [`SinkSpec::open`], for the only sink of the only stream.
    ///
    /// # Errors
    /// As [`SinkSpec::open`].
    pub fn open_alone(&self, recorded: &Recorded) -> Result<Box<dyn Sink>, SinkError> {
        self.open(recorded, &Arc::new(Places::new(std::slice::from_ref(self))), Roll::default())
    }

    /// Opens one file, at `path` and of this kind.
    ///
    /// # Panics
    /// For what has no files.
    pub(super) fn open_file(
        &self,
        path: &Path,
        creation: Creation,
        recorded: &Recorded,
    ) -> Result<Box<dyn Sink>, SinkError> {
        Ok(match self {
            Self::Y4m(_) => {
                let sink = Y4mSink::new(FrameOutput::create(path, creation)?, &recorded.format, recorded.presentation);
                Box::new(sink.inspect_err(|_| {
                    // A file without a header is none, and the next attempt would make another.
                    if creation == Creation::Fresh {
                        let _ = std::fs::remove_file(path);
                    }
                })?)
            }
            Self::Raw(_) => Box::new(RawSink::create(path, creation, recorded)?),
            Self::Video(_, codec) => open_video(path, creation, *codec, recorded)?,
            Self::Null | Self::Stdout | Self::Window => unreachable!("{self} has no files"),
        })
    }
}

#[cfg(feature = "opencv")]
use framewire_transport::frame::{ColourRange, Presentation, SampleAspect, Scan};

#[cfg(feature = "opencv")]
fn open_video(
    path: &Path,
    creation: Creation,
    codec: VideoCodec,
    recorded: &Recorded,
) -> Result<Box<dyn Sink>, SinkError> {
    let rate = recorded.rate_or_default();
    let Presentation { scan, aspect, range, .. } = recorded.presentation;
    let interlaced = matches!(scan, Scan::TopFirst | Scan::BottomFirst | Scan::Mixed);
    if interlaced || aspect.is_some_and(|aspect| aspect != SampleAspect::SQUARE) || range == ColourRange::Full {
        let aspect = aspect.map_or_else(|| "unknown".to_owned(), |aspect| aspect.to_string());
        tracing::warn!(
            "encoded video does not keep what the source says of its pictures: scan {scan}, pixel aspect {aspect}, range \
             {range}; record .y4m or .raw to keep it"
        );
    }
    Ok(Box::new(super::video::VideoSink::create(path, creation, codec, &recorded.format, rate)?))
}

#[cfg(not(feature = "opencv"))]
fn open_video(path: &Path, _: Creation, _: VideoCodec, _: &Recorded) -> Result<Box<dyn Sink>, SinkError> {
    Err(SinkError::NeedsOpenCv { name: format!("'{}'", path.display()) })
}

#[cfg(feature = "opencv")]
fn open_window(format: &framewire_transport::FrameFormat) -> Result<Box<dyn Sink>, SinkError> {
    Ok(Box::new(super::window::WindowSink::open(format)?))
}

#[cfg(not(feature = "opencv"))]
fn open_window(_: &framewire_transport::FrameFormat) -> Result<Box<dyn Sink>, SinkError> {
    Err(SinkError::NeedsOpenCv { name: "the window".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_reads_as_the_command_line_writes_it() {
        let parse = |text: &str| text.parse::<SinkSpec>().unwrap();
        assert_eq!(parse("null"), SinkSpec::Null);
        assert_eq!(parse("-"), SinkSpec::Stdout);
        assert_eq!(parse("a/b.Y4M"), SinkSpec::Y4m("a/b.Y4M".into()));
        assert_eq!(parse("out.raw"), SinkSpec::Raw("out.raw".into()));
        for text in ["null", "-", "out.y4m", "./null.raw"] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn unknown_sinks_are_refused_with_the_value_and_the_choice() {
        for text in ["", "out", "out.mkv", "y4m", ".y4m", "nul", "--"] {
            let message = text.parse::<SinkSpec>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("'{text}' is no sink; use null, - for Y4M")), "{message}");
        }
    }

    #[cfg(feature = "opencv")]
    #[test]
    fn video_files_and_the_window_are_known_with_opencv() {
        let video = |text: &str| text.parse::<SinkSpec>().unwrap();
        assert_eq!(video("out.avi"), SinkSpec::Video("out.avi".into(), VideoCodec::Mjpg));
        assert_eq!(video("out.MP4"), SinkSpec::Video("out.MP4".into(), VideoCodec::Mp4v));
        assert_eq!(video("window"), SinkSpec::Window);
    }

    #[cfg(not(feature = "opencv"))]
    #[test]
    fn video_files_and_the_window_name_what_they_need_without_opencv() {
        for text in ["out.avi", "out.mp4", "window"] {
            let message = text.parse::<SinkSpec>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("'{text}' needs OpenCV")), "{message}");
            assert!(message.contains("libopencv-dev, clang and libclang-dev"), "{message}");
        }
    }
}
