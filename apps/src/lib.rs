//! What Framewire's programs are made of.
#![forbid(unsafe_code)]

pub mod sink;
