//! What goes wrong where a relay, a stream of it or a watcher is made.

use std::io;

use thiserror::Error;

use crate::driver::sender::ConnectError;
use crate::limit::remedy;

/// Why frames are not sent on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RelayError {
    /// A number of the configuration is out of range.
    #[error("{value} {what} cannot be; use {min} to {max}")]
    OutOfRange {
        /// Of what there are so many.
        what: &'static str,
        /// How many were asked for.
        value: usize,
        /// The least that can be.
        min: usize,
        /// The most that can be.
        max: usize,
    },
    /// There are as many watchers as may be.
    #[error("{max} watchers are there, as many as may be; drop one, or allow more (RelayConfig::watchers_max)")]
    TooMany {
        /// How many there may be.
        max: usize,
    },
    /// The stream has ended.
    #[error("the stream has ended, and nothing of it is sent on any more; watch the one that comes in its place")]
    Ended,
    /// The relay's thread is no more: it panicked, and the log says why, or the relay was dropped.
    #[error("the relay has stopped, and sends nothing on any more; start another one")]
    Stopped,
    /// The way to the watcher cannot be.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No thread or descriptor.
    #[error("the system refused a thread or descriptor for the relay: {source}; {help}", source = .0, help = remedy(.0).unwrap_or("check the process's limits"))]
    System(io::Error),
}
