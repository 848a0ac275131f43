//! Datagrams of a sender as no sender would say them: whole, and of any numbers.

use framewire_transport::PixelFormat;
use framewire_transport::receive::ReceiveStream;
use framewire_transport::wire::{Close, Cut, Flags, Open, ParityHeader, Ping, SliceHeader};

use crate::{Choices, FRAME_BYTES, SLICE_BYTES};

/// What the frames of a stream are, beside their length.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Of their pixels.
    pub pixel: PixelFormat,
    /// Bytes that may follow these.
    pub tail_max: u16,
}

/// An opening, of numbers that cannot all be.
pub fn open(choices: &mut Choices<'_>, epoch: u32, kind: Kind) -> Vec<u8> {
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
        pixel: kind.pixel.code(),
        tail_max: kind.tail_max,
        parity_max: u16::from(choices.byte() & 31),
        delivery: 1 + (choices.byte() & 1),
        reserved: 0,
        clock_id: 0,
        sender_ns: choices.number(),
        skipped: choices.number(),
        no_credit: choices.number(),
        utc_ns: choices.number(),
        utc_error_us: choices.number() as u32,
    };
    open.emit().to_vec()
}

/// A datagram of an open stream.
pub fn datagram(choices: &mut Choices<'_>, epoch: u32, cut: &Cut, kind: Kind) -> Vec<u8> {
    let (payload, tag) = (cut.payload_bytes(), vec![0x77; cut.tag_bytes()]);
    let (stream, flags) = (7, u16::from(choices.byte() & 2));
    let head_flags = flags | if cut.tag_bytes() > 0 { Flags::TAGGED } else { 0 };
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
                utc_ns: choices.number(),
                utc_error_us: choices.number() as u32,
            };
            ping.emit().to_vec()
        }
        1 => {
            let (frames, skipped, no_credit) = (choices.number(), choices.number(), choices.number());
            Close { stream, epoch, flags, reserved: 0, frames, skipped, no_credit }.emit().to_vec()
        }
        2 => {
            let later = u32::from(choices.byte() & 3);
            open(choices, epoch.wrapping_add(later), kind)
        }
        3 => {
            let (frame_bytes, tail) = length(choices);
            let parity = ParityHeader {
                stream,
                epoch,
                flags: head_flags,
                tail,
                sequence: choices.number(),
                frame: choices.number(),
                captured_ns: choices.number(),
                frame_bytes,
                index: u32::from(choices.byte()) % 12,
                blocks: u16::from(choices.byte()) % 5,
                parities: choices.byte() % 5,
                odd: 0,
            };
            [&parity.emit()[..], &tag, &vec![0x55; payload.into()]].concat()
        }
        4 => choices.bytes(80),
        _ => {
            let (frame_bytes, tail) = length(choices);
            let slice = SliceHeader {
                stream,
                epoch,
                flags: head_flags,
                tail,
                sequence: choices.number(),
                frame: choices.number(),
                captured_ns: choices.number(),
                frame_bytes,
                index: choices.number() as u32,
                sent_after_us: choices.number() as u32,
            };
            let payload = slice.payload(cut).len();
            [&slice.emit()[..], &tag, &vec![0xaa; payload]].concat()
        }
    }
}

/// Bytes of a frame, and what of it follows its pixels; mostly such as can be.
fn length(choices: &mut Choices<'_>) -> (u32, u16) {
    let (which, some) = (choices.byte(), choices.number() as u16);
    let tail = match which % 4 {
        0 | 1 => 0,
        2 => 200,
        _ => some,
    };
    let whole = FRAME_BYTES as u32 + u32::from(tail & 0x1fff) + if tail & 0x8000 == 0 { 0 } else { 8 };
    let frame_bytes = match which / 4 % 8 {
        0 => u32::from(some),
        1 => whole.saturating_sub(1_000),
        _ => whole,
    };
    (frame_bytes, tail)
}

/// Whether what is counted can be.
///
/// # Panics
/// It cannot.
pub fn check(receiver: &ReceiveStream) {
    let stats = receiver.stats();
    // A frame without a slot counts from its first slice on, though older ones are not settled yet.
    assert!(stats.frames_delivered + stats.frames_incomplete <= stats.frames_passed, "{stats:?}");
    assert!(stats.frames_partial <= stats.frames_incomplete, "{stats:?}");
}
