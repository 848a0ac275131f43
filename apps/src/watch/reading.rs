//! What frames are read from.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use framewire_figures::summary::ReaderCounts;
use framewire_process::exit::say;
use framewire_transport::frame::{Frame, RecvError};
use framewire_transport::share::{Reader, Subscription, SubscriptionConfig};

use super::PROGRAM;

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

/// A stream by its name: where its sender goes without closing it and comes again, as one that was started anew does, it is read on.
pub(super) struct Named {
    reader: Reader,
    name: String,
    config: SubscriptionConfig,
    /// `None` while the sender is gone.
    subscription: RefCell<Option<Subscription>>,
    /// What came of the frames of its runs before.
    before: Cell<ReaderCounts>,
}

impl Named {
    pub(super) fn new(reader: Reader, config: SubscriptionConfig, subscription: Subscription) -> Self {
        let name = subscription.info().name;
        Self { reader, name, config, subscription: RefCell::new(Some(subscription)), before: Cell::default() }
    }

    /// # Errors
    /// As of receiving: the stream is not there, or its server gives no more.
    fn again(&self, timeout: Duration) -> Result<(), RecvError> {
        match self.reader.subscribe_with(&self.name, self.config.clone()) {
            Ok(subscription) => {
                say(format_args!("{PROGRAM}: the sender of stream {:?} is back", self.name));
                *self.subscription.borrow_mut() = Some(subscription);
                Ok(())
            }
            Err(error) => {
                tracing::debug!(%error, "the stream is asked for until it is there again");
                std::thread::sleep(timeout);
                Err(RecvError::Timeout)
            }
        }
    }
}

impl Frames for Named {
    fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError> {
        if self.subscription.borrow().is_none() {
            self.again(timeout)?;
        }
        let received = match self.subscription.borrow().as_ref() {
            Some(subscription) => match subscription.recv_timeout(timeout) {
                Err(RecvError::Ended) if !subscription.is_closed() => None,
                received => Some(received),
            },
            None => Some(Err(RecvError::Timeout)),
        };
        received.unwrap_or_else(|| {
            say(format_args!(
                "{PROGRAM}: the sender of stream {:?} is gone; it is read on when that is back",
                self.name
            ));
            let mut before = self.counts();
            // Nobody takes any more what waited.
            before.dropped = before.offered - before.taken;
            self.before.set(before);
            *self.subscription.borrow_mut() = None;
            Err(RecvError::Timeout)
        })
    }

    fn counts(&self) -> ReaderCounts {
        let before = self.before.get();
        let stats = self.subscription.borrow().as_ref().map(Subscription::stats).unwrap_or_default();
        ReaderCounts {
            offered: before.offered + stats.offered,
            taken: before.taken + stats.taken,
            dropped: before.dropped + stats.dropped,
            reconnects: before.reconnects + stats.reconnects,
        }
    }
}
