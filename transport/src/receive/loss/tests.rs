use super::super::config::ReassemblerConfig;
use super::*;
use crate::frame::{FrameFormat, FramePool, PixelFormat};
use crate::wire::{Cut, ParityHeader, SLICE_HEADER_LEN, SliceHeader};

const PAYLOAD: u16 = 496;
const ROUND_TRIP: Duration = Duration::from_micros(100);
const GUARD_US: u64 = 200;
/// A round trip and the margin.
const PAUSE_US: u64 = 300;

/// A receiver's half that knows of slices alone.
struct Stage {
    reassembler: Reassembler,
    loss: LossDetector,
    slices: u32,
}

impl Stage {
    fn new(delivery: Delivery, slices: u32) -> Self {
        let frame_bytes = slices * u32::from(PAYLOAD);
        let slice_bytes = usize::from(PAYLOAD) + SLICE_HEADER_LEN;
        let cut = Cut::new(frame_bytes, slice_bytes);
        let format = FrameFormat::new(PixelFormat::Gray8, frame_bytes, 1).unwrap();
        let config =
            ReassemblerConfig { format, cut, delivery, first_frame: 0, parity_max: 16, partial: false, batch_max: 4 };
        let pool = FramePool::new(8, Reassembler::slot_bytes(&cut)).unwrap();
        let reassembler = Reassembler::new(config, pool).unwrap();
        Self { reassembler, loss: LossDetector::new(delivery, 16), slices }
    }

    fn comes(&mut self, frame: u64, slices: Range<u32>, at_us: u64) {
        let frame_bytes = self.slices * u32::from(PAYLOAD);
        for index in slices {
            let slice = SliceHeader {
                stream: 1,
                epoch: 1,
                flags: 0,
                tail: 0,
                sequence: 0,
                frame,
                captured_ns: 0,
                frame_bytes,
                index,
                sent_after_us: 0,
            };
            self.reassembler.predict(1);
            assert!(self.reassembler.handle_slice(&slice, 0, at(at_us)), "{frame}: {index}");
            self.reassembler.end_batch(at(at_us), |far_ns| Some(Time::from_nanos(far_ns)));
        }
    }

    fn parity_comes(&mut self, frame: u64, at_us: u64) {
        let parity = ParityHeader {
            stream: 1,
            epoch: 1,
            flags: 0,
            tail: 0,
            sequence: 0,
            frame,
            captured_ns: 0,
            frame_bytes: self.slices * u32::from(PAYLOAD),
            index: 0,
            blocks: 1,
            parities: 1,
            odd: 0,
        };
        self.reassembler.predict(1);
        self.reassembler.handle_parity(&parity, 0, at(at_us));
        self.reassembler.end_batch(at(at_us), |far_ns| Some(Time::from_nanos(far_ns)));
    }

    /// The slices that are asked for by then, with their frames; a whole frame is `u32::MAX`.
    fn asks(&mut self, at_us: u64) -> Vec<(u64, Vec<u32>)> {
        let mut asked = Vec::new();
        let mut bytes = [0; Nack::LEN + NACK_BITMAP_MAX];
        while let Some(len) = self.loss.poll_nack(&self.reassembler, (1, 1), ROUND_TRIP, at(at_us), &mut bytes) {
            let nack = Nack::parse(&bytes[..len]).unwrap();
            let bitmap = nack.bitmap(&bytes[..len]).unwrap();
            let is_set = |bit: &u32| bitmap[*bit as usize / 8] & (0x80 >> (bit % 8)) != 0;
            let slices = (0..bitmap.len() as u32 * 8).filter(is_set).map(|bit| nack.first + bit).collect();
            asked.push((nack.frame, if bitmap.is_empty() { vec![u32::MAX] } else { slices }));
            assert!(asked.len() < 20, "it asks without end: {asked:?}");
        }
        let next = self.loss.poll_timeout(&self.reassembler, ROUND_TRIP, at(at_us));
        assert!(next.is_none_or(|next| next > at(at_us)), "due at once, and nothing said");
        asked
    }
}

fn at(micros: u64) -> Time {
    Time::from_nanos(1_000_000_000 + micros * 1_000)
}

#[test]
fn a_gap_is_asked_for_after_the_guard_while_the_frame_is_on_its_way() {
    let mut stage = Stage::new(Delivery::Latest, 100);
    stage.comes(0, 0..10, 0);
    assert_eq!(stage.asks(0), []);
    stage.comes(0, 12..20, 10);
    assert_eq!(stage.asks(10 + GUARD_US - 1), []);
    stage.comes(0, 20..40, 10 + GUARD_US);
    assert_eq!(stage.asks(10 + GUARD_US), [(0, vec![10, 11])]);
}

#[test]
fn a_gap_that_closes_is_not_asked_for() {
    let mut stage = Stage::new(Delivery::Every, 100);
    stage.comes(0, 0..10, 0);
    stage.comes(0, 11..20, 0);
    assert_eq!(stage.asks(0), []);
    stage.comes(0, 10..11, 100);
    stage.comes(0, 20..50, 150);
    assert_eq!(stage.asks(10_000), []);
}

#[test]
fn of_two_gaps_each_has_its_guard_and_a_tail_is_not_kept_waiting_by_them() {
    let mut stage = Stage::new(Delivery::Latest, 100);
    stage.comes(0, 1..10, 0);
    assert_eq!(stage.asks(0), []);
    stage.comes(0, 11..100, 150);
    assert_eq!(stage.asks(150), []);
    assert_eq!(stage.asks(GUARD_US), [(0, vec![0])]);
    assert_eq!(stage.asks(150 + GUARD_US), [(0, vec![10])]);
}

#[test]
fn what_is_not_answered_is_asked_for_again_once_the_frame_is_quiet() {
    let mut stage = Stage::new(Delivery::Latest, 100);
    stage.comes(0, 1..10, 0);
    stage.asks(0);
    assert_eq!(stage.asks(GUARD_US), [(0, vec![0])]);
    // The answer may be behind these.
    stage.comes(0, 10..60, GUARD_US + PAUSE_US - 1);
    assert_eq!(stage.asks(GUARD_US + PAUSE_US), []);
    let quiet = GUARD_US + 2 * PAUSE_US - 1;
    assert_eq!(stage.asks(quiet), [(0, vec![0])]);
    assert_eq!(stage.asks(quiet + PAUSE_US), [(0, vec![0])]);
}

#[test]
fn a_tail_is_asked_for_on_the_senders_word() {
    let mut stage = Stage::new(Delivery::Latest, 100);
    stage.comes(0, 0..98, 0);
    assert_eq!(stage.asks(5_000), []);
    stage.loss.handle_sent(1);
    assert_eq!(stage.asks(5_000), []);
    // It was only ahead of some.
    stage.comes(0, 98..99, 5_100);
    assert_eq!(stage.asks(5_000 + GUARD_US), []);
    assert_eq!(stage.asks(5_100 + GUARD_US), [(0, vec![99])]);
}

#[test]
fn a_frame_that_was_thought_lost_is_not_asked_for_while_it_comes_in() {
    let mut stage = Stage::new(Delivery::Latest, 100);
    stage.loss.handle_sent(1);
    assert_eq!(stage.asks(0), []);
    stage.comes(0, 0..50, 150);
    assert_eq!(stage.asks(GUARD_US), []);
    stage.comes(0, 50..99, 300);
    assert_eq!(stage.asks(300), []);
    assert_eq!(stage.asks(300 + GUARD_US), [(0, vec![99])]);
}

#[test]
fn where_parity_is_likely_to_come_it_is_waited_for() {
    let mut stage = Stage::new(Delivery::Latest, 100);
    stage.comes(0, 0..98, 0);
    stage.parity_comes(0, 10);
    assert_eq!(stage.asks(1_000), []);
    stage.comes(1, 0..1, 2_000);
    assert_eq!(stage.asks(2_000), []);
    // A slice of the next frame came; of the two that are missing, parity makes up for one.
    assert_eq!(stage.asks(2_000 + GUARD_US), [(0, vec![99])]);
    stage.comes(1, 2..99, 3_000);
    assert_eq!(stage.asks(3_000).len(), 1, "frame 0 again, frame 1 not yet");
    // A stream whose frames have none any more.
    let unprotected = OPEN_FRAMES_MAX as u64 + 1;
    stage.comes(unprotected, 0..10, 4_000);
    stage.comes(unprotected, 11..100, 4_000);
    stage.asks(4_000);
    assert!(stage.asks(4_000 + GUARD_US).contains(&(unprotected, vec![10])));
}

#[test]
fn a_request_too_long_for_one_datagram_goes_on_in_others() {
    let slices = 9_000;
    let mut stage = Stage::new(Delivery::Every, slices);
    stage.comes(0, slices - 1..slices, 0);
    assert_eq!(stage.asks(0), []);
    let asked = stage.asks(GUARD_US);
    assert_eq!(asked.len(), 3);
    assert_eq!(
        asked.into_iter().flat_map(|(_, slices)| slices).collect::<Vec<_>>(),
        (0..slices - 1).collect::<Vec<_>>()
    );
}

#[test]
fn a_source_that_skips_while_frames_lack_slices_has_each_asked_for_and_no_flood() {
    let mut stage = Stage::new(Delivery::Latest, 100);
    for frame in 0..2 {
        stage.comes(frame, 0..50, 0);
        stage.comes(frame, 51..100, 0);
    }
    let mut asked = stage.asks(0);
    for sent in 2..40 {
        stage.loss.handle_sent(sent);
        for step in 0..5 {
            asked.extend(stage.asks(sent * 1_000 + step * GUARD_US));
        }
    }
    for frame in 0..2 {
        assert!(asked.contains(&(frame, vec![50])), "{asked:?}");
    }
    assert!(asked.contains(&(38, vec![u32::MAX])), "{asked:?}");
    // Whole frames four times each, the others at most once a millisecond.
    assert!(asked.len() < 38 * 4 + 2 * 40, "{}", asked.len());
}

#[test]
fn a_slice_that_comes_late_teaches_patience_though_its_repair_was_faster() {
    let mut stage = Stage::new(Delivery::Latest, 100);
    stage.comes(0, 1..100, 0);
    stage.asks(0);
    assert_eq!(stage.asks(GUARD_US), [(0, vec![0])]);
    stage.comes(0, 0..1, 300);
    stage.loss.handle_overtaken(0, 0, at(800));
    stage.loss.start_epoch(16);
    stage.comes(1, 1..100, 10_000);
    stage.asks(10_000);
    assert_eq!(stage.asks(10_999), []);
    assert_eq!(stage.asks(11_000), [(1, vec![0])]);
}
