//! Slicer and reassembler against a model so simple that it is right: sets of slices, with room for so many frames.
#![allow(missing_docs)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};
use framewire_transport::receive::{Reassembler, ReassemblerConfig, ReceiveStats};
use framewire_transport::send::{Publication, SendConfig, SendState};
use framewire_transport::wire::{Accept, Cut, Delivery, OPEN_FRAMES_MAX, SLICE_HEADER_LEN, SliceHeader};
use framewire_transport::{Frame, Time};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const SLICE_BYTES: usize = 600;
const PAYLOAD: usize = SLICE_BYTES - SLICE_HEADER_LEN;
const SLOTS: usize = 8;
/// More than can be open at once.
const FRAMES: usize = 3 * OPEN_FRAMES_MAX;

/// What happens to one slice on its way.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    /// Arrives this many slices later.
    Late(usize),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        20 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        2 => (1_usize..12).prop_map(Fate::Late),
    ]
}

fn byte_of(number: u64, at: usize) -> u8 {
    (number as usize * 131 + at * 7 + at / 256) as u8
}

/// Memory for all cases of a thread: making it for each would be most of the time.
struct Bench {
    source: FramePool,
    target: FramePool,
}

const FRAME_BYTES_MAX: usize = 12 * PAYLOAD;

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench {
        source: FramePool::new(FRAMES, FRAME_BYTES_MAX).unwrap(),
        target: FramePool::new(SLOTS, Reassembler::slot_bytes(&Cut::new(FRAME_BYTES_MAX as u32, SLICE_BYTES))).unwrap(),
    });
}

type Slice = (SliceHeader, Vec<u8>);

/// The slices of frames as the sender's core cuts them; in `every`, where it waits for nothing but credit.
fn sliced(pool: &FramePool, frame_bytes: usize) -> Vec<Slice> {
    let format = FrameFormat::new(PixelFormat::Gray8, frame_bytes as u32, 1).unwrap();
    let (stream, epoch, delivery) = (7, 1, Delivery::Every);
    let mut publication = Publication::new(format, delivery);
    let config = SendConfig::new(stream, epoch, format, delivery, SLICE_BYTES as u16);
    let mut sender = publication.subscribe(config, Time::ZERO);
    let accept = Accept {
        stream,
        epoch,
        flags: 0,
        path_bytes: u16::MAX,
        frame_limit: u64::MAX,
        sequence_limit: u64::MAX,
        receiver_ns: 0,
        echo_ns: 0,
        delivered: 0,
        buffer_bytes: 0,
        slots: 0,
    };
    sender.handle_datagram(&accept.emit(), Time::ZERO);
    assert_eq!(sender.state(), SendState::Open);
    let head_bytes = sender.cut().head_bytes();
    let mut slices = Vec::new();
    for number in 0..FRAMES as u64 {
        let mut frame = pool.try_acquire().unwrap();
        frame.set_len(frame_bytes).unwrap();
        for (at, byte) in frame.iter_mut().enumerate() {
            *byte = byte_of(number, at);
        }
        let published = publication.publish(frame.freeze()).unwrap();
        sender.handle_frame(&published, Time::ZERO).unwrap();
        while let Some(mut run) = sender.poll_slices(&mut publication, 5, Time::ZERO) {
            for nth in 0..run.count {
                let datagram = run.to_datagram(nth);
                let (header, payload) = datagram.split_at(head_bytes);
                slices.push((SliceHeader::parse(header).unwrap(), payload.to_vec()));
            }
        }
    }
    assert_eq!(slices.len(), FRAMES * sender.cut().slices() as usize);
    slices
}

/// Slices in order from frame `first` on, as a sender in `every` sends them that waits until it hears of what it sent before: as many
/// frames at a time as may be open.
fn as_granted(slices: &[Slice], first: u64) -> impl Iterator<Item = &[Slice]> {
    let turn = move |slice: &Slice| (slice.0.frame - first) / OPEN_FRAMES_MAX as u64;
    slices.chunk_by(move |one, next| turn(one) == turn(next))
}

/// The order in which slices reach the receiver.
fn travel(slices: Vec<Slice>, fates: &[Fate]) -> Vec<Slice> {
    let mut arriving: Vec<(usize, Slice)> = Vec::new();
    for (at, slice) in slices.into_iter().enumerate() {
        match fates[at % fates.len()] {
            Fate::Arrives => arriving.push((2 * at, slice)),
            Fate::Lost => {}
            Fate::Twice => {
                arriving.push((2 * at, slice.clone()));
                arriving.push((2 * at + 9, slice));
            }
            Fate::Late(by) => arriving.push((2 * (at + by) + 1, slice)),
        }
    }
    arriving.sort_by_key(|(at, _)| *at);
    arriving.into_iter().map(|(_, slice)| slice).collect()
}

/// Has slices land as a kernel would: each in the next predicted cell, whatever it is. After each batch, `ended` is told of its
/// slices and of the frames that it finished.
fn receive(
    reassembler: &mut Reassembler,
    slices: &[Slice],
    batches: &[usize],
    mut ended: impl FnMut(&[&Slice], Vec<Frame>, &Reassembler),
) {
    let mut slices = slices.iter();
    let mut batches = batches.iter().cycle();
    loop {
        let batch: Vec<_> = slices.by_ref().take(*batches.next().unwrap()).collect();
        if batch.is_empty() {
            break;
        }
        let mut rest = &batch[..];
        while !rest.is_empty() {
            reassembler.predict(rest.len());
            let landed = reassembler.predicted().min(rest.len());
            for (spot, (_, payload)) in rest[..landed].iter().enumerate() {
                reassembler.land(spot, payload);
            }
            for (spot, (header, _)) in rest[..landed].iter().enumerate() {
                reassembler.handle_slice(header, spot, Time::ZERO);
            }
            reassembler.end_batch(Time::ZERO, |far_ns| Some(Time::from_nanos(far_ns)));
            let finished = std::iter::from_fn(|| reassembler.poll_frame()).collect();
            ended(&rest[..landed], finished, reassembler);
            rest = &rest[landed..];
        }
    }
}

fn check(frame: &Frame, frame_bytes: usize) {
    let number = frame.info().number;
    assert_eq!(frame.len(), frame_bytes);
    let wrong = frame.iter().enumerate().find(|(at, byte)| **byte != byte_of(number, *at));
    assert!(wrong.is_none(), "frame {number} differs first at {wrong:?}");
}

/// Frames of which every slice is among those that arrive.
fn whole(arriving: &[Slice]) -> BTreeSet<u64> {
    let mut seen: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
    for (header, _) in arriving {
        seen.entry(header.frame).or_default().insert(header.index);
    }
    let count = arriving.first().map_or(0, |(header, _)| Cut::new(header.frame_bytes, SLICE_BYTES).slices() as usize);
    seen.into_iter().filter(|(_, indices)| indices.len() == count).map(|(number, _)| number).collect()
}

fn reassembler(pool: &FramePool, frame_bytes: usize, delivery: Delivery) -> Reassembler {
    let config = ReassemblerConfig {
        format: FrameFormat::new(PixelFormat::Gray8, frame_bytes as u32, 1).unwrap(),
        cut: Cut::new(frame_bytes as u32, SLICE_BYTES),
        delivery,
        first_frame: 0,
        parity_max: 0,
        partial: false,
        batch_max: 64,
    };
    Reassembler::new(config, pool.clone()).unwrap()
}

/// What a reassembler is to do, in sets: which slices are there of which frame, and how many slots nobody has.
struct Model {
    delivery: Delivery,
    count: usize,
    open: BTreeMap<u64, BTreeSet<u32>>,
    settled: u64,
    incomplete: u64,
    /// Frames that got no slot; none that is older is begun afterwards.
    no_slot: BTreeSet<u64>,
    /// How many slices found no slot at all: they landed in the spill.
    spilled: u64,
    evicted: u64,
}

impl Model {
    fn new(delivery: Delivery, count: usize) -> Self {
        let (open, no_slot) = (BTreeMap::new(), BTreeSet::new());
        Self { delivery, count, open, settled: 0, incomplete: 0, no_slot, spilled: 0, evicted: 0 }
    }

    /// What a batch delivers while consumers hold so many slots.
    fn take_in(&mut self, batch: &[&Slice], held: usize) -> Vec<u64> {
        for (slice, _) in batch {
            if slice.frame >= self.settled && self.has_room(slice.frame, held) {
                self.open.entry(slice.frame).or_default().insert(slice.index);
            }
        }
        let mut delivered = Vec::new();
        while let Some(number) =
            self.open.iter().find(|(_, there)| there.len() == self.count).map(|(number, _)| *number)
        {
            match self.delivery {
                Delivery::Every if number > self.settled => break,
                Delivery::Every => {}
                // Older ones are late.
                Delivery::Latest => {
                    while let Some(older) = self.open.keys().next().copied().filter(|older| *older < number) {
                        self.give_up(older);
                    }
                }
            }
            self.open.remove(&number);
            self.settled = self.settled.max(number + 1);
            delivered.push(number);
        }
        delivered
    }

    fn has_room(&mut self, number: u64, held: usize) -> bool {
        if self.open.contains_key(&number) {
            return true;
        }
        let has_slot = held + self.open.len() < SLOTS;
        self.spilled += u64::from(!has_slot);
        match self.delivery {
            Delivery::Every => has_slot && number < self.settled + OPEN_FRAMES_MAX as u64,
            Delivery::Latest if self.no_slot.last().is_some_and(|newest| number <= *newest) => {
                self.no_slot.insert(number);
                false
            }
            Delivery::Latest => {
                let has_room = has_slot && self.open.len() < OPEN_FRAMES_MAX || self.evict(number);
                if !has_room {
                    self.no_slot.insert(number);
                }
                has_room
            }
        }
    }

    /// The oldest frame that lacks slices makes room for a newer one.
    fn evict(&mut self, number: u64) -> bool {
        let oldest = self.open.iter().find(|(_, there)| there.len() < self.count).map(|(number, _)| *number);
        let evicted = oldest.filter(|oldest| *oldest < number);
        if let Some(oldest) = evicted {
            self.evicted += 1;
            self.give_up(oldest);
        }
        evicted.is_some()
    }

    fn give_up(&mut self, number: u64) {
        self.open.remove(&number);
        self.incomplete += 1;
        self.settled = self.settled.max(number + 1);
    }

    fn check(&self, settled: u64, stats: &ReceiveStats) {
        let ours = (self.settled, self.incomplete, self.no_slot.len() as u64);
        assert_eq!((settled, stats.frames_incomplete, stats.frames_no_slot), ours, "{stats:?}");
    }
}

/// One stream.
#[derive(Debug, Clone)]
struct Case {
    frame_bytes: usize,
    fates: Vec<Fate>,
    batches: Vec<usize>,
    delivery: Delivery,
    /// How many frames consumers hold at a time.
    holds: usize,
    restarts: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let fates = proptest::collection::vec(fate(), 1..60);
    let batches = proptest::collection::vec(1_usize..=64, 1..8);
    let delivery = prop_oneof![Just(Delivery::Every), Just(Delivery::Latest)];
    // Most often as many as leave too few for all that could be open.
    let holds = prop_oneof![Just(0), 0..=SLOTS, SLOTS - OPEN_FRAMES_MAX..=SLOTS];
    (1..FRAME_BYTES_MAX, fates, batches, delivery, holds, any::<bool>()).prop_map(
        |(frame_bytes, fates, batches, delivery, holds, restarts)| Case {
            frame_bytes,
            fates,
            batches,
            delivery,
            holds,
            restarts,
        },
    )
}

/// How often something befell frames in all cases.
#[derive(Debug, Default)]
struct Seen {
    evicted: u64,
    spilled: u64,
    no_slot: u64,
    delivered: u64,
}

impl Case {
    fn run(&self, bench: &Bench, seen: &mut Seen) {
        let Self { frame_bytes, delivery, .. } = *self;
        let mut reassembler = reassembler(&bench.target, frame_bytes, delivery);
        let slices = sliced(&bench.source, frame_bytes);
        let arriving = travel(slices.clone(), &self.fates);
        let whole = whole(&arriving);
        let mut model = Model::new(delivery, Cut::new(frame_bytes as u32, SLICE_BYTES).slices() as usize);
        let mut delivered = Vec::new();
        let mut held = VecDeque::new();
        receive(&mut reassembler, &arriving, &self.batches, |batch, finished, reassembler| {
            let expected = model.take_in(batch, held.len());
            let numbers: Vec<_> = finished.iter().map(|frame| frame.info().number).collect();
            assert_eq!(numbers, expected, "{:?}", reassembler.stats());
            model.check(reassembler.settled(), reassembler.stats());
            finished.iter().for_each(|frame| check(frame, frame_bytes));
            delivered.extend(numbers);
            held.extend(finished);
            held.drain(..held.len().saturating_sub(self.holds));
        });
        assert!(delivered.is_sorted_by(|one, next| one < next), "{delivered:?}");
        assert!(delivered.iter().all(|number| whole.contains(number)), "{delivered:?} of {whole:?}");
        seen.evicted += model.evicted;
        seen.spilled += model.spilled;
        seen.no_slot += model.no_slot.len() as u64;
        seen.delivered += delivered.len() as u64;
        held.clear();
        if self.restarts && delivery == Delivery::Every {
            // The sender begins anew from what it has not seen settled: everything arrives in the end, once.
            let settled = reassembler.settled();
            reassembler.start_epoch(settled, SLICE_BYTES, 0);
            let again: Vec<_> = slices.into_iter().filter(|(header, _)| header.frame >= settled).collect();
            for granted in as_granted(&again, settled) {
                receive(&mut reassembler, granted, &self.batches, |_, finished, _| {
                    finished.iter().for_each(|frame| check(frame, frame_bytes));
                    delivered.extend(finished.iter().map(|frame| frame.info().number));
                });
            }
            assert_eq!(delivered, (0..FRAMES as u64).collect::<Vec<_>>());
        }
        let stats = *reassembler.stats();
        drop(reassembler);
        assert_eq!(bench.target.free_count(), SLOTS, "slots leaked: {stats:?}");
    }
}

#[test]
fn what_is_delivered_evicted_and_left_without_a_slot_is_what_a_model_of_sets_says_byte_for_byte() {
    let config = ProptestConfig { cases: 50_000, failure_persistence: None, ..ProptestConfig::default() };
    let seen = RefCell::new(Seen::default());
    let run = |case: Case| {
        BENCH.with_borrow(|bench| case.run(bench, &mut seen.borrow_mut()));
        Ok(())
    };
    if let Err(failure) = TestRunner::new(config).run(&case(), run) {
        panic!("{failure}");
    }
    let seen = seen.into_inner();
    println!("{seen:?}");
    let Seen { evicted, spilled, no_slot, delivered } = seen;
    assert!(
        [evicted, spilled, no_slot, delivered].iter().all(|count| *count > 10_000),
        "what was not tested: {seen:?}"
    );
}

#[test]
fn slices_in_order_are_never_moved() {
    BENCH.with_borrow(|bench| {
        for batch in [1, 3, 16, 64] {
            let mut reassembler = reassembler(&bench.target, FRAME_BYTES_MAX - 100, Delivery::Every);
            let slices = sliced(&bench.source, FRAME_BYTES_MAX - 100);
            let mut frames = 0;
            for granted in as_granted(&slices, 0) {
                receive(&mut reassembler, granted, &[batch], |_, finished, _| frames += finished.len());
            }
            assert_eq!((frames, reassembler.stats().slices_moved), (FRAMES, 0));
        }
    });
}

#[test]
fn slices_of_a_wrong_size_or_number_change_nothing() {
    BENCH.with_borrow(|bench| {
        let frame_bytes = 5 * PAYLOAD;
        let mut reassembler = reassembler(&bench.target, frame_bytes, Delivery::Every);
        let good = sliced(&bench.source, frame_bytes);
        let (header, payload) = good[0].clone();
        let bad = [
            SliceHeader { frame_bytes: header.frame_bytes + 1, ..header },
            SliceHeader { frame_bytes: header.frame_bytes - 1, ..header },
            SliceHeader { tail: 1, ..header },
            SliceHeader { frame: 4, ..header },
            SliceHeader { frame: u64::MAX / 2, ..header },
        ];
        for header in bad {
            receive(&mut reassembler, &[(header, payload.clone())], &[1], |_, finished, _| {
                assert!(finished.is_empty(), "{header:?} completed a frame");
            });
        }
        assert_eq!(reassembler.stats().rejected.total(), bad.len() as u64);
        let mut frames = 0;
        receive(&mut reassembler, &good, &[16], |_, finished, _| {
            finished.iter().for_each(|frame| check(frame, frame_bytes));
            frames += finished.len();
        });
        assert_eq!(frames, FRAMES);
    });
}
