//! The two kinds of text lines in a Y4M stream: its header, and the one before each frame.

use framewire_transport::frame::{
    ChromaPlace, ColourRange, FormatError, FrameFormat, FrameRate, PixelFormat, Presentation, Scan,
};
use thiserror::Error;

/// What a Y4M stream begins with.
pub(crate) const MAGIC: &[u8] = b"YUV4MPEG2 ";
/// The longest stream header that is read, its newline included. Real ones are below 200 bytes.
pub(super) const HEADER_BYTES_MAX: usize = 4096;
/// The longest line before a frame that is read, its newline included. Real ones are 6 bytes.
pub(super) const FRAME_LINE_BYTES_MAX: usize = 1024;
/// The line before a frame that has no parameters, which is nearly every frame.
pub(super) const FRAME_LINE: &[u8] = b"FRAME\n";

/// Parameters that are told of where they are not kept.
const NOT_KEPT_MAX: usize = 8;

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
        "the Y4M colour space C{value} is not supported; use mono, 420, 422 or 444 of 8, 10, 12 or 16 bits, for example: \
         ffmpeg -i IN -pix_fmt {remedy} -strict -1 -f yuv4mpegpipe OUT.y4m"
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: FrameFormat,
    pub(super) presentation: Presentation,
    /// Parameters that say something that no stream here carries, as text.
    not_kept: Vec<String>,
}

impl Header {
    /// Reads a header line, its newline taken off, and a carriage return before it. Later parameters win over earlier ones of the
    /// same kind.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Y4mError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let parameters = line.strip_prefix(MAGIC).ok_or_else(|| Y4mError::Magic(printable(line)))?;
        let (mut width, mut height) = (None, None);
        let mut said = Presentation::UNKNOWN;
        let mut not_kept = Vec::new();
        // Without a C parameter the stream is 4:2:0, by the format's definition.
        let mut pixel = PixelFormat::Yuv420p;
        for parameter in parameters.split(|byte| *byte == b' ') {
            let Some((kind, value)) = parameter.split_first() else { continue };
            match kind {
                b'W' => width = Some(number("a width", value)?),
                b'H' => height = Some(number("a height", value)?),
                b'F' => said.rate = parse_rate(value)?,
                b'C' => (pixel, said.chroma) = colour_space(value)?,
                b'I' => said.scan = scan(value),
                b'A' => said.aspect = str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
                b'X' if value.eq_ignore_ascii_case(b"COLORRANGE=FULL") => said.range = ColourRange::Full,
                b'X' if value.eq_ignore_ascii_case(b"COLORRANGE=LIMITED") => said.range = ColourRange::Limited,
                // The colour space once more.
                b'X' if value.to_ascii_uppercase().starts_with(b"YSCSS=") => {}
                _ if not_kept.len() < NOT_KEPT_MAX => not_kept.push(printable(parameter)),
                _ => {}
            }
        }
        let width = width.ok_or(Y4mError::Missing("width (W)"))?;
        let height = height.ok_or(Y4mError::Missing("height (H)"))?;
        Ok(Self { format: FrameFormat::new(pixel, width, height)?, presentation: said, not_kept })
    }

    /// Tells people what of the header does not come out at the other end.
    pub(super) fn tell_what_is_not_kept(&self, name: &str) {
        if !self.not_kept.is_empty() {
            let parameters = self.not_kept.join(" ");
            tracing::warn!("{name} says {parameters} in its Y4M header, which does not travel with the stream");
        }
        if self.presentation.scan == Scan::Mixed {
            tracing::warn!(
                "{name} has progressive and interlaced frames; which is which does not travel with the stream, only that there are both"
            );
        }
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
        // Some writers end lines with CR LF.
        let is_line = matches!((bytes[5], bytes.get(6)), (b' ' | b'\n', _) | (b'\r', None | Some(b'\n')));
        if !bytes.starts_with(word) || !is_line {
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
        // "Unknown", by the format's definition; some writers leave a 1 on either side.
        (0, _) | (_, 0) => Ok(None),
        (num, den) => FrameRate::new(num, den).map(Some).map_err(|_| invalid()),
    }
}

fn scan(value: &[u8]) -> Scan {
    match value {
        b"p" => Scan::Progressive,
        b"t" => Scan::TopFirst,
        b"b" => Scan::BottomFirst,
        b"m" => Scan::Mixed,
        _ => Scan::Unknown,
    }
}

/// What ffmpeg writes (in more than 8 bits with `-strict -1`, in little-endian words of 16) and mjpegtools.
fn colour_space(value: &[u8]) -> Result<(PixelFormat, ChromaPlace), Y4mError> {
    let name = value.to_ascii_lowercase();
    let pixel = match &name[..] {
        b"mono" | b"mono8" => PixelFormat::Gray8,
        b"mono10" => PixelFormat::Gray10,
        b"mono12" => PixelFormat::Gray12,
        b"mono16" => PixelFormat::Gray16,
        // They differ in where chroma was sampled, not in how it is stored.
        b"420" | b"420p8" | b"420jpeg" | b"420mpeg2" | b"420paldv" => PixelFormat::Yuv420p,
        b"420p10" => PixelFormat::Yuv420p10,
        b"420p12" => PixelFormat::Yuv420p12,
        b"420p16" => PixelFormat::Yuv420p16,
        b"422" | b"422p8" => PixelFormat::Yuv422p,
        b"422p10" => PixelFormat::Yuv422p10,
        b"422p12" => PixelFormat::Yuv422p12,
        b"422p16" => PixelFormat::Yuv422p16,
        b"444" | b"444p8" => PixelFormat::Yuv444p,
        b"444p10" => PixelFormat::Yuv444p10,
        b"444p12" => PixelFormat::Yuv444p12,
        b"444p16" => PixelFormat::Yuv444p16,
        _ => return Err(Y4mError::ColourSpace { value: printable(value), remedy: nearest(&name) }),
    };
    let chroma = match &name[..] {
        b"420jpeg" => ChromaPlace::Center,
        b"420mpeg2" => ChromaPlace::Left,
        b"420paldv" => ChromaPlace::TopLeft,
        _ => ChromaPlace::Unknown,
    };
    Ok((pixel, chroma))
}

/// What ffmpeg calls the pixel format that holds most of what such a colour space has: no fewer bits, no less chroma. An alpha channel
/// is left out.
fn nearest(name: &[u8]) -> &'static str {
    let has = |bits: &[u8]| name.ends_with(bits);
    let (p9, p14) = (has(b"p9") || has(b"o9"), has(b"p14") || has(b"o14"));
    let of_depth = |[eight, ten, sixteen]: [&'static str; 3]| match (p9, p14) {
        (true, _) => ten,
        (_, true) => sixteen,
        _ => eight,
    };
    match name {
        [b'4', b'4', ..] => of_depth(["yuv444p", "yuv444p10le", "yuv444p16le"]),
        [b'4', b'2', b'2', ..] => of_depth(["yuv422p", "yuv422p10le", "yuv422p16le"]),
        [b'4', b'1', b'1', ..] => "yuv422p",
        [b'm', ..] => of_depth(["gray", "gray10le", "gray16le"]),
        _ => of_depth(["yuv420p", "yuv420p10le", "yuv420p16le"]),
    }
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
        let Presentation { rate, scan, aspect, chroma, range, .. } = header.presentation;
        assert_eq!((rate, scan), (FrameRate::new(30_000, 1001).ok(), Scan::Progressive));
        assert_eq!(
            (aspect.unwrap().to_string(), chroma, range),
            ("1:1".into(), ChromaPlace::Unknown, ColourRange::Limited)
        );
        let said = parse("YUV4MPEG2 W4 H4 F25:1 It A64:45 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=FULL").unwrap();
        assert_eq!(said.not_kept, [""; 0]);
        let Presentation { scan, aspect, chroma, range, .. } = said.presentation;
        assert_eq!((scan, aspect.unwrap().to_string()), (Scan::TopFirst, "64:45".into()));
        assert_eq!((chroma, range), (ChromaPlace::Left, ColourRange::Full));
        for (text, scan) in
            [("It", Scan::TopFirst), ("Ib", Scan::BottomFirst), ("Im", Scan::Mixed), ("I?", Scan::Unknown)]
        {
            assert_eq!(parse(&format!("YUV4MPEG2 W4 H4 {text}")).unwrap().presentation.scan, scan);
        }
        assert_eq!(parse("YUV4MPEG2 W4 H4 A0:0").unwrap().presentation, Presentation::UNKNOWN);
    }

    #[test]
    fn parameters_that_no_stream_carries_are_named_and_bounded() {
        let header = parse("YUV4MPEG2 W4 H4 Xnote=1 Q2").unwrap();
        assert_eq!(header.not_kept, ["Xnote=1", "Q2"]);
        assert_eq!(parse(&format!("YUV4MPEG2 W4 H4{}", " Xa".repeat(900))).unwrap().not_kept.len(), NOT_KEPT_MAX);
    }

    #[test]
    fn a_line_may_end_with_a_carriage_return() {
        let header = parse("YUV4MPEG2 W4 H2 F25:1 C420jpeg\r").unwrap();
        assert_eq!(header.presentation.chroma, ChromaPlace::Center);
        assert_eq!(FrameLine::parse(b"FRAME\r\npicture"), FrameLine::Whole(7));
        assert_eq!(FrameLine::parse(b"FRAME Ip\r\npicture"), FrameLine::Whole(10));
        assert_eq!(FrameLine::parse(b"FRAME\r"), FrameLine::Partial);
        assert_eq!(FrameLine::parse(b"FRAME\rpicture\n"), FrameLine::Invalid);
    }

    #[test]
    fn the_colour_spaces_map_to_pixel_formats_and_none_means_420() {
        let pixel = |text: &str| parse(&format!("YUV4MPEG2 W4 H4{text}")).map(|header| header.format.pixel());
        for name in ["", " C420", " C420jpeg", " C420mpeg2", " C420paldv", " C420JPEG", " C420p8"] {
            assert_eq!(pixel(name), Ok(PixelFormat::Yuv420p), "{name}");
        }
        assert_eq!(pixel(" C422"), Ok(PixelFormat::Yuv422p));
        assert_eq!(pixel(" C444"), Ok(PixelFormat::Yuv444p));
        assert_eq!(pixel(" Cmono"), Ok(PixelFormat::Gray8));
        let deep = [
            ("mono", ["gray10", "gray12", "gray16"]),
            ("420p", ["yuv420p10", "yuv420p12", "yuv420p16"]),
            ("422p", ["yuv422p10", "yuv422p12", "yuv422p16"]),
            ("444p", ["yuv444p10", "yuv444p12", "yuv444p16"]),
        ];
        for (space, names) in deep {
            for (bits, name) in [10, 12, 16].into_iter().zip(names) {
                assert_eq!(pixel(&format!(" C{space}{bits}")).map(PixelFormat::name), Ok(name));
            }
        }
    }

    #[test]
    fn other_colour_spaces_are_refused_with_the_command_that_converts() {
        let cases = [
            ("420p9", "yuv420p10le"),
            ("420p14", "yuv420p16le"),
            ("422p9", "yuv422p10le"),
            ("422p14", "yuv422p16le"),
            ("444p9", "yuv444p10le"),
            ("444p14", "yuv444p16le"),
            ("mono9", "gray10le"),
            ("mono14", "gray16le"),
            ("444alpha", "yuv444p"),
            ("440", "yuv444p"),
            ("411", "yuv422p"),
            ("410", "yuv420p"),
            ("", "yuv420p"),
        ];
        for (name, remedy) in cases {
            let message = parse(&format!("YUV4MPEG2 W4 H4 C{name}")).unwrap_err().to_string();
            assert!(message.contains(&format!("C{name} is not supported;")), "{message}");
            assert!(message.contains(&format!("ffmpeg -i IN -pix_fmt {remedy} ")), "{message}");
        }
    }

    #[test]
    fn a_rate_of_zero_is_unknown_and_nonsense_is_refused() {
        for unknown in ["", " F0:0", " F1:0", " F25:0", " F0:1"] {
            assert_eq!(parse(&format!("YUV4MPEG2 W4 H4{unknown}")).unwrap().presentation.rate, None);
        }
        assert_eq!(parse("YUV4MPEG2 W4 H4 F1200000:1").unwrap().presentation.rate.unwrap().to_string(), "1200000");
        for value in ["", "25", ":", "a:b", "-25:1", "25:1:1", "4294967296:1"] {
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
        let mut parsed = 0;
        for position in 0..valid.len() {
            assert!(Header::parse(&valid[..position.min(15)]).is_err(), "cut before both sizes were said");
            let _ = Header::parse(&valid[..position]);
            for byte in 0..=255 {
                let mut line = valid.to_vec();
                line[position] = byte;
                parsed += usize::from(Header::parse(&line).is_ok());
            }
        }
        // Each place's own byte, at the least.
        assert!((valid.len()..valid.len() * 256).contains(&parsed), "{parsed}");
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
