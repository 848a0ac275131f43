//! What Framewire's programs are made of: the command line, and the wiring of capture, transport and signal.
#![forbid(unsafe_code)]

pub mod build;
pub mod cli;
pub mod client;
pub mod config;
pub mod demo;
pub mod manual;
pub mod server;
pub mod token;
