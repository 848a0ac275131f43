//! What is in the parity slices of a frame.

use std::ops::Range;

use reed_solomon_simd::ReedSolomonEncoder;

use crate::frame::{Frame, FramePool};
use crate::wire::{ParityHeader, ParityLayout};

/// Frames whose parity is on its way into the socket at the same time: one that leaves, and one that is being made.
const SLOTS: usize = 2;

/// A frame's parity slices, on their way out.
#[derive(Debug)]
pub(super) struct OutgoingParity {
    /// One payload after the other, and behind them a byte for each where payloads are of odd length.
    pub(super) bytes: Frame,
    layout: ParityLayout,
    payload_bytes: u16,
    /// The next one to send.
    next: u32,
}

impl OutgoingParity {
    pub(super) fn is_sent(&self) -> bool {
        self.next == self.layout.count()
    }

    /// The next one to send, and how many there are.
    pub(super) fn progress(&self) -> (u32, u32) {
        (self.next, self.layout.count())
    }

    /// So many more of them leave now.
    pub(super) fn handle_sent(&mut self, count: u32) {
        self.next += count;
    }

    /// The header of the next one, sent as number `sequence` of the epoch.
    pub(super) fn header(&self, (stream, epoch): (u32, u32), of: &Frame, sequence: u64) -> ParityHeader {
        ParityHeader {
            stream,
            epoch,
            flags: 0,
            payload_bytes: self.payload_bytes,
            sequence,
            frame: of.info().number,
            captured_ns: of.info().captured.as_nanos(),
            // The format was checked: a frame fits 32 bits.
            frame_bytes: of.len() as u32,
            index: self.next,
            blocks: self.layout.blocks,
            parities: self.layout.parities,
            odd: 0,
        }
    }
}

/// Where the byte is that payload `index` of odd length lacks to be of even length.
pub(super) fn odd_byte(payload_bytes: u16, layout: &ParityLayout, index: u32) -> usize {
    layout.count() as usize * usize::from(payload_bytes) + index as usize
}

/// Makes parity. All memory is taken when it is made.
pub(super) struct ParityMaker {
    payload_bytes: u16,
    encoder: ReedSolomonEncoder,
    pool: FramePool,
    /// A slice that is shorter than the others, with zeroes behind it.
    padded: Box<[u8]>,
}

impl ParityMaker {
    /// For frames of `slices` slices and at most `percent_max` of parity. `None` where there is no memory for it, or nothing to
    /// make.
    pub(super) fn new(slices: u32, payload_bytes: u16, percent_max: u32) -> Option<Self> {
        let layout = ParityLayout::new(slices, percent_max)?;
        let bytes = layout.count() as usize * (usize::from(payload_bytes) + 1);
        let shard = usize::from(payload_bytes).next_multiple_of(2);
        let encoder = ReedSolomonEncoder::new(layout.data() as usize, usize::from(layout.parities), shard).ok()?;
        let pool = FramePool::new(SLOTS, bytes)
            .inspect_err(|error| tracing::warn!(%error, "frames go without parity"))
            .ok()?;
        Some(Self { payload_bytes, encoder, pool, padded: vec![0; shard].into_boxed_slice() })
    }

    /// The parity of a frame; `None` where what was made before is still on its way.
    pub(super) fn make(&mut self, frame: &Frame, slices: u32, percent: u32) -> Option<OutgoingParity> {
        let layout = ParityLayout::new(slices, percent)?;
        let payload = usize::from(self.payload_bytes);
        let mut out = self.pool.try_acquire()?;
        out.set_len(layout.count() as usize * (payload + 1)).ok()?;
        for block in 0..u32::from(layout.blocks) {
            self.encoder.reset(layout.data() as usize, usize::from(layout.parities), self.padded.len()).ok()?;
            let mut absent = layout.data();
            for slice in layout.slices_of(block) {
                let bytes = &frame[slice_range(slice, payload, frame.len())];
                self.encoder.add_original_shard(padded(&mut self.padded, bytes)).ok()?;
                absent -= 1;
            }
            for _ in 0..absent {
                self.encoder.add_original_shard(padded(&mut self.padded, &[])).ok()?;
            }
            let made = self.encoder.encode().ok()?;
            for (index, parity) in layout.parities_of(block).zip(made.recovery_iter()) {
                let at = index as usize * payload;
                let (bytes, odd) = parity.split_at(payload);
                out[at..at + payload].copy_from_slice(bytes);
                out[odd_byte(self.payload_bytes, &layout, index)] = odd.first().copied().unwrap_or(0);
            }
        }
        Some(OutgoingParity { bytes: out.freeze(), layout, payload_bytes: self.payload_bytes, next: 0 })
    }
}

fn slice_range(slice: u32, payload: usize, frame_bytes: usize) -> Range<usize> {
    let start = slice as usize * payload;
    start..frame_bytes.min(start + payload)
}

/// The bytes themselves, or a copy with zeroes behind them where they are too few.
fn padded<'a>(padded: &'a mut [u8], bytes: &'a [u8]) -> &'a [u8] {
    if bytes.len() == padded.len() {
        return bytes;
    }
    padded[..bytes.len()].copy_from_slice(bytes);
    padded[bytes.len()..].fill(0);
    padded
}

impl std::fmt::Debug for ParityMaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParityMaker").field("payload_bytes", &self.payload_bytes).finish_non_exhaustive()
    }
}
