//! The tools beside Framewire's server and client: [`bench`](mod@bench) compares, [`doctor`] looks at a machine, [`top`] at a server.
//!
//! Each is a module with its arguments and `run`; none needs another, but that doctor says what bench measures a cipher at. [`join`] reads by what
//! line a server is joined.
#![forbid(unsafe_code)]

pub mod bench;
pub mod doctor;
pub mod join;
pub mod top;
