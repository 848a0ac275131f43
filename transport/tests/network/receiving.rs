//! The far end: the receiving thread of a stream, with the listener beside it. As in `driver/receive_loop.rs`.

use std::sync::Arc;
use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::frame::{Frame, FramePool};
use framewire_transport::receive::{
    self, LAST_WORD_MAX, LastWord, Reassembler, ReceiveConfig, ReceiveStream, SealedOpening,
};
use framewire_transport::wire::{
    AnyOpen, Challenge, EPOCHS_AHEAD_MAX, Kind, Open, Prelude, Refuse, RefuseReason, SliceHeader,
};

use super::Peer;
use super::batches::BATCH_MAX;
use super::truth::Truth;
use super::varied;
use super::way::Towards;

/// As the driver's: how long a closed stream's socket answers.
const LINGER: Duration = Duration::from_secs(2);
/// What the listener has a sender repeat.
const COOKIE: u64 = 0x5eed;
/// As the driver's: between answers to what opens nothing.
const ANSWERS_APART: Duration = Duration::from_millis(1);

impl Peer {
    /// When the receiving thread, or the listener, has something to do.
    pub(super) fn receiver_wakes(&mut self) -> Option<Time> {
        let (now, leaves) = (self.now, self.leaves);
        let due = match &mut self.receiver {
            _ if self.is_stopped => return None,
            _ if !self.waiting.is_empty() => now,
            Some(receiver) if now < leaves => receiver.poll_timeout(now),
            _ => return None,
        };
        Some(due.max(self.looks))
    }

    /// The thread reads batch after batch until it finds nothing, if it is time. Where no stream is open, the listener reads.
    pub(super) fn run_receiver(&mut self) {
        if self.is_stopped || self.now < self.looks {
            return;
        }
        if !self.waiting.is_empty() {
            self.looks = self.now + self.busy;
        }
        loop {
            if self.receiver.is_some() && self.now < self.leaves {
                let found_nothing = self.waiting.is_empty();
                self.read(usize::MAX);
                if found_nothing {
                    break;
                }
            } else if let Some(bytes) = self.waiting.pop_front() {
                self.listen(&bytes);
            } else {
                break;
            }
        }
    }

    /// One datagram reaches the receiver on its own.
    pub(crate) fn take_in(&mut self, bytes: &[u8]) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting.push_back(bytes.to_vec());
        self.read(1);
        self.waiting = waiting;
    }

    /// One read of the receiving thread: what the kernel does with a batch, and what the thread makes of it. Each datagram's
    /// payload lands in the next cell, whatever it is; then all are looked at; only then is anything done that is due.
    fn read(&mut self, most: usize) {
        let Some(receiver) = &mut self.receiver else { return };
        receiver.predict(self.batches.room());
        let there = receiver.predicted().min(self.waiting.len()).min(most);
        let count = if there == 0 { 0 } else { self.batches.size(there) };
        assert!(count > 0 || self.waiting.is_empty(), "nothing can land: {:?}", receiver.stats());
        self.batches.read[count] += 1;
        let batch: Vec<_> = self.waiting.drain(..count).collect();
        let head_bytes = receiver.cut().head_bytes();
        for (spot, bytes) in batch.iter().enumerate() {
            receiver.land(spot, &bytes[bytes.len().min(head_bytes)..]);
        }
        for (spot, bytes) in batch.iter().enumerate() {
            let head = &bytes[..bytes.len().min(head_bytes)];
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
        receiver.handle_timeout(self.now);
        if count == 0 {
            receiver.handle_idle(self.now);
        }
        assert!(receiver.settled() >= settled, "settled went back from {settled} to {}", receiver.settled());
        self.hand_on();
    }

    /// What comes to the listening socket; it does without the challenge where nothing is open.
    fn listen(&mut self, bytes: &[u8]) {
        // Cut short on its way: the sender repeats it.
        let Ok(Prelude { kind, stream, epoch }) = Prelude::parse(bytes) else { return };
        if let Some(last_word) = self.receiver.as_mut().and_then(ReceiveStream::last_word) {
            self.closed.note(last_word);
        }
        if kind == Kind::Open
            && let Ok(open) = AnyOpen::parse(bytes)
        {
            self.handle_opening(&open, bytes.len());
        } else if kind == Kind::Close
            && let Some(last_word) = self.closed.answer(stream, epoch)
        {
            self.say(&last_word);
        } else if kind != Kind::Open && self.now >= self.next_answer {
            self.next_answer = self.now + ANSWERS_APART;
            let refuse = Refuse { stream, epoch, flags: 0, reason: RefuseReason::Unknown as u16, limit: 0 };
            self.fly(Towards::Sender, refuse.emit().to_vec());
        }
    }

    /// Whether an opening is of the run that is open, once more.
    fn is_repetition(&self, open: &Open) -> bool {
        self.receiver.as_ref().is_some_and(|receiver| receiver.epoch() == open.epoch)
    }

    fn say(&mut self, last_word: &LastWord) {
        let mut bytes = [0; LAST_WORD_MAX];
        let len = last_word.emit(&mut bytes);
        self.fly(Towards::Sender, bytes[..len].to_vec());
    }

    /// What an opening says, where it is one that this receiver takes.
    fn read_opening(&self, open: &AnyOpen) -> Option<(Open, Option<Arc<SealedOpening>>)> {
        match (open, &self.key) {
            (AnyOpen::Plain(open), None) => Some((*open, None)),
            (AnyOpen::Sealed(datagram), Some(key)) if datagram.key_id == key.id().bytes() => {
                let (sealed, open) = SealedOpening::read(key, datagram).ok()?;
                Some((open, Some(Arc::new(sealed))))
            }
            _ => None,
        }
    }

    /// An opening that the listener judges.
    fn handle_opening(&mut self, open: &AnyOpen, open_bytes: usize) {
        let is_open = self.now < self.leaves;
        let challenges = self.receiver.is_some() && is_open && open.cookie() != COOKIE;
        if challenges {
            let path_bytes = u16::try_from(open_bytes).unwrap_or(u16::MAX);
            let (stream, epoch) = (open.stream(), open.epoch());
            let challenge = Challenge { stream, epoch, flags: 0, path_bytes, cookie: COOKIE };
            self.fly(Towards::Sender, challenge.emit().to_vec());
            return;
        }
        let Some((open, sealed)) = self.read_opening(open) else { return };
        if sealed
            .as_ref()
            .is_some_and(|sealed| !self.ephemerals.insert(*sealed.ephemeral()) && !self.is_repetition(&open))
        {
            return;
        }
        let open = &open;
        if let Some(receiver) = self.receiver.as_mut().filter(|_| is_open) {
            let ahead = open.epoch.wrapping_sub(receiver.epoch());
            if ahead <= EPOCHS_AHEAD_MAX && receiver.ended().is_none() {
                receiver.handle_proven_open((open, sealed.as_ref()), open_bytes, false, self.now);
                self.hand_on();
                return;
            }
            let behind = receiver.epoch().wrapping_sub(open.epoch);
            if receiver.ended().is_none() && behind <= EPOCHS_AHEAD_MAX {
                return;
            }
        }
        if let Some(last_word) = self.receiver.as_mut().and_then(ReceiveStream::last_word) {
            self.closed.note(last_word);
        }
        if let Some(last_word) = self.closed.answer(open.stream, open.epoch) {
            self.say(&last_word);
            return;
        }
        let config = ReceiveConfig {
            open: *open,
            sealed,
            open_bytes,
            buffer_bytes: self.buffer_bytes,
            batch_max: BATCH_MAX,
            partial: self.partial,
            clock_id: 0,
        };
        let pool = FramePool::new(self.slots, Reassembler::slot_bytes(&config.cut())).unwrap();
        self.held.clear();
        self.truth = Truth::default();
        self.opened += 1;
        self.leaves = Time::MAX;
        self.receiver = Some(ReceiveStream::new(config, pool, self.now).unwrap());
        self.hand_on();
    }

    /// Frames to the consumers, answers to the sender, and to the listener what it should have got.
    fn hand_on(&mut self) {
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
            let is_varied = self.format.is_variable();
            let most = self.format.frame_bytes();
            assert_eq!(frame.len(), if is_varied { varied::length_of(number, most) } else { most });
            let mut missing = vec![false; frame.len()];
            frame.missing().for_each(|range| missing[range].fill(true));
            for (at, byte) in frame.iter().enumerate() {
                let expected = if missing[at] { 0 } else { Self::byte_of(number, at) };
                assert_eq!(*byte, expected, "frame {number}, byte {at}");
            }
            if !frame.is_complete() {
                assert_eq!((frame.metadata(), frame.has_own_time()), (None, false), "frame {number}");
                assert!(!is_varied || varied::may_have_the_clocks_time(&frame), "frame {number} has another's time");
                self.torn.push((number, missing.into_iter().filter(|missing| *missing).count()));
                continue;
            }
            if is_varied {
                varied::check(&frame);
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
}
