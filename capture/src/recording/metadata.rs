//! A frame's metadata in its line of the index.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framewire_transport::frame::{METADATA_MAX, Metadata, MetadataKind};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Only a line that has this has metadata.
const KEY: &[u8] = b"\"metadata\"";

/// Appends it: `{"kind":"json","value":…}` with the very bytes where these are JSON on one line, and else `{"kind":…,"base64":…}`.
pub(super) fn append(Metadata { kind, bytes, .. }: Metadata<'_>, text: &mut Vec<u8>) {
    text.extend_from_slice(b"{\"kind\":\"");
    text.extend_from_slice(kind.name().as_bytes());
    if kind == MetadataKind::Json && is_one_line(bytes) {
        text.extend_from_slice(b"\",\"value\":");
        text.extend_from_slice(bytes);
        text.push(b'}');
    } else {
        text.extend_from_slice(b"\",\"base64\":\"");
        text.extend_from_slice(STANDARD.encode(bytes).as_bytes());
        text.extend_from_slice(b"\"}");
    }
}

/// Whether these bytes can stand in a line of JSON, and are the same when they are read there. A `null` reads as if there were no value.
fn is_one_line(bytes: &[u8]) -> bool {
    bytes != b"null"
        && std::str::from_utf8(bytes).is_ok()
        && bytes.trim_ascii() == bytes
        && !bytes.contains(&b'\n')
        && !bytes.contains(&b'\r')
        && serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// Its kind and its bytes, or nothing; the error says what is wrong with the line.
pub(super) type InLine<'a> = Result<Option<(MetadataKind, Cow<'a, [u8]>)>, String>;

/// What a line has of it; the error says what is wrong with it.
pub(super) fn parse(line: &[u8]) -> InLine<'_> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow, default)]
        metadata: Option<Fields<'a>>,
    }
    #[derive(Deserialize)]
    struct Fields<'a> {
        kind: Cow<'a, str>,
        #[serde(borrow, default)]
        value: Option<&'a RawValue>,
        #[serde(default)]
        base64: Option<Cow<'a, str>>,
    }
    if !line.windows(KEY.len()).any(|window| window == KEY) {
        return Ok(None);
    }
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let Some(Fields { kind, value, base64 }) = line.metadata else { return Ok(None) };
    let kind: MetadataKind =
        kind.parse().map_err(|error: framewire_transport::frame::UnknownMetadataKind| error.to_string())?;
    let bytes: Cow<'_, [u8]> = match (value, base64) {
        (Some(value), _) => value.get().as_bytes().into(),
        (None, Some(base64)) => STANDARD.decode(base64.as_bytes()).map_err(|error| error.to_string())?.into(),
        (None, None) => return Err("it has neither value nor base64".to_owned()),
    };
    if bytes.len() > METADATA_MAX {
        return Err(format!("it has {} bytes, and a frame {METADATA_MAX} at most", bytes.len()));
    }
    Ok(Some((kind, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::IndexEntry;

    #[test]
    fn metadata_of_every_kind_comes_back_byte_for_byte() {
        let long: Vec<u8> = (0..METADATA_MAX).map(|at| at as u8).collect();
        for (kind, bytes, is_readable) in [
            (MetadataKind::Json, &br#"{"b": 1,"a":"\u00e9 \"metadata\"", "a": 1.0e3}"#[..], true),
            (MetadataKind::Json, b"5", true),
            (MetadataKind::Json, b"null", false),
            (MetadataKind::Json, b"{\n}", false),
            (MetadataKind::Json, b" {}", false),
            (MetadataKind::Json, b"{torn", false),
            (MetadataKind::Json, b"\"\xff\"", false),
            (MetadataKind::Cbor, &[0xa0], false),
            (MetadataKind::Bytes, &long, false),
        ] {
            let metadata = frame_metadata(kind, bytes);
            let mut line = Vec::new();
            IndexEntry::new(7, 5, 64).write_with(metadata.metadata().unwrap(), &mut line);
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(
                line.windows(bytes.len()).any(|window| window == bytes) && bytes.len() > 1 || bytes == b"5",
                is_readable
            );
            let line = line.trim_ascii_end();
            assert_eq!(IndexEntry::parse(line), Some(IndexEntry::new(7, 5, 64)));
            assert_eq!(parse(line).unwrap(), Some((kind, bytes.into())));
        }
    }

    /// Metadata is a frame's alone.
    fn frame_metadata(kind: MetadataKind, bytes: &[u8]) -> framewire_transport::frame::FrameMut {
        use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};
        let pool = FramePool::for_format(1, FrameFormat::new(PixelFormat::Gray8, 1, 1).unwrap()).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        frame.set_metadata(kind, bytes).unwrap();
        frame
    }

    #[test]
    fn what_is_no_metadata_is_said() {
        assert_eq!(parse(br#"{"frame":1}"#), Ok(None));
        for (line, expected) in [
            (&br#"{"metadata":{"kind":"xml","value":1}}"#[..], "'xml' is no kind"),
            (br#"{"metadata":{"kind":"json"}}"#, "neither value nor base64"),
            (br#"{"metadata":{"kind":"bytes","base64":"!"}}"#, "Invalid"),
            (br#"{"metadata":7}"#, "invalid type"),
        ] {
            assert!(parse(line).unwrap_err().contains(expected), "{:?}", parse(line));
        }
    }
}
