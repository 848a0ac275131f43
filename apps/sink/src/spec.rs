//! Which sink, as a command line says it.

use std::ffi::OsStr;
use std::fmt;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::SinkSpecError;
use crate::template::Template;

/// A sink by name: `null`, `-` for standard output (as `-:y4m`, `-:nut` or `-:raw` says, or as holds the stream), `FILE.nut`,
/// `FILE.y4m`, `FILE.raw`, `FILE.mcap`, `NAME-{frame}.png` (`.jpg`, `.tif`) and, with the feature `opencv`, `FILE.avi`, `FILE.mp4` and `window`. In a
/// file's name `{stream}`, `{part}`, `{time}` and `{frame}` stand for what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkSpec {
    /// Frames are counted and thrown away.
    Null,
    /// Standard output.
    Stdout(Piped),
    /// A Y4M file, of what Y4M holds without loss. One that is there is left, and a number follows the name.
    Y4m(PathBuf),
    /// A NUT file: nearly every format byte for byte, with exact times. A file that is there is left, as with Y4M.
    Nut(PathBuf),
    /// Frames back to back, as received, with an index beside them. A file that is there is left, as with Y4M.
    Raw(PathBuf),
    /// An MCAP file of ROS 2 images, in chunks of about so many bytes or, by default, in none. A file that is there is left, as with
    /// Y4M.
    Mcap(PathBuf, Option<NonZeroU64>),
    /// Pictures, a file each, of every Nth frame. A file that is there is left, as with Y4M.
    Pictures(PathBuf, PictureKind, NonZeroU64),
    /// Encoded video. A file that is there is left, as with Y4M. Needs the feature `opencv`.
    Video(PathBuf, VideoCodec),
    /// A window on the display. Needs the feature `opencv`.
    Window,
}

/// What goes out on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piped {
    /// `-`: Y4M where that holds the stream without loss, else NUT. Players tell the two apart by themselves.
    Fitting,
    /// `-:y4m`.
    Y4m,
    /// `-:nut`.
    Nut,
    /// `-:raw`: the frames' bytes as received, and nothing else.
    Raw,
}

/// What a picture is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PictureKind {
    /// `.png`: gray and RGB of 8 bits and gray of 16 without loss, with alpha; all else as a picture for people.
    Png,
    /// `.jpg`, `.jpeg`: a picture for people, which loses a little.
    Jpeg,
    /// `.tif`, `.tiff`: as PNG, and not compressed.
    Tiff,
}

impl PictureKind {
    /// What messages call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Tiff => "TIFF",
        }
    }
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
            ("-", _) => Self::Stdout(Piped::Fitting),
            ("-:y4m", _) => Self::Stdout(Piped::Y4m),
            ("-:nut", _) => Self::Stdout(Piped::Nut),
            ("-:raw", _) => Self::Stdout(Piped::Raw),
            ("window", _) => Self::Window,
            (_, Some("y4m")) => Self::Y4m(path.clone()),
            (_, Some("nut")) => Self::Nut(path.clone()),
            (_, Some("raw")) => Self::Raw(path.clone()),
            (_, Some("mcap")) => Self::Mcap(path.clone(), None),
            (_, Some("png")) => Self::Pictures(path.clone(), PictureKind::Png, NonZeroU64::MIN),
            (_, Some("jpg" | "jpeg")) => Self::Pictures(path.clone(), PictureKind::Jpeg, NonZeroU64::MIN),
            (_, Some("tif" | "tiff")) => Self::Pictures(path.clone(), PictureKind::Tiff, NonZeroU64::MIN),
            (_, Some("avi")) => Self::Video(path.clone(), VideoCodec::Mjpg),
            (_, Some("mp4")) => Self::Video(path.clone(), VideoCodec::Mp4v),
            _ => return Err(SinkSpecError::Unknown(shown())),
        };
        // Said now, as usage, and not when the first stream comes.
        if !cfg!(feature = "opencv") && matches!(spec, Self::Video(..) | Self::Window) {
            return Err(SinkSpecError::NeedsOpenCv(shown()));
        }
        if let Some(path) = spec.path() {
            Template::new(path).check_for(matches!(spec, Self::Pictures(..)))?;
        }
        Ok(spec)
    }
}

impl fmt::Display for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Stdout(Piped::Fitting) => f.write_str("-"),
            Self::Stdout(Piped::Y4m) => f.write_str("-:y4m"),
            Self::Stdout(Piped::Nut) => f.write_str("-:nut"),
            Self::Stdout(Piped::Raw) => f.write_str("-:raw"),
            Self::Window => f.write_str("window"),
            Self::Y4m(path)
            | Self::Nut(path)
            | Self::Raw(path)
            | Self::Mcap(path, _)
            | Self::Pictures(path, ..)
            | Self::Video(path, _) => path.display().fmt(f),
        }
    }
}

impl SinkSpec {
    /// The same, with chunks of about so many bytes where it is MCAP. At least one frame is in each.
    pub fn with_mcap_chunks(self, bytes: NonZeroU64) -> Self {
        match self {
            Self::Mcap(path, _) => Self::Mcap(path, Some(bytes)),
            other => other,
        }
    }

    /// The same, of every Nth frame alone where it is pictures.
    pub fn with_picture_every(self, frames: NonZeroU64) -> Self {
        match self {
            Self::Pictures(path, kind, _) => Self::Pictures(path, kind, frames),
            other => other,
        }
    }

    /// Which frames it is given: those whose number this divides, or the next one that comes.
    pub(crate) const fn every(&self) -> NonZeroU64 {
        match self {
            Self::Pictures(_, _, every) => *every,
            _ => NonZeroU64::MIN,
        }
    }

    /// Where its files are, as the user named them.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Y4m(path)
            | Self::Nut(path)
            | Self::Raw(path)
            | Self::Mcap(path, _)
            | Self::Pictures(path, ..)
            | Self::Video(path, _) => Some(path),
            Self::Null | Self::Stdout(_) | Self::Window => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_reads_as_the_command_line_writes_it() {
        let parse = |text: &str| text.parse::<SinkSpec>().unwrap();
        assert_eq!(parse("null"), SinkSpec::Null);
        assert_eq!(parse("-"), SinkSpec::Stdout(Piped::Fitting));
        assert_eq!(parse("-:nut"), SinkSpec::Stdout(Piped::Nut));
        assert_eq!(parse("out.nut"), SinkSpec::Nut("out.nut".into()));
        assert_eq!(parse("a/b.Y4M"), SinkSpec::Y4m("a/b.Y4M".into()));
        assert_eq!(parse("out.raw"), SinkSpec::Raw("out.raw".into()));
        assert_eq!(parse("out.mcap"), SinkSpec::Mcap("out.mcap".into(), None));
        let chunked = parse("out.mcap").with_mcap_chunks(NonZeroU64::new(4).unwrap());
        assert_eq!(chunked, SinkSpec::Mcap("out.mcap".into(), NonZeroU64::new(4)));
        let pictures = |path: &str, kind, every| SinkSpec::Pictures(path.into(), kind, NonZeroU64::new(every).unwrap());
        assert_eq!(parse("a/{frame}.PNG"), pictures("a/{frame}.PNG", PictureKind::Png, 1));
        assert_eq!(parse("{frame}.jpeg"), pictures("{frame}.jpeg", PictureKind::Jpeg, 1));
        let tenth = parse("{stream}-{frame}.tif").with_picture_every(NonZeroU64::new(10).unwrap());
        assert_eq!(tenth, pictures("{stream}-{frame}.tif", PictureKind::Tiff, 10));
        for text in ["null", "-", "-:y4m", "-:nut", "-:raw", "out.y4m", "out.nut", "./null.raw", "out.mcap"] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn unknown_sinks_are_refused_with_the_value_and_the_choice() {
        for text in ["", "out", "out.mkv", "y4m", ".y4m", "nul", "--", "-:", "-:mcap", "-:NUT"] {
            let message = text.parse::<SinkSpec>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("'{text}' is no sink; use null, - for standard output")), "{message}");
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
