//! A server that a client may go to, and by what it is known.

use std::path::PathBuf;

use framewire_transport::setters;

use super::ClientConfig;
use crate::auth::Token;
use crate::join::Join;
use crate::message::Role;
use crate::pin::Pin;

/// One of several servers that a client may be at. The fields are those of [`ClientConfig`] that say where a server is and by what the two know each other.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerTarget {
    /// As [`ClientConfig::server_url`].
    pub server_url: String,
    /// As [`ClientConfig::token`].
    pub token: Option<Token>,
    /// As [`ClientConfig::role`].
    pub role: Role,
    /// As [`ClientConfig::pin`].
    pub pin: Option<Pin>,
    /// As [`ClientConfig::ca`].
    pub ca: Option<PathBuf>,
    /// As [`ClientConfig::insecure`].
    pub insecure: bool,
}

impl ServerTarget {
    /// This server, for a client that has no token.
    pub fn new(server_url: impl Into<String>) -> Self {
        Self { server_url: server_url.into(), token: None, role: Role::Stream, pin: None, ca: None, insecure: false }
    }

    /// The server of this join string.
    pub fn join(join: &Join) -> Self {
        ClientConfig::join(join).into()
    }

    setters! {
        token: impl Into<Option<Token>>,
        role: Role,
        pin: impl Into<Option<Pin>>,
        ca: impl Into<Option<PathBuf>>,
        insecure: bool,
    }

    /// The same client at this server.
    pub(super) fn of(self, client: &ClientConfig) -> ClientConfig {
        let Self { server_url, token, role, pin, ca, insecure } = self;
        ClientConfig { server_url, token, role, pin, ca, insecure, ..client.clone() }
    }
}

/// Where this client would go.
impl From<ClientConfig> for ServerTarget {
    fn from(client: ClientConfig) -> Self {
        let ClientConfig { server_url, token, role, pin, ca, insecure, .. } = client;
        Self { server_url, token, role, pin, ca, insecure }
    }
}
