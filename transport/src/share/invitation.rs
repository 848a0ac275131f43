//! What a receiver tells a sender on its machine, so that its stream comes by shared memory.

use std::fmt;

use super::Endpoint;

/// Where a receiver shares its streams, and by what it knows the sender of one of them. It goes to that sender and nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    endpoint: Endpoint,
    nonce: u64,
}

impl Invitation {
    /// As [`Invitation::endpoint`] and [`Invitation::nonce`] have it.
    pub fn new(endpoint: Endpoint, nonce: u64) -> Self {
        Self { endpoint, nonce }
    }

    /// The receiver's socket.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A secret of the receiver and this sender; 0 for streams that were not announced.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }
}

/// To a receiver that takes streams which were not announced.
impl From<Endpoint> for Invitation {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint, 0)
    }
}

impl From<Endpoint> for Option<Invitation> {
    fn from(endpoint: Endpoint) -> Self {
        Some(endpoint.into())
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the secret.
        f.debug_struct("Invitation").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
