//! A stream that other processes read: what it is, and the readers that it has.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::bell::Bell;
use super::seat::{Reading, Seat};
use crate::frame::memfd::{self, Right};
use crate::frame::{Frame, FramePool, Hold, Outlet, SLOTS_MAX};
use crate::limit::help;
use crate::share::ReaderFigures;
use crate::share::ShareConfig;
use crate::share::layout::Record;
use crate::share::lease::Overflow;
use crate::share::memory::Shared;
use crate::share::messages::{End, Refusal, Wanted};
use crate::share::process::Process;
use crate::time::Time;
use crate::told::{SELDOM, Told};
use crate::unpoisoned::unpoisoned;
use crate::wire::{Delivery, Open};

/// A right to so many bytes of memory, for as long as it lives; or how many are left, and of how many.
pub(crate) type Charge = Arc<dyn Fn(usize) -> Result<Box<dyn Any + Send + Sync>, MemoryLeft> + Send + Sync>;

/// What there is of memory where that is too little.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryLeft {
    pub(crate) bytes: usize,
    pub(crate) limit: usize,
}

/// What is refused, with the numbers that say why: see [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) refusal: Refusal,
    pub(super) number: u64,
    pub(super) limit: u64,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, number: 0, limit: 0 }
    }
}

/// How often it is looked for slots that come back before readers are asked to say when one does, and how long between: some
/// microseconds in all.
const LOOKS: usize = 16;
const LOOK_SPINS: usize = 16;

/// A stream that is to be shared.
pub(crate) struct StreamToShare {
    /// Where its frames are. Slots beyond `base` are for readers in other processes.
    pub(crate) pool: FramePool,
    /// Slots that are handed out without readers: those of the stream and one for the newest frame, which is kept for whoever comes.
    pub(crate) base: usize,
    /// What the stream is, as it is told to readers.
    pub(crate) open: Open,
    /// Whether its newest frame is kept for readers that come later.
    pub(crate) delivery: Delivery,
    /// How its frames come to the hub: as in [`Described`](crate::share::messages::Described).
    pub(crate) path: u8,
    /// Pays for the readers' slots.
    pub(crate) charge: Charge,
}

/// A pool's slots for a stream that is shared: of how many there are, how many are handed out without readers.
pub(crate) fn slots_with_readers(slots: usize, share: Option<&ShareConfig>) -> (usize, usize) {
    match share {
        None => (slots, slots),
        Some(share) => {
            let base = (slots + 1).min(SLOTS_MAX);
            (base.saturating_add(share.reader_slots).min(SLOTS_MAX), base)
        }
    }
}

/// Hands a stream's frames to readers in other processes, on the thread that publishes them: no copy, no allocation, no waiting.
pub(crate) struct SharedStream {
    /// Tells it from others of its name.
    serial: u64,
    /// A child of this process has all of it too, and is to change nothing.
    process: Process,
    pub(super) open: Open,
    pub(super) path: u8,
    pool: FramePool,
    base: usize,
    /// One a slot. The hub writes that of a slot before it offers it, and readers read it.
    records: Shared<Record>,
    /// The same, open to read alone, as readers are handed it: opened before anybody has it, who could keep it from being opened again.
    records_to_read: OwnedFd,
    delivery: Delivery,
    share: ShareConfig,
    charge: Charge,
    bell: Arc<Bell>,
    readers: Mutex<Readers>,
    /// Why it ends, once it does.
    end_as: AtomicU32,
}

struct Readers {
    seats: Vec<Arc<Seat>>,
    newest: Option<Hold>,
    /// Slots that readers have a right to.
    reserved: usize,
    /// Slots whose memory is paid for: what was once touched stays.
    paid: usize,
    payments: Vec<Box<dyn Any + Send + Sync>>,
    ended: Option<End>,
    /// Of readers that could not be let in.
    told: Told,
}

/// A reader that has a place, and is [seated](SharedStream::seat) once it has mapped what it needs.
pub(super) struct Admitted {
    pub(super) seat: Arc<Seat>,
    pub(super) pool: OwnedFd,
    pub(super) records: OwnedFd,
    pub(super) sleeping: OwnedFd,
}

impl SharedStream {
    pub(super) fn new(
        serial: u64,
        stream: StreamToShare,
        share: &ShareConfig,
        bell: Arc<Bell>,
    ) -> std::io::Result<Arc<Self>> {
        let StreamToShare { pool, base, open, delivery, path, charge } = stream;
        let records = Shared::new("framewire-records", pool.slot_count(), Right::Read)?;
        let records_to_read = memfd::read_only(records.file())?;
        let _opened = pool.for_readers()?;
        let shared = Arc::new(Self {
            serial,
            process: Process::this(),
            open,
            path,
            pool,
            base,
            records,
            records_to_read,
            delivery,
            share: share.clone(),
            charge,
            bell,
            readers: Mutex::new(Readers {
                // Each has two slots at least.
                seats: Vec::with_capacity(SLOTS_MAX / 2),
                newest: None,
                reserved: 0,
                paid: 0,
                payments: Vec::new(),
                ended: None,
                told: Told::default(),
            }),
            end_as: AtomicU32::new(End::Gone as u32),
        });
        shared.pool.set_own(base);
        let starving = Arc::downgrade(&shared);
        shared.pool.set_on_starved(move || {
            if let Some(stream) = starving.upgrade() {
                stream.starve();
            }
        });
        Ok(shared)
    }

    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    pub(super) fn pool(&self) -> &FramePool {
        &self.pool
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// The hub is gone: readers keep what they have.
    pub(super) fn abandon(&self) {
        if !self.process.is_this() {
            return;
        }
        self.lock().seats.iter().for_each(|seat| seat.abandon());
    }

    /// Readers at present.
    pub(super) fn reader_count(&self) -> usize {
        self.lock().seats.len()
    }

    /// Has readers told, when the stream ends, that its source has closed it.
    pub(crate) fn set_closed(&self) {
        self.end_as.store(End::Closed as u32, Ordering::Release);
    }

    /// Who reads, by their seats, and each one's account.
    pub(crate) fn readers(&self) -> Vec<ReaderFigures> {
        if !self.process.is_this() {
            return Vec::new();
        }
        let readers = self.lock();
        let must_ring = readers.seats.iter().fold(false, |must_ring, seat| seat.collect() | must_ring);
        let mut figures: Vec<_> = readers.seats.iter().map(|seat| seat.figures()).collect();
        drop(readers);
        figures.sort_unstable_by_key(|reader| reader.seat);
        if must_ring {
            self.bell.ring();
        }
        figures
    }

    /// Slots that there are for readers of the stream.
    fn reader_slots(&self) -> usize {
        self.share.reader_slots.min(self.pool.slot_count() - self.base.min(self.pool.slot_count()))
    }

    /// Has a place for a reader, if it may have what it wants.
    pub(super) fn admit(&self, reading: Reading) -> Result<Admitted, Refused> {
        let wanted = reading.wanted;
        if wanted.overflow == Overflow::Wait && !self.share.block {
            return Err(Refusal::Block.into());
        }
        // Before anything is made for it.
        self.check_room(&wanted, self.lock().reserved)?;
        let resources = |error: std::io::Error| {
            if let Some(times) = self.lock().told.news(Time::now(), SELDOM) {
                tracing::warn!(%error, times, "a reader in another process could not be let in; {}", help(&error));
            }
            Refused::from(Refusal::Resources)
        };
        let pool = self.pool.for_readers().map_err(resources)?;
        let records = self.records_to_read.try_clone().map_err(resources)?;
        let (seat, sleeping) = Seat::new(reading).map_err(resources)?;
        let seat = Arc::new(seat);
        let mut readers = self.lock();
        if readers.ended.is_some() {
            return Err(Refusal::NoSuchStream.into());
        }
        let quota = Seat::quota(&wanted);
        self.check_room(&wanted, readers.reserved)?;
        let unpaid = (readers.reserved + quota).saturating_sub(readers.paid);
        if unpaid > 0 {
            let payment = (self.charge)(unpaid * self.pool.slot_stride()).map_err(|left| Refused {
                refusal: Refusal::Memory,
                number: left.bytes as u64,
                limit: left.limit as u64,
            })?;
            readers.payments.push(payment);
            readers.paid += unpaid;
        }
        readers.reserved += quota;
        self.pool.set_usable(self.base + readers.reserved);
        drop(readers);
        Ok(Admitted { seat, pool, records, sleeping })
    }

    /// The reader has mapped its page: from here on it is offered frames, and first of all the newest one of a `latest` stream.
    ///
    /// # Errors
    /// Its page cannot be sealed.
    pub(super) fn seat(&self, seat: &Arc<Seat>) -> Result<(), crate::frame::memfd::Unsealable> {
        // First: threads that publish touch the page from then on.
        seat.seal()?;
        let mut readers = self.lock();
        let is_free = |number: &usize| readers.seats.iter().all(|seat| seat.number() != *number);
        seat.set_number((1..).find(is_free).unwrap_or(0));
        if let Some(newest) = &readers.newest {
            seat.offer(newest.clone());
        }
        if let Some(end) = readers.ended {
            seat.end(end);
        }
        readers.seats.push(seat.clone());
        Ok(())
    }

    fn check_room(&self, wanted: &Wanted, reserved: usize) -> Result<(), Refused> {
        let (limit, quota) = (self.reader_slots(), Seat::quota(wanted));
        let left = limit - reserved.min(limit);
        if quota <= left {
            return Ok(());
        }
        Err(Refused { refusal: Refusal::Slots, number: left as u64, limit: limit as u64 })
    }

    /// A reader that has a place is gone: what it held is free.
    pub(super) fn dismiss(&self, seat: &Arc<Seat>) {
        let mut readers = self.lock();
        // One that has not mapped its page is not among them.
        if let Some(place) = readers.seats.iter().position(|there| Arc::ptr_eq(there, seat)) {
            readers.seats.swap_remove(place);
        }
        // With the lock: whoever sees that it is gone finds its slots free.
        seat.dismiss();
        readers.reserved -= seat.reserved();
        self.pool.set_usable(self.base + readers.reserved);
    }

    /// A reader wants no more frames. Slots that it does not hold are for others.
    pub(super) fn leave(&self, seat: &Arc<Seat>) {
        let mut readers = self.lock();
        readers.reserved -= seat.leave();
        self.pool.set_usable(self.base + readers.reserved);
    }

    /// A slot is wanted and none is free.
    fn starve(&self) {
        if !self.process.is_this() {
            return;
        }
        let readers = self.lock();
        // Whoever is about to give one back need not be asked for it, which costs both ends a system call, and the one that waits its sleep.
        for _ in 0..LOOKS {
            if readers.seats.iter().fold(false, |must_ring, seat| seat.collect() | must_ring) {
                self.bell.ring();
            }
            if self.pool.free_count() > 0 {
                return;
            }
            for _ in 0..LOOK_SPINS {
                std::hint::spin_loop();
            }
        }
        let must_ring = readers.seats.iter().fold(false, |must_ring, seat| seat.starve() | must_ring);
        drop(readers);
        if must_ring {
            self.bell.ring();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Readers> {
        unpoisoned(self.readers.lock())
    }
}

impl Outlet for SharedStream {
    fn offer(&self, frame: &Frame) {
        let slot = frame.slot();
        // A frame of another pool is none that readers have mapped.
        if !frame.is_of(&self.pool) || !self.process.is_this() {
            return;
        }
        // Nobody has the slot yet: whoever had it before has given it back, or it would not be in use anew.
        self.records[slot].write(&frame.parts());
        let mut readers = self.lock();
        let before = match self.delivery {
            Delivery::Latest => readers.newest.replace(frame.hold()),
            Delivery::Every => None,
        };
        let mut must_ring = false;
        for seat in &readers.seats {
            must_ring |= seat.offer(frame.hold());
        }
        // All are on their way by now.
        for seat in &readers.seats {
            must_ring |= seat.collect();
        }
        drop(readers);
        drop(before);
        if must_ring {
            self.bell.ring();
        }
    }

    fn end(&self) {
        if !self.process.is_this() {
            return;
        }
        let end = End::from_wire(self.end_as.load(Ordering::Acquire)).unwrap_or(End::Gone);
        let mut readers = self.lock();
        readers.ended.get_or_insert(end);
        let newest = readers.newest.take();
        readers.seats.iter().for_each(|seat| seat.end(end));
        drop(readers);
        drop(newest);
        // It is listed no more.
        self.bell.ring();
    }
}
