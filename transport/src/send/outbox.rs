//! Frames on their way out: each stays here, and so keeps its slot, until the receiver has settled it.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use super::parity::{OutgoingParity, odd_byte};
use super::publication::Published;
use crate::crypto::SliceSealer;
use crate::frame::{Frame, SLOTS_MAX};
use crate::time::Time;
use crate::wire::{Cut, Flags, ParityHeader, SliceHeader};

/// Consecutive slices of one frame, or of its parity, to be sent now: descriptors, not copies.
pub struct SliceRun<'a> {
    /// The memory whose bytes are the payloads: the frame with what follows its pixels, or its parity.
    pub frame: &'a Frame,
    /// How many slices.
    pub count: u32,
    pub(super) cut: Cut,
    pub(super) head: RunHead,
    /// What seals them, on a protected stream.
    pub(super) sealer: Option<&'a mut SliceSealer>,
}

/// The first slice's header; each following one has `index` and `sequence` one higher.
#[derive(Debug, Clone, Copy)]
pub(super) enum RunHead {
    Slice(SliceHeader),
    Parity(ParityHeader),
}

impl fmt::Debug for SliceRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sealed = self.is_sealed();
        f.debug_struct("SliceRun")
            .field("count", &self.count)
            .field("head", &self.head)
            .field("sealed", &sealed)
            .finish()
    }
}

impl SliceRun<'_> {
    fn first(&self) -> u32 {
        match self.head {
            RunHead::Slice(header) => header.index,
            RunHead::Parity(header) => header.index,
        }
    }

    /// The frame's number in the stream.
    pub fn number(&self) -> u64 {
        match self.head {
            RunHead::Slice(header) => header.frame,
            RunHead::Parity(header) => header.frame,
        }
    }

    fn sequence(&self) -> u64 {
        match self.head {
            RunHead::Slice(header) => header.sequence,
            RunHead::Parity(header) => header.sequence,
        }
    }

    /// Payload bytes of each slice, but the frame's last, which has the rest.
    pub fn payload_bytes(&self) -> usize {
        self.cut.payload_bytes().into()
    }

    /// The bytes of [`SliceRun::frame`] that the slices carry.
    pub fn payload(&self) -> Range<usize> {
        self.cut.bytes_within(self.frame.whole().len(), self.first(), self.count)
    }

    /// The datagram of the `nth` slice of the run, as a copy: for networks that are not sockets. Each is made once.
    pub fn to_datagram(&mut self, nth: u32) -> Vec<u8> {
        let mut datagram = vec![0; self.cut.head_bytes() + self.payload_of(nth).len()];
        let (head, payload) = datagram.split_at_mut(self.cut.head_bytes());
        if self.is_sealed() {
            self.seal(nth, head, payload);
        } else {
            self.emit_header(nth, head);
            payload.copy_from_slice(&self.frame.whole()[self.payload_of(nth)]);
        }
        datagram
    }

    /// The bytes of [`SliceRun::frame`] that the `nth` slice of the run carries.
    fn payload_of(&self, nth: u32) -> Range<usize> {
        self.cut.bytes_within(self.frame.whole().len(), self.first().saturating_add(nth), 1)
    }

    /// Whether the slices are sealed: then what is sent of each is what [`SliceRun::seal`] writes, and else [`SliceRun::payload`] itself.
    pub fn is_sealed(&self) -> bool {
        self.sealer.is_some()
    }

    /// Writes the `nth` slice of a sealed run: its head with the tag, and what its payload is sealed to, which is as long. Each slice is
    /// written once: whoever has to send it again sends the same bytes.
    ///
    /// # Panics
    /// The head or the payload is of another length than the slice's, or the run is not sealed.
    pub fn seal(&mut self, nth: u32, head: &mut [u8], sealed: &mut [u8]) {
        self.emit_header(nth, head);
        let payload = &self.frame.whole()[self.payload_of(nth)];
        let sequence = self.sequence().wrapping_add(nth.into());
        let (fields, tag) = head.split_first_chunk_mut().expect("a cut's heads have room for the fields");
        let tag = tag.first_chunk_mut().expect("and those of a protected stream for a tag");
        let sealer = self.sealer.as_mut().expect("the run is sealed, as its caller sees to");
        sealer.seal(sequence, fields, payload, sealed, tag);
    }

    /// Writes the fields of the `nth` slice of the run, which has [`SliceRun::count`] of them, to the start of its head.
    ///
    /// # Panics
    /// The head is shorter than [`SLICE_HEADER_LEN`](crate::wire::SLICE_HEADER_LEN).
    pub fn emit_header(&self, nth: u32, head: &mut [u8]) {
        let out = head.first_chunk_mut().expect("a cut's heads have room for the fields");
        match self.head {
            RunHead::Slice(header) => {
                let (index, sequence) = (header.index.wrapping_add(nth), header.sequence.wrapping_add(nth.into()));
                SliceHeader { index, sequence, ..header }.emit_into(out);
            }
            RunHead::Parity(header) => {
                let (index, sequence) = (header.index.wrapping_add(nth), header.sequence.wrapping_add(nth.into()));
                let at = odd_byte(self.cut.payload_bytes(), &header.layout(&self.cut), index);
                let odd = self.frame.get(at).copied().unwrap_or(0);
                ParityHeader { index, sequence, odd, ..header }.emit_into(out);
            }
        }
    }
}

/// A frame, and how far it has been sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) published: Published,
    pub(super) next: u32,
    cut: Cut,
    /// When it was captured; when it was begun, where that is not known.
    captured: Time,
    /// From capture to the sending of the first slice in this epoch.
    sent_after_us: u32,
    /// A slice of it has been sent, in this epoch or an earlier one: it may have arrived.
    begun: bool,
    pub(super) parity: Parity,
}

/// What follows a frame's slices.
#[derive(Debug)]
pub(super) enum Parity {
    /// Nothing.
    None,
    /// So much of it, percent, once the slices that were polled have been handed to the system: making it takes a while.
    Wanted(u32),
    /// The same, to be made now.
    Due(u32),
    Leaving(OutgoingParity),
}

impl Outgoing {
    pub(super) fn frame(&self) -> &Frame {
        self.published.frame()
    }

    pub(super) fn number(&self) -> u64 {
        self.published.number()
    }

    /// How it is cut.
    pub(super) fn cut(&self) -> Cut {
        self.cut
    }

    /// Slices of it.
    pub(super) fn count(&self) -> u32 {
        self.cut.slices()
    }

    /// Notes that its first slice leaves now.
    pub(super) fn note_begun(&mut self, now: Time) {
        if self.captured == Time::ZERO {
            self.captured = now;
        }
        let held = now.since(self.captured);
        self.sent_after_us = u32::try_from(held.as_micros()).unwrap_or(u32::MAX);
        self.begun = true;
    }

    pub(super) fn captured(&self) -> Time {
        self.captured
    }

    pub(super) fn is_sent(&self) -> bool {
        self.next == self.count()
            && match &self.parity {
                Parity::None => true,
                Parity::Wanted(_) | Parity::Due(_) => false,
                Parity::Leaving(parity) => parity.is_sent(),
            }
    }

    /// The header of slice `index`, sent as number `sequence` of the epoch.
    pub(super) fn header(&self, (stream, epoch): (u32, u32), index: u32, sequence: u64, repair: bool) -> SliceHeader {
        SliceHeader {
            stream,
            epoch,
            flags: self.cut.flags() | if repair { Flags::REPAIR } else { 0 },
            tail: self.frame().tail().to_wire(),
            sequence,
            frame: self.number(),
            captured_ns: self.captured.as_nanos(),
            frame_bytes: self.cut.frame_bytes(),
            index,
            sent_after_us: self.sent_after_us,
        }
    }

    /// Payload bytes of slices `first` to `first + count`.
    pub(super) fn payload_len(&self, first: u32, count: u32) -> u64 {
        self.cut.bytes_of(first, count).len() as u64
    }
}

/// Frames that were dropped before they had been sent whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Nothing of them had been sent.
    pub(super) unbegun: u64,
    /// Slices of them had been, and may have arrived.
    pub(super) begun: u64,
}

impl Dropped {
    /// Takes in a frame that is dropped, where all below `sent_below` have been sent whole.
    fn count(&mut self, outgoing: &Outgoing, sent_below: u64) {
        if outgoing.number() >= sent_below {
            *if outgoing.begun { &mut self.begun } else { &mut self.unbegun } += 1;
        }
    }
}

/// Frames in order of their numbers: sent ones that are not settled yet, at most one half sent, then waiting ones.
#[derive(Debug)]
pub(super) struct Outbox {
    frames: VecDeque<Outgoing>,
    cut: Cut,
}

impl Outbox {
    pub(super) fn new(cut: Cut) -> Self {
        Self { frames: VecDeque::with_capacity(SLOTS_MAX), cut }
    }

    /// Cuts every frame anew, the waiting ones and those to come, and sends each from its start again.
    pub(super) fn cut_anew(&mut self, cut: Cut) {
        let frames = std::mem::replace(self, Self::new(cut)).frames;
        for outgoing in frames {
            self.push(outgoing.published);
            if let Some(anew) = self.frames.back_mut() {
                anew.begun = outgoing.begun;
            }
        }
    }

    /// Frames that it holds.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether another frame fits; with more frames than a pool has slots there is nothing to add.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() == SLOTS_MAX
    }

    pub(super) fn push(&mut self, published: Published) {
        // No longer than the longest, which fits 32 bits.
        let bytes = published.frame().whole().len() as u32;
        self.frames.push_back(Outgoing {
            captured: published.frame().info().captured,
            published,
            next: 0,
            cut: self.cut.of(bytes),
            sent_after_us: 0,
            begun: false,
            parity: Parity::None,
        });
    }

    /// Whether there is one of which no slice has been sent in this epoch.
    pub(super) fn has_unsent(&self) -> bool {
        self.frames.back().is_some_and(|outgoing| outgoing.next == 0)
    }

    /// Drops the frames of which no slice has been sent in this epoch, but the newest `kept`; returns those of them that had not been sent whole
    /// in an earlier one, which they had if their number is below `sent_below`.
    pub(super) fn drop_unsent(&mut self, kept: usize, sent_below: u64) -> Dropped {
        let mut dropped = Dropped::default();
        let unsent = self.frames.iter().filter(|outgoing| outgoing.next == 0).count();
        let mut too_many = unsent.saturating_sub(kept);
        self.frames.retain(|outgoing| {
            let keep = outgoing.next > 0 || too_many == 0;
            if !keep {
                too_many -= 1;
                dropped.count(outgoing, sent_below);
            }
            keep
        });
        dropped
    }

    /// Drops the frames below `below` but one, the others as [`Outbox::settle`] does.
    pub(super) fn drop_below(&mut self, below: u64, but: u64, sent_below: u64) -> Dropped {
        let mut dropped = Dropped::default();
        self.frames.retain(|outgoing| {
            let keep = outgoing.number() >= below || outgoing.number() == but;
            if !keep {
                dropped.count(outgoing, sent_below);
            }
            keep
        });
        dropped
    }

    /// Drops the frames below `settled`; returns those that had not been sent whole: the receiver has given them up.
    pub(super) fn settle(&mut self, settled: u64, sent_below: u64) -> Dropped {
        let mut dropped = Dropped::default();
        while let Some(oldest) = self.frames.pop_front_if(|oldest| oldest.number() < settled) {
            dropped.count(&oldest, sent_below);
        }
        dropped
    }

    /// The frame to send from: the oldest that is not sent whole.
    pub(super) fn current(&mut self) -> Option<&mut Outgoing> {
        self.frames.iter_mut().find(|outgoing| !outgoing.is_sent())
    }

    /// Frames that have been begun.
    pub(super) fn on_the_way(&self) -> usize {
        self.frames.iter().filter(|outgoing| outgoing.next > 0).count()
    }

    /// The oldest that has been begun.
    pub(super) fn first_begun(&self) -> Option<u64> {
        self.frames.iter().find(|outgoing| outgoing.next > 0).map(Outgoing::number)
    }

    pub(super) fn find(&self, number: u64) -> Option<&Outgoing> {
        self.frames.iter().find(|outgoing| outgoing.number() == number)
    }

    /// The lowest number that is still here.
    pub(super) fn first_number(&self) -> Option<u64> {
        self.frames.front().map(Outgoing::number)
    }

    /// Every frame below this number has been sent whole; `next_number` where there is none waiting.
    pub(super) fn sent_below(&self, next_number: u64) -> u64 {
        self.frames.iter().find(|outgoing| !outgoing.is_sent()).map_or(next_number, Outgoing::number)
    }

    /// Whether the frame to send from has nothing left but parity that is still to be made.
    pub(super) fn is_parity_due(&self) -> bool {
        let current = self.frames.iter().find(|outgoing| !outgoing.is_sent());
        current.is_some_and(|outgoing| matches!(outgoing.parity, Parity::Due(_)))
    }

    /// Gives back the memory of parity that has been sent.
    pub(super) fn release_parity(&mut self) {
        for outgoing in &mut self.frames {
            if matches!(&outgoing.parity, Parity::Leaving(parity) if parity.is_sent()) {
                outgoing.parity = Parity::None;
            }
        }
    }

    /// Sends every frame from its start again.
    pub(super) fn rewind(&mut self) {
        for outgoing in &mut self.frames {
            outgoing.next = 0;
            outgoing.parity = Parity::None;
        }
    }

    /// Empties it; returns its frames.
    pub(super) fn give_back(&mut self) -> Vec<Frame> {
        self.frames.drain(..).map(|outgoing| outgoing.published.frame().clone()).collect()
    }

    /// Drops all frames but the newest; returns those that had not been sent whole. The receiver says whether the others arrived.
    pub(super) fn keep_newest(&mut self, sent_below: u64) -> Dropped {
        let newest = self.frames.back().map_or(0, Outgoing::number);
        self.settle(newest, sent_below)
    }
}
