//! What is in the parity slices of a frame.

use reed_solomon_simd::ReedSolomonEncoder;

use super::publication::Published;
use crate::frame::{Frame, FramePool, SLOTS_MAX};
use crate::time::Time;
use crate::wire::{BLOCK_SLICES_MAX, Cut, ParityHeader, ParityLayout};

/// Parity that is there at the same time, to begin with: that of a frame which leaves, and that of one for which it is made. More
/// where subscribers hold that of different frames, one each.
const SLOTS: usize = 2;
/// Subscribers have slices of different sizes; for so many sizes (and shares of parity) the memory is kept.
const MAKERS: usize = 4;

/// A frame's parity slices.
#[derive(Debug, Clone)]
pub(super) struct MadeParity {
    /// One payload after the other, and behind them a byte for each where payloads are of odd length.
    bytes: Frame,
    layout: ParityLayout,
}

/// The same, on their way out to one subscriber.
#[derive(Debug)]
pub(super) struct OutgoingParity {
    made: MadeParity,
    /// The next one to send.
    next: u32,
}

impl OutgoingParity {
    pub(super) fn new(made: MadeParity) -> Self {
        Self { made, next: 0 }
    }

    pub(super) fn bytes(&self) -> &Frame {
        &self.made.bytes
    }

    pub(super) fn is_sent(&self) -> bool {
        self.next == self.made.layout.count()
    }

    /// The next one to send, and how many there are.
    pub(super) fn progress(&self) -> (u32, u32) {
        (self.next, self.made.layout.count())
    }

    /// So many more of them leave now.
    pub(super) fn handle_sent(&mut self, count: u32) {
        self.next += count;
    }

    /// The header of the next one, sent as number `sequence` of the epoch.
    pub(super) fn header(
        &self,
        (stream, epoch): (u32, u32),
        (frame, captured): (&Published, Time),
        cut: &Cut,
        sequence: u64,
    ) -> ParityHeader {
        ParityHeader {
            stream,
            epoch,
            flags: cut.flags(),
            tail: frame.frame().tail().to_wire(),
            sequence,
            frame: frame.number(),
            captured_ns: captured.as_nanos(),
            // No longer than the longest, which fits 32 bits.
            frame_bytes: frame.frame().whole().len() as u32,
            index: self.next,
            blocks: self.made.layout.blocks,
            parities: self.made.layout.parities,
            odd: 0,
        }
    }
}

/// How much parity a frame is to have, percent of its slices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Percents {
    pub(super) wanted: u32,
    /// The most that a frame of the same subscriber will have.
    pub(super) most: u32,
}

/// The parity of a publication's newest frames: who wants the same gets the same.
#[derive(Debug, Default)]
pub(super) struct ParityShelf {
    /// The one that was used last is the first.
    makers: Vec<Shelved>,
}

#[derive(Debug)]
struct Shelved {
    cut: Cut,
    percent_max: u32,
    /// `None` where there was no memory for it, or there is nothing to make.
    maker: Option<ParityMaker>,
    /// The newest: the number of the frame, the share that was wanted, and what was made.
    made: Option<(u64, u32, MadeParity)>,
}

impl ParityShelf {
    /// The parity of a frame of an epoch that is cut so. `None` where there is no memory for it.
    pub(super) fn of(&mut self, of: &Published, cut: Cut, percents: Percents) -> Option<MadeParity> {
        let at = self.makers.iter().position(|shelved| (shelved.cut, shelved.percent_max) == (cut, percents.most));
        match at {
            Some(at) => self.makers[..=at].rotate_right(1),
            None => {
                self.makers.truncate(MAKERS - 1);
                let maker = ParityMaker::new(cut, percents.most);
                self.makers.insert(0, Shelved { cut, percent_max: percents.most, maker, made: None });
            }
        }
        let Shelved { maker, made, .. } = self.makers.first_mut()?;
        if let Some((number, percent, made)) = made
            && (*number, *percent) == (of.number(), percents.wanted)
        {
            return Some(made.clone());
        }
        // Its memory may be needed.
        *made = None;
        let parity = maker.as_mut()?.make(of.frame(), percents.wanted)?;
        *made = Some((of.number(), percents.wanted, parity.clone()));
        Some(parity)
    }
}

/// Where the byte is that payload `index` of odd length lacks to be of even length.
pub(super) fn odd_byte(payload_bytes: u16, layout: &ParityLayout, index: u32) -> usize {
    layout.count() as usize * usize::from(payload_bytes) + index as usize
}

/// Makes parity. The memory for what is needed at least is taken when it is made.
struct ParityMaker {
    cut: Cut,
    /// Parity slices that there is room for: those of the longest frame.
    parity_max: u32,
    encoder: ReedSolomonEncoder,
    pool: FramePool,
    /// A slice that is shorter than the others, with zeroes behind it.
    padded: Box<[u8]>,
}

impl ParityMaker {
    /// For frames that are cut so or shorter, and at most `percent_max` of parity. `None` where there is no memory for it, or nothing to
    /// make.
    fn new(cut: Cut, percent_max: u32) -> Option<Self> {
        let layout = ParityLayout::new(cut.slices(), percent_max)?;
        let payload = usize::from(cut.payload_bytes());
        let bytes = layout.count() as usize * (payload + 1);
        let shard = payload.next_multiple_of(2);
        // As large as it will ever be: a shorter frame may have a larger block.
        let (data, parities) = (cut.slices().min(BLOCK_SLICES_MAX - 1), layout.count().min(BLOCK_SLICES_MAX - 1));
        let encoder = ReedSolomonEncoder::new(data as usize, parities as usize, shard).ok()?;
        let pool = FramePool::with_spares(SLOTS_MAX, SLOTS, bytes)
            .inspect_err(|error| tracing::warn!(%error, "frames go without parity"))
            .ok()?;
        Some(Self { cut, parity_max: layout.count(), encoder, pool, padded: vec![0; shard].into_boxed_slice() })
    }

    /// The parity of a frame; `None` where too much that was made before is still on its way.
    fn make(&mut self, frame: &Frame, percent: u32) -> Option<MadeParity> {
        // No longer than the longest, which fits 32 bits.
        let cut = self.cut.of(frame.whole().len() as u32);
        // Shares of blocks round up: a shorter frame may come to a slice or two more than the longest.
        let mut layouts = (1..=percent).rev().filter_map(|percent| ParityLayout::new(cut.slices(), percent));
        let layout = layouts.find(|layout| layout.count() <= self.parity_max)?;
        let payload_bytes = self.cut.payload_bytes();
        let payload = usize::from(payload_bytes);
        let mut out = self.pool.try_acquire().or_else(|| {
            self.pool.set_usable(self.pool.held_count() + 1);
            self.pool.try_acquire()
        })?;
        out.set_len(layout.count() as usize * (payload + 1)).ok()?;
        for block in 0..u32::from(layout.blocks) {
            self.encoder.reset(layout.data() as usize, usize::from(layout.parities), self.padded.len()).ok()?;
            let mut absent = layout.data();
            for slice in layout.slices_of(block) {
                let bytes = &frame.whole()[cut.bytes_of(slice, 1)];
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
                out[odd_byte(payload_bytes, &layout, index)] = odd.first().copied().unwrap_or(0);
            }
        }
        Some(MadeParity { bytes: out.freeze(), layout })
    }
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
        f.debug_struct("ParityMaker").field("cut", &self.cut).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameFormat, PixelFormat};
    use crate::send::Publication;
    use crate::wire::{Delivery, SLICE_BYTES_MIN};

    #[test]
    fn a_shorter_frame_has_no_more_parity_than_was_said_of_the_longest() {
        // Of some frames that are shorter, this share would come to more slices.
        const PERCENT: u32 = 20;
        let payload = Cut::new(1, SLICE_BYTES_MIN).payload_bytes();
        let (longest, shorter) = (640 * u32::from(payload), 631 * u32::from(payload));
        let count = |bytes| ParityLayout::new(Cut::new(bytes, SLICE_BYTES_MIN).slices(), PERCENT).unwrap().count();
        assert!(count(shorter) > count(longest));
        let format = FrameFormat::new(PixelFormat::Bytes, longest, 1).unwrap();
        let pool = FramePool::for_format(1, format).unwrap();
        let mut publication = Publication::new(format, Delivery::Every);
        let percents = Percents { wanted: PERCENT, most: PERCENT };
        for bytes in [longest, shorter, 1] {
            let mut frame = pool.try_acquire().unwrap();
            frame.set_len(bytes as usize).unwrap();
            let published = publication.publish(frame.freeze()).unwrap();
            let made = ParityShelf::default().of(&published, Cut::new(longest, SLICE_BYTES_MIN), percents).unwrap();
            assert!((1..=count(longest)).contains(&made.layout.count()), "{bytes}");
        }
    }
}
