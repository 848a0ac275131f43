//! What Framewire's programs count, and how they say it: the figures of a run ([`summary`]), and how long frames took
//! ([`latency`]).
#![forbid(unsafe_code)]

pub mod latency;
pub mod summary;
