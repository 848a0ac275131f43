#![doc = include_str!("../ERRORS.md")]

use crate::backend::UnknownBackend;
use crate::crypto::KeyError;
use crate::driver::{
    AcceptStreamError, AnnounceError, BindError, ConnectError, CpuError, NotSent, PathChoiceError,
    ProtectionParseError, RelayError, SendError, SliceSizeError,
};
use crate::frame::{
    FormatError, FrameRateError, FrameTooLong, MetadataTooLong, PoolError, PresentationError, RecvError,
    UnknownMetadataKind,
};
use crate::send::{BitrateError, FecError};
use crate::share::{EndpointError, ShareError};
use crate::wire::RefuseReason;

/// Codes for errors, and for those that only hand on another's: here, and in the libraries that use this one.
#[doc(hidden)]
#[macro_export]
macro_rules! error_codes {
    ($($(#[$attribute:meta])* $error:ident {
        $($what:pat => $code:literal),+ $(,)?
    } $(=> { $($on:pat => $inner:expr),+ $(,)? })?)+) => {
        /// Every code there is, whatever features are on.
        pub const ALL: &[&str] = &[$($($code),+),+];

        $($(#[$attribute])* impl $error {
            /// The error's code: in kebab-case, the same in every version, for programs that tell errors apart without
            /// matching on them. All are in [`codes`](crate::codes).
            pub fn code(&self) -> &'static str {
                match self {
                    $($what => $code,)+
                    $($($on => $inner.code(),)+)?
                }
            }
        })+
    };
}

error_codes! {
    RecvError {
        Self::Ended => "stream-ended",
        Self::Timeout => "no-frame-yet",
        Self::HoldsAllSlots { .. } => "holds-all-slots",
        Self::HubGone => "reading-interrupted",
        Self::CutOff { .. } => "reader-cut-off",
        Self::Forked => "forked-subscription",
    }
    AcceptStreamError {
        Self::Stopped => "receiver-stopped",
        Self::Timeout => "no-stream-yet",
    }
    BindError {
        Self::InUse(_) => "port-in-use",
        Self::Address { .. } => "address-unusable",
        Self::OutOfRange { .. } => "config-out-of-range",
        Self::LengthsDiffer(_) => "plain-receives-one-length",
        Self::Unprotected(_) => "receiver-unprotected",
        Self::NoKeys => "receiver-without-keys",
        Self::KeysUnused => "receiver-keys-unused",
        Self::System(_) => "receiver-resources",
    } => {
        Self::Pool(error) => error,
        Self::Share(error) => error,
    }
    AnnounceError {
        Self::TooMany { .. } => "too-many-announced",
        Self::StreamMemory { .. } => "stream-memory",
        Self::Memory { .. } => "memory",
        Self::Unprotected { .. } => "announced-unprotected",
        Self::NoKey => "announced-without-key",
        Self::KeyUnused => "announced-key-unused",
    }
    ConnectError {
        Self::SliceBytes(_) => "slice-size-out-of-range",
        Self::LengthsDiffer(_) => "plain-sends-one-length",
        Self::Socket { .. } => "no-socket",
        Self::Unprotected { .. } => "unprotected",
        Self::NoKey => "no-key",
        Self::KeyUnused => "key-unused",
        Self::System(_) => "sender-resources",
    } => {
        Self::Pool(error) => error,
    }
    RelayError {
        Self::OutOfRange { .. } => "relay-out-of-range",
        Self::TooMany { .. } => "too-many-watchers",
        Self::Ended => "relayed-stream-ended",
        Self::Stopped => "relay-stopped",
        Self::System(_) => "relay-resources",
    } => {
        Self::Connect(error) => error,
    }
    SendError {
        Self::Failed { .. } => "sending-failed",
        Self::Refused { reason: None, .. } => "refused",
        Self::Unanswered { .. } => "unanswered",
        Self::NoSharedMemory { .. } => "no-shared-memory",
        Self::Closed => "stream-closed",
        Self::Forked => "forked-stream",
        Self::Length { .. } => "frame-length",
        Self::Metadata { .. } => "frame-metadata",
        Self::Gaps { .. } => "frame-has-gaps",
        Self::Foreign => "foreign-frame",
    } => {
        Self::Refused { reason: Some(reason), .. } => reason,
    }
    RefuseReason {
        Self::Unknown => "refused-not-announced",
        Self::TooManyStreams => "refused-too-many-streams",
        Self::FrameTooLarge => "refused-frame-too-large",
        Self::Format => "refused-format",
        Self::Resources => "refused-resources",
        Self::Version => "refused-version",
        Self::Memory => "refused-memory",
        Self::NeedsKey => "refused-needs-key",
        Self::WrongKey => "refused-wrong-key",
        Self::NoKeys => "refused-no-keys",
        Self::NoSuite => "refused-no-suite",
    }
    PoolError {
        Self::SlotCount(_) => "slot-count",
        Self::Size { .. } => "pool-size",
        Self::SlotsTooSmall { .. } => "slots-too-small",
        Self::Memory { .. } => "no-memory",
        Self::MemoryFiles(_) => "no-memory-files",
    }
    FrameTooLong { Self { .. } => "frame-too-long" }
    MetadataTooLong { Self { .. } => "metadata-too-long" }
    UnknownMetadataKind { Self { .. } => "unknown-metadata-kind" }
    FormatError {
        Self::UnknownPixelFormat { .. } => "unknown-pixel-format",
        Self::Empty { .. } => "empty-frame",
        Self::Stride { .. } => "stride-too-short",
        Self::Width { .. } => "width-not-whole",
        Self::StrideStep { .. } => "stride-not-whole",
        Self::Rows { .. } => "bytes-have-no-rows",
        Self::TooLarge { .. } => "frame-too-large",
    }
    FrameRateError { Self { .. } => "invalid-frame-rate" }
    PresentationError { Self { .. } => "invalid-presentation" }
    SliceSizeError { Self { .. } => "invalid-slice-size" }
    PathChoiceError { Self { .. } => "invalid-path" }
    ProtectionParseError { Self { .. } => "invalid-protection" }
    FecError { Self { .. } => "invalid-fec" }
    BitrateError { Self { .. } => "invalid-rate" }
    CpuError {
        Self::Syntax(_) => "invalid-cpus",
        Self::NotAllowed { .. } => "cpu-not-allowed",
        Self::Unsupported => "cpus-unsupported",
    }
    KeyError {
        Self::Length { .. } => "key-length",
        Self::Characters => "invalid-key",
    }
    UnknownBackend { Self { .. } => "unknown-backend" }
    EndpointError {
        Self::TooLong { .. } => "socket-path-too-long",
        Self::Path { .. } => "invalid-socket-path",
        Self::Folder { .. } => "socket-folder-unsafe",
        Self::Unlisted { .. } => "socket-folder-unlisted",
        Self::Passed { .. } => "socket-folders-passed",
        Self::NoFolder { .. } => "no-socket-folder",
    }
    ShareError {
        Self::Unsupported => "sharing-unsupported",
        Self::HubThere { .. } => "hub-there-already",
        Self::Place { .. } => "no-place-for-hub",
        Self::Name(_) => "invalid-stream-name",
        Self::NotShared => "not-shared",
        Self::NoHub { .. } => "no-hub",
        Self::NotAHub { .. } => "not-a-hub",
        Self::Forbidden { .. } => "hub-forbidden",
        Self::Connect { .. } => "hub-unreachable",
        Self::Busy { .. } => "hub-busy",
        Self::Silent { .. } => "hub-silent",
        Self::HubGone { .. } => "hub-gone",
        Self::Version { .. } => "hub-version",
        Self::Nonsense { .. } => "no-hub-there",
        Self::DescriptorsLost { .. } => "descriptors-lost",
        Self::UnsafeMemory { .. } => "unsafe-shared-memory",
        Self::UnknownStream { .. } => "unknown-stream",
        Self::NoStreamYet { .. } => "no-such-stream-yet",
        Self::NoReaderSlots { .. } => "no-reader-slots",
        Self::BlockRefused { .. } => "block-refused",
        Self::OutOfRange { .. } => "subscription-out-of-range",
        Self::Refused { .. } => "hub-refuses",
        Self::Forked { .. } => "forked",
        Self::Unsealed => "memory-not-sealed",
        Self::System(_) => "sharing-resources",
    } => {
        Self::Endpoint(error) => error,
        Self::Pool(error) => error,
    }
}

impl NotSent {
    /// The code of [`NotSent::error`].
    pub fn code(&self) -> &'static str {
        self.error.code()
    }
}
