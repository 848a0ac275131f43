//! What the newest frame of a stream said beside its pixels.

use std::time::{Duration, SystemTime};

use framewire_figures::snapshot::{MetadataSnapshot, NewestSnapshot};
use framewire_signal::message::CaptureTime;
use framewire_transport::frame::{Frame, MetadataKind};

/// Bytes of a frame's metadata that are shown: a page has many streams, four times a second.
const TEXT_BYTES_MAX: usize = 1_024;

/// What the newest frame said. Its memory is used again, so a frame costs a copy of its metadata.
#[derive(Debug, Default, Clone)]
pub(crate) struct Newest {
    frame_bytes: Option<u64>,
    captured_utc: Option<SystemTime>,
    utc_error: Option<Duration>,
    kind: Option<MetadataKind>,
    metadata: Vec<u8>,
}

impl Newest {
    /// Takes over what this frame says.
    pub(crate) fn take(&mut self, frame: &Frame) {
        let metadata = frame.metadata();
        self.frame_bytes = Some(frame.len() as u64);
        (self.captured_utc, self.utc_error) = (frame.captured_utc(), frame.info().utc_error);
        self.kind = metadata.map(|metadata| metadata.kind);
        self.metadata.clear();
        self.metadata.extend_from_slice(metadata.map_or(&[], |metadata| metadata.bytes));
    }

    /// For who looks; `None` before the first frame.
    pub(crate) fn snapshot(&self) -> Option<NewestSnapshot> {
        Some(NewestSnapshot {
            bytes: self.frame_bytes?,
            captured_utc: self.captured_utc.and_then(CaptureTime::new).map(|time| time.to_string()),
            captured_utc_error_ms: self.utc_error.map(|error| error.as_secs_f64() * 1e3),
            metadata: self.kind.map(|kind| self.metadata(kind)),
        })
    }

    /// JSON as the text that it is, which nothing here reads; of all else what it is, and how long.
    fn metadata(&self, kind: MetadataKind) -> MetadataSnapshot {
        let shown = match kind {
            MetadataKind::Json => &self.metadata[..self.metadata.len().min(TEXT_BYTES_MAX)],
            _ => &[],
        };
        // A character that lies across the end is left out whole.
        let shown = match std::str::from_utf8(shown) {
            Err(error) if error.error_len().is_none() => &shown[..error.valid_up_to()],
            _ => shown,
        };
        MetadataSnapshot {
            kind: kind.name().to_owned(),
            bytes: self.metadata.len() as u64,
            text: (kind == MetadataKind::Json).then(|| String::from_utf8_lossy(shown).into_owned()),
            bytes_cut: if kind == MetadataKind::Json { (self.metadata.len() - shown.len()) as u64 } else { 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};
    use std::time::UNIX_EPOCH;

    fn newest(kind: MetadataKind, metadata: &[u8]) -> NewestSnapshot {
        let pool = FramePool::for_format(1, FrameFormat::new(PixelFormat::Gray8, 2, 2).unwrap()).unwrap();
        let mut frame = pool.try_acquire().unwrap();
        frame.set_len(4).unwrap();
        frame.set_metadata(kind, metadata).unwrap();
        frame.info.captured_utc = Some(UNIX_EPOCH + Duration::new(1_795_330_822, 7));
        frame.info.utc_error = Some(Duration::from_micros(250));
        let mut newest = Newest::default();
        assert_eq!(newest.snapshot(), None);
        newest.take(&frame.freeze());
        newest.snapshot().unwrap()
    }

    #[test]
    fn json_is_shown_as_text_and_bytes_as_what_they_are() {
        let json = newest(MetadataKind::Json, br#"{"gain": 2}"#);
        assert_eq!((json.bytes, json.captured_utc.as_deref()), (4, Some("2026-11-22T07:00:22.000000007Z")));
        assert_eq!(json.captured_utc_error_ms, Some(0.25));
        let metadata = json.metadata.unwrap();
        assert_eq!((metadata.kind.as_str(), metadata.text.as_deref()), ("json", Some(r#"{"gain": 2}"#)));
        assert_eq!((metadata.bytes, metadata.bytes_cut), (11, 0));
        for kind in [MetadataKind::Cbor, MetadataKind::Bytes] {
            let metadata = newest(kind, &[0xa1; 300]).metadata.unwrap();
            assert_eq!((metadata.kind.as_str(), metadata.bytes, metadata.text), (kind.name(), 300, None));
        }
        assert_eq!(newest(MetadataKind::Json, b"").metadata, None);
    }

    #[test]
    fn long_text_is_cut_between_characters_and_what_was_cut_is_said() {
        let metadata = newest(MetadataKind::Json, &"€".repeat(1_000).into_bytes()).metadata.unwrap();
        let text = metadata.text.unwrap();
        assert!(text.len() <= TEXT_BYTES_MAX && text.chars().all(|character| character == '€'));
        assert_eq!((metadata.bytes, metadata.bytes_cut), (3_000, 3_000 - text.len() as u64));
        let broken = newest(MetadataKind::Json, &[0xff, b'a', 0xe2]).metadata.unwrap();
        assert_eq!(broken.text.as_deref(), Some("\u{fffd}a\u{fffd}"), "what is no text is shown as such");
    }
}
