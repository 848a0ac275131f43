//! What Framewire says over Socket.IO: opening streams, feedback, statistics; the server's side and the client's.

#![forbid(unsafe_code)]

mod auth;
#[cfg(feature = "client")]
mod client;
pub mod codes;
pub mod message;
mod report;
#[cfg(feature = "server")]
mod server;

pub use auth::{CLOCK_SKEW_SECONDS_MAX, Proof, Token, TokenError, warn_if_everyone_reads};
#[cfg(feature = "client")]
pub use client::{ClientConfig, ClientError, ClientEvent, SignalClient, UrlError};
#[cfg(feature = "server")]
pub use server::{
    Connected, DEFAULT_CLIENTS_MAX, DEFAULT_FEEDBACK_RATE, DEFAULT_PORT, Full, Neighbour, Place, Places, ServerConfig,
    SignalCounters, SignalServer, StartError, StreamEnd, StreamHost,
};
