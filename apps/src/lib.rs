//! What Framewire's programs are made of: the command line, and the wiring of capture, transport and signal.
#![forbid(unsafe_code)]

pub mod address;
pub mod bench;
pub mod build;
pub mod cli;
pub mod client;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod exit;
mod latency;
mod live;
pub mod logs;
pub mod manual;
mod monitor;
mod pace;
mod preview;
mod progress;
pub mod server;
pub mod sink;
pub mod stop;
pub mod summary;
pub mod token;
pub mod top;
