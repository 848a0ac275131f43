//! The tools beside Framewire's server and client: [`bench`](mod@bench) compares, [`doctor`] looks at a machine, [`top`] at a server.
//!
//! Each is a module with its arguments and `run`; none needs another.
#![forbid(unsafe_code)]

pub mod bench;
pub mod doctor;
pub mod top;
