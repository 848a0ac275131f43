//! What a receiver reserves for a stream's parity is what the stream takes, in every epoch.
//!
//! The counter is the process's: this file has a single test.
#![allow(missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use framewire_testing::PATIENCE;
use framewire_transport::driver::SliceSize;
use framewire_transport::frame::FramePool;
use framewire_transport::receive::{Reassembler, ReceiveConfig, ReceiveStream};
use framewire_transport::send::{Fec, Publication, SendConfig};
use framewire_transport::wire::{Cut, Open};
use framewire_transport::{Delivery, FrameFormat, PixelFormat, Receiver, ReceiverConfig, Sender, SenderConfig, Time};

/// What a stream takes beside its parity when an epoch begins: lists of some slices.
const LISTS: usize = 256 << 10;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts the bytes that are taken.
struct Counting;

// SAFETY: every call goes to `System` as it came, which is a correct allocator; counting touches none of the memory. What it
// does by default for zeroed memory and for memory of another size it does by these two.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(taken, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for, and all memory here is from it.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that are reserved for a stream.
fn reserved(format: FrameFormat, slice_bytes: u16, fec: Fec) -> usize {
    let config = ReceiverConfig::new().memory_bytes_max(1 << 30).stream_bytes_max(1 << 30);
    let receiver = Receiver::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let slice = SliceSize::Bytes(slice_bytes);
    let config = SenderConfig::new(format).delivery(Delivery::Latest).slice(slice).fec(fec);
    let sender = Sender::connect(receiver.local_addr(), config).unwrap();
    sender.wait_until_open(PATIENCE).unwrap();
    receiver.memory_bytes()
}

fn open(format: FrameFormat, slice_bytes: u16, fec: Fec) -> Open {
    let config = SendConfig { fec, ..SendConfig::new(7, 1, format, Delivery::Latest, slice_bytes) };
    let mut bytes = [0; framewire_transport::send::CONTROL_MAX];
    let len = Publication::new(config.format, config.delivery)
        .subscribe(config, Time::ZERO)
        .poll_transmit(Time::ZERO, &mut bytes)
        .unwrap();
    Open::parse(&bytes[..len]).unwrap()
}

#[test]
fn the_parity_of_a_stream_takes_what_is_reserved_for_it_and_no_more_in_any_epoch() {
    let format = FrameFormat::new(PixelFormat::Gray8, 1_920, 1_080).unwrap();
    for slice_bytes in [1_472, 9_000, 65_507] {
        for percent in [1, 13, 100] {
            let (fec, what) = (Fec::Percent(percent), format!("{percent} % of slices of {slice_bytes}"));
            let room = reserved(format, slice_bytes, fec) - reserved(format, slice_bytes, Fec::Off);
            let first = open(format, slice_bytes, fec);
            let slot_bytes = Reassembler::slot_bytes(&Cut::new(first.frame_bytes, usize::from(slice_bytes)));
            let config = ReceiveConfig {
                open: first,
                sealed: None,
                open_bytes: Open::LEN,
                buffer_bytes: 400_000,
                batch_max: 16,
                partial: false,
                clock_id: 0,
            };
            let pool = || FramePool::new(4, slot_bytes).unwrap();
            let bare = Open { parity_max: 0, ..first };
            let before = TAKEN.load(Ordering::Relaxed);
            let stream = ReceiveStream::new(ReceiveConfig { open: bare, ..config.clone() }, pool(), Time::ZERO);
            let without = TAKEN.load(Ordering::Relaxed) - before;
            drop(stream);
            let before = TAKEN.load(Ordering::Relaxed);
            MOST.store(before, Ordering::Relaxed);
            let mut stream = ReceiveStream::new(config, pool(), Time::ZERO).unwrap();
            // The sender's own next epochs, where its path is another one, and those that ask for more than they may.
            for (nth, slice_bytes) in [65_507, 548, 1_472, 9_000, 30_000, 65_507].into_iter().enumerate() {
                let fair = open(format, slice_bytes, fec).parity_max;
                for (more, parity_max) in [fair, fair.saturating_mul(2), u16::MAX].into_iter().enumerate() {
                    let epoch = 2 + 3 * nth as u32 + more as u32;
                    let next = Open { epoch, slice_bytes, parity_max, ..first };
                    stream.handle_proven_open((&next, None), Open::LEN, false, Time::ZERO);
                    assert_eq!(stream.epoch(), epoch, "{what}");
                }
            }
            let most = MOST.load(Ordering::Relaxed) - before;
            assert!(most <= without + room + LISTS, "{what}: {most} bytes, of {without} and {room} for parity");
        }
    }
}
