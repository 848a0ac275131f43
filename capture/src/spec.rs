//! Which source, as a command line says it.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use framewire_transport::frame::{FrameFormat, FrameRate, PixelFormat};
use framewire_transport::setters;
use thiserror::Error;

use crate::error::CaptureError;
use crate::fifo::Fifo;
use crate::mcap::{self, McapFile};
use crate::npy::{self, NpyFile};
use crate::pattern::PatternSource;
use crate::pictures::{EXTENSIONS, PictureFiles, is_pattern, is_picture};
use crate::pipe::{Pipe, StopDescriptor};
use crate::raw::RawSource;
use crate::raw_format::{RawFormat, RawFormatError, parse_size};
use crate::raw_stream::RawStream;
use crate::recording::{Recording, index_path};
use crate::source::FrameSource;
use crate::y4m::{MAGIC, Y4mFile, Y4mStream};

/// A source of frames by name: `pattern[:WIDTHxHEIGHT[:PIXEL]]`, `camera:N`, `-` for standard input, a file or named pipe, or pictures: a
/// directory of them, or a pattern of names such as `shots/*.png`.
///
/// A file that begins as Y4M is Y4M. Else one whose name ends in `.raw` or `.yuv` is raw, one that begins as MCAP does gives the images of
/// its first channel that has any (`FILE.mcap#/topic`: those of that one), one that begins as `numpy.save` writes is an array, one
/// for which [`SourceOptions::raw_format`] is given is raw, and one that begins as PNG, JPEG and TIFF do is a picture. A name that ends in
/// `.y4m`, `.mcap`, `.npy` or as pictures do promises what is not there: such a file is refused. Everything else is for OpenCV. Raw files are read
/// by their index ([`index_path`](crate::index_path)) where there is one; without one they need `raw_format`.
/// A file whose name looks like another source is written with its directory: `./-`, `./camera:0`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceSpec {
    /// The moving test pattern.
    Pattern {
        /// Width and height in pixels; 1920 by 1080 unless given.
        size: (u32, u32),
        /// Pixel format; [`SourceOptions::pixel`] or else gray8 unless given.
        pixel: Option<PixelFormat>,
    },
    /// A camera by its number, from 0. Needs the feature `opencv`.
    Camera(u32),
    /// Standard input: Y4M, or what [`SourceOptions::raw_format`] says.
    Stdin,
    /// A file, a named pipe, a directory of pictures or a pattern of names, where no file has that very name.
    File(PathBuf),
}

/// What a source is asked for besides its name. The default asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SourceOptions {
    /// The pixel format wanted. Cameras, encoded video and a pattern whose name has none give any; everything else has its own, and
    /// [`SourceSpec::open`] refuses another ([`CaptureError::PixelFixed`]).
    pub pixel: Option<PixelFormat>,
    /// What the bytes of a file of any name, of standard input or of a named pipe are, where they are neither Y4M nor MCAP; a recording with an
    /// index says it itself.
    pub raw_format: Option<RawFormat>,
}

impl SourceOptions {
    /// Asks for nothing.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        pixel: impl Into<Option<PixelFormat>>,
        raw_format: impl Into<Option<RawFormat>>,
    }
}

/// Why the name of a source was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SourceSpecError {
    /// No text.
    #[error("the source is empty; use pattern, camera:N, - for Y4M on standard input, or a file")]
    Empty,
    /// The pattern's size or pixel format cannot be.
    #[error("'{text}' is no pattern: {reason}; write pattern, pattern:WIDTHxHEIGHT or pattern:WIDTHxHEIGHT:PIXEL")]
    Pattern {
        /// What was given.
        text: String,
        /// Why not.
        reason: RawFormatError,
    },
    /// The camera has no number.
    #[error("'{0}' is no camera; write camera:N, such as camera:0 for the first")]
    Camera(String),
}

impl SourceSpec {
    /// The source that a command line names, in any bytes that a file's name may have.
    ///
    /// # Errors
    /// As the source's own text.
    pub fn from_os(text: &OsStr) -> Result<Self, SourceSpecError> {
        match text.to_str() {
            Some(text) => text.parse(),
            None => Ok(Self::File(text.into())),
        }
    }
}

impl FromStr for SourceSpec {
    type Err = SourceSpecError;

    fn from_str(text: &str) -> Result<Self, SourceSpecError> {
        let shown = || text.chars().take(60).collect();
        match text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest))) {
            ("", None) => Err(SourceSpecError::Empty),
            ("-", None) => Ok(Self::Stdin),
            ("pattern", rest) => {
                parse_pattern(rest).map_err(|reason| SourceSpecError::Pattern { text: shown(), reason })
            }
            ("camera", number) => {
                let number = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
                // OpenCV counts cameras in a signed 32-bit number.
                let number = number.and_then(|number| number.parse::<i32>().ok());
                number
                    .map(|number| Self::Camera(number.cast_unsigned()))
                    .ok_or_else(|| SourceSpecError::Camera(shown()))
            }
            _ => Ok(Self::File(text.into())),
        }
    }
}

fn parse_pattern(rest: Option<&str>) -> Result<SourceSpec, RawFormatError> {
    let Some(rest) = rest else {
        return Ok(SourceSpec::Pattern { size: (1920, 1080), pixel: None });
    };
    let (size, pixel) = rest.split_once(':').map_or((rest, None), |(size, pixel)| (size, Some(pixel)));
    let size = parse_size(size)?;
    let pixel = pixel.map(str::parse::<PixelFormat>).transpose()?;
    // Sizes that cannot be are told now, as usage, and not when the source is opened.
    FrameFormat::new(pixel.unwrap_or(PixelFormat::Gray8), size.0, size.1)?;
    Ok(SourceSpec::Pattern { size, pixel })
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern { size: (width, height), pixel } => {
                write!(f, "pattern:{width}x{height}")?;
                pixel.map_or(Ok(()), |pixel| write!(f, ":{pixel}"))
            }
            Self::Camera(number) => write!(f, "camera:{number}"),
            Self::Stdin => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl SourceSpec {
    /// Opens the source. Standard input and a named pipe wait here until the writer has sent its header.
    ///
    /// # Errors
    /// A file that is missing, empty, a directory or not what its name says; formats that do not go together; what only
    /// OpenCV reads, in a build without it.
    pub fn open(&self, options: &SourceOptions) -> Result<Box<dyn FrameSource>, CaptureError> {
        self.open_until(options, None)
    }

    /// As [`SourceSpec::open`]. Waiting for the writer of a pipe, here and later, ends when `stop` becomes readable or is hung up.
    ///
    /// # Errors
    /// As [`SourceSpec::open`], and [`CaptureError::Stopped`].
    pub fn open_until(
        &self,
        options: &SourceOptions,
        stop: Option<StopDescriptor>,
    ) -> Result<Box<dyn FrameSource>, CaptureError> {
        match self {
            Self::Pattern { size: (width, height), pixel } => {
                if options.raw_format.is_some() {
                    tracing::warn!(
                        "--raw-format does nothing here: a pattern is what its name says, as in pattern:640x480:bgr24"
                    );
                }
                if let (Some(has), Some(wanted)) = (*pixel, options.pixel)
                    && has != wanted
                {
                    return Err(CaptureError::PixelFixed { name: self.to_string(), has, wanted });
                }
                let pixel = pixel.or(options.pixel).unwrap_or(PixelFormat::Gray8);
                let format = FrameFormat::new(pixel, *width, *height)
                    .map_err(|source| CaptureError::Format { name: self.to_string(), source })?;
                Ok(Box::new(PatternSource::new(format)))
            }
            Self::Camera(number) => open_camera(*number, options),
            Self::Stdin => {
                let name = "standard input";
                let pipe = Pipe::stdin(stop).map_err(|source| CaptureError::io("open", name, source))?;
                keep_pixel(name, open_stream(name, pipe, options)?, options)
            }
            Self::File(path) => open_file(path, options, stop),
        }
    }
}

/// Frames out of a pipe: what `--raw-format` says, or else Y4M.
fn open_stream(name: &str, mut pipe: Pipe, options: &SourceOptions) -> Result<Box<dyn FrameSource>, CaptureError> {
    tracing::info!("waiting for the writer of {name}");
    if let Some(raw) = options.raw_format {
        if !pipe.starts_with(MAGIC).map_err(|source| CaptureError::io("read", name, source))? {
            return Ok(Box::new(RawStream::new(name, pipe, raw)));
        }
        tell_that_raw_format_is_idle(name);
    }
    Ok(Box::new(Y4mStream::new(name, pipe)?))
}

fn tell_that_raw_format_is_idle(name: &str) {
    tracing::warn!("--raw-format does nothing here: {name} is Y4M, and says itself what is in it");
}

fn open_file(
    path: &Path,
    options: &SourceOptions,
    stop: Option<StopDescriptor>,
) -> Result<Box<dyn FrameSource>, CaptureError> {
    let name = format!("'{}'", path.display());
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => CaptureError::NotFound { path: path.into() },
        _ => CaptureError::io("open", &name, source),
    };
    if let Some((file, topic)) = with_topic(path) {
        let opened =
            File::open(&file).map_err(|source| CaptureError::io("open", &format!("'{}'", file.display()), source))?;
        return keep_pixel(&name, Box::new(McapFile::new(&file, opened, Some(&topic))?), options);
    }
    // Asked before opening, which would wait on a pipe and could disturb a device.
    let metadata = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_pattern(path) => {
            return Ok(Box::new(PictureFiles::matching(path, options.pixel)?));
        }
        metadata => metadata.map_err(refused)?,
    };
    if metadata.is_dir() {
        return Ok(Box::new(PictureFiles::in_directory(path, options.pixel)?));
    }
    if is_pipe(&metadata) {
        let (again, named, wanted) = (path.to_owned(), name.clone(), *options);
        let open = move || {
            let pipe = Pipe::open(&again, stop.clone()).map_err(|source| CaptureError::io("open", &named, source))?;
            open_stream(&named, pipe, &wanted)
        };
        return keep_pixel(&name, Box::new(Fifo::new(path.to_owned(), open)?), options);
    }
    if !metadata.is_file() {
        return Err(CaptureError::Device { path: path.into() });
    }
    let mut file = File::open(path).map_err(refused)?;
    if file.metadata().map_err(refused)?.len() == 0 {
        return Err(CaptureError::Empty { path: path.into() });
    }
    let mut start = Vec::with_capacity(MAGIC.len());
    (&mut file)
        .take(MAGIC.len() as u64)
        .read_to_end(&mut start)
        .map_err(|source| CaptureError::io("read", &name, source))?;
    let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        _ if start == MAGIC => {
            if options.raw_format.is_some() {
                tell_that_raw_format_is_idle(&name);
            }
            keep_pixel(&name, Box::new(Y4mFile::new(path, file)?), options)
        }
        // A recording of whatever kind of bytes, which may begin as another kind of file does.
        Some("raw" | "yuv") => keep_pixel(&name, open_raw(path, file, options)?, options),
        _ if start.starts_with(mcap::MAGIC) => keep_pixel(&name, Box::new(McapFile::new(path, file, None)?), options),
        _ if start.starts_with(npy::MAGIC) => {
            if options.raw_format.is_some() {
                tracing::warn!("--raw-format does nothing here: {name} is an array, and says itself what is in it");
            }
            Ok(Box::new(NpyFile::new(path, file, options.pixel)?))
        }
        // What was given says what the bytes are, whatever the name ends with.
        _ if options.raw_format.is_some() => keep_pixel(&name, open_raw(path, file, options)?, options),
        _ if is_picture(&start) => open_picture(path, &name, options),
        // Whatever else is in it, the name says Y4M: the parser's message is the useful one.
        Some("y4m") => keep_pixel(&name, Box::new(Y4mFile::new(path, file)?), options),
        Some(extension) if EXTENSIONS.contains(&extension) && !cfg!(feature = "opencv") => {
            open_picture(path, &name, options)
        }
        Some("mcap") => Ok(Box::new(McapFile::new(path, file, None)?)),
        Some("npy") => Ok(Box::new(NpyFile::new(path, file, options.pixel)?)),
        _ => open_video(path, &name, options),
    }
}

/// One picture. A format that it does not have is for OpenCV, which converts.
fn open_picture(path: &Path, name: &str, options: &SourceOptions) -> Result<Box<dyn FrameSource>, CaptureError> {
    match PictureFiles::new(vec![path.to_owned()], options.pixel) {
        Err(CaptureError::PixelFixed { .. }) if cfg!(feature = "opencv") => open_video(path, name, options),
        source => Ok(Box::new(source?)),
    }
}

/// What `FILE.mcap#/topic` names, where no file is called so as a whole.
fn with_topic(path: &Path) -> Option<(PathBuf, String)> {
    let (file, topic) = path.to_str()?.split_once(".mcap#")?;
    let file = PathBuf::from(format!("{file}.mcap"));
    (!path.exists() && file.is_file()).then(|| (file, topic.to_owned()))
}

/// A recording with its index, or else frames of which nothing but `--raw-format` is known.
fn open_raw(path: &Path, file: File, options: &SourceOptions) -> Result<Box<dyn FrameSource>, CaptureError> {
    let name = format!("'{}'", path.display());
    let index = match File::open(index_path(path)) {
        Ok(index) => {
            let again = file.try_clone().map_err(|source| CaptureError::io("open", &name, source))?;
            Some(Recording::new(path, again, index))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(CaptureError::io("open", &format!("'{}'", index_path(path).display()), source)),
    };
    match (index, options.raw_format) {
        (Some(Ok(recording)), given) => {
            if let Some(given) = given {
                check_agreement(path, &recording, given)?;
            }
            Ok(Box::new(recording))
        }
        (Some(Err(error @ CaptureError::Index { .. })), Some(raw)) => {
            tracing::warn!("{error}");
            Ok(Box::new(RawSource::new(path, file, raw)?))
        }
        (Some(Err(error)), _) => Err(error),
        (None, Some(raw)) => Ok(Box::new(RawSource::new(path, file, raw)?)),
        (None, None) => Err(CaptureError::RawFormatMissing { path: path.into() }),
    }
}

fn check_agreement(path: &Path, recording: &Recording, given: RawFormat) -> Result<(), CaptureError> {
    let (format, rate) = (recording.format(), recording.frame_rate());
    let same_rate = rate.is_none() || given.rate.is_none() || rate == given.rate;
    if format == given.format && same_rate {
        return Ok(());
    }
    let describe = |format: FrameFormat, rate: Option<FrameRate>| {
        let rate = rate.map(|rate| format!(" at {rate} frames/s")).unwrap_or_default();
        format!("{format} in rows of {} bytes{rate}", format.stride())
    };
    Err(CaptureError::RawFormatContradicts {
        name: format!("'{}'", path.display()),
        index: describe(format, rate),
        given: describe(given.format, given.rate),
    })
}

/// Refuses a pixel format that the source does not have.
fn keep_pixel(
    name: &str,
    source: Box<dyn FrameSource>,
    options: &SourceOptions,
) -> Result<Box<dyn FrameSource>, CaptureError> {
    let has = source.format().pixel();
    match options.pixel {
        Some(wanted) if wanted != has => Err(CaptureError::PixelFixed { name: name.to_owned(), has, wanted }),
        _ => Ok(source),
    }
}

#[cfg(unix)]
fn is_pipe(metadata: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_metadata: &Metadata) -> bool {
    false
}

#[cfg(feature = "opencv")]
fn open_camera(number: u32, options: &SourceOptions) -> Result<Box<dyn FrameSource>, CaptureError> {
    Ok(Box::new(crate::video::VideoSource::open_camera(number, options.pixel)?))
}

#[cfg(not(feature = "opencv"))]
fn open_camera(number: u32, _options: &SourceOptions) -> Result<Box<dyn FrameSource>, CaptureError> {
    Err(CaptureError::NeedsOpenCv { name: format!("camera:{number}"), camera: true })
}

#[cfg(feature = "opencv")]
fn open_video(path: &Path, _name: &str, options: &SourceOptions) -> Result<Box<dyn FrameSource>, CaptureError> {
    Ok(Box::new(crate::video::VideoSource::open_file(path, options.pixel)?))
}

#[cfg(not(feature = "opencv"))]
fn open_video(_path: &Path, name: &str, _options: &SourceOptions) -> Result<Box<dyn FrameSource>, CaptureError> {
    Err(CaptureError::NeedsOpenCv { name: name.to_owned(), camera: false })
}

#[cfg(test)]
mod tests;
