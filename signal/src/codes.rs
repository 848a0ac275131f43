#![doc = include_str!("../ERRORS.md")]

use crate::auth::TokenError;
#[cfg(feature = "client")]
use crate::client::{ClientError, Unexpected, UrlError};
#[cfg(feature = "client")]
use crate::directory::ClusterError;
use crate::directory::{DiscoverError, EntryError, NodeIdError, NodeProofError};
use crate::join::JoinError;
use crate::message::{HopsError, Refused};
use crate::pin::PinError;
use crate::secret_file::SecretFileError;
#[cfg(feature = "server")]
use crate::server::{Full, IdentityError, StartError};

framewire_transport::error_codes! {
    SecretFileError {
        Self::Unreadable { .. } => "secret-unreadable",
        Self::TooLarge { .. } => "secret-too-large",
        Self::OpenToOthers { .. } => "secret-open-to-others",
    }
    TokenError {
        Self::Empty(_) => "token-empty",
        Self::Weak(_) => "token-weak",
        Self::NotInEnvironment(_) => "token-not-set",
    } => {
        Self::File(error) => error,
    }
    PinError { Self { .. } => "invalid-pin" }
    JoinError {
        Self::Scheme | Self::Address(_) => "invalid-join-string",
        Self::NoSecrets | Self::NoToken | Self::NoPin => "half-join-string",
    } => {
        Self::Token(error) => error,
        Self::Pin(error) => error,
        Self::File(error) => error,
    }
    NodeIdError { Self { .. } => "invalid-node-id" }
    HopsError {
        Self::TooMany(_) | Self::Twice(_) => "invalid-hops",
    }
    NodeProofError { Self { .. } => "invalid-node-proof" }
    EntryError {
        Self::TooLarge { .. } => "entry-too-large",
        Self::Unreadable => "entry-unreadable",
        Self::Forged => "entry-forged",
        Self::OutOfBounds { .. } => "entry-out-of-bounds",
    }
    DiscoverError {
        Self::NotBuilt => "discover-not-built",
        Self::NoMulticast { .. } => "no-multicast",
    }
    #[cfg(feature = "client")]
    ClusterError {
        Self::NoKey => "cluster-key-missing",
        Self::Url { .. } => "invalid-engine-address",
        Self::Prefix { .. } => "invalid-cluster-prefix",
        Self::NotBuilt { .. } => "engine-not-built",
        Self::Random(_) | Self::Thread(_) => "cluster-resources",
    } => {
        Self::Own(error) => error,
    }
    #[cfg(feature = "client")]
    UrlError { Self { .. } => "invalid-server-address" }
    #[cfg(feature = "client")]
    ClientError {
        Self::Open(_) => "invalid-open-request",
        Self::Watch(_) => "invalid-watch-request",
        Self::Random(_) | Self::Thread(_) => "client-resources",
    } => {
        Self::Url(error) => error,
    }
    #[cfg(feature = "client")]
    Unexpected { Self::Format(_) => "watched-format-unknown" } => {
        Self::Announce(error) => error,
    }
    #[cfg(feature = "server")]
    IdentityError {
        Self::Unreadable { .. } => "certificate-unreadable",
        Self::NoCertificate { .. } => "certificate-missing",
        Self::NoKey { .. } => "certificate-key-missing",
        Self::Mismatch { .. } => "certificate-key-mismatch",
        Self::Unusable { .. } => "certificate-unusable",
        Self::Names(_) => "certificate-names",
    } => {
        Self::KeyFile(error) => error,
    }
    #[cfg(feature = "server")]
    StartError {
        Self::InUse(_) => "listen-in-use",
        Self::NotPermitted(_) => "listen-not-permitted",
        Self::NotHere(_) => "listen-not-here",
        Self::Listen { .. } => "listen-failed",
        Self::FeedbackRate(_) => "feedback-rate-out-of-range",
        Self::NoClients => "no-clients",
        Self::Random(_) | Self::Thread(_) => "server-resources",
    }
    #[cfg(feature = "server")]
    Full {
        Self::Address(_) => "share-taken",
        Self::All(_) => "places-taken",
    }
}

impl Refused {
    /// What programs tell refusals apart by: [`Refused::reason`]. Those of this crate are in [`reason`](crate::message::reason).
    pub fn code(&self) -> &str {
        &self.reason
    }
}
