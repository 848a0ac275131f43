//! Frames on their way out: each stays here, and so keeps its slot, until the receiver has settled it.

use std::collections::VecDeque;
use std::ops::Range;

use crate::frame::{Frame, SLOTS_MAX};
use crate::time::Time;
use crate::wire::{Flags, SLICE_HEADER_LEN, SliceHeader, slice_count};

/// Consecutive slices of one frame, to be sent now: descriptors, not copies.
#[derive(Debug)]
pub struct SliceRun<'a> {
    /// The frame whose bytes are the payloads.
    pub frame: &'a Frame,
    /// The first slice's header; each following one has `index` and `sequence` one higher.
    pub header: SliceHeader,
    /// How many slices.
    pub count: u32,
}

impl SliceRun<'_> {
    /// Payload bytes of each slice, but the frame's last, which has the rest.
    pub fn payload_bytes(&self) -> usize {
        usize::from(self.header.payload_bytes)
    }

    /// The bytes of the frame that the slices carry.
    pub fn payload(&self) -> Range<usize> {
        let start = self.header.offset();
        start..self.frame.len().min(start + self.count as usize * self.payload_bytes())
    }

    /// The header of the `nth` slice of the run.
    pub fn header(&self, nth: u32) -> SliceHeader {
        SliceHeader { index: self.header.index + nth, sequence: self.header.sequence + u64::from(nth), ..self.header }
    }
}

/// A frame, and how far it has been sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) frame: Frame,
    pub(super) next: u32,
    pub(super) count: u32,
    payload_bytes: u16,
    /// From capture to the sending of the first slice in this epoch.
    sent_after_us: u32,
}

impl Outgoing {
    pub(super) fn number(&self) -> u64 {
        self.frame.info().number
    }

    /// Notes that its first slice leaves now.
    pub(super) fn note_begun(&mut self, now: Time) {
        let held = now.since(self.frame.info().captured);
        self.sent_after_us = u32::try_from(held.as_micros()).unwrap_or(u32::MAX);
    }

    pub(super) fn is_sent(&self) -> bool {
        self.next == self.count
    }

    /// The header of slice `index`, sent as number `sequence` of the epoch.
    pub(super) fn header(&self, (stream, epoch): (u32, u32), index: u32, sequence: u64, repair: bool) -> SliceHeader {
        SliceHeader {
            stream,
            epoch,
            flags: if repair { Flags::REPAIR } else { 0 },
            payload_bytes: self.payload_bytes,
            sequence,
            frame: self.number(),
            captured_ns: self.frame.info().captured.as_nanos(),
            // The sender's format was checked: a frame fits 32 bits.
            frame_bytes: self.frame.len() as u32,
            index,
            sent_after_us: self.sent_after_us,
        }
    }

    /// Payload bytes of slices `first` to `first + count`.
    pub(super) fn payload_len(&self, first: u32, count: u32) -> u64 {
        let end = (u64::from(first + count) * u64::from(self.payload_bytes)).min(self.frame.len() as u64);
        end - u64::from(first) * u64::from(self.payload_bytes)
    }
}

/// Frames in order of their numbers: sent ones that are not settled yet, at most one half sent, then waiting ones.
#[derive(Debug)]
pub(super) struct Outbox {
    frames: VecDeque<Outgoing>,
    payload_bytes: u16,
}

impl Outbox {
    pub(super) fn new(slice_bytes: u16) -> Self {
        Self { frames: VecDeque::with_capacity(SLOTS_MAX), payload_bytes: slice_bytes - SLICE_HEADER_LEN as u16 }
    }

    /// Cuts every frame anew, the waiting ones and those to come, and sends each from its start again.
    pub(super) fn cut_anew(&mut self, slice_bytes: u16) {
        let frames = std::mem::replace(self, Self::new(slice_bytes)).frames;
        frames.into_iter().for_each(|outgoing| self.push(outgoing.frame));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether another frame fits; with more frames than a pool has slots there is nothing to add.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() == SLOTS_MAX
    }

    pub(super) fn push(&mut self, frame: Frame) {
        let count = slice_count(frame.len() as u32, self.payload_bytes);
        self.frames.push_back(Outgoing { frame, next: 0, count, payload_bytes: self.payload_bytes, sent_after_us: 0 });
    }

    /// Drops the frames of which no slice has been sent in this epoch; returns how many of them had not been sent whole
    /// in an earlier one, which they had if their number is below `sent_below`.
    pub(super) fn drop_unsent(&mut self, sent_below: u64) -> u64 {
        let mut skipped = 0;
        self.frames.retain(|outgoing| {
            let keep = outgoing.next > 0;
            skipped += u64::from(!keep && outgoing.number() >= sent_below);
            keep
        });
        skipped
    }

    /// Drops the frames below `settled`.
    pub(super) fn settle(&mut self, settled: u64) {
        while self.frames.front().is_some_and(|oldest| oldest.number() < settled) {
            self.frames.pop_front();
        }
    }

    /// The frame to send from: the oldest that is not sent whole.
    pub(super) fn current(&mut self) -> Option<&mut Outgoing> {
        self.frames.iter_mut().find(|outgoing| !outgoing.is_sent())
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

    /// Sends every frame from its start again.
    pub(super) fn rewind(&mut self) {
        for outgoing in &mut self.frames {
            outgoing.next = 0;
        }
    }

    /// Drops all frames but the newest; returns how many of those dropped had been begun, and how many not.
    pub(super) fn keep_newest(&mut self, sent_below: u64) -> (u64, u64) {
        let mut dropped = (0, 0);
        while self.frames.len() > 1 {
            match self.frames.pop_front() {
                // One that was sent whole has been counted so; the receiver says whether it arrived.
                Some(oldest) if oldest.number() < sent_below => {}
                Some(oldest) if oldest.next > 0 => dropped.0 += 1,
                _ => dropped.1 += 1,
            }
        }
        dropped
    }
}
