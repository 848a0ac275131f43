//! What Framewire's programs are made of: the command line ([`cli`], [`config`]), and the wiring of capture, transport, signal,
//! sinks and pages into the two [`ends`].
#![forbid(unsafe_code)]

pub mod build;
pub mod cli;
mod client;
pub mod config;
mod credentials;
pub mod demo;
pub mod ends;
pub mod formats;
mod hubs;
pub mod ls;
pub mod manual;
mod plain;
mod recording;
pub mod server;
mod table;
pub mod token;
pub mod watch;
