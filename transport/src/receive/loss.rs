//! When to ask for missing slices again, and which.

use std::time::Duration;

use super::reassembler::Reassembler;
use crate::time::Time;
use crate::wire::{Delivery, NACK_BITMAP_MAX, Nack, OPEN_FRAMES_MAX, ParityLayout};

/// How long slices may overtake each other before a gap counts as a loss.
const REORDER_GUARD: Duration = Duration::from_millis(1);
/// A request is repeated after the round trip and this: the round trip is the shortest of late, and an answer that comes a
/// little later must not be asked for twice.
const RETRY_MARGIN: Duration = Duration::from_micros(200);
/// Ten requests a second for a far end that does not answer.
const RETRY_MAX: Duration = Duration::from_millis(100);
/// So many repetitions follow at this pace. Further ones come more slowly: in `every` each pause is twice as long as the one
/// before, up to [`RETRY_MAX`]; in `latest`, where the frame's deadline ends them, they are at least [`RETRY_LATEST`] apart.
const REPETITIONS: u32 = 3;
/// Losses come in bursts, and a request is small: one that gets through in time is worth some that do not.
const RETRY_LATEST: Duration = Duration::from_millis(1);
/// So many at that pace, then each pause is twice as long: a frame's time may be seconds.
const REPETITIONS_LATEST: u32 = 32;

/// Frames watched at once: as many as can be open, and as many again whose watch is not needed any more.
const WATCHES: usize = 2 * OPEN_FRAMES_MAX;

/// Watches the frames that may lack slices.
#[derive(Debug)]
pub(super) struct LossDetector {
    delivery: Delivery,
    watches: [Watch; WATCHES],
    /// Every frame below this number has been sent whole at least once.
    sent: u64,
    /// A request that did not fit one datagram goes on with this frame and slice.
    unfinished: Option<(u64, u32)>,
    /// For each block of the frame that is asked for, how many of its missing slices parity makes up for.
    covered: Vec<u32>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Watch {
    number: Option<u64>,
    since: Time,
    attempts: u32,
    asked: Time,
}

impl LossDetector {
    /// For frames with at most `parity_max` parity slices.
    pub(super) fn new(delivery: Delivery, parity_max: u16) -> Self {
        let covered = Vec::with_capacity(usize::from(parity_max));
        Self { delivery, watches: Default::default(), sent: 0, unfinished: None, covered }
    }

    pub(super) fn start_epoch(&mut self, parity_max: u16) {
        *self = Self::new(self.delivery, parity_max);
    }

    /// The sender says that every frame below `number` has left it.
    pub(super) fn handle_sent(&mut self, number: u64) {
        self.sent = self.sent.max(number);
    }

    /// The frames to watch: unfinished ones, and those that have been sent and of which nothing arrived.
    fn candidates<'a>(
        &self,
        reassembler: &'a Reassembler,
    ) -> impl Iterator<Item = (u64, Option<usize>, Time)> + use<'a> {
        // A frame is sent whole before the next one begins.
        let known_sent = self.sent.max(reassembler.seen().saturating_sub(1));
        let settled = reassembler.settled();
        let lost_whole = match self.delivery {
            Delivery::Every => settled..known_sent.min(settled + OPEN_FRAMES_MAX as u64),
            // Older ones are not worth asking for. Those that the source skipped are asked for too, and not answered.
            Delivery::Latest => settled.max(known_sent.saturating_sub(OPEN_FRAMES_MAX as u64))..known_sent,
        };
        let lost_whole = lost_whole
            .filter(|number| reassembler.places().all(|(_, assembly)| assembly.number != *number))
            .map(|number| (number, None, Time::ZERO));
        reassembler
            .unfinished()
            .filter(move |(_, assembly)| assembly.number < known_sent)
            .map(|(place, assembly)| (assembly.number, Some(place), assembly.progressed))
            .chain(lost_whole)
    }

    fn watch(&mut self, number: u64, now: Time) -> &mut Watch {
        let known = self.watches.iter().position(|watch| watch.number == Some(number));
        let place = known.unwrap_or_else(|| {
            // Unused ones come first, then the oldest frame's: with twice as many as can be open, it is settled.
            let oldest =
                self.watches.iter().enumerate().min_by_key(|(_, watch)| watch.number).map_or(0, |(place, _)| place);
            self.watches[oldest] = Watch { number: Some(number), since: now, attempts: 0, asked: Time::ZERO };
            oldest
        });
        &mut self.watches[place]
    }

    /// When a frame is to be asked for; `place` is `None` where nothing of it has arrived.
    fn due(&mut self, number: u64, place: Option<usize>, progressed: Time, round_trip: Duration, now: Time) -> Time {
        let latest = self.delivery == Delivery::Latest;
        let watch = self.watch(number, now);
        if watch.attempts == 0 {
            return watch.since.max(progressed) + REORDER_GUARD;
        }
        let quick = (round_trip + RETRY_MARGIN).min(RETRY_MAX);
        let further = watch.attempts.saturating_sub(REPETITIONS);
        let retry = match further {
            0 => quick,
            // The source has skipped it, most likely.
            _ if latest && place.is_none() => return Time::MAX,
            _ if latest => {
                let doublings = further.saturating_sub(REPETITIONS_LATEST).min(7);
                (quick.max(RETRY_LATEST) * (1 << doublings)).min(RETRY_MAX)
            }
            _ => (quick * (1 << further.min(9))).min(RETRY_MAX),
        };
        // What is still coming in may be the answer.
        watch.asked.max(progressed) + retry
    }

    /// When [`LossDetector::poll_nack`] will next have something to say.
    pub(super) fn poll_timeout(&mut self, reassembler: &Reassembler, round_trip: Duration, now: Time) -> Option<Time> {
        if self.unfinished.is_some() {
            return Some(now);
        }
        let mut earliest = None;
        for (number, place, progressed) in self.candidates(reassembler) {
            let due = self.due(number, place, progressed, round_trip, now);
            earliest = earliest.into_iter().chain([due]).min();
        }
        earliest
    }

    /// Writes the next request that is due; returns its length.
    pub(super) fn poll_nack(
        &mut self,
        reassembler: &Reassembler,
        (stream, epoch): (u32, u32),
        round_trip: Duration,
        now: Time,
        out: &mut [u8],
    ) -> Option<usize> {
        if let Some((number, from)) = self.unfinished.take() {
            let place =
                reassembler.unfinished().find(|(_, assembly)| assembly.number == number).map(|(place, _)| place);
            if let Some(place) = place {
                return self.write(reassembler, (stream, epoch), number, Some(place), from, out);
            }
        }
        for (number, place, progressed) in self.candidates(reassembler) {
            if self.due(number, place, progressed, round_trip, now) <= now {
                let watch = self.watch(number, now);
                watch.attempts += 1;
                watch.asked = now;
                return self.write(reassembler, (stream, epoch), number, place, 0, out);
            }
        }
        None
    }

    fn write(
        &mut self,
        reassembler: &Reassembler,
        (stream, epoch): (u32, u32),
        frame: u64,
        place: Option<usize>,
        from: u32,
        out: &mut [u8],
    ) -> Option<usize> {
        let (fields, bitmap) = out.split_first_chunk_mut::<{ Nack::LEN }>()?;
        let mut first = 0;
        let mut bitmap_bytes = 0;
        if let Some(place) = place {
            let bitmap = bitmap.first_chunk_mut::<NACK_BITMAP_MAX>()?;
            bitmap.fill(0);
            let mut wanted =
                Wanted::new(reassembler, place, &mut self.covered).filter(|slice| *slice >= from).peekable();
            first = *wanted.peek()?;
            for missing in wanted {
                let bit = (missing - first) as usize;
                let Some(byte) = bitmap.get_mut(bit / 8) else {
                    self.unfinished = Some((frame, missing));
                    break;
                };
                *byte |= 0x80 >> (bit % 8);
                bitmap_bytes = bit / 8 + 1;
            }
        }
        // At most NACK_BITMAP_MAX.
        let nack = Nack { stream, epoch, flags: 0, bitmap_bytes: bitmap_bytes as u16, frame, first };
        nack.emit_into(fields);
        Some(Nack::LEN + bitmap_bytes)
    }
}

/// The missing slices of a frame that are to be asked for: those of each block for which no parity is at hand.
struct Wanted<'a> {
    reassembler: &'a Reassembler,
    place: usize,
    layout: Option<ParityLayout>,
    covered: &'a mut [u32],
    next: u32,
}

impl<'a> Wanted<'a> {
    fn new(reassembler: &'a Reassembler, place: usize, covered: &'a mut Vec<u32>) -> Self {
        let layout = reassembler.parity_of(place, covered);
        Self { reassembler, place, layout, covered, next: 0 }
    }
}

impl Iterator for Wanted<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let missing = self.reassembler.first_missing(self.place, self.next)?;
            self.next = missing + 1;
            let covered = self.layout.and_then(|layout| self.covered.get_mut(layout.block_of(missing) as usize));
            match covered {
                Some(covered) if *covered > 0 => *covered -= 1,
                _ => return Some(missing),
            }
        }
    }
}
