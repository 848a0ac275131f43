//! What a hub is told when it is made.

use std::time::Duration;

use super::endpoint::Endpoint;
use crate::setters;

/// Where streams are shared with other processes of this machine, with whom, and how much of it they may have.
///
/// ```
/// use framewire_transport::share::{Endpoint, ShareConfig};
///
/// let config = ShareConfig::new(Endpoint::path("/run/cameras/front.sock")?).reader_slots(12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShareConfig {
    /// Where the hub's socket is.
    pub endpoint: Endpoint,
    /// A group whose members may read too, by its number; by default only the user that this process runs as, and root.
    pub group: Option<u32>,
    /// Slots that the readers of one stream may have together, 2 to 62, 24 by default; with those of the stream itself and one more they are 64 at most. A
    /// reader takes as many as may be on offer to it and as it may hold, and they cost memory from when it first does. A reader that means ill can have
    /// the system provide all of them, counted or not: a stream's memory is at most that of its own slots and of so many, and the kernel keeps it
    /// until the last process that has it mapped is gone.
    pub reader_slots: usize,
    /// Whether a reader may have every frame wait for it ([`ConsumerPolicy::Block`](crate::ConsumerPolicy::Block)), which makes the
    /// stream's sender wait with it; off by default.
    pub block: bool,
    /// How long a reader for which frames wait may take none, 5 seconds by default, at least 1 ms. Then it gets no more, and the others go on.
    pub reader_timeout: Duration,
    /// Whether a receiver's streams are listed, and found, only once they have been named
    /// ([`IncomingStream::share_as`](crate::IncomingStream::share_as)); off by default: until then they go by numbers of the hub
    /// (`stream-1`).
    pub only_named: bool,
}

impl ShareConfig {
    /// The defaults, at this place.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            group: None,
            reader_slots: 24,
            block: false,
            reader_timeout: Duration::from_secs(5),
            only_named: false,
        }
    }

    setters! {
        group: impl Into<Option<u32>>,
        reader_slots: usize,
        block: bool,
        reader_timeout: Duration,
        only_named: bool,
    }
}
