//! What frames are read from.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use framewire_figures::counts::StreamCounts;
use framewire_figures::summary::ReaderCounts;
use framewire_process::exit::say;
use framewire_process::stop::Stop;
use framewire_transport::Time;
use framewire_transport::frame::{Frame, RecvError};
use framewire_transport::share::{Reader, ShareError, Subscription, SubscriptionConfig};

use super::presence::Presence;
use crate::hubs::unless_stopped;

/// Frames of one stream, as they come.
pub(super) trait Frames {
    /// The next one, if it comes within this time.
    ///
    /// # Errors
    /// As of [`Consumer::recv_timeout`](framewire_transport::Consumer::recv_timeout); that a hub or a sender is gone has been said, and is
    /// [`RecvError::Timeout`] where it may come back.
    fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError>;

    /// What came of them so far.
    fn counts(&self) -> ReaderCounts;

    /// What the network lost of them, and what not; nothing where there is none.
    fn came(&self) -> StreamCounts {
        StreamCounts::default()
    }

    /// How the datagrams moved that they came in; `None` where they came by shared memory.
    fn datagrams(&self) -> Option<Datagrams> {
        None
    }

    /// Since when they are read. What was complete before lay there already, as the newest frame of a `latest` stream does, and waited for
    /// nobody.
    fn since(&self) -> Time;
}

/// How datagrams moved.
#[derive(Debug, Clone, Default)]
pub(super) struct Datagrams {
    pub(super) is_protected: bool,
    pub(super) backend: String,
    pub(super) slice_bytes: u16,
}

/// A stream by its name: where its sender goes without closing it and comes again, as one that was started anew does, it is read on.
pub(super) struct Named {
    reader: Reader,
    name: String,
    config: SubscriptionConfig,
    stop: Stop,
    /// `None` while the sender is gone.
    subscription: RefCell<Option<Subscription>>,
    /// What came of the frames of its runs before.
    before: Cell<ReaderCounts>,
    presence: RefCell<Presence>,
    since: Cell<Time>,
}

impl Named {
    pub(super) fn new(reader: Reader, config: SubscriptionConfig, subscription: Subscription, stop: Stop) -> Self {
        let info = subscription.info();
        Self {
            reader,
            config,
            stop,
            subscription: RefCell::new(Some(subscription)),
            before: Cell::default(),
            presence: RefCell::new(Presence::new(&info.name, info.format)),
            since: Cell::new(Time::now()),
            name: info.name,
        }
    }

    /// Asks for it once. A hub that does not answer keeps nobody who wants to stop.
    fn again(&self, timeout: Duration) {
        let (reader, name, config) = (self.reader.clone(), self.name.clone(), self.config.clone());
        match unless_stopped(&self.stop, move || reader.subscribe_with(&name, config)) {
            Ok(Some(Ok(subscription))) => {
                *self.subscription.borrow_mut() = Some(subscription);
                return;
            }
            Ok(Some(Err(error))) if is_awaited(&error) => {
                tracing::debug!(%error, "the stream is asked for until it is there again");
            }
            Ok(Some(Err(error))) => tell(self.presence.borrow_mut().refused(error.code(), &error)),
            Ok(None) => return,
            Err(error) => tell(self.presence.borrow_mut().refused("no-thread", &error)),
        }
        self.stop.sleep(timeout);
    }

    /// The sender is gone.
    fn leave(&self) {
        tell(self.presence.borrow_mut().lost("sender"));
        let mut before = self.counts();
        // Nobody takes any more what waited.
        before.dropped = before.offered - before.taken;
        self.before.set(before);
        *self.subscription.borrow_mut() = None;
    }
}

/// Whether it only means that the stream is not there yet.
fn is_awaited(error: &ShareError) -> bool {
    matches!(
        error,
        ShareError::UnknownStream { .. }
            | ShareError::NoHub { .. }
            | ShareError::HubGone { .. }
            | ShareError::Silent { .. }
    )
}

fn tell(line: Option<String>) {
    if let Some(line) = line {
        say(format_args!("{line}"));
    }
}

impl Frames for Named {
    fn recv_timeout(&self, timeout: Duration) -> Result<Frame, RecvError> {
        if self.subscription.borrow().is_none() {
            self.again(timeout);
        }
        let received = match self.subscription.borrow().as_ref() {
            Some(subscription) => {
                let was_gone = self.presence.borrow().is_gone();
                if was_gone {
                    // Before it is waited for: what is complete later did not lie there, also where the stream comes back with it.
                    self.since.set(Time::now());
                }
                let received = subscription.recv_timeout(timeout);
                // Also before a frame has come: its sender may be slow, and the stream another one.
                if was_gone && subscription.is_connected() {
                    tell(self.presence.borrow_mut().back(subscription.info().format));
                }
                match received {
                    Err(RecvError::Ended) if !subscription.is_closed() => None,
                    Err(RecvError::HubGone) => {
                        tell(self.presence.borrow_mut().lost("hub"));
                        Some(Err(RecvError::Timeout))
                    }
                    received => Some(received),
                }
            }
            None => Some(Err(RecvError::Timeout)),
        };
        received.unwrap_or_else(|| {
            self.leave();
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

    fn since(&self) -> Time {
        self.since.get()
    }
}
