#![doc = include_str!("../ERRORS.md")]

use crate::auth::TokenError;
#[cfg(feature = "client")]
use crate::client::{ClientError, UrlError};
use crate::message::Refused;
#[cfg(feature = "server")]
use crate::server::{Full, StartError};

framewire_transport::error_codes! {
    TokenError {
        Self::Unreadable { .. } => "token-unreadable",
        Self::TooLarge { .. } => "token-too-large",
        Self::Empty(_) => "token-empty",
        Self::Weak(_) => "token-weak",
        Self::NotInEnvironment(_) => "token-not-set",
    }
    #[cfg(feature = "client")]
    UrlError { Self { .. } => "invalid-server-address" }
    #[cfg(feature = "client")]
    ClientError {
        Self::Open(_) => "invalid-open-request",
        Self::Random(_) | Self::Thread(_) => "client-resources",
    } => {
        Self::Url(error) => error,
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
