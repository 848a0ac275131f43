//! A receiving stream, fed with any datagrams of its sender, absurd ones among them: no panic, no endless talk, and every
//! frame that has passed has one fate.
#![no_main]

use std::time::Duration;

use framewire_transport::{PixelFormat, Time};
use fuzzed::absurd::{Kind, check, datagram, open};
use fuzzed::{Choices, Pools, TAIL_MAX, answers, take_in};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static POOLS: Pools = Pools::default();
}

fuzz_target!(|bytes: &[u8]| POOLS.with(|pools| {
    let mut choices = Choices(bytes);
    let mut now = Time::from_nanos(1_000_000_000);
    let choice = choices.byte();
    let partial = choice & 1 == 1;
    let pixel = if choice & 4 == 4 { PixelFormat::Bytes } else { PixelFormat::Gray8 };
    let kind = Kind { pixel, tail_max: if choice & 8 == 8 { TAIL_MAX } else { 0 } };
    let first = open(&mut choices, 5, kind);
    let Some(mut receiver) = pools.receiver(&first, (partial, false), now) else { return };
    let mut held = Vec::new();
    while !choices.is_empty() {
        let (epoch, cut) = (receiver.epoch(), *receiver.cut());
        let count = usize::from(choices.byte() % 4);
        let datagrams: Vec<_> = (0..count).map(|_| datagram(&mut choices, epoch, &cut, kind)).collect();
        take_in(&mut receiver, &datagrams, now);
        now = now + Duration::from_micros(choices.number().min(10_000_000));
        receiver.handle_timeout(now);
        answers(&mut receiver, now);
        while let Some(frame) = receiver.poll_frame() {
            let format = frame.format().copied().unwrap_or(*receiver.format());
            assert!(format.holds(frame.len()) && (frame.is_complete() || partial));
            assert!(frame.metadata().is_none_or(|metadata| metadata.bytes.len() <= usize::from(kind.tail_max)));
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
