//! Parity slices that have come, and the slices that are restored from them.

use std::io;

use memmap2::MmapMut;
use reed_solomon_simd::ReedSolomonDecoder;

use super::bitmap::Bitmap;
use super::stats::Rejected;
use crate::frame::Arrival;
use crate::wire::{BLOCK_SLICES_MAX, Cut, DATAGRAM_MAX, OPEN_FRAMES_MAX, ParityHeader, ParityLayout};

/// The parity of the frames that are being assembled. All memory is taken when it is made.
pub(super) struct ParityStore {
    cut: Cut,
    parity_max: u32,
    decoder: ReedSolomonDecoder,
    /// One slice, with zeroes behind it where it is shorter than the others.
    shard: Box<[u8]>,
    /// One for each frame that can be open.
    frames: Box<[StoredParity]>,
}

struct StoredParity {
    /// Which frame's; `None` before the first.
    number: Option<u64>,
    layout: ParityLayout,
    arrived: Bitmap,
    /// Parity slice `i` at `i` shards. A mapping of its own: an allocator may keep blocks of this size when the stream is long closed.
    bytes: MmapMut,
}

impl StoredParity {
    /// The parity slices of a block that have come, by their place in it.
    fn arrived_of(&self, block: u32) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.layout.parities_of(block).enumerate().filter(|(_, index)| self.arrived.contains(*index as usize))
    }
}

/// The frame that slices are restored in.
pub(super) struct Damaged<'a> {
    pub(super) number: u64,
    /// Bytes of it.
    pub(super) bytes: u32,
    pub(super) slot: &'a mut Arrival,
    /// Which of its slices are there.
    pub(super) arrived: &'a mut Bitmap,
}

/// What was restored of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Restored {
    /// How many slices.
    pub(super) slices: u32,
    /// One more than the highest of them.
    pub(super) end: u32,
}

/// Bytes that a store takes at most, its decoder's included, for frames that are cut so, with at most `parity_max` parity slices.
pub(super) fn parity_store_bytes(cut: &Cut, parity_max: u16) -> usize {
    if parity_max == 0 {
        return 0;
    }
    let payload = usize::from(cut.payload_bytes());
    let (shard, parities) = (payload.next_multiple_of(2), usize::from(parity_max));
    let of_a_frame = parities * shard + parities.div_ceil(64) * size_of::<u64>();
    let block_max = BLOCK_SLICES_MAX as usize - 1;
    let (data, parities) = ((cut.slices() as usize).min(block_max), parities.min(block_max));
    // It arranges a code word in one of two ways, in so many shards of whole 64 bytes.
    let one = (parities.next_power_of_two() + data).next_power_of_two();
    let other = (data.next_power_of_two() + parities).next_power_of_two();
    OPEN_FRAMES_MAX * of_a_frame + shard + one.max(other) * shard.next_multiple_of(64)
}

/// Bytes that are reserved for the parity of a stream that is opened so: what its store takes, and in later epochs, with as much
/// parity in slices of another size, may take.
pub(crate) fn parity_room_bytes(cut: &Cut, parity_max: u16) -> usize {
    if parity_max == 0 {
        return 0;
    }
    // Shares round up, to a slice of each block.
    let parity = 2 * usize::from(parity_max) * cut.slice_bytes();
    // A decoder has at most twice as many shards as a block has data and twice its parity.
    let largest_decoder = 2 * BLOCK_SLICES_MAX as usize * DATAGRAM_MAX;
    let decoder = (2 * (cut.frame_bytes() as usize + 2 * parity)).min(largest_decoder);
    parity_store_bytes(cut, parity_max).max(OPEN_FRAMES_MAX * parity + decoder)
}

impl ParityStore {
    /// For frames that are cut so, with at most `parity_max` parity slices. `None` where there are none, or no memory for them: then
    /// parity that comes is of no use.
    pub(super) fn new(cut: &Cut, parity_max: u16) -> Option<Self> {
        let slices = cut.slices();
        let shard = usize::from(cut.payload_bytes()).next_multiple_of(2);
        let parity_max = u32::from(parity_max);
        if parity_max == 0 {
            return None;
        }
        let (data, parities) = (slices.min(BLOCK_SLICES_MAX - 1), parity_max.min(BLOCK_SLICES_MAX - 1));
        // As large as it will ever be: a smaller code word takes its memory from a larger one's.
        let decoder = ReedSolomonDecoder::new(data as usize, parities as usize, shard).ok()?;
        let stored = |_| {
            let bytes = MmapMut::map_anon(parity_max as usize * shard)?;
            let layout = ParityLayout { slices, blocks: 1, parities: 1 };
            Ok(StoredParity { number: None, layout, arrived: Bitmap::new(parity_max as usize), bytes })
        };
        let frames: io::Result<_> = (0..OPEN_FRAMES_MAX).map(stored).collect();
        let frames = frames
            .inspect_err(
                |error| tracing::warn!(%error, "no memory to keep parity in: what is lost is only asked for again"),
            )
            .ok()?;
        Some(Self { cut: *cut, parity_max, decoder, shard: vec![0; shard].into_boxed_slice(), frames })
    }

    /// A new epoch begins: what has come is of no use.
    pub(super) fn start_epoch(&mut self) {
        self.frames.iter_mut().for_each(|frame| frame.number = None);
    }

    /// Keeps a parity slice of a frame that is being assembled; `read` copies its payload.
    pub(super) fn keep(&mut self, header: &ParityHeader, read: impl FnOnce(&mut [u8])) -> Result<(), Rejected> {
        let layout = header.layout(&self.cut);
        if layout.count() > self.parity_max {
            return Err(Rejected::Size);
        }
        let place = match self.place_of(header.frame) {
            Some(place) => place,
            None => {
                // The oldest frame's, or one that is not used: `None` is the lowest. With as many as can be open, it is settled.
                let oldest = (0..OPEN_FRAMES_MAX).min_by_key(|place| self.frames[*place].number).unwrap_or(0);
                let stored = &mut self.frames[oldest];
                (stored.number, stored.layout) = (Some(header.frame), layout);
                stored.arrived.clear(layout.count() as usize);
                oldest
            }
        };
        let stored = &mut self.frames[place];
        if stored.layout != layout {
            return Err(Rejected::Size);
        }
        if !stored.arrived.insert(header.index as usize) {
            return Err(Rejected::Duplicate);
        }
        let payload = usize::from(self.cut.payload_bytes());
        let (bytes, odd) =
            stored.bytes[header.index as usize * self.shard.len()..][..self.shard.len()].split_at_mut(payload);
        read(bytes);
        odd.fill(header.odd);
        Ok(())
    }

    fn place_of(&self, number: u64) -> Option<usize> {
        self.frames.iter().position(|stored| stored.number == Some(number))
    }

    /// How a frame's slices are dealt out, where parity of it has come, and for each block how many of its parity slices have.
    pub(super) fn arrived(&self, number: u64, counts: &mut Vec<u32>) -> Option<ParityLayout> {
        let stored = &self.frames[self.place_of(number)?];
        counts.clear();
        // No more than the parity slices, for which there is room.
        counts.extend((0..u32::from(stored.layout.blocks)).map(|block| stored.arrived_of(block).count() as u32));
        Some(stored.layout)
    }

    /// Restores the slices of every block that has lost no more than it has parity.
    pub(super) fn restore(&mut self, damaged: Damaged<'_>) -> Restored {
        let mut restored = Restored::default();
        let Some(place) = self.place_of(damaged.number) else { return restored };
        let layout = self.frames[place].layout;
        let cut = self.cut.of(damaged.bytes);
        let Damaged { slot, arrived, .. } = damaged;
        if layout.slices != cut.slices() {
            return restored;
        }
        for block in 0..u32::from(layout.blocks) {
            let missing = layout.slices_of(block).filter(|slice| !arrived.contains(*slice as usize)).count();
            if missing > 0 && self.frames[place].arrived_of(block).nth(missing - 1).is_some() {
                let block = self.restore_block((place, cut), (block, missing), slot, arrived).unwrap_or_default();
                restored.slices += block.slices;
                restored.end = restored.end.max(block.end);
            }
        }
        restored
    }

    /// `None` where the code word cannot be, which its header would have to have allowed.
    fn restore_block(
        &mut self,
        (place, cut): (usize, Cut),
        (block, missing): (u32, usize),
        slot: &mut Arrival,
        arrived: &mut Bitmap,
    ) -> Option<Restored> {
        let stored = &self.frames[place];
        let layout = stored.layout;
        self.decoder.reset(layout.data() as usize, usize::from(layout.parities), self.shard.len()).ok()?;
        let mut place_in_block = 0;
        for slice in layout.slices_of(block) {
            if arrived.contains(slice as usize) {
                let bytes = cut.bytes_of(slice, 1);
                slot.read(bytes.start, &mut self.shard[..bytes.len()]);
                self.shard[bytes.len()..].fill(0);
                self.decoder.add_original_shard(place_in_block, &self.shard).ok()?;
            }
            place_in_block += 1;
        }
        // The frame ends before the block does.
        self.shard.fill(0);
        for absent in place_in_block..layout.data() as usize {
            self.decoder.add_original_shard(absent, &self.shard).ok()?;
        }
        for (nth, index) in stored.arrived_of(block).take(missing) {
            let bytes = &stored.bytes[index as usize * self.shard.len()..][..self.shard.len()];
            self.decoder.add_recovery_shard(nth, bytes).ok()?;
        }
        let decoded = self.decoder.decode().ok()?;
        let mut restored = Restored::default();
        for (place_in_block, bytes) in decoded.restored_original_iter() {
            let slice = block + place_in_block as u32 * u32::from(layout.blocks);
            let of_frame = cut.bytes_of(slice, 1);
            slot.write(of_frame.start, &bytes[..of_frame.len()]);
            restored.slices += u32::from(arrived.insert(slice as usize));
            restored.end = restored.end.max(slice + 1);
        }
        Some(restored)
    }
}

impl std::fmt::Debug for ParityStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let frames: Vec<_> = self.frames.iter().map(|stored| stored.number).collect();
        f.debug_struct("ParityStore")
            .field("parity_max", &self.parity_max)
            .field("frames", &frames)
            .finish_non_exhaustive()
    }
}
