//! Where there is no memory that processes share: nobody is found.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::config::SenderConfig;
use super::trouble::Trouble;
use super::way::Way;
use crate::share::{Invitation, ShareError};

/// Nobody.
pub(super) enum Door {}

/// Finds nobody.
///
/// # Errors
/// Always.
pub(super) fn knock(_peer: SocketAddr, _invitation: Option<&Invitation>) -> Result<Door, Trouble> {
    Err(Trouble::Failed(ShareError::Unsupported.to_string()))
}

impl Door {
    pub(super) fn hub(&self) -> Option<u32> {
        match *self {}
    }

    pub(super) fn enter(
        self,
        _config: &SenderConfig,
        _numbers: (u32, u64, u32),
        _stop: BorrowedFd<'_>,
        _on_end: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<dyn Way>, Trouble> {
        match self {}
    }
}
