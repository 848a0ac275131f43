//! The way through memory that both ends share, as a sender comes to it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::config::SenderConfig;
use super::way::{Trouble, Way};

/// Somebody who shares streams, and has not been asked for one yet.
pub(super) enum Door {}

/// Looks who shares streams for the receiver at this address.
///
/// # Errors
/// Nobody.
pub(super) fn knock(_peer: SocketAddr, _config: &SenderConfig) -> Result<Door, Trouble> {
    Err(Trouble::Nobody("nobody shares streams on this machine".into()))
}

impl Door {
    /// Has the stream opened, its first frame of the number `first`. `on_end` is called where it ends by itself.
    ///
    /// # Errors
    /// Refused, or not answered.
    pub(super) fn enter(
        self,
        _config: &SenderConfig,
        (_stream, _first): (u32, u64),
        _on_end: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<dyn Way>, Trouble> {
        match self {}
    }
}
