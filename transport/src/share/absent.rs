//! What there is of sharing where it is not: the same names and signatures, and no way to have one of them.

use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use super::endpoint::Endpoint;
use super::error::ShareError;
use super::subscription_config::{SharedStreamInfo, SubscriptionConfig, SubscriptionStats};
use crate::frame::{ConsumerPolicy, Frame, RecvError};

/// Reads the streams that a hub of this machine shares; on Linux only.
#[derive(Debug, Clone)]
pub struct Reader(Infallible);

impl Reader {
    /// None can be had here.
    ///
    /// # Errors
    /// [`ShareError::Unsupported`], always.
    pub fn connect(_: Endpoint) -> Result<Self, ShareError> {
        Err(ShareError::Unsupported)
    }

    /// None can be had here.
    ///
    /// # Errors
    /// [`ShareError::Unsupported`], always.
    pub fn connect_within(_: Endpoint, _: Duration) -> Result<Self, ShareError> {
        Err(ShareError::Unsupported)
    }

    /// Nobody listens here.
    ///
    /// # Errors
    /// [`ShareError::Unsupported`], always.
    pub fn peer_pid(_: &Endpoint) -> Result<Option<u32>, ShareError> {
        Err(ShareError::Unsupported)
    }

    /// Where its hub is.
    pub fn endpoint(&self) -> &Endpoint {
        match self.0 {}
    }

    /// The streams that the hub shares.
    ///
    /// # Errors
    /// On Linux.
    pub fn streams(&self) -> Result<Vec<SharedStreamInfo>, ShareError> {
        match self.0 {}
    }

    /// The stream of this name.
    ///
    /// # Errors
    /// On Linux.
    pub fn wait_for(&self, _: &str, _: Duration) -> Result<SharedStreamInfo, ShareError> {
        match self.0 {}
    }

    /// Reads a stream.
    ///
    /// # Errors
    /// On Linux.
    pub fn subscribe(&self, _: &str, _: ConsumerPolicy) -> Result<Subscription, ShareError> {
        match self.0 {}
    }

    /// Reads a stream.
    ///
    /// # Errors
    /// On Linux.
    pub fn subscribe_with(&self, _: &str, _: SubscriptionConfig) -> Result<Subscription, ShareError> {
        match self.0 {}
    }
}

/// A stream that another process shares; on Linux only.
#[derive(Debug)]
pub struct Subscription(Infallible);

impl Subscription {
    /// The next frame.
    ///
    /// # Errors
    /// On Linux.
    pub fn recv(&self) -> Result<Frame, RecvError> {
        match self.0 {}
    }

    /// The next frame.
    ///
    /// # Errors
    /// On Linux.
    pub fn recv_timeout(&self, _: Duration) -> Result<Frame, RecvError> {
        match self.0 {}
    }

    /// The next frame.
    ///
    /// # Errors
    /// On Linux.
    pub fn try_recv(&self) -> Result<Frame, RecvError> {
        match self.0 {}
    }

    /// The frames until the stream ends.
    pub fn frames(&self) -> SubscriptionFrames<'_> {
        match self.0 {}
    }

    /// What the stream is.
    pub fn info(&self) -> SharedStreamInfo {
        match self.0 {}
    }

    /// What became of its frames.
    pub fn stats(&self) -> SubscriptionStats {
        match self.0 {}
    }

    /// In how many slots there are frames that were taken.
    pub fn slots_held(&self) -> usize {
        match self.0 {}
    }

    /// Whether its hub is there.
    pub fn is_connected(&self) -> bool {
        match self.0 {}
    }

    /// Whether the stream's source has closed it.
    pub fn is_closed(&self) -> bool {
        match self.0 {}
    }
}

impl AsFd for Subscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}

impl AsRawFd for Subscription {
    fn as_raw_fd(&self) -> RawFd {
        match self.0 {}
    }
}

/// The frames of a [`Subscription`] until its stream ends.
#[derive(Debug)]
pub struct SubscriptionFrames<'a> {
    subscription: &'a Subscription,
}

impl Iterator for SubscriptionFrames<'_> {
    type Item = Result<Frame, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.subscription.0 {}
    }
}

/// What there is of the hub.
pub(crate) mod hub {
    use std::any::Any;
    use std::convert::Infallible;
    use std::sync::Arc;

    use crate::frame::{Frame, FramePool, Outlet};
    use crate::share::{ReaderFigures, ShareConfig, ShareError};
    use crate::wire::{Delivery, Open};

    /// Pays for nothing.
    pub(crate) type Charge = Arc<dyn Fn(usize) -> Result<Box<dyn Any + Send + Sync>, MemoryLeft> + Send + Sync>;

    /// What there is of memory where that is too little.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct MemoryLeft {
        pub(crate) bytes: usize,
        pub(crate) limit: usize,
    }

    /// A stream that would be shared.
    pub(crate) struct StreamToShare {
        pub(crate) pool: FramePool,
        pub(crate) base: usize,
        pub(crate) open: Open,
        pub(crate) delivery: Delivery,
        pub(crate) path: u8,
        pub(crate) charge: Charge,
    }

    /// None can be had here.
    pub(crate) struct Hub(Infallible);

    /// Nor this.
    pub(crate) struct SharedStream(Infallible);

    impl Hub {
        pub(crate) fn bind(_: &ShareConfig) -> Result<Self, ShareError> {
            Err(ShareError::Unsupported)
        }

        pub(crate) fn config(&self) -> &ShareConfig {
            match self.0 {}
        }

        pub(crate) fn begin(&self) {
            match self.0 {}
        }

        pub(crate) fn is_forked(&self) -> bool {
            match self.0 {}
        }

        pub(crate) fn share(&self, _: Option<&str>, _: StreamToShare) -> Result<Arc<SharedStream>, ShareError> {
            match self.0 {}
        }

        pub(crate) fn share_unlisted(&self, _: StreamToShare) -> Result<Arc<SharedStream>, ShareError> {
            match self.0 {}
        }

        pub(crate) fn rename(&self, _: &Arc<SharedStream>, _: &str) -> Result<(), ShareError> {
            match self.0 {}
        }

        pub(crate) fn end(&self) {
            match self.0 {}
        }
    }

    impl SharedStream {
        pub(crate) fn readers(&self) -> Vec<ReaderFigures> {
            match self.0 {}
        }

        pub(crate) fn set_closed(&self) {
            match self.0 {}
        }
    }

    impl Outlet for SharedStream {
        fn offer(&self, _: &Frame) {
            match self.0 {}
        }

        fn end(&self) {
            match self.0 {}
        }
    }

    /// All are the stream's own.
    pub(crate) fn slots_with_readers(slots: usize, _: Option<&ShareConfig>) -> (usize, usize) {
        (slots, slots)
    }
}
