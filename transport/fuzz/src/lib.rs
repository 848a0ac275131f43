//! What the targets share: a fuzzer's bytes as choices, pools that outlive a run, and both ends of a small stream.

pub mod absurd;

use std::sync::Arc;

use framewire_transport::frame::{FramePool, FrameRate, Presentation};
use framewire_transport::receive::{CONTROL_MAX, Reassembler, ReceiveConfig, ReceiveStream, SealedOpening};
use framewire_transport::send::{Fec, Publication, SendConfig, Subscriber};
use framewire_transport::wire::{AnyOpen, Cut, Delivery};
use framewire_transport::{Frame, FrameFormat, Key, PixelFormat, Time};

/// Bytes of a frame: seven slices, the last one shorter.
pub const FRAME_BYTES: usize = 3_100;
/// Bytes that may follow the pixels of a frame.
pub const TAIL_MAX: u16 = 700;
/// Bytes of a slice.
pub const SLICE_BYTES: u16 = 548;

/// The fuzzer's bytes, taken from the front; zeroes once they are used up.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    /// Whether anything is left to choose by.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// The next number: mostly small, or next to an end of its type.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            0xff => u64::MAX - u64::from(self.byte()),
            0xfe => (1 << 63) - 1 + u64::from(self.byte()),
            0xfd => (1 << 32) - 1 + u64::from(self.byte()),
            0xfc => u64::from_be_bytes(std::array::from_fn(|_| self.byte())),
            small => u64::from(small),
        }
    }

    /// Takes at most `max` bytes as they are.
    pub fn bytes(&mut self, max: usize) -> Vec<u8> {
        let (bytes, rest) = self.0.split_at(self.0.len().min(max));
        self.0 = rest;
        bytes.to_vec()
    }
}

/// Slots for frames: making them takes far longer than a run.
pub struct Pools {
    source: FramePool,
    target: FramePool,
}

impl Default for Pools {
    fn default() -> Self {
        let cuts = [false, true].map(cut);
        let slot = cuts.iter().map(Reassembler::slot_bytes).max().unwrap_or_default();
        Self { source: FramePool::new(4, FRAME_BYTES).unwrap(), target: FramePool::new(6, slot).unwrap() }
    }
}

/// How the longest frames are cut, with room for a tag in each head or without.
pub fn cut(has_tags: bool) -> Cut {
    let (frame_bytes, slice_bytes) = (FRAME_BYTES as u32 + u32::from(TAIL_MAX), usize::from(SLICE_BYTES));
    if has_tags { Cut::with_tags(frame_bytes, slice_bytes) } else { Cut::new(frame_bytes, slice_bytes) }
}

/// What a frame's bytes are.
pub fn byte_of(number: u64, at: usize) -> u8 {
    (number as usize * 31 + at * 7 + at / 251) as u8
}

/// What both ends of a protected stream have.
pub fn key() -> Key {
    Key::from_bytes([0x5a; 32])
}

/// A sender that has not been answered yet.
pub fn sender(delivery: Delivery, fec: Fec, is_protected: bool) -> (Publication, Subscriber) {
    let format = FrameFormat::new(PixelFormat::Gray8, FRAME_BYTES as u32, 1).unwrap();
    let config = SendConfig {
        fec,
        presentation: Presentation::UNKNOWN.rate(FrameRate::per_second(100).ok()),
        ..SendConfig::new(7, u32::MAX, format, delivery, SLICE_BYTES)
    };
    let publication = Publication::new(format, delivery);
    let now = Time::from_nanos(1_000_000_000);
    let mut subscriber = publication.subscribe(config, now);
    if is_protected {
        subscriber.protect(key(), now);
    }
    (publication, subscriber)
}

impl Pools {
    /// A frame with its number in every byte; `None` where all slots are in use.
    pub fn frame(&self, number: u64, now: Time) -> Option<Frame> {
        let mut frame = self.source.try_acquire()?;
        frame.iter_mut().enumerate().for_each(|(at, byte)| *byte = byte_of(number, at));
        frame.info.captured = now;
        Some(frame.freeze())
    }

    /// A receiver for what a datagram opens, if it does.
    pub fn receiver(&self, datagram: &[u8], (partial, is_protected): (bool, bool), now: Time) -> Option<ReceiveStream> {
        let (open, sealed) = match AnyOpen::parse(datagram).ok()? {
            AnyOpen::Plain(open) if !is_protected => (open, None),
            AnyOpen::Sealed(datagram) if is_protected => {
                let (sealed, open) = SealedOpening::read(&key(), &datagram).ok()?;
                (open, Some(Arc::new(sealed)))
            }
            _ => return None,
        };
        if open.tail_max > TAIL_MAX {
            return None;
        }
        let fits = open.frame_bytes as usize == FRAME_BYTES && open.slice_bytes == SLICE_BYTES && open.parity_max <= 64;
        let config = ReceiveConfig {
            open,
            sealed,
            open_bytes: datagram.len(),
            buffer_bytes: 100_000,
            batch_max: 4,
            partial,
            clock_id: 0,
        };
        ReceiveStream::new(config, self.target.clone(), now).ok().filter(|_| fits)
    }
}

/// Has a datagram land and be taken in.
pub fn take_in(receiver: &mut ReceiveStream, datagrams: &[Vec<u8>], now: Time) {
    receiver.predict(datagrams.len());
    let head_bytes = receiver.cut().head_bytes();
    for (spot, bytes) in datagrams.iter().enumerate().take(receiver.predicted()) {
        let head = &bytes[..bytes.len().min(head_bytes)];
        receiver.land(spot, &bytes[head.len()..]);
        receiver.handle_datagram(spot, head, bytes.len(), now);
    }
    receiver.end_batch(now);
}

/// What the receiver says; never more than it could have reason for.
pub fn answers(receiver: &mut ReceiveStream, now: Time) -> Vec<Vec<u8>> {
    let mut bytes = [0; CONTROL_MAX];
    let answers: Vec<_> =
        std::iter::from_fn(|| receiver.poll_transmit(now, &mut bytes).map(|len| bytes[..len].to_vec()))
            .take(65)
            .collect();
    assert!(answers.len() < 65, "the receiver talks without end");
    answers
}
