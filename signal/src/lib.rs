//! What Framewire says over Socket.IO: opening streams, feedback, statistics; the server's side and the client's.

#![forbid(unsafe_code)]

mod auth;
mod client;
pub mod message;
mod report;
mod server;

pub use auth::{CLOCK_SKEW_SECONDS_MAX, Proof, Token, TokenError, warn_if_everyone_reads};
pub use client::{ClientConfig, ClientError, ClientEvent, SignalClient, UrlError};
pub use server::{
    Connected, DEFAULT_CLIENTS_MAX, DEFAULT_FEEDBACK_RATE, DEFAULT_PORT, Full, Neighbour, Place, Places, ServerConfig,
    SignalCounters, SignalServer, StartError, StreamEnd, StreamHost,
};
