//! Slicer and reassembler against a model so simple that it is right: a frame arrives exactly if all its slices do.
#![allow(missing_docs)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use framewire_transport::frame::{FrameFormat, FramePool, PixelFormat};
use framewire_transport::receive::{Reassembler, ReassemblerConfig};
use framewire_transport::send::{Publication, SendConfig, SendState};
use framewire_transport::wire::{Accept, Delivery, SLICE_HEADER_LEN, SliceHeader};
use framewire_transport::{Frame, Time};
use proptest::prelude::*;

const SLICE_BYTES: usize = 600;
const PAYLOAD: usize = SLICE_BYTES - SLICE_HEADER_LEN;
const SLOTS: usize = 8;
const FRAMES: usize = 4;

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
        target: FramePool::new(SLOTS, Reassembler::slot_bytes(FRAME_BYTES_MAX as u32, SLICE_BYTES)).unwrap(),
    });
}

type Slice = (SliceHeader, Vec<u8>);

/// The slices of frames as the sender's core cuts them.
fn sliced(pool: &FramePool, frame_bytes: usize, delivery: Delivery) -> Vec<Slice> {
    let format = FrameFormat::new(PixelFormat::Gray8, frame_bytes as u32, 1).unwrap();
    let (stream, epoch) = (7, 1);
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
    let mut slices = Vec::new();
    for number in 0..FRAMES as u64 {
        let mut frame = pool.try_acquire().unwrap();
        frame.set_len(frame_bytes).unwrap();
        for (at, byte) in frame.iter_mut().enumerate() {
            *byte = byte_of(number, at);
        }
        let published = publication.publish(frame.freeze()).unwrap();
        sender.handle_frame(&published, Time::ZERO).unwrap();
        while let Some(run) = sender.poll_slices(&mut publication, 5, Time::ZERO) {
            for nth in 0..run.count {
                let datagram = run.to_datagram(nth);
                let (header, payload) = datagram.split_at(SliceHeader::LEN);
                slices.push((SliceHeader::parse(header).unwrap(), payload.to_vec()));
            }
        }
    }
    slices
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

/// Has slices land as a kernel would: each in the next predicted cell, whatever it is.
fn receive(reassembler: &mut Reassembler, slices: &[Slice], batches: &[usize], mut finished: impl FnMut(Frame)) {
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
            while let Some(frame) = reassembler.poll_frame() {
                finished(frame);
            }
            rest = &rest[landed..];
        }
    }
}

fn check(frame: &Frame, frame_bytes: usize) -> Result<(), TestCaseError> {
    let number = frame.info().number;
    prop_assert_eq!(frame.len(), frame_bytes);
    let wrong = frame.iter().enumerate().find(|(at, byte)| **byte != byte_of(number, *at));
    prop_assert!(wrong.is_none(), "frame {} differs first at {:?}", number, wrong);
    Ok(())
}

/// Frames of which every slice is among those that arrive.
fn whole(arriving: &[Slice]) -> BTreeSet<u64> {
    let mut seen: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
    for (header, _) in arriving {
        seen.entry(header.frame).or_default().insert(header.index);
    }
    let count = arriving.first().map_or(0, |(header, _)| header.count() as usize);
    seen.into_iter().filter(|(_, indices)| indices.len() == count).map(|(number, _)| number).collect()
}

fn reassembler(pool: &FramePool, frame_bytes: usize, delivery: Delivery) -> Reassembler {
    let config = ReassemblerConfig {
        frame_bytes: frame_bytes as u32,
        slice_bytes: SLICE_BYTES,
        delivery,
        first_frame: 0,
        parity_max: 0,
        partial: false,
        batch_max: 16,
    };
    Reassembler::new(config, pool.clone()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_whose_slices_all_arrive_is_delivered_in_order_and_byte_for_byte(
        frame_bytes in 1..FRAME_BYTES_MAX,
        fates in proptest::collection::vec(fate(), 1..60),
        batches in proptest::collection::vec(1_usize..16, 1..8),
        delivery in prop_oneof![Just(Delivery::Every), Just(Delivery::Latest)],
        restarts in any::<bool>(),
    ) {
        BENCH.with_borrow(|bench| {
            let mut reassembler = reassembler(&bench.target, frame_bytes, delivery);
            let slices = sliced(&bench.source, frame_bytes, delivery);
            let arriving = travel(slices.clone(), &fates);
            let expected = whole(&arriving);
            let mut delivered = Vec::new();
            let mut damaged = Ok(());
            let mut take = |frame: Frame| {
                delivered.push(frame.info().number);
                damaged = std::mem::replace(&mut damaged, Ok(())).and_then(|()| check(&frame, frame_bytes));
            };
            receive(&mut reassembler, &arriving, &batches, &mut take);
            if restarts && delivery == Delivery::Every {
                // The sender begins anew from what it has not seen settled: everything arrives in the end, once.
                let settled = reassembler.settled();
                reassembler.start_epoch(settled, SLICE_BYTES, 0);
                let again: Vec<_> = slices.into_iter().filter(|(header, _)| header.frame >= settled).collect();
                receive(&mut reassembler, &again, &batches, &mut take);
                damaged?;
                prop_assert_eq!(delivered, (0..FRAMES as u64).collect::<Vec<_>>());
            } else {
                damaged?;
                prop_assert!(delivered.is_sorted_by(|one, next| one < next), "{:?}", delivered);
                prop_assert!(delivered.iter().all(|number| expected.contains(number)));
                match delivery {
                    // In order: nothing beyond the first frame that lacks a slice.
                    Delivery::Every => {
                        let in_order = (0..FRAMES as u64).take_while(|number| expected.contains(number));
                        prop_assert_eq!(delivered, in_order.collect::<Vec<_>>());
                    }
                    // The newest whole frame wins; older ones may have been overtaken by it.
                    Delivery::Latest => prop_assert_eq!(delivered.last(), expected.last()),
                }
            }
            let stats = *reassembler.stats();
            drop(reassembler);
            prop_assert_eq!(bench.target.free_count(), SLOTS, "slots leaked: {:?}", stats);
            Ok(())
        })?;
    }
}

#[test]
fn slices_in_order_are_never_moved() {
    BENCH.with_borrow(|bench| {
        for batch in [1, 3, 16] {
            let mut reassembler = reassembler(&bench.target, FRAME_BYTES_MAX - 100, Delivery::Every);
            let slices = sliced(&bench.source, FRAME_BYTES_MAX - 100, Delivery::Every);
            let mut frames = 0;
            receive(&mut reassembler, &slices, &[batch], |_| frames += 1);
            assert_eq!((frames, reassembler.stats().slices_moved), (FRAMES, 0));
        }
    });
}

#[test]
fn slices_of_a_wrong_size_or_number_change_nothing() {
    BENCH.with_borrow(|bench| {
        let frame_bytes = 5 * PAYLOAD;
        let mut reassembler = reassembler(&bench.target, frame_bytes, Delivery::Every);
        let good = sliced(&bench.source, frame_bytes, Delivery::Every);
        let (header, payload) = good[0].clone();
        let bad = [
            SliceHeader { frame_bytes: header.frame_bytes + 1, ..header },
            SliceHeader { payload_bytes: header.payload_bytes + 1, ..header },
            SliceHeader { payload_bytes: 1, ..header },
            SliceHeader { frame: 4, ..header },
            SliceHeader { frame: u64::MAX / 2, ..header },
        ];
        for header in bad {
            receive(&mut reassembler, &[(header, payload.clone())], &[1], |_| panic!("{header:?} completed a frame"));
        }
        assert_eq!(reassembler.stats().rejected.total(), bad.len() as u64);
        let mut frames = 0;
        receive(&mut reassembler, &good, &[16], |frame| {
            check(&frame, frame_bytes).unwrap();
            frames += 1;
        });
        assert_eq!(frames, FRAMES);
    });
}
