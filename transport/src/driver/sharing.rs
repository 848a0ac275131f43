//! Streams that come to a receiver, shared with other processes of this machine.

use std::sync::{Arc, OnceLock, Weak};

use super::opening::Budget;
use super::receiver::ReceiverShared;
use super::stream_shared::StreamShared;
use crate::frame::{FramePool, FrameRing, SLOTS_MAX};
use crate::receive::EndReason;
#[cfg(target_os = "linux")]
use crate::share::hub::Entering;
use crate::share::hub::{Charge, Hub, MemoryLeft, SharedStream, StreamToShare, slots_with_readers};
use crate::share::{Endpoint, ReaderFigures, ShareConfig, ShareError};
use crate::wire::{Delivery, Open, PathKind};

/// Where a receiver shares its streams, once it does.
#[derive(Default)]
pub(super) struct Shares {
    hub: OnceLock<Arc<Hub>>,
}

/// A stream's place at the hub.
pub(super) struct Sharing {
    hub: Arc<Hub>,
    stream: Arc<SharedStream>,
}

/// Slots of a stream's pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PoolSlots {
    /// In all: those that are for readers in other processes cost memory when they come.
    pub(super) all: usize,
    /// Those that there are from the start.
    pub(super) base: usize,
}

impl Shares {
    /// Shares the streams of `receiver` that are opened from here on.
    ///
    /// # Errors
    /// There can be no hub there, or there is one already.
    pub(super) fn begin(&self, receiver: &Arc<ReceiverShared>, config: &ShareConfig) -> Result<(), ShareError> {
        let (slots, reader_slots) = (receiver.config.slots, config.reader_slots);
        if slots + reader_slots >= SLOTS_MAX {
            return Err(ShareError::OutOfRange {
                what: "slots of a stream and for its readers together (--slots, --reader-slots)",
                value: slots + reader_slots,
                min: 3,
                max: SLOTS_MAX - 1,
            });
        }
        let hub = Hub::bind(config)?;
        take_in_senders(&hub, Arc::downgrade(receiver));
        let endpoint = config.endpoint.clone();
        let hub = Arc::new(hub);
        self.hub.set(hub.clone()).map_err(|_| ShareError::HubThere { endpoint })?;
        // Whoever is let in from here on finds it.
        hub.begin();
        Ok(())
    }

    /// Where streams are shared, if they are.
    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        self.hub.get().map(|hub| hub.config().endpoint.clone())
    }

    /// Slots of a stream that has so many without readers.
    pub(super) fn pool_slots(&self, slots: usize) -> PoolSlots {
        let (all, base) = slots_with_readers(slots, self.hub.get().map(|hub| hub.config()));
        PoolSlots { all, base }
    }

    /// Shares a stream under a number of the hub, where streams are shared, and has its frames offered to readers.
    pub(super) fn share(
        &self,
        shared: &StreamShared,
        (pool, base): (&FramePool, usize),
        (delivery, path): (Delivery, PathKind),
        budget: &Arc<Budget>,
        ring: &FrameRing,
    ) {
        let Some(hub) = self.hub.get() else { return };
        // Of what opened it, readers learn what its frames are, and nothing that grants something.
        let open = Open { stream: 0, epoch: 0, cookie: 0, ..shared.open };
        let path = match path {
            PathKind::Udp => UDP,
            PathKind::Shm => LOCAL,
        };
        let to_share = StreamToShare { pool: pool.clone(), base, open, delivery, path, charge: charge(budget) };
        let shared_stream = match hub.config().only_named {
            true => hub.share_unlisted(to_share),
            false => hub.share(None, to_share),
        };
        match shared_stream {
            Ok(stream) => {
                ring.attach(stream.clone());
                shared.set_sharing(Sharing { hub: hub.clone(), stream });
            }
            Err(error) => {
                tracing::warn!(stream = shared.open.stream, %error, "a stream is shared with no other process");
            }
        }
    }

    /// Readers learn that the hub ends; its thread is not waited for.
    pub(super) fn end(&self) {
        if let Some(hub) = self.hub.get() {
            hub.end();
        }
    }
}

/// How frames come to the hub, as it is told to readers.
const UDP: u8 = 1;
const LOCAL: u8 = 2;

impl Sharing {
    /// Has it found under another name.
    pub(super) fn rename(&self, name: &str) -> Result<(), ShareError> {
        self.hub.rename(&self.stream, name)
    }

    pub(super) fn readers(&self) -> Vec<ReaderFigures> {
        self.stream.readers()
    }

    /// Why the stream ends, before it does.
    pub(super) fn note_end(&self, reason: EndReason) {
        if reason == EndReason::Closed {
            self.stream.set_closed();
        }
    }
}

/// Readers' slots are paid for from what all streams may have.
fn charge(budget: &Arc<Budget>) -> Charge {
    let budget = budget.clone();
    Arc::new(move |bytes| match budget.reserve(bytes) {
        Some(reservation) => Ok(Box::new(reservation)),
        None => {
            let (limit, reserved) = (budget.limit(), budget.reserved());
            Err(MemoryLeft { bytes: limit.saturating_sub(reserved), limit })
        }
    })
}

#[cfg(target_os = "linux")]
fn take_in_senders(hub: &Hub, receiver: Weak<ReceiverShared>) {
    hub.set_entrance(Arc::new(move |entering: Entering| {
        if let Some(receiver) = receiver.upgrade() {
            super::inlet::enter(&receiver, entering);
        }
    }));
}

#[cfg(not(target_os = "linux"))]
fn take_in_senders(_: &Hub, _: Weak<ReceiverShared>) {}
