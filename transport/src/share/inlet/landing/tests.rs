use super::*;
use crate::frame::{Gaps, PixelFormat, PoolInMaking, Tail};
use crate::share::layout::InletCounts;

const SECOND: Duration = Duration::from_secs(1);

/// A stream of frames of 100 bytes, the first of the number 5, with slots for three, of which all are granted.
fn landing_of(delivery: Delivery) -> Landing {
    let format = FrameFormat::new(PixelFormat::Gray8, 10, 10).unwrap();
    let mut making = PoolInMaking::new(3, 110).unwrap().for_a_writer();
    making.provide(usize::MAX).unwrap();
    let pool = making.finish().unwrap().with_format(format, 10);
    let (mut landing, _ends) = Landing::new(pool, format, (10, 3), (delivery, 5)).unwrap();
    assert!(landing.grant());
    landing
}

fn landing() -> Landing {
    landing_of(Delivery::Latest)
}

fn parts(number: u64, len: usize, tail: u16) -> FrameParts {
    let info = FrameInfo { number, ..FrameInfo::default() };
    FrameParts { len, tail: Tail::from_wire(tail).unwrap(), info, gaps: None }
}

/// What a sender writes that hands a whole frame over.
fn commit(landing: &Landing, slot: usize, number: u64) {
    let page = landing.page();
    page.records[slot].write(&parts(number, 100, 0));
    page.committed.fetch_or(1 << slot, Ordering::SeqCst);
}

fn collect(landing: &mut Landing, now: Time) -> Result<usize, Misconduct> {
    landing.collect(now, None, drop)
}

/// What a sender says of slot 0, and what it hands over, come to.
fn said(parts: &FrameParts, committed: u64) -> (Result<usize, Misconduct>, Landing) {
    let mut landing = landing();
    landing.page().records[0].write(parts);
    landing.page().committed.store(committed, Ordering::Release);
    let collected = collect(&mut landing, Time::from_nanos(9));
    (collected, landing)
}

#[test]
fn one_bad_record_costs_none_of_the_frames_beside_it() {
    let mut landing = landing();
    commit(&landing, 1, 7);
    // Of no frame: it was never written.
    landing.page().committed.fetch_or(1, Ordering::SeqCst);
    landing.page().records[0].write(&parts(6, 0, 0));
    let mut numbers = Vec::new();
    let collected = landing.collect(Time::now(), None, |frame| numbers.push(frame.info().number));
    assert_eq!(collected, Err(Misconduct::Length { pixels: 0, tail: 0 }));
    assert_eq!(numbers, [7]);
}

#[test]
fn a_hub_does_not_sleep_over_what_was_skipped() {
    let mut landing = landing();
    assert!(landing.may_sleep());
    landing.page().source.write(InletCounts { next: 8, no_credit: 0 });
    assert!(!landing.may_sleep());
    collect(&mut landing, Time::now()).unwrap();
    assert!(landing.may_sleep());
    assert_eq!(landing.stats().frames_passed, 3);
}

#[test]
fn a_sender_that_says_what_cannot_be_is_found_out_and_nothing_is_made_of_it() {
    let first = parts(5, 100, 0);
    assert_eq!(said(&first, 1).0, Ok(1));
    assert_eq!(said(&first, 1 << 3 | 1 << 63).0, Err(Misconduct::NotGranted(1 << 3 | 1 << 63)));
    assert_eq!(said(&parts(4, 100, 0), 1).0, Err(Misconduct::Order { number: 4, before: 5 }));
    let last = parts(u64::MAX, 100, 0);
    assert_eq!(said(&last, 1).0, Err(Misconduct::Order { number: u64::MAX, before: 5 }));
    for (len, tail) in [(99, 0), (101, 0), (u32::MAX as usize, 0), (100, 11)] {
        let wrong = Misconduct::Length { pixels: len, tail: usize::from(tail) };
        let (found, landing) = said(&parts(5, len, tail), 1);
        assert_eq!((found, landing.stats().frames_delivered), (Err(wrong), 0));
    }
    let gaps = Some(Gaps { offset: 0, slices: 1, slice_bytes: 1 });
    assert!(said(&FrameParts { gaps, ..first }, 1).0.is_err());
}

#[test]
fn no_sender_skips_more_frames_than_a_source_can_have_had() {
    let begun = Time::ZERO + SECOND;
    for by_record in [true, false] {
        let jump = |number: u64, now: Time| {
            let mut landing = landing();
            collect(&mut landing, begun).unwrap();
            match by_record {
                true => commit(&landing, 0, number),
                false => landing.page().source.write(InletCounts { next: number, no_credit: u64::MAX }),
            }
            (collect(&mut landing, now).map(drop), landing.stats().frames_unseen(), landing.source().no_credit)
        };
        let most = 5 + SKIPPED_MAX;
        for number in [FRAME_NUMBER_END - 1, 1 << 62, most + 1] {
            let limit = most;
            assert_eq!(jump(number, begun), (Err(Misconduct::Jump { number, limit }), 0, 0), "{by_record}");
        }
        let no_credit = if by_record { 0 } else { SKIPPED_MAX };
        assert_eq!(jump(most, begun), (Ok(()), SKIPPED_MAX, no_credit));
        // One a microsecond, and none for how often it is said.
        let no_credit = if by_record { 0 } else { SKIPPED_MAX + 1_000_000 };
        assert_eq!(jump(most + 1_000_000, begun + SECOND), (Ok(()), SKIPPED_MAX + 1_000_000, no_credit));
        assert!(jump(most + 1_000_001, begun + SECOND).0.is_err());
    }
}

#[test]
fn a_sender_of_every_frame_leaves_none_out() {
    let now = Time::ZERO + SECOND;
    let mut landing = landing_of(Delivery::Every);
    (0..3).for_each(|slot| commit(&landing, slot, 5 + slot as u64));
    landing.page().source.write(InletCounts { next: 8, no_credit: 0 });
    assert_eq!(collect(&mut landing, now), Ok(3));
    assert!(landing.grant());
    commit(&landing, 0, 9);
    assert_eq!(collect(&mut landing, now), Err(Misconduct::LeftOut { number: 9, next: 8 }));
    let mut landing = landing_of(Delivery::Every);
    landing.page().source.write(InletCounts { next: 6, no_credit: 0 });
    assert_eq!(collect(&mut landing, now), Err(Misconduct::LeftOut { number: 6, next: 5 }));
    assert_eq!((landing.stats().frames_passed, landing.source()), (0, SourceCounts::default()));
}

#[test]
fn times_are_no_later_than_now() {
    let mut late = parts(5, 100, 0);
    (late.info.captured, late.info.sent) = (Time::MAX, Some(Time::from_nanos(3)));
    let mut landing = landing();
    landing.page().records[0].write(&late);
    landing.page().committed.store(1, Ordering::Release);
    let mut infos = Vec::new();
    landing.collect(Time::from_nanos(9), None, |frame| infos.push(*frame.info())).unwrap();
    assert_eq!((infos[0].captured, infos[0].sent), (Time::from_nanos(9), Some(Time::from_nanos(9))));
}

#[test]
fn whatever_is_in_every_word_of_the_page_nothing_panics_and_no_account_is_absurd() {
    let mut word = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word
    };
    for _ in 0..2_000 {
        let delivery = if next() % 2 == 0 { Delivery::Every } else { Delivery::Latest };
        let mut landing = landing_of(delivery);
        for slot in 0..3 {
            let mut info = FrameInfo { number: next() % 12, ..FrameInfo::default() };
            if next() % 4 == 0 {
                info.number = next();
            }
            info.captured = Time::from_nanos(next());
            let tail = Tail::from_wire(next() as u16).unwrap_or(Tail::NONE);
            let len = if next() % 2 == 0 { 100 } else { next() as usize };
            landing.page().records[slot].write(&FrameParts { len, tail, info, gaps: None });
        }
        let said = if next() % 2 == 0 { next() } else { next() % 20 };
        landing.page().source.write(InletCounts { next: said, no_credit: next() });
        landing.page().committed.store(next() & next(), Ordering::Release);
        let _misconduct = collect(&mut landing, Time::from_nanos(9));
        landing.settle();
        landing.grant();
        let (stats, source) = (landing.stats(), landing.source());
        assert!(stats.frames_passed <= SKIPPED_MAX + 1 && stats.frames_delivered <= 3);
        assert!(source.no_credit <= source.skipped && source.skipped == stats.frames_unseen());
    }
}
