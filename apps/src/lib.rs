//! What Framewire's programs are made of: the command line, and the wiring of capture, transport and signal.
#![forbid(unsafe_code)]

pub mod bench;
pub mod build;
pub mod cli;
pub mod client;
pub mod config;
pub mod demo;
pub mod doctor;
mod live;
pub mod manual;
mod monitor;
mod preview;
pub mod server;
pub mod token;
pub mod top;
