//! A source with one receiver.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use framewire_transport::frame::{Frame, FrameFormat, FramePool, FrameRate, PixelFormat, Presentation, TAIL_MAX};
use framewire_transport::send::{Fec, Publication, SendConfig};
use framewire_transport::wire::Delivery;
use framewire_transport::{Key, Time, send};

use super::{Peer, Weather, varied};

/// A publication with one subscriber and its receiver, with the network between them.
pub(crate) struct Pair {
    pub(crate) publication: Publication,
    source: FramePool,
    pub(crate) peer: Peer,
}

impl Deref for Pair {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.peer
    }
}

impl DerefMut for Pair {
    fn deref_mut(&mut self) -> &mut Peer {
        &mut self.peer
    }
}

/// What both ends of a protected stream have.
const KEY: [u8; 32] = *b"a key that both ends know here!!";

impl Pair {
    pub(crate) const SLICE_BYTES: usize = 1_472;

    pub(crate) fn new(seed: u64, delivery: Delivery, frame_bytes: usize, weather: Weather) -> Self {
        Self::with_slices(seed, delivery, frame_bytes, Self::SLICE_BYTES as u16, weather)
    }

    pub(crate) fn with_slices(
        seed: u64,
        delivery: Delivery,
        frame_bytes: usize,
        slice_bytes: u16,
        weather: Weather,
    ) -> Self {
        Self::with_interval(seed, delivery, frame_bytes, slice_bytes, Duration::from_millis(10), weather)
    }

    pub(crate) fn with_interval(
        seed: u64,
        delivery: Delivery,
        frame_bytes: usize,
        slice_bytes: u16,
        interval: Duration,
        weather: Weather,
    ) -> Self {
        let format = FrameFormat::new(PixelFormat::Gray8, frame_bytes as u32, 1).unwrap();
        let now = Time::from_nanos(1_000_000_000);
        let presentation = Presentation::UNKNOWN.rate(FrameRate::from_interval(interval));
        let config = SendConfig { presentation, ..SendConfig::new(77, u32::MAX, format, delivery, slice_bytes) };
        let publication = Publication::new(format, delivery);
        let peer = Peer::new(seed, &publication, config, now, weather);
        Self { publication, source: FramePool::new(4, frame_bytes).unwrap(), peer }
    }

    pub(crate) fn byte_of(number: u64, at: usize) -> u8 {
        Peer::byte_of(number, at)
    }

    /// Gives the sender its next frame, if a slot is free.
    pub(crate) fn offer_frame(&mut self) -> bool {
        let Some(frame) = picture(&self.source, self.publication.next_number(), self.now) else { return false };
        let published = self.publication.publish(frame).unwrap();
        let now = self.now;
        self.sender.handle_frame(&published, now).expect("fewer slots than the outbox has room for");
        true
    }

    /// The source has as many slots as a [`framewire_transport::Sender`], and takes them as that does. To be called before
    /// anything happens.
    pub(crate) fn set_slots(&mut self, slots: usize) {
        let frame_bytes = self.format.frame_bytes();
        self.source = FramePool::with_spares(slots, send::slots_ready(frame_bytes), frame_bytes).unwrap();
    }

    /// A camera's frame is due: takes a slot as a [`framewire_transport::Sender`] does, and skips the frame where there is none.
    pub(crate) fn capture(&mut self) -> bool {
        if self.source.free_count() == 0 {
            self.source.set_usable(self.sender.slots_wanted(self.source.held_count()));
        }
        if self.source.free_count() == 0 {
            self.sender.drop_replaceable();
        }
        let is_taken = self.offer_frame();
        if !is_taken {
            self.skip();
        }
        is_taken
    }

    /// A camera's frames, one each interval, skipped where no slot is free; returns how many of them arrived.
    pub(crate) fn film(&mut self, frames: usize, interval: Duration) -> usize {
        let before = self.delivered.len();
        for _ in 0..frames {
            if !self.offer_frame() {
                self.skip();
            }
            self.run_for(interval);
        }
        self.delivered.len() - before
    }

    /// The source could not write a frame.
    pub(crate) fn skip(&mut self) {
        if self.publication.skip() {
            self.sender.handle_skipped();
        }
    }

    /// Lets time pass, at most to `until`; returns false once nothing happens before it.
    pub(crate) fn step(&mut self, until: Time) -> bool {
        self.peer.step(&mut self.publication, until)
    }

    /// Runs for a while.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.step(until) {}
    }

    /// The receiver takes nothing for a while, and then all that has come.
    pub(crate) fn stop_receiver_for(&mut self, time: Duration) {
        self.is_stopped = true;
        self.run_for(time);
        self.is_stopped = false;
        self.peer.run_receiver();
    }

    /// The sender adds parity. To be called before anything happens.
    pub(crate) fn set_fec(&mut self, fec: Fec) {
        self.config.fec = fec;
        self.subscribe_anew();
    }

    /// Frames differ in length, and have metadata and times of their own. To be called before anything happens.
    pub(crate) fn set_varied(&mut self) {
        self.format = FrameFormat::new(PixelFormat::Bytes, self.format.width(), 1).unwrap();
        self.config = SendConfig { format: self.format, tail_max: TAIL_MAX as u16, ..self.config };
        self.source = FramePool::for_format(4, self.format).unwrap();
        self.subscribe_anew();
    }

    /// The stream is protected. To be called before anything happens.
    pub(crate) fn set_protected(&mut self) {
        self.key = Some(Key::from_bytes(KEY));
        self.subscribe_anew();
    }

    /// The receiver asks for another key than the sender has, or for none. To be called before anything happens.
    pub(crate) fn disagree_on_the_key(&mut self, key: Option<Key>) {
        self.key = key;
    }

    /// The sender must keep its slices as they are.
    pub(crate) fn fix_slices(&mut self) {
        self.config.slice_is_fixed = true;
        self.subscribe_anew();
    }

    /// The sender's process dies, and another one streams with the same number: it counts its frames from 0.
    pub(crate) fn restart_sender(&mut self) {
        self.config.epoch = self.random.next() as u32;
        self.subscribe_anew();
    }

    fn subscribe_anew(&mut self) {
        self.publication = Publication::new(self.format, self.config.delivery).with_tails(self.config.tail_max);
        let mut sender = self.publication.subscribe(self.config, self.now);
        if let Some(key) = &self.key {
            sender.protect(key.clone(), self.now);
        }
        self.sender = sender;
    }
}

/// The frame with this number, in a slot of `source`, if one is free.
pub(crate) fn picture(source: &FramePool, number: u64, now: Time) -> Option<Frame> {
    let mut frame = source.try_acquire()?;
    if frame.format().is_some() {
        varied::vary(&mut frame, number);
    }
    frame.iter_mut().enumerate().for_each(|(at, byte)| *byte = Peer::byte_of(number, at));
    frame.info.captured = now;
    Some(frame.freeze())
}
