//! A receiving stream, fed with any datagrams of its sender, absurd ones among them: no panic, no endless talk, and every
//! frame that has passed has one fate.
#![no_main]

use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::receive::ReceiveStream;
use framewire_transport::wire::{Close, Cut, Open, ParityHeader, Ping, SliceHeader};
use fuzzed::{Choices, FRAME_BYTES, Pools, SLICE_BYTES, answers, take_in};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static POOLS: Pools = Pools::default();
}

fn open(choices: &mut Choices<'_>, epoch: u32) -> Vec<u8> {
    let open = Open {
        stream: 7,
        epoch,
        flags: 0,
        slice_bytes: SLICE_BYTES,
        cookie: 0,
        first_frame: choices.number(),
        width: FRAME_BYTES as u32,
        height: 1,
        stride: FRAME_BYTES as u32,
        frame_bytes: FRAME_BYTES as u32,
        rate_num: choices.number() as u32,
        rate_den: choices.number() as u32 | 1,
        aspect_num: 0,
        aspect_den: 0,
        scan: choices.byte() % 5,
        chroma: choices.byte() % 4,
        range: choices.byte() % 3,
        paced: choices.byte() & 1,
        deadline_us: choices.number() as u32,
        pixel: 1,
        delivery: 1 + (choices.byte() & 1),
        parity_max: u16::from(choices.byte() & 31),
        clock_id: 0,
        sender_ns: choices.number(),
        skipped: choices.number(),
        no_credit: choices.number(),
    };
    open.emit().to_vec()
}

fn datagram(choices: &mut Choices<'_>, epoch: u32, cut: &Cut) -> Vec<u8> {
    let (payload, tag) = (cut.payload_bytes(), vec![0x77; cut.tag_bytes()]);
    let (stream, flags) = (7, u16::from(choices.byte() & 2));
    match choices.byte() % 7 {
        0 => {
            let ping = Ping {
                stream,
                epoch,
                flags,
                length: Ping::LEN as u16,
                sender_ns: choices.number(),
                sequence: choices.number(),
                frame: choices.number(),
                echo_ns: choices.number(),
                echo_held_ns: choices.number(),
                skipped: choices.number(),
                no_credit: choices.number(),
            };
            ping.emit().to_vec()
        }
        1 => {
            let (frames, skipped, no_credit) = (choices.number(), choices.number(), choices.number());
            Close { stream, epoch, flags, reserved: 0, frames, skipped, no_credit }.emit().to_vec()
        }
        2 => {
            let later = u32::from(choices.byte() & 3);
            open(choices, epoch.wrapping_add(later))
        }
        3 => {
            let parity = ParityHeader {
                stream,
                epoch,
                flags,
                payload_bytes: payload,
                sequence: choices.number(),
                frame: choices.number(),
                captured_ns: choices.number(),
                frame_bytes: FRAME_BYTES as u32,
                index: u32::from(choices.byte()) % 12,
                blocks: u16::from(choices.byte()) % 5,
                parities: choices.byte() % 5,
                odd: 0,
            };
            [&parity.emit()[..], &tag, &vec![0x55; payload.into()]].concat()
        }
        4 => choices.bytes(80),
        _ => {
            let payload_bytes = if choices.byte() < 200 { payload } else { choices.number() as u16 };
            let slice = SliceHeader {
                stream,
                epoch,
                flags,
                payload_bytes,
                sequence: choices.number(),
                frame: choices.number(),
                captured_ns: choices.number(),
                frame_bytes: if choices.byte() < 250 { FRAME_BYTES as u32 } else { choices.number() as u32 },
                index: choices.number() as u32,
                sent_after_us: choices.number() as u32,
            };
            let len = if payload_bytes == 0 { 0 } else { slice_len(&slice) };
            [&slice.emit()[..], &tag, &vec![0xaa; len]].concat()
        }
    }
}

fn slice_len(slice: &SliceHeader) -> usize {
    let offset = u64::from(slice.index) * u64::from(slice.payload_bytes);
    u64::from(slice.frame_bytes).saturating_sub(offset).min(u64::from(slice.payload_bytes)) as usize
}

fuzz_target!(|bytes: &[u8]| POOLS.with(|pools| {
    let mut choices = Choices(bytes);
    let mut now = Time::from_nanos(1_000_000_000);
    let choice = choices.byte();
    let (partial, has_tags) = (choice & 1 == 1, choice & 2 == 2);
    let first = open(&mut choices, 5);
    let Some(mut receiver) = pools.receiver(&first, (partial, has_tags), now) else { return };
    let mut held = Vec::new();
    while !choices.is_empty() {
        let (epoch, cut) = (receiver.epoch(), *receiver.cut());
        let count = usize::from(choices.byte() % 4);
        let datagrams: Vec<_> = (0..count).map(|_| datagram(&mut choices, epoch, &cut)).collect();
        take_in(&mut receiver, &datagrams, now);
        now = now + Duration::from_micros(choices.number().min(10_000_000));
        receiver.handle_timeout(now);
        answers(&mut receiver, now);
        while let Some(frame) = receiver.poll_frame() {
            assert_eq!((frame.len(), frame.is_complete() || partial), (FRAME_BYTES, true));
            // A consumer that keeps some of them.
            if choices.byte() & 1 == 1 {
                held.push(frame);
            }
        }
        if held.len() > 4 {
            held.clear();
        }
        check(&receiver);
        let _ = receiver.poll_timeout(now);
    }
}));

fn check(receiver: &ReceiveStream) {
    let stats = receiver.stats();
    // A frame without a slot counts from its first slice on, though older ones are not settled yet.
    assert!(stats.frames_delivered + stats.frames_incomplete <= stats.frames_passed, "{stats:?}");
    assert!(stats.frames_partial <= stats.frames_incomplete, "{stats:?}");
}
