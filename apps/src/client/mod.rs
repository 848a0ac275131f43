//! The client: reads a source, opens a stream at each of its servers, and sends it frame by frame.

mod account;
mod demand;
mod fan;
pub(crate) mod feed;
mod outlet;
mod refusals;
pub(crate) mod run;
mod sidecar;
pub(crate) mod source;
mod talk;
pub(crate) mod target;
mod thinning;
pub(crate) mod trouble;
mod way;
pub(crate) mod window;
