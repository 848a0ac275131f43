//! The client: reads a source, opens a stream at a server, and sends it frame by frame.

pub(crate) mod feed;
pub(crate) mod framed;
mod refusals;
mod sidecar;
pub(crate) mod source;
pub(crate) mod target;
pub(crate) mod trouble;
pub(crate) mod window;
