//! Slices in any order into whole frames.
//!
//! Works in batches: [`Reassembler::predict`] says where the next datagrams should land, the kernel writes them there,
//! [`Reassembler::handle_slice`] is told which slice landed where, and [`Reassembler::end_batch`] moves what landed
//! elsewhere and finishes frames. All memory is taken when it is made, and for parity again when an
//! epoch with slices of another size begins; nothing the network sends makes it grow.

use std::collections::VecDeque;
use std::time::Duration;

use super::assembly::Assembly;
use super::bitmap::Bitmap;
use super::config::ReassemblerConfig;
use super::lengths::Lengths;
use super::parity::{Damaged, ParityStore};
use super::passed_over::PassedOver;
use super::placement::{Arrivals, LandingRun, Placement, Spot};
use super::stats::{ReceiveStats, Rejected};
use crate::frame::{Arrival, Frame, FramePool, Gaps, PoolError};
use crate::rising::Rising;
use crate::time::Time;
use crate::utc::UtcOffset;
use crate::wire::{Cut, Delivery, Flags, OPEN_FRAMES_MAX, ParityHeader, ParityLayout, SliceHeader};

/// Slots that a reassembler works on at once: frames being assembled, and fresh ones that the next frames will land in.
const PLACES: usize = 2 * OPEN_FRAMES_MAX;
/// What lands in the spill is of no use: the memory is for few calls to get it out of the way.
pub(crate) const SPILL_BYTES_MAX: usize = 1 << 20;
/// The most slices that a batch has: more than any system call takes.
const BATCH_SLICES_MAX: usize = 1 << 16;
/// Stands for the spill where a spot's place is said.
const SPILL: u8 = PLACES as u8;

/// Assembles the frames of one stream.
#[derive(Debug)]
pub struct Reassembler {
    config: ReassemblerConfig,
    pool: FramePool,
    /// The slot of each place; `assemblies` says what it is used for. The last one is the spill: where datagrams land
    /// that no slot is free for.
    slots: [Option<Arrival>; PLACES + 1],
    assemblies: [Option<Assembly>; PLACES],
    bitmaps: [Bitmap; PLACES],
    parity: Option<ParityStore>,
    placement: Placement,
    finished: VecDeque<Frame>,
    settled: Rising,
    /// One more than the highest frame number seen in this epoch.
    seen: Rising,
    passed_over: PassedOver,
    /// Frames of which slices came in an epoch before, and none in this one yet.
    forgotten: Vec<u64>,
    /// One more than the highest frame number that parity has come for.
    protected: Rising,
    /// Of the frames that came in this epoch.
    lengths: Lengths,
    /// The sender's wall clock, where it has told of that.
    utc: Option<UtcOffset>,
    spill_bytes: usize,
    stats: ReceiveStats,
}

impl Reassembler {
    /// Slots are taken from `pool`, whose slots must hold [`Reassembler::slot_bytes`].
    ///
    /// # Errors
    /// The pool's slots are too small, or no memory for the spill.
    pub fn new(config: ReassemblerConfig, pool: FramePool) -> Result<Self, PoolError> {
        let config = ReassemblerConfig { batch_max: config.batch_max.clamp(1, BATCH_SLICES_MAX), ..config };
        let cut = config.cut;
        let needed = Self::slot_bytes(&cut);
        if pool.slot_bytes() < needed {
            return Err(PoolError::SlotsTooSmall { slot_bytes: pool.slot_bytes(), needed });
        }
        let cell = usize::from(cut.payload_bytes());
        let cell_max = cut.largest_slice() - cut.head_bytes();
        let spill_bytes = (cell * config.batch_max).min(SPILL_BYTES_MAX).max(cell_max);
        let spill = FramePool::new(1, spill_bytes)?.try_arrival();
        let mut slots = [const { None }; PLACES + 1];
        slots[usize::from(SPILL)] = spill;
        Ok(Self {
            pool,
            slots,
            assemblies: [None; PLACES],
            bitmaps: std::array::from_fn(|_| Bitmap::new(cut.slices_max())),
            parity: ParityStore::new(&cut, config.parity_max),
            placement: Placement::new(config.batch_max, PLACES + 1, cell_max),
            finished: VecDeque::with_capacity(PLACES),
            settled: Rising::new(config.first_frame),
            seen: Rising::new(config.first_frame),
            passed_over: PassedOver::default(),
            forgotten: Vec::with_capacity(PLACES),
            protected: Rising::default(),
            lengths: Lengths::default(),
            utc: None,
            spill_bytes,
            stats: ReceiveStats { first_frame: config.first_frame, ..ReceiveStats::default() },
            config,
        })
    }

    /// Bytes a slot needs so that every slice of a frame, the last and shorter one too, has a whole cell to land in, and a bit
    /// behind them to say that it has; also in later epochs, where slices may become as large as [`Cut::largest_slice`].
    pub const fn slot_bytes(cut: &Cut) -> usize {
        cut.frame_bytes() as usize + cut.largest_slice() + Self::bits_bytes(cut)
    }

    /// Bytes of a bit for each slice.
    const fn bits_bytes(cut: &Cut) -> usize {
        cut.slices_max().div_ceil(8)
    }

    /// How the frames of this epoch are cut.
    pub(super) const fn cut(&self) -> &Cut {
        &self.config.cut
    }

    /// Predicts where the next datagrams belong, at most `max` of them (and at most the configured batch): the slices
    /// of the newest frame from the highest seen on, then those of frames to come.
    pub fn predict(&mut self, max: usize) {
        self.placement.clear();
        let max = max.min(self.config.batch_max);
        let cell = usize::from(self.cut().payload_bytes());
        let newest = self
            .places()
            .filter(|(_, assembly)| assembly.cursor < assembly.count)
            .max_by_key(|(_, assembly)| assembly.number);
        if let Some((place, assembly)) = newest {
            let cells = max.min((assembly.count - assembly.cursor) as usize);
            self.placement.predict(place as u8, assembly.cursor as usize * cell, cell, cells);
        }
        let expected = self.lengths.expected().unwrap_or(self.cut().frame_bytes());
        let count = self.cut().of(expected).slices() as usize;
        for place in 0..PLACES {
            let left = max - self.placement.spots();
            if left == 0 {
                return;
            }
            if self.assemblies[place].is_some() {
                continue;
            }
            if self.slots[place].is_none() {
                self.slots[place] = self.pool.try_arrival();
            }
            if self.slots[place].is_some() {
                self.placement.predict(place as u8, 0, cell, left.min(count));
            }
        }
        if self.placement.spots() == 0 {
            self.placement.predict(SPILL, 0, cell, max.min(self.spill_bytes / cell));
        }
    }

    /// Where the datagrams of the batch are to land, in order: slots, and the cells in them.
    pub fn landings(&self) -> impl Iterator<Item = (&Arrival, LandingRun)> {
        self.placement.runs().map(|(place, run)| (self.slot_of(place), run))
    }

    fn slot_of(&self, place: u8) -> &Arrival {
        self.slots[usize::from(place)].as_ref().expect("a predicted place keeps its slot until the batch ends")
    }

    /// Puts a payload at a spot of the prediction, as the kernel would: for networks that are not sockets. What there is
    /// no room for is cut off.
    pub fn land(&mut self, spot: usize, payload: &[u8]) {
        if let Some(spot) = self.placement.spot(spot)
            && let Some(slot) = &mut self.slots[usize::from(spot.place)]
        {
            slot.write(spot.offset, &payload[..payload.len().min(spot.len)]);
        }
    }

    /// How many datagrams the prediction has a spot for.
    pub fn predicted(&self) -> usize {
        self.placement.spots()
    }

    /// Bytes that there is room for at a spot of the prediction.
    pub(super) fn landing_bytes(&self, spot: usize) -> usize {
        self.placement.spot(spot).map_or(0, |spot| spot.len)
    }

    /// Has `change` change the first `len` bytes that landed at a spot, before the batch ends and before the slice is handled; `None` where
    /// there is no room for so many.
    pub(super) fn change_landed<T>(
        &mut self,
        spot: usize,
        len: usize,
        change: impl FnOnce(&mut [u8]) -> T,
    ) -> Option<T> {
        let spot = self.placement.spot(spot).filter(|spot| len <= spot.len)?;
        let slot = self.slots[usize::from(spot.place)].as_mut()?;
        Some(slot.change(spot.offset..spot.offset + len, change))
    }

    /// Copies out what landed at a spot, before the batch ends: for datagrams that are not slices.
    pub(super) fn read_landed(&self, spot: usize, into: &mut [u8]) {
        if let Some(spot) = self.placement.spot(spot) {
            let len = into.len().min(spot.len);
            self.slot_of(spot.place).read(spot.offset, &mut into[..len]);
        }
    }

    /// Takes in a slice whose payload landed at `spot` of the prediction. True where it was new.
    pub fn handle_slice(&mut self, slice: &SliceHeader, spot: usize, now: Time) -> bool {
        match self.accept(slice, spot, now) {
            Ok(()) => {
                self.stats.slices += 1;
                self.stats.bytes += slice.payload(self.cut()).len() as u64;
                true
            }
            Err(rejected) => {
                self.stats.rejected.count(rejected);
                false
            }
        }
    }

    fn accept(&mut self, slice: &SliceHeader, spot: usize, now: Time) -> Result<(), Rejected> {
        let payload = slice.payload(self.cut());
        let landed = self.placement.spot(spot).ok_or(Rejected::Size)?;
        if payload.len() > landed.len {
            return Err(Rejected::Size);
        }
        if slice.frame < self.settled.value() {
            return Err(Rejected::Late);
        }
        // Most slices land in the place of their frame.
        let is_its = |place: &usize| self.assemblies[*place].as_ref().is_some_and(|known| known.number == slice.frame);
        let known = Some(usize::from(landed.place)).filter(|place| *place < PLACES && is_its(place));
        let place = match known.or_else(|| (0..PLACES).find(is_its)) {
            Some(place) => place,
            None => self.begin(slice, landed.place, now)?,
        };
        let Some(assembly) = &mut self.assemblies[place] else { return Err(Rejected::Late) };
        // The first slice of a frame says how long it is: none changes that for those behind it.
        if !assembly.is_so_long(slice.frame_bytes, slice.tail) {
            return Err(Rejected::Size);
        }
        let index = slice.index as usize;
        if self.bitmaps[place].contains(index) {
            return Err(Rejected::Duplicate);
        }
        let target = Spot { place: place as u8, offset: payload.start, len: payload.len() };
        let arrivals = Arrivals::new(&mut self.slots);
        let moved = self.placement.belongs((spot, landed), target, &arrivals).ok_or(Rejected::Size)?;
        self.bitmaps[place].insert(index);
        assembly.arrived += 1;
        assembly.cursor = assembly.cursor.max(slice.index + 1);
        assembly.progressed = now;
        self.stats.slices_moved += u64::from(moved);
        if slice.flags & Flags::REPAIR != 0 {
            assembly.is_repaired = true;
            self.stats.slices_repaired += 1;
        }
        Ok(())
    }

    /// Takes in a parity slice whose payload landed at `spot` of the prediction.
    pub fn handle_parity(&mut self, parity: &ParityHeader, spot: usize, now: Time) {
        match self.accept_parity(parity, spot, now) {
            Ok(()) => self.stats.slices_parity += 1,
            Err(rejected) => self.stats.rejected.count(rejected),
        }
    }

    fn accept_parity(&mut self, parity: &ParityHeader, spot: usize, now: Time) -> Result<(), Rejected> {
        let landed = self.placement.spot(spot).ok_or(Rejected::Size)?;
        if usize::from(self.cut().payload_bytes()) > landed.len {
            return Err(Rejected::Size);
        }
        let store = self.parity.as_mut().ok_or(Rejected::Size)?;
        if parity.frame < self.seen.value() {
            self.protected.raise(parity.frame + 1);
        }
        if parity.frame < self.settled.value() {
            return Err(Rejected::Late);
        }
        let mut assemblies = self.assemblies.iter_mut().flatten();
        match assemblies.find(|assembly| assembly.number == parity.frame) {
            Some(assembly) if !assembly.is_so_long(parity.frame_bytes, parity.tail) => Err(Rejected::Size),
            Some(assembly) if !assembly.is_complete() => {
                let slot = self.slots[usize::from(landed.place)].as_ref().ok_or(Rejected::Size)?;
                store.keep(parity, |bytes| slot.read(landed.offset, bytes))?;
                assembly.progressed = now;
                Ok(())
            }
            // It is complete, or nothing of it has come: there is nothing to restore.
            _ => Ok(()),
        }
    }

    /// Finds a place for a frame whose first slice has arrived: where it landed, if that is free.
    fn begin(&mut self, slice: &SliceHeader, landed: u8, now: Time) -> Result<usize, Rejected> {
        match self.config.delivery {
            Delivery::Every if slice.frame >= self.settled.value() + OPEN_FRAMES_MAX as u64 => {
                return Err(Rejected::Ahead);
            }
            Delivery::Latest if self.passed_over.is_before(slice.frame) => return Err(self.pass_over(slice.frame)),
            _ => {}
        }
        let tail = self.config.tail_of(slice.frame_bytes, slice.tail).ok_or(Rejected::Size)?;
        let count = self.cut().of(slice.frame_bytes).slices();
        let is_fresh = |place: &usize| self.assemblies[*place].is_none() && self.slots[*place].is_some();
        let landed = Some(usize::from(landed)).filter(|place| *place < PLACES);
        let open = self.places().count();
        let mut place = None;
        if open < OPEN_FRAMES_MAX {
            place = landed.filter(is_fresh).or_else(|| (0..PLACES).find(is_fresh)).or_else(|| self.take_slot());
        }
        if place.is_none() && self.config.delivery == Delivery::Latest {
            place = self.evict_oldest(slice.frame);
        }
        let Some(place) = place else {
            return Err(self.pass_over(slice.frame));
        };
        self.forgotten.retain(|number| *number != slice.frame);
        self.bitmaps[place].clear(count as usize);
        self.lengths.note(slice.frame_bytes);
        self.assemblies[place] = Some(Assembly {
            number: slice.frame,
            bytes: slice.frame_bytes,
            tail,
            count,
            arrived: 0,
            cursor: 0,
            captured_ns: slice.captured_ns,
            sent_after: Duration::from_micros(u64::from(slice.sent_after_us)),
            is_repaired: false,
            is_restored: false,
            begun: now,
            progressed: now,
        });
        self.seen.raise(slice.frame.saturating_add(1));
        Ok(place)
    }

    fn take_slot(&mut self) -> Option<usize> {
        let place = (0..PLACES).find(|place| self.slots[*place].is_none())?;
        self.slots[place] = self.pool.try_arrival();
        self.slots[place].is_some().then_some(place)
    }

    /// Gives up the oldest unfinished frame that is older than `number`, and returns its place. The slot stays where it
    /// is: what landed there in this batch may still have to leave.
    fn evict_oldest(&mut self, number: u64) -> Option<usize> {
        let (place, oldest) = self
            .places()
            .filter(|(_, assembly)| !assembly.is_complete())
            .min_by_key(|(_, assembly)| assembly.number)?;
        if oldest.number > number {
            return None;
        }
        self.give_up(place);
        Some(place)
    }

    fn give_up(&mut self, place: usize) {
        if let Some(assembly) = self.assemblies[place].take() {
            self.placement.cancel_into(place as u8);
            self.stats.frames_incomplete += 1;
            self.settle(assembly.number + 1);
        }
    }

    /// A frame gets no slot, now or ever: it has its fate.
    fn pass_over(&mut self, number: u64) -> Rejected {
        if self.config.delivery == Delivery::Every {
            return Rejected::NoSlot;
        }
        if !self.passed_over.add(number) {
            return Rejected::Late;
        }
        self.forgotten.retain(|forgotten| *forgotten != number);
        self.seen.raise(number.saturating_add(1));
        self.stats.frames_no_slot += 1;
        Rejected::NoSlot
    }

    /// Every frame below `end` is settled, whatever is handed on after it: a frame given up to make room may be newer than one
    /// that the same batch completes.
    fn settle(&mut self, end: u64) {
        self.settled.raise(end);
        let settled = self.settled.value();
        let waiting = self.forgotten.len();
        self.forgotten.retain(|number| *number >= settled);
        self.stats.frames_incomplete += (waiting - self.forgotten.len()) as u64;
    }

    /// Ends the batch: moves payloads that landed elsewhere and hands on frames that are complete. The caller must hold
    /// no landing lease on the predicted slots any more. `near` turns the sender's times, nanoseconds, into this machine's, where
    /// the offset between the clocks is known.
    pub fn end_batch(&mut self, now: Time, near: impl Fn(u64) -> Option<Time>) {
        let mut arrivals = Arrivals::new(&mut self.slots);
        self.placement.settle(&mut arrivals);
        self.placement.clear();
        self.restore(now);
        while let Some(place) = self.next_to_deliver() {
            if let Some(assembly) = self.assemblies[place] {
                self.expire_older(assembly.number, now, &near);
            }
            let Some(assembly) = self.assemblies[place].take() else { break };
            let Some(arrival) = self.slots[place].take() else { break };
            let info = assembly.info(now, &near, self.utc);
            match arrival.complete(assembly.pixel_bytes(), assembly.tail, info) {
                Ok(frame) => self.finished.push_back(frame),
                Err(pinned) => {
                    // Only a caller that breaks the contract gets here; the frame waits for the next batch.
                    self.slots[place] = Some(pinned.0);
                    self.assemblies[place] = Some(assembly);
                    break;
                }
            }
            self.stats.frames_delivered += 1;
            self.stats.frames_repaired += u64::from(assembly.is_repaired);
            self.stats.frames_restored += u64::from(assembly.is_restored);
            self.settle(assembly.number + 1);
        }
    }

    /// Restores what parity allows.
    fn restore(&mut self, now: Time) {
        let Some(store) = &mut self.parity else { return };
        for (place, assembly) in self.assemblies.iter_mut().enumerate() {
            if let Some(assembly) = assembly.as_mut().filter(|assembly| !assembly.is_complete())
                && let Some(slot) = &mut self.slots[place]
            {
                let arrived = &mut self.bitmaps[place];
                let damaged = Damaged { number: assembly.number, bytes: assembly.bytes, slot, arrived };
                let restored = store.restore(damaged);
                if restored.slices > 0 {
                    assembly.arrived += restored.slices;
                    // What is predicted to land begins behind all that is there.
                    assembly.cursor = assembly.cursor.max(restored.end);
                    assembly.is_restored = true;
                    assembly.progressed = now;
                    self.stats.slices_restored += u64::from(restored.slices);
                }
            }
        }
    }

    /// The complete frame that comes next: in `every` the one right after the last, in `latest` the oldest.
    fn next_to_deliver(&self) -> Option<usize> {
        let (place, oldest) =
            self.places().filter(|(_, assembly)| assembly.is_complete()).min_by_key(|(_, assembly)| assembly.number)?;
        (self.config.delivery == Delivery::Latest || oldest.number == self.settled.value()).then_some(place)
    }

    /// In `latest`, frames older than one that is handed on are given up.
    fn expire_older(&mut self, number: u64, now: Time, near: &impl Fn(u64) -> Option<Time>) {
        while let Some((place, _)) = self.oldest_unfinished().filter(|(_, assembly)| assembly.number < number) {
            self.hand_on_partial(place, now, near);
            self.give_up(place);
        }
    }

    /// Hands on what there is of a frame that is given up, where that is wanted. Not while a batch lands.
    fn hand_on_partial(&mut self, place: usize, now: Time, near: &impl Fn(u64) -> Option<Time>) {
        if !self.config.partial {
            return;
        }
        let Some(assembly) = self.assemblies[place] else { return };
        let Some(mut arrival) = self.slots[place].take() else { return };
        let cut = self.cut().of(assembly.bytes);
        let (slices, slice_bytes) = (assembly.count as usize, usize::from(cut.payload_bytes()));
        let mut from = 0;
        while let Some(missing) = self.bitmaps[place].first_unset(from, slices) {
            // A slice index fits 32 bits.
            arrival.clear(cut.bytes_of(missing as u32, 1));
            from = missing + 1;
        }
        // What the slots were made for; slices may have become smaller since.
        let offset = self.pool.slot_bytes() - Self::bits_bytes(self.cut());
        for (at, byte) in self.bitmaps[place].bytes(slices).enumerate() {
            arrival.write(offset + at, &[byte]);
        }
        let gaps = Gaps { offset, slices, slice_bytes };
        match arrival.complete_with_gaps(assembly.pixel_bytes(), assembly.info(now, near, self.utc), gaps) {
            Ok(frame) => {
                self.finished.push_back(frame);
                self.stats.frames_partial += 1;
            }
            Err(pinned) => self.slots[place] = Some(pinned.0),
        }
    }

    /// Gives up unfinished frames of which nothing new has come for as long as `deadline` (`latest` only). A frame that a slow
    /// link still carries is not late: the next one would be no earlier. Nor are repairs that need a part of the time that the
    /// frame itself took.
    pub(super) fn expire(&mut self, now: Time, deadline: Duration, near: impl Fn(u64) -> Option<Time>) {
        while let Some((place, _)) =
            self.oldest_unfinished().filter(|(_, assembly)| now >= assembly.given_up_at(deadline))
        {
            self.hand_on_partial(place, now, &near);
            self.give_up(place);
        }
    }

    /// Settles the frames below `end` that never came, as far as no older one is still being assembled (`latest` only).
    pub(super) fn settle_unseen(&mut self, end: u64) {
        let oldest = self.places().map(|(_, assembly)| assembly.number).min();
        self.settle(oldest.map_or(end, |oldest| oldest.min(end)));
    }

    /// Starts a new epoch, whose slices have another size perhaps, at most [`Cut::largest_slice`] of the first: unfinished frames are
    /// forgotten, for the sender sends those from `first_frame` on again; settled ones, and those that got no slot, stay so.
    pub fn start_epoch(&mut self, first_frame: u64, slice_bytes: usize, parity_max: u16) {
        let before = (self.config.cut, self.config.parity_max);
        (self.config.cut, self.config.parity_max) = (self.config.cut.resized(slice_bytes), parity_max);
        if (self.config.cut, parity_max) != before {
            // Never both: there is room for one.
            self.parity = None;
            self.parity = ParityStore::new(&self.config.cut, parity_max);
        } else if let Some(store) = &mut self.parity {
            store.start_epoch();
        }
        // What else is in this batch may have landed on its spots: only the moves are off.
        for place in 0..PLACES {
            self.placement.cancel_into(place as u8);
        }
        for assembly in std::mem::replace(&mut self.assemblies, [None; PLACES]).into_iter().flatten() {
            if self.forgotten.len() < PLACES {
                self.forgotten.push(assembly.number);
            }
        }
        self.lengths = Lengths::default();
        self.settle(first_frame);
        self.seen = self.settled;
        self.protected = Rising::default();
    }

    /// What the sender's wall clock shows, from now on; `None` where the sender does not know.
    pub(super) fn set_utc(&mut self, utc: Option<UtcOffset>) {
        self.utc = utc;
    }

    /// The next finished frame, in order.
    pub fn poll_frame(&mut self) -> Option<Frame> {
        self.finished.pop_front()
    }

    /// Every frame below this number is settled: handed on, or given up.
    pub fn settled(&self) -> u64 {
        self.settled.value()
    }

    /// One more than the highest frame number seen.
    pub(super) fn seen(&self) -> u64 {
        self.seen.value()
    }

    /// Frames below this may be sent: there is room for each of them.
    pub fn frame_limit(&self) -> u64 {
        if self.config.delivery == Delivery::Latest {
            return u64::MAX;
        }
        let held = self.slots[..PLACES].iter().flatten().count();
        if held == 0 {
            // Nothing is on its way whose hand-over would find slots, and without room nothing comes that would ask for one.
            self.pool.look_for_slots();
        }
        self.settled.value() + OPEN_FRAMES_MAX.min(held + self.pool.free_count()) as u64
    }

    /// Slots that frames of this stream have, without those that are spare.
    pub(super) fn slot_count(&self) -> usize {
        self.pool.usable_count()
    }

    /// Frames being assembled, with the place they are in.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, &Assembly)> {
        self.assemblies
            .iter()
            .enumerate()
            .filter_map(|(place, assembly)| assembly.as_ref().map(|assembly| (place, assembly)))
    }

    /// Frames that lack slices, with the place they are in.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = (usize, &Assembly)> {
        self.places().filter(|(_, assembly)| !assembly.is_complete())
    }

    pub(super) fn oldest_unfinished(&self) -> Option<(usize, &Assembly)> {
        self.unfinished().min_by_key(|(_, assembly)| assembly.number)
    }

    /// The first slice at or after `from` that the frame in `place` lacks.
    pub(super) fn first_missing(&self, place: usize, from: u32) -> Option<u32> {
        let count = self.assemblies[place].as_ref()?.count;
        // A slice index fits 32 bits.
        self.bitmaps[place].first_unset(from as usize, count as usize).map(|index| index as u32)
    }

    /// Whether parity of a frame is likely to come: it has for one shortly before, or for this one.
    pub(super) fn expects_parity(&self, number: u64) -> bool {
        let protected = self.protected.value();
        number < protected.saturating_add(OPEN_FRAMES_MAX as u64) && protected > 0
    }

    /// How the slices of the frame in `place` are dealt out, where parity of it has come, and how many of each block's have.
    pub(super) fn parity_of(&self, place: usize, counts: &mut Vec<u32>) -> Option<ParityLayout> {
        self.parity.as_ref()?.arrived(self.assemblies[place].as_ref()?.number, counts)
    }

    /// What has happened so far.
    pub fn stats(&self) -> &ReceiveStats {
        &self.stats
    }

    pub(super) fn stats_mut(&mut self) -> &mut ReceiveStats {
        &mut self.stats
    }
}
