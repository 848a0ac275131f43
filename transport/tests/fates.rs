//! Every frame has one fate, and only one, whatever shares a batch with it and whenever its sender begins anew.
#![allow(missing_docs)]

use std::cell::RefCell;
use std::collections::BTreeSet;

use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};
use framewire_transport::receive::{Reassembler, ReassemblerConfig, ReceiveStats};
use framewire_transport::wire::{Cut, Delivery, OPEN_FRAMES_MAX, SLICE_HEADER_LEN, SliceHeader};
use framewire_transport::{Frame, Time};
use proptest::prelude::*;

const SLICE_BYTES: usize = 600;
const PAYLOAD: u16 = (SLICE_BYTES - SLICE_HEADER_LEN) as u16;
const SLICES: u32 = 3;
const FRAME_BYTES: u32 = PAYLOAD as u32 * SLICES - 7;
const SLOTS: usize = 8;

fn byte_of(number: u64, at: usize) -> u8 {
    (number as usize * 131 + at * 7 + at / 256) as u8
}

fn slice(frame: u64, index: u32) -> SliceHeader {
    SliceHeader {
        stream: 7,
        epoch: 1,
        flags: 0,
        tail: 0,
        sequence: 0,
        frame,
        captured_ns: 0,
        frame_bytes: FRAME_BYTES,
        index,
        sent_after_us: 0,
    }
}

/// A receiver's frames and counters, and what the test itself knows of them.
struct Receiver {
    reassembler: Reassembler,
    delivered: Vec<u64>,
    /// Frames of which a slice was taken in.
    begun: BTreeSet<u64>,
    /// Frames that were counted as without a slot.
    no_slot: BTreeSet<u64>,
    /// What consumers hold.
    held: Vec<Frame>,
}

impl Receiver {
    fn new(pool: &FramePool) -> Self {
        let config = ReassemblerConfig {
            format: FrameFormat::new(PixelFormat::Gray8, FRAME_BYTES, 1).unwrap(),
            cut: Cut::new(FRAME_BYTES, SLICE_BYTES),
            delivery: Delivery::Latest,
            first_frame: 0,
            parity_max: 0,
            partial: false,
            batch_max: 32,
        };
        Self {
            reassembler: Reassembler::new(config, pool.clone()).unwrap(),
            delivered: Vec::new(),
            begun: BTreeSet::new(),
            no_slot: BTreeSet::new(),
            held: Vec::new(),
        }
    }

    /// One batch, as the kernel fills it: each payload in the next cell, whatever frame it is of.
    fn take_in(&mut self, batch: &[SliceHeader]) {
        let mut rest = batch;
        while !rest.is_empty() {
            self.reassembler.predict(rest.len());
            let landed = self.reassembler.predicted().min(rest.len());
            for (spot, header) in rest[..landed].iter().enumerate() {
                let start = header.index as usize * usize::from(PAYLOAD);
                let payload: Vec<_> = (start..start + header.payload(&Cut::new(FRAME_BYTES, SLICE_BYTES)).len())
                    .map(|at| byte_of(header.frame, at))
                    .collect();
                self.reassembler.land(spot, &payload);
            }
            for (spot, header) in rest[..landed].iter().enumerate() {
                let no_slot = self.stats().frames_no_slot;
                if self.reassembler.handle_slice(header, spot, Time::ZERO) {
                    self.begun.insert(header.frame);
                }
                if self.stats().frames_no_slot > no_slot {
                    assert!(self.no_slot.insert(header.frame), "frame {} had no slot twice", header.frame);
                }
            }
            let settled = self.reassembler.settled();
            self.reassembler.end_batch(Time::ZERO, |_| None);
            assert!(self.reassembler.settled() >= settled, "{} is below {settled}", self.reassembler.settled());
            while let Some(frame) = self.reassembler.poll_frame() {
                let number = frame.info().number;
                let wrong = frame.iter().enumerate().find(|(at, byte)| **byte != byte_of(number, *at));
                assert!(wrong.is_none(), "frame {number} differs first at {wrong:?}");
                self.delivered.push(number);
                self.held.push(frame);
            }
            rest = &rest[landed..];
        }
    }

    fn stats(&self) -> ReceiveStats {
        *self.reassembler.stats()
    }

    /// Each frame below `settled` has one fate, and the counters tell of exactly these.
    fn check(&self) {
        let (stats, settled) = (self.stats(), self.reassembler.settled());
        assert!(self.delivered.is_sorted_by(|one, next| one < next), "{:?}", self.delivered);
        assert_eq!(stats.frames_delivered, self.delivered.len() as u64);
        assert_eq!(stats.frames_no_slot, self.no_slot.len() as u64);
        let delivered: BTreeSet<_> = self.delivered.iter().copied().collect();
        assert!(self.no_slot.is_disjoint(&delivered), "{:?}, {:?}", self.no_slot, self.delivered);
        let incomplete = self
            .begun
            .iter()
            .filter(|number| **number < settled && !delivered.contains(number) && !self.no_slot.contains(number));
        assert_eq!(stats.frames_incomplete, incomplete.count() as u64, "{stats:?}, settled {settled}");
    }
}

fn pool() -> FramePool {
    FramePool::new(SLOTS, Reassembler::slot_bytes(&Cut::new(FRAME_BYTES, SLICE_BYTES))).unwrap()
}

#[test]
fn a_frame_that_made_room_stays_given_up_when_its_batch_completes_an_older_one() {
    let pool = pool();
    let mut receiver = Receiver::new(&pool);
    let most = SLICES - 1;
    for frame in 0..OPEN_FRAMES_MAX as u64 {
        receiver.take_in(&(0..most).map(|index| slice(frame, index)).collect::<Vec<_>>());
    }
    // The last slice of frame 0 and the first of frame 4 together: frame 1 makes room, and then frame 0 is handed on.
    receiver.take_in(&[slice(0, most), slice(OPEN_FRAMES_MAX as u64, 0)]);
    assert_eq!((receiver.delivered.clone(), receiver.reassembler.settled()), (vec![0], 2));
    // All of frame 1 comes again, as a repair would.
    receiver.take_in(&(0..SLICES).map(|index| slice(1, index)).collect::<Vec<_>>());
    assert_eq!((receiver.delivered.clone(), receiver.stats().frames_incomplete), (vec![0], 1));
    receiver.check();
}

#[test]
fn a_frame_without_a_slot_is_counted_once_though_its_sender_begins_anew() {
    let pool = pool();
    let mut receiver = Receiver::new(&pool);
    let all: Vec<_> = (0..SLOTS).map(|_| pool.try_acquire().unwrap()).collect();
    receiver.take_in(&[slice(0, 0), slice(0, 1)]);
    assert_eq!(receiver.stats().frames_no_slot, 1);
    receiver.reassembler.start_epoch(0, SLICE_BYTES, 0);
    receiver.take_in(&[slice(0, 0)]);
    drop(all);
    // With memory again, too: it has had its fate.
    receiver.take_in(&(0..SLICES).map(|index| slice(0, index)).collect::<Vec<_>>());
    assert_eq!((receiver.stats().frames_no_slot, receiver.delivered.len()), (1, 0));
    receiver.take_in(&(0..SLICES).map(|index| slice(1, index)).collect::<Vec<_>>());
    assert_eq!((receiver.delivered.clone(), receiver.reassembler.settled()), (vec![1], 2));
    receiver.check();
}

#[test]
fn a_frame_that_a_new_epoch_leaves_out_was_incomplete_and_one_that_it_repeats_is_whole() {
    let pool = pool();
    let mut receiver = Receiver::new(&pool);
    receiver.take_in(&[slice(0, 0), slice(1, 0), slice(2, 0)]);
    receiver.reassembler.start_epoch(1, SLICE_BYTES, 0);
    assert_eq!((receiver.stats().frames_incomplete, receiver.reassembler.settled()), (1, 1));
    // Nothing more comes of frame 1.
    receiver.take_in(&(0..SLICES).map(|index| slice(2, index)).collect::<Vec<_>>());
    assert_eq!((receiver.delivered.clone(), receiver.stats().frames_incomplete), (vec![2], 2));
    receiver.check();
}

#[test]
fn one_slice_of_a_frame_of_another_length_changes_nothing_for_those_behind_it() {
    for frame_bytes in [1, FRAME_BYTES / 2, FRAME_BYTES - 1, FRAME_BYTES + 1, u32::MAX] {
        for at in [0, 5] {
            let pool = pool();
            let mut receiver = Receiver::new(&pool);
            receiver.reassembler.predict(1);
            receiver.reassembler.land(0, &[0xff]);
            let odd = SliceHeader { frame_bytes, index: 0, ..slice(at, 0) };
            assert!(!receiver.reassembler.handle_slice(&odd, 0, Time::ZERO));
            receiver.reassembler.end_batch(Time::ZERO, |_| None);
            for frame in 0..100 {
                receiver.take_in(&(0..SLICES).map(|index| slice(frame, index)).collect::<Vec<_>>());
                receiver.held.clear();
            }
            assert_eq!(receiver.delivered, (0..100).collect::<Vec<_>>(), "{frame_bytes} in frame {at}");
            assert_eq!(receiver.stats().rejected.total(), 1);
        }
    }
}

/// What happens next to a stream.
#[derive(Debug, Clone)]
enum Event {
    /// Slices, so far ahead of the newest frame or behind it.
    Batch(Vec<(u8, u32)>),
    /// The sender begins anew, with the frame so far behind the newest.
    Restart(u8),
    /// Consumers let go of so many frames.
    Release(usize),
    /// The next frames are newer by so many.
    Advance(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let slice = (0_u8..7, 0..SLICES);
    prop_oneof![
        12 => proptest::collection::vec(slice, 1..20).prop_map(Event::Batch),
        1 => (0_u8..6).prop_map(Event::Restart),
        3 => (0_usize..SLOTS).prop_map(Event::Release),
        6 => (0_u64..4).prop_map(Event::Advance),
    ]
}

thread_local! {
    static POOL: RefCell<FramePool> = RefCell::new(pool());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// More frames at once than can be open, fewer slots than they need, new epochs in the middle.
    #[test]
    fn counters_tell_of_each_frame_once_whatever_is_evicted_spilled_or_sent_anew(
        events in proptest::collection::vec(event(), 1..40),
    ) {
        POOL.with_borrow(|pool| {
            let mut receiver = Receiver::new(pool);
            let mut newest = 6;
            for event in &events {
                match event {
                    Event::Batch(slices) => {
                        let batch: Vec<_> =
                            slices.iter().map(|(behind, index)| slice(newest - u64::from(*behind), *index)).collect();
                        receiver.take_in(&batch);
                    }
                    Event::Restart(behind) => {
                        receiver.reassembler.start_epoch(newest - u64::from(*behind), SLICE_BYTES, 0);
                    }
                    Event::Release(count) => {
                        receiver.held.drain(..(*count).min(receiver.held.len()));
                    }
                    Event::Advance(by) => newest += by,
                }
                receiver.check();
            }
            // With room again, a new frame is whole, and everything before it is settled.
            receiver.held.clear();
            let next = newest + 1;
            receiver.take_in(&(0..SLICES).map(|index| slice(next, index)).collect::<Vec<_>>());
            receiver.check();
            prop_assert_eq!((receiver.delivered.last(), receiver.reassembler.settled()), (Some(&next), next + 1));
            drop(receiver);
            prop_assert_eq!(pool.free_count(), SLOTS);
            Ok(())
        })?;
    }
}
