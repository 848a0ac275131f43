//! When to ask for missing slices again, and which.

use std::ops::Range;
use std::time::Duration;

use super::assembly::Assembly;
use super::reassembler::Reassembler;
use super::reorder::ReorderGuard;
use crate::time::Time;
use crate::wire::{Delivery, NACK_BITMAP_MAX, Nack, OPEN_FRAMES_MAX, ParityLayout};

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
    guard: ReorderGuard,
    /// Every frame below this number has been sent whole at least once.
    sent: u64,
    /// A request that did not fit one datagram goes on with this frame, from the first slice of these.
    unfinished: Option<(u64, Range<u32>)>,
    /// For each block of the frame that is asked for, how many of its missing slices parity makes up for.
    covered: Vec<u32>,
}

/// What is known, and was asked, of one frame.
#[derive(Debug, Clone, Copy, Default)]
struct Watch {
    number: Option<u64>,
    /// What is asked for next.
    gap: Option<Gap>,
    /// What was asked for last, but for repetitions.
    asked_gap: Option<Gap>,
    /// Slices below this have been asked for where they were missing.
    asked_below: u32,
    attempts: u32,
    asked: Time,
}

/// Slices that later ones have overtaken, or that have been lost.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// They are among these.
    first: u32,
    end: u32,
    since: Time,
}

/// A frame that may lack slices.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    number: u64,
    /// Where it is being put together; `None` where nothing of it has arrived.
    place: Option<usize>,
    /// When the newest slice of it arrived.
    progressed: Time,
    /// Slices below this should have come.
    sent: u32,
    /// One more than the highest slice that has.
    cursor: u32,
}

/// What to ask for, and when.
#[derive(Debug)]
struct Due {
    at: Time,
    slices: Range<u32>,
}

impl LossDetector {
    /// For frames with at most `parity_max` parity slices.
    pub(super) fn new(delivery: Delivery, parity_max: u16) -> Self {
        let covered = Vec::with_capacity(usize::from(parity_max));
        let guard = ReorderGuard::default();
        Self { delivery, watches: Default::default(), guard, sent: 0, unfinished: None, covered }
    }

    pub(super) fn start_epoch(&mut self, parity_max: u16) {
        *self = Self { guard: self.guard, ..Self::new(self.delivery, parity_max) };
    }

    /// The sender says that every frame below `number` has left it.
    pub(super) fn handle_sent(&mut self, number: u64) {
        self.sent = self.sent.max(number);
    }

    /// A slice that is no repair came after others that had left the sender later. It may have been asked for, and its
    /// repair may have been faster.
    pub(super) fn handle_overtaken(&mut self, number: u64, slice: u32, now: Time) {
        let Some(watch) = self.watches.iter().find(|watch| watch.number == Some(number)) else { return };
        let gap = [watch.asked_gap, watch.gap].into_iter().flatten().find(|gap| gap.contains(slice));
        if let Some(gap) = gap {
            self.guard.handle_late(now.since(gap.since), now);
        }
    }

    /// Every frame below this number has been sent whole; a frame is, before the next one begins.
    fn known_sent(&self, reassembler: &Reassembler) -> u64 {
        self.sent.max(reassembler.seen().saturating_sub(1))
    }

    /// The numbers among which frames of which nothing has arrived are asked for.
    fn lost_whole(&self, reassembler: &Reassembler) -> Range<u64> {
        let (known_sent, settled) = (self.known_sent(reassembler), reassembler.settled());
        match self.delivery {
            Delivery::Every => settled..known_sent.min(settled + OPEN_FRAMES_MAX as u64),
            // Older ones are not worth asking for. Those that the source skipped are asked for too, and not answered.
            Delivery::Latest => settled.max(known_sent.saturating_sub(OPEN_FRAMES_MAX as u64))..known_sent,
        }
    }

    /// The frames to watch: unfinished ones that lack slices which should have come, and those that have been sent and of which
    /// nothing arrived.
    fn candidates<'a>(&self, reassembler: &'a Reassembler) -> impl Iterator<Item = Candidate> + use<'a> {
        let known_sent = self.known_sent(reassembler);
        let lost_whole = self
            .lost_whole(reassembler)
            .filter(|number| reassembler.places().all(|(_, assembly)| assembly.number != *number))
            .map(|number| Candidate { number, place: None, progressed: Time::ZERO, sent: u32::MAX, cursor: 0 });
        let begun = move |(place, assembly): (usize, &Assembly)| {
            let sent = match assembly.number < known_sent {
                true => assembly.count,
                // Parity, which leaves behind the slices, may spare the question.
                false if reassembler.expects_parity(assembly.number) => 0,
                false => assembly.cursor,
            };
            let Assembly { number, progressed, cursor, .. } = *assembly;
            Candidate { number, place: Some(place), progressed, sent, cursor }
        };
        reassembler
            .unfinished()
            .filter(move |(_, assembly)| assembly.number < known_sent || assembly.has_gaps())
            .map(begun)
            .chain(lost_whole)
    }

    /// What is known of a candidate.
    fn watch(&mut self, reassembler: &Reassembler, number: u64) -> &mut Watch {
        let lost_whole = self.lost_whole(reassembler);
        let is_needed = |watch: &Watch| {
            watch.number.is_some_and(|number| {
                lost_whole.contains(&number) || reassembler.places().any(|(_, assembly)| assembly.number == number)
            })
        };
        let known = self.watches.iter().position(|watch| watch.number == Some(number));
        let place = known.unwrap_or_else(|| {
            // Of as many as can be open and as many that can be lost whole, there is a watch for each.
            let free = self.watches.iter().position(|watch| !is_needed(watch)).unwrap_or(0);
            self.watches[free] = Watch { number: Some(number), ..Watch::default() };
            free
        });
        &mut self.watches[place]
    }

    /// What of a frame is to be asked for, and when; `None` where it lacks nothing that should have come.
    fn due(&mut self, reassembler: &Reassembler, candidate: Candidate, round_trip: Duration, now: Time) -> Option<Due> {
        let Candidate { number, place, progressed, sent, cursor } = candidate;
        let (delivery, guard) = (self.delivery, self.guard.duration(now));
        let watch = self.watch(reassembler, number);
        let lacks = |slices: &Range<u32>| {
            place.is_none_or(|place| {
                reassembler.first_missing(place, slices.start).is_some_and(|missing| missing < slices.end)
            })
        };
        watch.gap = watch.gap.filter(|gap| lacks(&(gap.first..gap.end)));
        let fresh = watch.asked_below..sent;
        if watch.gap.is_none() && !fresh.is_empty() && lacks(&fresh) {
            // A later slice shows a gap when it comes, the sender's word when it is heard.
            let since = if sent <= cursor { progressed } else { now };
            watch.gap = Some(Gap { first: fresh.start, end: fresh.end, since });
        }
        let gap = watch.gap.map(|gap| {
            // What the sender's word says has left may still be coming in.
            let since = if gap.end <= cursor { gap.since } else { gap.since.max(progressed) };
            Due { at: since + guard, slices: gap.first..gap.end }
        });
        let asked = 0..watch.asked_below;
        let pause = watch.pause(delivery, place.is_some(), round_trip);
        let again = pause.filter(|_| !asked.is_empty() && lacks(&asked)).map(|pause| {
            // What is still coming in may be the answer.
            Due { at: watch.asked.max(progressed) + pause, slices: asked }
        });
        gap.into_iter().chain(again).min_by_key(|due| due.at)
    }

    /// When [`LossDetector::poll_nack`] will next have something to say.
    pub(super) fn poll_timeout(&mut self, reassembler: &Reassembler, round_trip: Duration, now: Time) -> Option<Time> {
        if self.unfinished.is_some() {
            return Some(now);
        }
        let mut earliest = None;
        for candidate in self.candidates(reassembler) {
            let due = self.due(reassembler, candidate, round_trip, now).map(|due| due.at);
            earliest = earliest.into_iter().chain(due).min();
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
        if let Some((number, slices)) = self.unfinished.take() {
            let place =
                reassembler.unfinished().find(|(_, assembly)| assembly.number == number).map(|(place, _)| place);
            if let Some(place) = place {
                return self.write(reassembler, (stream, epoch), number, Some(place), slices, out);
            }
        }
        for candidate in self.candidates(reassembler) {
            let Candidate { number, place, .. } = candidate;
            let due = self.due(reassembler, candidate, round_trip, now).filter(|due| due.at <= now);
            if let Some(Due { slices, .. }) = due {
                self.watch(reassembler, number).handle_asked(slices.end, now);
                let written = self.write(reassembler, (stream, epoch), number, place, slices, out);
                // Where parity makes up for all of it, there is nothing to ask for.
                if written.is_some() {
                    return written;
                }
            }
        }
        None
    }

    /// Writes a request for what is missing of these slices.
    fn write(
        &mut self,
        reassembler: &Reassembler,
        (stream, epoch): (u32, u32),
        frame: u64,
        place: Option<usize>,
        slices: Range<u32>,
        out: &mut [u8],
    ) -> Option<usize> {
        let (fields, bitmap) = out.split_first_chunk_mut::<{ Nack::LEN }>()?;
        let mut first = 0;
        let mut bitmap_bytes = 0;
        if let Some(place) = place {
            let bitmap = bitmap.first_chunk_mut::<NACK_BITMAP_MAX>()?;
            bitmap.fill(0);
            let mut wanted = Wanted::new(reassembler, place, &mut self.covered)
                .skip_while(|slice| *slice < slices.start)
                .take_while(|slice| *slice < slices.end)
                .peekable();
            first = *wanted.peek()?;
            for missing in wanted {
                let bit = (missing - first) as usize;
                let Some(byte) = bitmap.get_mut(bit / 8) else {
                    self.unfinished = Some((frame, missing..slices.end));
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

impl Gap {
    fn contains(&self, slice: u32) -> bool {
        (self.first..self.end).contains(&slice)
    }
}

impl Watch {
    /// Slices below `end` have been asked for where they were missing.
    fn handle_asked(&mut self, end: u32, now: Time) {
        self.asked = now;
        if end > self.asked_below {
            self.asked_below = end;
            self.asked_gap = self.gap.take();
            self.attempts = 1;
        } else {
            self.attempts += 1;
        }
    }

    /// How long to wait for an answer before the question is repeated; `None` where it is not. `begun` tells whether
    /// something of the frame has arrived.
    fn pause(&self, delivery: Delivery, begun: bool, round_trip: Duration) -> Option<Duration> {
        let quick = (round_trip + RETRY_MARGIN).min(RETRY_MAX);
        Some(match (self.attempts.saturating_sub(REPETITIONS), delivery) {
            (0, _) => quick,
            // The source has skipped it, most likely.
            (_, Delivery::Latest) if !begun => return None,
            (further, Delivery::Latest) => {
                let doublings = further.saturating_sub(REPETITIONS_LATEST).min(7);
                (quick.max(RETRY_LATEST) * (1 << doublings)).min(RETRY_MAX)
            }
            (further, Delivery::Every) => (quick * (1 << further.min(9))).min(RETRY_MAX),
        })
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

#[cfg(test)]
mod tests;
