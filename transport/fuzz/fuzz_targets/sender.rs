//! A sending stream, told anything by its receiver: no panic, no endless talk, and never more on the way than the most that is
//! believed of credit.
#![no_main]

use std::time::Duration;

use framewire_transport::Time;
use framewire_transport::send::{CONTROL_MAX, Fec, SendState};
use framewire_transport::wire::{
    Accept, Challenge, Closed, Delivery, Feedback, NACK_BITMAP_MAX, Nack, Prelude, Refuse,
};
use fuzzed::{Choices, FRAME_BYTES, Pools, sender};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static POOLS: (Pools, std::cell::RefCell<Box<[u8; CONTROL_MAX]>>) = (Pools::default(), Box::new([0; CONTROL_MAX]).into());
}

fn datagram(choices: &mut Choices<'_>, epoch: u32) -> Vec<u8> {
    let (stream, flags) = (7, u16::from(choices.byte() & 2));
    match choices.byte() % 8 {
        0 => {
            let (path_bytes, cookie) = (choices.number() as u16, choices.number());
            Challenge { stream, epoch, flags, path_bytes, cookie }.emit().to_vec()
        }
        1 | 2 => {
            let accept = Accept {
                stream,
                epoch,
                flags,
                path_bytes: choices.number() as u16,
                frame_limit: choices.number(),
                sequence_limit: choices.number(),
                receiver_ns: choices.number(),
                echo_ns: choices.number(),
                delivered: choices.number(),
                buffer_bytes: choices.number() as u32,
                slots: choices.number() as u32,
            };
            accept.emit().to_vec()
        }
        3 => {
            let (reason, limit) = (choices.number() as u16, choices.number());
            Refuse { stream, epoch, flags, reason, limit }.emit().to_vec()
        }
        4 => {
            let bytes = usize::from(choices.byte()).min(NACK_BITMAP_MAX);
            let bitmap = choices.bytes(bytes);
            let (frame, first) = (choices.number(), choices.number() as u32);
            let nack = Nack { stream, epoch, flags, bitmap_bytes: bitmap.len() as u16, frame, first };
            [&nack.emit()[..], &bitmap].concat()
        }
        5 => {
            let (delivered, incomplete, no_slot) = (choices.number(), choices.number(), choices.number());
            Closed { stream, epoch, flags, reserved: 0, delivered, incomplete, no_slot }.emit().to_vec()
        }
        6 => choices.bytes(100),
        _ => {
            let feedback = Feedback {
                stream,
                epoch,
                flags,
                path_bytes: choices.number() as u16,
                report: choices.number(),
                settled: choices.number(),
                frame_limit: choices.number(),
                sequence_seen: choices.number(),
                sequence_limit: choices.number(),
                delivered: choices.number(),
                arrived: choices.number(),
                receiver_ns: choices.number(),
                echo_ns: choices.number(),
                echo_held_ns: choices.number(),
            };
            feedback.emit().to_vec()
        }
    }
}

fuzz_target!(|bytes: &[u8]| POOLS.with(|(pools, control)| {
    let mut control = control.borrow_mut();
    let mut choices = Choices(bytes);
    let mut now = Time::from_nanos(1_000_000_000);
    let choice = choices.byte();
    let (delivery, is_protected) = (if choice & 1 == 0 { Delivery::Every } else { Delivery::Latest }, choice & 2 == 2);
    let fec = [Fec::Off, Fec::Auto, Fec::Percent(30)][usize::from(choices.byte() % 3)];
    let (mut publication, mut stream) = sender(delivery, fec, is_protected);
    let mut epoch = u32::MAX;
    while !choices.is_empty() {
        let mut said = 0;
        while let Some(len) = stream.poll_transmit(now, &mut control) {
            epoch = Prelude::parse(&control[..len]).unwrap().epoch;
            said += 1;
            assert!(said < 10, "the sender talks without end");
        }
        if choices.byte() & 1 == 1
            && stream.has_room()
            && let Some(frame) = pools.frame(publication.next_number(), now)
        {
            let published = publication.publish(frame).unwrap();
            stream.handle_frame(&published, now).unwrap();
        }
        let said = datagram(&mut choices, epoch);
        stream.handle_datagram(&said, now);
        stream.handle_timeout(now);
        let mut slices = 0;
        while let Some(run) = stream.poll_slices(&mut publication, 16, now) {
            assert!(run.count > 0 && run.payload().end <= run.frame.len());
            slices += run.count;
            assert!(slices <= 1 << 16, "more than any credit that is believed");
        }
        match choices.byte() {
            0 => stream.handle_unreachable(now),
            1 => stream.handle_too_large(Some(choices.number() as usize), now),
            2 => stream.handle_redirect(48, now),
            3 => stream.close(now),
            4 if publication.skip() => stream.handle_skipped(),
            5 => stream.drop_replaceable(),
            _ => {}
        }
        now = now + Duration::from_micros(choices.number().min(10_000_000));
        let stats = stream.stats();
        assert!(stats.frames_sent <= stats.frames && stats.frames_delivered <= stats.frames, "{stats:?}");
        assert!(stats.frames_no_credit <= stats.frames_skipped, "{stats:?}");
        if matches!(stream.state(), SendState::Closed(_)) {
            break;
        }
        let _ = (stream.poll_timeout(), FRAME_BYTES);
    }
}));
