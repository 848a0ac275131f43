//! What lies behind a frame's pixels in its slot, and how a slice says so: metadata, and behind it the time of the picture where it
//! has one of its own.

use std::time::{Duration, SystemTime};

use super::metadata::{METADATA_MAX, MetadataKind};

/// Bytes of a time: nanoseconds since the beginning of 1970, UTC, big-endian.
pub(crate) const TIME_BYTES: usize = size_of::<u64>();
/// Bytes behind a frame's pixels at most.
pub const TAIL_MAX: usize = METADATA_MAX + TIME_BYTES;

/// What follows the pixels of a frame: `[metadata][time]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tail {
    metadata_bytes: u16,
    kind: MetadataKind,
    has_time: bool,
}

const LENGTH_BITS: u16 = 0x1fff;
const KIND_SHIFT: u32 = 13;
const KIND_BITS: u16 = 0b11;
const HAS_TIME: u16 = 0x8000;

impl Tail {
    /// Nothing.
    pub const NONE: Self = Self { metadata_bytes: 0, kind: MetadataKind::Bytes, has_time: false };

    /// Metadata of at most [`METADATA_MAX`] bytes; no bytes are no metadata, of whatever kind.
    ///
    /// # Panics
    /// For more bytes.
    pub(super) fn of_metadata(kind: MetadataKind, bytes: usize) -> Self {
        assert!(bytes <= METADATA_MAX, "{bytes} bytes of metadata are more than {METADATA_MAX}");
        match bytes {
            0 => Self::NONE,
            // Fits: it is at most 4,096.
            _ => Self { metadata_bytes: bytes as u16, kind, has_time: false },
        }
    }

    /// The same, and a time.
    pub(super) const fn with_time(self) -> Self {
        Self { has_time: true, ..self }
    }

    /// Bytes that it takes.
    pub const fn bytes(self) -> usize {
        self.metadata_bytes() + if self.has_time { TIME_BYTES } else { 0 }
    }

    /// Bytes of the metadata.
    pub const fn metadata_bytes(self) -> usize {
        self.metadata_bytes as usize
    }

    /// What the metadata is.
    pub const fn kind(self) -> MetadataKind {
        self.kind
    }

    /// Whether the picture has a time of its own.
    pub const fn has_time(self) -> bool {
        self.has_time
    }

    /// As a slice's head has it: the lowest 13 bits are the bytes of metadata, two its kind, the highest is set where a time follows.
    pub const fn to_wire(self) -> u16 {
        let time = if self.has_time { HAS_TIME } else { 0 };
        self.metadata_bytes | (self.kind as u16) << KIND_SHIFT | time
    }

    /// Reads what [`Tail::to_wire`] gave; `None` for what it never gives.
    pub fn from_wire(word: u16) -> Option<Self> {
        let kind = *MetadataKind::ALL.get(usize::from(word >> KIND_SHIFT & KIND_BITS))?;
        let tail = Self { metadata_bytes: word & LENGTH_BITS, kind, has_time: word & HAS_TIME != 0 };
        let is_said_once = tail.metadata_bytes > 0 || kind == MetadataKind::Bytes;
        (tail.metadata_bytes() <= METADATA_MAX && is_said_once).then_some(tail)
    }
}

/// Nanoseconds since the beginning of 1970; `None` before it, and after the year 2554.
pub(crate) fn utc_nanos(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// The moment so many nanoseconds after the beginning of 1970.
pub(crate) fn utc_from_nanos(nanos: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_refused_or_is_written_as_it_was_read() {
        for word in 0..=u16::MAX {
            if let Some(tail) = Tail::from_wire(word) {
                assert_eq!(tail.to_wire(), word);
                assert!(tail.bytes() <= TAIL_MAX);
            }
        }
        assert_eq!(Tail::from_wire(0), Some(Tail::NONE));
        let full = Tail::of_metadata(MetadataKind::Cbor, METADATA_MAX).with_time();
        assert_eq!((full.to_wire(), full.bytes()), (0x8000 | 2 << 13 | 4_096, TAIL_MAX));
        // A length above the most, a kind that there is not, a kind of nothing.
        assert_eq!([4_097, 0x6001, 0x2000].map(Tail::from_wire), [None; 3]);
    }

    #[test]
    fn a_time_is_the_same_after_the_way_there_and_back() {
        let nanos = 1_795_000_000_123_456_789;
        assert_eq!(utc_from_nanos(nanos).and_then(utc_nanos), Some(nanos));
        assert_eq!(utc_nanos(SystemTime::UNIX_EPOCH - Duration::from_nanos(1)), None);
    }
}
