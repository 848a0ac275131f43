//! Which sink, as a command line says it.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::SinkSpecError;
use crate::template::Template;

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
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Y4m(path) | Self::Raw(path) | Self::Video(path, _) => Some(path),
            Self::Null | Self::Stdout | Self::Window => None,
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
