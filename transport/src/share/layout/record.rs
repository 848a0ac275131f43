//! What is known of the frame in a slot, beside its bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::frame::{FrameInfo, FrameParts, Gaps, Tail, utc_from_nanos, utc_nanos};
use crate::time::Time;

/// In a word that may say nothing: it does.
const NONE: u64 = u64::MAX;
/// Words of a record, those that are not used yet and zero included.
const WORDS: usize = 16;

/// One slot's record. Whoever fills the slot writes it before the word that hands the slot over, which is a release; whoever is handed the
/// slot reads it after that, and nobody writes it meanwhile. The words are atomics all the same: a process that keeps to no rule must not be
/// able to make a data race of it.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Record([AtomicU64; WORDS]);

/// What a word of a record is.
#[derive(Debug, Clone, Copy)]
enum Word {
    /// The frame's number.
    Number,
    /// Bytes of its pixels in the low half; above them 16 bits of what follows them.
    Lengths,
    /// Times, nanoseconds on this machine's monotonic clock.
    Captured,
    /// On the sender's clock.
    CapturedThere,
    Sent,
    Begun,
    Completed,
    /// Nanoseconds.
    Latency,
    /// Nanoseconds since the beginning of 1970.
    CapturedUtc,
    /// Nanoseconds.
    UtcError,
    /// Where in the slot it is written which slices have come, where not all have; else [`NONE`].
    GapsAt,
    /// Slices of the frame in the low half, bytes of each above.
    GapsShape,
}

impl Record {
    /// One that says nothing.
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; WORDS])
    }

    fn get(&self, word: Word) -> u64 {
        self.0[word as usize].load(Ordering::Relaxed)
    }

    fn set(&self, word: Word, value: u64) {
        self.0[word as usize].store(value, Ordering::Relaxed);
    }

    /// Writes what a frame is.
    pub(crate) fn write(&self, parts: &FrameParts) {
        let FrameParts { len, tail, info, gaps } = parts;
        let nanos = |duration: Option<Duration>| {
            duration.map_or(NONE, |duration| u64::try_from(duration.as_nanos()).unwrap_or(NONE - 1))
        };
        self.set(Word::Number, info.number);
        // A frame fits 32 bits.
        self.set(Word::Lengths, *len as u64 & 0xffff_ffff | u64::from(tail.to_wire()) << 32);
        self.set(Word::Captured, info.captured.as_nanos());
        self.set(Word::CapturedThere, info.captured_there.as_nanos());
        self.set(Word::Sent, info.sent.map_or(NONE, Time::as_nanos));
        self.set(Word::Begun, info.begun.as_nanos());
        self.set(Word::Completed, info.completed.as_nanos());
        self.set(Word::Latency, nanos(info.latency));
        self.set(Word::CapturedUtc, info.captured_utc.and_then(utc_nanos).unwrap_or(NONE));
        self.set(Word::UtcError, nanos(info.utc_error));
        self.set(Word::GapsAt, gaps.map_or(NONE, |gaps| gaps.offset as u64));
        let shape = gaps.map_or(0, |gaps| gaps.slices as u64 & 0xffff_ffff | (gaps.slice_bytes as u64) << 32);
        self.set(Word::GapsShape, shape);
    }

    /// Reads it; `None` for what no record says. Whether the frame is inside its slot is for whoever knows the slot to check.
    pub(crate) fn read(&self) -> Option<FrameParts> {
        let some = |word: Word| Some(self.get(word)).filter(|value| *value != NONE);
        let time = |word: Word| Time::from_nanos(self.get(word));
        let lengths = self.get(Word::Lengths);
        let info = FrameInfo {
            number: self.get(Word::Number),
            captured: time(Word::Captured),
            captured_there: time(Word::CapturedThere),
            sent: some(Word::Sent).map(Time::from_nanos),
            begun: time(Word::Begun),
            completed: time(Word::Completed),
            latency: some(Word::Latency).map(Duration::from_nanos),
            captured_utc: some(Word::CapturedUtc).and_then(utc_from_nanos),
            utc_error: some(Word::UtcError).map(Duration::from_nanos),
        };
        let shape = self.get(Word::GapsShape);
        let gaps = some(Word::GapsAt).map(|offset| Gaps {
            offset: usize::try_from(offset).unwrap_or(usize::MAX),
            slices: (shape & 0xffff_ffff) as usize,
            slice_bytes: (shape >> 32) as usize,
        });
        if lengths >> 48 != 0 {
            return None;
        }
        let tail = Tail::from_wire((lengths >> 32) as u16)?;
        Some(FrameParts { len: (lengths & 0xffff_ffff) as usize, tail, info, gaps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(record: &Record) -> [u64; WORDS] {
        std::array::from_fn(|word| record.0[word].load(Ordering::Relaxed))
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        assert_eq!(size_of::<Record>(), 128);
        let info = FrameInfo {
            number: 7,
            captured: Time::from_nanos(1),
            captured_there: Time::from_nanos(2),
            sent: Some(Time::from_nanos(3)),
            begun: Time::from_nanos(4),
            completed: Time::from_nanos(5),
            latency: Some(Duration::from_nanos(6)),
            captured_utc: utc_from_nanos(1_795_000_000_000_000_008),
            utc_error: Some(Duration::from_nanos(9)),
        };
        let tail = Tail::from_wire(0x8003).unwrap();
        let gaps = Some(Gaps { offset: 100, slices: 11, slice_bytes: 12 });
        let record = Record::default();
        record.write(&FrameParts { len: 90, tail, info, gaps });
        let expected =
            [7, 0x8003_0000_005a, 1, 2, 3, 4, 5, 6, 1_795_000_000_000_000_008, 9, 100, 0x000c_0000_000b, 0, 0, 0, 0];
        assert_eq!(words(&record), expected);
        let read = record.read().unwrap();
        assert_eq!((read.len, read.tail, read.info), (90, tail, info));
        let gaps = read.gaps.unwrap();
        assert_eq!((gaps.offset, gaps.slices, gaps.slice_bytes), (100, 11, 12));
    }

    #[test]
    fn what_is_not_known_of_a_frame_is_not_known_after_it_was_read() {
        let record = Record::default();
        record.write(&FrameParts { len: 0, tail: Tail::NONE, info: FrameInfo::default(), gaps: None });
        let read = record.read().unwrap();
        assert_eq!(read.info, FrameInfo::default());
        assert!(read.gaps.is_none());
    }

    #[test]
    fn whatever_is_in_its_words_is_read_without_a_panic_or_refused() {
        for value in [0, 1, u64::MAX, u64::MAX - 1, 1 << 63, 0x7fff_ffff_ffff] {
            let record = Record(std::array::from_fn(|_| AtomicU64::new(value)));
            let _ = record.read();
        }
        let record = Record::default();
        record.set(Word::Lengths, 1 << 48);
        assert!(record.read().is_none());
        record.set(Word::Lengths, 0x1fff << 32);
        assert!(record.read().is_none(), "more metadata than there may be");
    }
}
