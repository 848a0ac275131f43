//! The original system's wire, at both ends: headerless pieces over UDP, each acknowledged over Socket.IO.

pub(crate) mod client;
pub(crate) mod server;
