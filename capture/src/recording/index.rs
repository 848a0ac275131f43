//! The text beside a raw recording that says what its frames are and when each was taken: JSON Lines.
//!
//! The first line describes all frames, each further one is a frame. A frame's line is written after the frame itself, so that
//! a recorder that is killed leaves at most one frame without a line, or half a line at the end.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use framewire_transport::frame::{FrameFormat, FrameRate, Metadata, Presentation, SampleAspect};
use framewire_transport::setters;
use serde::{Deserialize, Serialize};

use super::metadata;

/// What is written where all frames have the same length.
const VERSION: u32 = 1;
/// What is written where they differ: whoever knows version 1 alone would take them all for the longest.
const VERSION_OF_LENGTHS: u32 = 2;

/// Where the index of a recording is: `out.raw` has `out.raw.index`.
pub fn index_path(recording: &Path) -> PathBuf {
    let mut path = OsString::from(recording);
    path.push(".index");
    path.into()
}

/// The first line: what all frames of a recording are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexHeader {
    /// Geometry of every frame, with the bytes from row to row that they have in the recording.
    pub format: FrameFormat,
    /// What the source says of its pictures.
    pub presentation: Presentation,
    /// The stream's name, for people.
    pub stream: String,
    /// When the times in the index begin, in UTC as RFC 3339 writes it. Parts of one recording have the same.
    pub started: String,
}

/// A further line: one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexEntry {
    /// The frame's number at its sender, from 0. A gap is frames that were not recorded.
    #[serde(rename = "frame")]
    pub number: u64,
    /// When it was taken, in microseconds of its sender's clock since [`IndexHeader::started`].
    pub captured_us: u64,
    /// Its first byte in the recording.
    pub offset: u64,
    /// Bytes of it that never arrived and are zeroes; 0, and then not written, for a whole frame.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing_bytes: u64,
    /// Bytes of it, where frames differ in length; else they have what [`IndexHeader::format`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// When it was taken, in nanoseconds of UTC since 1970; times never go back, and wall clocks that are set move none. `None` in indexes
    /// of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_ns: Option<u64>,
    /// By how much the clock behind that may be wrong, in microseconds, as its machine estimates it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utc_error_us: Option<u64>,
    /// Whether `utc_ns` is what its source said, rather than what the clock of its machine showed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub own_time: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

#[derive(Serialize, Deserialize)]
struct HeaderLine {
    framewire_index: u32,
    pixel: String,
    width: u32,
    height: u32,
    stride: u32,
    frame_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<String>,
    /// Written where the source says it, as all three below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scan: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aspect: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chroma: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    started: String,
}

impl IndexHeader {
    /// A recording of frames of this format, whose source says nothing of its pictures and has no name, and whose times begin at
    /// `started`, in UTC as RFC 3339 writes it.
    pub fn new(format: FrameFormat, started: impl Into<String>) -> Self {
        Self { format, presentation: Presentation::UNKNOWN, stream: String::new(), started: started.into() }
    }

    /// The first key of its line. In channels of an MCAP recording, the whole line has this name.
    pub const KEY: &str = "framewire_index";

    setters! {
        presentation: impl Into<Presentation>,
        stream: impl Into<String>,
    }

    /// Appends its line.
    pub fn write(&self, text: &mut Vec<u8>) {
        let Self { format, presentation, stream, started } = self;
        let Presentation { rate, scan, aspect, chroma, range, .. } = presentation;
        let said = |name: &str| (name != "unknown").then(|| name.to_owned());
        let line = HeaderLine {
            framewire_index: if format.is_variable() { VERSION_OF_LENGTHS } else { VERSION },
            pixel: format.pixel().to_string(),
            width: format.width(),
            height: format.height(),
            stride: format.stride(),
            frame_bytes: format.frame_bytes() as u64,
            rate: rate.map(|rate| rate.to_string()),
            scan: said(scan.name()),
            aspect: aspect.map(|aspect| aspect.to_string()),
            chroma: said(chroma.name()),
            range: said(range.name()),
            stream: stream.clone(),
            started: started.clone(),
        };
        append(&line, text);
    }

    /// Reads its line; the error says what is wrong with it.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        /// Of any version: what is needed to tell which.
        #[derive(Deserialize)]
        struct Versioned {
            framewire_index: u32,
        }
        let broken = |error: serde_json::Error| format!("its first line is not that of an index ({error})");
        let Versioned { framewire_index } = serde_json::from_slice(line).map_err(broken)?;
        if !(VERSION..=VERSION_OF_LENGTHS).contains(&framewire_index) {
            return Err(format!(
                "it is of version {framewire_index}, and this release reads versions {VERSION} to {VERSION_OF_LENGTHS}"
            ));
        }
        let line: HeaderLine = serde_json::from_slice(line).map_err(broken)?;
        let format = line
            .pixel
            .parse()
            .and_then(|pixel| FrameFormat::with_stride(pixel, line.width, line.height, line.stride))
            .map_err(|error| error.to_string())?;
        if format.frame_bytes() as u64 != line.frame_bytes {
            let (said, bytes) = (line.frame_bytes, format.frame_bytes());
            return Err(format!("it says frames of {said} bytes, and {format} has {bytes}"));
        }
        fn read<T: FromStr<Err: Display>>(text: Option<String>) -> Result<Option<T>, String> {
            text.map(|text| text.parse().map_err(|error: T::Err| error.to_string())).transpose()
        }
        let presentation = Presentation::UNKNOWN
            .rate(read::<FrameRate>(line.rate)?)
            .scan(read(line.scan)?.unwrap_or_default())
            .aspect(read::<SampleAspect>(line.aspect)?)
            .chroma(read(line.chroma)?.unwrap_or_default())
            .range(read(line.range)?.unwrap_or_default());
        Ok(Self { format, presentation, stream: line.stream, started: line.started })
    }
}

impl IndexEntry {
    /// A whole frame, by its number, its time and its first byte.
    pub fn new(number: u64, captured_us: u64, offset: u64) -> Self {
        Self {
            number,
            captured_us,
            offset,
            missing_bytes: 0,
            bytes: None,
            utc_ns: None,
            utc_error_us: None,
            own_time: false,
        }
    }

    setters! {
        missing_bytes: u64,
        bytes: impl Into<Option<u64>>,
        utc_ns: impl Into<Option<u64>>,
        utc_error_us: impl Into<Option<u64>>,
        own_time: bool,
    }

    /// Appends its line.
    pub fn write(&self, text: &mut Vec<u8>) {
        append(self, text);
    }

    /// Appends its line with the frame's metadata: JSON as it is, all else in Base64.
    pub fn write_with(&self, metadata: Metadata<'_>, text: &mut Vec<u8>) {
        append(self, text);
        // Inside the line's braces.
        text.truncate(text.len() - 2);
        text.extend_from_slice(b",\"metadata\":");
        metadata::append(metadata, text);
        text.extend_from_slice(b"}\n");
    }

    /// Reads its line; `None` for one that was torn or damaged.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

fn append(line: &impl Serialize, text: &mut Vec<u8>) {
    serde_json::to_writer(&mut *text, line).expect("numbers and texts are always JSON, and memory takes them");
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use framewire_transport::frame::{ChromaPlace, ColourRange, FrameRate, PixelFormat, SampleAspect, Scan};

    use super::*;

    fn header() -> IndexHeader {
        IndexHeader {
            format: FrameFormat::with_stride(PixelFormat::Gray8, 6, 4, 8).unwrap(),
            presentation: FrameRate::new(30_000, 1001).ok().into(),
            stream: "front \"<b>".to_owned(),
            started: "2026-11-23T02:01:55.123Z".to_owned(),
        }
    }

    fn line_of(header: &IndexHeader) -> String {
        let mut text = Vec::new();
        header.write(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn lines_are_as_the_documentation_shows_them_and_read_back() {
        let line = line_of(&header());
        assert_eq!(
            line,
            "{\"framewire_index\":1,\"pixel\":\"gray8\",\"width\":6,\"height\":4,\"stride\":8,\"frame_bytes\":32,\
             \"rate\":\"30000/1001\",\"stream\":\"front \\\"<b>\",\"started\":\"2026-11-23T02:01:55.123Z\"}\n"
        );
        assert_eq!(IndexHeader::parse(line.trim_end().as_bytes()), Ok(header()));
        let whole = IndexEntry::new(7, 33_366, 64);
        let partial = IndexEntry { missing_bytes: 9, ..whole };
        for (entry, expected) in [
            (whole, "{\"frame\":7,\"captured_us\":33366,\"offset\":64}\n"),
            (partial, "{\"frame\":7,\"captured_us\":33366,\"offset\":64,\"missing_bytes\":9}\n"),
        ] {
            let mut text = Vec::new();
            entry.write(&mut text);
            assert_eq!(String::from_utf8_lossy(&text), expected);
            assert_eq!(IndexEntry::parse(expected.trim_end().as_bytes()), Some(entry));
        }
    }

    #[test]
    fn what_the_source_says_of_its_pictures_is_written_where_it_says_it() {
        let presentation = Presentation::UNKNOWN
            .rate(FrameRate::per_second(25).ok())
            .scan(Scan::TopFirst)
            .aspect(SampleAspect::new(64, 45))
            .chroma(ChromaPlace::Left)
            .range(ColourRange::Full);
        let header = IndexHeader { presentation, ..header() };
        let line = line_of(&header);
        let said = r#""rate":"25","scan":"top-first","aspect":"64:45","chroma":"left","range":"full","#;
        assert!(line.contains(said), "{line}");
        assert_eq!(IndexHeader::parse(line.trim_end().as_bytes()), Ok(header));
        for (word, other) in [("top-first", "interlaced"), ("64:45", "0:1"), ("left", "right"), ("full", "pc")] {
            assert!(IndexHeader::parse(line.replace(word, other).as_bytes()).unwrap_err().contains(other), "{other}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_is_refused_with_what_it_says() {
        let refused = |from: &str, to: &str| IndexHeader::parse(line_of(&header()).replace(from, to).as_bytes());
        assert!(refused(":1,", ":3,").unwrap_err().contains("version 3, and this release reads versions 1 to 2"));
        assert!(refused(":32,", ":33,").unwrap_err().contains("frames of 33 bytes, and 6x4 gray8 has 32"));
        assert!(refused("gray8", "grey9").unwrap_err().contains("unknown pixel format 'grey9'"));
        assert!(refused("30000/1001", "fast").unwrap_err().contains("'fast' is no frame rate"));
        assert!(refused("{", "").unwrap_err().contains("not that of an index"));
        assert!(IndexHeader::parse(b"").unwrap_err().contains("not that of an index"));
    }

    #[test]
    fn a_line_cut_anywhere_is_none() {
        let mut text = Vec::new();
        IndexEntry::new(71, 5, 64).missing_bytes(3).write(&mut text);
        for cut in 0..text.len() - 1 {
            assert_eq!(IndexEntry::parse(&text[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn the_index_stands_beside_its_recording() {
        assert_eq!(index_path(Path::new("a/out.raw")), Path::new("a/out.raw.index"));
    }
}
