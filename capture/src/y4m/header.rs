//! The two kinds of text lines in a Y4M stream: its header, and the one before each frame.

use framewire_transport::frame::{FormatError, FrameFormat, PixelFormat};
use thiserror::Error;

use framewire_transport::frame::FrameRate;

/// What a Y4M stream begins with.
pub(crate) const MAGIC: &[u8] = b"YUV4MPEG2 ";
/// The longest stream header that is read, its newline included. Real ones are below 200 bytes.
pub(super) const HEADER_BYTES_MAX: usize = 4096;
/// The longest line before a frame that is read, its newline included. Real ones are 6 bytes.
pub(super) const FRAME_LINE_BYTES_MAX: usize = 1024;
/// The line before a frame that has no parameters, which is nearly every frame.
pub(super) const FRAME_LINE: &[u8] = b"FRAME\n";

/// Why a Y4M stream was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Y4mError {
    /// It does not begin like one.
    #[error(
        "is no Y4M: it begins with '{0}' and not with 'YUV4MPEG2 '; make one: ffmpeg -i IN -f yuv4mpegpipe OUT.y4m"
    )]
    Magic(String),
    /// The header has no end.
    #[error("the Y4M header does not end within {HEADER_BYTES_MAX} bytes; the file is damaged, write it again")]
    HeaderEndless,
    /// It stops inside its header.
    #[error("stops inside the Y4M header, after {0} bytes; record or copy it again")]
    HeaderTruncated(usize),
    /// Width or height is not given.
    #[error("the Y4M header has no {0}; the file is damaged, write it again")]
    Missing(&'static str),
    /// A parameter cannot be read.
    #[error("the Y4M header says {what} '{value}', which is none; the file is damaged, write it again")]
    Parameter {
        /// Which one.
        what: &'static str,
        /// Its text.
        value: String,
    },
    /// The samples are laid out in a way that has no pixel format here.
    #[error(
        "the Y4M colour space is C{value}; use 8-bit mono, 420, 422 or 444, for example: \
         ffmpeg -i IN -pix_fmt {remedy} -f yuv4mpegpipe OUT.y4m"
    )]
    ColourSpace {
        /// Its name, without the C.
        value: String,
        /// The nearest pixel format that is understood, as ffmpeg calls it.
        remedy: &'static str,
    },
    /// The size does not go with the colour space.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Where a frame should begin is something else.
    #[error(
        "frame {frame} (the first is 0) should begin with FRAME and begins with '{found}'; the file is damaged there, \
         write it again"
    )]
    FrameLine {
        /// Number of the frame, from 0.
        frame: u64,
        /// What is there instead.
        found: String,
    },
}

/// What a stream's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: FrameFormat,
    /// `None` where the header says "unknown", or nothing.
    pub(super) rate: Option<FrameRate>,
    /// Two fields in a frame, which travel as one picture.
    pub(super) interlaced: bool,
}

impl Header {
    /// Reads a header line, its newline taken off. Later parameters win over earlier ones of the same kind.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Y4mError> {
        let parameters = line.strip_prefix(MAGIC).ok_or_else(|| Y4mError::Magic(printable(line)))?;
        let (mut width, mut height, mut rate, mut interlaced) = (None, None, None, false);
        // Without a C parameter the stream is 4:2:0, by the format's definition.
        let mut pixel = PixelFormat::Yuv420p;
        for parameter in parameters.split(|byte| *byte == b' ') {
            let Some((kind, value)) = parameter.split_first() else { continue };
            match kind {
                b'W' => width = Some(number("a width", value)?),
                b'H' => height = Some(number("a height", value)?),
                b'F' => rate = parse_rate(value)?,
                b'C' => pixel = colour_space(value)?,
                b'I' => interlaced = matches!(value, b"t" | b"b" | b"m"),
                // A is the shape of a pixel, X a comment; neither changes what the bytes are.
                _ => {}
            }
        }
        let width = width.ok_or(Y4mError::Missing("width (W)"))?;
        let height = height.ok_or(Y4mError::Missing("height (H)"))?;
        Ok(Self { format: FrameFormat::new(pixel, width, height)?, rate, interlaced })
    }
}

/// What stands at the beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameLine {
    /// A line of this many bytes, its newline included; the picture follows.
    Whole(usize),
    /// The bytes stop inside the line.
    Partial,
    /// Something else, or a line without an end.
    Invalid,
}

impl FrameLine {
    /// Reads the line at the start of `bytes`, which hold [`FRAME_LINE_BYTES_MAX`] bytes, or all there are.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let word = &FRAME_LINE[..5];
        if bytes.len() < FRAME_LINE.len() {
            let seen = bytes.len().min(word.len());
            return if bytes[..seen] == word[..seen] { Self::Partial } else { Self::Invalid };
        }
        if !bytes.starts_with(word) || !matches!(bytes[5], b' ' | b'\n') {
            return Self::Invalid;
        }
        match bytes.iter().take(FRAME_LINE_BYTES_MAX).position(|byte| *byte == b'\n') {
            Some(newline) => Self::Whole(newline + 1),
            None if bytes.len() < FRAME_LINE_BYTES_MAX => Self::Partial,
            None => Self::Invalid,
        }
    }
}

/// Bytes from outside as text for a message: short, and without control characters.
pub(super) fn printable(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(24)];
    shown.escape_ascii().to_string()
}

fn number(what: &'static str, value: &[u8]) -> Result<u32, Y4mError> {
    let digits = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| Y4mError::Parameter { what, value: printable(value) })
}

fn parse_rate(value: &[u8]) -> Result<Option<FrameRate>, Y4mError> {
    let invalid = || Y4mError::Parameter { what: "a frame rate", value: printable(value) };
    let colon = value.iter().position(|byte| *byte == b':').ok_or_else(invalid)?;
    let side = |side: &[u8]| number("a frame rate", side).map_err(|_| invalid());
    match (side(&value[..colon])?, side(&value[colon + 1..])?) {
        // "Unknown", by the format's definition; some writers leave the 1.
        (0, _) => Ok(None),
        (num, den) => FrameRate::new(num, den).map(Some).map_err(|_| invalid()),
    }
}

fn colour_space(value: &[u8]) -> Result<PixelFormat, Y4mError> {
    Ok(match value {
        b"mono" => PixelFormat::Gray8,
        // The four differ in where chroma was sampled, not in how it is stored.
        b"420" | b"420jpeg" | b"420mpeg2" | b"420paldv" => PixelFormat::Yuv420p,
        b"422" => PixelFormat::Yuv422p,
        b"444" => PixelFormat::Yuv444p,
        _ => {
            let remedy = match value {
                [b'4', b'4', b'4', ..] => "yuv444p",
                [b'4', b'2', b'2', ..] => "yuv422p",
                [b'm', ..] => "gray",
                _ => "yuv420p",
            };
            return Err(Y4mError::ColourSpace { value: printable(value), remedy });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Header, Y4mError> {
        Header::parse(text.as_bytes())
    }

    #[test]
    fn a_header_says_format_rate_and_interlacing() {
        let header = parse("YUV4MPEG2 W1920 H1080 F30000:1001 Ip A1:1 C422 XYSCSS=422 XCOLORRANGE=LIMITED").unwrap();
        assert_eq!(header.format, FrameFormat::new(PixelFormat::Yuv422p, 1920, 1080).unwrap());
        assert_eq!(header.rate, Some(FrameRate::new(30_000, 1001).unwrap()));
        assert!(!header.interlaced);
        assert!(parse("YUV4MPEG2 W4 H4 It").unwrap().interlaced);
        assert!(!parse("YUV4MPEG2 W4 H4 I?").unwrap().interlaced);
    }

    #[test]
    fn the_colour_spaces_map_to_pixel_formats_and_none_means_420() {
        let pixel = |text: &str| parse(&format!("YUV4MPEG2 W4 H4{text}")).map(|header| header.format.pixel());
        for name in ["", " C420", " C420jpeg", " C420mpeg2", " C420paldv"] {
            assert_eq!(pixel(name), Ok(PixelFormat::Yuv420p), "{name}");
        }
        assert_eq!(pixel(" C422"), Ok(PixelFormat::Yuv422p));
        assert_eq!(pixel(" C444"), Ok(PixelFormat::Yuv444p));
        assert_eq!(pixel(" Cmono"), Ok(PixelFormat::Gray8));
    }

    #[test]
    fn other_colour_spaces_are_refused_with_the_command_that_converts() {
        let cases = [
            ("420p10", "yuv420p"),
            ("422p12", "yuv422p"),
            ("444alpha", "yuv444p"),
            ("mono16", "gray"),
            ("411", "yuv420p"),
            ("", "yuv420p"),
        ];
        for (name, remedy) in cases {
            let message = parse(&format!("YUV4MPEG2 W4 H4 C{name}")).unwrap_err().to_string();
            assert!(message.contains(&format!("is C{name};")), "{message}");
            assert!(message.contains(&format!("ffmpeg -i IN -pix_fmt {remedy} ")), "{message}");
        }
    }

    #[test]
    fn a_rate_of_zero_is_unknown_and_nonsense_is_refused() {
        assert_eq!(parse("YUV4MPEG2 W4 H4 F0:0").unwrap().rate, None);
        assert_eq!(parse("YUV4MPEG2 W4 H4").unwrap().rate, None);
        for value in ["", "25", "25:0", ":", "a:b", "-25:1", "25:1:1", "4294967296:1"] {
            let message = parse(&format!("YUV4MPEG2 W4 H4 F{value}")).unwrap_err().to_string();
            assert!(message.contains(&format!("a frame rate '{value}'")), "{message}");
        }
    }

    #[test]
    fn broken_headers_are_refused_with_what_is_wrong() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert!(message("RIFF\u{0}\u{1}").contains("begins with 'RIFF\\x00\\x01'"));
        assert!(message("YUV4MPEG2 H4").contains("no width"));
        assert!(message("YUV4MPEG2 W4").contains("no height"));
        assert!(message("YUV4MPEG2 W H4").contains("a width ''"));
        assert!(message("YUV4MPEG2 W-4 H4").contains("a width '-4'"));
        assert!(message("YUV4MPEG2 W0 H4").contains("no pixels"));
        assert!(message("YUV4MPEG2 W99999999999 H4").contains("a width '99999999999'"));
        assert!(message("YUV4MPEG2 W4000000000 H4000000000 Cmono").contains("larger than"));
    }

    #[test]
    fn any_bytes_give_a_header_or_an_error_and_never_a_panic() {
        let valid = b"YUV4MPEG2 W16 H8 F25:1 It A1:1 C420 Xnote";
        for position in 0..valid.len() {
            for byte in 0..=255 {
                let mut line = valid.to_vec();
                line[position] = byte;
                let _ = Header::parse(&line);
                let _ = Header::parse(&line[..position]);
            }
        }
    }

    #[test]
    fn the_line_before_a_frame_may_have_parameters_and_must_end() {
        assert_eq!(FrameLine::parse(b"FRAME\npicture"), FrameLine::Whole(6));
        assert_eq!(FrameLine::parse(b"FRAME Ip Xnote\npicture"), FrameLine::Whole(15));
        for partial in [&b""[..], b"F", b"FRAME", b"FRAME X"] {
            assert_eq!(FrameLine::parse(partial), FrameLine::Partial, "{partial:?}");
        }
        for invalid in [&b"G"[..], b"FRAMES", b"FRAMES\n", b"frame\n", b"FRAM\n", b"\nFRAME\n"] {
            assert_eq!(FrameLine::parse(invalid), FrameLine::Invalid, "{invalid:?}");
        }
        let endless = [b"FRAME ".as_slice(), &[b'x'; FRAME_LINE_BYTES_MAX]].concat();
        assert_eq!(FrameLine::parse(&endless), FrameLine::Invalid);
    }
}
