//! An opening as it comes, of either kind.

use super::{Flags, Open, PRELUDE_LEN, SealedOpen, WireError};

/// What opens a stream, or the next epoch of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnyOpen {
    /// In clear.
    Plain(Open),
    /// Of a protected stream: what is in its message is not known yet.
    Sealed(SealedOpen),
}

impl AnyOpen {
    /// Reads either.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let flags = bytes.get(PRELUDE_LEN..).and_then(<[u8]>::first_chunk).copied().map_or(0, u16::from_be_bytes);
        match flags & Flags::TAGGED {
            0 => Open::parse(bytes).map(Self::Plain),
            _ => SealedOpen::parse(bytes).map(Self::Sealed),
        }
    }

    /// The stream it belongs to.
    pub const fn stream(&self) -> u32 {
        match self {
            Self::Plain(open) => open.stream,
            Self::Sealed(open) => open.stream,
        }
    }

    /// The sender's run.
    pub const fn epoch(&self) -> u32 {
        match self {
            Self::Plain(open) => open.epoch,
            Self::Sealed(open) => open.epoch,
        }
    }

    /// What a [`super::Challenge`] said, or 0.
    pub const fn cookie(&self) -> u64 {
        match self {
            Self::Plain(open) => open.cookie,
            Self::Sealed(open) => open.cookie,
        }
    }

    /// Bytes of the largest slice.
    pub const fn slice_bytes(&self) -> u16 {
        match self {
            Self::Plain(open) => open.slice_bytes,
            Self::Sealed(open) => open.slice_bytes,
        }
    }
}
