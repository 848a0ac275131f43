//! What Framewire's programs count, and how they say it: what a stream has counted ([`counts`]), the streams of a server at one
//! moment ([`snapshot`]) and those of its cluster ([`cluster`]), the figures of a run ([`summary`]), and how long frames took ([`latency`]).
#![forbid(unsafe_code)]

pub mod cluster;
pub mod counts;
pub mod latency;
pub mod snapshot;
pub mod summary;
