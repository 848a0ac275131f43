//! What belongs to a frame beside its pixels: bytes that travel behind them, in the same slot.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Bytes of metadata that a frame may have at most.
pub const METADATA_MAX: usize = 4_096;

/// What the bytes of metadata are. Nothing looks into them on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum MetadataKind {
    /// Any bytes.
    #[default]
    Bytes,
    /// A JSON text, UTF-8.
    Json,
    /// CBOR, RFC 8949.
    Cbor,
}

impl MetadataKind {
    /// Every kind, in the order of their numbers on the wire, from 0.
    pub const ALL: [Self; 3] = [Self::Bytes, Self::Json, Self::Cbor];

    /// The name used in messages, recordings and over Socket.IO.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Json => "json",
            Self::Cbor => "cbor",
        }
    }
}

impl fmt::Display for MetadataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for MetadataKind {
    type Err = UnknownMetadataKind;

    fn from_str(text: &str) -> Result<Self, UnknownMetadataKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownMetadataKind(text.chars().take(40).collect()))
    }
}

/// A text is no kind of metadata.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no kind of metadata; use bytes, json or cbor")]
pub struct UnknownMetadataKind(String);

/// A frame's metadata: 1 to [`METADATA_MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata<'a> {
    /// What the bytes are, as their source said; nobody has looked whether that is true.
    pub kind: MetadataKind,
    /// As the source set them.
    pub bytes: &'a [u8],
}

/// Metadata is longer than there is room for behind a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("metadata of {len} bytes does not fit the {capacity} that a frame of this stream has for it; {}", remedy(*capacity))]
#[non_exhaustive]
pub struct MetadataTooLong {
    /// Bytes that were to be set.
    pub len: usize,
    /// Bytes that there may be.
    pub capacity: usize,
}

fn remedy(capacity: usize) -> &'static str {
    match capacity {
        METADATA_MAX.. => "send less, or send the bytes as frames of a stream of their own",
        _ => "send less, or make the sender or pool with room for more (metadata_max, 4,096 at most)",
    }
}
