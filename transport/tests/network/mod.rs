//! Both ends' cores over a network that exists only in this test: seeded, in virtual time, no socket.
#![allow(dead_code, reason = "each test file uses a part of it")]

mod truth;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use framewire_transport::frame::{Frame, FrameFormat, FramePool, FrameRate, PixelFormat, Presentation};
use framewire_transport::receive::{ClosedStreams, EndReason, Reassembler, ReceiveConfig, ReceiveStream};
use framewire_transport::send::{Fec, LinkBudget, Publication, SendConfig, SendState, Subscriber};
use framewire_transport::wire::{
    Challenge, Delivery, EPOCHS_AHEAD_MAX, Kind, Open, Prelude, Refuse, RefuseReason, SLICE_HEADER_LEN, SliceHeader,
};
use framewire_transport::{Time, receive, send};

use self::truth::Truth;

/// Xorshift: a failing seed replays exactly.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// What the network does to datagrams, per thousand of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) lost: u64,
    /// How many datagrams in a row are lost, in the mean (Gilbert and Elliott's model); 1 for each on its own.
    pub(crate) burst: u64,
    pub(crate) doubled: u64,
    /// Cut off somewhere.
    pub(crate) cut: u64,
    pub(crate) delayed: u64,
    /// One way.
    pub(crate) latency: Duration,
    /// The longest datagram that gets through.
    pub(crate) datagram_max: usize,
    /// What the link towards the receiver carries.
    pub(crate) rate: Option<Rate>,
}

/// The model counts datagrams, and means ones that follow each other closely: so long after its begin, a burst is over for
/// each of its datagrams in any case. 1,500 bytes take that long at 120 Mbit/s.
const BURST_SLOT: Duration = Duration::from_micros(100);

/// A link with a finite queue in front of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) bytes_per_second: u64,
    /// What does not fit is dropped.
    pub(crate) queue: Duration,
}

impl Rate {
    fn time_for(self, bytes: usize) -> Duration {
        Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.bytes_per_second)
    }
}

impl Weather {
    pub(crate) const FAIR: Self = Self {
        lost: 0,
        burst: 1,
        doubled: 0,
        cut: 0,
        delayed: 0,
        latency: Duration::from_micros(50),
        datagram_max: usize::MAX,
        rate: None,
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Towards {
    Receiver,
    Sender,
}

/// The most datagrams that a receiver takes in at once.
const BATCH_MAX: usize = 16;
/// As the driver's: how long a closed stream's socket answers.
const LINGER: Duration = Duration::from_secs(2);
/// What the listener has a sender repeat.
const COOKIE: u64 = 0x5eed;
/// As the driver's: between answers to what opens nothing.
const ANSWERS_APART: Duration = Duration::from_millis(1);

type InFlight = Reverse<(Time, u64, Towards, Vec<u8>)>;

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

/// A subscriber of a publication, its receiver, and the network between them.
pub(crate) struct Peer {
    pub(crate) now: Time,
    pub(crate) sender: Subscriber,
    pub(crate) receiver: Option<ReceiveStream>,
    pub(crate) weather: Weather,
    pub(crate) delivered: Vec<u64>,
    /// From capture to completion, of each frame delivered.
    pub(crate) ages: Vec<Duration>,
    pub(crate) random: Random,
    slots: usize,
    /// Of the receiver's socket.
    pub(crate) buffer_bytes: usize,
    /// The receiver hands on what it gives up, too.
    pub(crate) partial: bool,
    /// What the receiver says is bent on its way.
    pub(crate) bend: Option<fn(Vec<u8>) -> Vec<u8>>,
    /// What came with gaps: the frame's number, and bytes that are missing.
    pub(crate) torn: Vec<(u64, usize)>,
    flying: BinaryHeap<InFlight>,
    /// For each direction, whether a burst of losses is on or off, and since when.
    in_burst: [(bool, Time); 2],
    /// When the link towards the receiver has carried what is queued.
    link_free: Time,
    sent: u64,
    bytes_sent: usize,
    steps_at_now: u32,
    config: SendConfig,
    format: FrameFormat,
    is_stopped: bool,
    /// What has come and was not read yet: all of it shares batches.
    waiting: VecDeque<Vec<u8>>,
    /// How long the receiver is busy with other things after each look at its socket.
    pub(crate) busy: Duration,
    /// When it looks again.
    looks: Time,
    pub(crate) truth: Truth,
    /// Streams that were opened in the receiver's process.
    pub(crate) opened: usize,
    closed: ClosedStreams,
    /// When the receiver's socket is closed.
    leaves: Time,
    next_answer: Time,
    /// Consumers hold the newest frames, so many.
    pub(crate) holds: usize,
    held: VecDeque<Frame>,
}

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
        let presentation = Presentation { rate: FrameRate::from_interval(interval), ..Presentation::UNKNOWN };
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
        self.look();
    }

    /// The sender adds parity. To be called before anything happens.
    pub(crate) fn set_fec(&mut self, fec: Fec) {
        self.config.fec = fec;
        self.subscribe_anew();
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
        self.publication = Publication::new(self.format, self.config.delivery);
        let sender = self.publication.subscribe(self.config, self.now);
        self.sender = sender;
    }
}

/// The frame with this number, in a slot of `source`, if one is free.
pub(crate) fn picture(source: &FramePool, number: u64, now: Time) -> Option<Frame> {
    let mut frame = source.try_acquire()?;
    frame.iter_mut().enumerate().for_each(|(at, byte)| *byte = Peer::byte_of(number, at));
    frame.info.captured = now;
    Some(frame.freeze())
}

impl Peer {
    pub(crate) fn new(seed: u64, publication: &Publication, config: SendConfig, now: Time, weather: Weather) -> Self {
        Self {
            now,
            sender: publication.subscribe(config, now),
            receiver: None,
            weather,
            delivered: Vec::new(),
            ages: Vec::new(),
            random: Random::new(seed),
            slots: 6,
            buffer_bytes: 400_000,
            partial: false,
            bend: None,
            torn: Vec::new(),
            flying: BinaryHeap::new(),
            in_burst: [(false, now); 2],
            link_free: now,
            sent: 0,
            bytes_sent: 0,
            steps_at_now: 0,
            format: config.format,
            config,
            is_stopped: false,
            waiting: VecDeque::new(),
            busy: Duration::ZERO,
            looks: now,
            truth: Truth::default(),
            opened: 0,
            closed: ClosedStreams::default(),
            leaves: Time::MAX,
            next_answer: now,
            holds: 0,
            held: VecDeque::new(),
        }
    }

    pub(crate) fn byte_of(number: u64, at: usize) -> u8 {
        (number as usize * 31 + at * 7 + at / 251) as u8
    }

    /// Lets time pass, at most to `until`; returns false once nothing happens before it.
    pub(crate) fn step(&mut self, publication: &mut Publication, until: Time) -> bool {
        self.send(publication);
        let arrival = self.flying.peek().map(|Reverse((at, ..))| *at);
        let receiver = self.receiver.as_mut().filter(|_| !self.is_stopped);
        let looks = Some(self.looks).filter(|_| !self.waiting.is_empty() && !self.is_stopped);
        let timers =
            [Some(self.sender.poll_timeout()), receiver.map(|receiver| receiver.poll_timeout(self.now)), looks];
        let next = timers.into_iter().flatten().chain(arrival).min().unwrap_or(Time::MAX).max(self.now);
        if next > until {
            self.now = until;
            return false;
        }
        self.steps_at_now = if next.as_nanos() - self.now.as_nanos() < 100 { self.steps_at_now + 1 } else { 0 };
        assert!(self.steps_at_now < 10_000, "time stands still at {next:?}: {:?}", self.sender.stats());
        self.now = next;
        while self.flying.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
            let Some(Reverse((_, _, towards, bytes))) = self.flying.pop() else { break };
            match towards {
                Towards::Sender => self.sender.handle_datagram(&bytes, self.now),
                Towards::Receiver => self.waiting.push_back(bytes),
            }
        }
        self.sender.handle_timeout(self.now);
        if self.is_stopped {
            return true;
        }
        self.look();
        if let Some(receiver) = &mut self.receiver {
            receiver.handle_timeout(self.now);
            if self.waiting.is_empty() {
                receiver.handle_idle(self.now);
            }
        }
        self.answer();
        true
    }

    /// The receiver's process stops; what comes waits.
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
    }

    fn send(&mut self, publication: &mut Publication) {
        let mut bytes = Box::new([0; send::CONTROL_MAX]);
        while let Some(len) = self.sender.poll_transmit(self.now, &mut bytes) {
            self.fly(Towards::Receiver, bytes[..len].to_vec());
        }
        while let Some(run) = self.sender.poll_slices(publication, 16, self.now) {
            let datagrams: Vec<_> = (0..run.count).map(|nth| run.to_datagram(nth)).collect();
            for datagram in datagrams {
                self.fly(Towards::Receiver, datagram);
            }
        }
    }

    fn fly(&mut self, towards: Towards, mut bytes: Vec<u8>) {
        let weather = self.weather;
        if self.is_lost(towards) || bytes.len() > weather.datagram_max {
            return;
        }
        if self.random.chance(weather.cut) {
            bytes.truncate(self.random.below(bytes.len() as u64) as usize);
        }
        let Some(queued) = self.queue(towards, bytes.len()) else { return };
        let copies = if self.random.chance(weather.doubled) { 2 } else { 1 };
        for _ in 0..copies {
            self.bytes_sent += bytes.len();
            let late = if self.random.chance(weather.delayed) { weather.latency * 3 } else { Duration::ZERO };
            self.sent += 1;
            let at = self.now + queued + weather.latency + late;
            self.flying.push(Reverse((at, self.sent, towards, bytes.clone())));
        }
    }

    /// Bursts come and go for each direction on its own. A loss of 1000 per thousand is an outage.
    fn is_lost(&mut self, towards: Towards) -> bool {
        let Weather { lost, burst, .. } = self.weather;
        if burst <= 1 || lost >= 1_000 {
            return self.random.chance(lost);
        }
        let (in_burst, begun) = self.in_burst[towards as usize];
        // What makes a burst (a full queue, a fading signal) passes with time, also where little is sent.
        let in_burst = in_burst && self.now.since(begun) < BURST_SLOT * burst as u32;
        // Bursts end after `burst` datagrams in the mean, and begin so often that `lost` of a thousand are in one.
        let turns =
            if in_burst { self.random.below(burst) == 0 } else { self.random.below(burst * (1_000 - lost)) < lost };
        if turns {
            self.in_burst[towards as usize] = (!in_burst, self.now);
        }
        in_burst != turns
    }

    /// How long a datagram waits for the link, and takes on it; `None` where the queue is full.
    fn queue(&mut self, towards: Towards, bytes: usize) -> Option<Duration> {
        let Some(rate) = self.weather.rate.filter(|_| towards == Towards::Receiver) else {
            return Some(Duration::ZERO);
        };
        let waits = self.link_free.since(self.now);
        if waits > rate.queue {
            return None;
        }
        let takes = waits + rate.time_for(bytes);
        self.link_free = self.now + takes;
        Some(takes)
    }

    /// The receiver reads what has come, if it is time.
    fn look(&mut self) {
        if self.now < self.looks || self.waiting.is_empty() {
            return;
        }
        self.looks = self.now + self.busy;
        while !self.waiting.is_empty() {
            if self.receiver.is_none() || self.now >= self.leaves {
                if let Some(bytes) = self.waiting.pop_front() {
                    self.listen(&bytes);
                }
                continue;
            }
            self.take_in_batch();
            self.answer();
        }
    }

    /// One datagram reaches the receiver on its own.
    pub(crate) fn take_in(&mut self, bytes: &[u8]) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting.push_back(bytes.to_vec());
        self.take_in_batch();
        self.waiting = waiting;
    }

    /// What the kernel does with a batch: each datagram's payload lands in the next cell, whatever it is; then all are looked at.
    fn take_in_batch(&mut self) {
        let Some(receiver) = &mut self.receiver else { return };
        receiver.predict(self.waiting.len().min(BATCH_MAX));
        let count = receiver.predicted().min(self.waiting.len());
        let batch: Vec<_> = self.waiting.drain(..count).collect();
        for (spot, bytes) in batch.iter().enumerate() {
            receiver.land(spot, &bytes[bytes.len().min(SLICE_HEADER_LEN)..]);
        }
        for (spot, bytes) in batch.iter().enumerate() {
            let head = &bytes[..bytes.len().min(SLICE_HEADER_LEN)];
            let before = *receiver.stats();
            receiver.handle_datagram(spot, head, bytes.len(), self.now);
            let after = receiver.stats();
            if let Ok(slice) = SliceHeader::parse(head) {
                if after.slices > before.slices {
                    self.truth.begun.insert(slice.frame);
                }
                if after.frames_no_slot > before.frames_no_slot {
                    assert!(self.truth.no_slot.insert(slice.frame), "frame {} had no slot twice", slice.frame);
                }
            }
        }
        let settled = receiver.settled();
        receiver.end_batch(self.now);
        assert!(receiver.settled() >= settled, "settled went back from {settled} to {}", receiver.settled());
    }

    /// What comes to the listening socket; it does without the challenge where nothing is open.
    fn listen(&mut self, bytes: &[u8]) {
        // Cut short on its way: the sender repeats it.
        let Ok(Prelude { kind, stream, epoch }) = Prelude::parse(bytes) else { return };
        if let Some(last_word) = self.receiver.as_ref().and_then(ReceiveStream::last_word) {
            self.closed.note(last_word);
        }
        if kind == Kind::Open
            && let Ok(open) = Open::parse(bytes)
        {
            self.handle_opening(&open, bytes.len());
        } else if kind == Kind::Close
            && let Some(last_word) = self.closed.answer(stream, epoch)
        {
            self.fly(Towards::Sender, last_word.emit().to_vec());
        } else if kind != Kind::Open && self.now >= self.next_answer {
            self.next_answer = self.now + ANSWERS_APART;
            let refuse = Refuse { stream, epoch, flags: 0, reason: RefuseReason::Unknown as u16, limit: 0 };
            self.fly(Towards::Sender, refuse.emit().to_vec());
        }
    }

    /// An opening that the listener judges.
    fn handle_opening(&mut self, open: &Open, open_bytes: usize) {
        let is_open = self.now < self.leaves;
        if let Some(receiver) = self.receiver.as_mut().filter(|_| is_open) {
            if open.cookie != COOKIE {
                let path_bytes = u16::try_from(open_bytes).unwrap_or(u16::MAX);
                let Open { stream, epoch, .. } = *open;
                let challenge = Challenge { stream, epoch, flags: 0, path_bytes, cookie: COOKIE };
                self.fly(Towards::Sender, challenge.emit().to_vec());
                return;
            }
            let ahead = open.epoch.wrapping_sub(receiver.epoch());
            if ahead <= EPOCHS_AHEAD_MAX && receiver.ended().is_none() {
                receiver.handle_proven_open(open, open_bytes, false, self.now);
                self.answer();
                return;
            }
            let behind = receiver.epoch().wrapping_sub(open.epoch);
            if receiver.ended().is_none() && behind <= EPOCHS_AHEAD_MAX {
                return;
            }
        }
        if let Some(last_word) = self.receiver.as_ref().and_then(ReceiveStream::last_word) {
            self.closed.note(last_word);
        }
        if let Some(last_word) = self.closed.answer(open.stream, open.epoch) {
            self.fly(Towards::Sender, last_word.emit().to_vec());
            return;
        }
        let slot_bytes = Reassembler::slot_bytes(open.frame_bytes, usize::from(open.slice_bytes));
        let pool = FramePool::new(self.slots, slot_bytes).unwrap();
        let config = ReceiveConfig {
            open: *open,
            open_bytes,
            buffer_bytes: self.buffer_bytes,
            batch_max: BATCH_MAX,
            partial: self.partial,
            clock_id: 0,
        };
        self.held.clear();
        self.truth = Truth::default();
        self.opened += 1;
        self.leaves = Time::MAX;
        self.receiver = Some(ReceiveStream::new(config, pool, self.now).unwrap());
        self.answer();
    }

    fn answer(&mut self) {
        let Some(receiver) = &mut self.receiver else { return };
        let mut frames: Vec<Frame> = Vec::new();
        while let Some(frame) = receiver.poll_frame() {
            frames.push(frame);
        }
        let mut answers = Vec::new();
        let mut bytes = [0; receive::CONTROL_MAX];
        while let Some(len) = receiver.poll_transmit(self.now, &mut bytes) {
            answers.push(bytes[..len].to_vec());
        }
        let stray = receiver.poll_stray();
        if receiver.ended().is_some() && self.leaves == Time::MAX {
            self.leaves = self.now + if receiver.last_word().is_some() { LINGER } else { Duration::ZERO };
        }
        for frame in frames {
            let number = frame.info().number;
            assert_eq!(frame.len(), self.format.frame_bytes());
            let mut missing = vec![false; frame.len()];
            frame.missing().for_each(|range| missing[range].fill(true));
            for (at, byte) in frame.iter().enumerate() {
                let expected = if missing[at] { 0 } else { Self::byte_of(number, at) };
                assert_eq!(*byte, expected, "frame {number}, byte {at}");
            }
            if !frame.is_complete() {
                self.torn.push((number, missing.into_iter().filter(|missing| *missing).count()));
                continue;
            }
            self.delivered.push(number);
            assert!(self.truth.delivered.insert(number), "frame {number} came twice");
            // Both ends read the same clock, though they do not know it.
            self.ages.push(frame.info().completed.since(frame.info().captured_there));
            self.held.push_back(frame);
            while self.held.len() > self.holds {
                self.held.pop_front();
            }
        }
        for answer in answers {
            let answer = self.bend.map_or(answer.clone(), |bend| bend(answer));
            self.fly(Towards::Sender, answer);
        }
        if let Some(stray) = stray {
            self.handle_opening(&stray.open, stray.open_bytes);
        }
    }

    /// The sender keeps to a link's rate. To be called before anything happens.
    pub(crate) fn set_link(&mut self, link: LinkBudget) {
        self.sender.set_link(link);
    }

    /// Both machines sleep for a while: time goes on, and nothing else.
    pub(crate) fn suspend_for(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// The receiver's process dies; what it had is gone.
    pub(crate) fn kill_receiver(&mut self) {
        self.receiver = None;
        self.closed = ClosedStreams::default();
        self.leaves = Time::MAX;
        self.waiting.clear();
        self.flying.clear();
    }

    /// Speaks to the sender as anyone can who forges the receiver's address.
    pub(crate) fn forge_to_sender(&mut self, bytes: &[u8]) {
        self.sender.handle_datagram(bytes, self.now);
    }

    /// Speaks to the receiver as anyone can who forges the sender's address.
    pub(crate) fn forge_to_receiver(&mut self, bytes: &[u8]) {
        self.waiting.push_back(bytes.to_vec());
        self.look();
    }

    /// What is on its way is lost.
    pub(crate) fn drop_what_flies(&mut self) {
        self.flying.clear();
    }

    pub(crate) fn bytes_sent(&self) -> usize {
        self.bytes_sent
    }

    /// How many datagrams have travelled, either way.
    pub(crate) fn datagrams_sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.sender.state(), SendState::Closed(_))
    }

    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.receiver.as_ref().and_then(ReceiveStream::ended)
    }
}
