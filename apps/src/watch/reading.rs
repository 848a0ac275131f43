//! What frames are read from.

use std::time::Duration;

use framewire_figures::summary::ReaderCounts;
use framewire_transport::frame::{Frame, RecvError};
use framewire_transport::share::Subscription;

/// Frames of one stream, as they come.
pub(super) trait Frames {
    /// The next one, if it comes within this time.
    ///
    /// # Errors
    /// As of [`Consumer::recv_timeout`](framewire_transport::Consumer::recv_timeout).
    fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError>;

    /// What came of them so far.
    fn counts(&self) -> ReaderCounts;
}

impl Frames for Subscription {
    fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError> {
        Subscription::recv_timeout(self, timeout)
    }

    fn counts(&self) -> ReaderCounts {
        let stats = self.stats();
        let (offered, taken, dropped) = (stats.offered, stats.taken, stats.dropped);
        ReaderCounts { offered, taken, dropped, reconnects: stats.reconnects }
    }
}
